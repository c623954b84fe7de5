//! `file:///path` or `s3://bucket/prefix` to an object store.
//!
//! Parts: [`S3Settings`]; [`open_objects`]. Promises: the folder store syncs file and folder before it
//! says that an object stands; the S3 client never sends anything twice by itself (lane rule 5).
//! Limits: on a folder an object can be seen by another process in the moment before its folder is
//! synced. Must not do: send a request.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use proto_seam::World;

use crate::fault::StoreFault;
use crate::limits::{CONNECT_TIMEOUT, LARGE_TIMEOUT};

/// The `s3:` settings.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// `http(s)://host:port` of a store that is not AWS; empty for AWS.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// Access key; empty: as the AWS environment says (variables, web identity, instance role).
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Whether plain HTTP may be spoken.
    pub allow_http: bool,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self { endpoint: String::new(), region: "us-east-1".to_owned(), access_key_id: String::new(), secret_access_key: String::new(), allow_http: false }
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

fn settings(what: &'static str, reason: impl Into<String>, fix: &'static str) -> StoreFault {
    StoreFault::Settings { what, reason: reason.into(), fix }
}

/// The store that `url` names, and the prefix of all keys in it. Makes the folder of a `file://` URL.
///
/// # Errors
/// [`StoreFault::Settings`] when `url` or `s3` are not usable.
pub fn open_objects(url: &str, s3: &S3Settings, world: &World) -> Result<(Arc<dyn ObjectStore>, Path), StoreFault> {
    if let Some(path) = url.strip_prefix("file://") {
        let path = PathBuf::from(path);
        return Ok((Arc::new(folder(&path, world)?), Path::default()));
    }
    if let Some(place) = url.strip_prefix("s3://") {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(settings("store", format!("{url} names no bucket"), "write s3://bucket/prefix"));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| settings("store", error.to_string(), "write s3://bucket/prefix"))?;
        return Ok((Arc::new(s3_builder(bucket, s3)?.build().map_err(|error| settings("s3", error.to_string(), "see the reason"))?), prefix));
    }
    Err(settings("store", format!("{url} is neither file:// nor s3://"), "write file:///path or s3://bucket/prefix"))
}

fn folder(path: &FilePath, world: &World) -> Result<LocalFileSystem, StoreFault> {
    if !path.is_absolute() {
        return Err(settings("store", format!("{} is not an absolute path", path.display()), "write file:///path"));
    }
    let unusable = |reason: String| settings("store", format!("{}: {reason}", path.display()), "name a folder that this user may write");
    world.disk.make_dirs(path).map_err(|error| unusable(error.to_string()))?;
    if let Some(parent) = path.parent() {
        world.disk.sync_dir(parent).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(LocalFileSystem::new_with_prefix(path).map_err(|error| unusable(error.to_string()))?.with_fsync(true))
}

fn s3_builder(bucket: &str, s3: &S3Settings) -> Result<AmazonS3Builder, StoreFault> {
    let plain = s3.endpoint.starts_with("http://");
    if plain && !s3.allow_http {
        return Err(settings("s3.endpoint", format!("{} is plain HTTP", s3.endpoint), "use https, or set s3.allow_http: true"));
    }
    if s3.access_key_id.is_empty() != s3.secret_access_key.is_empty() {
        return Err(settings("s3", "one of access_key_id and secret_access_key is empty", "give both, or neither"));
    }
    let builder = if s3.access_key_id.is_empty() {
        AmazonS3Builder::from_env()
    } else {
        AmazonS3Builder::new().with_access_key_id(&s3.access_key_id).with_secret_access_key(&s3.secret_access_key)
    };
    let builder = if s3.endpoint.is_empty() { builder } else { builder.with_endpoint(s3.endpoint.trim_end_matches('/')) };
    // No retries: object.rs tries reads again itself, and a create may be sent only once.
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: LARGE_TIMEOUT };
    let client = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(LARGE_TIMEOUT).with_allow_http(plain && s3.allow_http);
    Ok(builder
        .with_client_options(client)
        .with_bucket_name(bucket)
        .with_region(&s3.region)
        .with_virtual_hosted_style_request(s3.endpoint.is_empty())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry))
}

#[cfg(test)]
mod tests;
