//! One provider, asked for a few tokens.

use std::time::{Duration, Instant};

use tokenwire::{
    config::Loaded,
    protocol::{
        ErrorCode, ErrorInfo, FinishReason,
        message::{Message, Role},
    },
    provider::{
        ModelEvent, ModelRequest, Off, Provider, Turn, registry,
        vendors::{Credentials, vendor},
    },
};
use tokio::time::timeout;

/// The most tokens that are asked for. One would do, but some of OpenAI's models take no fewer than these.
const MAX_TOKENS: u64 = 16;

/// A try to be made.
pub(super) struct Probe<'a> {
    pub provider: &'a dyn Provider,
    /// The provider's name of the model. `None`: the first that is known.
    pub model: Option<String>,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long everything may take.
    pub limit: Duration,
}

/// What came of it.
pub(super) struct Tried {
    pub provider: String,
    /// `provider/model`, or the provider alone when no model was found.
    pub model: String,
    pub outcome: Outcome,
    /// What to do when it did not work, where that is known.
    pub fix: Option<String>,
}

pub(super) enum Outcome {
    Ok(Answer),
    Failed(Box<ErrorInfo>),
    /// It is off, and was not asked.
    Off,
}

/// The times of an answer.
pub(super) struct Answer {
    /// `None`: it ended without a text. Some models think longer than they were let.
    pub first_token: Option<Duration>,
    pub total: Duration,
}

impl Probe<'_> {
    /// Asks. Never takes longer than its limit.
    pub async fn run(self, loaded: &Loaded) -> Tried {
        let provider = self.provider.name().to_owned();
        let mut name = provider.clone();
        let asking = async {
            let model = self.model().await?;
            name = format!("{provider}/{model}");
            self.ask(model).await
        };
        let outcome = match timeout(self.limit, asking).await {
            Ok(Ok(answer)) => Outcome::Ok(answer),
            Ok(Err(error)) => Outcome::Failed(Box::new(error)),
            Err(_) => {
                let message = format!("no answer within {} s", self.limit.as_secs());
                Outcome::Failed(Box::new(ErrorInfo::new(ErrorCode::FirstTokenTimeout, message)))
            }
        };
        let fix = match &outcome {
            Outcome::Failed(error) => fix(error.code, &provider, loaded),
            _ => None,
        };
        Tried { provider, model: name, outcome, fix }
    }

    async fn model(&self) -> Result<String, ErrorInfo> {
        if let Some(model) = self.model.clone().or_else(|| self.provider.models().into_iter().next()) {
            return Ok(model);
        }
        let listed = self.provider.list_models().await.transpose()?;
        listed
            .into_iter()
            .flatten()
            .next()
            .ok_or_else(|| ErrorInfo::new(ErrorCode::UnknownModel, "no model of it is known"))
    }

    async fn ask(&self, model: String) -> Result<Answer, ErrorInfo> {
        let request = ModelRequest {
            model,
            messages: vec![Message::text(Role::User, "Say OK.")],
            max_tokens: Some(MAX_TOKENS),
            connect_timeout: self.connect,
            ..ModelRequest::default()
        };
        let begun = Instant::now();
        let mut heard = Heard::default();
        self.provider.run(&request, &mut heard).await?;
        match heard.finish {
            Some(_) => Ok(Answer {
                first_token: heard.first_token_at.map(|at| at.duration_since(begun)),
                total: begun.elapsed(),
            }),
            None => Err(ErrorInfo::new(ErrorCode::Truncated, "the provider's stream stopped before its end")),
        }
    }
}

/// What matters of an answer.
#[derive(Default)]
struct Heard {
    first_token_at: Option<Instant>,
    finish: Option<FinishReason>,
}

impl Turn for Heard {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match event {
            ModelEvent::Finish { reason, .. } => self.finish = Some(reason),
            ModelEvent::Text(_) | ModelEvent::Reasoning(_) | ModelEvent::Refusal(_) => {
                self.first_token_at.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
    }
}

impl Tried {
    /// A provider that is off cannot be tried.
    pub fn off(name: &str, off: &Off) -> Self {
        Self { provider: name.into(), model: name.into(), outcome: Outcome::Off, fix: Some(off.to_string()) }
    }

    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }
}

fn fix(code: ErrorCode, name: &str, loaded: &Loaded) -> Option<String> {
    let owner = registry::section_name(&loaded.config, name);
    let section = loaded.config.providers.get(owner);
    let origin = |key: &str| loaded.provider_origin(owner, key);
    Some(match code {
        ErrorCode::Authentication if section.is_some_and(|section| section.has_key()) => {
            let key = if section.is_some_and(|section| section.api_key.is_some()) { "api_key" } else { "api_keys" };
            format!("the provider does not accept its key, which comes from {}", origin(key))
        }
        ErrorCode::Authentication if vendor(name).is_some_and(|vendor| vendor.credentials != Credentials::Key) => {
            "the credentials of its cloud are missing on this machine, expired or not accepted".to_owned()
        }
        ErrorCode::Authentication => format!("it wants a key: set `api_key_env` in [providers.{name}]"),
        ErrorCode::Permission => format!("its key may not use this model: try another with --model {name}/..."),
        ErrorCode::ModelNotFound => {
            format!("try another with --model {name}/..., and list it in `models` of [providers.{name}]")
        }
        ErrorCode::UnknownModel => format!("name one with --model {name}/..."),
        ErrorCode::InvalidRequest | ErrorCode::BadField | ErrorCode::NotSupported => {
            format!("the model may want something else: try another with --model {name}/...")
        }
        ErrorCode::Quota => "the account has no credit left: see the provider's page for billing".to_owned(),
        ErrorCode::RateLimit | ErrorCode::Overloaded => "wait a little, and try again".to_owned(),
        ErrorCode::Network | ErrorCode::ConnectTimeout => {
            let place = match section.is_some_and(|section| section.base_url.is_some()) {
                true => format!("its base URL, which comes from {},", origin("base_url")),
                false => "the provider".to_owned(),
            };
            format!("can {place} be reached from here? A proxy is taken from HTTPS_PROXY")
        }
        ErrorCode::FirstTokenTimeout | ErrorCode::ProviderTimeout => {
            "give it longer with --timeout, or try another model with --model".to_owned()
        }
        ErrorCode::ProviderProtocol | ErrorCode::Truncated => {
            format!("does it speak this wire format? See `wire_format` and `base_url` of [providers.{name}]")
        }
        _ => return None,
    })
}
