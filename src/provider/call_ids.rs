//! Ids of tool calls in a conversation that moves from one provider to another.
//!
//! Providers accept only ids of their own kind, so others are rewritten: always in the same way,
//! so that a result keeps answering its call.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Which ids a provider accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallIdRule {
    /// Any.
    #[default]
    Any,
    /// Letters, digits, `_` and `-`, as Anthropic wants them.
    Word,
    /// At most 64 characters, as OpenAI wants them.
    Short,
    /// Exactly nine letters and digits, as Mistral wants them.
    Nine,
}

impl CallIdRule {
    /// The id as this provider accepts it.
    pub(crate) fn apply(self, id: &str) -> Cow<'_, str> {
        let is_accepted = match self {
            Self::Any => true,
            Self::Word => {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            }
            Self::Short => id.len() <= 64,
            Self::Nine => id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        };
        if is_accepted {
            return Cow::Borrowed(id);
        }
        // A hash and not a replacement of characters: different ids must stay different.
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        Cow::Owned(match self {
            Self::Nine => format!("{:09x}", hash & 0xF_FFFF_FFFF),
            Self::Any | Self::Word | Self::Short => format!("call_{hash:016x}"),
        })
    }
}
