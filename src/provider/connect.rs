//! Connections to providers: the HTTP clients, what they may connect to, their deadline, and what becomes of their errors.

use std::{
    cell::OnceCell,
    error::Error,
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokenwire_protocol::{ErrorCode, ErrorInfo};
use tower_layer::layer_fn;
use tower_service::Service;

use super::{
    BoxFuture,
    guard::{Space, space_of},
};

/// How long an unused connection to a provider is kept. Providers drop theirs after about a minute.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// How often TCP asks whether a silent provider is still there. Long reasoning is silence.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a request that says nothing else may take to connect.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a request may connect to.
///
/// Each has a client of its own, and so connections of its own: one that was opened for the configuration
/// never serves an address that a client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anything, through the proxies of the environment: the configuration says where.
    Anywhere,
    /// Public addresses only.
    Public,
    /// Addresses of the network that this server is in, too.
    Private,
}

/// This thread's client for `reach`. A connection is driven by the thread that opened it, so sharing
/// connections between threads would cost every token a hop; each worker has its own pool.
pub(crate) fn client(reach: Reach) -> Result<Client, ErrorInfo> {
    thread_local! {
        static CLIENTS: [OnceCell<Client>; 3] = const { [const { OnceCell::new() }; 3] };
    }
    CLIENTS.with(|cells| kept(&cells[reach as usize], || builder(reach)))
}

/// This thread's client for requests that become WebSockets, which only those of HTTP/1.1 can.
pub(super) fn upgrade_client() -> Result<Client, ErrorInfo> {
    thread_local! {
        static CLIENT: OnceCell<Client> = const { OnceCell::new() };
    }
    CLIENT.with(|cell| kept(cell, || builder(Reach::Anywhere).http1_only()))
}

/// The client in `cell`, built when it is first asked for.
fn kept(cell: &OnceCell<Client>, builder: impl FnOnce() -> ClientBuilder) -> Result<Client, ErrorInfo> {
    if let Some(client) = cell.get() {
        return Ok(client.clone());
    }
    let client = builder().build().map_err(|error| {
        tracing::error!(%error, "cannot set up the HTTP client");
        ErrorInfo::new(ErrorCode::Internal, "the server cannot set up its HTTP client")
    })?;
    Ok(cell.get_or_init(|| client).clone())
}

fn builder(reach: Reach) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("tokenwire/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the key to another host.
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(TCP_KEEPALIVE)
        .connector_layer(layer_fn(|inner| Connect { inner }));
    let guarded = |builder: ClientBuilder, outermost| {
        // A proxy would look the name up itself, out of the resolver's sight.
        builder.no_proxy().dns_resolver(Resolver { outermost })
    };
    match reach {
        Reach::Anywhere => builder,
        Reach::Public => guarded(builder, Space::Public),
        Reach::Private => guarded(builder, Space::Private),
    }
}

/// Looks names up, and gives none of a name's addresses where one of them is not allowed. What it gives is what
/// is connected to, so that a name cannot lead elsewhere between the check and the connection.
///
/// Addresses that stand in a URL do not pass here: [`guard::check`](super::guard::check) judges them.
struct Resolver {
    /// The space that a name may lead to, besides the public one.
    outermost: Space,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let outermost = self.outermost;
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match addresses.iter().all(|address| space_of(address.ip()) <= outermost) {
                true => Ok(Box::new(addresses.into_iter()) as Addrs),
                false => Err(OutOfReach.into()),
            }
        })
    }
}

/// A name leads to an address that is not allowed.
#[derive(Debug)]
struct OutOfReach;

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that is not allowed")
    }
}

impl Error for OutOfReach {}

tokio::task_local! {
    /// How long the request of this task may take to connect.
    pub(super) static CONNECT_TIMEOUT: Duration;
}

/// A connector that gives up after the deadline of the request that it connects for.
#[derive(Clone)]
struct Connect<S> {
    inner: S,
}

impl<S, R> Service<R> for Connect<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = S::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<S::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let limit = CONNECT_TIMEOUT.try_get().unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectTimedOut.into()),
            }
        })
    }
}

#[derive(Debug)]
struct ConnectTimedOut;

impl fmt::Display for ConnectTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl Error for ConnectTimedOut {}

/// An error of the transport. Its own text may name hosts and addresses, so it goes to the log only.
pub(super) fn transport(error: reqwest::Error) -> ErrorInfo {
    let error = error.without_url();
    let mut cause: Option<&dyn Error> = Some(&error);
    let mut text = String::new();
    let (mut timed_out, mut out_of_reach) = (false, false);
    while let Some(error) = cause {
        timed_out |= error.is::<ConnectTimedOut>();
        out_of_reach |= error.is::<OutOfReach>();
        text = error.to_string();
        cause = error.source();
    }
    tracing::debug!(cause = %text, "transport error");
    if out_of_reach {
        let message = "the host of `upstream.base_url` leads to an address that this server connects to for no client; \
                       whoever runs it can list a host of its own network in `client_upstreams.private_hosts`";
        ErrorInfo::new(ErrorCode::BadField, message).with_field("upstream.base_url")
    } else if timed_out {
        ErrorInfo::new(ErrorCode::ConnectTimeout, "connecting to the provider took too long")
    } else if error.is_connect() {
        ErrorInfo::new(ErrorCode::Network, "cannot connect to the provider")
    } else {
        ErrorInfo::new(ErrorCode::Network, "the connection to the provider broke")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_leads_only_where_it_may() {
        for (name, space) in [
            ("8.8.8.8", Space::Public),
            ("localhost", Space::Private),
            ("10.0.0.1", Space::Private),
            ("fd00::1", Space::Private),
            ("169.254.169.254", Space::Nobodys),
            ("::ffff:169.254.169.254", Space::Nobodys),
            ("fd00:ec2::254", Space::Nobodys),
            ("0.0.0.0", Space::Nobodys),
        ] {
            for outermost in [Space::Public, Space::Private] {
                let Ok(name) = name.parse::<Name>() else { panic!("{name}") };
                let may = Resolver { outermost }.resolve(name).await.map(Iterator::count);
                match space <= outermost {
                    true => assert!(may.is_ok_and(|count| count > 0), "{space:?}, {outermost:?}"),
                    false => assert!(may.is_err_and(|error| error.is::<OutOfReach>()), "{space:?}, {outermost:?}"),
                }
            }
        }
    }
}
