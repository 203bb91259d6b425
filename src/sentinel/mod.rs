//! The Azure wing: where rows go, how we are let in, and how often we ask again.

mod answer;
mod budget;
mod cache;
mod certificate;
mod circuit;
mod collector;
#[cfg(feature = "cli")]
mod greeting;
mod gzip;
mod ingestion;
mod retry;
mod rules;
mod standing;
mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::time::timeout;
use tracing::info;

pub use certificate::Certificate;
pub use collector::DataCollectorSink;
#[cfg(feature = "cli")]
pub use greeting::{Greeting, greet, tenant_url};
pub use ingestion::LogsIngestionSink;
pub use token::{ExchangeError, TokenCache};

use crate::config::DataCollectionRule;
use crate::credential::ProofSource;
use crate::deadline::Deadline;
use crate::failure::{Disposition, Reason};
use crate::table::Table;

/// Why an upload was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UploadError {
    /// 408, 429, 5xx, a time-out, a broken connection, an answer that the API does not document: retried at once, then
    /// through the queue.
    #[error("Sentinel is temporarily unavailable ({what})")]
    Unavailable {
        /// The status or the kind of failure.
        what: String,
        /// The status, if there was one.
        status: Option<u16>,
        /// How long the service asked us to wait.
        after: Option<Duration>,
        /// What an operator should look at, since it may not pass by itself.
        alarm: Option<Reason>,
    },
    /// The circuit is open: nothing was posted.
    #[error("Sentinel is left alone after failures in a row")]
    Resting {
        /// For how long.
        rest: Duration,
    },
    /// 400: never the same again; the batch is bisected.
    #[error("Sentinel rejected the rows ({code}); request id {request_id}")]
    Rejected {
        /// The service's code.
        code: String,
        /// By which Microsoft's logs know the request.
        request_id: String,
    },
    /// 413: never the same again; the batch is halved.
    #[error("Sentinel found the request too large (413)")]
    TooLarge,
    /// 401 after a fresh token, or no token at all: an operator mends it.
    #[error("Entra or Sentinel does not let us in ({what})")]
    Unauthorized {
        /// The status or Entra's code, and what to do.
        what: String,
        /// The status, if there was one.
        status: Option<u16>,
    },
    /// 403: an operator mends it.
    #[error(
        "our identity lacks the role Monitoring Metrics Publisher on the rule, or it is not in force yet ({code})"
    )]
    Forbidden {
        /// The service's code.
        code: String,
    },
    /// 404, a stream that the rule does not have, or a success that is no receipt: an operator mends it.
    #[error("{}", misconfigured(*status, code))]
    Misconfigured {
        /// The service's code.
        code: String,
        /// The status.
        status: u16,
    },
    /// The upload ended in a panic: a fault of ours.
    #[error("the upload crashed")]
    Crashed,
}

fn misconfigured(status: u16, code: &str) -> String {
    if (200..300).contains(&status) {
        return format!(
            "the answer {status} is no receipt, and the rows count as not sent: {} ({code})",
            answer::OTHER_HOST
        );
    }
    format!("the endpoint, the rule or its stream does not exist ({status} {code})")
}

impl UploadError {
    /// There was no answer.
    fn no_answer(what: &str) -> Self {
        Self::Unavailable { what: what.to_owned(), status: None, after: None, alarm: None }
    }

    /// The same, with the rule that an operator has to look at.
    fn of_rule(self, rule: &DataCollectionRule) -> Self {
        let named = |code: String| format!("{code}, rule {} at {}", rule.dcr_immutable_id, rule.endpoint);
        match self {
            Self::Forbidden { code } => Self::Forbidden { code: named(code) },
            Self::Misconfigured { code, status } => Self::Misconfigured { code: named(code), status },
            other => other,
        }
    }

    /// The same, to be retried after so long at the earliest.
    fn not_before(mut self, rest: Duration) -> Self {
        if let Self::Unavailable { after, .. } = &mut self {
            *after = (*after).max(Some(rest));
        }
        self
    }

    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { after, alarm: None, .. } => Disposition::Retryable { after: *after },
            Self::Unavailable { after, alarm: Some(reason), .. } => {
                Disposition::RetryableWithAlarm { reason: *reason, after: *after }
            }
            Self::Resting { rest } => Disposition::Retryable { after: Some(*rest) },
            Self::Rejected { .. } => Disposition::Poison(Reason::Rejected),
            Self::TooLarge => Disposition::Poison(Reason::TooLarge),
            Self::Unauthorized { .. } => Disposition::Permanent(Reason::Unauthorized),
            Self::Forbidden { .. } => Disposition::Permanent(Reason::Forbidden),
            Self::Misconfigured { .. } => Disposition::Permanent(Reason::Misconfigured),
            Self::Crashed => Disposition::Permanent(Reason::Crashed),
        }
    }

    /// Whether the same is refused again, and less of it may be taken.
    #[must_use]
    pub const fn is_poison(&self) -> bool {
        matches!(self.disposition(), Disposition::Poison(_))
    }

    /// The HTTP status, if one was answered.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Unavailable { status, .. } | Self::Unauthorized { status, .. } => *status,
            Self::Resting { .. } | Self::Crashed => None,
            Self::Rejected { .. } => Some(400),
            Self::TooLarge => Some(413),
            Self::Forbidden { .. } => Some(403),
            Self::Misconfigured { status, .. } => Some(*status),
        }
    }
}

/// What an upload took, whether or not it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadCosts {
    /// Compressed bytes of the body.
    pub bytes: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Other failed tries.
    pub failed: u64,
    /// Circuits that opened.
    pub circuit_open: u64,
    /// Why rules were passed over whose rows another one took: an operator mends them all the same.
    pub passed_over: Vec<Reason>,
    /// From the first try to the last answer.
    pub elapsed: Duration,
}

/// The time, by the runtime's clock: a test can turn it on by hand.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Where batches go.
pub trait LogSink: Send + Sync + 'static {
    /// How long nothing is worth posting, because every circuit is open.
    fn rests(&self) -> Option<Duration>;

    /// Posts a body, a JSON array, to the table's stream; asks again while that can help and time allows.
    fn upload(
        &self,
        table: Table,
        body: &[u8],
        deadline: Deadline,
    ) -> impl Future<Output = (UploadCosts, Result<(), UploadError>)> + Send;
}

/// How long fetching ahead may take. A token takes a fraction of a second; but Lambda freezes a function that has
/// nothing to do, and the answer to an exchange that was under way may have been lost meanwhile. The first upload waits
/// no longer for it than this, and then asks for itself.
const FETCH_AHEAD: Duration = Duration::from_secs(3);

/// Either API behind one name; a clone is the same sink.
pub enum Sink<P> {
    /// The Logs Ingestion API.
    LogsIngestion(Arc<LogsIngestionSink<P>>),
    /// The legacy API.
    DataCollector(Arc<DataCollectorSink<P>>),
}

impl<P> Clone for Sink<P> {
    fn clone(&self) -> Self {
        match self {
            Self::LogsIngestion(sink) => Self::LogsIngestion(Arc::clone(sink)),
            Self::DataCollector(sink) => Self::DataCollector(Arc::clone(sink)),
        }
    }
}

impl<P: ProofSource> Sink<P> {
    /// Fetches ahead what an upload has to show: a token, or the workspace's key. An upload that needs it meanwhile
    /// waits for the same answer. A failure is none yet: the first upload asks again.
    pub async fn fetch_ahead(&self) {
        let fetched = timeout(FETCH_AHEAD, async {
            match self {
                Self::LogsIngestion(sink) => sink.fetch_ahead().await,
                Self::DataCollector(sink) => sink.fetch_ahead().await,
            }
        });
        match fetched.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => info!(%error, "not let in at start: the first upload asks again"),
            Err(_) => info!(error = "no answer in time", "not let in at start: the first upload asks again"),
        }
    }
}

impl<P: ProofSource + 'static> LogSink for Sink<P> {
    fn rests(&self) -> Option<Duration> {
        match self {
            Self::LogsIngestion(sink) => sink.rests(),
            Self::DataCollector(sink) => sink.rests(),
        }
    }

    async fn upload(
        &self,
        table: Table,
        body: &[u8],
        deadline: Deadline,
    ) -> (UploadCosts, Result<(), UploadError>) {
        match self {
            Self::LogsIngestion(sink) => sink.upload(table, body, deadline).await,
            Self::DataCollector(sink) => sink.upload(table, body, deadline).await,
        }
    }
}

#[cfg(feature = "cli")]
#[cfg(test)]
mod tests;
