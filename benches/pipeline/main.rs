//! The whole pipeline over a generated trail, beside the bound: inflating and deflating the same bytes with no work in
//! between.
//!
//! Each runs in a process of its own, whose processor time and peak memory the system counts. The pipeline is the
//! product's, from an object's chunks to the posts; what it posts to stands in this process and swallows it.
//! `BENCH_MB` sets the trail's uncompressed size, `SENTINEL_COMPRESSION_LEVEL` the level.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod bound;
mod cost;
mod endpoint;
mod ours;
mod trail;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use cost::Cost;

/// Which part a process of this program plays; none for the one that starts the others.
const PART: &str = "BENCH_PART";
const SEED: u64 = 20_260_102;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let level = setting("SENTINEL_COMPRESSION_LEVEL", 6)?;
    let megabytes = setting("BENCH_MB", 1000)?;
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("trail-{SEED}-{megabytes}.json.gz"));
    match std::env::var(PART).ok().as_deref() {
        None => {
            compare(&path, u64::from(megabytes) * 1_000_000)?;
        }
        Some("bound") => println!("{}", bound::run(&path, level)?.to_line()),
        Some(endpoint) => println!("{}", ours::run(&path, level, endpoint)?.to_line()),
    }
    Ok(())
}

fn setting(name: &str, default: u32) -> Result<u32, Failure> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}").into()),
        Err(_) => Ok(default),
    }
}

fn compare(path: &Path, bytes: u64) -> Result<(), Failure> {
    if !path.exists() {
        eprintln!("generating a trail of {} MB", bytes / 1_000_000);
        trail::generate(path, bytes, SEED)?;
    }
    let endpoint = endpoint::start()?;
    let bound = run("bound")?;
    let ours = Cost { bytes_in: bound.bytes_in, ..run(&endpoint)? };
    println!(
        "{:10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "MB in", "MB out", "CPU s", "MB/CPU s", "wall s", "RSS MB"
    );
    for (name, cost) in [("bound", &bound), ("pipeline", &ours)] {
        println!(
            "{name:10} {:9.1} {:9.1} {:9.2} {:9.1} {:9.2} {:9.1}",
            megabytes(cost.bytes_in),
            megabytes(cost.bytes_out),
            cost.cpu_seconds,
            megabytes(cost.bytes_in) / cost.cpu_seconds,
            cost.wall_seconds,
            megabytes(cost.peak_rss_bytes),
        );
    }
    println!(
        "{} records; pipeline : bound = {:.2} in CPU",
        ours.records,
        ours.cpu_seconds / bound.cpu_seconds
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Runs one part in a process of its own.
fn run(part: &str) -> Result<Cost, Failure> {
    let output = Command::new(std::env::current_exe()?).env(PART, part).output()?;
    let text = String::from_utf8(output.stdout)?;
    Cost::parse(text.trim())
        .ok_or_else(|| format!("{part}: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
}
