//! `tokenwire hash-key`: keys for clients.

use std::io::{IsTerminal, Read, stdin};

use tokenwire::config::{MIN_KEY_CHARS, is_sendable, sha256_hex};

use super::{Failure, print};

/// More than this is not a key.
const MAX_KEY_BYTES: u64 = 4096;

/// Make a client's key, or hash one read from stdin
///
/// The section for the configuration goes to stdout. A new key goes to stderr: it is shown this
/// once, and only its hash is kept.
#[derive(clap::Args)]
pub(super) struct HashKeyArgs {
    /// Who will use the key: owns its generations, and limits count against it
    #[arg(long, value_name = "NAME", default_value = "someone")]
    principal: String,
}

pub(super) fn run(args: HashKeyArgs) -> Result<(), Failure> {
    let key = match piped_key()? {
        Some(key) => key,
        None => {
            // 122 random bits from the operating system.
            let key = format!("tw-{}", uuid::Uuid::new_v4().simple());
            eprintln!("The client's key, shown only now:\n\n  {key}\n\nFor the configuration:\n");
            key
        }
    };
    print(&section(&args.principal, &key));
    Ok(())
}

/// The key on stdin. `None` at a terminal or when nothing is piped in.
fn piped_key() -> Result<Option<String>, Failure> {
    if stdin().is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    stdin()
        .take(MAX_KEY_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("the key on stdin cannot be read: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Ok(None),
        key if key.chars().count() < MIN_KEY_CHARS || !is_sendable(key) => Err(Failure::new(format!(
            "a key has at least {MIN_KEY_CHARS} visible ASCII characters, without spaces\n  \
             without input, `tokenwire hash-key` makes one"
        ))),
        key => Ok(Some(key.to_owned())),
    }
}

fn section(principal: &str, key: &str) -> String {
    let principal = toml::Value::from(principal);
    format!("\n[[auth.keys]]\nprincipal = {principal}\nsha256 = \"{}\"\n", sha256_hex(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_what_the_configuration_reads() {
        let toml = section("a \"b\"\n", "0123456789abcdef");
        let loaded = tokenwire::config::Loader::new().toml(toml).load().map_err(|error| error.to_string());
        let key = loaded.map(|loaded| loaded.config.auth.keys[0].clone());
        assert_eq!(key.as_ref().map(|key| key.principal.as_str()), Ok("a \"b\"\n"));
        assert_eq!(key.map(|key| key.sha256), Ok(Some(sha256_hex("0123456789abcdef"))));
    }
}
