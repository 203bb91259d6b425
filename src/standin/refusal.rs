//! Why the stand-in refuses a request.

use jiff::Timestamp;
use serde::Serialize;

/// A refusal of the stand-in's own: a fault that was injected is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When it was refused.
    #[serde(serialize_with = "super::kept::as_text")]
    pub at: Timestamp,
    /// The path of the request.
    pub path: String,
    /// The request's `x-ms-client-request-id`, if it had one.
    pub request_id: Option<String>,
    /// The HTTP status answered.
    pub status: u16,
    /// The error code answered.
    pub code: String,
    /// The message answered.
    pub message: String,
    /// Which row it is about, from 0.
    pub row: Option<usize>,
    /// Which column it is about.
    pub column: Option<String>,
}

/// What is wrong with a request, before it is known whose it is.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    row: Option<usize>,
    column: Option<String>,
}

impl Flaw {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), row: None, column: None }
    }

    /// A flaw of the request itself.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    /// Names the row, in the message too.
    pub(super) fn in_row(mut self, row: usize) -> Self {
        self.row = Some(row);
        self.message = format!("Row {row}: {}", self.message);
        self
    }

    pub(super) fn of_request(self, path: &str, request_id: Option<&str>) -> Refusal {
        Refusal {
            at: Timestamp::now(),
            path: path.to_owned(),
            request_id: request_id.map(str::to_owned),
            status: self.status,
            code: self.code.to_owned(),
            message: self.message,
            row: self.row,
            column: self.column,
        }
    }
}
