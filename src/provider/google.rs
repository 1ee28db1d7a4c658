//! Vertex AI: where it is, how models are named there, and who asks.

use std::{sync::Arc, time::Duration};

// Of the crates that do this it is the smallest, takes the same TLS and cryptography as the HTTP client, logs no tokens,
// and keeps to the oldest compiler that this one does.
use gcp_auth::{CustomServiceAccount, TokenProvider};
use tokenwire_protocol::{ErrorCode, ErrorInfo};
use tokio::{sync::Mutex, time::timeout};

use super::{Authorizer, BoxFuture, HttpRequest, Upstream, registry::Off};
use crate::config::ProviderConfig;

/// Where models answer from wherever there is room for them: the region when none is configured.
const GLOBAL: &str = "global";

/// The base URL of a project in a region, up to where the publisher of a model begins.
///
/// `base_url` is a vendor's or a configured one. A configured one that names its project is taken as it is. Without a
/// project but with a key it is that of the express mode, which has API keys and no projects.
///
/// # Errors
///
/// [`Off::NoKey`] when there is no project, [`Off::Incomplete`] when it or the region cannot stand in a URL.
pub(super) fn base_url(base_url: &str, section: &ProviderConfig) -> Result<String, Off> {
    let is_name = |name: &str| {
        let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        !name.is_empty() && name.bytes().all(is_name_char) && !name.contains("..")
    };
    let region = section.region.as_deref().unwrap_or(GLOBAL);
    if !is_name(region) {
        return Err(Off::Incomplete("region"));
    }
    let mut filled = match region {
        GLOBAL => base_url.replace("{region}-", ""),
        // Each of them is many regions, and has a host of another kind.
        "us" | "eu" => base_url.replace("{region}-aiplatform.", &format!("aiplatform.{region}.rep.")),
        _ => base_url.to_owned(),
    };
    filled = filled.replace("{region}", region);
    let project = section.project.as_deref();
    if project.is_some_and(|project| !is_name(project)) {
        return Err(Off::Incomplete("project"));
    }
    let no_project = || Off::NoKey("GOOGLE_CLOUD_PROJECT".to_owned());
    if filled.contains("{project}") {
        filled = filled.replace("{project}", project.ok_or_else(no_project)?);
    }
    let filled = filled.trim_end_matches('/');
    if filled.contains("/projects/") {
        return Ok(filled.to_owned());
    }
    // What SDKs call the base URL of Vertex AI has a version, or not.
    let is_versioned = filled.ends_with("/v1") || filled.ends_with("/v1beta1");
    let versioned = format!("{filled}{}", if is_versioned { "" } else { "/v1" });
    match project {
        Some(project) => Ok(format!("{versioned}/projects/{project}/locations/{region}")),
        None if section.has_key() => Ok(versioned),
        None => Err(no_project()),
    }
}

/// The path of a model: `models/gemini-2.5-pro`. A name may say in which of `collections` it is; otherwise it is in
/// the first.
///
/// # Errors
///
/// [`ErrorCode::BadField`] for a name that would change the URL.
pub(super) fn model_path(model: &str, collections: &[&str]) -> Result<String, ErrorInfo> {
    let named = collections.iter().find_map(|collection| {
        let name = model.strip_prefix(collection)?.strip_prefix('/')?;
        Some((*collection, name))
    });
    let (collection, name) = named.unwrap_or((collections.first().unwrap_or(&""), model));
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte);
    if name.bytes().all(is_name_char) && !name.bytes().all(|byte| byte == b'.') {
        return Ok(format!("{collection}/{name}"));
    }
    let message = "expected a model's name of letters, digits, `-`, `_`, `.` and `@`";
    Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("model"))
}

/// Sets the header of the key: API keys have one of their own, access tokens the usual one.
pub(super) fn set_key(http: &mut HttpRequest, upstream: &Upstream) {
    let Some(key) = upstream.key.as_ref().map(super::Secret::expose) else { return };
    let is_api_key = upstream.quirks.host == super::vendors::Host::Own
        || ["AIza", "AQ."].iter().any(|prefix| key.starts_with(prefix));
    match is_api_key {
        true => http.set_header("x-goog-api-key", key),
        false => http.set_header("authorization", format!("Bearer {key}")),
    }
}

/// What a token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long a token may take, with waiting for another request that fetches it.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Google's Application Default Credentials: a service account's key, what `gcloud auth application-default login`
/// left, or the account of the machine on Google Cloud.
pub(super) struct GoogleCredentials {
    /// A service account's key.
    file: Option<String>,
    /// Keeps the token until shortly before it expires. Locked while one is fetched, so that one request does it for
    /// all that wait.
    tokens: Mutex<Option<Arc<dyn TokenProvider>>>,
}

impl GoogleCredentials {
    /// With the service account's key in `file`; without one, with what there is on this machine. Nothing is read
    /// before the first request.
    pub(super) fn new(file: Option<String>) -> Self {
        Self { file, tokens: Mutex::new(None) }
    }

    async fn token(&self) -> Result<String, ErrorInfo> {
        let mut tokens = self.tokens.lock().await;
        let provider = match &*tokens {
            Some(provider) => provider.clone(),
            None => tokens.insert(self.find().await?).clone(),
        };
        let token = provider.token(&[SCOPE]).await.map_err(|error| explain(&error))?;
        Ok(token.as_str().to_owned())
    }

    async fn find(&self) -> Result<Arc<dyn TokenProvider>, ErrorInfo> {
        use gcp_auth::{ConfigDefaultCredentials, Error, MetadataServiceAccount};

        if let Some(file) = &self.file {
            return Ok(Arc::new(CustomServiceAccount::from_file(file).map_err(|error| explain(&error))?));
        }
        match ConfigDefaultCredentials::new().await {
            Ok(user) => return Ok(Arc::new(user)),
            // Nobody has logged in here.
            Err(Error::Io(..)) => {}
            Err(error) => return Err(explain(&error)),
        }
        match MetadataServiceAccount::new().await {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(error) => {
                tracing::debug!(%error, "no metadata server");
                let message = "there are no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS to the file of a \
                               service account's key, or log in with `gcloud auth application-default login`";
                Err(ErrorInfo::new(ErrorCode::Authentication, message))
            }
        }
    }
}

impl Authorizer for GoogleCredentials {
    fn authorize<'a>(&'a self, request: &'a mut HttpRequest) -> BoxFuture<'a, Result<(), ErrorInfo>> {
        Box::pin(async move {
            let too_long = |_| ErrorInfo::new(ErrorCode::Network, "fetching a token from Google took too long");
            let token = timeout(TOKEN_TIMEOUT, self.token()).await.map_err(too_long)??;
            request.set_header("authorization", format!("Bearer {token}"));
            Ok(())
        })
    }
}

fn explain(error: &gcp_auth::Error) -> ErrorInfo {
    use gcp_auth::Error;

    // Its own text may name files and addresses, so it goes to the log only.
    tracing::warn!(%error, "no Google token");
    match error {
        Error::Http(..) | Error::Other("HTTP request failed", _) => {
            ErrorInfo::new(ErrorCode::Network, "Google's token server cannot be reached")
        }
        Error::Io(..) | Error::Json(..) | Error::Other(..) => {
            let message = "the Google credentials cannot be read: a service account's key is expected";
            ErrorInfo::new(ErrorCode::Authentication, message)
        }
        _ => ErrorInfo::new(ErrorCode::Authentication, "Google refused the credentials of this server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(region: Option<&str>, project: Option<&str>, key: Option<&str>) -> ProviderConfig {
        let text = |text: Option<&str>| text.map(str::to_owned);
        ProviderConfig { region: text(region), project: text(project), api_key: text(key), ..ProviderConfig::default() }
    }

    #[test]
    fn a_project_and_a_region_make_the_base_url() {
        let of = |region, project, key| {
            base_url("https://{region}-aiplatform.googleapis.com/v1", &section(region, project, key))
        };
        let ok = |url: &str| Ok(url.to_owned());
        let frankfurt = "https://europe-west3-aiplatform.googleapis.com/v1/projects/p/locations/europe-west3";
        assert_eq!(of(Some("europe-west3"), Some("p"), None), ok(frankfurt));
        assert_eq!(of(None, Some("p"), None), ok("https://aiplatform.googleapis.com/v1/projects/p/locations/global"));
        let europe = "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu";
        assert_eq!(of(Some("eu"), Some("p"), None), ok(europe));
        assert_eq!(of(None, None, Some("AIza")), ok("https://aiplatform.googleapis.com/v1"));
        assert_eq!(of(None, None, None), Err(Off::NoKey("GOOGLE_CLOUD_PROJECT".to_owned())));
        assert_eq!(of(None, Some("p/../q"), Some("AIza")), Err(Off::Incomplete("project")));
        assert_eq!(of(Some("evil.com/"), Some("p"), None), Err(Off::Incomplete("region")));
    }

    #[test]
    fn another_base_url_gets_what_it_lacks() {
        let of = |url| base_url(url, &section(None, Some("p"), None));
        let whole = "http://localhost:1/v1/projects/p/locations/global";
        for url in ["http://localhost:1", "http://localhost:1/v1/", whole] {
            assert_eq!(of(url), Ok(whole.to_owned()));
        }
    }

    #[test]
    fn names_of_models_cannot_change_the_url() {
        let collections = ["models", "tunedModels"];
        let of = |model| model_path(model, &collections).ok();
        assert_eq!(of("gemini-2.5-pro").as_deref(), Some("models/gemini-2.5-pro"));
        assert_eq!(of("models/gemini-2.5-pro").as_deref(), Some("models/gemini-2.5-pro"));
        assert_eq!(of("tunedModels/mine-1").as_deref(), Some("tunedModels/mine-1"));
        for model in ["", "..", "models/..", "a/b", "a?b", "a#b", "a%2fb", "a:b", "../models/a", "a b", "ä", "models/"]
        {
            assert_eq!(of(model), None, "{model}");
        }
    }
}
