//! The documents that stand beside this crate, as text: a server offers them, a client may check against them.

/// The specification for humans, in Markdown.
pub const SPECIFICATION: &str = include_str!("../SPECIFICATION.md");
/// The JSON Schema of every frame.
pub const JSON_SCHEMA: &str = include_str!("../schema/tokenwire.schema.json");
/// The AsyncAPI 3 document.
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");
/// The TypeScript types.
pub const TYPESCRIPT: &str = include_str!("../typescript/tokenwire.d.ts");
