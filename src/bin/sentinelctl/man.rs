//! `sentinelctl man`: the manual, a page for each command.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::console::end;
use super::files::naming;

/// Prints the manual's first page, or writes all of them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sentinelctl man | man -l -
  sentinelctl man --output-dir ~/.local/share/man/man1")]
pub(crate) struct Arguments {
    /// Folder that the pages of all commands are written to; it is made if need be.
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, command: clap::Command) -> ExitCode {
    let command = command.disable_help_subcommand(true);
    let written = match &arguments.output_dir {
        Some(folder) => write(folder, command),
        None => print(command),
    };
    end("man", written.map(|()| ExitCode::SUCCESS))
}

fn write(folder: &Path, command: clap::Command) -> io::Result<()> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| naming(folder, &error))
}

fn print(command: clap::Command) -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    io::stdout().write_all(&page)
}
