//! One port that answers https and http: the first byte of a connection tells them apart.
//!
//! A TLS client speaks first and its first byte is `0x16` (a handshake record); no HTTP method starts with it. So
//! each accepted socket is peeked, never read, and handed to one of two actix services in the same worker: no
//! second hop, no copy, and the peer address stays the client's.
//!
//! `actix_web::HttpServer` cannot do this, so this module builds on `actix_server` and sets what `HttpServer`
//! would have set: timeouts, the address handlers see, and the signal that closes idle connections on stop. Three
//! of the calls for that are hidden from actix's documentation (`AppConfig::__priv_test_new` and two
//! `graceful_shutdown_signal`s); the tests of this module would notice if an update changed them.

mod bind;
mod peek;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpServiceBuilder, Request, Response, TlsAcceptorConfig};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{IntoServiceFactory as _, Service, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpRequest, HttpResponse, web};
use rustls::ServerConfig;

pub use self::bind::bind;
use self::peek::{Door, Doors};

/// How long a connection may stay idle between two requests: longer than the 60 seconds usual in load balancers,
/// so that they, and not we, close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take for the head of its first request.
const REQUEST_HEAD: Duration = Duration::from_secs(5);
/// How long a closing connection lingers, so that a client still sending reads the answer, not a reset.
const DISCONNECT: Duration = Duration::from_secs(3);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Threads of each worker for what waits for a disk.
const BLOCKING_THREADS: usize = 64;
/// actix panics outside this range.
const WORKERS: std::ops::RangeInclusive<usize> = 1..=512;

/// Which protocols the port speaks.
#[derive(Clone, Debug)]
pub enum Tls {
    /// http only.
    Off,
    /// https and http on the same port.
    Both(Arc<ServerConfig>),
    /// https only.
    Only(Arc<ServerConfig>),
}

impl Tls {
    fn config(&self) -> Option<&ServerConfig> {
        match self {
            Self::Off => None,
            Self::Both(config) | Self::Only(config) => Some(config),
        }
    }
}

/// What a server needs besides its routes.
#[derive(Debug)]
pub struct Serve {
    /// Sockets that already listen, see [`fn@bind`].
    pub listeners: Vec<TcpListener>,
    /// Which protocols they speak.
    pub tls: Tls,
    /// How long requests in flight may take once `stop` has resolved; rounded up to whole seconds.
    pub drain_timeout: Duration,
    /// Threads that answer; brought into 1 to 512.
    pub workers: usize,
    /// How many connections may be open at once, over all workers; more wait in the backlog.
    pub max_connections: usize,
}

/// Answers requests until `stop` resolves, then drains.
///
/// On stop the sockets close, idle connections close at once, and requests in flight get `drain_timeout` to
/// finish; their answers carry `connection: close`. Signals of the process are the caller's business.
///
/// `configure` runs more than once per worker thread: what handlers share is built outside and cloned in.
/// Needs a running tokio runtime.
///
/// # Errors
/// When a listener cannot be taken over, when there is none, or when a worker cannot start.
pub async fn serve<F>(serve: Serve, configure: F, stop: impl Future<Output = ()>) -> io::Result<()>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let Serve { listeners, tls, drain_timeout, workers, max_connections } = serve;
    let workers = workers.clamp(*WORKERS.start(), *WORKERS.end());
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no socket to listen on"));
    }

    let mut builder = Server::build()
        .workers(workers)
        .max_concurrent_connections((max_connections / workers).max(1))
        // By default each worker gets its share of 512, which is too few where there are many cores.
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .disable_signals()
        .shutdown_timeout(whole_seconds(drain_timeout));
    let drain = builder.graceful_shutdown_signal();
    for listener in listeners {
        let address = listener.local_addr()?;
        let (tls, configure, drain) = (tls.clone(), configure.clone(), drain.clone());
        builder = builder.listen(format!("opentaco {address}"), listener, move || {
            doors(&tls, address, &configure, &drain)
        })?;
    }

    let server = builder.run();
    let handle = server.handle();
    let stopping = async {
        stop.await;
        handle.stop(true).await;
    };
    let (mut server, mut stopping) = (std::pin::pin!(server), std::pin::pin!(stopping));
    tokio::select! {
        ended = &mut server => ended,
        () = &mut stopping => server.await,
    }
}

/// The scheme of the connection itself, `https` or `http`; never what a header or the request line claims.
pub fn scheme(request: &HttpRequest) -> &'static str {
    if request.app_config().secure() { "https" } else { "http" }
}

/// Registers `GET /healthz`, which answers 200 `ok` as long as the process can answer at all.
pub fn healthz(config: &mut ServiceConfig) {
    config.route(
        "/healthz",
        web::get().to(|| async { HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n") }),
    );
}

/// The services behind one listener. Only the ones the setting can reach are built.
fn doors<F>(
    tls: &Tls,
    address: SocketAddr,
    configure: &F,
    drain: &GracefulShutdownSignal,
) -> Doors<impl Door + use<F>, impl Door + use<F>>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let http = match tls {
        Tls::Off | Tls::Both(_) => Some(
            settings(drain)
                .finish(app(false, address, configure.clone()))
                .tcp()
                .map_err(|error| log_end(&error)),
        ),
        Tls::Only(_) => None,
    };
    let https = tls.config().map(|config| {
        // A clone shares the certificate resolver, so a renewed certificate is seen by every worker.
        settings(drain)
            .secure()
            .finish(app(true, address, configure.clone()))
            .rustls_0_23_with_config(
                config.clone(),
                TlsAcceptorConfig::default().handshake_timeout(HANDSHAKE),
            )
            .map_err(|error| log_end(&error))
    });
    Doors::new(http, https, drain.clone())
}

/// What `HttpServer` would have set on either service.
fn settings<T, S>(drain: &GracefulShutdownSignal) -> HttpServiceBuilder<T, S>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    let drain = drain.clone();
    HttpServiceBuilder::default()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(DISCONNECT)
        .tcp_nodelay(true)
        .graceful_shutdown_signal(move || {
            let drain = drain.clone();
            async move { drain.notified().await }
        })
}

/// The routes, told the real scheme of the connections they will see.
fn app<F>(
    secure: bool,
    address: SocketAddr,
    configure: F,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse<BoxBody>,
    Error = HttpResponse<BoxBody>,
    InitError = (),
    Service = impl Service<
        Request,
        Response = ServiceResponse<BoxBody>,
        Error = HttpResponse<BoxBody>,
        Future: 'static,
    >,
    Future: 'static,
>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let app = App::new()
        .configure(configure)
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    map_config(app, move |()| AppConfig::__priv_test_new(secure, address.to_string(), address))
}

/// A connection that ends badly is the client's doing nearly always, so it is worth a debug line only.
fn log_end(error: &impl Debug) {
    tracing::debug!(?error, "connection ended early");
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
