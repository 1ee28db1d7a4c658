//! Where keys come from. Every fetch has a deadline.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{RequestBuilder, Url};
use serde_json::Value;
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{
    super::{
        Secret,
        connect::{self, Reach},
    },
    Keys, no_keys,
    profile::{self, Profile},
    time,
};

/// How long one answer may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the instance's metadata service may take. Elsewhere nobody answers.
const INSTANCE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a program that prints keys may take. It may ask somebody for a code.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Addresses at which containers get keys without TLS.
const CONTAINER_HOSTS: &[&str] =
    &["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "127.0.0.1", "[::1]"];

/// The variables of the environment, and the region in which identities are exchanged for keys.
pub(super) struct Sources {
    variables: BTreeMap<String, String>,
    region: String,
}

impl Sources {
    pub(super) fn new(variables: &BTreeMap<String, String>, region: &str) -> Self {
        Self { variables: variables.clone(), region: region.to_owned() }
    }

    /// Keys from the first source that has any.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Authentication`] when no source has keys, or one refuses them; [`ErrorCode::Network`] when a
    /// source cannot be reached.
    pub(super) async fn fetch(&self) -> Result<Keys, ErrorInfo> {
        if let (Some(id), Some(secret)) = (self.get("AWS_ACCESS_KEY_ID"), self.get("AWS_SECRET_ACCESS_KEY")) {
            let token = self.get("AWS_SESSION_TOKEN").map(Secret::new);
            return Ok(Keys { id: id.to_owned(), secret: Secret::new(secret), token, expires_at: None });
        }
        if let (Some(file), Some(role)) = (self.get("AWS_WEB_IDENTITY_TOKEN_FILE"), self.get("AWS_ROLE_ARN")) {
            return self.of_identity(Path::new(file), role, self.get("AWS_ROLE_SESSION_NAME")).await;
        }
        if let Some(keys) = self.of_profile().await? {
            return Ok(keys);
        }
        if let Some(keys) = self.of_container().await? {
            return Ok(keys);
        }
        if let Some(keys) = self.of_instance().await? {
            return Ok(keys);
        }
        Err(no_keys("there are no AWS credentials: set AWS_BEARER_TOKEN_BEDROCK, AWS_ACCESS_KEY_ID or AWS_PROFILE"))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file in the folder `.aws` of the user, unless a variable names another one.
    fn file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let home = || self.get("HOME").or(self.get("USERPROFILE")).map(|home| Path::new(home).join(".aws").join(name));
        self.get(variable).map(PathBuf::from).or_else(home)
    }

    async fn of_profile(&self) -> Result<Option<Keys>, ErrorInfo> {
        let files = self.file("AWS_SHARED_CREDENTIALS_FILE", "credentials").zip(self.file("AWS_CONFIG_FILE", "config"));
        let name = self.get("AWS_PROFILE");
        let Some((credentials, config)) = files else { return Ok(None) };
        let Some(profile) = profile::read(name.unwrap_or("default"), &credentials, &config) else {
            // One that is asked for must be there.
            return name.map_or(Ok(None), |_| Err(no_keys("the profile that AWS_PROFILE names does not exist")));
        };
        let get = |key: &str| profile.get(key).map(String::as_str).filter(|value| !value.is_empty());
        if let (Some(file), Some(role)) = (get("web_identity_token_file"), get("role_arn")) {
            return self.of_identity(Path::new(file), role, get("role_session_name")).await.map(Some);
        }
        if let (Some(id), Some(secret), None) =
            (get("aws_access_key_id"), get("aws_secret_access_key"), get("role_arn"))
        {
            let token = get("aws_session_token").map(Secret::new);
            return Ok(Some(Keys { id: id.to_owned(), secret: Secret::new(secret), token, expires_at: None }));
        }
        if let Some(command) = get("credential_process") {
            return of_program(command).await.map(Some);
        }
        match unsupported(&profile) {
            // A default profile is mostly there for its region.
            None if name.is_none() => Ok(None),
            None => Err(no_keys("the profile that AWS_PROFILE names has no keys")),
            Some(what) => Err(no_keys(format!(
                "the AWS profile uses {what}, which is not supported: let its `credential_process` print the keys, \
                 as `aws configure export-credentials --format process` does"
            ))),
        }
    }

    /// Exchanges the token in `file`, which changes now and then, for keys of `role`.
    async fn of_identity(&self, file: &Path, role: &str, session: Option<&str>) -> Result<Keys, ErrorInfo> {
        let token =
            std::fs::read_to_string(file).map_err(|_| no_keys("the AWS web identity token file cannot be read"))?;
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        let usual = format!("https://sts.{}.amazonaws.com{suffix}", self.region);
        let mut form = String::new();
        for (name, value) in [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session.unwrap_or("tokenwire")),
            ("WebIdentityToken", token.trim()),
        ] {
            let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            form.push_str(&format!("{name}={value}&"));
        }
        let request = connect::client(Reach::Anywhere)?
            .post(self.get("AWS_ENDPOINT_URL_STS").unwrap_or(&usual))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.trim_end_matches('&').to_owned());
        let answer = fetch(request, FETCH_TIMEOUT).await?;
        let get = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.trim())
        };
        let keys = || {
            Some(Keys {
                id: get("AccessKeyId")?.to_owned(),
                secret: Secret::new(get("SecretAccessKey")?),
                token: Some(Secret::new(get("SessionToken")?)),
                expires_at: Some(time::parse(get("Expiration")?)?),
            })
        };
        keys().ok_or_else(unreadable)
    }

    async fn of_container(&self) -> Result<Option<Keys>, ErrorInfo> {
        let url = match (
            self.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            self.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ) {
            (Some(path), _) => format!("http://169.254.170.2{path}"),
            (None, Some(url)) => url.to_owned(),
            (None, None) => return Ok(None),
        };
        let is_allowed = Url::parse(&url).is_ok_and(|url| {
            url.scheme() == "https" || url.host_str().is_some_and(|host| CONTAINER_HOSTS.contains(&host))
        });
        if !is_allowed {
            return Err(no_keys("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https: nor an address of this machine"));
        }
        let mut request = connect::client(Reach::Private)?.get(url);
        let token = match self.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => std::fs::read_to_string(file)
                .map(Some)
                .map_err(|_| no_keys("the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read"))?,
            None => self.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
        };
        if let Some(token) = token {
            request = request.header("authorization", token.trim());
        }
        of_json(&fetch(request, FETCH_TIMEOUT).await?).map(Some)
    }

    /// Asks EC2's metadata service, in its second version: a token first.
    async fn of_instance(&self) -> Result<Option<Keys>, ErrorInfo> {
        if self.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let place = self.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
        let place = format!("{}/latest", place.trim_end_matches('/'));
        let client = connect::client(Reach::Private)?;
        let token = client.put(format!("{place}/api/token")).header("x-aws-ec2-metadata-token-ttl-seconds", "300");
        // Nobody answers: this is no instance.
        let Ok(token) = fetch(token, INSTANCE_TIMEOUT).await else { return Ok(None) };
        let get = async |path: &str| {
            let request = client.get(format!("{place}/meta-data/iam/security-credentials/{path}"));
            fetch(request.header("x-aws-ec2-metadata-token", token.trim()), INSTANCE_TIMEOUT).await
        };
        let roles = get("").await.map_err(|_| no_keys("this EC2 instance has no role"))?;
        let role = roles.lines().next().unwrap_or_default().trim();
        of_json(&get(role).await?).map(Some)
    }
}

/// What a profile without keys of its own uses instead.
fn unsupported(profile: &Profile) -> Option<&'static str> {
    if profile.keys().any(|key| key.starts_with("sso_")) {
        Some("single sign-on")
    } else if profile.contains_key("role_arn") {
        Some("a role that is assumed with other keys")
    } else {
        profile.contains_key("login_session").then_some("a login in the console")
    }
}

/// Runs a program of the user's choice, in the shell that they wrote it for.
async fn of_program(command: &str) -> Result<Keys, ErrorInfo> {
    let (shell, flag) = if cfg!(windows) { ("cmd.exe", "/C") } else { ("sh", "-c") };
    let program = tokio::process::Command::new(shell)
        .args([flag, command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PROGRAM_TIMEOUT, program).await {
        Ok(Ok(output)) if output.status.success() => of_json(&String::from_utf8_lossy(&output.stdout)),
        Ok(_) => Err(no_keys("the `credential_process` of the AWS profile failed")),
        Err(_) => Err(no_keys("the `credential_process` of the AWS profile took too long")),
    }
}

/// Keys as containers, instances and programs give them.
fn of_json(text: &str) -> Result<Keys, ErrorInfo> {
    let answer: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    let get = |name: &str| answer[name].as_str().filter(|value| !value.is_empty());
    let (Some(id), Some(secret)) = (get("AccessKeyId"), get("SecretAccessKey")) else { return Err(unreadable()) };
    let token = get("SessionToken").or_else(|| get("Token"));
    // Some of them give a number.
    let seconds = || answer["Expiration"].as_f64().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds as u64));
    let expires_at: Option<SystemTime> = get("Expiration").and_then(time::parse).or_else(seconds);
    Ok(Keys { id: id.to_owned(), secret: Secret::new(secret), token: token.map(Secret::new), expires_at })
}

/// The text of an answer that is good.
async fn fetch(request: RequestBuilder, limit: Duration) -> Result<String, ErrorInfo> {
    let fetching = async {
        let mut response = request.send().await.map_err(connect::transport)?;
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(connect::transport)? {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(unreadable());
            }
        }
        match response.status().as_u16() {
            200..300 => String::from_utf8(body).map_err(|_| unreadable()),
            status @ (429 | 500..) => {
                let message = format!("AWS credentials could not be fetched: status {status}");
                Err(ErrorInfo::new(ErrorCode::Network, message))
            }
            status => Err(no_keys(format!("AWS credentials were refused with status {status}"))),
        }
    };
    match tokio::time::timeout(limit, fetching).await {
        Ok(answer) => answer,
        Err(_) => Err(ErrorInfo::new(ErrorCode::Network, "fetching AWS credentials took too long")),
    }
}

fn unreadable() -> ErrorInfo {
    no_keys("an answer that should hold AWS credentials does not")
}
