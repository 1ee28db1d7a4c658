//! Credentials that are more than a key in a header.

use std::sync::Arc;

use super::{Authorizer, aws, google::GoogleCredentials, registry::Off, vendors::Credentials};
use crate::config::ProviderConfig;

impl Credentials {
    /// The variables of the environment that they are made of, besides that of the key.
    pub(crate) fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Key | Self::Google => &[],
            Self::Aws => aws::VARIABLES,
        }
    }

    /// Whether what the environment says of them is enough to want the vendor, as its key would be.
    pub(crate) fn are_in(self, section: &ProviderConfig) -> bool {
        match self {
            Self::Key => false,
            Self::Google => section.credentials_file.is_some() && section.project.is_some(),
            Self::Aws => section.region.is_some() && section.environment.contains_key(aws::SWITCH),
        }
    }
}

/// What authorizes the requests to a vendor; nothing where the adapter's header with the key does.
///
/// # Errors
///
/// Why the vendor is off: credentials that it needs are not configured.
pub(super) fn authorizer(
    credentials: Credentials,
    section: &ProviderConfig,
) -> Result<Option<Arc<dyn Authorizer>>, Off> {
    match credentials {
        Credentials::Key => Ok(None),
        // A key is a token that somebody else fetched, or an API key.
        Credentials::Google if section.has_key() => Ok(None),
        Credentials::Google => Ok(Some(Arc::new(GoogleCredentials::new(section.credentials_file.clone())))),
        // Bedrock's own keys stand in a header.
        Credentials::Aws if section.api_key.is_some() => Ok(None),
        Credentials::Aws => Ok(Some(Arc::new(aws::Signer::new("bedrock", section)?))),
    }
}
