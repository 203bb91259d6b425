//! `sentinelctl convert`: decodes and maps local files and writes the rows, with no cloud at hand.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use jiff::Timestamp;
use sentinel_forwarder::decode::{Decoder, Format, KeyTells, Step};
use sentinel_forwarder::table::Table;

use super::console::{end, note, say};
use super::files::{Sink, naming, open};

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Decodes and maps local files; writes the rows as JSON lines.
///
/// Exits with 0 if every record became a row, with 1 if some did not, with 2 if the arguments are wrong.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sentinelctl convert trail.json.gz
  aws s3 cp s3://BUCKET/KEY - | sentinelctl convert -
  sentinelctl convert findings.jsonl.gz trail.json --out rows.jsonl")]
pub(crate) struct Arguments {
    /// `CloudTrail` documents or `GuardDuty` JSON lines, gzipped or plain; - is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// File that the rows are written to, replaced when all of them are there; - or none is standard output.
    #[arg(long, short, alias = "output", value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let code = |faults| if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    end("convert", convert(arguments).map(code))
}

/// Converts all files; how many faults there were.
fn convert(arguments: &Arguments) -> io::Result<u64> {
    let mut out = Sink::create(arguments.out.as_deref())?;
    let (mut rows, mut faults) = (0, 0);
    for path in &arguments.files {
        let (file_rows, file_faults) = convert_file(path, &mut out)?;
        rows += file_rows;
        faults += file_faults;
    }
    out.finish()?;
    note(format_args!("{rows} rows, {faults} faults"));
    Ok(faults)
}

fn convert_file(path: &Path, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    let name = path.display();
    let mut file = open(path)?;
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
                let count = file.read(&mut chunk).map_err(|error| naming(path, &error))?;
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
