//! The Azure template: what stands in `deploy/azure`, what it expands to, and that faults in it are found.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod checks;
mod columns;
mod deployment;
mod expansions;
mod expression;
mod files;
mod mutations;
mod schemas;
