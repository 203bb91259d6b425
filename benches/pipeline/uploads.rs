//! Whether posts in flight keep the processor busy: the same trail to an endpoint that answers late.

use std::path::Path;
use std::time::Duration;

use super::trail::Kind;
use super::{Cost, FILES, Failure, endpoint, generated, megabytes, run, wanted_bytes};

/// How late the endpoint answers, and how many uploads are in flight; by default if not said.
const CASES: [(u64, Option<&str>); 5] = [(0, None), (50, None), (100, None), (200, None), (200, Some("32"))];

pub(super) fn measure() -> Result<(), Failure> {
    let path = generated(Kind::Typical, wanted_bytes()?)?;
    println!(
        "{:>10} {:>10} {:>9} {:>9} {:>9} {:>11} {:>9}",
        "latency ms", "in flight", "MB out", "CPU s", "wall s", "CPU : wall", "connected"
    );
    for (latency_ms, in_flight) in CASES {
        let endpoint = endpoint::start(Path::new(FILES), Duration::from_millis(latency_ms))?;
        let Cost { bytes_out, cpu_seconds, wall_seconds, .. } =
            run(&path, "pipeline", 6, &endpoint.address, in_flight)?;
        println!(
            "{latency_ms:>10} {:>10} {:9.1} {cpu_seconds:9.2} {wall_seconds:9.2} {:10.0}% {:>9}",
            in_flight.unwrap_or("default"),
            megabytes(bytes_out),
            100.0 * cpu_seconds / wall_seconds,
            endpoint.connections(),
        );
    }
    Ok(())
}
