//! A request as it was received whole, and the answer to it.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Response, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::json;

/// The header that names an error.
const ERROR_CODE: &str = "x-ms-error-code";

/// A request, its body read to the end.
pub(super) struct Call {
    pub(super) method: Method,
    /// The path, percent-encoding as it came.
    pub(super) path: String,
    /// The pairs of the query, decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// The body, as far as it was kept.
    pub(super) body: Bytes,
    /// How long the body was.
    pub(super) bytes_wire: usize,
}

impl Call {
    /// The one value of a header; of a repeated or unreadable one, none.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { value.to_str().ok() }
    }

    /// The first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the query names this version of the API, and nothing else.
    pub(super) fn has_api_version(&self, version: &str) -> bool {
        matches!(self.query.as_slice(), [(key, value)] if key == "api-version" && value == version)
    }

    /// Whether the content type is this one, with no parameter but UTF-8 as its charset.
    pub(super) fn has_content_type(&self, wanted: &str) -> bool {
        let Some(value) = self.header("content-type") else { return false };
        let (media_type, parameter) = value.split_once(';').unwrap_or((value, ""));
        media_type.trim().eq_ignore_ascii_case(wanted)
            && (parameter.is_empty() || parameter.trim().eq_ignore_ascii_case("charset=utf-8"))
    }
}

/// The answer to a call.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The error code, for the record of the exchange.
    pub(super) code: Option<String>,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), code: None }
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into(), code: None }
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// An error as the Logs Ingestion API words it.
    pub(super) fn ingestion_error(status: u16, code: &str, message: &str) -> Self {
        let mut answer = Self::json(status, &json!({"error": {"code": code, "message": message}}))
            .with_header(ERROR_CODE, code.to_owned());
        if status == 401 {
            answer = answer.with_header("www-authenticate", "Bearer error=\"invalid_token\"".to_owned());
        }
        answer.code = Some(code.to_owned());
        answer
    }

    /// An error as the legacy API words it.
    pub(super) fn legacy_error(status: u16, code: &str, message: &str) -> Self {
        let answer = Self::json(status, &json!({"Error": code, "Message": message}));
        Self { code: Some(code.to_owned()), ..answer }
    }

    /// The response, dated by the stand-in's clock.
    pub(super) fn into_response(self, now: Timestamp) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok().map(|date| ("date", date));
        for (name, value) in self.headers.into_iter().chain(date) {
            if let Ok(value) = header::HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
