//! What is wrong with a configuration, where, and what to do about it.

use std::{fmt, path::PathBuf};

/// A configuration that cannot be used: everything that is wrong with it, at least one problem.
///
/// Its `Display` is made for a terminal, one problem after the other. No value of a key, of a
/// header or of a URL is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) problems: Vec<Problem>,
}

impl ConfigError {
    /// What is wrong, in the order in which it was found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong: where, what was expected, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from.
    pub origin: Origin,
    /// The key at fault. Empty when it is the file as a whole.
    pub key: KeyPath,
    /// What is wrong, and what was expected. One clause.
    pub message: String,
    /// What to do. Empty when the message says it.
    pub fix: String,
}

impl Problem {
    /// A problem with `key`, of which only the loader knows where it came from.
    pub(super) fn new(key: KeyPath, message: impl Into<String>) -> Self {
        Self { origin: Origin::Code, key, message: message.into(), fix: String::new() }
    }

    pub(super) fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Code => {}
            origin => write!(f, "{origin}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.fix.is_empty() {
            write!(f, "\n  {}", self.fix)?;
        }
        Ok(())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, and the line in it, counted from 1; 0 where the file could not be read.
    File(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// A flag of the command line: `--listen`.
    Flag(String),
    /// Code, or the built-in default.
    Code,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
            Self::Code => f.write_str("default"),
        }
    }
}

/// The path of a key, from the top of the file: `auth.keys[1].sha256`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl KeyPath {
    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Step::Key(key.into()));
        self
    }

    pub(super) fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Without its last step.
    pub(super) fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.0.pop();
        parent
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits at the dots: `limits.max_turns`.
impl From<&str> for KeyPath {
    fn from(path: &str) -> Self {
        Self(path.split('.').map(|key| Step::Key(key.to_owned())).collect())
    }
}

impl From<&serde_path_to_error::Path> for KeyPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;

        Self(
            path.iter()
                .filter_map(|segment| match segment {
                    Segment::Map { key } => Some(Step::Key(key.clone())),
                    Segment::Seq { index } => Some(Step::Index(*index)),
                    Segment::Enum { .. } | Segment::Unknown => None,
                })
                .collect(),
        )
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
