//! Vendors that speak a wire format, as rows of data.

use std::sync::Arc;

use super::{
    Adapter,
    anthropic::Anthropic,
    bedrock::{BedrockConverse, BedrockInvoke},
    cohere::Cohere,
    gemini::Gemini,
    ollama::Ollama,
    openai_chat::OpenAiChat,
    openai_responses::OpenAiResponses,
    rules::{GROQ_MODELS, MISTRAL_MODELS, MOONSHOT_MODELS, OPENAI_MODELS, XAI_MODELS},
};
pub use super::{
    call_ids::CallIdRule,
    quirks::{Effort, Host, PartShape, Quirks},
    rules::{Lack, ModelRule},
};

/// What a vendor is asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// A key, which the adapter puts into a header.
    #[default]
    Key,
    /// A token that is fetched with Google's Application Default Credentials. A configured key is a token already,
    /// or an API key.
    Google,
    /// A key, or else AWS's own credentials, with which requests are signed.
    Aws,
}

/// A vendor.
#[derive(Clone, Copy, Debug)]
pub struct Vendor {
    /// The provider's name: the first half of `provider/model`.
    pub name: &'static str,
    /// The vendor whose section this one uses where it has none of its own: the same one, asked in another way.
    pub shares: Option<&'static str>,
    /// The wire format that it speaks.
    pub wire_format: &'static str,
    /// Where it is, without a slash at the end. `{region}` and `{project}` are those of its section. Empty: only
    /// its section knows.
    pub base_url: &'static str,
    /// The environment variable that points it elsewhere, as the vendor's own SDK names it.
    pub base_url_env: &'static str,
    /// The environment variable of the key.
    pub key_env: &'static str,
    /// Whether it works only with a key. Servers on one's own machine mostly do without.
    pub needs_key: bool,
    /// What it is asked with.
    pub credentials: Credentials,
    /// Variables that set other keys of its section: the key (`region`), and the variable. For `api_key` and
    /// `base_url`, a second variable; `host` is a `base_url` as Ollama writes it.
    pub settings_env: &'static [(&'static str, &'static str)],
    /// How it departs from its wire format.
    pub quirks: Quirks,
    /// Models to offer in a picker.
    pub models: &'static [&'static str],
}

/// The vendor of that name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

/// What a provider is asked with: the vendor's credentials, or those of the first vendor of its wire format.
pub(crate) fn credentials(vendor: Option<&Vendor>, wire_format: Option<&str>) -> Credentials {
    let of_format = || VENDORS.iter().find(|vendor| Some(vendor.wire_format) == wire_format);
    vendor.or_else(of_format).map_or(Credentials::Key, |vendor| vendor.credentials)
}

/// The adapter of that wire format.
pub fn adapter(wire_format: &str) -> Option<Arc<dyn Adapter>> {
    match wire_format {
        "openai-chat" => Some(Arc::new(OpenAiChat)),
        "openai-responses" => Some(Arc::new(OpenAiResponses)),
        "anthropic" => Some(Arc::new(Anthropic)),
        "cohere" => Some(Arc::new(Cohere)),
        "ollama" => Some(Arc::new(Ollama)),
        "gemini" => Some(Arc::new(Gemini)),
        "bedrock-converse" => Some(Arc::new(BedrockConverse)),
        "bedrock-invoke" => Some(Arc::new(BedrockInvoke)),
        _ => None,
    }
}

/// A row of chat completions without quirks.
const fn chat(
    name: &'static str,
    base_url: &'static str,
    base_url_env: &'static str,
    key_env: &'static str,
    models: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        shares: None,
        wire_format: "openai-chat",
        base_url,
        base_url_env,
        key_env,
        needs_key: true,
        credentials: Credentials::Key,
        settings_env: &[],
        quirks: Quirks::DEFAULT,
        models,
    }
}

/// A wire format on Vertex AI, which asks for a project, a region and a token.
const fn vertex(
    name: &'static str,
    wire_format: &'static str,
    base_url_env: &'static str,
    key_env: &'static str,
    settings_env: &'static [(&'static str, &'static str)],
    models: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        shares: None,
        wire_format,
        base_url: "https://{region}-aiplatform.googleapis.com/v1",
        base_url_env,
        key_env,
        needs_key: false,
        credentials: Credentials::Google,
        settings_env,
        quirks: Quirks { host: Host::Vertex, ..Quirks::DEFAULT },
        models,
    }
}

/// A wire format on AWS Bedrock, which asks for a region, and a key or signed requests.
const fn bedrock(
    name: &'static str,
    wire_format: &'static str,
    base_url_env: &'static str,
    models: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        shares: None,
        wire_format,
        base_url: "https://bedrock-runtime.{region}.amazonaws.com",
        base_url_env,
        key_env: "AWS_BEARER_TOKEN_BEDROCK",
        needs_key: false,
        credentials: Credentials::Aws,
        settings_env: &[
            ("region", "AWS_REGION"),
            ("region", "AWS_DEFAULT_REGION"),
            ("base_url", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        ],
        quirks: Quirks::DEFAULT,
        models,
    }
}

/// A server of open models on one's own machine: no key, and models as they were loaded there.
const fn local(
    name: &'static str,
    base_url: &'static str,
    base_url_env: &'static str,
    key_env: &'static str,
) -> Vendor {
    let quirks = Quirks { effort: Effort::TemplateArguments, ..Quirks::DEFAULT };
    Vendor { needs_key: false, quirks, ..chat(name, base_url, base_url_env, key_env, &[]) }
}

/// OpenAI, in chat completions.
const OPENAI: Vendor = Vendor {
    quirks: Quirks {
        max_tokens_field: "max_completion_tokens",
        developer_role: true,
        lacks: &[Lack::TopK, Lack::MediaInResults],
        model_rules: OPENAI_MODELS,
        ..Quirks::DEFAULT
    },
    ..chat(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        &["gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini"],
    )
};

/// Azure OpenAI, in chat completions. Everybody has an address of their own there, and names for the models.
const AZURE: Vendor = Vendor {
    settings_env: &[
        ("bearer_token", "AZURE_OPENAI_AD_TOKEN"),
        ("api_version", "OPENAI_API_VERSION"),
        ("api_version", "AZURE_OPENAI_API_VERSION"),
    ],
    quirks: Quirks { host: Host::Azure, key_header: Some("api-key"), ..OPENAI.quirks },
    ..chat("azure", "", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", &[])
};

/// Every vendor, the best known first.
pub const VENDORS: &[Vendor] = &[
    OPENAI,
    Vendor { name: "openai-responses", shares: Some("openai"), wire_format: "openai-responses", ..OPENAI },
    AZURE,
    Vendor { name: "azure-responses", shares: Some("azure"), wire_format: "openai-responses", ..AZURE },
    Vendor {
        settings_env: &[("bearer_token", "AZURE_AI_TOKEN"), ("api_version", "AZURE_AI_API_VERSION")],
        quirks: Quirks { host: Host::Foundry, key_header: Some("api-key"), ..Quirks::DEFAULT },
        ..chat("azure-foundry", "", "AZURE_AI_API_BASE", "AZURE_AI_API_KEY", &[])
    },
    Vendor {
        name: "anthropic",
        shares: None,
        wire_format: "anthropic",
        // As the vendor's SDKs have it: `/v1` belongs to the path.
        base_url: "https://api.anthropic.com",
        base_url_env: "ANTHROPIC_BASE_URL",
        key_env: "ANTHROPIC_API_KEY",
        needs_key: true,
        credentials: Credentials::Key,
        settings_env: &[],
        quirks: Quirks::DEFAULT,
        models: &["claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5"],
    },
    Vendor {
        name: "gemini",
        shares: None,
        wire_format: "gemini",
        base_url: "https://generativelanguage.googleapis.com",
        base_url_env: "GOOGLE_GEMINI_BASE_URL",
        key_env: "GEMINI_API_KEY",
        needs_key: true,
        credentials: Credentials::Key,
        settings_env: &[("api_key", "GOOGLE_API_KEY")],
        quirks: Quirks::DEFAULT,
        models: &["gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"],
    },
    // Gemini on Vertex AI. It is on when it has a section, or when the environment names a project together with a
    // file of credentials. Without a project a key is an API key of the express mode.
    vertex(
        "vertex",
        "gemini",
        "GOOGLE_VERTEX_BASE_URL",
        "VERTEX_API_KEY",
        &[
            ("project", "GOOGLE_CLOUD_PROJECT"),
            ("region", "GOOGLE_CLOUD_LOCATION"),
            ("credentials_file", "GOOGLE_APPLICATION_CREDENTIALS"),
        ],
        &["gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"],
    ),
    // Claude on Vertex AI. The first two variables are those of Anthropic's own SDK.
    vertex(
        "vertex-anthropic",
        "anthropic",
        "ANTHROPIC_VERTEX_BASE_URL",
        "VERTEX_ANTHROPIC_API_KEY",
        &[
            ("project", "ANTHROPIC_VERTEX_PROJECT_ID"),
            ("region", "CLOUD_ML_REGION"),
            ("project", "GOOGLE_CLOUD_PROJECT"),
            ("region", "GOOGLE_CLOUD_LOCATION"),
            ("credentials_file", "GOOGLE_APPLICATION_CREDENTIALS"),
        ],
        &["claude-sonnet-4-5@20250929", "claude-haiku-4-5@20251001", "claude-opus-4-5@20251101"],
    ),
    Vendor {
        quirks: Quirks {
            prefix: "/openai/v1",
            max_tokens_field: "max_completion_tokens",
            lacks: &[Lack::TopK, Lack::Penalties, Lack::Logprobs, Lack::Audio, Lack::Files, Lack::MediaInResults],
            model_rules: GROQ_MODELS,
            ..Quirks::DEFAULT
        },
        ..chat(
            "groq",
            "https://api.groq.com",
            "GROQ_BASE_URL",
            "GROQ_API_KEY",
            &["openai/gpt-oss-120b", "llama-3.3-70b-versatile", "moonshotai/kimi-k2-instruct-0905"],
        )
    },
    Vendor {
        // In thinking mode it answers 400 when the reasoning of an answer with tool calls is missing.
        quirks: Quirks {
            effort: Effort::ThinkingAndField,
            calls_without_thinking: true,
            takes_reasoning: true,
            lacks: &[
                Lack::TopK,
                Lack::Seed,
                Lack::ParallelToolCalls,
                Lack::JsonSchema,
                Lack::Images,
                Lack::Audio,
                Lack::Files,
            ],
            ..Quirks::DEFAULT
        },
        ..chat(
            "deepseek",
            "https://api.deepseek.com",
            "DEEPSEEK_BASE_URL",
            "DEEPSEEK_API_KEY",
            &["deepseek-chat", "deepseek-reasoner"],
        )
    },
    Vendor {
        quirks: Quirks {
            // It refuses fields that it does not know, and always sends usage.
            include_usage: false,
            seed_field: "random_seed",
            call_ids: CallIdRule::Nine,
            name_in_tool_result: true,
            // It takes its thinking back as a part of the content, and in no field.
            takes_reasoning: true,
            message_fields: Some(&["prefix"]),
            prefill_field: Some("prefix"),
            parts: PartShape::Mistral,
            max_temperature: 1.5,
            lacks: &[Lack::TopK, Lack::Logprobs],
            model_rules: MISTRAL_MODELS,
            ..Quirks::DEFAULT
        },
        ..chat(
            "mistral",
            "https://api.mistral.ai/v1",
            "MISTRAL_BASE_URL",
            "MISTRAL_API_KEY",
            &["mistral-large-latest", "mistral-medium-latest", "mistral-small-latest", "magistral-medium-latest"],
        )
    },
    Vendor {
        quirks: Quirks {
            max_tokens_field: "max_completion_tokens",
            lacks: &[Lack::TopK, Lack::Audio, Lack::Files],
            model_rules: XAI_MODELS,
            ..Quirks::DEFAULT
        },
        ..chat(
            "xai",
            "https://api.x.ai/v1",
            "XAI_BASE_URL",
            "XAI_API_KEY",
            &["grok-4", "grok-4-fast", "grok-code-fast-1"],
        )
    },
    Vendor {
        // It wants `reasoning_details` back as they were.
        quirks: Quirks { effort: Effort::Object, takes_reasoning: true, cache_control: true, ..Quirks::DEFAULT },
        ..chat(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_BASE_URL",
            "OPENROUTER_API_KEY",
            &["openai/gpt-5", "anthropic/claude-sonnet-4.5", "google/gemini-2.5-pro", "deepseek/deepseek-chat-v3.1"],
        )
    },
    Vendor {
        // It sends usage without being asked.
        quirks: Quirks {
            include_usage: false,
            // It wants a number there.
            lacks: &[Lack::Logprobs, Lack::Files],
            ..Quirks::DEFAULT
        },
        ..chat(
            "together",
            "https://api.together.xyz/v1",
            "TOGETHER_BASE_URL",
            "TOGETHER_API_KEY",
            &["meta-llama/Llama-3.3-70B-Instruct-Turbo", "deepseek-ai/DeepSeek-V3.1", "openai/gpt-oss-120b"],
        )
    },
    Vendor {
        // It sends usage without being asked.
        quirks: Quirks { include_usage: false, ..Quirks::DEFAULT },
        ..chat(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_BASE_URL",
            "FIREWORKS_API_KEY",
            &["accounts/fireworks/models/deepseek-v3p1", "accounts/fireworks/models/gpt-oss-120b"],
        )
    },
    Vendor {
        quirks: Quirks {
            prefix: "/v1",
            max_tokens_field: "max_completion_tokens",
            max_temperature: 1.5,
            lacks: &[Lack::TopK, Lack::Audio, Lack::Files, Lack::MediaInResults],
            ..Quirks::DEFAULT
        },
        ..chat(
            "cerebras",
            "https://api.cerebras.ai",
            "CEREBRAS_BASE_URL",
            "CEREBRAS_API_KEY",
            &["gpt-oss-120b", "qwen-3-235b-a22b-instruct-2507", "llama-3.3-70b"],
        )
    },
    Vendor {
        quirks: Quirks {
            max_temperature: 1.99,
            // Tools are for its other API.
            lacks: &[Lack::Tools, Lack::Seed, Lack::Stop, Lack::Logprobs, Lack::JsonObject, Lack::Audio],
            ..Quirks::DEFAULT
        },
        ..chat(
            "perplexity",
            "https://api.perplexity.ai",
            "PERPLEXITY_BASE_URL",
            "PERPLEXITY_API_KEY",
            &["sonar", "sonar-pro", "sonar-reasoning-pro"],
        )
    },
    Vendor {
        quirks: Quirks {
            effort: Effort::Thinking,
            takes_reasoning: true,
            prefill_field: Some("partial"),
            max_temperature: 1.0,
            lacks: &[Lack::TopK, Lack::Seed, Lack::ParallelToolCalls, Lack::Audio, Lack::Files],
            model_rules: MOONSHOT_MODELS,
            ..Quirks::DEFAULT
        },
        ..chat(
            "moonshot",
            "https://api.moonshot.ai/v1",
            "MOONSHOT_BASE_URL",
            "MOONSHOT_API_KEY",
            &["kimi-k2-0905-preview", "kimi-k2-thinking", "kimi-latest"],
        )
    },
    Vendor {
        quirks: Quirks {
            effort: Effort::EnableThinking,
            prefill_field: Some("partial"),
            cache_control: true,
            max_temperature: 1.99,
            lacks: &[Lack::Files],
            ..Quirks::DEFAULT
        },
        ..chat(
            "dashscope",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_BASE_URL",
            "DASHSCOPE_API_KEY",
            &["qwen-plus", "qwen3-max", "qwen-flash"],
        )
    },
    Vendor {
        quirks: Quirks {
            effort: Effort::Thinking,
            max_temperature: 1.0,
            lacks: &[
                Lack::TopK,
                Lack::Penalties,
                Lack::Seed,
                Lack::Logprobs,
                Lack::ParallelToolCalls,
                Lack::ToolChoice,
                Lack::JsonSchema,
                Lack::Audio,
            ],
            ..Quirks::DEFAULT
        },
        ..chat(
            "zhipu",
            "https://api.z.ai/api/paas/v4",
            "ZAI_BASE_URL",
            "ZAI_API_KEY",
            &["glm-4.7", "glm-4.6", "glm-4.5-air"],
        )
    },
    chat(
        "huggingface",
        "https://router.huggingface.co/v1",
        "HF_BASE_URL",
        "HF_TOKEN",
        &["openai/gpt-oss-120b", "meta-llama/Llama-3.3-70B-Instruct", "moonshotai/Kimi-K2-Instruct-0905"],
    ),
    bedrock(
        "bedrock",
        "bedrock-converse",
        "BEDROCK_BASE_URL",
        &[
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.amazon.nova-2-lite-v1:0",
            "us.amazon.nova-pro-v1:0",
            "openai.gpt-oss-120b-1:0",
        ],
    ),
    bedrock(
        "bedrock-anthropic",
        "bedrock-invoke",
        "ANTHROPIC_BEDROCK_BASE_URL",
        &["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"],
    ),
    chat("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_BASE_URL", "DEEPINFRA_API_KEY", &[]),
    chat("nebius", "https://api.studio.nebius.com/v1", "NEBIUS_BASE_URL", "NEBIUS_API_KEY", &[]),
    chat("novita", "https://api.novita.ai/v3/openai", "NOVITA_BASE_URL", "NOVITA_API_KEY", &[]),
    chat("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_BASE_URL", "NVIDIA_API_KEY", &[]),
    chat("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_BASE_URL", "SAMBANOVA_API_KEY", &[]),
    chat("siliconflow", "https://api.siliconflow.com/v1", "SILICONFLOW_BASE_URL", "SILICONFLOW_API_KEY", &[]),
    chat("minimax", "https://api.minimax.io/v1", "MINIMAX_BASE_URL", "MINIMAX_API_KEY", &[]),
    chat("venice", "https://api.venice.ai/api/v1", "VENICE_BASE_URL", "VENICE_API_KEY", &[]),
    Vendor {
        quirks: Quirks { effort: Effort::Object, takes_reasoning: true, cache_control: true, ..Quirks::DEFAULT },
        ..chat("vercel", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_BASE_URL", "AI_GATEWAY_API_KEY", &[])
    },
    Vendor {
        quirks: Quirks {
            max_tokens_field: "max_completion_tokens",
            lacks: &[Lack::TopK, Lack::MediaInResults],
            model_rules: OPENAI_MODELS,
            ..Quirks::DEFAULT
        },
        ..chat(
            "github",
            "https://models.github.ai/inference",
            "GITHUB_MODELS_BASE_URL",
            "GITHUB_MODELS_TOKEN",
            &["openai/gpt-4.1", "openai/gpt-5-mini", "deepseek/deepseek-v3-0324"],
        )
    },
    // The key is a token of Copilot itself, which lives for half an hour, or of an account that may use its API.
    Vendor {
        quirks: Quirks { model_rules: OPENAI_MODELS, ..Quirks::DEFAULT },
        ..chat("copilot", "https://api.githubcopilot.com", "GITHUB_COPILOT_BASE_URL", "GITHUB_COPILOT_TOKEN", &[])
    },
    Vendor {
        settings_env: &[("project", "DATABRICKS_HOST")],
        quirks: Quirks { cache_control: true, ..Quirks::DEFAULT },
        ..chat(
            "databricks",
            "https://{project}/serving-endpoints",
            "DATABRICKS_BASE_URL",
            "DATABRICKS_TOKEN",
            &["databricks-claude-sonnet-4-5", "databricks-gpt-oss-120b"],
        )
    },
    Vendor {
        settings_env: &[("project", "SNOWFLAKE_ACCOUNT")],
        // It wants the reasoning of Claude back as it was.
        quirks: Quirks { max_tokens_field: "max_completion_tokens", takes_reasoning: true, ..Quirks::DEFAULT },
        ..chat(
            "snowflake",
            "https://{project}.snowflakecomputing.com/api/v2/cortex/v1",
            "SNOWFLAKE_BASE_URL",
            "SNOWFLAKE_PAT",
            &["claude-sonnet-4-5", "openai-gpt-5"],
        )
    },
    Vendor {
        settings_env: &[("project", "CLOUDFLARE_ACCOUNT_ID")],
        ..chat(
            "cloudflare",
            "https://api.cloudflare.com/client/v4/accounts/{project}/ai/v1",
            "CLOUDFLARE_BASE_URL",
            "CLOUDFLARE_API_TOKEN",
            &["@cf/openai/gpt-oss-120b", "@cf/meta/llama-3.3-70b-instruct-fp8-fast"],
        )
    },
    chat("doubleword", "https://api.doubleword.ai/v1", "DOUBLEWORD_BASE_URL", "DOUBLEWORD_API_KEY", &[]),
    chat("crusoe", "https://managed-inference-api-proxy.crusoecloud.com/v1", "CRUSOE_BASE_URL", "CRUSOE_API_KEY", &[]),
    chat("baseten", "https://inference.baseten.co/v1", "BASETEN_BASE_URL", "BASETEN_API_KEY", &[]),
    chat("hyperbolic", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_BASE_URL", "HYPERBOLIC_API_KEY", &[]),
    Vendor {
        wire_format: "cohere",
        settings_env: &[("api_key", "COHERE_API_KEY"), ("base_url", "CO_API_URL")],
        ..chat(
            "cohere",
            "https://api.cohere.com",
            "COHERE_BASE_URL",
            "CO_API_KEY",
            &["command-a-03-2025", "command-a-reasoning-08-2025", "command-r7b-12-2024"],
        )
    },
    Vendor {
        wire_format: "ollama",
        quirks: Quirks::DEFAULT,
        settings_env: &[("host", "OLLAMA_HOST")],
        ..local("ollama", "http://localhost:11434", "OLLAMA_BASE_URL", "OLLAMA_API_KEY")
    },
    local("vllm", "http://localhost:8000/v1", "VLLM_BASE_URL", "VLLM_API_KEY"),
    local("sglang", "http://localhost:30000/v1", "SGLANG_BASE_URL", "SGLANG_API_KEY"),
    local("llamacpp", "http://localhost:8080/v1", "LLAMACPP_BASE_URL", "LLAMACPP_API_KEY"),
    local("tgi", "http://localhost:8080/v1", "TGI_BASE_URL", "TGI_API_KEY"),
    local("mistralrs", "http://localhost:1234/v1", "MISTRALRS_BASE_URL", "MISTRALRS_API_KEY"),
    Vendor {
        quirks: Quirks { prefix: "/v1", ..Quirks::DEFAULT },
        ..local("gpustack", "http://localhost", "GPUSTACK_BASE_URL", "GPUSTACK_API_KEY")
    },
    // A proxy of one's own, with vendors of all kinds behind it.
    Vendor {
        quirks: Quirks { cache_control: true, ..Quirks::DEFAULT },
        ..local("litellm", "http://localhost:4000/v1", "LITELLM_BASE_URL", "LITELLM_API_KEY")
    },
    Vendor {
        quirks: Quirks::DEFAULT,
        ..local("lmstudio", "http://localhost:1234/v1", "LMSTUDIO_BASE_URL", "LMSTUDIO_API_KEY")
    },
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_well_formed() {
        for (position, row) in VENDORS.iter().enumerate() {
            let name = row.name;
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(VENDORS[..position].iter().all(|other| other.name != name), "{name} twice");
            assert_eq!(vendor(name).unwrap().base_url, row.base_url);
            assert_eq!(adapter(row.wire_format).unwrap().name(), row.wire_format);
            let is_safe = row.base_url.is_empty() || row.base_url.starts_with("https://");
            assert!(is_safe || !row.needs_key, "{name}: a key in plain text");
            let prefix = row.quirks.prefix;
            assert!(!row.base_url.ends_with('/') && (prefix.is_empty() || prefix.starts_with('/')), "{name}");
            let is_place = |end: &&str| row.base_url_env.ends_with(*end);
            assert!(["_BASE_URL", "_ENDPOINT", "_API_BASE"].iter().any(is_place), "{name}");
            assert!(!row.key_env.is_empty(), "{name}");
        }
        assert!(vendor("nobody").is_none());
        assert!(adapter("nothing").is_none());
    }
}
