//! Forms and queries as decoded pairs; what a parameter means is the domain's business.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;

use crate::body;

/// The longest form, in bytes.
const LIMIT: usize = 64 * 1024;

/// Decoded pairs, in the order they came.
pub(crate) type Pairs = Vec<(String, String)>;

/// The pairs of the query.
pub(crate) fn query(request: &HttpRequest) -> Pairs {
    serde_urlencoded::from_str(request.query_string()).unwrap_or_default()
}

/// The pairs of a form in the body, or why there are none.
pub(crate) async fn read(request: &HttpRequest, payload: Payload) -> Result<Pairs, String> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err("the body must be application/x-www-form-urlencoded".to_owned());
    }
    let body = body::read(request, payload, LIMIT).await.map_err(|refused| refused.to_string())?;
    serde_urlencoded::from_bytes(&body.into_parts().0).map_err(|_| "the body is not a form".to_owned())
}
