//! The public keys of this installation (RFC 7517).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::Doors;

/// Every key whose signatures are accepted, the one that signs first (RFC 8037).
pub(crate) async fn jwks(doors: web::Data<Doors>) -> HttpResponse {
    let keys: Vec<Value> = doors
        .signer
        .public_keys()
        .into_iter()
        .map(|key| {
            let x = BASE64URL_NOPAD.encode(&key.key);
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": x})
        })
        .collect();
    HttpResponse::Ok()
        .insert_header(("content-type", "application/json"))
        // Short, so that a key that was added is known before it signs.
        .insert_header((CACHE_CONTROL, "public, max-age=60"))
        .body(json!({"keys": keys}).to_string())
}
