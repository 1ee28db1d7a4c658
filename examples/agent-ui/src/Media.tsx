import { useEffect, useState } from "react";
import type { MediaPart } from "tokenwire";

/** An image or audio that the model made. */
export function Media({ media }: { media: MediaPart }) {
  const { media_type, has_more } = media;
  const url = useMediaUrl(media);
  if (has_more || !url) return <p className="waiting">Receiving {media_type} …</p>;
  if (media_type.startsWith("image/")) return <img className="media" src={url} alt="Made by the model" />;
  if (media_type.startsWith("audio/")) return <audio className="media" src={url} controls />;
  return (
    <a href={url} download>
      {media_type}
    </a>
  );
}

function useMediaUrl({ media_type, data, url, has_more }: MediaPart): string | undefined {
  const [made, setMade] = useState<string>();
  useEffect(() => {
    if (url !== undefined || has_more) return;
    const made = URL.createObjectURL(new Blob(data.map(bytesOf), { type: media_type }));
    setMade(made);
    return () => URL.revokeObjectURL(made);
  }, [media_type, data, url, has_more]);
  return url ?? made;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
