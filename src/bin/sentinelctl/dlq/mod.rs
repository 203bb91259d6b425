//! `sentinelctl dlq`: the dead letter queue, looked through, replayed, discarded, restored.

mod discard;
mod given;
mod look;
mod queues;
mod replay;
mod restore;
mod show;
mod view;

use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use aws_config::SdkConfig;
use clap::Subcommand;
use clap::error::ErrorKind;
use sentinel_forwarder::aws::{Inspection, SqsMailbox};
use sentinel_forwarder::dlq::{Ending, Stop};

use super::console::{end, say};
use super::interruption::Interruption;
use super::operator;
use queues::{Named, Queues};

const HELP: &str = "\
--stack finds both queues and the ledger by the outputs of the stack. Without it
they are named by options or by the variables of the function.

Messages are replayed, discarded and restored only where the queues belong
together: the redrive policy of the work queue names the dead letter queue, and an
event source mapping that is on reads the work queue.

SQS can't list: messages are received, hidden from others meanwhile, and made
visible again at the end, also after Ctrl-C. Killed, they are hidden for some
10 seconds more, and a second more for every 100 messages.

Exit codes: 0 all that was meant is done, 1 something failed, was interrupted, or
an ID is not there, 2 wrong usage. Letters that are held are no failure, unless
they were named by their ID.

Examples:
  sentinelctl dlq summary --stack sentinel-forwarder
  sentinelctl dlq list --stack sentinel-forwarder --reason Rejected --older-than 1d
  sentinelctl dlq replay --stack sentinel-forwarder --reason Forbidden --dry-run
  sentinelctl dlq discard --stack sentinel-forwarder --reason NotFound --archive gone.jsonl
  sentinelctl dlq restore --stack sentinel-forwarder gone.jsonl";

/// Looks through the dead letter queue, replays, discards and restores.
///
/// It knows letters of the function, events that SQS, `EventBridge` or Lambda put there, and shows what nobody knows.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    queues: Named,
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
    /// Puts the messages of an archive back into the dead letter queue.
    Restore(restore::Restore),
}

/// All that a command works with.
struct Desk {
    dead_letters: SqsMailbox,
    queues: Queues,
    inspection: Inspection,
    aws: SdkConfig,
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
        Ok(()) => end("dlq", work(arguments)),
        Err(Misuse(what)) => {
            let mut names = vec!["dlq"];
            names.extend(match arguments.command {
                Command::List(_) => Some("list"),
                Command::Summary(_) => Some("summary"),
                Command::Show(_) => Some("show"),
                Command::Replay(_) => Some("replay"),
                Command::Discard(_) => Some("discard"),
                Command::Restore(_) => Some("restore"),
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

/// Whether all is given that the command needs.
fn checked(arguments: &Arguments) -> Result<(), Misuse> {
    match &arguments.command {
        Command::Replay(replay) => replay.check()?,
        Command::Discard(discard) => discard.check()?,
        Command::List(_) | Command::Summary(_) | Command::Show(_) | Command::Restore(_) => {}
    }
    arguments.queues.check(matches!(arguments.command, Command::Replay(_)))
}

fn work(arguments: &Arguments) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let (aws, client) = operator::config_and_client().await?;
        let inspection = Inspection::new(client, aws.clone());
        let queues = arguments.queues.find(&inspection).await?;
        let dead_letters = SqsMailbox::new(&aws, queues.dead_letters.clone());
        let desk = Desk { dead_letters, queues, inspection, aws, stop: Rc::default() };
        tokio::task::spawn_local(obey(Interruption::catch()?, Rc::clone(&desk.stop)));
        match &arguments.command {
            Command::List(list) => list.run(&desk).await,
            Command::Summary(summary) => summary.run(&desk).await,
            Command::Show(show) => show.run(&desk).await,
            Command::Replay(replay) => replay.run(&desk).await,
            Command::Discard(discard) => discard.run(&desk).await,
            Command::Restore(restore) => restore.run(&desk).await,
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
