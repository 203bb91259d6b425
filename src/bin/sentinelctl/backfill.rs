//! `sentinelctl backfill`: plans, asks, and forwards after the fact what lies in a bucket already.

mod arguments;
mod show;
mod told;

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use sentinel_forwarder::aws::{Bucket, S3Objects, SqsMailbox, http_client};
use sentinel_forwarder::backfill::manifest::{self, Job, Target};
use sentinel_forwarder::backfill::selection::Selection;
use sentinel_forwarder::backfill::state::State;
use sentinel_forwarder::backfill::{
    BackfillError, ByQueue, Carrier, Course, Direct, Ending, Range, carry, ranges, survey,
};
use sentinel_forwarder::wiring::{self, Parts};
use tokio::sync::watch;

use crate::console::{Output, end, say};
use crate::interruption::Interruption;
use crate::operator;
use arguments::Way;
pub(crate) use arguments::{Arguments, parse_account};
use show::Show;
use told::Told;

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(backfill(arguments)));
    let code = ran.map(|is_done| if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    let ended = code.or_else(|error| match error.downcast::<io::Error>() {
        Ok(error) => Err(*error),
        Err(error) => {
            say(format_args!("sentinelctl backfill: {error}"));
            let is_misuse = matches!(error.downcast_ref(), Some(BackfillError::Usage(_)));
            Ok(if is_misuse { ExitCode::from(2) } else { ExitCode::FAILURE })
        }
    });
    end("backfill", ended)
}

/// Whether all that was asked for is done.
async fn backfill(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let (selection, way) = (arguments.selection()?, arguments.way()?);
    let client = http_client()?;
    let aws = operator::config(client.clone()).await;
    let bucket = Bucket::new(&aws, selection.source.bucket.clone());
    let name = selection.to_string();
    let known = match &arguments.state {
        Some(path) => State::read(path, &name).map_err(BackfillError::from)?,
        None => None,
    };
    let ranges = ranges(&bucket, &selection).await?;
    let mut state = if let Some(state) = known {
        state
    } else {
        let (show, objects) = (Show::new(), S3Objects::new(&aws));
        let surveyed = survey(&bucket, &objects, &selection, &ranges, |found| show.listed(found));
        let (found, sample) = surveyed.await?;
        show.clear();
        State::new(name, found, sample)
    };
    let told = Told::of(&state, arguments, &way);
    if arguments.plan || state.found.files == 0 || state.is_finished {
        tell(arguments.output, &told.plan_text(), &told.plan_json())?;
        return Ok(true);
    }
    if arguments.output == Output::Text {
        print(&told.plan_text())?;
    }
    if !(arguments.yes || agrees(&told.plan_text(), arguments.output)?) {
        say("Nothing was done.");
        return Ok(false);
    }
    let (stop, mut interruption) = (watch::Sender::new(false), Interruption::catch()?);
    let place = Place { bucket: &bucket, selection: &selection, ranges, arguments, stop: &stop };
    let work = async {
        let name = selection.source.bucket.clone();
        match way {
            Way::Queue { url, files_per_second } => {
                let queue = SqsMailbox::new(&aws, url);
                place.carry(&ByQueue::new(queue, name, files_per_second), &mut state, &told).await
            }
            Way::Direct { config } => {
                let sink = wiring::sink(&config, client, &aws);
                let forwarder = wiring::pipeline(&config, sink, &aws, &Parts::new(&config, &aws));
                let direct = Direct::new(forwarder, name, arguments.concurrency.into(), stop.subscribe());
                place.carry(&direct, &mut state, &told).await
            }
            Way::Batch { target } => {
                let region = aws.region().map_or_else(|| "REGION".to_owned(), ToString::to_string);
                let target_bucket = match &target {
                    Target::Object(object) => Some(Bucket::new(&aws, object.bucket.clone())),
                    Target::File(_) => None,
                };
                place.write_manifest(target, target_bucket, region, &told).await
            }
        }
    };
    tokio::select! {
        done = work => done,
        ended = obey(&mut interruption, &stop) => match ended? {},
    }
}

/// What is taken, and how to stop.
struct Place<'a> {
    bucket: &'a Bucket,
    selection: &'a Selection,
    ranges: Vec<Range>,
    arguments: &'a Arguments,
    stop: &'a watch::Sender<bool>,
}

impl Place<'_> {
    /// Carries all there is, shows how far it is, and says what came of it.
    async fn carry<C: Carrier>(
        &self,
        carrier: &C,
        state: &mut State,
        told: &Told,
    ) -> Result<bool, Box<dyn Error>> {
        let course = Course {
            bucket: self.bucket,
            selection: self.selection,
            ranges: self.ranges.clone(),
            state_file: self.arguments.state.as_deref(),
            stop: self.stop,
        };
        let show = Show::new();
        let walk = carry(course, carrier, state, |state, done, elapsed| {
            show.carried(state.found.files, state.files, done.files, elapsed);
        });
        let ran = walk.await;
        show.clear();
        tell(self.arguments.output, &told.report_text(&ran, self.arguments), &told.report_json(&ran, state))?;
        Ok(ran.ending == Ending::Finished)
    }

    /// Writes the manifest, and says how to create its job.
    async fn write_manifest(
        &self,
        target: Target,
        target_bucket: Option<Bucket>,
        region: String,
        told: &Told,
    ) -> Result<bool, Box<dyn Error>> {
        let show = Show::new();
        let written = manifest::write(
            self.bucket,
            self.selection,
            &self.ranges,
            (&target, target_bucket),
            self.stop,
            |files| show.written(files),
        );
        let written = written.await?;
        show.clear();
        let Some(manifest) = written else {
            say("Interrupted: no manifest was written. The same command begins anew.");
            return Ok(false);
        };
        let job = Job {
            manifest: match &target {
                Target::Object(object) => Some(object.clone()),
                Target::File(_) => None,
            },
            etag: manifest.etag.clone(),
            function_arn: self.arguments.function_arn.clone(),
            role_arn: self.arguments.role_arn.clone(),
            region,
        };
        let command = job.command();
        tell(
            self.arguments.output,
            &told::manifest_text(&target, &manifest, &command),
            &told.manifest_json(&target, &manifest, &command),
        )?;
        Ok(true)
    }
}

/// The first interruption ends what is under way, the second one everything.
async fn obey(interruption: &mut Interruption, stop: &watch::Sender<bool>) -> io::Result<Infallible> {
    interruption.wait().await?;
    stop.send_replace(true);
    say("\nWhat is under way is finished first; interrupt once more to end at once.");
    interruption.wait().await?;
    Err(io::Error::other("ended at once: what was under way is done again by the same command"))
}

/// Asks the person at the terminal; where JSON is written, the plan is shown there first.
fn agrees(plan: &str, output: Output) -> io::Result<bool> {
    if output == Output::Json {
        say(plan);
    }
    let mut terminal = io::stderr().lock();
    write!(terminal, "\nForward them? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn tell(output: Output, text: &str, json: &serde_json::Value) -> io::Result<()> {
    match output {
        Output::Text => print(text),
        Output::Json => print(&json.to_string()),
    }
}

fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Whether there is somebody to ask.
fn is_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
