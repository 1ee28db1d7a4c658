//! What the chat is told at its start: a prompt, and tools.

use std::{
    io::{IsTerminal, Read, stdin, stdout},
    path::Path,
};

use tokenwire::protocol::message::Tool;

use super::super::Failure;

/// The longest prompt that is read from a pipe.
const MAX_PIPED_BYTES: u64 = 64 << 20;

/// The prompt from the arguments and from a pipe. `None`: there is a terminal to ask at.
pub(super) fn prompt(words: &[String]) -> Result<Option<String>, Failure> {
    let mut prompt = words.join(" ");
    if !stdin().is_terminal() {
        let mut piped = String::new();
        stdin()
            .take(MAX_PIPED_BYTES)
            .read_to_string(&mut piped)
            .map_err(|error| Failure::new(format!("the prompt on stdin cannot be read: {error}")))?;
        // The instruction first, then the text that it is about.
        if !prompt.is_empty() && !piped.trim().is_empty() {
            prompt.push_str("\n\n");
        }
        prompt.push_str(piped.trim_end());
    }
    match prompt.trim().is_empty() {
        false => Ok(Some(prompt)),
        true if stdin().is_terminal() && stdout().is_terminal() => Ok(None),
        true => Err(Failure::new("there is no prompt, and no terminal to ask at\n  echo \"Hello\" | tokenwire chat")),
    }
}

/// The tools that the model may call, from a file.
pub(super) fn tools(file: &Path) -> Result<Vec<Tool>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("--tools {}: cannot be read: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        let expected = r#"expected [{"type": "function", "function": {"name": ..., "parameters": ...}}]"#;
        Failure::new(format!("--tools {}: {error}\n  {expected}", file.display()))
    })
}
