//! What is understood of answers: our recordings say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use tokenwire::{
    protocol::ErrorInfo,
    provider::{
        Flow, ModelEvent, Turn, Upstream,
        framing::Splitter,
        vendors::{self, Quirks},
    },
};

use crate::{code_list, requests::wire_formats, table};

/// What an answer can hold, in the order of the table.
const KINDS: &[&str] = &[
    "text",
    "reasoning",
    "reasoning handed back",
    "refusals",
    "tool calls",
    "tools that the provider runs",
    "citations",
    "images and audio",
    "log probabilities",
    "usage",
    "usage: cached tokens",
    "usage: reasoning tokens",
    "errors in the stream",
];

/// Which kinds were in an answer.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

impl Turn for Seen {
    fn emit(&mut self, event: ModelEvent<'_>) {
        let kind = match event {
            ModelEvent::Text(_) => "text",
            ModelEvent::Reasoning(_) => "reasoning",
            ModelEvent::Refusal(_) => "refusals",
            ModelEvent::ToolCallDelta { .. } | ModelEvent::ToolCall { .. } => "tool calls",
            ModelEvent::ServerToolCall { .. } | ModelEvent::ServerToolResult { .. } => "tools that the provider runs",
            ModelEvent::Citation(_) => "citations",
            ModelEvent::Media { .. } => "images and audio",
            ModelEvent::Logprobs(_) => "log probabilities",
            ModelEvent::Native(_) => "reasoning handed back",
            ModelEvent::Usage(usage) => {
                if usage.cached_tokens.is_some() {
                    self.0.insert("usage: cached tokens");
                }
                if usage.reasoning_tokens.is_some() {
                    self.0.insert("usage: reasoning tokens");
                }
                "usage"
            }
            ModelEvent::Warning(_) | ModelEvent::Raw(_) | ModelEvent::Finish { .. } => return,
        };
        self.0.insert(kind);
    }
}

/// A recording of ours.
struct Recording {
    wire_format: String,
    folder: String,
    /// The answer's file below `tests/fixtures`.
    file: String,
    kinds: BTreeSet<&'static str>,
}

fn all() -> Vec<Recording> {
    let mut recordings = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for path in folders {
        let mut files: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for expected in files.iter().filter(|file| file.to_string_lossy().ends_with(".expected.json")) {
            recordings.extend(read(expected));
        }
    }
    recordings
}

fn read(expected: &Path) -> Option<Recording> {
    let folder = expected.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let stem = expected.to_string_lossy().replace(".expected.json", "");
    let expected: Value = serde_json::from_str(&fs::read_to_string(expected).unwrap()).unwrap();
    let wire_format = expected["api"].as_str().unwrap().replace('_', "-");
    let adapter = vendors::adapter(&wire_format)?;
    let endings = ["sse", "ndjson", "json", "eventstream"];
    let path = endings.iter().map(|end| format!("{stem}.{end}")).find(|path| Path::new(path).exists())?;
    let body = fs::read(&path).ok()?;
    let file = format!("{folder}/{}", Path::new(&path).file_name().unwrap().to_string_lossy());
    let upstream = Upstream {
        name: folder.clone(),
        base_url: String::new(),
        key: None,
        authorizer: None,
        api_version: None,
        headers: Vec::new(),
        quirks: vendors::vendor(&folder).map_or(Quirks::default(), |vendor| vendor.quirks),
    };
    let mut seen = Seen::default();
    let mut decoder = adapter.decoder(&upstream);
    let mut splitter = Splitter::new(adapter.framing(), 1 << 20);
    let mut run = || -> Result<(), ErrorInfo> {
        if splitter.push(&body, &mut |message| decoder.decode(message, &mut seen))? == Flow::More {
            splitter.finish(&mut |message| decoder.decode(message, &mut seen))?;
        }
        decoder.end(&mut seen)
    };
    if run().is_err() && expected["error"] == true {
        seen.0.insert("errors in the stream");
    }
    Some(Recording { wire_format, folder, file, kinds: seen.0 })
}

pub fn section() -> String {
    let recordings = all();
    let formats = wire_formats();
    let head: Vec<String> =
        [String::new()].into_iter().chain(formats.iter().map(|format| format!("`{format}`"))).collect();
    let row = |kind: &&'static str| {
        let cells = formats.iter().map(|format| {
            let of_kind = |recording: &&Recording| recording.wire_format == *format && recording.kinds.contains(kind);
            match recordings.iter().find(of_kind) {
                None => "-".to_owned(),
                Some(recording) => format!("[yes](../tests/fixtures/{})", recording.file),
            }
        });
        [(*kind).to_owned()].into_iter().chain(cells).collect()
    };
    table(&head, &KINDS.iter().map(row).collect::<Vec<_>>())
}

/// A wire format without these is not tested.
#[test]
fn every_wire_format_has_recordings_of_the_basics() {
    let recordings = all();
    for format in wire_formats() {
        for kind in ["text", "tool calls", "usage", "errors in the stream"] {
            let is_shown =
                recordings.iter().any(|recording| recording.wire_format == format && recording.kinds.contains(kind));
            assert!(is_shown, "no recording of {format} shows {kind}");
        }
    }
}

/// Which folders have recordings of a wire format.
pub fn recordings() -> String {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for recording in all() {
        folders.entry(recording.wire_format).or_default().insert(recording.folder);
    }
    let row = |(format, folders): (&String, &BTreeSet<String>)| {
        vec![format!("`{format}`"), code_list(folders.iter().map(String::as_str))]
    };
    let head = ["wire format", "folders of `tests/fixtures` with answers in it"];
    table(&head.map(str::to_owned), &folders.iter().map(row).collect::<Vec<_>>())
}
