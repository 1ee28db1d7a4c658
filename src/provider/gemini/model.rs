//! What a model's name says about it.

use serde_json::{Map, Value};
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::super::ModelRequest;

/// A model, as far as requests differ by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'m> {
    name: &'m str,
    /// 2.5 of `gemini-2.5-flash`. `None`: the name does not say, as in `gemini-flash-latest` and names of tuned models.
    version: Option<f32>,
}

impl<'m> Model<'m> {
    pub(super) fn new(name: &'m str) -> Self {
        let version = name.split_once("gemini-").map(|(_, rest)| rest.split('-').next().unwrap_or(rest));
        Self { name, version: version.and_then(|version| version.parse().ok()) }
    }

    /// From 3 on, a call in the conversation must carry a signature, results of tools can hold images, and thinking
    /// is graded.
    pub(super) fn is_3(self) -> bool {
        self.version.is_some_and(|version| version >= 3.0)
    }

    /// Whether a call without a signature may need the placeholder.
    pub(super) fn wants_signatures(self) -> bool {
        self.is_3() || (self.version.is_none() && self.name.starts_with("gemini-"))
    }

    /// The field `thinkingConfig`, and what has to be said about it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BadField`] for an effort that cannot be turned into a budget.
    pub(super) fn thinking(self, request: &ModelRequest) -> Result<(Option<Value>, Option<&'static str>), ErrorInfo> {
        let effort = request.reasoning_effort.as_deref();
        if effort.is_none() && request.reasoning_budget.is_none() {
            return Ok((None, None));
        }
        if self.version.is_some_and(|version| version < 2.5) {
            return Ok((None, effort.filter(|effort| *effort != "none").map(|_| "this model does not think")));
        }
        let mut warning = None;
        let is_pro = self.name.contains("pro");
        let mut config = Map::new();
        let mut is_on = true;
        match (request.reasoning_budget, effort) {
            (Some(budget), _) => {
                is_on = budget > 0;
                config.insert("thinkingBudget".into(), budget.into());
            }
            (None, Some("none")) if self.is_3() => {
                is_on = false;
                warning = Some("this model always thinks; it is asked to think as little as it can");
                config.insert("thinkingLevel".into(), if is_pro { "low" } else { "minimal" }.into());
            }
            (None, Some(level)) if self.is_3() => {
                config.insert("thinkingLevel".into(), level.into());
            }
            (None, Some("none")) if is_pro => {
                is_on = false;
                warning = Some("this model always thinks; it is asked to think as little as it can");
                config.insert("thinkingBudget".into(), 128.into());
            }
            (None, effort) => {
                let budget = budget(effort.unwrap_or_default())?;
                is_on = budget > 0;
                config.insert("thinkingBudget".into(), budget.into());
            }
        }
        if is_on {
            config.insert("includeThoughts".into(), true.into());
        }
        Ok((Some(config.into()), warning))
    }
}

/// How many tokens an effort is, for models that count.
fn budget(effort: &str) -> Result<u64, ErrorInfo> {
    Ok(match effort {
        "none" => 0,
        "minimal" | "low" => 1024,
        "medium" => 8192,
        "high" | "xhigh" | "max" => 24_576,
        _ => {
            let message = "expected none, minimal, low, medium, high, xhigh or max";
            return Err(ErrorInfo::new(ErrorCode::BadField, message).with_field("reasoning_effort"));
        }
    })
}
