//! What the demo says: text written in advance, chosen and ordered by a seed.
//!
//! A [`Script`] yields sections of markdown one by one, so that an answer of any length costs
//! only what is said of it. [`pieces`] cuts text the way a tokenizer would.

use std::borrow::Cow;

/// A small seeded generator (splitmix64): the same seed gives the same numbers on every machine.
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in 0.0 .. 1.0.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let index = self.next() % from.len().max(1) as u64;
        from.get(index as usize).copied().unwrap_or_default()
    }
}

/// Cuts text into tokens: a short word with the space before it, the first letters of a long
/// word, a run of one sign, a line break. Joined, the pieces are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at(piece_len(rest));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

fn piece_len(text: &str) -> usize {
    let space = usize::from(text.starts_with(' '));
    let body = text.get(space..).unwrap_or_default();
    let Some(first) = body.chars().next() else { return text.len() };
    let run = |fits: &dyn Fn(char) -> bool, most: usize| -> usize {
        body.chars().take(most).take_while(|&c| fits(c)).map(char::len_utf8).sum()
    };
    let len = if first.is_alphanumeric() {
        match run(&char::is_alphanumeric, 9) {
            word if word < 9 => word,
            _ => run(&char::is_alphanumeric, 5),
        }
    } else {
        run(&|c| c == first, 4)
    };
    space + len
}

/// How far a [`Script`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// One list, one table, one piece of code: some 350 tokens.
    Normal,
    /// With chapters: some 1,500 tokens.
    Long,
    /// Chapters without end.
    Endless,
}

/// The sections of an answer.
pub(super) struct Script {
    rng: Rng,
    length: Length,
    /// The sections told so far.
    told: u64,
    order: [&'static [&'static str]; 3],
}

const LONG_CHAPTERS: u64 = 14;

impl Script {
    pub(super) fn new(seed: u64, length: Length) -> Self {
        let mut rng = Rng::new(seed);
        let mut order = [LISTS, TABLES, CODE];
        order.rotate_left((rng.next() % 3) as usize);
        Self { rng, length, told: 0, order }
    }

    /// The next chapter: a heading and some sentences, sometimes a table or code as well.
    fn chapter(&mut self, number: u64) -> String {
        let mut text = format!("## Chapter {number}: {}\n\n", self.rng.pick(TITLES));
        let sentences = 3 + self.rng.next() % 3;
        let first = self.rng.next();
        for n in 0..sentences {
            // Steps of 5 through 12 sentences: none comes twice in a chapter.
            let index = (first.wrapping_add(n * 5) % SENTENCES.len() as u64) as usize;
            text.push_str(SENTENCES.get(index).copied().unwrap_or_default());
            text.push(if n + 1 == sentences { '\n' } else { ' ' });
        }
        text.push('\n');
        text
    }
}

impl Iterator for Script {
    type Item = Cow<'static, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let told = self.told;
        self.told += 1;
        if let Some(kind) = self.order.get(told as usize) {
            return Some(self.rng.pick(kind).into());
        }
        let chapter = told - self.order.len() as u64;
        let chapters = match self.length {
            Length::Normal => 0,
            Length::Long => LONG_CHAPTERS,
            Length::Endless => u64::MAX,
        };
        match chapter.cmp(&chapters) {
            std::cmp::Ordering::Less => Some(self.chapter(chapter + 1).into()),
            std::cmp::Ordering::Equal => Some(self.rng.pick(CLOSINGS).into()),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// How an answer begins: every one says that this is a demo.
pub(super) fn opening(rng: &mut Rng) -> &'static str {
    rng.pick(OPENINGS)
}

/// Sentences of reasoning without end.
pub(super) fn thoughts(rng: &mut Rng) -> impl Iterator<Item = &'static str> {
    let first = rng.next();
    (0_u64..).map(move |n| {
        let index = (first.wrapping_add(n) % THOUGHTS.len() as u64) as usize;
        THOUGHTS.get(index).copied().unwrap_or_default()
    })
}

/// What it says when it is asked to refuse.
pub(super) const REFUSAL: &str = "I will not answer that. This is a demo of a refusal: it arrives as its own kind of \
     event, so that a page never mistakes it for an answer.";

const OPENINGS: &[&str] = &[
    "I am the **demo model** of Tokenwire, and there is no model behind me: these words were written in advance, cut \
     into tokens and sent at the pace of a real one. Everything around them is real.\n\n",
    "This is a **demo**. It runs without a model, a key or a network: the text is fixed, only the stream is \
     genuine. What carries it to you would carry any model in the same way.\n\n",
    "Hello from the **demo model**, which runs without a model. I cannot think, but I can type: the tokens, the \
     timing and the bill below travel exactly as those of a large model would.\n\n",
];

const LISTS: &[&str] = &[
    "## What you are watching\n\n\
     1. Your question left the page as one `start` frame, under a name that the page chose.\n\
     2. The server opened a log for it; every token is an entry with a number.\n\
     3. The page reads that log. So can a second tab, or your phone.\n\
     4. One last entry closes it, with the reason and the bill.\n\n",
    "## Things to try\n\n\
     - **Stop** in mid-sentence. The model is cut off at once, and what you read stays.\n\
     - **Reload** the page. The answer goes on where it was, without a gap or a repeat.\n\
     - **Open a second tab** on this address. Both show the same answer, live:\n  \
       - neither slows the other,\n  \
       - and either may stop it.\n\
     - **Cut the network** for a moment. Nothing is lost.\n\n",
    "## Three kinds of pause\n\n\
     - *Before the first token*, while a model reads. Long questions wait longer.\n\
     - *Between tokens*, a few milliseconds, never the same twice.\n\
     - *For a tool*, until somebody answers the call.\n\n\
     > A stop button has to work in all three.\n\n",
];

const TABLES: &[&str] = &[
    "## Frames on the wire\n\n\
     | Frame | Direction | Says |\n\
     | --- | :---: | --- |\n\
     | `start` | ↑ | run this, under this name |\n\
     | `text` | ↓ | a few letters more |\n\
     | `cancel` | ↑ | stop, whatever you are doing |\n\
     | `finished` | ↓ | the end, and what it cost |\n\n",
    "## How an answer may end\n\n\
     | Ending | Who decided | Bill |\n\
     | --- | --- | ---: |\n\
     | `finished` | the model | counted |\n\
     | `cancelled` | you, or nobody was there | estimated |\n\
     | `failed` | a fault, with its code | so far |\n\n",
    "## Text is text\n\n\
     | Script | Sample | Bytes |\n\
     | --- | --- | ---: |\n\
     | Latin | naïve café | 12 |\n\
     | Greek | λόγος | 10 |\n\
     | Japanese | 東京の天気 | 15 |\n\
     | Emoji | 👩‍🚀 | 11 |\n\n\
     All of it arrives whole, however the bytes were cut on the way.\n\n",
];

const CODE: &[&str] = &[
    "## A whole client\n\n\
     ```js\n\
     const socket = new WebSocket(\"ws://localhost:8080/v1/stream\");\n\
     const messages = [{ role: \"user\", content: \"Hello\" }];\n\n\
     socket.onopen = () =>\n  \
       socket.send(JSON.stringify({ type: \"start\", id: \"g1\", model: \"demo/demo\", messages }));\n\n\
     socket.onmessage = ({ data }) => {\n  \
       const frame = JSON.parse(data);\n  \
       if (frame.type === \"text\") document.body.append(frame.delta);\n\
     };\n\
     ```\n\n",
    "## One token, as it travels\n\n\
     ```json\n\
     { \"type\": \"text\", \"id\": \"g1\", \"seq\": 42, \"delta\": \" token\" }\n\
     ```\n\n\
     `seq` has no holes. After a lost connection the page asks for the rest:\n\n\
     ```json\n\
     { \"type\": \"attach\", \"id\": \"g1\", \"after\": 42 }\n\
     ```\n\n",
    "## Stopping\n\n\
     ```js\n\
     stopButton.onclick = () => {\n  \
       // Valid before, during and after the answer.\n  \
       socket.send(JSON.stringify({ type: \"cancel\", id: \"g1\" }));\n\
     };\n\
     ```\n\n",
];

const CLOSINGS: &[&str] = &[
    "---\n\nThat was the demo. Ask for the *weather* to see a tool call, for a *long* answer to try the stop button, \
     or write `/error overloaded` to see one fail. A provider's key in the environment brings a real model.",
    "---\n\nThe demo ends here. Other things it knows: `/error rate_limit after 30` fails in mid-answer, `/refuse` \
     refuses, `/stall` falls silent, and the model `demo/reasoning` thinks first.",
];

const TITLES: &[&str] = &[
    "The log",
    "A cursor reads",
    "Nobody waits for the slowest",
    "The name of an answer",
    "Coming back",
    "The bill",
    "Small frames",
    "Silence",
];

const SENTENCES: &[&str] = &[
    "An answer is a list of events, and a reader is a position in that list.",
    "Whoever comes late reads faster, because what lies behind is sent in larger pieces.",
    "The model is never slowed by a reader, not even by one on a train.",
    "A name that the *client* chose makes it safe to ask again: nothing is started, or paid, twice.",
    "Leaving is not stopping; only `cancel` stops.",
    "If something cannot be resumed, that is said, and never guessed.",
    "Two readers of one answer share every byte that was made for it.",
    "The last event is the only one of its kind, and nothing follows it.",
    "A stream that breaks off has **failed**; it is never shown as complete.",
    "Each token is numbered, so a hole would be seen.",
    "This sentence is part of the demo and was not written by a model.",
    "Memory is bounded by the list, not by how many people read it.",
];

const THOUGHTS: &[&str] = &[
    "I am a demo, so this is not really thinking; it only arrives in the same way. ",
    "First I read the question, or at least count its words. ",
    "A list would suit this, then a table, and something to copy. ",
    "The answer should be short enough to watch and long enough to interrupt. ",
    "Should I call a tool? Only if the question asks for one and the request offers one. ",
    "Whatever I write here can be folded away by the reader. ",
    "I should say plainly that no model runs behind these words. ",
    "That settles it. ",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pieces_joined_are_the_text() {
        let everything = [OPENINGS, LISTS, TABLES, CODE, CLOSINGS, THOUGHTS].concat();
        for text in
            everything.into_iter().chain(["", " ", "  \n\n", "extraordinarily", "👩‍🚀👩‍🚀", "a 東京の天気のことです b"])
        {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert!(pieces(text).all(|piece| !piece.is_empty() && piece.chars().count() <= 10));
        }
    }

    #[test]
    fn a_seed_decides_the_script() {
        let script = |seed| Script::new(seed, Length::Long).collect::<String>();
        assert_eq!(script(7), script(7));
        assert!((0..20).any(|seed| script(seed) != script(7)));
    }

    #[test]
    fn lengths_are_about_what_they_promise() {
        for seed in 0..50 {
            let tokens = |length| -> usize { Script::new(seed, length).map(|section| pieces(&section).count()).sum() };
            assert!((180..500).contains(&tokens(Length::Normal)), "{}", tokens(Length::Normal));
            assert!((1_000..2_000).contains(&tokens(Length::Long)), "{}", tokens(Length::Long));
        }
        assert_eq!(Script::new(1, Length::Endless).take(10_000).count(), 10_000);
    }
}
