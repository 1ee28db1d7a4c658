//! Puts tool calls together from their pieces.
//!
//! Vendors number the pieces, or name them, or neither; repeat ids and names, leave them out,
//! or send them late; send a call in many pieces or whole. The rules here hold for all of them:
//!
//! - A piece belongs to the call with its index; without an index to the call with its id;
//!   without both to the last call.
//! - A new id together with a name opens a new call, even on an index that is in use.
//! - The first id and the first name that are not empty count.
//! - A call is shown once its id and name are known; when no id comes, one is made up.

use std::sync::Arc;

use serde::de::IgnoredAny;
use tokenwire_protocol::{ErrorCode, ErrorInfo};
use uuid::Uuid;

use super::{ModelEvent, Turn};

/// The most bytes of arguments in one turn. A model's output limit is far below it.
const MAX_ARGUMENT_BYTES: usize = 8 << 20;
/// The most calls in one turn. What models really send is below 100.
const MAX_CALLS: usize = 1024;

/// A piece of a tool call as the provider sent it. Empty text is the same as none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Piece<'a> {
    pub index: Option<u64>,
    pub id: &'a str,
    pub name: &'a str,
    pub arguments: &'a str,
}

/// The tool calls of one turn.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    calls: Vec<Call>,
    shown: u32,
    argument_bytes: usize,
}

#[derive(Debug, Default)]
struct Call {
    /// The provider's index.
    key: Option<u64>,
    /// The provider's id.
    id: String,
    name: String,
    arguments: String,
    /// What clients know it as. `None` until the id and the name are there.
    shown: Option<Shown>,
    is_closed: bool,
}

#[derive(Debug)]
struct Shown {
    index: u32,
    call_id: Arc<str>,
    name: Arc<str>,
}

impl ToolCalls {
    /// Whether any call was shown.
    pub(crate) fn any(&self) -> bool {
        self.shown > 0
    }

    /// The id that clients know the call with this index of the provider's by, once it was shown.
    pub(crate) fn shown_id(&self, index: u64) -> Option<&Arc<str>> {
        self.shown_id_at(self.calls.iter().rposition(|call| call.key == Some(index))?)
    }

    /// The id that clients know the call by that [`put`](Self::put) put at this position.
    pub(crate) fn shown_id_at(&self, position: usize) -> Option<&Arc<str>> {
        self.calls.get(position)?.shown.as_ref().map(|shown| &shown.call_id)
    }

    /// Takes a piece and emits what it adds.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::ProviderProtocol`] when the calls grow past any sensible size.
    pub(crate) fn add(&mut self, piece: Piece<'_>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        self.put(piece, turn).map(drop)
    }

    /// Like [`add`](Self::add), and returns the position of the piece's call among the calls of the turn.
    pub(crate) fn put(&mut self, piece: Piece<'_>, turn: &mut dyn Turn) -> Result<usize, ErrorInfo> {
        self.argument_bytes += piece.arguments.len();
        if self.argument_bytes > MAX_ARGUMENT_BYTES || self.calls.len() > MAX_CALLS {
            return Err(ErrorInfo::new(ErrorCode::ProviderProtocol, "the provider's tool calls are too large"));
        }
        let position = match self.find(&piece) {
            Some(position) => position,
            None => self.open(piece.index, turn),
        };
        let call = &mut self.calls[position];
        if call.id.is_empty() {
            call.id.push_str(piece.id);
        }
        if call.name.is_empty() {
            call.name.push_str(piece.name);
        }
        call.arguments.push_str(piece.arguments);
        if let Some(shown) = &call.shown {
            if !piece.arguments.is_empty() {
                shown.emit_delta(piece.arguments, turn);
            }
        } else if !call.id.is_empty() {
            self.show(position, turn);
        }
        Ok(position)
    }

    /// The call with this index of the provider's as it was shown: its id, its name and its arguments so far.
    pub(crate) fn call(&self, index: u64) -> Option<(&str, &str, &str)> {
        let call = self.calls.iter().rfind(|call| call.key == Some(index))?;
        let Shown { call_id, name, .. } = call.shown.as_ref()?;
        Some((call_id, name, &call.arguments))
    }

    /// The call with this index of the provider's is whole.
    pub(crate) fn close(&mut self, index: u64, turn: &mut dyn Turn) {
        if let Some(position) = self.calls.iter().rposition(|call| call.key == Some(index)) {
            self.close_at(position, turn);
        }
    }

    /// All calls are whole. Not to be called for a turn that was cut: its last call is not whole.
    pub(crate) fn close_all(&mut self, turn: &mut dyn Turn) {
        for position in 0..self.calls.len() {
            self.close_at(position, turn);
        }
    }

    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let position = if piece.index.is_some() {
            self.calls.iter().rposition(|call| call.key == piece.index)?
        } else if piece.id.is_empty() {
            let last = self.calls.len().checked_sub(1)?;
            // Whole calls one after another, with neither index nor id.
            let is_next = !piece.name.is_empty() && self.calls[last].is_whole();
            return (!is_next).then_some(last);
        } else if let Some(position) = self.calls.iter().rposition(|call| call.id == piece.id) {
            position
        } else {
            // An id that comes late, after the name.
            let last = self.calls.len().checked_sub(1)?;
            return (self.calls[last].id.is_empty() && piece.name.is_empty()).then_some(last);
        };
        let call = &self.calls[position];
        let is_new = !piece.id.is_empty() && !piece.name.is_empty() && !call.id.is_empty() && call.id != piece.id;
        (!is_new).then_some(position)
    }

    fn open(&mut self, key: Option<u64>, turn: &mut dyn Turn) -> usize {
        // An id that has not come by now will not come; waiting would put the calls out of order.
        for position in 0..self.calls.len() {
            self.show(position, turn);
        }
        self.calls.push(Call { key, ..Call::default() });
        self.calls.len() - 1
    }

    /// Emits the call's first delta, with all of the arguments so far. Does nothing for a call
    /// that was shown already, or has no name yet.
    fn show(&mut self, position: usize, turn: &mut dyn Turn) {
        if self.calls[position].shown.is_some() || self.calls[position].name.is_empty() {
            return;
        }
        let call_id = self.call_id(position);
        let call = &mut self.calls[position];
        let shown = Shown { index: self.shown, call_id, name: call.name.as_str().into() };
        self.shown += 1;
        shown.emit_delta(&call.arguments, turn);
        call.shown = Some(shown);
    }

    /// The provider's id, or a made-up one where there is none or it says nothing: TGI numbers the
    /// calls of each answer from 0, so its ids would repeat within a conversation.
    fn call_id(&self, position: usize) -> Arc<str> {
        let id = self.calls[position].id.as_str();
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit()) && id.len() < 5;
        let is_taken = || self.calls.iter().filter_map(|call| call.shown.as_ref()).any(|shown| &*shown.call_id == id);
        if is_number || is_taken() { format!("call_{}", Uuid::new_v4().simple()).into() } else { id.into() }
    }

    fn close_at(&mut self, position: usize, turn: &mut dyn Turn) {
        self.show(position, turn);
        let call = &mut self.calls[position];
        if std::mem::replace(&mut call.is_closed, true) {
            return;
        }
        match &call.shown {
            Some(Shown { index, call_id, name }) => {
                turn.emit(ModelEvent::ToolCall { index: *index, call_id, name, arguments: &call.arguments });
            }
            // A call of nothing cannot be run.
            None => turn.skipped(),
        }
    }
}

impl Call {
    fn is_whole(&self) -> bool {
        !self.name.is_empty() && serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
    }
}

impl Shown {
    fn emit_delta(&self, delta: &str, turn: &mut dyn Turn) {
        turn.emit(ModelEvent::ToolCallDelta { index: self.index, call_id: &self.call_id, name: &self.name, delta });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard {
        events: Vec<String>,
        ids: Vec<Arc<str>>,
        skipped: usize,
    }

    impl Turn for Heard {
        fn emit(&mut self, event: ModelEvent<'_>) {
            let (mark, index, call_id, name, text) = match event {
                ModelEvent::ToolCallDelta { index, call_id, name, delta } => ('+', index, call_id, name, delta),
                ModelEvent::ToolCall { index, call_id, name, arguments } => ('=', index, call_id, name, arguments),
                _ => panic!("only calls are expected here"),
            };
            let id = if call_id.len() == 37 { "made-up" } else { call_id };
            self.events.push(format!("{mark} {index} {id} {name} {text}"));
            self.ids.push(Arc::clone(call_id));
        }

        fn skipped(&mut self) {
            self.skipped += 1;
        }
    }

    fn piece<'a>(index: Option<u64>, id: &'a str, name: &'a str, arguments: &'a str) -> Piece<'a> {
        Piece { index, id, name, arguments }
    }

    fn check(pieces: &[Piece<'_>], expected: &[&str]) -> Heard {
        let mut heard = Heard::default();
        let mut calls = ToolCalls::default();
        for piece in pieces {
            calls.add(*piece, &mut heard).unwrap();
        }
        calls.close_all(&mut heard);
        calls.close_all(&mut heard);
        assert_eq!(heard.events, expected);
        heard
    }

    #[test]
    fn a_call_is_shown_when_its_id_and_name_are_known() {
        check(
            &[
                piece(Some(3), "", "", "{"),
                piece(Some(3), "", "f", "1"),
                piece(Some(3), "a", "", ""),
                piece(Some(3), "", "", "}"),
            ],
            &["+ 0 a f {1", "+ 0 a f }", "= 0 a f {1}"],
        );
    }

    #[test]
    fn a_missing_id_is_made_up_and_keeps_the_order() {
        let heard = check(
            &[piece(Some(0), "", "f", "{}"), piece(Some(1), "", "g", ""), piece(Some(0), "", "", " ")],
            &["+ 0 made-up f {}", "+ 0 made-up f  ", "= 0 made-up f {} ", "+ 1 made-up g ", "= 1 made-up g "],
        );
        assert_eq!(heard.ids[0], heard.ids[2]);
        assert_ne!(heard.ids[0], heard.ids[3]);
    }

    #[test]
    fn an_id_that_comes_after_the_name_counts() {
        check(&[piece(None, "", "f", "{"), piece(None, "a", "", "}")], &["+ 0 a f {}", "= 0 a f {}"]);
    }

    #[test]
    fn the_first_id_and_name_count() {
        check(
            &[piece(Some(0), "a", "f", "{"), piece(Some(0), "b", "", ""), piece(Some(0), "", "g", "}")],
            &["+ 0 a f {", "+ 0 a f }", "= 0 a f {}"],
        );
    }

    #[test]
    fn equal_ids_and_numbers_are_replaced() {
        check(
            &[piece(Some(0), "a", "f", ""), piece(Some(1), "a", "f", ""), piece(Some(2), "2", "f", "")],
            &["+ 0 a f ", "+ 1 made-up f ", "+ 2 made-up f ", "= 0 a f ", "= 1 made-up f ", "= 2 made-up f "],
        );
    }

    #[test]
    fn a_call_without_a_name_is_skipped() {
        assert_eq!(check(&[piece(Some(0), "a", "", "{}")], &[]).skipped, 1);
    }

    #[test]
    fn calls_do_not_grow_without_end() {
        let mut calls = ToolCalls::default();
        let mut heard = Heard::default();
        let megabyte = "x".repeat(1 << 20);
        let results: Vec<_> = (0..9).map(|_| calls.add(piece(Some(0), "a", "f", &megabyte), &mut heard)).collect();
        assert_eq!(results.iter().position(Result::is_err), Some(8));
    }
}
