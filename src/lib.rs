//! One WebSocket between an interactive UI and any LLM.
pub mod auth;
pub mod client;
pub mod config;
pub mod generation;
pub mod provider;
pub mod server;
pub mod session;
pub use tokenwire_protocol as protocol;
