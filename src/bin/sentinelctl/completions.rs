//! `sentinelctl completions`: what a shell needs to complete commands and options.

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;

use super::console::end;

/// Prints the completions of a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sentinelctl completions bash > ~/.local/share/bash-completion/completions/sentinelctl
  sentinelctl completions zsh > \"${fpath[1]}/_sentinelctl\"
  sentinelctl completions fish > ~/.config/fish/completions/sentinelctl.fish")]
pub(crate) struct Arguments {
    /// The shell.
    #[arg(value_parser = clap::builder::EnumValueParser::<Shell>::new())]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "sentinelctl", &mut script);
    end("completions", io::stdout().write_all(&script).map(|()| ExitCode::SUCCESS))
}
