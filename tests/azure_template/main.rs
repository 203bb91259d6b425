//! The Azure template: what stands in `deploy/azure`, what it expands to, and that faults in it are found.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::Write;

mod checks;
mod columns;
mod deployment;
mod expansions;
mod expression;
mod files;
mod mutations;
mod schemas;

/// Says that something was not checked; the harness would swallow what is printed by a macro.
fn skipped(what: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {what}\n").as_bytes()).unwrap();
}
