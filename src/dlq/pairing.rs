//! Whether two queues belong together: a message that is moved between any others, or deleted from another, is lost.

use thiserror::Error;

use crate::aws::{AwsError, Inspection, MailboxError, Mapping, QueueFacts};

/// Why messages must not be moved or deleted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PairingError {
    /// It can't be found out.
    #[error(transparent)]
    Unknown(#[from] MailboxError),
    /// Source and target are one.
    #[error("the work queue and the dead letter queue are the same queue, {arn}: name two by --stack")]
    Same {
        /// The queue.
        arn: String,
    },
    /// The work queue's messages end elsewhere.
    #[error(
        "{work} is not the work queue of {letters}: its redrive policy names {target}. Name both queues of one stack by \
         --stack"
    )]
    Unpaired {
        /// The work queue's ARN.
        work: String,
        /// The dead letter queue's ARN.
        letters: String,
        /// Where the messages end.
        target: String,
    },
    /// No queue's messages end in it.
    #[error(
        "{letters} is the dead letter queue of no queue: no redrive policy names it, so its messages may be live. Name \
         the dead letter queue by --stack"
    )]
    NoDeadLetterQueue {
        /// The queue's ARN.
        letters: String,
    },
    /// Nothing reads the work queue.
    #[error("no function reads {work}: it has no event source mapping, so messages expire there")]
    NotRead {
        /// The work queue's ARN.
        work: String,
    },
    /// What reads the work queue is switched off.
    #[error(
        "the event source mapping of {work} is {state}, so messages wait and expire there; once the function may run: \
         aws lambda update-event-source-mapping --uuid {uuid} --enabled"
    )]
    Disabled {
        /// The work queue's ARN.
        work: String,
        /// What the mapping is.
        state: String,
        /// The mapping.
        uuid: String,
    },
}

impl PairingError {
    /// Whether an operator may take the risk: no message survives a replay into its own queue, and without an answer
    /// nothing can be done anyway.
    #[must_use]
    pub const fn may_be_risked(&self) -> bool {
        match self {
            Self::Same { .. } => false,
            Self::Unknown(MailboxError { error, .. }) => matches!(error, AwsError::Denied { .. }),
            _ => true,
        }
    }
}

/// Checks that messages may be moved to the work queue. Comes back with why nobody knows who reads it, where the
/// identity may not look: that the two queues are a pair is certain all the same.
///
/// # Errors
/// If they may not, or it can't be found out.
pub async fn check_replay(
    inspection: &Inspection,
    letters_url: &str,
    work_url: &str,
) -> Result<Option<AwsError>, PairingError> {
    let letters = queue(inspection, letters_url).await?;
    let work = queue(inspection, work_url).await?;
    judge_pair(&letters, &work)?;
    match inspection.mappings(&work.arn).await {
        Ok(mappings) => judge_readers(&work.arn, &mappings).map(|()| None),
        Err(error) => Ok(Some(error)),
    }
}

/// Checks that messages of this queue are dead letters; with a work queue, that they are that one's.
///
/// # Errors
/// If they are not, or it can't be found out.
pub async fn check_dead_letters(
    inspection: &Inspection,
    letters_url: &str,
    work_url: Option<&str>,
) -> Result<(), PairingError> {
    let letters = queue(inspection, letters_url).await?;
    if let Some(work_url) = work_url {
        return judge_pair(&letters, &queue(inspection, work_url).await?);
    }
    let sources = inspection.dead_letter_sources(letters_url).await;
    let sources = sources.map_err(|error| MailboxError { url: letters_url.to_owned(), error })?;
    if sources.is_empty() { Err(PairingError::NoDeadLetterQueue { letters: letters.arn }) } else { Ok(()) }
}

async fn queue(inspection: &Inspection, url: &str) -> Result<QueueFacts, PairingError> {
    let facts = inspection.queue(url).await;
    facts.map_err(|error| MailboxError { url: url.to_owned(), error }.into())
}

fn judge_pair(letters: &QueueFacts, work: &QueueFacts) -> Result<(), PairingError> {
    if letters.arn == work.arn {
        return Err(PairingError::Same { arn: work.arn.clone() });
    }
    let target = work.redrive.as_ref().map(|redrive| redrive.dead_letter_target_arn.as_str());
    if target == Some(&letters.arn) {
        return Ok(());
    }
    Err(PairingError::Unpaired {
        work: work.arn.clone(),
        letters: letters.arn.clone(),
        target: target.unwrap_or("no queue").to_owned(),
    })
}

fn judge_readers(work: &str, mappings: &[Mapping]) -> Result<(), PairingError> {
    match mappings {
        [] => Err(PairingError::NotRead { work: work.to_owned() }),
        all if all.iter().any(Mapping::is_on) => Ok(()),
        [mapping, ..] => Err(PairingError::Disabled {
            work: work.to_owned(),
            state: mapping.state.clone(),
            uuid: mapping.uuid.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Redrive;

    fn facts(arn: &str, target: Option<&str>) -> QueueFacts {
        let redrive = target
            .map(|target| Redrive { dead_letter_target_arn: target.to_owned(), max_receive_count: 100 });
        QueueFacts { arn: arn.to_owned(), redrive, ..QueueFacts::default() }
    }

    #[test]
    fn only_the_queue_that_names_the_other_in_its_redrive_policy_is_its_work_queue() {
        let letters = facts("letters", None);
        assert_eq!(judge_pair(&letters, &facts("work", Some("letters"))), Ok(()));
        for (work, word, may_be_risked) in [
            (facts("work", Some("others")), "names others", true),
            (facts("work", None), "names no queue", true),
            (facts("letters", Some("letters")), "same queue", false),
        ] {
            let error = judge_pair(&letters, &work).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.may_be_risked(), may_be_risked, "{error}");
        }
    }

    #[test]
    fn a_work_queue_must_be_read_by_a_function() {
        let mapping = |state: &str| Mapping {
            uuid: "u".to_owned(),
            function_arn: "f".to_owned(),
            state: state.to_owned(),
        };
        assert_eq!(judge_readers("work", &[mapping("Enabled")]), Ok(()));
        assert_eq!(judge_readers("work", &[mapping("Disabled"), mapping("Updating")]), Ok(()));
        assert!(matches!(judge_readers("work", &[]), Err(PairingError::NotRead { .. })));
        for state in ["Disabled", "Disabling", "Deleting"] {
            let error = judge_readers("work", &[mapping(state)]).unwrap_err().to_string();
            assert!(error.contains(state) && error.contains("--uuid u --enabled"), "{error}");
        }
    }
}
