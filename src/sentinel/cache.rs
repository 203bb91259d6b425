//! What an upload has to show, a token or a key: fetched once for all who need it, until it ends or is refused.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

struct Cached<T> {
    value: Arc<T>,
    /// When it is fetched anew; never, if not before it is refused.
    until: Option<Instant>,
}

/// A value that all uploads share.
pub(super) struct Cache<T>(Mutex<Option<Cached<T>>>);

impl<T> Cache<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::const_new(None))
    }

    /// The value. Whoever asks while it is fetched waits for the same one.
    ///
    /// # Errors
    /// If it can't be fetched.
    pub(super) async fn get<E>(
        &self,
        fetch: impl Future<Output = Result<(T, Option<Instant>), E>>,
    ) -> Result<Arc<T>, E> {
        let mut cached = self.0.lock().await;
        let is_good = |cached: &&Cached<T>| cached.until.is_none_or(|until| Instant::now() < until);
        if let Some(cached) = cached.as_ref().filter(is_good) {
            return Ok(Arc::clone(&cached.value));
        }
        let (value, until) = fetch.await?;
        let value = Arc::new(value);
        *cached = Some(Cached { value: Arc::clone(&value), until });
        Ok(value)
    }

    /// Forgets a value that was refused; a newer one stays.
    pub(super) async fn forget(&self, refused: &Arc<T>) {
        let mut cached = self.0.lock().await;
        if cached.as_ref().is_some_and(|cached| Arc::ptr_eq(&cached.value, refused)) {
            *cached = None;
        }
    }
}
