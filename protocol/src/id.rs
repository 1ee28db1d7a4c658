//! The name of a generation.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a generation: chosen by the client, unique per principal.
///
/// 1 to 128 characters of `A-Z a-z 0-9 . _ : -`. None of these needs escaping in JSON, so an
/// id is copied into a frame as it stands. Short ids make small frames: the id is in every one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "generate", schemars(with = "String", extend("pattern" = "^[A-Za-z0-9._:-]{1,128}$")))]
pub struct GenerationId(Arc<str>);

impl GenerationId {
    /// The longest allowed id, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(id: &str) -> bool {
        (1..=Self::MAX_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
    }
}

/// The text was not a valid [`GenerationId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    }
}

impl std::error::Error for InvalidId {}

impl FromStr for GenerationId {
    type Err = InvalidId;

    fn from_str(id: &str) -> Result<Self, InvalidId> {
        if Self::is_valid(id) { Ok(Self(id.into())) } else { Err(InvalidId) }
    }
}

impl TryFrom<String> for GenerationId {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        id.parse()
    }
}

impl From<GenerationId> for String {
    fn from(id: GenerationId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
