//! Judges what Azure Monitor answers to a probe.

use super::finding::{Check, Finding};
use super::probe::PROBE;
use crate::sentinel::UploadError;

/// Which of the two ways a row went: what helps depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the Logs Ingestion API.
    LogsIngestion,
    /// By the legacy API.
    DataCollector,
}

/// A stream that was not tried.
pub(super) fn untried(stream: &str) -> Finding {
    let next = format!("--probe posts one row {PROBE} to it; the row stays in the table and is billed.");
    Finding::skipped(Check::Stream, "nothing was posted", next).about(stream)
}

/// Judges the answer to a probe.
pub(super) fn judge(stream: &str, way: Way, result: &Result<(), UploadError>) -> Finding {
    let finding = match result {
        Ok(()) => Finding::ok(
            Check::Stream,
            format!("it took the row {PROBE}; look for it in the table in some minutes"),
        ),
        Err(error) => {
            let (what, next) = explained(error, way);
            Finding::failed(Check::Stream, what, next)
        }
    };
    finding.about(stream)
}

fn explained(error: &UploadError, way: Way) -> (String, &'static str) {
    match (error, way) {
        (UploadError::Unauthorized { what, .. }, Way::LogsIngestion) => (
            format!("the token is not taken ({what})"),
            "Look whether AZURE_CLOUD is the cloud that the rule is in, and AZURE_TENANT_ID the tenant of \
             its subscription.",
        ),
        (UploadError::Forbidden { code }, Way::LogsIngestion) => (
            format!("the identity may not publish to the rule (403 {code})"),
            "Assign it the role Monitoring Metrics Publisher on this very rule (README, Deploy, step 3): \
             az role assignment create --assignee-object-id PRINCIPAL --assignee-principal-type \
             ServicePrincipal --role 3913510d-42f4-4e42-8a64-420c390055eb --scope RULE. PRINCIPAL: az ad sp show \
             --id $AZURE_CLIENT_ID --query id; RULE: az monitor data-collection rule list --query \
             [].[immutableId,id]. Owner is not enough. If you just did, wait up to 30 minutes.",
        ),
        (UploadError::Misconfigured { code, status: 400 }, _) => (
            format!("the rule has no such stream (400 {code})"),
            "Compare the streams of the rule (`az monitor data-collection rule show`, streamDeclarations and \
             dataFlows) with SENTINEL_STREAMS, or declare it (README, Deploy, step 3).",
        ),
        (UploadError::Misconfigured { code, status }, Way::LogsIngestion) => (
            format!("there is no such rule at this endpoint ({status} {code})"),
            "Compare SENTINEL_DCR_ID with the rule's immutableId and SENTINEL_ENDPOINT with its \
             endpoints.logsIngestion (`az monitor data-collection rule show`): the id is not the rule's \
             name, and both must be of the same rule.",
        ),
        (UploadError::Rejected { code, request_id }, Way::LogsIngestion) => (
            format!("it does not take the row (400 {code}, request {request_id})"),
            "Compare the stream's columns and the transformation with the Azure template (README, Deploy, \
             step 3).",
        ),
        (UploadError::Unavailable { what, .. }, _) => (
            format!("it is not to be had for now ({what})"),
            "Try again in some minutes; the function does so by itself. If it lasts, look at Azure's status \
             and the network.",
        ),
        (
            UploadError::Unauthorized { .. }
            | UploadError::Forbidden { .. }
            | UploadError::Misconfigured { .. },
            Way::DataCollector,
        ) => (
            format!("the workspace does not take its key ({})", error.status().unwrap_or_default()),
            "Compare LOG_ANALYTICS_WORKSPACE_ID and the key with the workspace, and look at the check of the \
             clock: a signature holds for 15 minutes.",
        ),
        (
            UploadError::Rejected { .. }
            | UploadError::TooLarge
            | UploadError::Resting { .. }
            | UploadError::Crashed,
            _,
        ) => (error.to_string(), "Report it with this output: a probe is a small row of known columns."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn each_refusal_names_what_to_mend() {
        let code = |code: &str| code.to_owned();
        for (error, way, word) in [
            (
                UploadError::Unauthorized { what: code("401"), status: Some(401) },
                Way::LogsIngestion,
                "AZURE_CLOUD",
            ),
            (
                UploadError::Forbidden { code: code("OperationFailed") },
                Way::LogsIngestion,
                "Monitoring Metrics Publisher",
            ),
            (
                UploadError::Misconfigured { code: code("NotFound"), status: 404 },
                Way::LogsIngestion,
                "SENTINEL_DCR_ID",
            ),
            (
                UploadError::Misconfigured { code: code("InvalidStream"), status: 400 },
                Way::LogsIngestion,
                "SENTINEL_STREAMS",
            ),
            (
                UploadError::Rejected { code: code("X"), request_id: code("1") },
                Way::LogsIngestion,
                "the Azure template",
            ),
            (
                UploadError::Unavailable { what: code("503"), status: Some(503), after: None, alarm: None },
                Way::LogsIngestion,
                "Try again",
            ),
            (UploadError::Forbidden { code: code("") }, Way::DataCollector, "LOG_ANALYTICS_WORKSPACE_ID"),
        ] {
            let finding = judge("s", way, &Err(error));
            assert_eq!(finding.status, Status::Failed);
            assert!(finding.next.clone().unwrap().contains(word), "{finding:?}");
        }
    }

    #[test]
    fn what_was_not_tried_is_skipped_and_says_how() {
        let finding = untried("s");
        assert_eq!(finding.status, Status::Skipped);
        let next = finding.next.unwrap();
        assert!(next.contains("--probe") && next.contains("billed"));
    }
}
