//! What is measured: a gateway in a process of its own, or none.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{Result, client::Speech, process};

/// How long a target may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// What stands between the clients and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Kind {
    /// The server of this repository.
    Tokenwire,
    /// Another build of it, given with `--before`.
    Before,
    /// The unparsing WebSocket relay of `relay.rs`.
    Relay,
    /// nginx, passing the SSE stream through unparsed.
    Nginx,
    /// Nothing: the clients read the upstream's SSE stream.
    Direct,
}

impl Kind {
    /// Every kind, in the order in which they take turns.
    pub const ALL: &[Self] = &[Self::Tokenwire, Self::Before, Self::Relay, Self::Nginx, Self::Direct];
    /// Those that serve WebSockets.
    pub const WEB_SOCKET: &[Self] = &[Self::Tokenwire, Self::Before, Self::Relay];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenwire => "tokenwire",
            Self::Before => "before",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Direct => "direct",
        }
    }
}

/// A target that is running. It ends when this is dropped.
pub struct Target {
    /// Which.
    pub kind: Kind,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Its processes; none for [`Kind::Direct`].
    pub pids: Vec<u32>,
    child: Option<Child>,
    nginx_prefix: Option<PathBuf>,
}

impl Target {
    /// Starts a target in front of `upstream`. `server` is the executable of the kinds that are tokenwire.
    pub fn start(kind: Kind, upstream: SocketAddr, server: &Path) -> Result<Self> {
        match kind {
            Kind::Direct => Ok(Self { kind, address: upstream, pids: Vec::new(), child: None, nginx_prefix: None }),
            Kind::Tokenwire | Kind::Before => {
                let mut command = Command::new(server);
                command
                    .args(["serve", "--listen", "127.0.0.1:0"])
                    .env("OPENAI_BASE_URL", format!("http://{upstream}/v1"))
                    .env("OPENAI_API_KEY", "x");
                Self::start_printing(kind, command)
            }
            Kind::Relay => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["relay", "--upstream", &format!("http://{upstream}")]);
                Self::start_printing(kind, command)
            }
            Kind::Nginx => Self::start_nginx(upstream),
        }
    }

    /// Starts a server that prints its address.
    fn start_printing(kind: Kind, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
        let pids = vec![child.id()];
        let stdout = child.stdout.take();
        let (found, address) = mpsc::channel();
        // Reads to the end, so that the server never waits for somebody to take its words.
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(|line| line.ok())
            {
                if let Some(address) = printed_address(&line) {
                    let _ = found.send(address);
                }
            }
        });
        let mut target =
            Self { kind, address: ([127, 0, 0, 1], 0).into(), pids, child: Some(child), nginx_prefix: None };
        target.address =
            address.recv_timeout(START_TIMEOUT).map_err(|_| format!("{} did not print its address", kind.name()))?;
        Ok(target)
    }

    fn start_nginx(upstream: SocketAddr) -> Result<Self> {
        let prefix = std::env::temp_dir().join(format!("tokenwire-load-nginx-{}", std::process::id()));
        fs::create_dir_all(&prefix)?;
        // nginx cannot choose a free port by itself.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        fs::File::create(prefix.join("nginx.conf"))?.write_all(nginx_config(address, upstream).as_bytes())?;
        let child = nginx(&prefix).spawn().map_err(|error| format!("cannot start nginx: {error}"))?;
        let pid = child.id();
        let mut target =
            Self { kind: Kind::Nginx, address, pids: Vec::new(), child: Some(child), nginx_prefix: Some(prefix) };
        let started_at = Instant::now();
        while TcpStream::connect(address).is_err() || process::children(pid).len() < NGINX_WORKERS {
            if started_at.elapsed() > START_TIMEOUT {
                return Err("nginx does not listen".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        target.pids = process::children(pid);
        target.pids.push(pid);
        Ok(target)
    }

    /// How clients speak to it.
    pub fn speech(&self) -> Speech {
        match self.kind {
            Kind::Tokenwire | Kind::Before => Speech::Tokenwire,
            Kind::Relay => Speech::Relay,
            Kind::Nginx | Kind::Direct => Speech::Sse,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // nginx's master must end its workers itself.
        if let Some(prefix) = &self.nginx_prefix {
            let _ = nginx(prefix).args(["-s", "stop"]).status();
        } else if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
        if let Some(prefix) = &self.nginx_prefix {
            let _ = fs::remove_dir_all(prefix);
        }
    }
}

/// Whether nginx is installed.
pub fn has_nginx() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn printed_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|byte: char| !byte.is_ascii_digit() && byte != '.' && byte != ':').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

const NGINX_WORKERS: usize = 2;

fn nginx(prefix: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(prefix).args(["-c", "nginx.conf", "-e", "error.log"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn nginx_config(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "daemon off;
worker_processes {NGINX_WORKERS};
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 9000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    tcp_nodelay on;
    upstream model {{
        server {upstream};
        keepalive 64;
    }}
    server {{
        listen {address} backlog=4096;
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"
    )
}
