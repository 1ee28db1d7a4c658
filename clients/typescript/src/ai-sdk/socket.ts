import type { WebSocketClass, WebSocketLike } from "../connection.js";

/** A class of sockets to a server of this dialect, for a connection that waits for `hello` and sends the protocol's `ping`. */
export function adapted(WebSocket: WebSocketClass): WebSocketClass {
  return class extends (WebSocket as new (...args: any[]) => WebSocketLike) {
    constructor(...args: any[]) {
      super(...args);
      this.onopen = () => this.onmessage?.({ data: '{"type":"hello"}' });
    }

    override send(data: string): void {
      super.send(data === '{"type":"ping"}' ? '{"type":"ping","requestId":"ping"}' : data);
    }
  };
}
