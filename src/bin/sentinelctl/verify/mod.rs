//! `sentinelctl verify` and `sentinelctl report`: whether everything arrived, for whoever asks and for an auditor.

mod arguments;

use std::cell::Cell;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

use jiff::Timestamp;
use sentinel_forwarder::aws::{
    AwsError, Bucket, CloudTrailKeys, DynamoLedger, Inspection, S3Objects, http_client,
};
use sentinel_forwarder::backfill::BackfillError;
use sentinel_forwarder::backfill::progress::number;
use sentinel_forwarder::verify::{Answer, Outcome, Parties, folders, page, verify, visible};

use crate::console::{Output, Progress, end, say};
use crate::interruption::Interruption;
use crate::operator;
use arguments::{Range, Wanted};
pub(crate) use arguments::{Report, Verify};

/// How often the line of progress changes.
const PAUSE: Duration = Duration::from_millis(200);
/// Something is wrong.
const WRONG: u8 = 1;
/// It could not be checked.
const UNKNOWN: u8 = 2;
/// What was asked for makes no sense: `EX_USAGE` of sysexits.h, since 2 says something of the logs.
const USAGE: u8 = 64;

/// The code of a command line that can't be read, which is `code` for other commands.
pub(crate) fn exit_code_of_usage(code: i32) -> u8 {
    let is_ours = env::args_os().any(|argument| argument == "verify" || argument == "report");
    match code {
        0 => 0,
        _ if is_ours => USAGE,
        code => u8::try_from(code).unwrap_or(UNKNOWN),
    }
}

/// Runs `sentinelctl verify`.
pub(crate) fn run(arguments: &Verify) -> ExitCode {
    done("verify", &arguments.range, |outcome| {
        let text = match arguments.output {
            Output::Text => outcome.text(),
            Output::Json => outcome.json().to_string(),
        };
        writeln!(io::stdout(), "{text}")
    })
}

/// Runs `sentinelctl report`.
pub(crate) fn report(arguments: &Report) -> ExitCode {
    let path = arguments.out.display();
    // Known before the work, and what stands there stays until the page is made.
    if let Err(error) = fs::OpenOptions::new().append(true).create(true).open(&arguments.out) {
        say(format_args!("sentinelctl report: {path} can't be written: {error}"));
        return ExitCode::from(USAGE);
    }
    done("report", &arguments.range, |outcome| {
        fs::write(&arguments.out, page::page(outcome))
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        say(format_args!("{} {path} is written.", outcome.sentence()));
        Ok(())
    })
}

/// Verifies, lets the outcome be told, and answers with its code.
fn done(command: &str, range: &Range, tell: impl FnOnce(&Outcome) -> io::Result<()>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(look(range)));
    let outcome = match ran {
        Ok(outcome) => outcome,
        Err(error) => {
            say(format_args!("sentinelctl {command}: {}", visible(&error.to_string())));
            return ExitCode::from(if is_usage(&*error) { USAGE } else { UNKNOWN });
        }
    };
    let code = match outcome.answer() {
        Answer::Proven => ExitCode::SUCCESS,
        Answer::Wrong => ExitCode::from(WRONG),
        Answer::Unknown => ExitCode::from(UNKNOWN),
    };
    match tell(&outcome) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(format_args!("sentinelctl {command}: {error}"));
            ExitCode::from(UNKNOWN)
        }
        told => end(command, told.map(|()| code)),
    }
}

/// Whether the command line itself is wrong.
fn is_usage(error: &(dyn Error + 'static)) -> bool {
    error.is::<Usage>() || matches!(error.downcast_ref(), Some(BackfillError::Usage(_)))
}

/// Arguments that do not fit together.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Usage {}

async fn look(range: &Range) -> Result<Outcome, Box<dyn Error>> {
    let Wanted { selection, mut asked } = range.wanted(Timestamp::now()).map_err(Usage)?;
    let http = http_client()?;
    let aws = operator::config(http.clone()).await;
    // Who may not ask who they are may verify all the same.
    asked.identity = match Inspection::new(http, aws.clone()).caller().await {
        Ok(caller) => Some(caller.arn),
        Err(
            error @ (AwsError::NoRegion | AwsError::NoCredentials { .. } | AwsError::BadCredentials { .. }),
        ) => {
            return Err(error.into());
        }
        Err(_) => None,
    };
    let bucket = Bucket::new(&aws, asked.bucket.clone());
    let parties = Parties {
        archive: Arc::new(S3Objects::new(&aws)),
        keys: Arc::new(CloudTrailKeys::new(&aws)),
        ledger: Arc::new(DynamoLedger::new(&aws, asked.ledger.clone())),
        interrupted: Arc::default(),
    };
    let folders = folders(&bucket, &selection).await?;
    tokio::spawn(end_early(Interruption::catch()?, Arc::clone(&parties.interrupted)));
    let (line, last) = (Progress::new(), Cell::new(Instant::now()));
    let outcome = verify(&parties, asked, folders, |progress, days| {
        if last.get().elapsed() >= PAUSE {
            last.set(Instant::now());
            line.show(format_args!(
                "{} of {} days of account-regions, {} digests, {} files",
                number(progress.days),
                number(days),
                number(progress.digests),
                number(progress.files)
            ));
        }
    });
    let outcome = outcome.await;
    line.clear();
    Ok(outcome)
}

/// The first interruption ends the work early, the second one the program.
async fn end_early(mut interruption: Interruption, interrupted: Arc<AtomicBool>) {
    if interruption.wait().await.is_ok() {
        interrupted.store(true, Ordering::Relaxed);
        if interruption.wait().await.is_ok() {
            std::process::exit(i32::from(UNKNOWN));
        }
    }
}
