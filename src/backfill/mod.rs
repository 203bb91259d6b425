//! Forwards after the fact what lies in a bucket already: selects, plans, and takes it to Sentinel by one of three ways.
//!
//! `selection` and `layout` say which ranges of keys are asked for, `listing` and `survey` find them, `plan` counts what
//! they amount to. `carry` walks the keys in their order and hands them to `queue` or `direct`; `state` remembers up to
//! which key all is done. `manifest` writes them down for a job of S3 Batch Operations.

mod carry;
mod direct;
pub mod layout;
mod listing;
pub mod manifest;
pub mod plan;
pub mod progress;
mod queue;
pub mod selection;
pub mod state;
mod survey;

use thiserror::Error;

pub use carry::{Carried, Carrier, Course, Done, Ending, Halt, carry};
pub use direct::Direct;
pub use layout::Range;
pub use listing::{ranges, regions};
pub use queue::ByQueue;
pub use survey::survey;

use crate::aws::BucketError;
use state::StateError;

/// Why a backfill can't go on.
#[derive(Debug, Error)]
pub enum BackfillError {
    /// The command contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// S3 refuses.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The layout is not there.
    #[error(
        "s3://{bucket}/{root} holds no folder of the accounts that are asked for: name the folder that holds AWSLogs/, \
         or take everything below the prefix with --raw"
    )]
    NoAccounts {
        /// The bucket.
        bucket: String,
        /// Where they were looked for.
        root: String,
    },
    /// The state can't be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The manifest can't be written.
    #[error("{path}: {error}")]
    Manifest {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}
