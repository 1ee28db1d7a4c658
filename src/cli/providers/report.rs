//! What `tokenwire providers` prints.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};
use tokenwire::{
    config::{Loaded, ProviderConfig},
    provider::{
        Candidate, registry,
        vendors::{Credentials, Vendor, vendor},
    },
};

use super::{
    super::check,
    probe::{Outcome, Tried},
};

/// A provider, as it is shown. Never holds a key.
pub(super) struct Row {
    name: String,
    is_on: bool,
    /// Why it is on or off: where its key comes from, or what would switch it on.
    why: String,
    wire_format: String,
    /// `None`: it is built in.
    address: Option<String>,
    authentication: &'static str,
    keys: usize,
    models: Vec<String>,
}

impl Row {
    pub fn new(candidate: &Candidate, loaded: &Loaded) -> Self {
        let name = candidate.name.as_str();
        let (vendor, section) = (vendor(name), registry::section_of(&loaded.config, name));
        let section = section.as_ref();
        let wire_format = section.and_then(|section| section.wire_format.as_deref());
        Self {
            name: name.to_owned(),
            is_on: candidate.provider.is_ok(),
            why: match &candidate.provider {
                Ok(_) => check::why_on(loaded, name),
                Err(off) => off.to_string(),
            },
            wire_format: wire_format.or(vendor.map(|vendor| vendor.wire_format)).unwrap_or("built in").to_owned(),
            address: registry::address(name, &loaded.config),
            authentication: authentication(vendor, section),
            keys: keys(section),
            models: match &candidate.provider {
                Ok(provider) => provider.models(),
                Err(_) => section.map(|section| section.models.clone()).unwrap_or_default(),
            },
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.name.clone(),
            if self.is_on { "on" } else { "off" }.to_owned(),
            self.wire_format.clone(),
            self.address.clone().unwrap_or_else(|| "-".to_owned()),
            match self.keys {
                0 => self.authentication.to_owned(),
                1 => "1 key".to_owned(),
                keys => format!("{keys} keys"),
            },
            match self.models.len() {
                0 => "-".to_owned(),
                models => models.to_string(),
            },
            self.why.clone(),
        ]
    }
}

/// What a provider is asked with: in the table where there is no key to count.
fn authentication(vendor: Option<&Vendor>, section: Option<&ProviderConfig>) -> &'static str {
    let has_header = || {
        let headers = section.map(|section| section.headers.keys()).into_iter().flatten();
        headers.map(|name| name.to_ascii_lowercase()).any(|name| name == "authorization" || name.ends_with("api-key"))
    };
    let is_elsewhere = section.is_some_and(|section| section.base_url.is_some());
    match vendor {
        _ if keys(section) > 0 => "key",
        Some(vendor) if vendor.credentials != Credentials::Key => "cloud",
        _ if has_header() => "header",
        Some(vendor) if vendor.needs_key && !is_elsewhere => "key",
        _ => "none",
    }
}

fn keys(section: Option<&ProviderConfig>) -> usize {
    section.map_or(0, |section| {
        usize::from(section.api_key.is_some() || section.bearer_token.is_some()) + section.api_keys.len()
    })
}

/// A line per provider; with `in_full` the names of their models, too.
pub(super) fn table(rows: &[Row], in_full: bool) -> String {
    let head = ["provider", "state", "wire format", "address", "auth", "models", "why"].map(str::to_owned);
    let mut table = aligned(&[&[head], rows.iter().map(Row::cells).collect::<Vec<_>>().as_slice()].concat());
    for row in rows.iter().filter(|row| in_full && !row.models.is_empty()) {
        table.push('\n');
        for model in &row.models {
            // Writing to a string does not fail.
            let _ = writeln!(table, "{}/{model}", row.name);
        }
    }
    table
}

/// A line per try, and one more for what to do about a failure.
pub(super) fn tries(tried: &[Tried]) -> String {
    let mut lines = Vec::new();
    for Tried { model, outcome, fix, .. } in tried {
        let (word, what) = match outcome {
            Outcome::Ok(answer) => {
                let total = ms(answer.total);
                let what = match answer.first_token {
                    Some(first) => format!("first token after {} ms, all of it after {total} ms", ms(first)),
                    None => format!("no text in the few tokens that it was let, after {total} ms"),
                };
                ("ok", what)
            }
            Outcome::Failed(error) => {
                let status = error.status.map(|status| format!(" (status {status})")).unwrap_or_default();
                ("failed", format!("{error}{status}"))
            }
            Outcome::Off => ("off", "it was not asked".to_owned()),
        };
        lines.push([printable(model), word.to_owned(), printable(&what)]);
        if let Some(fix) = fix {
            lines.push([String::new(), String::new(), fix.clone()]);
        }
    }
    match lines.is_empty() {
        true => "\nnothing is on, so nothing was tried\n".to_owned(),
        false => format!("\n{}", aligned(&lines)),
    }
}

/// The same for scripts.
pub(super) fn json(rows: &[Row], tried: &[Tried]) -> String {
    let providers: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut provider = json!({
                "name": row.name, "on": row.is_on, "why": row.why, "wire_format": row.wire_format,
                "address": row.address, "authentication": row.authentication, "keys": row.keys, "models": row.models,
            });
            if let Some(tried) = tried.iter().find(|tried| tried.provider == row.name) {
                provider["try"] = tried_json(tried);
            }
            provider
        })
        .collect();
    format!("{:#}\n", json!({"providers": providers}))
}

fn tried_json(tried: &Tried) -> Value {
    match &tried.outcome {
        Outcome::Ok(answer) => json!({
            "ok": true, "model": tried.model, "first_token_ms": answer.first_token.map(ms),
            "total_ms": ms(answer.total),
        }),
        Outcome::Failed(error) => json!({"ok": false, "model": tried.model, "error": error, "fix": tried.fix}),
        Outcome::Off => json!({"ok": false, "model": tried.model, "error": null, "fix": tried.fix}),
    }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Columns as wide as their widest cell; the last one is not filled up.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What a provider says cannot move the terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["a", "bb", "c"], ["ééé", "b", "c d"], ["", "", "e"]].map(|line| line.map(str::to_owned));
        assert_eq!(aligned(&lines), "a    bb  c\nééé  b   c d\n         e\n");
    }
}
