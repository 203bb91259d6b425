//! `sentinelctl forward`: decodes and maps local files and writes the rows, with no cloud at hand.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use jiff::Timestamp;
use sentinel_forwarder::decode::{Decoder, Format, KeyTells, Step};
use sentinel_forwarder::table::Table;

use super::console::{end, say};

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Decodes and maps local files; writes the rows as JSON lines.
///
/// Exits with 0 if every record became a row, with 1 if some did not, with 2 if the arguments are wrong.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sentinelctl forward trail.json.gz
  sentinelctl forward findings.jsonl.gz trail.json --output rows.jsonl")]
pub(crate) struct Arguments {
    /// `CloudTrail` documents or `GuardDuty` JSON lines, gzipped or plain.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the rows go; to the terminal if not given.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let code = |faults| if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    end("forward", forward(arguments).map(code))
}

/// Forwards all files; how many faults there were.
fn forward(arguments: &Arguments) -> io::Result<u64> {
    let mut out: Box<dyn Write> = match &arguments.output {
        Some(path) => Box::new(BufWriter::new(File::create(path)?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let (mut rows, mut faults) = (0, 0);
    for path in &arguments.files {
        let (file_rows, file_faults) = forward_file(path, &mut out)?;
        rows += file_rows;
        faults += file_faults;
    }
    out.flush()?;
    say(format_args!("{rows} rows, {faults} faults"));
    Ok(faults)
}

fn forward_file(path: &Path, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    let name = path.display();
    let mut file =
        File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    let mut format = match KeyTells::of(&path.to_string_lossy()) {
        KeyTells::Format(format) => Some(format),
        KeyTells::Other | KeyTells::Nothing => None,
    };
    let mut decoder = Decoder::new(format);
    let (mut rows, mut faults) = (0, 0);
    let mut fault = |what: String| {
        say(format_args!("{name}: {what}"));
        faults += 1;
    };
    let mut row = Vec::new();
    loop {
        match decoder.next() {
            Ok(Step::Record(record)) => {
                // A format is told by the key or recognised before the first record.
                let table = format.map_or(Table::AwsCloudTrail, Format::table);
                row.clear();
                match table.map(record.json, Timestamp::now(), &mut row) {
                    Ok(_) => {
                        row.push(b'\n');
                        out.write_all(&row)?;
                        rows += 1;
                    }
                    Err(error) => fault(format!("record {}: {error}", record.index)),
                }
            }
            Ok(Step::Taken) => {}
            Ok(Step::Flawed { index, flaw }) => fault(format!("record {index}: {flaw}")),
            Ok(Step::Recognised(recognised)) => format = Some(recognised),
            Ok(Step::Starved) => {
                let mut chunk = vec![0; CHUNK_BYTES];
                let count = file.read(&mut chunk)?;
                chunk.truncate(count);
                if count == 0 { decoder.end_input() } else { decoder.push(Bytes::from(chunk)) }
            }
            Ok(Step::End) => break,
            Ok(Step::Unclaimed) => {
                fault("neither a CloudTrail document nor GuardDuty findings".to_owned());
                break;
            }
            Err(error) => {
                let index = decoder.next_index();
                fault(format!("from record {index} on: {error}"));
                break;
            }
        }
    }
    Ok((rows, faults))
}
