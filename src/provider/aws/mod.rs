//! AWS: who asks, and the signature that says so.
//!
//! Keys come from the first of these that has any:
//!
//! | source | found by |
//! | --- | --- |
//! | the environment | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` |
//! | a web identity, as in Kubernetes | `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` |
//! | a profile | `AWS_PROFILE` or `default`, in `~/.aws/credentials` and `~/.aws/config` |
//! | the container, as in ECS and EKS | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI` |
//! | the instance | EC2's metadata service, unless `AWS_EC2_METADATA_DISABLED` is `true` |
//!
//! Those that expire are fetched again shortly before; one at a time, whoever else needs them waits.

mod profile;
mod sigv4;
mod sources;
mod time;

use std::time::{Duration, Instant, SystemTime};

use tokenwire_protocol::{ErrorCode, ErrorInfo};
use tokio::sync::Mutex;

use super::{Authorizer, BoxFuture, HttpRequest, Secret, registry::Off};
use crate::config::ProviderConfig;
use sigv4::Scope;
use sources::Sources;

/// The variables that keys are made of.
pub(super) const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "HOME",
    "USERPROFILE",
];

/// The variable that says by itself that AWS is wanted.
pub(super) const SWITCH: &str = "AWS_ACCESS_KEY_ID";

/// How long before they expire keys are fetched again.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// How long keys are kept that do not say when they expire: files change.
const KEEP: Duration = Duration::from_secs(5 * 60);
/// How long keys that are still good are kept when newer ones cannot be fetched.
const RETRY: Duration = Duration::from_secs(30);

/// What requests are signed with.
#[derive(Clone)]
struct Keys {
    id: String,
    secret: Secret,
    /// Sent along with temporary keys.
    token: Option<Secret>,
    /// `None`: not known, or never.
    expires_at: Option<SystemTime>,
}

/// Signs requests for one service in one region.
pub(super) struct Signer {
    service: &'static str,
    region: String,
    sources: Sources,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    keys: Keys,
    fetch_at: Instant,
}

impl Signer {
    /// A signer for `service` in the region of `section`, with keys from the environment that stands in it.
    ///
    /// # Errors
    ///
    /// [`Off::NoKey`] when there is no region.
    pub(super) fn new(service: &'static str, section: &ProviderConfig) -> Result<Self, Off> {
        let region = section.region.clone().or_else(|| region_of(section.base_url.as_deref()?));
        let region = region.ok_or_else(|| Off::NoKey("AWS_REGION".to_owned()))?;
        Ok(Self { service, sources: Sources::new(&section.environment, &region), region, kept: Mutex::new(None) })
    }

    async fn keys(&self) -> Result<Keys, ErrorInfo> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { keys, fetch_at }) = &*kept
            && Instant::now() < *fetch_at
        {
            return Ok(keys.clone());
        }
        let (keys, keep) = match (self.sources.fetch().await, kept.take()) {
            (Ok(keys), _) => {
                let keep = keys.left().map_or(KEEP, |left| left.saturating_sub(EARLY));
                (keys, keep)
            }
            (Err(error), Some(Kept { keys, .. })) if keys.left().is_some_and(|left| !left.is_zero()) => {
                tracing::warn!(%error, "cannot fetch newer AWS keys; those at hand are still good");
                (keys, RETRY)
            }
            (Err(error), _) => return Err(error),
        };
        *kept = Some(Kept { keys: keys.clone(), fetch_at: Instant::now() + keep });
        Ok(keys)
    }
}

impl Authorizer for Signer {
    fn authorize<'a>(&'a self, request: &'a mut HttpRequest) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let keys = self.keys().await?;
            let scope = Scope { region: &self.region, service: self.service };
            sigv4::sign(request, &keys, scope, SystemTime::now())
        })
    }
}

impl Keys {
    /// How long they are still good. `None`: not known, or for ever.
    fn left(&self) -> Option<Duration> {
        Some(self.expires_at?.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// The region in the name of one of AWS's own hosts: `https://bedrock-runtime.eu-central-1.amazonaws.com`.
fn region_of(base_url: &str) -> Option<String> {
    let (_, rest) = base_url.split_once("bedrock-runtime.")?;
    let (region, _) = rest.split_once(".amazonaws.com")?;
    // An endpoint in a network of one's own has more in front.
    Some(region.to_owned()).filter(|region| !region.contains(['.', '/']))
}

fn no_keys(message: impl Into<std::borrow::Cow<'static, str>>) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::Authentication, message)
}
