//! Which queues and which ledger are meant, and whether letters may be moved between them.

use std::io;

use sentinel_forwarder::aws::{AwsError, Inspection};
use sentinel_forwarder::dlq::{PairingError, check_dead_letters, check_replay};

use super::{Desk, Misuse};
use crate::console::say;

/// The queues, as the command line names them.
#[derive(clap::Args)]
pub(super) struct Named {
    /// Stack of template.yaml whose queues and ledger are meant, whatever options and variables name.
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
    /// The dead letter queue.
    #[arg(long, global = true, env = "DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    queue_url: Option<String>,
    /// The work queue.
    #[arg(long, global = true, env = "WORK_QUEUE_URL", value_name = "URL")]
    work_queue_url: Option<String>,
    /// The ledger's table, which knows what was replayed.
    #[arg(long, global = true, env = "LEDGER_TABLE", value_name = "TABLE")]
    ledger_table: Option<String>,
}

/// The queues that are meant.
pub(super) struct Queues {
    pub(super) dead_letters: String,
    pub(super) work: Option<String>,
    pub(super) ledger_table: Option<String>,
}

impl Named {
    /// Whether all is named that a command needs.
    pub(super) fn check(&self, needs_work_queue: bool) -> Result<(), Misuse> {
        if given(self.stack.as_ref()).is_some() {
            return Ok(());
        }
        if given(self.queue_url.as_ref()).is_none() {
            return Err(Misuse(
                "name the stack by --stack, or the dead letter queue by --queue-url or DEAD_LETTER_QUEUE_URL",
            ));
        }
        if needs_work_queue && given(self.work_queue_url.as_ref()).is_none() {
            return Err(Misuse(
                "name the stack by --stack, or the work queue by --work-queue-url or WORK_QUEUE_URL",
            ));
        }
        Ok(())
    }

    /// Finds them.
    pub(super) async fn find(&self, inspection: &Inspection) -> io::Result<Queues> {
        let Some(stack) = given(self.stack.as_ref()) else {
            return Ok(Queues {
                dead_letters: self.queue_url.clone().unwrap_or_default(),
                work: given(self.work_queue_url.as_ref()),
                ledger_table: given(self.ledger_table.as_ref()),
            });
        };
        let outputs = inspection.stack_outputs(&stack).await;
        let mut outputs = outputs.map_err(|error| io::Error::other(format!("stack {stack}: {error}")))?;
        let mut output = |name: &str| {
            outputs.remove(name).ok_or_else(|| {
                io::Error::other(format!(
                    "stack {stack} has no output {name}: it is no stack of template.yaml"
                ))
            })
        };
        Ok(Queues {
            dead_letters: output("DeadLetterQueueUrl")?,
            work: Some(output("WorkQueueUrl")?),
            ledger_table: Some(output("LedgerTable")?),
        })
    }
}

fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// What an operator takes upon himself.
#[derive(clap::Args)]
pub(super) struct Risk {
    /// Go on though the queues do not belong together: the messages may be lost.
    #[arg(long)]
    risk_losing_messages: bool,
}

impl Risk {
    /// Checks that letters may be moved to the work queue.
    pub(super) async fn check_replay(&self, desk: &Desk) -> io::Result<()> {
        let work = desk.queues.work.as_deref().unwrap_or_default();
        let checked = check_replay(&desk.inspection, &desk.queues.dead_letters, work).await;
        if let Ok(Some(AwsError::Denied { action, .. })) = &checked {
            say(format_args!(
                "whether a function reads the work queue is not known: your identity lacks {action}"
            ));
        } else if let Ok(Some(error)) = &checked {
            say(format_args!("whether a function reads the work queue is not known: {error}"));
        }
        self.take(checked.map(|_| ()))
    }

    /// Checks that the messages of the dead letter queue are dead letters.
    pub(super) async fn check_dead_letters(&self, desk: &Desk) -> io::Result<()> {
        let queues = &desk.queues;
        self.take(check_dead_letters(&desk.inspection, &queues.dead_letters, queues.work.as_deref()).await)
    }

    fn take(&self, checked: Result<(), PairingError>) -> io::Result<()> {
        match checked {
            Err(error) if error.may_be_risked() && self.risk_losing_messages => {
                say(format_args!("going on at your risk: {error}"));
                Ok(())
            }
            Err(error) if error.may_be_risked() => Err(io::Error::other(format!(
                "{error}. Nothing was done; --risk-losing-messages goes on all the same"
            ))),
            Err(error) => Err(io::Error::other(error)),
            Ok(()) => Ok(()),
        }
    }
}
