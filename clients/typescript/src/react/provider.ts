import { createContext, createElement, type ReactElement, type ReactNode } from "react";
import { useCallback, useContext, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Tokenwire, type TokenwireOptions } from "../client.js";
import type { ConnectionStatus } from "../connection.js";

/** Properties of `TokenwireProvider`: a client, or what to make one of. */
export interface TokenwireProviderProps extends TokenwireOptions {
  /** A client of the application's own, which also closes it. The other properties are not used then. */
  client?: Tokenwire;
  /** Where the server is, as in `new Tokenwire(url)`. Another one makes another client. Default: where the page comes from. */
  url?: string | URL;
  children?: ReactNode;
}

/** Gives the client. Not to be called while rendering: a server that renders has none. */
type ClientSource = () => Tokenwire;

const Context = createContext<ClientSource | undefined>(undefined);

/**
 * Gives the components below it a client. It is made when the first of them needs it, never while rendering on a server,
 * and closed when the provider is gone.
 *
 * A `token` may be another one with each render; the newest is used. Other options are read when the client is made.
 */
export function TokenwireProvider({ client, url, children, ...options }: TokenwireProviderProps): ReactElement {
  const newest = useRef(options);
  useEffect(() => void (newest.current = options));
  const href = url?.toString();
  const [made, setMade] = useState(() => new Maker(href, newest.current, () => newest.current.token));
  let maker = made;
  if (made.url !== href) {
    maker = new Maker(href, options, () => newest.current.token);
    setMade(maker);
  }
  useEffect(() => maker.keep(), [maker]);
  const source = useCallback(() => client ?? maker.client, [client, maker]);
  return createElement(Context.Provider, { value: source }, children);
}

/** The client; `undefined` while rendering on a server, and in the render that takes over from one. */
export function useTokenwire(): Tokenwire | undefined {
  return useSyncExternalStore(never, useClientSource(), () => undefined);
}

/** How the connection is: for a line that says that the network is gone. On a server it is `idle`. */
export function useConnectionStatus(): ConnectionStatus {
  const client = useClientSource();
  return useSyncExternalStore(
    useCallback((listener) => client().subscribe(listener), [client]),
    () => client().status,
    () => "idle",
  );
}

export function useClientSource(): ClientSource {
  const source = useContext(Context);
  if (!source) throw new Error("there is no <TokenwireProvider> above this component");
  return source;
}

/** Makes a client when it is needed, and closes it when the provider is gone. */
class Maker {
  #client: Tokenwire | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly url: string | undefined,
    readonly options: TokenwireOptions,
    readonly token: () => TokenwireOptions["token"],
  ) {}

  get client(): Tokenwire {
    const token = () => {
      const newest = this.token();
      return typeof newest === "function" ? newest() : newest;
    };
    return (this.#client ??= new Tokenwire(this.url, { ...this.options, token }));
  }

  /** Returns what closes the client, unless it is kept again at once, as Strict Mode does. */
  keep(): () => void {
    clearTimeout(this.#closing);
    return () => {
      this.#closing = setTimeout(() => {
        this.#client?.close();
        this.#client = undefined;
      });
    };
  }
}

function never(): () => void {
  return () => {};
}
