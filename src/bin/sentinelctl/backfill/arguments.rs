//! What the command line of a backfill may say, and what of it fits together.

use std::path::PathBuf;

use jiff::Timestamp;
use sentinel_forwarder::backfill::BackfillError;
use sentinel_forwarder::backfill::layout::{Period, is_account};
use sentinel_forwarder::backfill::manifest::Target;
use sentinel_forwarder::backfill::plan::SENTINEL_USD_PER_GB;
use sentinel_forwarder::backfill::selection::{Selection, Source, parse_service, parse_time};
use sentinel_forwarder::config::Config;

use super::is_asked;
use crate::console::Output;

const HELP: &str = "\
Files are selected by AWS's key layout,
[prefix/]AWSLogs/[o-xxx/]ACCOUNT/SERVICE/REGION/YYYY/MM/DD/, and only the days
that are asked for are listed. A day counts by when the file was written, in UTC;
its events are up to some 15 minutes older. Files in Glacier are left out: restore
them first.

Three ways lead to Sentinel:
  queue   a task for each file on the work queue; the function does the rest
  batch   a manifest for S3 Batch Operations, and the command to create the job
  direct  the function's own pipeline on this machine, by the environment of the
          function (see README, Configuration); Entra must trust who you are

A file that was delivered before is skipped by the ledger. With --state a second
run neither lists nor sends again what the first one was done with.

You need s3:ListBucket on the bucket; s3:GetObject for an estimate from 20 of the
files (else a typical trail stands in) and for direct; sqs:SendMessage for queue.
After any kind of sign-in of the AWS CLI this sets the credentials:
  eval \"$(aws configure export-credentials --format env)\"

Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage.

Examples:
  sentinelctl backfill s3://trail-logs --from 2026-01-01 --until 2026-02-01 --plan
  sentinelctl backfill s3://trail-logs/audit --accounts 111122223333 \\
    --regions us-east-1,eu-west-1 --from 2026-01-01 --until 2026-02-01 \\
    --work-queue-url https://sqs.us-east-1.amazonaws.com/111122223333/work \\
    --rate 50 --state january.json
  sentinelctl backfill s3://trail-logs --service GuardDuty --from 2026-03-01 \\
    --via direct --concurrency 16 --yes --output json
  sentinelctl backfill s3://trail-logs --from 2025-01-01 --via batch \\
    --manifest s3://jobs/2025.csv --function-arn ARN --role-arn ARN";

/// Forwards after the fact what lies in a bucket already; shows first what it comes to.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The bucket, and the prefix before the folder `AWSLogs`, or further into it.
    #[arg(value_name = "s3://BUCKET/PREFIX")]
    source: Source,
    /// Accounts, comma-separated [default: all there are]
    #[arg(long, value_name = "ACCOUNT", value_delimiter = ',', value_parser = parse_account)]
    accounts: Vec<String>,
    /// Regions, comma-separated [default: all there are]
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    regions: Vec<String>,
    /// CloudTrail, CloudTrail-Insight, CloudTrail-NetworkActivity or `GuardDuty`; several comma-separated [default:
    /// what the prefix names, or CloudTrail]
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', value_parser = parse_service)]
    service: Vec<String>,
    /// First day (2026-01-31, UTC) or moment (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Day or moment that is no longer included
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Take everything below the prefix, whatever its layout; files count by their name's time, or when they were put
    #[arg(long, conflicts_with_all = ["accounts", "regions", "service"])]
    raw: bool,
    /// The way to Sentinel
    #[arg(long, value_enum, default_value = "queue")]
    via: Via,
    /// queue: tasks a second. Live files wait behind what the function can't keep up with
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=3000))]
    rate: u32,
    /// queue: the work queue.
    #[arg(long, env = "WORK_QUEUE_URL", value_name = "URL")]
    work_queue_url: Option<String>,
    /// batch: where the manifest goes, an object (`s3://bucket/key`) or a file
    #[arg(long, value_name = "TARGET")]
    manifest: Option<Target>,
    /// batch: the function that the job invokes
    #[arg(long, value_name = "ARN")]
    pub(super) function_arn: Option<String>,
    /// batch: the role that the job runs as
    #[arg(long, value_name = "ARN")]
    pub(super) role_arn: Option<String>,
    /// direct: files at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) concurrency: u16,
    /// queue, direct: file that a second run goes on from
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// What Sentinel bills for a GB, in dollars
    #[arg(long, value_name = "USD", default_value_t = SENTINEL_USD_PER_GB, value_parser = parse_price)]
    pub(super) price_per_gb: f64,
    /// Show what it comes to, and do nothing
    #[arg(long)]
    pub(super) plan: bool,
    /// Don't ask
    #[arg(long, conflicts_with = "plan")]
    pub(super) yes: bool,
    /// How plan and report are written
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    Queue,
    Batch,
    Direct,
}

/// The way to Sentinel, with all that it takes.
pub(super) enum Way {
    Queue { url: String, files_per_second: u32 },
    Batch { target: Target },
    Direct { config: Box<Config> },
}

impl Arguments {
    /// What is to be taken.
    pub(super) fn selection(&self) -> Result<Selection, BackfillError> {
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until <= from
        {
            return usage("--until is not after --from; the day of --until is not included");
        }
        let selection = Selection {
            source: self.source.clone(),
            raw: self.raw,
            accounts: self.accounts.clone(),
            regions: self.regions.clone(),
            services: self.service.clone(),
            period: Period { from: self.from, until: self.until },
        };
        selection.wanted().map_err(BackfillError::Usage)?;
        Ok(selection)
    }

    /// The way, if all that it takes is there; a plan needs none of it.
    pub(super) fn way(&self) -> Result<Way, BackfillError> {
        if !(self.plan || self.yes || is_asked()) {
            return usage(
                "there is no terminal to ask at: give --yes to go on, or --plan to see what it comes to",
            );
        }
        if self.state.is_some() && self.via == Via::Batch {
            return usage("--state is for queue and direct: a manifest is written as a whole");
        }
        match self.via {
            Via::Queue => match self.work_queue_url.clone().filter(|url| !url.is_empty()) {
                None if !self.plan => usage(
                    "the work queue is not known: give --work-queue-url or set WORK_QUEUE_URL \
                         (WorkQueueUrl of the stack's outputs)",
                ),
                url => Ok(Way::Queue { url: url.unwrap_or_default(), files_per_second: self.rate }),
            },
            Via::Batch => match &self.manifest {
                None if !self.plan => usage("give --manifest s3://bucket/key, or a file, for the manifest"),
                target => Ok(Way::Batch {
                    target: target.clone().unwrap_or_else(|| Target::File(PathBuf::from("manifest.csv"))),
                }),
            },
            Via::Direct => {
                let config = Config::from_env().map_err(|problems| {
                    BackfillError::Usage(format!("{problems}; `direct` takes the function's own environment"))
                })?;
                if config.dead_letter_queue_url.is_none() {
                    return usage(
                        "DEAD_LETTER_QUEUE_URL is not set: what can't be delivered would have no place to go",
                    );
                }
                let bucket = &self.source.bucket;
                if config.allowed_buckets.as_ref().is_some_and(|names| !names.contains(bucket)) {
                    return usage(&format!(
                        "{bucket} is not in ALLOWED_BUCKETS: add it, or unset the variable"
                    ));
                }
                Ok(Way::Direct { config: Box::new(config) })
            }
        }
    }
}

fn usage<T>(text: &str) -> Result<T, BackfillError> {
    Err(BackfillError::Usage(text.to_owned()))
}

/// An account's number.
pub(crate) fn parse_account(text: &str) -> Result<String, String> {
    if is_account(text) { Ok(text.to_owned()) } else { Err("an account has 12 digits".to_owned()) }
}

fn parse_price(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(price) if (0.0..1e6).contains(&price) => Ok(price),
        _ => Err("a price in dollars, such as 4.30".to_owned()),
    }
}
