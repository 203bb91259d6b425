//! A small HTTP/1.1 client that sends exactly what it is told, and the calls that the tests make with it.

use flate2::Compression;
use flate2::write::GzEncoder;
use sentinel_forwarder::standin::{Settings, Standin};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) const DCR: &str = "dcr-33333333333333333333333333333333";

/// An answer, read to the end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Sets a header; an empty value takes it away.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.headers.retain(|(key, _)| *key != name);
        if !value.is_empty() {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    pub(crate) fn send(&self, standin: &Standin) -> Answer {
        self.try_send(standin, Duration::from_secs(20)).unwrap()
    }

    /// Sends, and fails if the connection ends or stays silent.
    pub(crate) fn try_send(&self, standin: &Standin, patience: Duration) -> io::Result<Answer> {
        let address = standin.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            write!(head, "host: {address}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "content-length: {}\r\n\r\n", self.body.len()).unwrap();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) =
            answer.split_once("\r\n\r\n").ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

pub(crate) fn start() -> Standin {
    Standin::start(Settings::default()).unwrap()
}

/// A token request with the made-up secret; `changes` replace parameters, or take them away where empty.
pub(crate) fn token_request(changes: &[(&str, &str)]) -> Request {
    let settings = Settings::default();
    let mut form = vec![
        ("client_id", settings.client_id.as_str()),
        ("scope", settings.cloud.scope()),
        ("grant_type", "client_credentials"),
        ("client_secret", settings.client_secret.as_str()),
    ];
    for change in changes {
        form.retain(|(name, _)| *name != change.0);
        form.push(*change);
    }
    form.retain(|(_, value)| !value.is_empty());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Request::new("POST", format!("/{}/oauth2/v2.0/token", settings.tenant))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

pub(crate) fn token(standin: &Standin) -> String {
    let answer = token_request(&[]).send(standin);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// An upload that nothing is wrong with, not compressed, with an id of its own.
pub(crate) fn upload(token: &str, stream: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", format!("/dataCollectionRules/{DCR}/streams/{stream}?api-version=2023-01-01"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("x-ms-client-request-id", uuid::Uuid::new_v4().to_string())
        .body(body)
}

pub(crate) fn upload_trail(token: &str, body: impl Into<Vec<u8>>) -> Request {
    upload(token, "Custom-AWSCloudTrail", body)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn now() -> String {
    hours_ago(0)
}

pub(crate) fn hours_ago(hours: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    jiff::Timestamp::from_second(time.as_second()).unwrap().to_string()
}

/// A row with a fresh time and these further members.
pub(crate) fn row(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"TimeGenerated":"{}"{comma}{members}}}"#, now())
}
