export type { ConnectionStatus, TokenSource, WebSocketClass } from "../connection.js";
export { TokenwireError, type ClientErrorCode } from "../errors.js";
export type { TokenwireMetadata } from "./metadata.js";
export { TokenwireChatTransport, type PreparedRequest, type TokenwireChatTransportOptions } from "./transport.js";
