//! Tools that the server runs itself, for every client: functions of the application, and those of MCP servers.
//!
//! A generation whose model calls one of them runs it and goes on, without a client having to answer. What it
//! answered stands in the log as a `tool_result` event.

use std::{future::Future, marker::PhantomData, sync::Arc};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokenwire_protocol::{
    GenerationId, ToolProgress,
    message::{Content, Tool, ToolFunction},
};
use tokio::sync::mpsc;

use crate::{auth::Principal, provider::BoxFuture};

/// A tool that the server runs.
pub trait ServerTool: Send + Sync + 'static {
    /// What the model is told about it. The name is unique among the server's tools.
    fn function(&self) -> &ToolFunction;

    /// Whether this call must be approved by a client before it runs. Default: none does.
    fn needs_approval(&self, call: &ToolCallContext, arguments: &Value) -> bool {
        let _ = (call, arguments);
        false
    }

    /// Runs one call. `arguments` is what the model wrote, and fits no schema for sure.
    ///
    /// The future is dropped when the generation is cancelled or the call takes longer than the generation's
    /// `tool_ms`: what it holds must end with it.
    ///
    /// # Errors
    ///
    /// What the model is told in place of a result.
    fn call<'a>(&'a self, call: &'a ToolCallContext, arguments: Value) -> BoxFuture<'a, Result<Content, ToolError>>;
}

/// What a call is a part of.
#[derive(Clone, Debug)]
pub struct ToolCallContext {
    /// The generation.
    pub generation: GenerationId,
    /// Who owns it.
    pub principal: Principal,
    /// The `metadata` of its start.
    pub metadata: Arc<Map<String, Value>>,
    /// The call.
    pub call_id: Arc<str>,
    /// Where progress goes. Bounded: what comes faster than it is taken is dropped.
    pub(crate) progress: mpsc::Sender<ToolProgress>,
}

impl ToolCallContext {
    /// Tells the clients how far the call is: a `tool_progress` event.
    pub fn progress(&self, progress: Option<f64>, total: Option<f64>, message: Option<String>) {
        let call_id = self.call_id.clone();
        // Progress is for looking at: one that finds no room is no loss.
        let _ = self.progress.try_send(ToolProgress { call_id, progress, total, message });
    }
}

/// Why a tool has no result, in words for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolError(pub String);

impl<E: std::error::Error> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self(error.to_string())
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

/// Makes a tool of an async function. The schema that the model sees is that of the argument's type, with the
/// doc comments of its fields as descriptions.
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
pub fn tool<A, R, F, O>(name: impl Into<String>, description: impl Into<String>, run: F) -> impl ServerTool
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
    Function { function, run, arguments: PhantomData::<fn(A)> }
}

struct Function<A, F> {
    function: ToolFunction,
    run: F,
    arguments: PhantomData<fn(A)>,
}

impl<A, R, F, O> ServerTool for Function<A, F>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    R: IntoContent + Send + 'static,
    F: Fn(A, ToolCallContext) -> O + Send + Sync + 'static,
    O: Future<Output = Result<R, ToolError>> + Send + 'static,
{
    fn function(&self) -> &ToolFunction {
        &self.function
    }

    fn call<'a>(&'a self, call: &'a ToolCallContext, arguments: Value) -> BoxFuture<'a, Result<Content, ToolError>> {
        Box::pin(async move {
            let arguments = serde_path_to_error::deserialize(arguments)
                .map_err(|error| ToolError(format!("the arguments do not fit: {error}")))?;
            (self.run)(arguments, call.clone()).await.map(IntoContent::into_content)
        })
    }
}

/// Where the server's tools come from. What it has may change while the server runs.
pub trait ToolSource: Send + Sync + 'static {
    /// The tools that are there now.
    fn tools(&self) -> Vec<Arc<dyn ServerTool>>;
}

/// The server's tools: those of the application, and those of each source.
#[derive(Clone, Default)]
pub struct Toolbox {
    own: Vec<Arc<dyn ServerTool>>,
    sources: Vec<Arc<dyn ToolSource>>,
}

impl Toolbox {
    /// Adds a tool.
    pub fn add(&mut self, tool: impl ServerTool) {
        self.own.push(Arc::new(tool));
    }

    /// Adds a source.
    pub fn add_source(&mut self, source: Arc<dyn ToolSource>) {
        self.sources.push(source);
    }

    /// The tools that are there now and that one of `names` names; `*` at the end of a name stands for any rest,
    /// and `None` names all. Of two with one name the first counts.
    pub fn choose(&self, names: Option<&[String]>) -> Vec<Arc<dyn ServerTool>> {
        let is_named = |name: &str| {
            names.is_none_or(|patterns| {
                patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == pattern,
                })
            })
        };
        let mut chosen: Vec<Arc<dyn ServerTool>> = Vec::new();
        for tool in self.own.iter().cloned().chain(self.sources.iter().flat_map(|source| source.tools())) {
            let name = &tool.function().name;
            if is_named(name) && chosen.iter().all(|other| other.function().name != *name) {
                chosen.push(tool);
            }
        }
        chosen
    }
}

/// A server's tool as a request carries it.
pub(crate) fn offered(tool: &dyn ServerTool) -> Tool {
    Tool { kind: "function".to_owned(), function: tool.function().clone(), cache_control: None }
}
