//! A manifest for a job of S3 Batch Operations, and the command that creates the job.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html>: CSV of bucket and key, the key
//! URL-encoded. URL-encoding leaves no comma and no quote.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tokio::sync::watch;

use super::BackfillError;
use super::layout::Range;
use super::listing::walk;
use super::selection::{Selection, Source};
use crate::aws::{Bucket, Writing};

/// What a key's URL-encoding leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a manifest is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An object of S3.
    Object(Source),
    /// A file on this machine.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with("s3://") {
            return Ok(Self::File(text.into()));
        }
        let object: Source = text.parse()?;
        if object.prefix.is_empty() || object.prefix.ends_with('/') {
            return Err("it names no object, as in s3://bucket/manifest.csv".to_owned());
        }
        Ok(Self::Object(object))
    }
}

/// A manifest that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// How many files it names.
    pub files: u64,
    /// Its entity tag, where it is in S3.
    pub etag: Option<String>,
}

enum Sink {
    Object(Writing),
    File { file: BufWriter<File>, unfinished: PathBuf, path: PathBuf },
}

/// Writes down all that is selected; none if it was told to stop, and then nothing of it stays.
///
/// # Errors
/// If the bucket can't be listed or the manifest not be written.
pub async fn write(
    bucket: &Bucket,
    selection: &Selection,
    ranges: &[Range],
    (target, target_bucket): (&Target, Option<Bucket>),
    stop: &watch::Sender<bool>,
    mut tell: impl FnMut(u64),
) -> Result<Option<Manifest>, BackfillError> {
    let mut sink = Sink::begin(target, target_bucket).await?;
    let written = lines(bucket, selection, ranges, &mut sink, stop, &mut tell).await;
    match written {
        Ok(Some(files)) => Ok(Some(Manifest { files, etag: sink.finish().await? })),
        Ok(None) => {
            sink.give_up().await;
            Ok(None)
        }
        Err(error) => {
            sink.give_up().await;
            Err(error)
        }
    }
}

/// How many lines were written; none if it was told to stop.
async fn lines(
    bucket: &Bucket,
    selection: &Selection,
    ranges: &[Range],
    sink: &mut Sink,
    stop: &watch::Sender<bool>,
    tell: &mut impl FnMut(u64),
) -> Result<Option<u64>, BackfillError> {
    let (mut files, mut failure) = (0, None);
    for range in ranges {
        walk(bucket, selection, range, async |object| {
            failure = sink.write(&line(&selection.source.bucket, &object.key)).await.err();
            files += 1;
            tell(files);
            failure.is_none() && !*stop.borrow()
        })
        .await?;
        if let Some(error) = failure {
            return Err(error);
        }
        if *stop.borrow() {
            return Ok(None);
        }
    }
    Ok(Some(files))
}

fn line(bucket: &str, key: &str) -> String {
    format!("{bucket},{}\n", utf8_percent_encode(key, ENCODED))
}

impl Sink {
    async fn begin(target: &Target, bucket: Option<Bucket>) -> Result<Self, BackfillError> {
        match (target, bucket) {
            (Target::Object(object), Some(bucket)) => {
                Ok(Self::Object(Writing::begin(bucket, object.prefix.clone()).await?))
            }
            (Target::Object(_), None) => {
                Err(BackfillError::Usage("the manifest's bucket is not known".to_owned()))
            }
            (Target::File(path), _) => {
                let mut unfinished = path.as_os_str().to_owned();
                unfinished.push(".unfinished");
                let unfinished = PathBuf::from(unfinished);
                let file = File::create(&unfinished).map_err(|error| fault(&unfinished, error))?;
                Ok(Self::File { file: BufWriter::new(file), unfinished, path: path.clone() })
            }
        }
    }

    async fn write(&mut self, line: &str) -> Result<(), BackfillError> {
        match self {
            Self::Object(writing) => Ok(writing.write(line.as_bytes()).await?),
            Self::File { file, unfinished, .. } => {
                file.write_all(line.as_bytes()).map_err(|error| fault(unfinished, error))
            }
        }
    }

    async fn finish(self) -> Result<Option<String>, BackfillError> {
        match self {
            Self::Object(writing) => Ok(Some(writing.finish().await?)),
            Self::File { mut file, unfinished, path } => {
                file.flush().map_err(|error| fault(&unfinished, error))?;
                std::fs::rename(&unfinished, &path).map_err(|error| fault(&path, error))?;
                Ok(None)
            }
        }
    }

    async fn give_up(self) {
        match self {
            Self::Object(writing) => writing.give_up().await,
            // Whoever gives up has another error to tell of.
            Self::File { unfinished, .. } => drop(std::fs::remove_file(unfinished)),
        }
    }
}

fn fault(path: &Path, error: std::io::Error) -> BackfillError {
    BackfillError::Manifest { path: path.display().to_string(), error }
}

/// What a job needs beside its manifest; what is not known is named so that it can be filled in.
pub struct Job {
    /// Where the manifest is, or where it is to be put.
    pub manifest: Option<Source>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// The function.
    pub function_arn: Option<String>,
    /// The role that the job runs as.
    pub role_arn: Option<String>,
    /// The region.
    pub region: String,
}

impl Job {
    /// The command that creates it.
    #[must_use]
    pub fn command(&self) -> String {
        let bucket = self.manifest.as_ref().map_or("MANIFEST_BUCKET", |object| &object.bucket);
        let key = self.manifest.as_ref().map_or("MANIFEST_KEY", |object| &object.prefix);
        let function = self.function_arn.as_deref().unwrap_or("FUNCTION_ARN");
        let account = function.split(':').nth(4).unwrap_or("ACCOUNT_ID");
        let partition = function.split(':').nth(1).unwrap_or("aws");
        let operation = json!({"LambdaInvoke": {"FunctionArn": function, "InvocationSchemaVersion": "1.0"}});
        let manifest = json!({
            "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
            "Location": {
                "ObjectArn": format!("arn:{partition}:s3:::{bucket}/{key}"),
                "ETag": self.etag.as_deref().unwrap_or("MANIFEST_ETAG"),
            },
        });
        let report = json!({
            "Enabled": true,
            "Bucket": format!("arn:{partition}:s3:::{bucket}"),
            "Prefix": "sentinel-forwarder-backfill",
            "Format": "Report_CSV_20180820",
            "ReportScope": "FailedTasksOnly",
        });
        let words = [
            ("account-id", account.to_owned()),
            ("region", self.region.clone()),
            ("operation", quoted(&operation.to_string())),
            ("manifest", quoted(&manifest.to_string())),
            ("report", quoted(&report.to_string())),
            ("priority", "10".to_owned()),
            ("role-arn", self.role_arn.clone().unwrap_or_else(|| "ROLE_ARN".to_owned())),
        ];
        let options: Vec<_> = words.iter().map(|(name, value)| format!(" \\\n  --{name} {value}")).collect();
        format!("aws s3control create-job{} \\\n  --no-confirmation-required", options.concat())
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trigger::decode_key;

    #[test]
    fn a_target_is_an_object_or_a_file() {
        let object = Source { bucket: "b".to_owned(), prefix: "m/x.csv".to_owned() };
        assert_eq!("s3://b/m/x.csv".parse(), Ok(Target::Object(object)));
        assert_eq!("m/x.csv".parse(), Ok(Target::File("m/x.csv".into())));
        assert!("s3://b/".parse::<Target>().is_err());
        assert!("s3://b/m/".parse::<Target>().is_err());
    }

    #[test]
    fn a_line_is_bucket_and_encoded_key() {
        assert_eq!(line("b", "AWSLogs/1/x_y-z.json.gz"), "b,AWSLogs/1/x_y-z.json.gz\n");
        assert_eq!(line("b", "a b+c,\"ü\"\n%"), "b,a%20b%2Bc%2C%22%C3%BC%22%0A%25\n");
    }

    #[test]
    fn a_command_can_be_run_as_it_stands() {
        let job = Job {
            manifest: Some(Source { bucket: "m".to_owned(), prefix: "it's.csv".to_owned() }),
            etag: Some("abc-1".to_owned()),
            function_arn: Some("arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:f".to_owned()),
            role_arn: Some("arn:aws-us-gov:iam::111122223333:role/r".to_owned()),
            region: "us-gov-west-1".to_owned(),
        };
        let command = job.command();
        for part in [
            "--account-id 111122223333",
            "--region us-gov-west-1",
            r#""ObjectArn":"arn:aws-us-gov:s3:::m/it'\''s.csv""#,
            r#""ETag":"abc-1""#,
            r#""InvocationSchemaVersion":"1.0""#,
            "--role-arn arn:aws-us-gov:iam::111122223333:role/r",
        ] {
            assert!(command.contains(part), "{part}\n{command}");
        }
        let unknown = Job { manifest: None, etag: None, function_arn: None, role_arn: None, ..job };
        for name in
            ["ACCOUNT_ID", "FUNCTION_ARN", "ROLE_ARN", "MANIFEST_BUCKET/MANIFEST_KEY", "MANIFEST_ETAG"]
        {
            assert!(unknown.command().contains(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_function_reads_every_key_back(key in ".+") {
            let line = line("b", &key);
            let encoded = line.strip_prefix("b,").unwrap().strip_suffix('\n').unwrap();
            prop_assert!(!encoded.contains([',', '"', '\n']));
            prop_assert_eq!(decode_key(encoded), Some(key));
        }
    }
}
