//! A trail of records that others published, over and over until it is as long as it should be.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Failure;

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");

/// The file, if the corpus is here.
pub(super) fn collect(bytes: u64) -> Result<Option<PathBuf>, Failure> {
    let mut records = Vec::new();
    if !Path::new(PLACE).is_dir() {
        return Ok(None);
    }
    read(Path::new(PLACE), &mut records)?;
    if records.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("trail-corpus.json.gz");
    let mut file = GzEncoder::new(BufWriter::new(File::create(&path)?), Compression::new(6));
    let (mut written, mut opening) = (0, "{\"Records\":[");
    for record in records.iter().cycle() {
        if written >= bytes {
            break;
        }
        file.write_all(opening.as_bytes())?;
        file.write_all(record.as_bytes())?;
        written += record.len() as u64;
        opening = ",";
    }
    file.write_all(b"]}")?;
    file.finish()?.into_inner()?.sync_all()?;
    Ok(Some(path))
}

/// The records of all files below, as they are written there but for line breaks.
fn read(place: &Path, records: &mut Vec<String>) -> Result<(), Failure> {
    let mut entries: Vec<_> = fs::read_dir(place)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            read(&entry.path(), records)?;
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            collect_records(&text, records);
        }
    }
    Ok(())
}

fn collect_records(text: &str, records: &mut Vec<String>) {
    #[derive(serde::Deserialize)]
    struct Document<'a> {
        #[serde(borrow, rename = "Records", default)]
        records: Vec<&'a RawValue>,
    }
    let found = match serde_json::from_str::<Document<'_>>(text) {
        Ok(document) if !document.records.is_empty() => {
            document.records.iter().map(|raw| raw.get()).collect()
        }
        _ => vec![text],
    };
    for record in found {
        let is_record = serde_json::from_str::<Value>(record)
            .is_ok_and(|value| value["eventVersion"].is_string() && value["eventSource"] != "aws:s3");
        if is_record {
            records.push(record.trim().to_owned());
        }
    }
}
