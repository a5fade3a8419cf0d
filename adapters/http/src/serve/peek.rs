//! The first byte of a connection decides which service gets it.

use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
use actix_service::{Service, ServiceFactory};
use futures_core::future::LocalBoxFuture;
use tokio::net::TcpStream;

/// First byte of every TLS connection: the content type of a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// How long a client may stay silent after connecting.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// Makes the service for one protocol.
pub(super) trait Door:
    ServiceFactory<
        TcpStream,
        Config = (),
        Response = (),
        Error = (),
        InitError = (),
        Service: Service<TcpStream, Response = (), Error = (), Future: 'static> + 'static,
        Future: 'static,
    >
{
}

impl<D> Door for D where
    D: ServiceFactory<
            TcpStream,
            Config = (),
            Response = (),
            Error = (),
            InitError = (),
            Service: Service<TcpStream, Response = (), Error = (), Future: 'static> + 'static,
            Future: 'static,
        >
{
}

/// The factories of one listener; at least one of the two is there.
pub(super) struct Doors<H, S> {
    http: Option<H>,
    https: Option<S>,
    drain: GracefulShutdownSignal,
}

impl<H, S> Doors<H, S> {
    pub(super) fn new(http: Option<H>, https: Option<S>, drain: GracefulShutdownSignal) -> Self {
        Self { http, https, drain }
    }
}

impl<H: Door, S: Door> ServiceFactory<TcpStream> for Doors<H, S> {
    type Response = ();
    type Error = ();
    type Config = ();
    type Service = Peek<H::Service, S::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let http = self.http.as_ref().map(|factory| factory.new_service(()));
        let https = self.https.as_ref().map(|factory| factory.new_service(()));
        let drain = self.drain.clone();
        Box::pin(async move { Ok(Peek { http: made(http).await?, https: made(https).await?, drain }) })
    }
}

async fn made<S>(service: Option<impl Future<Output = Result<S, ()>>>) -> Result<Option<Rc<S>>, ()> {
    match service {
        Some(service) => service.await.map(|service| Some(Rc::new(service))),
        None => Ok(None),
    }
}

/// Hands each connection to the service its first byte asks for.
pub(super) struct Peek<H, S> {
    http: Option<Rc<H>>,
    https: Option<Rc<S>>,
    drain: GracefulShutdownSignal,
}

impl<H, S> Service<TcpStream> for Peek<H, S>
where
    H: Service<TcpStream, Response = (), Error = (), Future: 'static> + 'static,
    S: Service<TcpStream, Response = (), Error = (), Future: 'static> + 'static,
{
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    /// Both are asked, because the TLS service uses readiness to limit handshakes under way.
    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        if let Some(http) = &self.http {
            ready!(http.poll_ready(context))?;
        }
        if let Some(https) = &self.https {
            ready!(https.poll_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&self, stream: TcpStream) -> Self::Future {
        let (http, https, drain) = (self.http.clone(), self.https.clone(), self.drain.clone());
        Box::pin(async move {
            let Some(first) = first_byte(&stream, &drain).await else { return Ok(()) };
            match (http, https) {
                (_, Some(https)) if first == TLS_HANDSHAKE => https.call(stream).await,
                (Some(http), _) => http.call(stream).await,
                // http on an https port: the handshake refuses it with the alert clients know.
                (None, Some(https)) => https.call(stream).await,
                (None, None) => Ok(()),
            }
        })
    }
}

/// The first byte, left in the socket; `None` when the client is silent, gone, or the server stops.
async fn first_byte(stream: &TcpStream, drain: &GracefulShutdownSignal) -> Option<u8> {
    let mut first = [0];
    tokio::select! {
        // A client that has already spoken is served, also while stopping.
        biased;
        peeked = tokio::time::timeout(FIRST_BYTE, stream.peek(&mut first)) => match peeked {
            Ok(Ok(1)) => Some(first[0]),
            _ => None,
        },
        () = drain.notified() => None,
    }
}
