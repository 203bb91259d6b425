//! Asks Azure: Entra for the tenant and a token, the hosts for an answer and the time, the streams for a row.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use tokio::time::timeout;

use super::clock::{self, Glance};
use super::finding::{Check, Finding, Status};
use super::uploads::{self, Way};
use super::{PATIENCE, Visit, depends_on, identity, probe};
use crate::aws::{AzureProofs, Secrets};
use crate::config::{Credential, DataCollector, LogsIngestion, Secret};
use crate::credential::{ProofError, ProofSource};
use crate::deadline::Deadline;
use crate::sentinel::{
    DataCollectorSink, ExchangeError, LogSink, LogsIngestionSink, TokenCache, UploadError, greet, tenant_url,
};
use crate::table::Table;

impl<F: FnMut(&Finding)> Visit<'_, F> {
    /// The Logs Ingestion API: from the proof to the streams.
    pub(super) async fn logs_ingestion(&mut self, settings: &LogsIngestion, compression_level: u8) {
        let aws = self.aws.clone();
        let proofs = || AzureProofs::new(&aws, settings.credential.clone(), settings.cloud);
        let role_arn = self.options.role_arn.as_deref();
        let needs_aws = !matches!(settings.credential, Credential::Secret(Secret::Given(_)));
        let proven = if needs_aws && !self.has_identity {
            None
        } else {
            let late =
                |_| Err(ProofError::Unavailable { what: "the proof", code: "no answer in time".to_owned() });
            let proof = timeout(PATIENCE, proofs().proof()).await.unwrap_or_else(late);
            let now = Timestamp::now();
            Some(identity::proof(&proof, &settings.credential, settings.cloud, role_arn, now))
        };
        let tokens = TokenCache::new(self.client.clone(), settings, proofs());
        let is_given = proven.as_ref().is_some_and(|proven| proven.is_given);
        let is_about_another = proven.as_ref().is_some_and(|proven| proven.is_about_another);
        self.note(
            proven.map_or_else(|| depends_on(Check::Proof, "the AWS identity"), |proven| proven.finding),
        );

        let mut glances = Vec::new();
        let has_tenant = self.tenant(settings, &mut glances).await;
        let endpoints: BTreeSet<_> = settings.rules.iter().map(|rule| rule.endpoint.as_str()).collect();
        for endpoint in endpoints {
            self.endpoint(endpoint, "SENTINEL_ENDPOINT", &mut glances).await;
        }
        self.note(clock::judge(&glances));

        let has_token = if !is_given {
            self.note(depends_on(Check::Token, "the proof of identity"));
            false
        } else if !has_tenant {
            self.note(depends_on(Check::Token, "the tenant"));
            false
        } else {
            let late = |_| Err(ExchangeError::NoAnswer("no answer in time"));
            let result = timeout(PATIENCE, tokens.try_exchange()).await.unwrap_or_else(late);
            self.note(identity::token(&result, is_about_another));
            result.is_ok()
        };
        for rule in &settings.rules {
            for (table, stream) in &settings.streams {
                // One of its own: what a stream does is no matter to the next.
                let of_rule = LogsIngestion { rules: vec![rule.clone()], ..settings.clone() };
                let sink = LogsIngestionSink::new(self.client.clone(), of_rule, proofs(), compression_level);
                let stream = format!("{stream} of {}", rule.dcr_immutable_id);
                if self.options.probe && !has_token {
                    self.note(depends_on(Check::Stream, "the token").about(stream));
                } else {
                    self.stream(&sink, *table, &stream, Way::LogsIngestion).await;
                }
            }
        }
    }

    /// The legacy API.
    pub(super) async fn data_collector(&mut self, settings: &DataCollector) {
        let needs_aws = matches!(settings.shared_key, Secret::Arn(_));
        let mut sink = None;
        if needs_aws && !self.has_identity {
            self.note(depends_on(Check::Proof, "the AWS identity"));
        } else {
            let late =
                |_| Err(ProofError::Unavailable { what: "the key", code: "no answer in time".to_owned() });
            let secrets = Secrets::new(self.aws.clone());
            let key = timeout(PATIENCE, secrets.read(&settings.shared_key)).await.unwrap_or_else(late);
            let read = match key {
                Ok(key) => {
                    let (endpoint, workspace) = (settings.endpoint.clone(), settings.workspace_id.clone());
                    let made = DataCollectorSink::new(self.client.clone(), endpoint, workspace, key);
                    let is_fit = made.fetch_ahead().await.is_ok();
                    sink = is_fit.then_some(made);
                    Ok(is_fit)
                }
                Err(error) => Err(error),
            };
            self.note(identity::workspace_key(&read));
        }
        let mut glances = Vec::new();
        self.endpoint(&settings.endpoint, "LOG_ANALYTICS_WORKSPACE_ID", &mut glances).await;
        self.note(clock::judge(&glances));
        for table in Table::ALL.into_iter().filter(|table| !table.is_ours()) {
            let name = format!("{}_CL", table.name());
            match &sink {
                Some(sink) => self.stream(sink, table, &name, Way::DataCollector).await,
                None => self.note(depends_on(Check::Stream, "the proof of identity").about(name)),
            }
        }
    }

    /// Whether Entra answers and has the tenant.
    async fn tenant(&mut self, settings: &LogsIngestion, glances: &mut Vec<Glance>) -> bool {
        let (check, tenant, authority) = (Check::Tenant, &settings.tenant_id, &settings.authority);
        let finding = match greet(&self.client, &tenant_url(settings), PATIENCE).await {
            Ok(greeting) => {
                glances.extend(greeting.date.map(|theirs| Glance { ours: greeting.heard_at, theirs }));
                if greeting.status < 400 {
                    Finding::ok(check, format!("{authority} has it"))
                } else {
                    identity::refused(check, greeting.status, &greeting.codes)
                }
            }
            Err(why) => Finding::failed(
                check,
                format!("{authority} does not answer ({why})"),
                "Look whether AZURE_CLOUD and AZURE_AUTHORITY_HOST are right, and whether Entra can be \
                 reached from here.",
            ),
        };
        let has_it = finding.status == Status::Ok;
        self.note(finding.about(tenant));
        has_it
    }

    /// Whether a host that rows go to answers; to whom it is nobody is no matter.
    async fn endpoint(&mut self, url: &str, variable: &str, glances: &mut Vec<Glance>) {
        let finding = match greet(&self.client, url, PATIENCE).await {
            Ok(greeting) => {
                glances.extend(greeting.date.map(|theirs| Glance { ours: greeting.heard_at, theirs }));
                Finding::ok(Check::Endpoint, "it answers")
            }
            Err(why) => Finding::failed(
                Check::Endpoint,
                format!("it does not answer ({why})"),
                format!(
                    "Compare {variable} with Azure's portal, and look whether the host can be reached from \
                     here: with private link it is known inside the network alone."
                ),
            ),
        };
        self.note(finding.about(url));
    }

    /// Whether a stream takes a row, if that is wanted.
    async fn stream(&mut self, sink: &impl LogSink, table: Table, stream: &str, way: Way) {
        if !self.options.probe {
            return self.note(uploads::untried(stream));
        }
        let result = match probe::body(table, Timestamp::now()) {
            Some(body) => sink.upload(table, &body, Deadline::at(Instant::now() + PATIENCE)).await.1,
            None => Err(UploadError::Crashed),
        };
        self.note(uploads::judge(stream, way, &result));
    }
}
