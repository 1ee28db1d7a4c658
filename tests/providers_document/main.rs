//! The tables of `docs/providers.md` are made from the code, so that they cannot say what it does not do:
//! requests are built for every vendor, and our own recordings are decoded.
//!
//! ```sh
//! RENEW=1 cargo test --test providers_document
//! ```
#![allow(clippy::unwrap_used)]

mod answers;
mod requests;
mod vendors;

use std::{env, fs, path::Path};

/// Puts `made` between the marks of the section `name`.
fn replace(document: &str, name: &str, made: &str) -> String {
    let (begin, end) = (format!("<!-- made: {name} -->\n"), "<!-- end -->");
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("no section {begin}"));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{begin} has no end"));
    format!("{before}{begin}\n{made}\n{end}{after}")
}

/// A table; columns that are no wider than their cells.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = vec!["---".to_owned(); head.len()];
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(head) + &line(&rule) + &rows
}

/// `` `a`, `b` ``.
fn code_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_document_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let is = fs::read_to_string(&path).unwrap();
    let sections = [
        ("vendors", vendors::section()),
        ("requests", requests::section()),
        ("departures", requests::departures()),
        ("answers", answers::section()),
        ("recordings", answers::recordings()),
    ];
    let should = sections.iter().fold(is.clone(), |document, (name, made)| replace(&document, name, made));
    if env::var_os("RENEW").is_some() {
        fs::write(&path, should).unwrap();
    } else {
        assert!(is == should, "docs/providers.md is stale: RENEW=1 cargo test --test providers_document");
    }
}
