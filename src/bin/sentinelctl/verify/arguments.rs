//! What the command lines of `verify` and `report` may say, and what of it fits together.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sentinel_forwarder::backfill::layout::Period;
use sentinel_forwarder::backfill::selection::{Selection, Source, parse_service, parse_time};
use sentinel_forwarder::verify::Asked;

use crate::backfill::parse_account;
use crate::console::Output;

const VERIFY_HELP: &str = "\
Each digest of the time is verified: its signature, its chain, each file that it
lists against S3 and the ledger. Then the files that lie in S3, by their dated
folders, are compared with the ledger, whether a digest lists them or not: of sources
without digests, GuardDuty among them, that is the whole check. What the ledger knows
and the bucket has no longer, digests and files, is found by one scan of the ledger.
Nothing is changed.

An hour is
  complete    a digest vouches for it, and all that it lists and all that lies in S3
              was delivered
  pending     its digest is not due yet (three hours after the hour begins), or a
              file has come just now
  unvouched   no digest vouches for it; all files that lie in S3 were delivered
  incomplete, gone, altered, unverified, unsealed: see README, Proof
  unchecked   it could not be looked at

You need s3:ListBucket and s3:ListBucketVersions on the bucket, s3:GetObject on it,
dynamodb:Scan and BatchGetItem on the ledger, and cloudtrail:ListPublicKeys. After
any kind of sign-in of the AWS CLI this sets the credentials:
  eval \"$(aws configure export-credentials --format env)\"

Exit codes: 0 every hour is complete (or unvouched, with --allow-unvouched), 1
something is wrong, 2 something could not be checked and nothing is known to be
wrong, 64 wrong usage. Ctrl-C ends early, and tells what was seen until then.

Examples:
  sentinelctl verify s3://trail-logs --from 2026-03-01 --until 2026-04-01
  sentinelctl verify s3://trail-logs/audit --accounts 111122223333 \\
    --regions eu-west-1 --from 2026-03-10T09:00:00Z --until 2026-03-10T12:00:00Z
  sentinelctl verify s3://findings --services GuardDuty --from 2026-03-01 \\
    --allow-unvouched
  sentinelctl verify s3://trail-logs --from 2026-03-01 --output json |
    jq -r '.exceptions[] | [.hour, .account, .region, .name, .file] | @tsv'";

const REPORT_HELP: &str = "\
The page holds all that it needs, and no script is needed to read it: a map of the
hours of each account and region, the sums, each exception with the letter that
tells of it, the digests with their hashes and keys, how it was made, and the query
that compares it with the rows in Sentinel. It can be printed and kept.

It is made as `sentinelctl verify` does, and needs the same permissions.

Exit codes: those of `sentinelctl verify`. The page is written in each case but
those where S3 can't be listed at all, or where it can't be written.

Examples:
  sentinelctl report s3://trail-logs --from 2026-03-01 --until 2026-04-01 \\
    --out march.html
  sentinelctl report s3://trail-logs --accounts 111122223333 --from 2026-03-10 \\
    --until 2026-03-11 --out day.html";

/// Verifies that everything arrived: digests, the files in S3 and the ledger, hour by hour.
#[derive(clap::Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(super) range: Range,
    /// How the outcome is written
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
}

/// Verifies that everything arrived, and writes a page that an auditor can keep.
#[derive(clap::Args)]
#[command(after_help = REPORT_HELP)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(super) range: Range,
    /// Where the page goes
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    pub(super) out: PathBuf,
}

/// What is verified.
#[derive(clap::Args)]
pub(super) struct Range {
    /// The bucket, and the prefix before the folder `AWSLogs`, or up to an account
    #[arg(value_name = "s3://BUCKET/PREFIX")]
    source: Source,
    /// First day (2026-01-31, UTC) or moment (2026-01-31T12:00:00Z); whole hours are taken
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Timestamp,
    /// Day or moment that is no longer included [default: now]
    #[arg(long, visible_alias = "to", value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Accounts, comma-separated [default: all there are]
    #[arg(long, value_name = "ACCOUNT", value_delimiter = ',', value_parser = parse_account)]
    accounts: Vec<String>,
    /// Regions, comma-separated [default: all there are]
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    regions: Vec<String>,
    /// CloudTrail, CloudTrail-Insight, CloudTrail-NetworkActivity or `GuardDuty`; several comma-separated [default:
    /// CloudTrail]
    #[arg(long, alias = "service", value_name = "SERVICE", value_delimiter = ',', value_parser = parse_service)]
    services: Vec<String>,
    /// Take hours that no digest vouches for as proven, if all that lies in S3 was delivered
    #[arg(long)]
    allow_unvouched: bool,
    /// The ledger's table (`LedgerTable` of the stack's outputs)
    #[arg(long, env = "LEDGER_TABLE", value_name = "TABLE")]
    ledger_table: Option<String>,
}

/// What is verified, as far as it fits together.
pub(super) struct Wanted {
    pub(super) selection: Selection,
    pub(super) asked: Asked,
}

impl Range {
    pub(super) fn wanted(&self, now: Timestamp) -> Result<Wanted, String> {
        let until = self.until.unwrap_or(now).min(now);
        let (from, until) = (whole_hour(self.from, 0), whole_hour(until, 3599));
        if until <= from {
            return Err("--until is not after --from, or --from lies in the future".to_owned());
        }
        let table = self.ledger_table.clone().filter(|table| !table.is_empty()).ok_or(
            "the ledger is not known: give --ledger-table or set LEDGER_TABLE (LedgerTable of the stack's outputs)",
        )?;
        let selection = Selection {
            source: self.source.clone(),
            raw: false,
            accounts: self.accounts.clone(),
            regions: self.regions.clone(),
            services: self.services.clone(),
            period: Period { from: Some(from), until: Some(until) },
        };
        let asked = Asked {
            bucket: self.source.bucket.clone(),
            wanted: selection.wanted()?,
            from,
            until,
            now,
            allows_unvouched: self.allow_unvouched,
            ledger: table,
            identity: None,
        };
        Ok(Wanted { selection, asked })
    }
}

/// The hour that a moment so much later lies in.
fn whole_hour(time: Timestamp, more_seconds: i64) -> Timestamp {
    let later = time.saturating_add(SignedDuration::from_secs(more_seconds)).unwrap_or(time);
    let second = later.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(time)
}
