//! Going on with an answer that broke off, so that both pieces read as one.
//!
//! | the model | sees | its first words |
//! | --- | --- | --- |
//! | can be given the beginning of its answer ([`Provider::prefills`]) | the text so far, without the white space at its end | follow that |
//! | cannot | the text so far, and the instruction to begin with its last words | repeat these, and are cut off |
//!
//! Repeating is asked for because a model that is only told to go on mostly leaves out the space between two words,
//! or begins the broken word anew; a repetition shows exactly where the two pieces meet.
//!
//! [`Provider::prefills`]: crate::provider::Provider::prefills

use tokenwire_protocol::message::{Message, Role};

use crate::provider::ModelRequest;

/// How much of the text's end is looked at for a repetition, in bytes. Models repeat a sentence at most.
const TAIL_BYTES: usize = 320;
/// How much a model is asked to repeat, in bytes: some words.
const LAST_WORDS_BYTES: usize = 60;
/// The shortest repetition that is no accident, in bytes, unless it is what was asked for.
const MIN_REPEATED_BYTES: usize = 4;
/// What is held back at most, in bytes, until it is clear where the pieces meet.
const MAX_HELD_BYTES: usize = 1024;
/// Bytes of text per token, for what is left of `max_tokens`.
const BYTES_PER_TOKEN: usize = 4;

/// Whether the answer to `request` can be gone on with. Where it must be JSON it cannot: models that are held to that
/// begin it anew.
pub(crate) fn is_possible(request: &ModelRequest) -> bool {
    request.response_format.as_ref().is_none_or(|format| format["type"] == "text")
}

/// The request for the rest of an answer, of which there is `text`.
pub(crate) fn request(request: &ModelRequest, text: &str, prefills: bool) -> ModelRequest {
    let mut request = request.clone();
    let words = text.trim_end();
    if words.is_empty() {
        return request;
    }
    request.max_tokens = request.max_tokens.map(|max| {
        let written = text.len().div_ceil(BYTES_PER_TOKEN) as u64;
        max.saturating_sub(written).max(1)
    });
    if prefills {
        // Providers refuse white space at the end of what a model should go on with.
        request.messages.push(Message::text(Role::Assistant, words));
    } else {
        request.messages.push(Message::text(Role::Assistant, text));
        request.messages.push(Message::user(format!(
            "Your answer was cut off. Go on where it stops, so that what you write now can be put behind it and both \
             read as one text. Begin by repeating exactly its last words, which are <last_words>{}</last_words>, \
             without the tags, and go on from there. Do not mention that anything was cut off.",
            last_words(words)
        )));
    }
    request
}

/// Where two pieces of an answer meet: takes what the second one repeats of the first.
#[derive(Debug)]
pub(crate) struct Joint {
    /// The end of the text so far, without the white space at its end.
    tail: String,
    /// That white space.
    space: String,
    /// Where in `tail` a repetition can begin, the longest first. Empty: nothing is repeated.
    starts: Vec<usize>,
    /// Where in `tail` begins what the model was asked to repeat.
    asked: usize,
    held: String,
}

impl Joint {
    /// The joint behind `text`. `None`: nothing can be repeated there.
    pub fn new(text: &str, prefills: bool) -> Option<Self> {
        let words = text.trim_end();
        let space = text[words.len()..].to_owned();
        let tail = end_of(words, TAIL_BYTES);
        let asked = tail.len() - last_words(words).len();
        let is_start = |&(at, c): &(usize, char)| {
            !c.is_whitespace() && (at == asked || tail[..at].chars().next_back().is_none_or(char::is_whitespace))
        };
        let starts: Vec<usize> = match prefills {
            true => Vec::new(),
            false => tail.char_indices().filter(is_start).map(|(at, _)| at).collect(),
        };
        let joint = Self { tail: tail.to_owned(), space, starts, asked, held: String::new() };
        (!joint.starts.is_empty() || !joint.space.is_empty()).then_some(joint)
    }

    /// Takes a piece of the second text. `Some`: the joint is found, and this is what comes behind it.
    pub fn push(&mut self, delta: &str) -> Option<String> {
        self.held.push_str(delta);
        let is_open = self.held.len() < MAX_HELD_BYTES && self.is_open();
        (!is_open).then(|| self.end())
    }

    /// No more comes: what is behind the joint.
    pub fn end(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let rest = &held[self.repeated(&held).unwrap_or(0)..];
        rest[self.shared_space(rest)..].to_owned()
    }

    /// Whether more of the second text could change where the pieces meet.
    fn is_open(&self) -> bool {
        let words = self.held.trim_start();
        if words.is_empty() {
            return true;
        }
        let can_grow = |&start: &usize| self.tail.len() - start > words.len() && self.tail[start..].starts_with(words);
        if self.starts.iter().any(can_grow) {
            return true;
        }
        let rest = &self.held[self.repeated(&self.held).unwrap_or(0)..];
        !self.space.is_empty() && rest.trim_start().is_empty()
    }

    /// How many bytes of the second text are the longest repetition of the end of the first, white space before it included.
    fn repeated(&self, second: &str) -> Option<usize> {
        let words = second.trim_start();
        // White space in front means that it goes on exactly, unless all that was asked for is repeated.
        let min = if words.len() == second.len() { MIN_REPEATED_BYTES } else { self.tail.len() - self.asked };
        let is_repeated = |&&start: &&usize| {
            let repeated = &self.tail[start..];
            (start == self.asked || repeated.len() >= min) && words.starts_with(repeated)
        };
        let start = self.starts.iter().find(is_repeated)?;
        Some(second.len() - words.len() + self.tail.len() - start)
    }

    /// How many bytes of white space in front of `rest` are there already.
    fn shared_space(&self, rest: &str) -> usize {
        let space = &rest[..rest.len() - rest.trim_start().len()];
        let ends = space.char_indices().map(|(at, c)| at + c.len_utf8());
        ends.rev().find(|&end| self.space.ends_with(&space[..end])).unwrap_or(0)
    }
}

/// The last words of a text that does not end with white space.
fn last_words(text: &str) -> &str {
    if text.len() <= LAST_WORDS_BYTES {
        return text.trim_start();
    }
    let last = end_of(text, LAST_WORDS_BYTES);
    // The first one is cut, unless it is all there is: some languages have no spaces.
    last.find(char::is_whitespace).map_or(last, |end| last[end..].trim_start())
}

/// The last `bytes` of a text, or as many less as make whole characters.
fn end_of(text: &str, bytes: usize) -> &str {
    let mut starts = text.len().saturating_sub(bytes)..text.len();
    starts.find_map(|at| text.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `first` and `second` as one text, the second one in pieces of `size` characters.
    fn joined(first: &str, second: &str, size: usize, prefills: bool) -> String {
        let mut text = first.to_owned();
        let mut joint = Joint::new(first, prefills);
        let chars: Vec<char> = second.chars().collect();
        for piece in chars.chunks(size) {
            let piece: String = piece.iter().collect();
            match &mut joint {
                None => text.push_str(&piece),
                Some(held) => {
                    if let Some(rest) = held.push(&piece) {
                        text.push_str(&rest);
                        joint = None;
                    }
                }
            }
        }
        text + &joint.map(|mut joint| joint.end()).unwrap_or_default()
    }

    #[track_caller]
    fn check(first: &str, second: &str, expected: &str) {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(joined(first, second, size, false), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_repetition_is_cut_off() {
        check("The quick brown", "The quick brown fox", "The quick brown fox");
        check("The quick brown", "quick brown fox", "The quick brown fox");
        check("The quick brown", "brown fox", "The quick brown fox");
        check("The qui", "The quick", "The quick");
        check("The quick ", "The quick brown", "The quick brown");
        check("One.\n", "One.\n\nTwo.", "One.\n\nTwo.");
        check("One.\n\n", "One.\n\nTwo.", "One.\n\nTwo.");
        check("the cat the cat", "the cat sat", "the cat the cat sat");
        check("Hi", "Hi there", "Hi there");
        check("Hi", " Hi there", "Hi there");
        check("Über Größe", "Größe und", "Über Größe und");
    }

    #[test]
    fn what_was_asked_for_is_cut_off_however_long_the_text_is() {
        let first = "All work and no play makes Jack a dull boy. ".repeat(50) + "Then he ran a";
        check(&first, &format!("{} long way.", last_words(&first)), &format!("{first} long way."));
        let sentence = "All work and no play makes Jack a dull boy. Then he ran a";
        check(&first, &format!("{sentence} long way."), &format!("{first} long way."));
        let first = "知之为知之不知为不知是知也".repeat(20);
        assert!(last_words(&first).len() <= LAST_WORDS_BYTES);
        check(&first, &format!("{}。好", last_words(&first)), &format!("{first}。好"));
    }

    #[test]
    fn what_is_no_repetition_stays() {
        check("The quick brown", " fox", "The quick brown fox");
        check("The quick bro", "wn fox", "The quick brown fox");
        check("The quick ", "fox", "The quick fox");
        check("The quick ", " fox", "The quick fox");
        check("One.\n", "\n\nTwo", "One.\n\nTwo");
        check("| --- | ---", " | --- |", "| --- | --- | --- |");
        check("a b", "b c", "a bb c");
        check("The quick brown", "", "The quick brown");
        check("The quick brown", "qui", "The quick brownqui");
        check("", "Hi", "Hi");
        check("\n", "\nHi", "\nHi");
    }

    #[test]
    fn a_model_that_is_given_the_beginning_repeats_nothing() {
        let check = |first: &str, second: &str, expected: &str| {
            for size in [1, 3, 1000] {
                assert_eq!(joined(first, second, size, true), expected);
            }
        };
        check("bye bye", "bye bye", "bye byebye bye");
        check("One. ", " Two.", "One. Two.");
        check("One. ", "Two.", "One. Two.");
        check("One.\n", "\n\nTwo.", "One.\n\nTwo.");
        assert!(Joint::new("One.", true).is_none());
    }

    #[test]
    fn a_model_that_never_stops_repeating_is_held_back_within_bounds() {
        let mut joint = Joint::new("\n", false);
        let mut held = 0;
        while let Some(open) = &mut joint {
            held += 1;
            if open.push(" ").is_some() {
                joint = None;
            }
        }
        assert_eq!(held, MAX_HELD_BYTES);
    }

    #[test]
    fn the_request_has_the_text_and_what_is_left_of_the_tokens() {
        let asked = ModelRequest { messages: vec![Message::user("Go")], max_tokens: Some(10), ..Default::default() };
        let told = request(&asked, "The quick brown ", false);
        let texts: Vec<String> = told.messages.iter().map(Message::plain_text).collect();
        assert_eq!(texts[..2], ["Go", "The quick brown "]);
        assert!(texts[2].contains("<last_words>The quick brown</last_words>"), "{}", texts[2]);
        assert_eq!((told.messages[1].role, told.messages[2].role), (Role::Assistant, Role::User));
        assert_eq!(told.max_tokens, Some(6));
        let given = request(&asked, "The quick brown ", true);
        assert_eq!(given.messages.len(), 2);
        assert_eq!(given.messages[1], Message::text(Role::Assistant, "The quick brown"));
        let anew = request(&asked, " \n", false);
        assert_eq!((anew.messages.len(), anew.max_tokens), (1, Some(10)));
        assert_eq!(request(&asked, &"x".repeat(100), false).max_tokens, Some(1));
    }
}
