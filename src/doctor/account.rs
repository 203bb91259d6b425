//! Asks AWS what stands in the account: queues, ledger, buckets, and what stands around the function.

use jiff::Timestamp;
use tokio::time::timeout;

use super::finding::{Check, Finding};
use super::{PATIENCE, Visit, depends_on, deployment, resources, silence};
use crate::aws::{AwsError, Inspection};
use crate::config::Config;

impl<F: FnMut(&Finding)> Visit<'_, F> {
    /// Queues, ledger and buckets, then what stands around the function.
    pub(super) async fn resources(&mut self, inspection: &Inspection, config: &Config) {
        let work = config.work_queue_url.as_deref().unwrap_or_default();
        let letters = config.dead_letter_queue_url.as_deref().unwrap_or_default();
        let letters_facts = self.look(inspection.queue(letters)).await;
        let letters_arn = letters_facts.as_ref().ok().map(|facts| facts.arn.as_str());
        let work_facts = self.look(inspection.queue(work)).await;
        let work_arn = work_facts.as_ref().ok().map(|facts| facts.arn.clone());
        let finding = match work_facts {
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
        // Whether there is a bucket whose objects come by EventBridge alone.
        let mut needs_rule = false;
        match &config.allowed_buckets {
            None => self.note(Finding::skipped(
                Check::Bucket,
                "ALLOWED_BUCKETS names none",
                "Set it to the buckets that the function reads, for this check and for safety.",
            )),
            Some(buckets) => {
                for bucket in buckets {
                    let finding = match self.look(inspection.bucket(bucket)).await {
                        Ok(facts) => {
                            needs_rule |= facts.event_bridge && facts.targets.is_empty();
                            resources::bucket(bucket, &facts)
                        }
                        Err(error) => resources::unseen(Check::Bucket, bucket, "ALLOWED_BUCKETS", &error),
                    };
                    self.note(finding);
                }
            }
        }
        self.deployment(inspection, work_arn, [queue_name(work), queue_name(letters)], needs_rule).await;
    }

    /// Who reads the work queue, and all that hangs on it.
    async fn deployment(
        &mut self,
        inspection: &Inspection,
        work_arn: Option<String>,
        queues: [&str; 2],
        needs_rule: bool,
    ) {
        let Some(work_arn) = work_arn else {
            for check in [Check::Mapping, Check::Function, Check::Rule, Check::Schedule, Check::Alarms] {
                self.note(depends_on(check, "the work queue"));
            }
            return;
        };
        let mappings = self.look(inspection.mappings(&work_arn)).await;
        let function_arn = mappings.as_ref().ok().and_then(|all| Some(all.first()?.function_arn.clone()));
        self.note(match &mappings {
            Ok(mappings) => deployment::mapping(mappings),
            Err(error) => resources::unseen(Check::Mapping, queues[0], "WORK_QUEUE_URL", error),
        });
        let mut rules = self.look(inspection.rules(&work_arn)).await;
        if let (Ok(rules), Some(function)) = (&mut rules, &function_arn)
            && let Ok(direct) = self.look(inspection.rules(function)).await
        {
            rules.extend(direct);
        }
        let findings = match &rules {
            Ok(rules) => deployment::rules(rules, needs_rule),
            Err(error) => vec![resources::unseen(Check::Rule, queues[0], "WORK_QUEUE_URL", error)],
        };
        let Some(function_arn) = function_arn else {
            self.note(depends_on(Check::Function, "the event source mapping"));
            for finding in findings {
                self.note(finding);
            }
            for check in [Check::Schedule, Check::Alarms] {
                self.note(depends_on(check, "the event source mapping"));
            }
            return;
        };
        let name = deployment::function_name(&function_arn);
        let finding = match self.look(inspection.function(name)).await {
            Ok(facts) => deployment::function(name, &facts),
            Err(error) => resources::unseen(Check::Function, name, "WORK_QUEUE_URL", &error),
        };
        self.note(finding);
        for finding in findings {
            self.note(finding);
        }
        let finding = match self.look(inspection.schedules(&function_arn)).await {
            Ok(schedules) => deployment::schedule(&schedules),
            Err(error) => resources::unseen(Check::Schedule, name, "AWS_REGION", &error),
        };
        self.note(finding);
        let finding = match self.look(inspection.alarms(name, &queues)).await {
            Ok(alarms) => deployment::alarms(&alarms),
            Err(error) => resources::unseen(Check::Alarms, name, "AWS_REGION", &error),
        };
        self.note(finding);
    }

    /// Looks, if there is anybody to look as, and not for long.
    async fn look<T>(&self, looking: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        if !self.has_identity {
            return Err(AwsError::NoCredentials { why: "the AWS identity is not known".to_owned() });
        }
        timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(silence()))
    }
}

/// The name at the end of a queue's URL.
fn queue_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
