//! `sentinelctl dlq`: the dead letter queue, looked through, replayed, discarded.

mod discard;
mod given;
mod look;
mod replay;
mod show;
mod view;

use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Subcommand;
use clap::error::ErrorKind;
use sentinel_forwarder::aws::{SqsMailbox, http_client, operator_config};
use sentinel_forwarder::dlq::{Ending, Stop};

use super::console::{end, say};
use super::interruption::Interruption;

const HELP: &str = "\
The queues are those of the stack: its outputs are DeadLetterQueueUrl,
WorkQueueUrl and LedgerTable. AWS is asked as you, by AWS_REGION and the other AWS_…
variables; AWS_ENDPOINT_URL leads elsewhere. After any kind of sign-in of the AWS
CLI this sets them:

  eval \"$(aws configure export-credentials --format env)\"

SQS can't list: messages are received, hidden from others meanwhile, and made
visible again at the end, also after Ctrl-C. Killed, they are hidden for some
10 seconds more, and a second more for every 100 messages.

Exit codes: 0 all that was meant is done, 1 something failed, was interrupted, or
an ID is not there, 2 wrong usage. Letters that are held are no failure, unless
they were named by their ID.

Examples:
  export DEAD_LETTER_QUEUE_URL=… WORK_QUEUE_URL=… LEDGER_TABLE=…
  sentinelctl dlq summary
  sentinelctl dlq list --reason Rejected --older-than 1d
  sentinelctl dlq replay --reason Forbidden --dry-run
  sentinelctl dlq discard --reason UnknownTrigger --archive letters.jsonl";

/// Looks through the dead letter queue, replays and discards.
///
/// It knows letters of the function, events that SQS, `EventBridge` or Lambda put there, and shows what nobody knows.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The dead letter queue.
    #[arg(long, global = true, env = "DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    queue_url: Option<String>,
    /// The work queue, to replay.
    #[arg(long, global = true, env = "WORK_QUEUE_URL", value_name = "URL")]
    work_queue_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists messages, the oldest first.
    List(look::List),
    /// Counts messages by reason, and says what to do about each.
    Summary(look::Summary),
    /// Shows one message whole.
    Show(show::Show),
    /// Puts messages on the work queue, as they are.
    Replay(replay::Replay),
    /// Writes messages to an archive and deletes them.
    Discard(discard::Discard),
}

/// All that a command works with.
struct Desk {
    dead_letters: SqsMailbox,
    aws: aws_config::SdkConfig,
    stop: Rc<Stop>,
}

impl Desk {
    /// Says if not all was seen; whether all was.
    fn tell(ending: Ending) -> bool {
        match ending {
            Ending::Whole => return true,
            Ending::Stopped => say("interrupted: the messages that were not done are visible again"),
            Ending::Full => say("there are more messages than SQS shows at once: run it again for the rest"),
        }
        false
    }
}

/// A use that the command line's grammar does not see is wrong.
struct Misuse(&'static str);

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, mut grammar: clap::Command) -> ExitCode {
    match checked(arguments) {
        Ok(queue_url) => end("dlq", work(arguments, queue_url)),
        Err(Misuse(what)) => {
            let mut names = vec!["dlq"];
            names.extend(match arguments.command {
                Command::List(_) => Some("list"),
                Command::Summary(_) => Some("summary"),
                Command::Show(_) => Some("show"),
                Command::Replay(_) => Some("replay"),
                Command::Discard(_) => Some("discard"),
            });
            grammar.build();
            let own = names.iter().try_fold(&mut grammar, |command, name| command.find_subcommand_mut(name));
            match own {
                Some(own) => own.error(ErrorKind::MissingRequiredArgument, what).exit(),
                None => ExitCode::from(2),
            }
        }
    }
}

/// The queue's address, if all is given that the command needs.
fn checked(arguments: &Arguments) -> Result<&str, Misuse> {
    let queue_url = arguments.queue_url.as_deref().filter(|url| !url.is_empty());
    let queue_url = queue_url.ok_or(Misuse(
        "name the dead letter queue by --queue-url or DEAD_LETTER_QUEUE_URL (DeadLetterQueueUrl of the stack's outputs)",
    ))?;
    match &arguments.command {
        Command::Replay(replay) => {
            replay.check()?;
            if arguments.work_queue_url.as_deref().is_none_or(str::is_empty) {
                return Err(Misuse(
                    "name the work queue by --work-queue-url or WORK_QUEUE_URL (WorkQueueUrl of the stack's outputs)",
                ));
            }
        }
        Command::Discard(discard) => discard.check()?,
        Command::List(_) | Command::Summary(_) | Command::Show(_) => {}
    }
    Ok(queue_url)
}

fn work(arguments: &Arguments, queue_url: &str) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let aws = operator_config(http_client().map_err(io::Error::other)?).await;
        let desk =
            Desk { dead_letters: SqsMailbox::new(&aws, queue_url.to_owned()), aws, stop: Rc::default() };
        tokio::task::spawn_local(obey(Interruption::catch()?, Rc::clone(&desk.stop)));
        match &arguments.command {
            Command::List(list) => list.run(&desk).await,
            Command::Summary(summary) => summary.run(&desk).await,
            Command::Show(show) => show.run(&desk).await,
            Command::Replay(replay) => {
                let url = arguments.work_queue_url.clone().unwrap_or_default();
                replay.run(&desk, &SqsMailbox::new(&desk.aws, url)).await
            }
            Command::Discard(discard) => discard.run(&desk).await,
        }
    })
}

/// The first interruption lets the command put back what it holds; the second does not wait for that.
async fn obey(mut interruption: Interruption, stop: Rc<Stop>) {
    if interruption.wait().await.is_ok() {
        stop.tell();
        say("\nputting back what is not done …");
    }
    if interruption.wait().await.is_ok() {
        std::process::exit(1);
    }
}
