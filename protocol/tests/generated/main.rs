//! The documents that are generated from the types: the JSON Schema, the AsyncAPI document and
//! the TypeScript types. The test fails when one is out of date; this renews them all:
//!
//! ```text
//! RENEW=1 cargo test -p tokenwire-protocol --features generate --test generated
//! ```
#![cfg(feature = "generate")]
#![allow(clippy::unwrap_used)]

mod asyncapi;
mod check;
mod schema;
mod specification;
mod typescript;

use std::{env, fs};

use serde_json::Value;
use tokenwire_protocol::ClientFrame;

#[test]
fn generated_files_are_up_to_date() {
    let schema = schema::schema();
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap() + "\n";
    let files = [
        ("schema/tokenwire.schema.json", pretty(&schema)),
        ("asyncapi.json", pretty(&asyncapi::document(&schema, &golden()))),
        ("typescript/tokenwire.d.ts", typescript::declarations(&schema)),
    ];
    for (path, content) in files {
        if env::var_os("RENEW").is_some() {
            fs::write(path, content).unwrap();
        } else {
            assert!(
                fs::read_to_string(path).is_ok_and(|file| file == content),
                "protocol/{path} is out of date. Renew it with\n  \
                 RENEW=1 cargo test -p tokenwire-protocol --features generate --test generated\n"
            );
        }
    }
}

#[test]
fn every_frame_has_a_golden_frame_and_every_golden_frame_fits_the_schema() {
    let schema = schema::schema();
    let golden = golden();
    for frame in schema::frames(&schema) {
        let of_frame: Vec<_> = golden.iter().filter(|golden| golden.is_of(&frame)).collect();
        let file = format!("golden/{}/{}.json", frame.direction, frame.type_name);
        assert!(of_frame.iter().any(|golden| golden.file == file), "{file} is missing");
        for golden in of_frame {
            for name in [frame.definition.as_str(), frame.direction.union()] {
                let definition = &schema["$defs"][name];
                let fits = check::fits(&golden.frame, definition, &schema);
                fits.unwrap_or_else(|why| panic!("{} as {name}: {why}", golden.file));
            }
        }
    }
    let types: Vec<String> = schema::frames(&schema).into_iter().map(|frame| frame.type_name).collect();
    for golden in &golden {
        assert!(types.contains(&golden.type_name().to_owned()), "{} is of no type that there is", golden.file);
    }
    for client_type in ClientFrame::TYPES {
        assert!(types.contains(&client_type.to_string()), "{client_type}");
    }
}

/// A golden frame, and the file it is in.
struct Golden {
    file: String,
    frame: Value,
}

impl Golden {
    fn type_name(&self) -> &str {
        self.frame["type"].as_str().unwrap()
    }

    fn is_of(&self, frame: &schema::Frame) -> bool {
        self.file.starts_with(&format!("golden/{}/", frame.direction)) && self.type_name() == frame.type_name
    }
}

/// All golden frames, in the order of their names.
fn golden() -> Vec<Golden> {
    let folders = ["golden/client", "golden/server"].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<String> = folders.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    files.sort();
    let read =
        |file: String| Golden { frame: serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap(), file };
    files.into_iter().map(read).collect()
}
