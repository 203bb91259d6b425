//! The operator's command line; each subcommand has a file of its own.

mod azure_template;
mod backfill;
mod completions;
mod console;
mod dev;
mod dlq;
mod doctor;
mod forward;
mod interruption;
mod man;
mod pretty;
mod table;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage; --help of each command says more.
Colours are for terminals only, and NO_COLOR turns them off.

Examples:
  sentinelctl forward trail.json.gz
  sentinelctl dlq summary";

/// Works with AWS security logs in Microsoft Sentinel.
#[derive(Parser)]
#[command(name = "sentinelctl", version, after_help = HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the template of the Azure side.
    AzureTemplate(azure_template::Arguments),
    /// Forwards after the fact what lies in a bucket already.
    Backfill(backfill::Arguments),
    /// Prints the completions of a shell.
    Completions(completions::Arguments),
    /// Runs a local stand-in for Entra and the Logs Ingestion API.
    Dev(dev::Arguments),
    /// Looks through the dead letter queue, replays and discards.
    Dlq(dlq::Arguments),
    /// Checks a deployment end to end and says what to do next.
    Doctor(doctor::Arguments),
    /// Decodes and maps local files and writes the rows, with no cloud at hand.
    Forward(forward::Arguments),
    /// Prints the manual, or writes its pages.
    Man(man::Arguments),
    /// Verifies that everything arrived, and writes a page that an auditor can keep.
    Report(verify::Report),
    /// Verifies that everything arrived: digests, the files in S3 and the ledger, hour by hour.
    Verify(verify::Verify),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::AzureTemplate(arguments) => azure_template::run(&arguments),
        Command::Backfill(arguments) => backfill::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Dlq(arguments) => dlq::run(&arguments, Arguments::command()),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Forward(arguments) => forward::run(&arguments),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
        Command::Report(arguments) => verify::report(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}
