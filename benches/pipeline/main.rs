//! The pipeline over generated trails, whole and stage by stage, beside the bound: inflating and deflating the same
//! bytes with no work in between.
//!
//! Each part runs in a process of its own, whose processor time and peak memory the system counts; the best of
//! `BENCH_RUNS` counts. The pipeline is the product's, from an object's chunks to the posts; what it posts to stands in
//! this process and swallows it. `BENCH_MB` sets a trail's uncompressed size, `BENCH_TRAILS` picks some. The argument `uploads`
//! has the endpoint answer late instead, and shows whether the processor waits for it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod bound;
mod corpus;
mod cost;
mod endpoint;
mod ours;
mod stages;
mod trail;
mod uploads;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cost::Cost;
use trail::Kind;

/// Which part a process of this program plays, and at which level; none for the one that starts the others.
const PART: &str = "BENCH_PART";
const LEVEL: &str = "BENCH_LEVEL";
/// Where it finds what stands for both clouds.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// Where trails are kept.
const FILES: &str = env!("CARGO_TARGET_TMPDIR");
const SEED: u64 = 20_260_102;
/// The levels that are measured, and how much of the bound each is to reach.
const LEVELS: [(u32, f64); 2] = [(6, 0.88), (1, 0.80)];

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let Ok(part) = std::env::var(PART) else {
        let late = std::env::args().any(|argument| argument == "uploads");
        return if late { uploads::measure() } else { all() };
    };
    let path = PathBuf::from(std::env::args().nth(1).ok_or("no file is named")?);
    let level = setting(LEVEL, 6)?;
    let cost = match part.as_str() {
        "bound" => bound::run(&path, level)?,
        "inflate" => stages::inflate(&path)?,
        "frame" => stages::frame(&path)?,
        "rows" => stages::rows(&path)?,
        "rows, ordinary" => stages::ordinary_rows(&path)?,
        "deflate" => stages::deflate(&path, level)?,
        "pipeline" => ours::run(&path, level, ours::Around::Nothing)?,
        "and S3" => ours::run(&path, level, ours::Around::S3)?,
        "and S3, ledger" => ours::run(&path, level, ours::Around::S3AndLedger)?,
        part => return Err(format!("no such part: {part}").into()),
    };
    println!("{}", cost.to_line());
    Ok(())
}

fn setting(name: &str, default: u32) -> Result<u32, Failure> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}").into()),
        Err(_) => Ok(default),
    }
}

/// A trail's uncompressed size.
fn wanted_bytes() -> Result<u64, Failure> {
    Ok(u64::from(setting("BENCH_MB", 1000)?) * 1_000_000)
}

fn all() -> Result<(), Failure> {
    let bytes = wanted_bytes()?;
    let picked = std::env::var("BENCH_TRAILS").unwrap_or_default();
    let endpoint = endpoint::start(Path::new(FILES), Duration::ZERO)?.address;
    for kind in Kind::ALL {
        if picked.is_empty() || picked.split(' ').any(|name| name == kind.name()) {
            measure(kind.name(), &generated(kind, bytes)?, &endpoint)?;
        }
    }
    if picked.is_empty() || picked.contains("corpus") {
        match corpus::collect(bytes)? {
            Some(path) => measure("corpus", &path, &endpoint)?,
            None => println!("\ncorpus: skipped, ../shared/corpus is not here"),
        }
    }
    Ok(())
}

/// A trail of that kind and size; its times are yesterday's, as near to now as those of a function's files.
fn generated(kind: Kind, bytes: u64) -> Result<PathBuf, Failure> {
    const DAY: i64 = 24 * 60 * 60;
    let day = jiff::Timestamp::now().as_second() / DAY;
    let name = format!("trail-{}-{SEED}-{day}-{bytes}.json.gz", kind.name());
    let path = Path::new(FILES).join(name);
    if !path.exists() {
        eprintln!("generating a trail of {} MB: {}", bytes / 1_000_000, kind.name());
        trail::generate(&path, kind, bytes, SEED, day * DAY - DAY / 2)?;
    }
    Ok(path)
}

fn measure(name: &str, path: &Path, endpoint: &str) -> Result<(), Failure> {
    let best = |path: &Path, part: &str, level: u32| best(path, part, level, endpoint);
    let rows = best(path, "rows", 6)?;
    let (bytes_in, records) = (rows.bytes_in, rows.records);
    println!("\n{name}: {:.1} MB, {records} records", megabytes(bytes_in));
    println!(
        "{:24} {:>9} {:>11} {:>9} {:>10} {:>7} {:>7}",
        "", "MB/CPU s", "records/s", "CPU s", "out : in", "RSS MB", "bound"
    );
    let show = |part: &str, cost: &Cost, of: Option<&Cost>| {
        let share =
            of.map_or(String::new(), |of| format!("{:.0} %", 100.0 * of.cpu_seconds / cost.cpu_seconds));
        println!(
            "{part:24} {:9.1} {:11.0} {:9.2} {:10.3} {:7.1} {share:>7}",
            megabytes(bytes_in) / cost.cpu_seconds,
            float(records) / cost.cpu_seconds,
            cost.cpu_seconds,
            float(cost.bytes_out) / float(bytes_in),
            megabytes(cost.peak_rss_bytes),
        );
    };
    for part in ["inflate", "frame", "rows", "rows, ordinary"] {
        show(part, &best(path, part, 6)?, None);
    }
    for (level, wanted) in LEVELS {
        let bound = best(path, "bound", level)?;
        println!("level {level}");
        show("deflate", &best(path, "deflate", level)?, None);
        show("bound", &bound, None);
        let ours = best(path, "pipeline", level)?;
        show("pipeline", &ours, Some(&bound));
        for part in ["and S3", "and S3, ledger"] {
            show(part, &best(path, part, level)?, Some(&bound));
        }
        let reached = bound.cpu_seconds / ours.cpu_seconds >= wanted;
        println!("{:.0} % of the bound: {}", 100.0 * wanted, if reached { "reached" } else { "NOT reached" });
    }
    Ok(())
}

/// The cheapest of some runs of one part.
fn best(path: &Path, part: &str, level: u32, endpoint: &str) -> Result<Cost, Failure> {
    let runs = setting("BENCH_RUNS", 3)?;
    let costs: Result<Vec<_>, _> = (0..runs.max(1)).map(|_| run(path, part, level, endpoint, None)).collect();
    costs?
        .into_iter()
        .min_by(|one, other| one.cpu_seconds.total_cmp(&other.cpu_seconds))
        .ok_or_else(|| "no run".into())
}

/// Runs one part in a process of its own.
fn run(
    path: &Path,
    part: &str,
    level: u32,
    endpoint: &str,
    in_flight: Option<&str>,
) -> Result<Cost, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(path).env(PART, part).env(LEVEL, level.to_string()).env(ENDPOINT, endpoint);
    // What the SDK signs with; nobody checks it.
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env(name, "any");
    }
    command.envs(in_flight.map(|in_flight| (ours::IN_FLIGHT, in_flight)));
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    Cost::parse(text.trim())
        .ok_or_else(|| format!("{part}: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn float(number: u64) -> f64 {
    number as f64
}
