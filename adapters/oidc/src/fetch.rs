//! One HTTP request and its answer, with limits.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::http::{Request, Response};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::settings::OpenError;

/// The longest a whole exchange may take.
const WHOLE: Duration = Duration::from_secs(10);
/// The longest a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest body that is read.
const LONGEST: usize = 1024 * 1024;

/// Why there is no answer to use. It names the host and the kind of failure, nothing of what was sent or answered.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {kind}")]
pub(crate) struct FetchError {
    host: String,
    kind: Kind,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("no connection ({0})")]
    Unreachable(String),
    #[error("no complete answer within 10 seconds")]
    TimedOut,
    #[error("the exchange broke off ({0})")]
    Broken(String),
    #[error("status {0}")]
    Status(u16),
    #[error("a redirect (status {0}), which is not followed")]
    Redirected(u16),
    #[error("an answer of more than 1 MiB")]
    TooLong,
    #[error("an answer that is not the JSON that belongs there")]
    Unreadable,
    #[error("a document of another issuer")]
    OtherIssuer,
    #[error("a document that names an address without https")]
    NotHttps,
    #[error("a request that cannot be sent")]
    Unsendable,
}

/// Sends requests to a provider. Redirects are never followed: a code or a secret goes where it was meant to go.
#[derive(Clone)]
pub(crate) struct Fetch(Client);

impl Fetch {
    pub(crate) fn new() -> Result<Self, OpenError> {
        let client = Client::builder()
            // Some providers refuse whoever does not name themselves.
            .user_agent(concat!("opentaco/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(WHOLE)
            .connect_timeout(CONNECT);
        client.build().map(Self).map_err(|error| OpenError::Client(innermost(&error)))
    }

    /// Sends a request; answers of every status but redirects and those that say "not now".
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.exchange(request).await.map_err(|kind| FetchError { host, kind })
    }

    /// Sends a request and reads the JSON of its answer, which must have status 200.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: HttpRequest) -> Result<T, FetchError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.send(request).await?;
        let read = if answer.status() == StatusCode::OK {
            serde_json::from_slice(answer.body()).map_err(|_| Kind::Unreadable)
        } else {
            Err(Kind::Status(answer.status().as_u16()))
        };
        read.map_err(|kind| FetchError { host, kind })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, Kind> {
        let request = reqwest::Request::try_from(request).map_err(|_| Kind::Unsendable)?;
        let mut answer = self.0.execute(request).await.map_err(Kind::of)?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(Kind::Redirected(status.as_u16()));
        }
        if is_passing(status.as_u16()) {
            return Err(Kind::Status(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(Kind::of)? {
            if body.len() + chunk.len() > LONGEST {
                return Err(Kind::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl FetchError {
    pub(crate) fn new(url: &Url, kind: Kind) -> Self {
        Self { host: url.host_str().unwrap_or_default().to_owned(), kind }
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self.kind {
            Kind::Unreachable(_) | Kind::TimedOut | Kind::Broken(_) => true,
            Kind::Status(status) => is_passing(status),
            _ => false,
        }
    }
}

impl Kind {
    fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_builder() {
            Self::Unsendable
        } else if error.is_connect() {
            Self::Unreachable(innermost(&error.without_url()))
        } else {
            Self::Broken(innermost(&error.without_url()))
        }
    }
}

/// A GET for JSON.
pub(crate) fn get(url: &Url) -> HttpRequest {
    let mut request = Request::new(Vec::new());
    // What the `url` crate accepts and this one does not cannot be sent; the empty address that stays says so.
    if let Ok(uri) = url.as_str().parse() {
        *request.uri_mut() = uri;
    }
    let json = reqwest::header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(reqwest::header::ACCEPT, json);
    request
}

fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The cause behind all others, such as "connection refused" or what is wrong with a certificate.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
