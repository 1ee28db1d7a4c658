import type { CitationPart } from "tokenwire";

/** Where the text comes from, each source once. */
export function Sources({ citations }: { citations: CitationPart[] }) {
  const byUrl = new Map(citations.map((citation) => [citation.url ?? citation.title ?? citation.quote, citation]));
  return (
    <aside className="sources" aria-label="Sources">
      <ol>
        {[...byUrl].map(([key, { url, title, quote }]) => (
          <li key={key} title={quote}>
            {isWeb(url) ? (
              <a href={url} target="_blank" rel="noreferrer">
                {title ?? url}
              </a>
            ) : (
              (title ?? quote)
            )}
          </li>
        ))}
      </ol>
    </aside>
  );
}

/** A model may cite anything, `javascript:` included. */
function isWeb(url: string | undefined): url is string {
  return /^https?:\/\//i.test(url ?? "");
}
