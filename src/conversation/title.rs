//! What a conversation is called.

use tokenwire_protocol::message::{Content, Message, Role};

/// Most characters of a title that somebody gives.
pub const MAX_TITLE_CHARS: usize = 200;
/// Most characters of one that is made of the first message.
const MAX_DEFAULT_CHARS: usize = 60;

/// The first words of the first user message that has any.
pub(super) fn of(messages: &[Message]) -> Option<String> {
    let users = messages.iter().filter(|message| message.role == Role::User);
    users.filter_map(|message| message.content.as_ref()).find_map(|content| first_words(&Content::plain_text(content)))
}

fn first_words(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let mut title: String = words.next()?.chars().take(MAX_DEFAULT_CHARS).collect();
    let mut chars = title.chars().count();
    for word in words {
        chars += 1 + word.chars().count();
        if chars > MAX_DEFAULT_CHARS {
            break;
        }
        title.push(' ');
        title.push_str(word);
    }
    Some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_of_whole_words() {
        for (text, title) in [
            ("  Hello,\n\nworld ", Some("Hello, world".to_owned())),
            (" \n", None),
            (&"word ".repeat(100), Some(["word"; 12].join(" "))),
            (&"ä".repeat(100), Some("ä".repeat(60))),
        ] {
            assert_eq!(first_words(text), title);
        }
    }

    #[test]
    fn it_is_the_users() {
        let messages = [Message::text(Role::System, "Be brief."), Message::text(Role::User, "Hello")];
        assert_eq!(of(&messages).as_deref(), Some("Hello"));
        assert_eq!(of(&messages[..1]), None);
    }
}
