//! Credentials that are more than a key in a header.

use std::sync::Arc;

use super::{Authorizer, google::GoogleCredentials, registry::Off, vendors::Credentials};
use crate::config::ProviderConfig;

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
        Credentials::Google if section.api_key.is_some() => Ok(None),
        Credentials::Google => Ok(Some(Arc::new(GoogleCredentials::new(section.credentials_file.clone())))),
    }
}
