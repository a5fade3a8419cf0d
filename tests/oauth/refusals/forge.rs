//! Tokens made by hand: any header, any claims, any signature.

use std::time::SystemTime;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_compact::{KeyPair, Seed};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An Ed25519 key and the name it goes by.
#[derive(Clone)]
pub struct Key {
    pair: KeyPair,
    kid: String,
}

impl Key {
    /// The key of that name; the same name gives the same key.
    pub fn named(name: &str) -> Self {
        let pair = KeyPair::from_seed(Seed::new(Sha256::digest(name).into()));
        Self { pair, kid: name.to_owned() }
    }

    /// The same key under its RFC 7638 thumbprint.
    pub fn unnamed(self) -> Self {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        Self { kid: BASE64URL_NOPAD.encode(&Sha256::digest(members)), ..self }
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private half, as `openssl genpkey` writes it.
    pub fn pem(&self) -> String {
        self.pair.sk.to_pem()
    }

    /// The public half, as `openssl pkey -pubout` writes it.
    pub fn public_pem(&self) -> String {
        self.pair.pk.to_pem()
    }

    /// The public half.
    pub fn public(&self) -> &[u8] {
        &self.pair.pk[..]
    }

    /// The public half as a JWKS has it.
    pub fn x(&self) -> String {
        BASE64URL_NOPAD.encode(self.public())
    }
}

/// A token in the making.
#[derive(Clone, Debug)]
pub struct Forged {
    header: Value,
    claims: Value,
}

impl Forged {
    /// A token with these claims, as that key signs it for that purpose.
    pub fn new(key: &Key, typ: &str, claims: Value) -> Self {
        Self { header: json!({"alg": "EdDSA", "typ": typ, "kid": key.kid()}), claims }
    }

    /// Another value of a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Without a claim.
    pub fn without(mut self, name: &str) -> Self {
        remove(&mut self.claims, name);
        self
    }

    /// Another value in the header.
    pub fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Without a member of the header.
    pub fn headless(mut self, name: &str) -> Self {
        remove(&mut self.header, name);
        self
    }

    /// Signed with Ed25519, whatever its header says.
    pub fn signed(&self, key: &Key) -> String {
        let input = self.input();
        let signature = key.pair.sk.sign(&input, None);
        format!("{input}.{}", BASE64URL_NOPAD.encode(&signature[..]))
    }

    /// `HS256` with that secret.
    pub fn authenticated(self, secret: &[u8]) -> String {
        let input = self.head("alg", "HS256").input();
        let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&input).finalize();
        format!("{input}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
    }

    /// Without a signature.
    pub fn unsigned(self) -> String {
        format!("{}.", self.head("alg", "none").input())
    }

    fn input(&self) -> String {
        let [header, claims] = [&self.header, &self.claims].map(encoded);
        format!("{header}.{claims}")
    }
}

fn remove(object: &mut Value, name: &str) {
    let members = object.as_object_mut().expect("an object");
    members.remove(name).unwrap_or_else(|| panic!("there is no {name} to leave out"));
}

fn encoded(part: &Value) -> String {
    BASE64URL_NOPAD.encode(part.to_string().as_bytes())
}

/// A part of a token that was signed, changed afterwards.
pub fn with_part(token: &str, part: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[part] = change(&parts[part]);
    parts.join(".")
}

/// The same bytes in the other alphabet, with padding.
pub fn in_base64(part: &str) -> String {
    BASE64.encode(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap())
}

/// One bit further.
pub fn flipped(part: &str) -> String {
    let mut bytes = BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    BASE64URL_NOPAD.encode(&bytes)
}

/// Whole seconds since 1970, rounded down. The server has the same clock.
#[expect(clippy::disallowed_methods, reason = "what is forged must be of now")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}
