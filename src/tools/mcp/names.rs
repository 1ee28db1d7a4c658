//! Names that every provider takes: `[A-Za-z0-9_-]{1,64}`.

use std::collections::HashSet;

/// The longest name that every provider takes.
const MAX_CHARS: usize = 64;

/// The name under which a tool is offered: the prefix and the server's own name. Where letters had to be replaced
/// so that it is the same as one of `taken`, or where it is too long, a sum of the own name makes it unique; it is
/// the same each time.
pub(super) fn offered_name(prefix: &str, own_name: &str, taken: &HashSet<String>) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut name: String =
        prefix.chars().chain(own_name.chars()).map(|c| if is_allowed(c) { c } else { '_' }).collect();
    if !name.is_empty() && name.len() <= MAX_CHARS && !taken.contains(&name) {
        return name;
    }
    let sum = format!("_{:08x}", crc32fast::hash(own_name.as_bytes()));
    name.truncate(MAX_CHARS - sum.len());
    name + &sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, own_name: &str, expected: &str) {
        assert_eq!(offered_name(prefix, own_name, &HashSet::new()), expected);
    }

    #[test]
    fn a_name_has_only_what_every_provider_takes() {
        check("files_", "read_file", "files_read_file");
        check("", "Read-File2", "Read-File2");
        check("x_", "read.file/now ü", "x_read_file_now__");
    }

    #[test]
    fn a_name_that_is_too_long_or_taken_gets_a_sum() {
        let long = offered_name("files_", &"a".repeat(100), &HashSet::new());
        let other = offered_name("files_", &"a".repeat(101), &HashSet::new());
        assert_eq!((long.len(), other.len()), (64, 64));
        assert_ne!(long, other);
        assert!(long.starts_with("files_aaa"));

        let taken = HashSet::from(["x_a_b".to_owned()]);
        let second = offered_name("x_", "a.b", &taken);
        assert!(second.starts_with("x_a_b_") && second.len() == 14, "{second}");
        assert!(!offered_name("", "", &taken).is_empty());
    }
}
