//! The operator's command line; each subcommand has a file of its own.

mod azure_template;
mod dev;
mod doctor;
mod forward;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Works with AWS security logs in Microsoft Sentinel.
#[derive(Parser)]
#[command(name = "sentinelctl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the template of the Azure side.
    AzureTemplate(azure_template::Arguments),
    /// Runs a local stand-in for Entra and the Logs Ingestion API.
    Dev(dev::Arguments),
    /// Checks a deployment end to end and says what to do next.
    Doctor(doctor::Arguments),
    /// Decodes and maps local files and writes the rows, with no cloud at hand.
    Forward(forward::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::AzureTemplate(arguments) => azure_template::run(&arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Forward(arguments) => forward::run(&arguments),
    }
}
