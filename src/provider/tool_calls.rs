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

    /// Takes a piece and emits what it adds.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::ProviderProtocol`] when the calls grow past any sensible size.
    pub(crate) fn add(&mut self, piece: Piece<'_>, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
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
        Ok(())
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
