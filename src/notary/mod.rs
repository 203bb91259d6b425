//! Examines a digest: its signature, the chain that it joins, and each file that it lists against bucket and ledger.
//!
//! It changes nothing by that; what is to be forwarded and what is to be remembered are calls of their own. The function
//! reaches it through [`Examine`], a trait object, so that whoever forwards is not generic over four more parties.

mod files;
mod memory;
mod silence;
#[cfg(test)]
mod tests;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use thiserror::Error;

pub use memory::chain_key;

use crate::aws::{Archive, KeyError, LedgerError, Notes, PublicKeys, Queue, QueueError, ReadError, Stored};
use crate::deadline::Deadline;
use crate::digest::{
    self, Account, DigestKey, Document, Finding, Folders, Found, Joint, MOST_BYTES, Malformed, Place,
    PublicKey, Signature,
};
use crate::failure::{Disposition, Reason};
use crate::task::{ObjectRef, Task};

pub use silence::{Silence, Silent};

/// A digest as it was read, believed or not.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The very content that was read.
    pub object: ObjectRef,
    /// What its key says.
    pub key: DigestKey,
    /// What it says, if it can be read.
    pub document: Result<Document, Malformed>,
    /// Its bytes: what they list is read once it is believed.
    pub bytes: Vec<u8>,
    /// The signature in its metadata.
    pub signature: Option<Signature>,
}

/// What an examination comes to.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Whether `CloudTrail` wrote it: only then it was looked at further.
    pub is_genuine: bool,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// What became of its files.
    pub account: Account,
    /// Files that nobody has begun to deliver.
    pub unknown: Vec<Task>,
    /// What it lists.
    pub folders: Folders,
    /// Files of which some records or all stand in letters.
    pub in_letters: Vec<Place>,
    /// How many files are being delivered.
    pub under_way: u64,
    /// The digest before it, if nobody has examined that.
    pub unchecked: Option<Task>,
}

/// Why an examination came to nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExamineError {
    /// S3 did not answer as it should.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// `CloudTrail`'s keys are not to be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The ledger is not to be had.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Time was up.
    #[error(
        "time was up before all files that the digest lists were looked at: give the function more memory or time"
    )]
    Late,
}

impl ExamineError {
    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Read(error) => error.disposition(),
            Self::Keys(error) => error.disposition(),
            Self::Ledger(_) => Disposition::Retryable { after: None },
            Self::Late => Disposition::Permanent(Reason::Exhausted),
        }
    }
}

/// Whoever examines digests.
pub trait Examine: Send + Sync + 'static {
    /// Reads a digest.
    fn open<'a>(&'a self, object: &'a ObjectRef, key: DigestKey) -> BoxFuture<'a, Result<Opened, ReadError>>;

    /// Examines it, until then.
    fn examine<'a>(
        &'a self,
        opened: &'a Opened,
        until: Deadline,
    ) -> BoxFuture<'a, Result<Examined, ExamineError>>;

    /// Puts tasks on the work queue.
    fn queue<'a>(&'a self, tasks: &'a [Task]) -> BoxFuture<'a, Result<(), QueueError>>;

    /// Remembers a genuine digest, for those that follow it and for the account of its hour.
    fn remember<'a>(
        &'a self,
        opened: &'a Opened,
        account: &'a Account,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Finds the chains whose next digest is overdue, as far as there is time.
    fn silence(&self, now: Timestamp, until: Deadline) -> BoxFuture<'_, Result<Silence, ExamineError>>;

    /// Remembers that it was told of a chain's silence.
    fn note_told<'a>(&'a self, silent: &'a Silent) -> BoxFuture<'a, Result<(), LedgerError>>;
}

/// Examines digests of S3.
pub struct Notary<A, K, N, Q> {
    archive: A,
    keys: K,
    notes: N,
    work_queue: Q,
    allowed_buckets: Option<Vec<String>>,
}

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Notary<A, K, N, Q> {
    /// A notary with these sources; buckets that are not allowed are never read.
    pub const fn new(
        archive: A,
        keys: K,
        notes: N,
        work_queue: Q,
        allowed_buckets: Option<Vec<String>>,
    ) -> Self {
        Self { archive, keys, notes, work_queue, allowed_buckets }
    }

    fn allows(&self, bucket: &String) -> bool {
        self.allowed_buckets.as_ref().is_none_or(|names| names.contains(bucket))
    }

    async fn examine_all(&self, opened: &Opened, until: Deadline) -> Result<Examined, ExamineError> {
        let mut examined = self.inspect(opened, until).await?;
        if let Ok(document) = &opened.document
            && examined.is_genuine
        {
            let (findings, unchecked) = self.chain(opened, document).await?;
            examined.findings.splice(0..0, findings);
            examined.unchecked = unchecked;
        }
        Ok(examined)
    }

    /// Examines a digest by itself and all that it lists, but not the chain that it joins.
    ///
    /// # Errors
    /// If something does not answer as it should.
    pub async fn inspect(&self, opened: &Opened, until: Deadline) -> Result<Examined, ExamineError> {
        if let Err(finding) = self.believe(opened).await? {
            return Ok(Examined { findings: vec![finding], ..Examined::default() });
        }
        let folders = match digest::listed(&opened.bytes) {
            Ok(folders) => folders,
            Err(malformed) => {
                let findings = vec![malformed.into()];
                return Ok(Examined { findings, ..Examined::default() });
            }
        };
        let examined = self.files(&folders, until).await?;
        Ok(Examined { is_genuine: true, folders, ..examined })
    }

    /// What the digest says, if `CloudTrail` wrote it.
    pub(crate) async fn believe<'a>(
        &self,
        opened: &'a Opened,
    ) -> Result<Result<&'a Document, Finding>, ExamineError> {
        let document = match &opened.document {
            Ok(document) => document,
            Err(malformed) => return Ok(Err(Finding::Malformed(malformed.clone()))),
        };
        let lies = Place::of(&opened.object);
        let key = match &opened.signature {
            // Nobody is asked for the key of what can't be genuine.
            Some(signature) if document.place == lies => {
                self.key(&opened.key, document, signature.period(document)).await?
            }
            _ => None,
        };
        let signature = opened.signature.as_ref();
        Ok(digest::check(document, &opened.key, &lies, signature, key.as_ref()).map(|()| document))
    }

    /// The key that signed it: one of its own region's, or else of its trail's.
    async fn key(
        &self,
        key: &DigestKey,
        document: &Document,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Option<PublicKey>, KeyError> {
        let (own, home) = (&key.chain.region, &key.chain.home_region);
        let ask = |region| self.keys.find(region, &document.fingerprint, from, until);
        let told = ask(own).await;
        if own == home || matches!(told, Ok(Some(_))) {
            return told;
        }
        match ask(home).await {
            Ok(None) => told,
            other => other,
        }
    }

    /// What is wrong with the chain, and the digest before it if nobody has examined that.
    async fn chain(
        &self,
        opened: &Opened,
        document: &Document,
    ) -> Result<(Vec<Finding>, Option<Task>), ExamineError> {
        let previous = document.previous.as_ref().map(|previous| &previous.place);
        let link = match previous {
            Some(place) => self.link(place).await?,
            None => None,
        };
        let found = match previous {
            Some(place) => self.look(place, &opened.object.bucket).await?,
            None => (Found::NotLookedAt, None),
        };
        let (own, head) = (self.link(&document.place).await?, self.head(&opened.key.chain).await?);
        let (found, unreadable) = found;
        let joint = Joint {
            document,
            key: &opened.key,
            found: &found,
            link: link.as_ref(),
            own: own.as_ref(),
            head: head.as_ref(),
        };
        let unchecked = joint.unchecked().map(|place| Task::whole(place.object()));
        Ok((joint.findings().into_iter().chain(unreadable).collect(), unchecked))
    }

    /// What lies in a place, or that it can't be read.
    pub(crate) async fn look(
        &self,
        place: &Place,
        own_bucket: &str,
    ) -> Result<(Found, Option<Finding>), ReadError> {
        if !self.allows(&place.bucket) {
            return Ok((Found::NotLookedAt, None));
        }
        Ok(match self.archive.read(&place.object(), MOST_BYTES).await {
            Ok(stored) => {
                let sha256 = digest::sha256(&stored.bytes).ok();
                (Found::Something { sha256, signature: stored.signature }, None)
            }
            Err(ReadError::Gone { .. }) => (Found::Nothing, None),
            // The trail wrote to another bucket before, which need not be ours to read.
            Err(ReadError::Denied { .. }) if place.bucket != own_bucket => (Found::NotLookedAt, None),
            Err(error) if error.is_for_now() => return Err(error),
            Err(error) => {
                let unreadable = Finding::Unreadable { what: place.clone(), why: error.to_string() };
                (Found::NotLookedAt, Some(unreadable))
            }
        })
    }
}

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Examine for Notary<A, K, N, Q> {
    fn open<'a>(&'a self, object: &'a ObjectRef, key: DigestKey) -> BoxFuture<'a, Result<Opened, ReadError>> {
        Box::pin(async move {
            if !self.allows(&object.bucket) {
                return Err(ReadError::NotAllowed);
            }
            let stored = self.archive.read(object, MOST_BYTES).await?;
            let document = Document::read(&stored.bytes);
            let Stored { object, bytes, signature } = stored;
            Ok(Opened { object, key, document, bytes, signature })
        })
    }

    fn examine<'a>(
        &'a self,
        opened: &'a Opened,
        until: Deadline,
    ) -> BoxFuture<'a, Result<Examined, ExamineError>> {
        Box::pin(self.examine_all(opened, until))
    }

    fn queue<'a>(&'a self, tasks: &'a [Task]) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let bodies: Vec<_> = tasks.iter().map(Task::to_json).collect();
            self.work_queue.send_all(&bodies).await.into_iter().collect()
        })
    }

    fn remember<'a>(
        &'a self,
        opened: &'a Opened,
        account: &'a Account,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(self.remember_all(opened, account))
    }

    fn silence(&self, now: Timestamp, until: Deadline) -> BoxFuture<'_, Result<Silence, ExamineError>> {
        Box::pin(self.silence(now, until))
    }

    fn note_told<'a>(&'a self, silent: &'a Silent) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(self.note_told(silent))
    }
}
