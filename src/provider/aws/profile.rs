//! Profiles in `~/.aws/credentials` and `~/.aws/config`.

use std::{collections::BTreeMap, path::Path};

/// The settings of one profile, those of the credentials file before those of the other.
pub(super) type Profile = BTreeMap<String, String>;

/// The profile of that name in the two files. `None`: it stands in neither.
///
/// Files that are missing or cannot be read hold nothing.
pub(super) fn read(name: &str, credentials: &Path, config: &Path) -> Option<Profile> {
    // Small, local, and read once in some minutes: not worth another thread.
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let in_credentials = section(&text(credentials), |heading| heading == name);
    let in_config = section(&text(config), |heading| match heading.strip_prefix("profile") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim() == name,
        _ => heading == "default" && name == "default",
    });
    match (in_credentials, in_config) {
        (None, None) => None,
        (credentials, config) => {
            let mut profile = config.unwrap_or_default();
            profile.extend(credentials.unwrap_or_default());
            Some(profile)
        }
    }
}

fn section(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut is_inside = false;
    for line in text.lines() {
        // An indented line belongs to the setting above it, and none of those is needed here.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('[') {
            is_inside = is_wanted(heading.split(']').next().unwrap_or_default().trim());
            if is_inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (is_inside, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or_default().trim();
            found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\n[default]\naws_access_key_id = A\n\n[ profile  work ]\nregion=eu-west-1 # home\n\
                        s3 =\n  addressing_style = path\nRole_Arn=arn:x=y\n[profiled]\na = 1\n[work]\nb = 2\n";

    fn get(wanted: &str) -> Vec<(String, String)> {
        section(TEXT, |heading| heading == wanted).unwrap().into_iter().collect()
    }

    #[test]
    fn sections_are_found_by_their_heading() {
        assert_eq!(get("default"), [("aws_access_key_id".to_owned(), "A".to_owned())]);
        assert_eq!(get("work"), [("b".to_owned(), "2".to_owned())]);
        let work = get("profile  work");
        assert_eq!(work[0], ("region".to_owned(), "eu-west-1".to_owned()));
        assert_eq!(work[1], ("role_arn".to_owned(), "arn:x=y".to_owned()));
        assert!(section(TEXT, |heading| heading == "nobody").is_none());
    }
}
