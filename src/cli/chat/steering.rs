//! What the user says while an answer is under way, until the model has heard it.

/// The inputs of one answer.
#[derive(Default)]
pub(super) struct Steering {
    waiting: Vec<Waiting>,
    /// What the model never heard.
    unheard: Vec<String>,
}

struct Waiting {
    input_id: String,
    text: String,
    /// Whether the server has it. Until then it may be refused.
    is_accepted: bool,
}

impl Steering {
    /// An input is on its way.
    pub fn sent(&mut self, input_id: String, text: String) {
        self.waiting.push(Waiting { input_id, text, is_accepted: false });
    }

    /// The server has it.
    pub fn accepted(&mut self, input_id: &str) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.input_id == input_id) {
            waiting.is_accepted = true;
        }
    }

    /// The model hears it.
    pub fn applied(&mut self, input_id: &str) {
        self.waiting.retain(|waiting| waiting.input_id != input_id);
    }

    /// The model will not hear it.
    pub fn dropped(&mut self, input_id: &str) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.input_id == input_id) {
            self.unheard.push(self.waiting.remove(at).text);
        }
    }

    /// The server has refused one: the first that it has not accepted, since it answers in order. False where there
    /// is none.
    pub fn refused(&mut self) -> bool {
        let at = self.waiting.iter().position(|waiting| !waiting.is_accepted);
        self.unheard.extend(at.map(|at| self.waiting.remove(at).text));
        at.is_some()
    }

    /// What the model has still to hear, in one line.
    pub fn waiting(&self) -> Option<String> {
        let texts: Vec<&str> = self.waiting.iter().map(|waiting| waiting.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join(" / "))
    }

    /// What the model never heard, as one text. From here on nothing waits: the answer is over.
    pub fn take_unheard(&mut self) -> Option<String> {
        let waiting = self.waiting.drain(..).map(|waiting| waiting.text);
        let unheard: Vec<String> = self.unheard.drain(..).chain(waiting).collect();
        (!unheard.is_empty()).then(|| unheard.join("\n"))
    }
}
