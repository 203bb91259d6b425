//! What an operator has to mend where the ledger or a queue of the stack refuses a call, told by AWS's error code.

use std::fmt::Display;

use super::{LedgerError, QueueError};
use crate::failure::Reason;

/// An error of the ledger or a queue.
pub trait ServiceError: Display {
    /// What an operator has to mend; none where trying again helps.
    fn needs_operator(&self) -> Option<Reason>;
}

impl ServiceError for LedgerError {
    fn needs_operator(&self) -> Option<Reason> {
        match self {
            Self::Unavailable { code } => reason(code),
            Self::Conflict(_) => None,
        }
    }
}

impl ServiceError for QueueError {
    fn needs_operator(&self) -> Option<Reason> {
        reason(&self.code)
    }
}

/// Codes of `DynamoDB` and SQS: a permission or a KMS key that is refused, and a table or queue that is missing
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>).
fn reason(code: &str) -> Option<Reason> {
    let is_any = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if is_any(&["AccessDenied", "NotAuthorized", "Kms", "KMS.", "OptInRequired"]) && !code.contains("Throttl")
    {
        Some(Reason::AccessDenied)
    } else if is_any(&["NonExistentQueue", "QueueDoesNotExist", "ResourceNotFound", "InvalidAddress"]) {
        Some(Reason::Misconfigured)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_an_operator_has_to_mend_and_a_busy_service_nothing() {
        for (code, expected) in [
            ("AccessDeniedException", Some(Reason::AccessDenied)),
            ("AccessDenied", Some(Reason::AccessDenied)),
            ("KmsAccessDenied", Some(Reason::AccessDenied)),
            ("KMS.DisabledException", Some(Reason::AccessDenied)),
            ("ResourceNotFoundException", Some(Reason::Misconfigured)),
            ("AWS.SimpleQueueService.NonExistentQueue", Some(Reason::Misconfigured)),
            ("QueueDoesNotExist", Some(Reason::Misconfigured)),
            ("KmsThrottled", None),
            ("ProvisionedThroughputExceededException", None),
            ("ThrottlingException", None),
            ("InternalServerError", None),
            ("no answer", None),
        ] {
            let (of_ledger, of_queue) =
                (LedgerError::Unavailable { code: code.to_owned() }, QueueError { code: code.to_owned() });
            assert_eq!(of_ledger.needs_operator(), expected, "{code}");
            assert_eq!(of_queue.needs_operator(), expected, "{code}");
        }
        assert_eq!(LedgerError::Conflict(None).needs_operator(), None);
    }
}
