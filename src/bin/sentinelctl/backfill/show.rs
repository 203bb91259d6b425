//! Shows how far it is: a line that changes on a terminal, else a line now and then.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use sentinel_forwarder::backfill::plan::Found;
use sentinel_forwarder::backfill::progress::{Progress, number, size};

use crate::console::is_quiet;

/// How often a line is written where it stays.
const PAUSE: Duration = Duration::from_secs(10);
/// How often a line is written where it changes.
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);

/// What is shown on standard error.
pub(super) struct Show {
    is_terminal: bool,
    last: Cell<Instant>,
}

impl Show {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), last: Cell::new(Instant::now()) }
    }

    /// So much was listed so far.
    pub(super) fn listed(&self, found: Found) {
        self.line(|_| format!("Listed {} files, {}", number(found.files), size(found.bytes)));
    }

    /// So much of the manifest is written.
    pub(super) fn written(&self, files: u64) {
        self.line(|_| format!("Wrote {} lines", number(files)));
    }

    /// So much is done, of all, and by this run.
    pub(super) fn carried(&self, all: u64, done: u64, done_now: u64, elapsed: Duration) {
        let progress = Progress { done, done_now, all, elapsed };
        self.line(|is_terminal| if is_terminal { progress.bar() } else { progress.line() });
    }

    /// Leaves a clean line.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            // Nothing is left to tell it to if standard error is closed.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, text: impl Fn(bool) -> String) {
        let pause = if self.is_terminal { TERMINAL_PAUSE } else { PAUSE };
        if is_quiet() || self.last.get().elapsed() < pause {
            return;
        }
        self.last.set(Instant::now());
        let mut out = io::stderr().lock();
        let text = text(self.is_terminal);
        let _ = if self.is_terminal { write!(out, "\r{text}\x1b[K") } else { writeln!(out, "{text}") };
        let _ = out.flush();
    }
}
