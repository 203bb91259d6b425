//! The cold start, from the start of the process to its first poll, beside that of a bare `lambda_runtime` program:
//! both are started in turn, so that whatever else the machine does falls on both.
//!
//! `make bench-cold` builds the two as they are deployed and names them to this program. `BENCH_STARTS` says how often
//! each is started. It fails if a figure is not reached.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod clouds;
mod first_upload;
mod process;
mod runtime_api;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clouds::Clouds;
use first_upload::First;
use process::Process;
use runtime_api::RuntimeApi;

/// Starts of each program that are not counted: they bring its pages into memory.
const WARM_UP: usize = 3;
/// A start may take this many times a bare program's, and these milliseconds more.
const ALLOWED: (f64, f64) = (1.5, 2.0);
/// The most bytes of the binary.
const MOST_BYTES: u64 = 10_000_000;

type Failure = Box<dyn Error>;

/// What was measured of a program.
struct Starts {
    bytes: u64,
    ms: Vec<f64>,
    resident: Vec<f64>,
}

fn main() -> Result<ExitCode, Failure> {
    // Cargo adds an option of its own.
    let programs: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [ours, bare] = &programs[..] else {
        return Err("name the function and the bare program, as make bench-cold does".into());
    };
    let starts: usize = std::env::var("BENCH_STARTS").map_or(Ok(40), |text| text.parse())?;
    let programs = [bare, ours].map(PathBuf::from);
    let (runtime, clouds) = (RuntimeApi::start()?, Clouds::start()?);
    let [bare, ours] = interleaved(&programs, starts, &runtime, &clouds)?;

    println!("{starts} starts each, in turn; milliseconds from the start of the process to its first poll");
    println!("{:20} {:>8} {:>8} {:>8} {:>12}", "", "median", "p95", "RSS MB", "binary bytes");
    show("bare lambda_runtime", &bare);
    show("sentinel-forwarder", &ours);
    let (factor, more) = ALLOWED;
    let (took, bound) = (quantile(&ours.ms, 0.5), quantile(&bare.ms, 0.5));
    let allowed = factor * bound + more;
    println!("{:20} {allowed:8.2} {:>8} {:>8} {MOST_BYTES:12}", "allowed", "", "");
    println!("sentinel-forwarder : bare = {:.2}; allowed: {factor} x bare + {more} ms", took / bound);
    let reached = [("start", took <= allowed), ("size", ours.bytes <= MOST_BYTES)];
    for (what, reached) in reached {
        println!("{what}: {}", if reached { "reached" } else { "NOT reached" });
    }
    first_uploads(&programs[1], starts / 2, &runtime, &clouds)?;
    Ok(if reached.iter().all(|(_, reached)| *reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the two programs in turn.
fn interleaved(
    programs: &[PathBuf; 2],
    starts: usize,
    runtime: &RuntimeApi,
    clouds: &Clouds,
) -> Result<[Starts; 2], Failure> {
    let size = |program: &Path| -> Result<Starts, Failure> {
        let bytes = program.metadata().map_err(|error| format!("{}: {error}", program.display()))?.len();
        Ok(Starts { bytes, ms: Vec::new(), resident: Vec::new() })
    };
    let mut measured = [size(&programs[0])?, size(&programs[1])?];
    for round in 0..WARM_UP + starts {
        for (program, measured) in programs.iter().zip(&mut measured) {
            let process = Process::start(program, runtime, &clouds.address)?;
            if round >= WARM_UP {
                measured.ms.push(process.start_ms);
                measured.resident.push(process.resident_mb()?);
            }
        }
    }
    Ok(measured)
}

/// What fetching a token ahead is worth.
fn first_uploads(
    program: &Path,
    starts: usize,
    runtime: &RuntimeApi,
    clouds: &Clouds,
) -> Result<(), Failure> {
    let mut measured = First::ALL.map(|first| (first, Vec::new()));
    for _ in 0..starts {
        for (first, ms) in &mut measured {
            ms.push(first.measure(program, runtime, clouds)?);
        }
    }
    let (aws, azure) = (clouds::AWS, clouds::AZURE);
    println!(
        "\n{starts} starts each, in turn; milliseconds from the first invocation, a finding, to its rows being taken"
    );
    println!("{:30} {:>8} {:>8}   (a call takes {aws:?} at AWS, {azure:?} at Azure)", "", "median", "p95");
    for (first, ms) in &measured {
        println!("{:30} {:8.2} {:8.2}", first.name(), quantile(ms, 0.5), quantile(ms, 0.95));
    }
    Ok(())
}

fn show(name: &str, starts: &Starts) {
    println!(
        "{name:20} {:8.2} {:8.2} {:8.1} {:12}",
        quantile(&starts.ms, 0.5),
        quantile(&starts.ms, 0.95),
        quantile(&starts.resident, 0.5),
        starts.bytes
    );
}

/// The value that so large a share of all stays under.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few values"
)]
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
