//! Asks AWS what stands in the account: queues, ledger, buckets.

use jiff::Timestamp;
use tokio::time::timeout;

use super::finding::{Check, Finding};
use super::{PATIENCE, Visit, resources, silence};
use crate::aws::{Inspection, LookError};
use crate::config::Config;

impl<F: FnMut(&Finding)> Visit<'_, F> {
    /// Queues, ledger and buckets.
    pub(super) async fn resources(&mut self, inspection: &Inspection, config: &Config) {
        let work = config.work_queue_url.as_deref().unwrap_or_default();
        let letters = config.dead_letter_queue_url.as_deref().unwrap_or_default();
        let letters_facts = self.look(inspection.queue(letters)).await;
        let letters_arn = letters_facts.as_ref().ok().map(|facts| facts.arn.as_str());
        let finding = match self.look(inspection.queue(work)).await {
            Ok(facts) => resources::work_queue(queue_name(work), &facts, letters_arn),
            Err(error) => resources::unseen(Check::WorkQueue, queue_name(work), "WORK_QUEUE_URL", &error),
        };
        self.note(finding);
        let finding = match letters_facts {
            Ok(facts) => {
                // Where receipts count, a look would cost one.
                let may_look = facts.waiting > 0 && facts.redrive.is_none();
                let oldest =
                    if may_look { self.look(inspection.oldest_letter(letters)).await.ok() } else { None };
                resources::dead_letter_queue(queue_name(letters), &facts, oldest.flatten(), Timestamp::now())
            }
            Err(error) => resources::unseen(
                Check::DeadLetterQueue,
                queue_name(letters),
                "DEAD_LETTER_QUEUE_URL",
                &error,
            ),
        };
        self.note(finding);
        let finding = match &config.ledger_table {
            None => Finding::warning(
                Check::Ledger,
                "there is none: what is announced twice is delivered twice",
                "Set LEDGER_TABLE to the table that template.yaml makes.",
            ),
            Some(table) => match self.look(inspection.table(table)).await {
                Ok(facts) => resources::ledger(table, &facts),
                Err(error) => resources::unseen(Check::Ledger, table, "LEDGER_TABLE", &error),
            },
        };
        self.note(finding);
        match &config.allowed_buckets {
            None => self.note(Finding::skipped(
                Check::Bucket,
                "ALLOWED_BUCKETS names none",
                "Set it to the buckets that the function reads, for this check and for safety.",
            )),
            Some(buckets) => {
                for bucket in buckets {
                    let finding = match self.look(inspection.bucket(bucket)).await {
                        Ok(facts) => resources::bucket(bucket, &facts),
                        Err(error) => resources::unseen(Check::Bucket, bucket, "ALLOWED_BUCKETS", &error),
                    };
                    self.note(finding);
                }
            }
        }
    }

    /// Looks, if there is anybody to look as, and not for long.
    async fn look<T>(&self, looking: impl Future<Output = Result<T, LookError>>) -> Result<T, LookError> {
        if !self.has_identity {
            return Err(LookError::NoCredentials);
        }
        timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(silence()))
    }
}

/// The name at the end of a queue's URL.
fn queue_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
