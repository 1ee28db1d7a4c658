//! Configurations, and what is said about them.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::tools::ApprovalPolicy;

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn load(toml: &str) -> Result<Loaded, ConfigError> {
    Loader::new().toml(toml).load()
}

#[track_caller]
fn check(toml: &str, expected: &str) {
    assert_eq!(load(toml).unwrap_err().to_string(), expected);
}

#[track_caller]
fn check_env(variables: &[(&str, &str)], expected: &str) {
    assert_eq!(Loader::new().env(env(variables)).load().unwrap_err().to_string(), expected);
}

#[test]
fn nothing_configured_is_the_defaults() {
    let loaded = load("").unwrap();
    assert_eq!(loaded.config.scalars(), Config::default().scalars());
    assert_eq!(loaded.config.listen.to_string(), "127.0.0.1:8080");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_example_file_has_every_key_with_its_default() {
    let example = include_str!("../../examples/tokenwire.toml");
    load(example).unwrap();
    // Comments have a space behind their `#`, keys have none.
    let uncommented: String = example
        .lines()
        .map(|line| line.strip_prefix('#').filter(|key| !key.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
        .collect();
    let loaded = load(&uncommented).unwrap();
    assert_eq!(loaded.config.scalars(), Config::default().scalars());
    for key in loaded.config.scalars().keys() {
        assert!(matches!(loaded.origin(key), Origin::File(_, line) if line > 9), "{key} is missing");
        let name = key.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("\n#{name} = ")), "{key} is missing");
    }
    let Config { providers, routes, prices, mcp, .. } = &loaded.config;
    assert_eq!((providers.len(), routes.len(), prices.len(), mcp.len()), (4, 2, 2, 2));
}

#[test]
fn every_number_has_a_range_that_holds_its_default() {
    let numbers: Vec<String> =
        Config::default().scalars().into_iter().filter(|(_, value)| value.is_number()).map(|(path, _)| path).collect();
    let mut ranges: Vec<String> = validate::RANGES.iter().map(|&(path, ..)| path.to_owned()).collect();
    ranges.sort();
    assert_eq!(ranges, numbers);
    Config::default().validate().unwrap();
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let toml = "listen = '127.0.0.1:1'\nworkers = 1\n[limits]\nmax_turns = 1\nmax_running = 1";
    let variables =
        env(&[("TOKENWIRE_LISTEN", "127.0.0.1:2"), ("TOKENWIRE_WORKERS", "2"), ("TOKENWIRE_LIMITS_MAX_TURNS", "2")]);
    let loaded = Loader::new().toml(toml).env(variables).flag("listen", "127.0.0.1:3").load().unwrap();
    assert_eq!(loaded.config.listen.port(), 3);
    assert_eq!(loaded.config.workers, 2);
    assert_eq!((loaded.config.limits.max_turns, loaded.config.limits.max_running), (2, 1));
    assert_eq!(loaded.config.limits.max_generations, 32);
    let origin = |key| loaded.origin(key).to_string();
    assert_eq!(origin("listen"), "--listen");
    assert_eq!(origin("workers"), "TOKENWIRE_WORKERS");
    assert_eq!(origin("limits.max_turns"), "TOKENWIRE_LIMITS_MAX_TURNS");
    assert_eq!(origin("limits.max_running"), "tokenwire.toml:5");
    assert_eq!(origin("retry.attempts"), "default");
}

#[test]
fn a_variable_sets_any_key() {
    let variables = env(&[
        ("TOKENWIRE_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("TOKENWIRE_INSECURE_NO_AUTH", "1"),
        ("TOKENWIRE_RETRY_MAX_MS", ""),
        ("TOKENWIRE_PROVIDERS_MY_VLLM_BASE_URL", "http://localhost:8000/v1"),
        ("TOKENWIRE_PROVIDERS_MY_VLLM_WIRE_FORMAT", "openai-chat"),
        ("TOKENWIRE_PROVIDERS_MY_VLLM_API_KEY_ENV", "VLLM_KEY"),
        ("TOKENWIRE_PROVIDERS_MY_VLLM_MODELS", "a,b"),
        ("TOKENWIRE_PROVIDERS_GROQ_ENABLED", "false"),
        ("TOKENWIRE_PORT", "tcp://10.0.0.1:8080"),
    ]);
    let loaded = Loader::new().toml("[providers.my_vllm]").env(variables).load().unwrap();
    assert_eq!(loaded.config.allowed_origins, ["https://a.example", "https://b.example"]);
    assert!(loaded.config.insecure_no_auth);
    let vllm = &loaded.config.providers["my_vllm"];
    assert_eq!(vllm.base_url.as_deref(), Some("http://localhost:8000/v1"));
    assert_eq!(vllm.wire_format.as_deref(), Some("openai-chat"));
    assert_eq!(vllm.api_key_env.as_deref(), Some("VLLM_KEY"));
    assert_eq!(vllm.models, ["a", "b"]);
    assert_eq!(loaded.config.providers["groq"].enabled, Some(false));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn wrong_variables_are_named() {
    check_env(
        &[("TOKENWIRE_LIMITS_MAX_TURNS", "many")],
        "TOKENWIRE_LIMITS_MAX_TURNS: limits.max_turns: expected a whole number from 1 to 10000",
    );
    check_env(
        &[("TOKENWIRE_INSECURE_NO_AUTH", "maybe")],
        "TOKENWIRE_INSECURE_NO_AUTH: insecure_no_auth: expected `true` or `false`",
    );
    check_env(
        &[("TOKENWIRE_LISTEN", "here")],
        "TOKENWIRE_LISTEN: listen: expected an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
    );
    check_env(
        &[
            ("TOKENWIRE_PROVIDERS_VLLM_BASE_URL", "localhost:8000"),
            ("TOKENWIRE_PROVIDERS_VLLM_WIRE_FORMAT", "openai-chat"),
        ],
        "TOKENWIRE_PROVIDERS_VLLM_BASE_URL: providers.vllm.base_url: \
         expected a URL that begins with `http://` or `https://`\n  for example `http://localhost:8000/v1`",
    );
    check_env(
        &[("TOKENWIRE_PROVIDERS_MINE_ENABLED", "1")],
        "TOKENWIRE_PROVIDERS_MINE_ENABLED: providers.mine: \
         no vendor of this name is known, so it needs `wire_format` and `base_url`",
    );
    check_env(
        &[("OPENAI_BASE_URL", "api.openai.com")],
        "OPENAI_BASE_URL: providers.openai.base_url: \
         expected a URL that begins with `http://` or `https://`\n  for example `http://localhost:8000/v1`",
    );
}

#[test]
fn a_variable_that_looks_like_a_key_is_warned_about() {
    let variables = env(&[("TOKENWIRE_LIMITS_MAX_TURN", "1"), ("TOKENWIRE_LISTN", "x"), ("TOKENWIRE_CAPTURES", "x")]);
    let loaded = Loader::new().env(variables).load().unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "environment variable TOKENWIRE_LIMITS_MAX_TURN is no key, and is ignored; \
             did you mean TOKENWIRE_LIMITS_MAX_TURNS?",
            "environment variable TOKENWIRE_LISTN is no key, and is ignored; did you mean TOKENWIRE_LISTEN?",
        ]
    );
}

#[test]
fn problems_name_file_line_key_and_fix() {
    check("listen = '127.0.0.1:8080", "tokenwire.toml:1: not TOML: invalid literal string, expected `'`");
    check(
        "\n[limits]\nmax_frame_byts = 4096",
        "tokenwire.toml:3: limits.max_frame_byts: is not a key\n  did you mean `max_frame_bytes`?",
    );
    check(
        "[retention]\nfoo = 1",
        "tokenwire.toml:2: retention.foo: is not a key\n  known here: seconds, log_bytes, total_bytes, conversations, conversation_bytes, total_conversation_bytes",
    );
    check("limit = 1", "tokenwire.toml:1: limit: is not a key\n  did you mean `limits`?");
    check(
        "[limits]\n\nmax_turns = 'many'",
        "tokenwire.toml:3: limits.max_turns: expected a whole number from 1 to 10000, not text",
    );
    check(
        "[limits]\nmax_turns = -1",
        "tokenwire.toml:2: limits.max_turns: expected a whole number from 1 to 10000, not -1",
    );
    check("limits = 3", "tokenwire.toml:1: limits: expected a section `[limits]`, not 3");
    check("insecure_no_auth = 'yes'", "tokenwire.toml:1: insecure_no_auth: expected `true` or `false`, not text");
    check(
        "allowed_origins = 'a'",
        "tokenwire.toml:1: allowed_origins: expected a list such as [\"a\", \"b\"], not text",
    );
    check(
        "listen = 8080",
        "tokenwire.toml:1: listen: expected an address and a port, such as `127.0.0.1:8080` or `[::1]:8080`",
    );
    check(
        "[auth.keys]\nprincipal = 'a'",
        "tokenwire.toml:1: auth.keys: expected sections that begin with `[[auth.keys]]`, not a section",
    );
    check("[[auth.keys]]\nkey = '0123456789abcdef'", "tokenwire.toml:1: auth.keys[0].principal: is missing");
}

#[test]
fn numbers_have_ranges() {
    check(
        "[limits]\nmax_frame_bytes = 1023",
        "tokenwire.toml:2: limits.max_frame_bytes: expected 1024 to 67108864, not 1023",
    );
    check("[limits]\nheartbeat_seconds = 0", "tokenwire.toml:2: limits.heartbeat_seconds: expected 1 to 3600, not 0");
    check(
        "limits.write_timeout_seconds = 0",
        "tokenwire.toml:1: limits.write_timeout_seconds: expected 1 to 600, not 0",
    );
    check(
        "[timeouts]\nlimit_ms = 1000\ntool_ms = 1\nconnect_ms = 1\ntotal_ms = 1\nfirst_token_ms = 1",
        "tokenwire.toml:1: timeouts.idle_ms: 120000 is more than `timeouts.limit_ms`, which is 1000\n  \
         raise the limit or lower this",
    );
    check(
        "retry.base_ms = 30000",
        "tokenwire.toml:1: retry.base_ms: 30000 is more than `retry.max_ms`, which is 20000",
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check(
        "[limits]\nmax_turns = 0\nmax_running = 0",
        "tokenwire.toml:3: limits.max_running: expected 1 to 10000000, not 0\n\
         tokenwire.toml:2: limits.max_turns: expected 1 to 10000, not 0",
    );
}

#[test]
fn an_address_that_others_can_reach_needs_a_key() {
    check(
        "listen = '0.0.0.0:8080'",
        "tokenwire.toml:1: listen: 0.0.0.0:8080 can be reached from other machines, and no key is configured\n  \
         add a key (`tokenwire hash-key` makes one), or listen on 127.0.0.1, \
         or allow everybody with `insecure_no_auth = true`",
    );
    load("listen = '0.0.0.0:8080'\ninsecure_no_auth = true").unwrap();
    load("listen = '[::]:8080'\n[[auth.keys]]\nprincipal = 'a'\nkey = '0123456789abcdef'").unwrap();
    load("listen = '[::1]:8080'").unwrap();
    load("listen = '127.8.9.1:0'").unwrap();
    assert_eq!(load("listen = 'localhost:0'").unwrap().config.listen.to_string(), "127.0.0.1:0");
}

#[test]
fn keys_are_checked_and_kept_as_hashes() {
    let key = |lines: &str| format!("[[auth.keys]]\nprincipal = 'a'\n{lines}");
    check(&key(""), "tokenwire.toml:1: auth.keys[0]: expected `sha256` or `key`\n  `tokenwire hash-key` makes both");
    check(
        &key("key = '012345678901234'"),
        "tokenwire.toml:3: auth.keys[0].key: expected at least 16 characters, so that it cannot be guessed\n  \
         `tokenwire hash-key` makes one",
    );
    check(
        &key("sha256 = 'secret'"),
        "tokenwire.toml:3: auth.keys[0].sha256: expected 64 hexadecimal digits\n  \
         `tokenwire hash-key` reads a key and prints this line",
    );
    check(
        &key("key = '0123456789abcdef'\nsha256 = ''"),
        "tokenwire.toml:1: auth.keys[0]: expected either `sha256` or `key`, not both",
    );
    check(
        "[[auth.keys]]\nprincipal = ' '\nkey = '0123456789abcdef'",
        "tokenwire.toml:2: auth.keys[0].principal: is empty\n  name who uses the key",
    );
    let hash = sha256_hex("0123456789abcdef");
    assert_eq!(hash, "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
    check(
        &(key("key = '0123456789abcdef'")
            + "\n[[auth.keys]]\nprincipal = 'b'\nsha256 = '"
            + &hash.to_uppercase()
            + "'"),
        "tokenwire.toml:4: auth.keys[1]: is the same key as `auth.keys[0]`",
    );
    let config = load(&key("key = '0123456789abcdef'")).unwrap().config;
    assert_eq!(config.auth.keys[0].key, None);
    assert_eq!(config.auth.keys[0].sha256, Some(hash));
}

#[test]
fn origins_and_hosts_have_a_form() {
    for origin in ["https://a.example", "http://localhost:3000", "tauri://localhost", "http://[::1]:8080"] {
        load(&format!("allowed_origins = ['{origin}']")).unwrap();
    }
    for origin in
        ["*", "", "a.example", "https://a.example/", "https://A.example", "https://", "https://a:b", "https://u@a"]
    {
        check(
            &format!("allowed_origins = ['https://ok.example',\n '{origin}']"),
            "tokenwire.toml:2: allowed_origins[1]: expected `scheme://host` or `scheme://host:port` in lower case, \
             without a path\n  for example `https://app.example.com`",
        );
    }
    for host in ["https://a.example", "a.example:80", "a.example/", "A.example", ""] {
        check(
            &format!("allowed_hosts = ['{host}']"),
            "tokenwire.toml:1: allowed_hosts[0]: expected a host name in lower case, \
             without scheme, port and path\n  for example `chat.example.com`",
        );
    }
    load("allowed_hosts = ['a.example', '10.0.0.1', '[::1]']").unwrap();
}

#[test]
fn hosts_that_clients_may_name_are_checked() {
    load("client_upstreams.hosts = ['gateway.example.com', '*.example.com', 'http://10.1.2.3:8000', '[::1]']").unwrap();
    load("client_upstreams.private_hosts = ['http://llm.internal:8000']").unwrap();
    check(
        "[client_upstreams]\nhosts = ['a.example', 'a.example/v1']",
        "tokenwire.toml:2: client_upstreams.hosts[1]: expected a host, with or without scheme and port, and without a \
         path\n  for example `gateway.example.com`, `*.example.com` or `http://10.1.2.3:8000`",
    );
    check(
        "[client_upstreams]\nprivate_hosts = ['*.internal.example']",
        "tokenwire.toml:2: client_upstreams.private_hosts[0]: a private host is named in full, without `*`\n  \
         for example `http://llm.internal:8000`",
    );
    check_env(
        &[("TOKENWIRE_CLIENT_UPSTREAMS_HOSTS", "a.example, *")],
        "TOKENWIRE_CLIENT_UPSTREAMS_HOSTS: client_upstreams.hosts[1]: expected a host, with or without scheme and \
         port, and without a path\n  for example `gateway.example.com`, `*.example.com` or `http://10.1.2.3:8000`",
    );
}

#[test]
fn providers_are_checked() {
    let toml = "[providers.vllm]\nbase_url = 'http://localhost:8000/v1'\nwire_format = 'openai-chats'";
    let said = load(toml).unwrap_err().to_string();
    assert!(said.starts_with("tokenwire.toml:3: providers.vllm.wire_format: expected `openai-chat`, "), "{said}");
    assert!(said.ends_with("\n  did you mean `openai-chat`?"), "{said}");
    check(
        "[providers.openai]\napi_key_env = 'sk-secret'",
        "tokenwire.toml:2: providers.openai.api_key_env: \
         expected the name of an environment variable, not the key itself\n  for example `OPENAI_API_KEY`",
    );
    check(
        "[providers.openai]\napi_key_env = 'A'\napi_key = 'secret'",
        "tokenwire.toml:1: providers.openai: expected either `api_key` or `api_key_env`, not both",
    );
    check(
        "[providers.openai.headers]\n'x y' = 'secret'",
        "tokenwire.toml:2: providers.openai.headers.x y: \
         expected a header name, and a value without control characters",
    );
    check(
        "[providers.openai]\nwebsocket = true",
        "tokenwire.toml:2: providers.openai.websocket: works only with the wire format `openai-responses`\n  \
         set `wire_format = \"openai-responses\"` too",
    );
    load("[providers.openai-responses]\nwebsocket = true").unwrap();
    check(
        "[providers.azure]\nbearer_token = ' secret'",
        "tokenwire.toml:2: providers.azure.bearer_token: \
         is empty, or holds spaces at its ends or control characters",
    );
    check(
        "[providers.opnai]",
        "tokenwire.toml:1: providers.opnai: \
         no vendor of this name is known, so it needs `wire_format` and `base_url`\n  did you mean `openai`?",
    );
    check(
        "[providers.OpenAI]",
        "tokenwire.toml:1: providers.OpenAI: expected a name of lower-case letters, digits, `-`, `_` and `.`",
    );
    check(
        "[providers.openai]\napi_kys = 'secret'",
        "tokenwire.toml:2: providers.openai.api_kys: is not a key\n  did you mean `api_keys`?",
    );
    check(
        "[providers.openai]\napi_keys = 'secret'",
        "tokenwire.toml:2: providers.openai.api_keys: expected a list such as [\"a\", \"b\"], not text",
    );
    check(
        "[providers.openai]\napi_keys = ['a',\n'b ']",
        "tokenwire.toml:3: providers.openai.api_keys[1]: \
         is empty, or holds spaces at its ends or control characters",
    );
    check(
        "[providers.openai]\napi_keys = ['a']\napi_key = 'b'",
        "tokenwire.toml:1: providers.openai: expected either `api_key` or `api_keys`, not both",
    );
}

#[test]
fn several_keys_come_from_one_variable() {
    let load = |toml: &str, variables: &[(&str, &str)]| {
        let loaded = Loader::new().toml(toml).env(env(variables)).load().unwrap();
        let section = loaded.config.providers["openai"].clone();
        (section.api_key, section.api_keys, loaded.provider_origin("openai", "api_keys").to_string())
    };
    let several = (None, vec!["a".to_owned(), "b".to_owned()], "OPENAI_API_KEYS".to_owned());
    assert_eq!(load("", &[("OPENAI_API_KEYS", "a, b\n")]), several);
    assert_eq!(load("", &[("OPENAI_API_KEYS", "a,b"), ("OPENAI_API_KEY", "c")]), several);
    assert_eq!(load("providers.openai.api_key = 'c'", &[("OPENAI_API_KEYS", "a,b")]), several);
    let (key, keys, _) = load("providers.openai.api_keys = ['a', 'b']", &[("OPENAI_API_KEY", "c")]);
    assert_eq!((key.as_deref(), keys.len()), (Some("c"), 0));
    let own = [("TOKENWIRE_PROVIDERS_OPENAI_API_KEYS", "x,y"), ("OPENAI_API_KEY", "c"), ("OPENAI_API_KEYS", "a,b")];
    assert_eq!(load("", &own).1, ["x", "y"]);
    let named = load("providers.openai.api_key_env = 'TEAM_KEY'", &[("TEAM_KEYS", "a,b"), ("OPENAI_API_KEY", "c")]);
    assert_eq!((named.1, &*named.2), (several.1, "TEAM_KEYS"));
    check_env(
        &[("OPENAI_API_KEYS", "a,,b")],
        "OPENAI_API_KEYS: providers.openai.api_keys[1]: \
         is empty, or holds spaces at its ends or control characters",
    );
}

#[test]
fn a_route_has_upstreams_fallbacks_rules_and_defaults() {
    let route = |toml: &str| load(toml).unwrap().config.routes.remove("fast").unwrap();
    let least = route("[routes.fast]\nupstreams = ['openai/gpt-5']");
    assert_eq!(least.upstreams, [RouteUpstream { model: "openai/gpt-5".to_owned(), weight: 1 }]);
    assert_eq!((least.continuation, least.cool_down_seconds, least.cool_down_after), (false, 30, 3));
    assert_eq!(least.fallback_codes(), FALLBACK_ON);
    let whole = route(
        "[routes.fast]
        upstreams = [{ model = 'openai/gpt-5', weight = 2 }, 'groq/openai/gpt-oss-120b']
        fallbacks = ['anthropic/claude-haiku-4-5', 'demo/markdown']
        fallback_on = ['rate_limit', 'context_too_long']
        continuation = true
        cool_down_seconds = 0
        cool_down_after = 1
        defaults.system = 'Be brief.'
        defaults.temperature = 1
        defaults.stop = ['a']
        defaults.timeouts.first_token_ms = 5000
        defaults.provider_options.openai.service_tier = 'flex'",
    );
    let models: Vec<&str> = whole.models().collect();
    assert_eq!(models, ["openai/gpt-5", "groq/openai/gpt-oss-120b", "anthropic/claude-haiku-4-5", "demo/markdown"]);
    assert_eq!(whole.fallback_codes().len(), 2);
    assert_eq!((whole.defaults.temperature, whole.defaults.timeouts.first_token_ms), (Some(1.0), Some(5000)));
    assert_eq!(whole.defaults.provider_options["openai"]["service_tier"], "flex");
    assert!(!format!("{whole:?}").contains("brief"));
}

#[test]
fn routes_are_checked() {
    let fast = |line: &str| format!("[routes.fast]\nupstreams = ['openai/gpt-5']\n{line}");
    check(
        "[routes.fast]",
        "tokenwire.toml:1: routes.fast.upstreams: expected at least one `provider/model`\n  \
         for example `upstreams = [\"openai/gpt-5\"]`",
    );
    check(
        "[routes.openai]\nupstreams = ['openai/gpt-5']",
        "tokenwire.toml:1: routes.openai: is the name of a provider\n  give the route another name",
    );
    check(
        "[routes.'my route']\nupstreams = ['openai/gpt-5']",
        "tokenwire.toml:1: routes.my route: \
         expected a name of letters, digits, `-`, `_`, `.`, `:`, `/`, `@` and `+`",
    );
    check(
        &fast("fallbacks = ['slow']"),
        "tokenwire.toml:3: routes.fast.fallbacks[0]: expected `provider/model`\n  \
         a route does not lead to a route: name the provider, too",
    );
    check(
        &fast("fallbacks = ['antropic/claude']"),
        "tokenwire.toml:3: routes.fast.fallbacks[0]: no provider `antropic` is known\n  did you mean `anthropic`?",
    );
    check(
        &fast("fallbacks = ['somewhere/else']"),
        "tokenwire.toml:3: routes.fast.fallbacks[0]: no provider `somewhere` is known\n  \
         add a section `[providers.somewhere]`",
    );
    check(
        &fast("fallbacks = ['openai/gpt-5']"),
        "tokenwire.toml:3: routes.fast.fallbacks[0]: is the same as `routes.fast.upstreams[0]`",
    );
    check(
        "[routes.fast]\nupstreams = [{ model = 'openai/gpt-5', weight = 0 }]",
        "tokenwire.toml:2: routes.fast.upstreams[0].weight: expected 1 to 1000000, not 0",
    );
    check(
        "[routes.fast]\nupstreams = [{ model = 'openai/gpt-5', wait = 1 }]",
        "tokenwire.toml:2: routes.fast.upstreams[0].wait: is not a key\n  known here: model, weight",
    );
    check(
        "[routes.fast]\nupstreams = [3]",
        "tokenwire.toml:2: routes.fast.upstreams[0]: \
         expected \"provider/model\" or { model = \"provider/model\", weight = 1 }, not 3",
    );
    check(
        &fast("fallback_on = ['rate_limits']"),
        "tokenwire.toml:3: routes.fast.fallback_on[0]: \
         is no code of an error after which somebody else can be asked\n  did you mean `rate_limit`?",
    );
    check(&fast("cool_down_after = 0"), "tokenwire.toml:3: routes.fast.cool_down_after: expected 1 to 1000, not 0");
    check(
        &fast("cool_down_seconds = -1"),
        "tokenwire.toml:3: routes.fast.cool_down_seconds: expected a whole number, not -1",
    );
    check(
        &fast("defaults = { temperature = 3, tempo = 1 }"),
        "tokenwire.toml:3: routes.fast.defaults.tempo: is not a key\n  known here: system, temperature, top_p, top_k, \
         presence_penalty, frequency_penalty, max_tokens, stop, seed, response_format, reasoning_effort, \
         reasoning_budget, parallel_tool_calls, timeouts, provider_options",
    );
    check(
        &fast("defaults = { temperature = 3, timeouts = { idle_ms = 9999999999 } }"),
        "tokenwire.toml:3: routes.fast.defaults.temperature: expected a number from 0 to 2\n\
         tokenwire.toml:3: routes.fast.defaults.timeouts.idle_ms: expected 1 to 3600000, which is `timeouts.limit_ms`",
    );
    check(
        &fast("defaults = { provider_options = { service_tier = 'flex' } }"),
        "tokenwire.toml:3: routes.fast.defaults.provider_options.service_tier: \
         expected the fields of one provider, by its name",
    );
    load("[routes.'openai/gpt-5']\nupstreams = ['openai/gpt-5']").unwrap();
    let own = "[routes.fast]\nupstreams = ['own/m']";
    assert!(load(own).is_err());
    Loader::new().toml(own).own_provider("own").load().unwrap();
}

#[test]
fn a_route_may_come_from_the_environment() {
    let variables = env(&[
        ("TOKENWIRE_ROUTES_BEST_OF_ALL_UPSTREAMS", "openai/gpt-5, demo/markdown"),
        ("TOKENWIRE_ROUTES_GPT_5_CONTINUATION", "true"),
        ("TOKENWIRE_ROUTES_GPT_5_COOL_DOWN_SECONDS", "5"),
    ]);
    let loaded = Loader::new().toml("[routes.'gpt-5']\nupstreams = ['openai/gpt-5']").env(variables).load().unwrap();
    let routes = &loaded.config.routes;
    assert_eq!(routes["best-of-all"].models().collect::<Vec<_>>(), ["openai/gpt-5", "demo/markdown"]);
    assert!(routes["gpt-5"].continuation && routes["gpt-5"].cool_down_seconds == 5);
    check_env(
        &[("TOKENWIRE_ROUTES_FAST_UPSTREAMS", "opnai/gpt-5")],
        "TOKENWIRE_ROUTES_FAST_UPSTREAMS: routes.fast.upstreams[0]: no provider `opnai` is known\n  \
         did you mean `openai`?",
    );
}

#[test]
fn prices_are_checked() {
    let config = load("[prices.'openai/gpt-5*']\ninput = 1.25\noutput = 10\ncached = 0.125").unwrap().config;
    let price = config.prices["openai/gpt-5*"];
    assert_eq!((price.input, price.output, price.cached, price.cache_write), (1.25, 10.0, Some(0.125), None));
    load("[prices.'*']\ninput = 0\noutput = 0\n[prices.'groq/*']\ninput = 0\noutput = 0").unwrap();
    let expected = "expected `provider/model`, or the beginning of it and a `*`\n  \
         for example `[prices.\"openai/gpt-5*\"]`";
    for name in ["gpt-5", "openai/", "openai/*-mini", "/x"] {
        check(
            &format!("[prices.'{name}']\ninput = 1\noutput = 1"),
            &format!("tokenwire.toml:1: prices.{name}: {expected}"),
        );
    }
    check("[prices.'a/b']\ninput = 1", "tokenwire.toml:1: prices.a/b.output: is missing");
    check("[prices.'a/b']\ninput = 'x'", "tokenwire.toml:2: prices.a/b.input: expected a number, not text");
    check(
        "[prices.'a/b']\ninput = -1\noutput = nan",
        "tokenwire.toml:2: prices.a/b.input: expected a price per million tokens, 0 or more\n\
         tokenwire.toml:3: prices.a/b.output: expected a price per million tokens, 0 or more",
    );
}

#[test]
fn an_mcp_server_is_a_command_or_a_url() {
    let mcp = |toml: &str| load(toml).unwrap().config.mcp.remove("files").unwrap();
    let least = mcp("[mcp.files]\ncommand = 'npx'");
    assert_eq!((least.timeout_seconds, least.enabled, &*least.prefix("files")), (60, true, "files_"));
    assert!(least.offers("anything"));
    assert_eq!(least.approval.of("anything"), ApprovalPolicy::Never);
    let whole = mcp("[mcp.files]
        url = 'https://mcp.example.com/mcp'
        bearer_token = 'secret'
        headers.x-team = 'a'
        prefix = ''
        tools = ['read_*', 'write']
        approval = { 'read_*' = 'never', read_secret = 'always', 'read_secret*' = 'never' }
        timeout_seconds = 5
        enabled = false");
    assert_eq!((whole.timeout_seconds, whole.enabled, &*whole.prefix("files")), (5, false, ""));
    assert!(whole.offers("read_file") && whole.offers("write") && !whole.offers("write_all"));
    for (name, policy) in [
        ("read_file", ApprovalPolicy::Never),
        ("read_secret", ApprovalPolicy::Always),
        ("read_secrets", ApprovalPolicy::Never),
        ("write", ApprovalPolicy::Always),
    ] {
        assert_eq!(whole.approval.of(name), policy, "{name}");
    }
    assert!(!format!("{whole:?}").contains("secret'") && !format!("{whole:?}").contains("mcp.example.com"));
}

#[test]
fn mcp_servers_are_checked() {
    let files = |line: &str| format!("[mcp.files]\ncommand = 'npx'\n{line}");
    check(
        "[mcp.files]",
        "tokenwire.toml:1: mcp.files: expected `command` or `url`\n  \
         for example `command = \"npx\"` or `url = \"https://mcp.example.com/mcp\"`",
    );
    load("[mcp.files]\nenabled = false").unwrap();
    check(&files("url = 'http://a'"), "tokenwire.toml:1: mcp.files: expected either `command` or `url`, not both");
    check(
        "[mcp.Files]\ncommand = 'npx'",
        "tokenwire.toml:1: mcp.Files: expected a name of 1 to 32 lower-case letters, digits, `-` and `_`",
    );
    check(
        "[mcp.files]\ncommand = 'npx -y server'",
        "tokenwire.toml:2: mcp.files.command: expected the program alone\n  put its arguments into `args = [\"...\"]`",
    );
    check(&files("headers.x = 'a'"), "tokenwire.toml:3: mcp.files.headers: belongs to a server with `url`");
    check(
        "[mcp.files]\nurl = 'http://a/mcp'\nargs = ['a']",
        "tokenwire.toml:3: mcp.files.args: belongs to a server with `command`",
    );
    check(
        "[mcp.files]\nurl = 'mcp.example.com'",
        "tokenwire.toml:2: mcp.files.url: expected a URL that begins with `http://` or `https://`\n  \
         for example `https://mcp.example.com/mcp`",
    );
    check(
        "[mcp.files]\nurl = 'http://a/mcp'\nheaders.Mcp-Session-Id = 'a'",
        "tokenwire.toml:3: mcp.files.headers.Mcp-Session-Id: is a header that the transport sets itself",
    );
    check(
        "[mcp.files]\nurl = 'http://a/mcp'\nbearer_token = 'a'\nheaders.Authorization = 'b'",
        "tokenwire.toml:4: mcp.files.headers.Authorization: expected either this or `bearer_token`, not both",
    );
    check(
        &files("pass_env = ['A=b']"),
        "tokenwire.toml:3: mcp.files.pass_env[0]: expected a variable's name alone\n  \
         a value of its own belongs into `env`",
    );
    check(
        &files("prefix = 'my files/'"),
        "tokenwire.toml:3: mcp.files.prefix: expected at most 32 letters, digits, `-` and `_`",
    );
    let pattern = "expected a tool's name, or the beginning of it and a `*`\n  for example `read_*`";
    check(&files("tools = ['a', '*_file']"), &format!("tokenwire.toml:3: mcp.files.tools[1]: {pattern}"));
    check(&files("approval = { '' = 'never' }"), &format!("tokenwire.toml:3: mcp.files.approval.: {pattern}"));
    check(
        &files("approval = 'sometimes'"),
        "tokenwire.toml:3: mcp.files.approval: \
         expected `always`, `never` or a table such as { \"read_*\" = \"never\", \"*\" = \"always\" }, not text",
    );
    check(
        &files("approval = { read = true }"),
        "tokenwire.toml:3: mcp.files.approval.read: expected `always` or `never`, not `true` or `false`",
    );
    check(&files("timeout_seconds = 0"), "tokenwire.toml:3: mcp.files.timeout_seconds: expected 1 to 86400, not 0");
    check(&files("comand = 'a'"), "tokenwire.toml:3: mcp.files.comand: is not a key\n  did you mean `command`?");
    check(
        "[mcp.a]\ncommand = 'x'\nprefix = ''\n[mcp.b]\ncommand = 'y'\nprefix = ''",
        "tokenwire.toml:4: mcp.b: its tools have the same prefix as those of `mcp.a`\n  give one of them another `prefix`",
    );
}

#[test]
fn an_mcp_server_may_come_from_the_environment() {
    let variables = env(&[
        ("TOKENWIRE_MCP_MY_FILES_COMMAND", "npx"),
        ("TOKENWIRE_MCP_MY_FILES_ARGS", "-y, server"),
        ("TOKENWIRE_MCP_MY_FILES_APPROVAL", "always"),
        ("TOKENWIRE_MCP_TICKETS_BEARER_TOKEN", "secret"),
        ("TOKENWIRE_MCP_TICKETS_TIMEOUT_SECONDS", "7"),
    ]);
    let loaded = Loader::new().toml("[mcp.tickets]\nurl = 'http://a/mcp'").env(variables).load().unwrap();
    let files = &loaded.config.mcp["my-files"];
    assert_eq!((files.command.as_deref(), files.args.len()), (Some("npx"), 2));
    assert_eq!(files.approval, McpApproval::All(ApprovalPolicy::Always));
    let tickets = &loaded.config.mcp["tickets"];
    assert_eq!((tickets.bearer_token.as_deref(), tickets.timeout_seconds), (Some("secret"), 7));
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = "hunter2-hunter2-hunter2";
    let wrong = [
        format!("[[auth.keys]]\nprincipal = 'a'\nsha256 = '{secret}'"),
        format!("[[auth.keys]]\nprincipal = 'a'\nkey = '{secret}"),
        format!("[[auth.keys]]\nprincipal = 'a'\nkey = ['{secret}']"),
        format!("[[auth.keys]]\nprincipal = 'a'\nkey = {secret}"),
        format!("[auth]\nkeys = '{secret}'"),
        format!("[auth]\nkeys = ['{secret}']"),
        format!("[providers.openai]\napi_key_env = '{secret}'"),
        format!("[providers.openai]\napi_key = ['{secret}']"),
        format!("[providers.openai]\napi_keys = '{secret}'"),
        format!("[providers.openai]\napi_keys = ['{secret} ']"),
        format!("[providers.openai]\napi_keys = [['{secret}']]"),
        format!("[providers.openai]\nenabled = '{secret}'"),
        format!("[providers]\nopenai = '{secret}'"),
        format!("[providers.openai]\nbase_url = '{secret}'"),
        format!("[providers.openai]\nheaders = '{secret}'"),
        format!("[providers.openai]\nheaders.authorization = '{secret}\\u0007'"),
        format!("[mcp.a]\ncommand = 'x'\nbearer_token = '{secret}'"),
        format!("[mcp.a]\nurl = '{secret}'"),
        format!("[mcp.a]\nurl = 'http://a'\nheaders.authorization = '{secret}\\u0007'"),
        format!("[mcp.a]\ncommand = 'x'\nargs = '{secret}'"),
        format!("[mcp.a]\ncommand = 'x'\nenv = {{ A = ['{secret}'] }}"),
        format!("listen = '{secret}'"),
        format!("workers = '{secret}'"),
    ];
    for toml in wrong {
        let Err(error) = load(&toml) else { continue };
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{error}");
    }
    let right = format!(
        "[[auth.keys]]\nprincipal='a'\nkey='{secret}'\n[providers.openai]\napi_key='{secret}'\nheaders.x='{secret}'\n\
         [mcp.a]\ncommand='x'\nargs=['{secret}']\nenv.A='{secret}'\n[mcp.b]\nurl='http://a:{secret}@b/mcp'\nbearer_token='{secret}'"
    );
    let loaded = load(&right).unwrap();
    assert!(!format!("{loaded:?}{:?}", loaded.config.scalars()).contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Loader::new().file("no/such.toml").load().unwrap_err().to_string();
    assert_eq!(
        error,
        "no/such.toml: cannot be read: No such file or directory (os error 2)\n  \
         name another file with `--config FILE` or TOKENWIRE_CONFIG"
    );
}

#[test]
fn second_variables_of_vendors_are_read_after_the_first() {
    let load = |toml: &str, variables: &[(&str, &str)]| {
        Loader::new().toml(toml).env(env(variables)).load().unwrap().config.providers
    };
    let key = |variables: &[(&str, &str)]| load("", variables)["cohere"].api_key.clone().unwrap();
    assert_eq!(key(&[("COHERE_API_KEY", "second")]), "second");
    assert_eq!(key(&[("COHERE_API_KEY", "second"), ("CO_API_KEY", "first")]), "first");
    let named = load("[providers.cohere]\napi_key_env = 'TEAM'", &[("COHERE_API_KEY", "second")]);
    assert_eq!(named["cohere"].api_key, None);

    let url = |toml: &str, variables: &[(&str, &str)]| load(toml, variables)["ollama"].base_url.clone().unwrap();
    let host = ("OLLAMA_HOST", "0.0.0.0:1");
    assert_eq!(url("", &[host]), "http://127.0.0.1:1");
    assert_eq!(url("", &[host, ("OLLAMA_BASE_URL", "http://gpu:2")]), "http://gpu:2");
    assert_eq!(url("[providers.ollama]\nbase_url = 'http://gpu:3'", &[host]), "http://gpu:3");
}
