//! Async functions as tools.

use std::{future::Future, marker::PhantomData};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenwire_protocol::message::{Content, ToolFunction};

use super::{ApprovalPolicy, ServerTool, ToolCallContext, ToolError};
use crate::provider::BoxFuture;

/// Makes a tool of an async function. The schema that the model sees is that of the argument's type, with the
/// doc comments of its fields as descriptions. Arguments that do not fit the type never reach the function: the
/// model is told what is wrong with them.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tokenwire::tools::{ToolError, tool};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct City {
///     /// The city's name.
///     city: String,
/// }
///
/// let weather = tool("get_weather", "The weather in a city, now.", async |City { city }, _call| {
///     if city.is_empty() { Err(ToolError("which city?".into())) } else { Ok(format!("{city}: 18 °C")) }
/// });
/// # let _ = weather;
/// ```
pub fn tool<A, R, F, O>(name: impl Into<String>, description: impl Into<String>, run: F) -> FunctionTool<A, F>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    R: IntoContent + Send + 'static,
    F: Fn(A, ToolCallContext) -> O + Send + Sync + 'static,
    O: Future<Output = Result<R, ToolError>> + Send + 'static,
{
    let function = ToolFunction {
        name: name.into(),
        description: Some(description.into()),
        parameters: Some(schemars::schema_for!(A).to_value()),
        strict: None,
    };
    FunctionTool { function, run, approve: Approve::Never, arguments: PhantomData }
}

/// What [`tool`] makes of a function.
pub struct FunctionTool<A, F> {
    function: ToolFunction,
    run: F,
    approve: Approve,
    arguments: PhantomData<fn(A)>,
}

enum Approve {
    Never,
    Always,
    When(Box<Decide>),
}

type Decide = dyn Fn(&ToolCallContext, &Value) -> bool + Send + Sync;

impl<A, F> FunctionTool<A, F> {
    /// Has every call approved by a client before it runs.
    pub fn approve_always(mut self) -> Self {
        self.approve = Approve::Always;
        self
    }

    /// Has those calls approved by a client for which `decide` says so. It sees the arguments as the model wrote
    /// them, or as they were edited, which may not fit the argument's type.
    ///
    /// ```
    /// # #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// # struct Transfer { euros: f64 }
    /// # use tokenwire::tools::tool;
    /// let transfer = tool("transfer", "Sends money.", async |_: Transfer, _call| Ok("sent"))
    ///     .approve_when(|_call, arguments| arguments["euros"].as_f64().is_none_or(|euros| euros > 100.0));
    /// # let _ = transfer;
    /// ```
    pub fn approve_when(mut self, decide: impl Fn(&ToolCallContext, &Value) -> bool + Send + Sync + 'static) -> Self {
        self.approve = Approve::When(Box::new(decide));
        self
    }
}

impl<A, R, F, O> ServerTool for FunctionTool<A, F>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    R: IntoContent + Send + 'static,
    F: Fn(A, ToolCallContext) -> O + Send + Sync + 'static,
    O: Future<Output = Result<R, ToolError>> + Send + 'static,
{
    fn function(&self) -> &ToolFunction {
        &self.function
    }

    fn approval(&self) -> ApprovalPolicy {
        match self.approve {
            Approve::Never => ApprovalPolicy::Never,
            Approve::Always => ApprovalPolicy::Always,
            Approve::When(_) => ApprovalPolicy::When,
        }
    }

    fn needs_approval(&self, call: &ToolCallContext, arguments: &Value) -> bool {
        match &self.approve {
            Approve::Never => false,
            Approve::Always => true,
            Approve::When(decide) => decide(call, arguments),
        }
    }

    fn call<'a>(&'a self, call: &'a ToolCallContext, arguments: Value) -> BoxFuture<'a, Result<Content, ToolError>> {
        Box::pin(async move {
            let arguments = serde_path_to_error::deserialize(arguments)
                .map_err(|error| ToolError(format!("the arguments do not fit: {error}").into()))?;
            (self.run)(arguments, call.clone()).await.map(IntoContent::into_content)
        })
    }
}

/// What a [`tool`] may answer.
pub trait IntoContent {
    /// As the content of a tool's result.
    fn into_content(self) -> Content;
}

impl IntoContent for String {
    fn into_content(self) -> Content {
        Content::Text(self)
    }
}

impl IntoContent for &str {
    fn into_content(self) -> Content {
        Content::Text(self.to_owned())
    }
}

impl IntoContent for Value {
    fn into_content(self) -> Content {
        Content::Text(self.to_string())
    }
}

impl IntoContent for Content {
    fn into_content(self) -> Content {
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::auth::Principal;

    #[derive(Deserialize, JsonSchema)]
    struct City {
        /// The city's name.
        city: String,
        /// How many days ahead.
        #[serde(default)]
        days: u8,
    }

    fn weather() -> impl ServerTool {
        tool("get_weather", "The weather in a city.", async |City { city, days }, call: ToolCallContext| {
            call.progress(Some(1.0), Some(2.0), Some("looking".to_owned()));
            if city.is_empty() {
                return Err(ToolError("which city?".into()));
            }
            Ok(json!({"city": city, "days": days}))
        })
    }

    fn context() -> ToolCallContext {
        ToolCallContext::new("g1".parse().unwrap(), Principal::anonymous(), "c1").0
    }

    async fn call(arguments: Value) -> Result<Content, ToolError> {
        weather().call(&context(), arguments).await
    }

    #[test]
    fn the_schema_is_that_of_the_arguments_type() {
        let weather = weather();
        let parameters = weather.function().parameters.as_ref().unwrap();
        assert_eq!(parameters["type"], "object");
        assert_eq!(parameters["required"], json!(["city"]));
        assert_eq!(parameters["properties"]["city"]["type"], "string");
        assert_eq!(parameters["properties"]["city"]["description"], "The city's name.");
        assert_eq!(parameters["properties"]["days"]["description"], "How many days ahead.");
    }

    #[tokio::test]
    async fn a_call_reaches_the_function_and_its_error_the_model() {
        let answer = call(json!({"city": "Bremen"})).await.unwrap();
        assert_eq!(answer, Content::Text(r#"{"city":"Bremen","days":0}"#.to_owned()));
        assert_eq!(call(json!({"city": ""})).await, Err(ToolError("which city?".into())));
    }

    #[tokio::test]
    async fn the_model_is_told_what_is_wrong_with_its_arguments() {
        for (arguments, expected) in [
            (json!({}), "the arguments do not fit: missing field `city`"),
            (json!({"city": 3}), "the arguments do not fit: city: invalid type: integer `3`, expected a string"),
            (
                json!({"city": "Bremen", "days": 300}),
                "the arguments do not fit: days: invalid value: integer `300`, expected u8",
            ),
            (json!(null), "the arguments do not fit: invalid type: null, expected struct City"),
        ] {
            assert_eq!(call(arguments).await, Err(ToolError(expected.into())));
        }
    }

    #[test]
    fn a_tool_says_which_calls_must_be_approved() {
        let run = async |_: Value, _| Ok("done");
        let small = json!({"euros": 5});
        let never = tool("transfer", "", run);
        assert_eq!(never.approval(), ApprovalPolicy::Never);
        assert!(!never.needs_approval(&context(), &small));
        let always = tool("transfer", "", run).approve_always();
        assert_eq!(always.approval(), ApprovalPolicy::Always);
        assert!(always.needs_approval(&context(), &small));
        let sometimes = tool("transfer", "", run).approve_when(|call, arguments| {
            call.principal != Principal::new("treasurer")
                && arguments["euros"].as_f64().is_none_or(|euros| euros > 100.0)
        });
        assert_eq!(sometimes.approval(), ApprovalPolicy::When);
        assert!(!sometimes.needs_approval(&context(), &small));
        assert!(sometimes.needs_approval(&context(), &json!({"euros": 500})));
        assert!(sometimes.needs_approval(&context(), &json!({"amount": "all"})));
    }
}
