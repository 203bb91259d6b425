//! The stand-in itself: what it refuses, what it keeps, how it fails when told to.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod client;
mod faults;
mod kept;
mod legacy;
mod limits;
mod tokens;
mod uploads;
