//! Whether the process lives, and whether it can serve.

use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpResponse, web};

use crate::Doors;

const TEXT: &str = "text/plain; charset=utf-8";

/// The process lives.
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body("ok\n")
}

/// Storage answers, and the server is not stopping.
pub(crate) async fn ready(doors: web::Data<Doors>) -> HttpResponse {
    match (doors.ready)() {
        Ok(()) => alive().await,
        Err(reason) => HttpResponse::ServiceUnavailable()
            .content_type(TEXT)
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((RETRY_AFTER, "1"))
            .body(format!("{reason}\n")),
    }
}
