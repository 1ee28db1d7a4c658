//! One WebSocket between an interactive UI and any LLM.
//!
//! Clients open a socket and send `start` or `cancel`; a session per connection runs the
//! provider's stream and pushes typed JSON event frames. The crate is the server as a library;
//! the `tokenwire` binary is a thin command line around it.
//!
//! ```no_run
//! use tokenwire::{config::Config, server::Server};
//!
//! # async fn serve() -> Result<(), tokenwire::server::ServerError> {
//! let server = Server::builder().config(Config::default()).bind().await?;
//! println!("http://{}", server.local_addr());
//! server.run(async { /* until this is ready */ std::future::pending().await }).await
//! # }
//! ```
//!
//! A provider of one's own implements [`provider::Provider`]; a [`generation::Hook`] is called on
//! every event of every generation. `examples/embed.rs` shows both.
//!
//! The modules in reading order, which is also the order in which they depend on each other:
//!
//! 1. [`protocol`]: the vocabulary, a crate of its own;
//! 2. [`provider`]: how a model is asked, and what it answers;
//! 3. `route`: what stands behind a model's name, and whom to ask after a failure;
//! 4. [`generation`]: one answer being made: its task, its log, the hub that knows them all;
//! 5. [`conversation`]: generations that belong together, and who watches them;
//! 6. `dialect`: how clients speak on the socket;
//! 7. [`session`]: the actor that serves one connection;
//! 8. [`server`]: the listener, HTTP routes, the way out.
//!
//! Beside them, [`tools`] are what the server runs itself when a model asks for it, [`auth`] says who a client is,
//! [`config`] what can be configured, and [`client`] is the other side of the socket.

mod apart;
pub mod auth;
pub mod client;
pub mod config;
pub mod conversation;
mod dialect;
pub mod generation;
pub mod provider;
mod route;
pub mod server;
pub mod session;
pub mod tools;

pub use tokenwire_protocol as protocol;
