//! `sentinelctl verify` and `sentinelctl report`: whether everything arrived, for whoever asks and for an auditor.

mod arguments;

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sentinel_forwarder::aws::{Bucket, CloudTrailKeys, DynamoLedger, S3Objects, http_client};
use sentinel_forwarder::backfill::progress::number;
use sentinel_forwarder::verify::{Answer, Outcome, Parties, page, sources, verify};

use crate::console::{Output, Progress, end, say, visible};
use crate::operator;
use arguments::{Range, Wanted};
pub(crate) use arguments::{Report, Verify};

/// How often the line of progress changes.
const PAUSE: Duration = Duration::from_millis(200);
/// Something is wrong.
const WRONG: u8 = 1;
/// It could not be checked.
const UNKNOWN: u8 = 2;

/// Runs `sentinelctl verify`.
pub(crate) fn run(arguments: &Verify) -> ExitCode {
    done("verify", &arguments.range, |outcome| {
        let text = match arguments.output {
            // Each line is ours, and what stands in it may be anybody's.
            Output::Text => outcome.text().lines().map(visible).collect::<Vec<_>>().join("\n"),
            Output::Json => outcome.json().to_string(),
        };
        writeln!(io::stdout(), "{text}")
    })
}

/// Runs `sentinelctl report`.
pub(crate) fn report(arguments: &Report) -> ExitCode {
    done("report", &arguments.range, |outcome| {
        let path = arguments.out.display();
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
            say(format_args!("sentinelctl {command}: {error}"));
            return ExitCode::from(UNKNOWN);
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

async fn look(range: &Range) -> Result<Outcome, Box<dyn Error>> {
    let Wanted { selection, asked, ledger_table } = range.wanted(Timestamp::now())?;
    let aws = operator::config(http_client()?).await;
    let bucket = Bucket::new(&aws, asked.bucket.clone());
    let parties = Parties {
        archive: Arc::new(S3Objects::new(&aws)),
        keys: Arc::new(CloudTrailKeys::new(&aws)),
        ledger: Arc::new(DynamoLedger::new(&aws, ledger_table)),
    };
    let sources = sources(&bucket, &selection).await?;
    let (line, last) = (Progress::new(), Cell::new(Instant::now()));
    let outcome = verify(&parties, asked, sources, |progress, days| {
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
