// `tokenwire/core`: everything but conversations, for pages that count every byte.

export { TokenwireCore as Tokenwire } from "./core.js";
export { TokenwireError } from "./errors.js";
