//! `sentinelctl azure-template`: writes the Azure template, or says that what stands there is stale.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sentinel_forwarder::azure_template;

use super::console::{end, note, say};
use super::files::{naming, write_whole};

/// Writes mainTemplate.json and createUiDefinition.json, made from the columns of this version.
///
/// Exits with 0 if they are written, or as they should be; with 1 if --check finds one stale or a file can't be
/// written.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sentinelctl azure-template
  sentinelctl azure-template --check
  sentinelctl azure-template --tables > columns.json")]
pub(crate) struct Arguments {
    /// The folder that they stand in
    #[arg(long, value_name = "PATH", default_value = "deploy/azure")]
    output_dir: PathBuf,
    /// Write nothing, but say which of them is stale
    #[arg(long)]
    check: bool,
    /// Write nothing, but print the columns of streams and tables as JSON, in KQL's types
    #[arg(long, conflicts_with = "check")]
    tables: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = if arguments.tables {
        writeln!(io::stdout().lock(), "{:#}", azure_template::schema()).map(|()| true)
    } else if arguments.check {
        check(&arguments.output_dir)
    } else {
        write(&arguments.output_dir).map(|()| true)
    };
    let code = |is_well| if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    end("azure-template", done.map(code))
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| naming(folder, &error))?;
    for (name, text) in azure_template::files() {
        let path = folder.join(name);
        write_whole(&path, text.as_bytes())?;
        note(format_args!("{} is written", path.display()));
    }
    Ok(())
}

/// Whether both files are as this version would write them.
fn check(folder: &Path) -> io::Result<bool> {
    let mut is_fresh = true;
    for (name, text) in azure_template::files() {
        let path = folder.join(name);
        let there = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(naming(&path, &error)),
            there => there.ok(),
        };
        if there.as_deref() != Some(&text) {
            let what = if there.is_some() { "stale" } else { "missing" };
            say(format_args!("{} is {what}: run `sentinelctl azure-template`", path.display()));
            is_fresh = false;
        }
    }
    Ok(is_fresh)
}
