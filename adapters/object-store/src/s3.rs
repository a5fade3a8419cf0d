//! S3, and what speaks its protocol: settings, and clients whose time-outs fit what they are asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, Error, RetryConfig};
use url::Url;

use crate::store::{Newest, OpenError, Store};

/// How long a connection may take: a host that drops packets must not look like a slow one.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one small request may take in all. A create is settled by repeating it and the caller's patience is ten
/// seconds, so one that hangs must leave time for another.
const SMALL: Duration = Duration::from_secs(5);
/// How long a small request is tried again; with the last try it ends within ten seconds.
const RETRIES: Duration = Duration::from_secs(5);
/// How long nothing may move while bytes stream. It bounds one part of an upload, too, since a part's answer comes after
/// its last byte: 8 MiB in a minute is a line of 1 Mbit/s.
const STALL: Duration = Duration::from_mins(1);
/// How long a stream is tried again; a download goes on where it was cut.
const STREAM_RETRIES: Duration = Duration::from_mins(1);
const LONGEST_PREFIX: usize = 512;

/// Where endpoints are looked for; the first that is set counts.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket of S3 or of a store that speaks its protocol.
#[derive(Clone)]
pub struct S3 {
    /// The bucket's name.
    pub bucket: String,
    /// The folder below which all keys lie.
    pub prefix: Option<String>,
    /// The region; without one what the variables say.
    pub region: Option<String>,
    /// The `AWS_*` variables of the environment.
    pub variables: Vec<(String, String)>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("S3")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .field("variables", &names)
            .finish()
    }
}

impl S3 {
    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn endpoint(&self) -> Result<Option<Url>, OpenError> {
        let Some((name, text)) = ENDPOINTS.iter().find_map(|name| Some((*name, self.variable(name)?))) else {
            return Ok(None);
        };
        // The value is not repeated: an address may hold a password.
        let url = Url::parse(text).map_err(|_| OpenError::Endpoint(name))?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if is_plain { Ok(Some(url)) } else { Err(OpenError::Endpoint(name)) }
    }

    /// The client as settings and variables describe it, still without time-outs.
    fn builder(&self, endpoint: Option<&Url>) -> Result<(AmazonS3Builder, ClientOptions), OpenError> {
        let region = self.region.as_deref().filter(|region| !region.is_empty());
        let region = region.or_else(|| REGIONS.iter().find_map(|name| self.variable(name)));
        let region = region.unwrap_or(DEFAULT_REGION);
        // Both become part of an address.
        if !is_plain(&self.bucket, b"-._") {
            return Err(OpenError::Bucket(self.bucket.clone()));
        }
        if !is_plain(region, b"-") {
            return Err(OpenError::Region(region.to_owned()));
        }
        let (mut builder, mut options) = (AmazonS3Builder::new(), ClientOptions::new());
        for (name, value) in self.variables.iter().filter(|(_, value)| !value.is_empty()) {
            match name.to_ascii_lowercase().parse() {
                Ok(key) if !name.starts_with("AWS_") || is_ours(key) => {}
                Ok(AmazonS3ConfigKey::Client(key)) => options = options.with_config(key, value),
                Ok(key) => builder = builder.with_config(key, value),
                Err(_) => {}
            }
        }
        builder = builder
            .with_bucket_name(&self.bucket)
            .with_region(region)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // Only single keys are deleted, and not every store knows the other request.
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.as_str()).with_virtual_hosted_style_request(false);
            options = options.with_allow_http(true);
        }
        Ok((builder, options.with_connect_timeout(CONNECT)))
    }

    /// The prefix without superfluous slashes.
    fn folder(&self) -> Result<Path, OpenError> {
        let text = self.prefix.as_deref().unwrap_or_default();
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let folder = Path::parse(parts.join("/")).map_err(|_| OpenError::Prefix(text.to_owned()))?;
        if folder.as_ref().len() > LONGEST_PREFIX {
            return Err(OpenError::Prefix(text.to_owned()));
        }
        Ok(folder)
    }

    /// What people know it as.
    fn name(&self, endpoint: Option<&Url>) -> String {
        let at = endpoint.map(|url| format!(" at {}", url.as_str().trim_end_matches('/')));
        format!("the bucket {:?}{}", self.bucket, at.unwrap_or_default())
    }
}

fn is_plain(text: &str, more: &[u8]) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

/// Whether a key is decided here and not by a variable: what we name ourselves, time-outs that other parts rely on, and
/// whatever would switch off conditions, signatures, checksums of the payload or the check of a certificate.
fn is_ours(key: AmazonS3ConfigKey) -> bool {
    use AmazonS3ConfigKey as Key;
    use ClientConfigKey as Client;
    matches!(
        key,
        Key::Bucket
            | Key::Region
            | Key::DefaultRegion
            | Key::Endpoint
            | Key::S3Endpoint
            | Key::ConditionalPut
            | Key::DisableBulkDelete
            | Key::UnsignedPayload
            | Key::SkipSignature
            | Key::Client(
                Client::AllowHttp
                    | Client::AllowInvalidCertificates
                    | Client::ConnectTimeout
                    | Client::ReadTimeout
                    | Client::Timeout
            )
    )
}

fn retry(max_retries: usize, retry_timeout: Duration) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(1), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries, retry_timeout }
}

impl Store {
    /// A store in a bucket of S3. The process must have chosen its provider of TLS.
    ///
    /// # Errors
    /// [`OpenError`] when the settings name nothing that can be a bucket. Nothing is asked of the store yet.
    pub fn s3(place: &S3) -> Result<Self, OpenError> {
        let endpoint = place.endpoint()?;
        let folder = place.folder()?;
        let (builder, options) = place.builder(endpoint.as_ref())?;
        let name = place.name(endpoint.as_ref());
        let build =
            |builder: AmazonS3Builder| builder.build().map_err(|error| OpenError::Store(name.clone(), error));
        let small = options.clone().with_timeout(SMALL);
        // A whole state takes as long as it takes.
        let streaming = options.with_timeout_disabled().with_read_timeout(STALL);

        let reads = build(builder.clone().with_client_options(small.clone()).with_retry(retry(10, RETRIES)))?;
        // Temporary credentials are fetched once for all clients.
        let builder = builder.with_credentials(reads.credentials().clone());
        // A client that tries again by itself would report its own first try as somebody else's create.
        let creates = build(builder.clone().with_client_options(small).with_retry(retry(0, Duration::ZERO)))?;
        let blobs = build(builder.with_client_options(streaming).with_retry(retry(10, STREAM_RETRIES)))?;

        let under = |client: AmazonS3| Arc::new(PrefixStore::new(client, folder.clone()));
        let newest = Newest::List(Arc::new(Lister { objects: reads.clone(), folder: folder.clone() }));
        Ok(Self::with(under(reads), under(creates), under(blobs), newest, name))
    }
}

/// Lists below the prefix.
struct Lister {
    objects: AmazonS3,
    folder: Path,
}

#[async_trait]
impl PaginatedListStore for Lister {
    async fn list_paginated(
        &self,
        prefix: Option<&str>,
        options: PaginatedListOptions,
    ) -> Result<PaginatedListResult, Error> {
        let prefix = prefix.unwrap_or_default();
        if self.folder.is_root() {
            return self.objects.list_paginated(Some(prefix), options).await;
        }
        self.objects.list_paginated(Some(&format!("{}/{prefix}", self.folder)), options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> S3 {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        S3 { bucket: "b".to_owned(), prefix: None, region: None, variables: variables.collect() }
    }

    fn built(place: &S3, key: AmazonS3ConfigKey) -> Option<String> {
        let endpoint = place.endpoint().unwrap();
        let (builder, options) = place.builder(endpoint.as_ref()).unwrap();
        builder.with_client_options(options).get_config_value(&key)
    }

    #[test]
    fn variables_fill_in_and_settings_win() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_DEFAULT_REGION", "eu-west-1"), ("HOME", "/x")];
        assert_eq!(built(&place(&keys), AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("id"));
        assert_eq!(built(&place(&keys), AmazonS3ConfigKey::Region).as_deref(), Some("eu-west-1"));
        let both = [("AWS_DEFAULT_REGION", "a"), ("AWS_REGION", "b"), ("AWS_BUCKET", "theirs")];
        assert_eq!(built(&place(&both), AmazonS3ConfigKey::Region).as_deref(), Some("b"));
        assert_eq!(built(&place(&both), AmazonS3ConfigKey::Bucket).as_deref(), Some("b"));
        let set = S3 { region: Some("c".to_owned()), ..place(&both) };
        assert_eq!(built(&set, AmazonS3ConfigKey::Region).as_deref(), Some("c"));
        assert_eq!(
            built(&place(&[("AWS_REGION", "")]), AmazonS3ConfigKey::Region).as_deref(),
            Some("us-east-1")
        );
    }

    #[test]
    fn the_most_specific_endpoint_counts_and_means_path_style() {
        let all = [
            ("AWS_ENDPOINT", "http://c:1"),
            ("AWS_ENDPOINT_URL", "http://b:1"),
            ("AWS_ENDPOINT_URL_S3", "http://a:1"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ];
        for (from, expected) in ["http://c:1/", "http://b:1/", "http://a:1/"].into_iter().enumerate() {
            let place = place(&[&all[..=from], &all[3..]].concat());
            assert_eq!(built(&place, AmazonS3ConfigKey::Endpoint).as_deref(), Some(expected));
            let hosted = built(&place, AmazonS3ConfigKey::VirtualHostedStyleRequest);
            assert_eq!(hosted.as_deref(), Some("false"));
            let plain = built(&place, AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
            assert_eq!(plain.as_deref(), Some("true"));
        }
        let plain = built(&place(&[]), AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
        assert_eq!(plain.as_deref(), Some("false"), "AWS itself is asked over https");
    }

    #[test]
    fn no_variable_makes_it_less_safe() {
        let weak = place(&[
            ("AWS_CONDITIONAL_PUT", "disabled"),
            ("AWS_UNSIGNED_PAYLOAD", "true"),
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ALLOW_INVALID_CERTIFICATES", "true"),
            ("AWS_TIMEOUT", "1h"),
            ("AWS_CONNECT_TIMEOUT", "1h"),
        ]);
        let safe = place(&[]);
        for (name, _) in &weak.variables {
            let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().unwrap();
            assert_eq!(built(&weak, key), built(&safe, key), "{name}");
        }
    }

    #[test]
    fn a_prefix_is_one_however_many_slashes() {
        let folder = |text: &str| {
            S3 { prefix: Some(text.to_owned()), ..place(&[]) }.folder().map(|folder| folder.to_string())
        };
        for text in ["team/a", "/team/a", "team/a/", "//team//a//"] {
            assert_eq!(folder(text).unwrap(), "team/a", "{text}");
        }
        assert_eq!(folder("/").unwrap(), "");
        assert_eq!(folder("").unwrap(), "");
        for text in ["..", "a/../b", "./a", "a\nb", &"x".repeat(513)] {
            assert!(matches!(folder(text), Err(OpenError::Prefix(_))), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for bucket in ["", "a b", "a/b", "a?b", "ä"] {
            let place = S3 { bucket: bucket.to_owned(), ..place(&[]) };
            assert!(matches!(Store::s3(&place), Err(OpenError::Bucket(_))), "{bucket}");
        }
        let region = S3 { region: Some("eu.example.org/".to_owned()), ..place(&[]) };
        assert!(matches!(Store::s3(&region), Err(OpenError::Region(_))));
        for text in ["s3.example.org", "ftp://x", "http://me:hunter2@x", "http://x?y", "not an address"] {
            let refused = Store::s3(&place(&[("AWS_ENDPOINT_URL", text)])).unwrap_err().to_string();
            assert!(refused.contains("AWS_ENDPOINT_URL ") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn debug_text_names_variables_and_never_their_values() {
        let place = place(&[("AWS_SECRET_ACCESS_KEY", "hunter2")]);
        let text = format!("{place:?}");
        assert!(text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("hunter2"), "{text}");
    }
}
