//! What can be configured, with every default.
//!
//! One structure serves the TOML file, the environment, the flags and library users. Each
//! field's doc says what it does, its unit and its default.
//!
//! [`Loader`] reads it (flags over environment over file over defaults), [`Config::validate`]
//! checks it, [`ConfigError`] says what is wrong, where, and how to fix it.

mod env;
mod error;
mod load;
mod mcp;
mod prices;
mod routes;
mod validate;
mod vendor_env;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use env::{Env, process_env};
pub use error::{ConfigError, KeyPath, Origin, Problem};
pub use load::{DEFAULT_FILE, Loaded, Loader};
pub use mcp::{McpApproval, McpConfig, McpOffer};
pub use prices::PriceConfig;
pub use routes::{FALLBACK_ON, RouteConfig, RouteDefaults, RouteTimeouts, RouteUpstream};
pub use validate::{MIN_KEY_CHARS, WIRE_FORMATS, closest, is_loopback, is_sendable};

/// Everything that can be configured. `Config::default()` serves on loopback without authentication.
//
// Serialized only for its scalars (see `Config::scalars`): what holds keys is left out, and its
// types cannot be serialized at all.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen. Default `127.0.0.1:8080`; port 0 takes a free one.
    #[serde(deserialize_with = "load::listen")]
    pub listen: SocketAddr,
    /// Threads that serve connections. Default 0: one per core.
    pub workers: usize,
    /// Web origins, besides loopback and the server's own, whose pages may connect: `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Host names, besides loopback and the listen address, under which the server may be reached. When it listens on
    /// any address, each of them will do.
    pub allowed_hosts: Vec<String>,
    /// Allow a listen address that is not loopback without any key in `[auth]`. Default false.
    pub insecure_no_auth: bool,
    /// Who may connect.
    #[serde(skip_serializing)]
    pub auth: AuthConfig,
    /// What one connection and the server may use.
    pub limits: LimitsConfig,
    /// Deadlines of generations: default and limit.
    pub timeouts: TimeoutsConfig,
    /// How long ended generations are kept.
    pub retention: RetentionConfig,
    /// Retries while nothing was shown.
    pub retry: RetryConfig,
    /// What clients may say about where a provider is asked, and with which key.
    pub client_upstreams: ClientUpstreamsConfig,
    /// What `GET /v1/models` lists.
    pub model_list: ModelListConfig,
    /// What clients of the AI SDK get, at `/v1/ai-sdk`.
    pub ai_sdk: AiSdkConfig,
    /// Providers, by name. A known name needs only what differs from its row of data.
    #[serde(skip_serializing)]
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Routes, by the name that clients use as `model`.
    #[serde(skip_serializing)]
    pub routes: BTreeMap<String, RouteConfig>,
    /// What tokens cost, by `provider/model`.
    #[serde(skip_serializing)]
    pub prices: BTreeMap<String, PriceConfig>,
    /// MCP servers whose tools join those of this server, by name.
    #[serde(skip_serializing)]
    pub mcp: BTreeMap<String, McpConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 0,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            insecure_no_auth: false,
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            timeouts: TimeoutsConfig::default(),
            retention: RetentionConfig::default(),
            retry: RetryConfig::default(),
            client_upstreams: ClientUpstreamsConfig::default(),
            model_list: ModelListConfig::default(),
            ai_sdk: AiSdkConfig::default(),
            providers: BTreeMap::new(),
            routes: BTreeMap::new(),
            prices: BTreeMap::new(),
            mcp: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Every key that holds a single value or a list of strings, by its path, with its value.
    /// Keys of clients, providers, routes, prices and MCP servers are not among them.
    pub fn scalars(&self) -> BTreeMap<String, Value> {
        let mut scalars = BTreeMap::new();
        // Numbers, flags, strings and lists of strings always encode.
        let Ok(Value::Object(top)) = serde_json::to_value(self) else { return scalars };
        for (key, value) in top {
            match value {
                Value::Object(section) => {
                    scalars.extend(section.into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
                }
                value => {
                    scalars.insert(key, value);
                }
            }
        }
        scalars
    }

    /// Replaces plain keys of clients by their hashes.
    fn hash_keys(&mut self) {
        for key in &mut self.auth.keys {
            key.sha256 = key.sha256_hex();
            key.key = None;
        }
    }
}

/// Who may connect. Without any key everybody may, as one principal named `anonymous`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Static keys.
    pub keys: Vec<KeyConfig>,
}

/// A static key: given as it is, or as its hash.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The principal that the key stands for: it owns generations, and limits count against it.
    pub principal: String,
    /// SHA-256 of the key in lower-case hex. `tokenwire hash-key` makes it.
    pub sha256: Option<String>,
    /// The key itself; it is hashed when the file is read.
    pub key: Option<String>,
}

impl KeyConfig {
    /// The SHA-256 of the key in lower-case hex. `None` when there is neither key nor hash.
    pub fn sha256_hex(&self) -> Option<String> {
        match (&self.sha256, &self.key) {
            (Some(sha256), _) => Some(sha256.to_ascii_lowercase()),
            (None, Some(key)) => Some(sha256_hex(key)),
            (None, None) => None,
        }
    }
}

/// The SHA-256 of a key in lower-case hex, as `sha256` in `[[auth.keys]]` holds it.
pub fn sha256_hex(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfig").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// What one connection and the server may use.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest frame from a client, in bytes. Default 1 MiB. Longer ones close the connection with 1009.
    pub max_frame_bytes: u32,
    /// Running generations that one connection may have started. Default 32.
    pub max_generations: u32,
    /// Generations that one connection may be attached to, and conversations that it may watch. Default 64.
    pub max_attachments: u32,
    /// Connections at the same time. Default 10,000. More are answered with 503.
    pub max_connections: u32,
    /// Generations that run at the same time in the whole server; more wait. Default 10,000.
    pub max_running: u32,
    /// Bytes of one log, past which its generation fails with `log_full`. Default 16 MiB.
    pub max_log_bytes: u32,
    /// Turns of one generation, past which it fails with `too_many_turns`. Default 50.
    pub max_turns: u32,
    /// Seconds between the server's pings; a client silent for twice as long is dropped. Default 25.
    pub heartbeat_seconds: u32,
    /// Seconds that one write to a client may take before its connection is closed with 4002. Default 10.
    pub write_timeout_seconds: u32,
    /// Seconds that running generations have to end when the server shuts down; then they are cancelled. Default 10.
    pub drain_seconds: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: 1 << 20,
            max_generations: 32,
            max_attachments: 64,
            max_connections: 10_000,
            max_running: 10_000,
            max_log_bytes: 16 << 20,
            max_turns: 50,
            heartbeat_seconds: 25,
            write_timeout_seconds: 10,
            drain_seconds: 10,
        }
    }
}

/// Deadlines of generations.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsConfig {
    /// Until the provider is connected to. Default 10 s.
    pub connect_ms: u64,
    /// From sending the request to the first token. Default 120 s: long reasoning is silence.
    pub first_token_ms: u64,
    /// From one token to the next. Default 120 s.
    pub idle_ms: u64,
    /// From the start to the end, waiting for tools not counted. Default 30 min.
    pub total_ms: u64,
    /// Until the results of tool calls are there. Default 10 min.
    pub tool_ms: u64,
    /// The most that a `start` may ask for, in any of the above. Default 1 h.
    pub limit_ms: u64,
    /// How long a generation with `on_disconnect: cancel` goes on without anybody attached. Default 30 s.
    pub disconnect_grace_ms: u64,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            first_token_ms: 120_000,
            idle_ms: 120_000,
            total_ms: 1_800_000,
            tool_ms: 600_000,
            limit_ms: 3_600_000,
            disconnect_grace_ms: 30_000,
        }
    }
}

/// How long ended generations are kept, for `attach` and for a repeated `start`, and conversations.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Seconds after the end; of a conversation, after its last generation was forgotten. Default 300.
    pub seconds: u64,
    /// Bytes kept of one ended log; its oldest events go first. Default 16 MiB, all of it.
    pub log_bytes: u64,
    /// Bytes of all ended logs together; the oldest generations go first. Default 256 MiB.
    pub total_bytes: u64,
    /// Conversations of one principal; the ones that were longest without a change go first. Default 1,000.
    pub conversations: u32,
    /// Bytes of messages and answers kept of one conversation; its oldest generations go first. Default 16 MiB.
    pub conversation_bytes: u64,
    /// Bytes of all conversations together; those that were longest without a change go first. Default 256 MiB.
    pub total_conversation_bytes: u64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            seconds: 300,
            log_bytes: 16 << 20,
            total_bytes: 256 << 20,
            conversations: 1000,
            conversation_bytes: 16 << 20,
            total_conversation_bytes: 256 << 20,
        }
    }
}

/// Retries while nothing was shown.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Attempts in all, with each upstream that is asked. Default 3; 1 means no retry.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles with each one, with jitter. Default 500 ms.
    pub base_ms: u64,
    /// The longest wait, also for a provider's `retry-after`; when that asks for more, the error is final. Default 20 s.
    pub max_ms: u64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 3, base_ms: 500, max_ms: 20_000 }
    }
}

impl RetryConfig {
    /// The longest wait.
    pub fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }
}

/// What a `start` may say in `upstream`. Nothing, by default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientUpstreamsConfig {
    /// Let clients bring a key of their own, `upstream.api_key`, also for providers that this server has no key
    /// for. Default false.
    pub allow_api_key: bool,
    /// Hosts that clients may name in `upstream.base_url`: `gateway.example.com`, `*.example.com`,
    /// `gateway.example.com:8443`, `http://10.1.2.3:8000`. `https` where nothing else is said, and public
    /// addresses only, except for an address that is listed itself. Default none.
    pub hosts: Vec<String>,
    /// The same for names that lead into this server's own network: `http://llm.internal:8000`. Default none.
    pub private_hosts: Vec<String>,
}

/// What `GET /v1/models` lists besides the models of the configuration.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelListConfig {
    /// Ask the providers which models they have. Default true.
    pub ask_providers: bool,
    /// Seconds until a provider is asked again. Default 600.
    pub cache_seconds: u64,
    /// Seconds until a provider is asked again that could not say. Default 60.
    pub retry_seconds: u64,
}

impl Default for ModelListConfig {
    fn default() -> Self {
        Self { ask_providers: true, cache_seconds: 600, retry_seconds: 60 }
    }
}

/// What clients of the AI SDK get, which connect at `/v1/ai-sdk`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AiSdkConfig {
    /// The model of requests that name none, neither in their body nor in the URL. Default empty: the first route,
    /// else the first model of a provider whose key is there, else `demo/markdown`.
    pub model: String,
    /// What an `abort` means. The AI SDK sends the same one for its Stop button and for a component that is taken
    /// off the page. Default `stop`.
    pub abort: AbortPolicy,
    /// Largest frame from a client, in bytes: each holds the whole chat, with its files. Default 16 MiB.
    pub max_frame_bytes: u32,
}

impl Default for AiSdkConfig {
    fn default() -> Self {
        Self { model: String::new(), abort: AbortPolicy::default(), max_frame_bytes: 16 << 20 }
    }
}

/// What the AI SDK's `abort` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortPolicy {
    /// The generation is cancelled.
    #[default]
    Stop,
    /// The client only stops reading it.
    Leave,
}

/// A provider. For a vendor that is known by name (`openai`, `groq`, ...) every field is optional;
/// any other name needs `wire_format` and `base_url`.
///
/// The vendors' usual variables, such as `OPENAI_API_KEY` and `OPENAI_BASE_URL`, are read by
/// [`Loader`] and win over the file; they make a section where there is none. `tokenwire check`
/// lists them.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// One of [`WIRE_FORMATS`]: `openai-chat`, `anthropic` ...
    pub wire_format: Option<String>,
    /// Where it is: `http://localhost:8000/v1`.
    pub base_url: Option<String>,
    /// The key. Better in the environment than in a file.
    pub api_key: Option<String>,
    /// Several keys, which take turns; one that is rate limited, has no credit or is refused rests.
    pub api_keys: Vec<String>,
    /// The environment variable that holds the key, instead of the vendor's usual one; with an `S` behind its
    /// name, several keys with commas between them. [`Loader`] puts what it holds into `api_key` or
    /// `api_keys`; what is still here was not set, and the provider stays off.
    pub api_key_env: Option<String>,
    /// A token that goes out as `Authorization: Bearer` in place of the key, for a vendor that takes both: Azure.
    pub bearer_token: Option<String>,
    /// The region, for a vendor that has one in its base URL: `eu-central-1`.
    pub region: Option<String>,
    /// The project, for a vendor that has one in its base URL.
    pub project: Option<String>,
    /// The file of a Google service account's key, for Vertex AI. Default: the credentials of this machine.
    pub credentials_file: Option<String>,
    /// The version of the API, for a vendor that wants one in the URL: `2024-10-21`.
    pub api_version: Option<String>,
    /// Ask over a WebSocket that is kept from turn to turn, where the wire format is `openai-responses`.
    /// Default false.
    pub websocket: bool,
    /// Headers added to every request.
    pub headers: BTreeMap<String, String>,
    /// Models to offer in a picker. Others may be asked for too.
    pub models: Vec<String>,
    /// Switch the provider off although its key is there. Default true.
    pub enabled: Option<bool>,
    /// The variables that credentials other than a key are made of, where the vendor has such. [`Loader`] puts them
    /// here; the file cannot.
    #[serde(skip)]
    pub environment: Env,
}

impl ProviderConfig {
    /// Whether there is a key.
    pub fn has_key(&self) -> bool {
        self.api_key.is_some() || !self.api_keys.is_empty()
    }
}

impl std::fmt::Debug for ProviderConfig {
    /// Keys never reach a log, nor does a URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("wire_format", &self.wire_format)
            .field("has_base_url", &self.base_url.is_some())
            .field("has_key", &(self.has_key() || self.api_key_env.is_some() || self.bearer_token.is_some()))
            .field("models", &self.models)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}
