//! `tokenwire check`: what the configuration comes to.

use std::fmt::Write as _;

use tokenwire::{
    config::{Config, Loaded, McpApproval, McpConfig, Origin, RouteConfig, RouteUpstream, is_loopback},
    provider::{
        candidates, registry,
        vendors::{Credentials, vendor},
    },
};

use super::{ConfigArgs, Failure, print};

/// Check the configuration and show what it comes to
///
/// Reads it as `serve` would: file, environment, defaults. Exit code 1 when it is wrong.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let loaded = args.config.loader().load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print(&report(&loaded));
    Ok(())
}

fn report(loaded: &Loaded) -> String {
    let mut report = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(report, "{name:<10} {value}");
    };
    line("config", config_line(loaded));
    line("listen", loaded.config.listen.to_string());
    line("auth", auth_line(&loaded.config));
    let mut on = Vec::new();
    for candidate in candidates(&loaded.config) {
        let name = candidate.name;
        match candidate.provider {
            Ok(_) => {
                line("provider", format!("{name:<12} on   {}", why_on(loaded, &name)));
                on.push(name);
            }
            Err(off) => line("provider", format!("{name:<12} off  {off}")),
        }
    }
    for (name, route) in &loaded.config.routes {
        line("route", format!("{name:<12} {}", route_line(route, &on)));
    }
    for (name, server) in &loaded.config.mcp {
        line("mcp", format!("{name:<12} {}", mcp_line(name, server)));
    }
    let defaults = Config::default().scalars();
    for (key, value) in loaded.config.scalars() {
        match defaults.get(&key) {
            Some(default) if *default != value => {
                line("changed", format!("{key} = {value} ({}; default {default})", loaded.origin(&key)));
            }
            _ => {}
        }
    }
    report.push_str("ok\n");
    report
}

/// What a route leads to. `on` are the providers that are switched on.
fn route_line(route: &RouteConfig, on: &[String]) -> String {
    let named = |model: &str| match model.split_once('/') {
        Some((provider, _)) if on.iter().any(|name| name == provider) => model.to_owned(),
        _ => format!("{model} (off)"),
    };
    let upstreams: Vec<String> = route
        .upstreams
        .iter()
        .map(|RouteUpstream { model, weight }| match route.upstreams.len() {
            1 => named(model),
            _ => format!("{weight} of {}", named(model)),
        })
        .collect();
    let fallbacks = route.fallbacks.iter().map(|model| format!(", then {}", named(model)));
    upstreams.join(" + ") + &fallbacks.collect::<String>()
}

/// What an MCP server is, and which of its tools are offered under which names. Nothing is started for it.
fn mcp_line(name: &str, server: &McpConfig) -> String {
    if !server.enabled {
        return "off  `enabled` is false".to_owned();
    }
    let kind = match &server.command {
        // Its arguments are not shown, nor is a URL: they may hold keys.
        Some(command) => format!("`{command}`"),
        None => "HTTP".to_owned(),
    };
    let tools = match &server.tools {
        None => "all tools".to_owned(),
        Some(patterns) if patterns.is_empty() => "no tools".to_owned(),
        Some(patterns) => format!("tools {}", patterns.join(", ")),
    };
    let approval = match &server.approval {
        McpApproval::All(policy) => policy.as_str(),
        McpApproval::ByTool(_) => "by tool",
    };
    let prefix = server.prefix(name);
    format!("on   {kind}, {tools} as {prefix}*, approval {approval}, {} s per call", server.timeout_seconds)
}

/// Where the key of a provider that is on comes from.
pub(super) fn why_on(loaded: &Loaded, name: &str) -> String {
    let name = registry::section_name(&loaded.config, name);
    let Some(section) = loaded.config.providers.get(name) else { return "built in".to_owned() };
    let base_url = section.base_url.as_ref().map(|_| match loaded.provider_origin(name, "base_url") {
        // The URL itself is not shown: it may hold a password.
        Origin::Code => String::new(),
        origin => format!(", base URL from {origin}"),
    });
    let key = match (&section.api_key, section.api_keys.len()) {
        _ if section.bearer_token.is_some() => {
            format!("token from {}", loaded.provider_origin(name, "bearer_token"))
        }
        (Some(_), _) => format!("key from {}", loaded.provider_origin(name, "api_key")),
        (None, 0) if vendor(name).is_some_and(|vendor| vendor.credentials != Credentials::Key) => {
            "the credentials of its cloud".to_owned()
        }
        (None, 0) => "no key".to_owned(),
        (None, keys) => format!("{keys} keys from {}", loaded.provider_origin(name, "api_keys")),
    };
    key + &base_url.unwrap_or_default()
}

/// The file, or why there is none.
pub(super) fn config_line(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "no file: defaults and environment".to_owned(),
    }
}

/// Who may connect.
pub(super) fn auth_line(config: &Config) -> String {
    match config.auth.keys.len() {
        0 if is_loopback(config.listen) => "off: everybody on this machine may connect".to_owned(),
        0 => "OFF: everybody who reaches the address may connect".to_owned(),
        1 => "on: 1 key".to_owned(),
        keys => format!("on: {keys} keys"),
    }
}
