//! The operator's command line; each subcommand has a file of its own.

mod azure_template;
mod backfill;
mod completions;
mod console;
mod convert;
mod dev;
mod dlq;
mod doctor;
mod files;
mod interruption;
mod man;
mod operator;
mod pretty;
mod table;
mod verify;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use sentinel_forwarder::aws::SignIn;

use console::{Color, Manners, behave};
use operator::sign_in;

const HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage; --help of each command says more.

Examples:
  sentinelctl convert trail.json.gz
  sentinelctl dlq summary --stack sentinel-forwarder --profile security";

/// The version, and the commit where the build names it (`make` does).
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("SENTINELCTL_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    format!("{} (commit {commit})", env!("CARGO_PKG_VERSION"))
});

/// Works with AWS security logs in Microsoft Sentinel.
#[derive(Parser)]
#[command(name = "sentinelctl", version = VERSION.as_str(), after_help = HELP, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Profile of the AWS CLI's configuration to sign in with [default: `AWS_PROFILE`, or the environment's credentials]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// AWS region [default: `AWS_REGION`, or the profile's]
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<String>,
    /// Write each call to AWS, and what the pipeline logs, to standard error.
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Write results and errors alone: no progress, no remarks.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// When to use colours; `NO_COLOR` turns them off too.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the template of the Azure side.
    AzureTemplate(azure_template::Arguments),
    /// Forwards after the fact what lies in a bucket already.
    Backfill(backfill::Arguments),
    /// Prints the completions of a shell.
    Completions(completions::Arguments),
    /// Decodes and maps local files and writes the rows, with no cloud at hand.
    #[command(alias = "forward")]
    Convert(convert::Arguments),
    /// Runs a local stand-in for Entra and the Logs Ingestion API.
    Dev(dev::Arguments),
    /// Looks through the dead letter queue, replays, discards and restores.
    Dlq(dlq::Arguments),
    /// Checks a deployment end to end and says what to do next.
    Doctor(doctor::Arguments),
    /// Prints the manual, or writes its pages.
    Man(man::Arguments),
    /// Verifies that everything arrived, and writes a page that an auditor can keep.
    Report(verify::Report),
    /// Verifies that everything arrived: digests, the files in S3 and the ledger, hour by hour.
    Verify(verify::Verify),
}

fn main() -> ExitCode {
    let Arguments { global, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to tell it to if the stream is closed.
            let _ = error.print();
            return ExitCode::from(verify::exit_code_of_usage(error.exit_code()));
        }
    };
    behave(Manners { is_quiet: global.quiet, color: global.color });
    sign_in(SignIn { profile: global.profile, region: global.region });
    if global.verbose {
        operator::trace();
    }
    match command {
        Command::AzureTemplate(arguments) => azure_template::run(&arguments),
        Command::Backfill(arguments) => backfill::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Dlq(arguments) => dlq::run(&arguments, Arguments::command()),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
        Command::Report(arguments) => verify::report(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}
