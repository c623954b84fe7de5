//! For tests: a way to a bucket on which reads of some names fail or take long. Must not do: touch writes.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

/// What reads meet.
#[derive(Debug, Clone)]
pub(crate) enum Meets {
    Refusal,
    Delay(Duration),
}

/// The way.
#[derive(Debug)]
pub(crate) struct Door {
    bucket: Arc<InMemory>,
    told: Mutex<Option<(String, Meets)>>,
}

impl Door {
    pub(crate) fn new(bucket: Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self { bucket, told: Mutex::default() })
    }

    /// From now on reads of names that hold `part` meet this, and nothing else does.
    pub(crate) fn tell(&self, part: impl Into<String>, meets: Meets) {
        *self.told.lock().unwrap() = Some((part.into(), meets));
    }

    /// All goes well again.
    pub(crate) fn open(&self) {
        *self.told.lock().unwrap() = None;
    }

    async fn pass(&self, path: &Path) -> Result<()> {
        let met = self.told.lock().unwrap().clone().filter(|(part, _)| path.as_ref().contains(part));
        match met {
            None => Ok(()),
            Some((_, Meets::Delay(span))) => {
                tokio::time::sleep(span).await;
                Ok(())
            }
            Some((_, Meets::Refusal)) => Err(Error::Generic { store: "door", source: "connection reset".into() }),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("door")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Door {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.bucket.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.bucket.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass(path).await?;
        self.bucket.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.pass(path).await?;
        self.bucket.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.bucket.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.bucket.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.bucket.copy_opts(from, to, options).await
    }
}
