//! The pipeline against the strict stand-in, with objects, queues and a ledger that lie in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backfill;
mod crash;
mod delivery;
mod invocation;
mod patience;
mod pipeline;
mod sharing;
mod watch;
mod world;
