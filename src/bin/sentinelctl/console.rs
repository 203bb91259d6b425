//! The manners of all commands: where text goes, how wide and how coloured it is, and with which code a command ends.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For a reader.
    Text,
    /// For a program.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What was asked for on the command line, the same for every command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// No progress and no remarks.
    pub(crate) is_quiet: bool,
    pub(crate) color: Color,
}

static MANNERS: OnceLock<Manners> = OnceLock::new();

/// Sets the manners, once.
pub(crate) fn behave(manners: Manners) {
    MANNERS.get_or_init(|| manners);
}

fn manners() -> Manners {
    MANNERS.get().copied().unwrap_or_default()
}

/// Whether nothing but results and errors is wanted.
pub(crate) fn is_quiet() -> bool {
    manners().is_quiet
}

/// Makes a remark, unless quiet is asked for.
pub(crate) fn note(text: impl Display) {
    if !is_quiet() {
        say(text);
    }
}

/// Says something to the user that is no result.
pub(crate) fn say(text: impl Display) {
    // Nothing is left to tell it to if standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Ends a command: a failure is said, and that nobody reads on is none.
pub(crate) fn end(command: &str, ended: io::Result<ExitCode>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("sentinelctl {command}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether what is written to standard output may have colours (<https://no-color.org>).
pub(crate) fn is_coloured() -> bool {
    match manners().color {
        Color::Always => return true,
        Color::Never => return false,
        Color::Auto => {}
    }
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !refused
}

/// The width of the terminal that standard output is; none if it is no terminal, and nothing need be cut.
pub(crate) fn width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width))
}

/// A line on the terminal that is written over again and again; nothing where standard error is none.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Shows progress if somebody looks.
    pub(crate) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() && !is_quiet() }
    }

    /// Writes the line anew.
    pub(crate) fn show(&self, text: impl Display) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.show("");
    }
}

/// Text as a terminal may have it: a message must not move its cursor or change its colours.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_command_a_terminal_is_only_shown() {
        assert_eq!(visible("a\x1b[2Jb\r\nc\u{9b}31mü"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}31mü");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_no_failure() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(end("dev", Err(broken())), ExitCode::SUCCESS);
        assert_eq!(end("dev", Err(io::Error::other("another"))), ExitCode::FAILURE);
        assert_eq!(end("dev", Ok(ExitCode::from(2))), ExitCode::from(2));
    }
}
