//! The HTTP server of the stand-in: accepts on a loopback port, reads each request whole, routes it.

use super::call::{Answer, Call};
use super::control;
use super::fault::{FaultKind, Faults, Target};
use super::ingestion::{self, Desk};
use super::kept::{Exchange, Kept};
use super::legacy;
use super::limits::LastMinute;
use super::refusal::Flaw;
use super::settings::Settings;
use super::token::{self, EntraError, Tokens};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What the server's connections and the in-process API share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) url: String,
    kept: Mutex<Kept>,
    tokens: Mutex<Tokens>,
    faults: Mutex<Faults>,
    /// What each rule took, by its immutable id.
    minutes: Mutex<BTreeMap<String, LastMinute>>,
}

impl Shared {
    pub(super) fn new(settings: Settings, url: String) -> Self {
        let kept = Mutex::new(Kept::new(settings.keep_rows));
        Self {
            settings,
            url,
            kept,
            tokens: Mutex::default(),
            faults: Mutex::default(),
            minutes: Mutex::default(),
        }
    }

    /// The response to an answer, dated by the stand-in's clock.
    fn date(&self, answer: Answer) -> Response<Full<Bytes>> {
        answer.into_response(self.settings.now())
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request among those of the rule's last minute, or says when to come again.
    fn count(&self, dcr: &str, bytes: usize) -> Result<(), Duration> {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.entry(dcr.to_owned()).or_default().take(self.settings.rule_limits, bytes, Instant::now())
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: let some connections end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&shared), request));
            // An error here is the client's leave, or a connection closed on purpose.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
struct Closed;

enum Route {
    Token { tenant: String },
    Tenant { tenant: String },
    Upload { dcr: String, stream: String },
    Legacy,
    Control,
    Nowhere,
}

impl Route {
    fn of(path: &str) -> Self {
        match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
            [tenant, "oauth2", "v2.0", "token"] => Self::Token { tenant: (*tenant).to_owned() },
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                Self::Tenant { tenant: (*tenant).to_owned() }
            }
            ["dataCollectionRules", dcr, "streams", stream] => {
                Self::Upload { dcr: (*dcr).to_owned(), stream: (*stream).to_owned() }
            }
            ["api", "logs"] => Self::Legacy,
            [""] | ["_standin", ..] => Self::Control,
            _ => Self::Nowhere,
        }
    }

    const fn target(&self) -> Option<Target> {
        match self {
            Self::Token { .. } => Some(Target::Token),
            Self::Upload { .. } | Self::Legacy => Some(Target::Upload),
            Self::Tenant { .. } | Self::Control | Self::Nowhere => None,
        }
    }

    /// The most bytes of a body that are kept.
    const fn body_bytes(&self) -> usize {
        match self {
            Self::Legacy => legacy::LIMIT_BYTES,
            _ => ingestion::LIMIT_BYTES,
        }
    }
}

/// One exchange that is not over; noted when it is, however it ends.
struct Underway<'a> {
    shared: &'a Shared,
    started: Instant,
    is_upload: bool,
    exchange: Exchange,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut exchange = self.exchange.clone();
        exchange.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.shared.kept();
        if self.is_upload {
            kept.upload_ended();
        }
        kept.note_exchange(exchange);
    }
}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    if !is_on_loopback(&parts.headers) {
        const MESSAGE: &str = "The stand-in answers only to 127.0.0.1, [::1] and localhost.";
        return Ok(shared.date(Answer::ingestion_error(421, "MisdirectedRequest", MESSAGE)));
    }
    let path = parts.uri.path().to_owned();
    let route = Route::of(&path);
    match &route {
        Route::Control => {
            let (body, _) = read(body, route.body_bytes()).await?;
            let query = query_pairs(parts.uri.query());
            return Ok(shared.date(control::answer(&shared, &parts.method, &path, &query, &body)));
        }
        Route::Tenant { tenant } if parts.method == Method::GET => {
            return Ok(shared.date(token::describe(tenant, &shared.settings, &shared.url)));
        }
        _ => {}
    }
    let is_upload = route.target() == Some(Target::Upload);
    if is_upload {
        shared.kept().upload_started();
    }
    let mut underway = Underway {
        shared: &shared,
        started: Instant::now(),
        is_upload,
        exchange: Exchange {
            at: Timestamp::now(),
            method: parts.method.to_string(),
            path: path.clone(),
            status: None,
            bytes_wire: 0,
            bytes_inflated: 0,
            rows: 0,
            request_id: None,
            ms: 0,
            error_code: None,
            fault: None,
        },
    };
    let (body, bytes_wire) = read(body, route.body_bytes()).await?;
    let query = query_pairs(parts.uri.query());
    let call = Call { method: parts.method, path, query, headers: parts.headers, body, bytes_wire };
    let exchange = &mut underway.exchange;
    exchange.bytes_wire = bytes_wire;
    exchange.bytes_inflated = call.body.len();
    exchange.request_id = call.header("x-ms-client-request-id").map(str::to_owned);

    let (outcome, delay) = handle(&shared, &route, &call, exchange);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match outcome {
        Outcome::Answer(answer) => {
            exchange.status = Some(answer.status);
            exchange.error_code.clone_from(&answer.code);
            Ok(shared.date(answer))
        }
        Outcome::Close => Err(Closed),
        Outcome::Hang => std::future::pending().await,
    }
}

/// Whether the request names a loopback host: a page whose name was made to resolve to this machine may not read rows.
fn is_on_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| matches!(host.host(), "127.0.0.1" | "[::1]" | "localhost"))
}

fn query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// Reads a body to its end, and keeps its first bytes: one that is too long is answered, not reset.
async fn read(mut body: Incoming, keep_bytes: usize) -> Result<(Bytes, usize), Closed> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Closed)?.into_data() {
            length += data.len();
            kept.extend_from_slice(&data[..data.len().min(keep_bytes - kept.len())]);
        }
    }
    Ok((kept.into(), length))
}

enum Outcome {
    Answer(Answer),
    Close,
    Hang,
}

/// Decides the outcome of a call, and how late it is answered.
fn handle(shared: &Shared, route: &Route, call: &Call, exchange: &mut Exchange) -> (Outcome, Duration) {
    let Some(target) = route.target() else {
        let flaw = Flaw::new(404, "NotFound", "Nothing is served at this path.");
        return (refuse(shared, route, call, flaw), Duration::ZERO);
    };
    if call.method != Method::POST {
        let flaw = Flaw::new(405, "MethodNotAllowed", "Only POST is served at this path.");
        return (refuse(shared, route, call, flaw), Duration::ZERO);
    }
    // Noted before any fault: a request that failed has used its id up all the same.
    let fresh_id = call.header("x-ms-client-request-id").is_some_and(|id| shared.kept().is_fresh(id));
    let arrival = shared.faults().on_arrival(target);
    if !arrival.delay.is_zero() {
        exchange.fault = Some("slow");
    }
    let outcome = match arrival.end {
        Some(kind) => {
            exchange.fault = Some(kind.name());
            strike(kind, route)
        }
        None => match route {
            Route::Token { tenant } => exchange_token(shared, call, tenant, exchange),
            _ => take_batch(shared, route, call, fresh_id, exchange),
        },
    };
    (outcome, arrival.delay)
}

fn exchange_token(shared: &Shared, call: &Call, tenant: &str, exchange: &mut Exchange) -> Outcome {
    let host = call.header("host").map_or_else(|| shared.url.clone(), |host| format!("http://{host}"));
    match token::judge(call, tenant, &shared.settings, &host, shared.settings.now()) {
        Ok(assertion) => {
            let reused = assertion.is_some_and(|assertion| shared.tokens().is_repeat(&assertion));
            let answer = shared.tokens().issue(shared.settings.token_seconds);
            {
                let mut kept = shared.kept();
                kept.tokens.exchanges += 1;
                kept.tokens.reused_assertions += u64::from(reused);
            }
            acknowledge(shared, &Route::Token { tenant: tenant.to_owned() }, answer, exchange)
        }
        Err(error) => {
            shared.kept().tokens.refused += 1;
            let request_id = exchange.request_id.as_deref();
            shared.kept().note_refusal(error.as_refusal(&call.path, request_id));
            Outcome::Answer(error.into_answer())
        }
    }
}

fn take_batch(
    shared: &Shared,
    route: &Route,
    call: &Call,
    fresh_id: bool,
    exchange: &mut Exchange,
) -> Outcome {
    let now = shared.settings.now();
    let (judged, dcr, accepted) = match route {
        Route::Upload { dcr, stream } => {
            let tokens = shared.tokens();
            let desk = Desk { settings: &shared.settings, tokens: &tokens, fresh_id, now };
            let judged = ingestion::judge(call, dcr, stream, &desk, &mut exchange.bytes_inflated);
            (judged, dcr.as_str(), 204)
        }
        _ => (legacy::judge(call, &shared.settings, now), "", 200),
    };
    let batch = match judged {
        Ok(batch) => batch,
        Err(flaw) => return refuse(shared, route, call, flaw),
    };
    if let Route::Upload { dcr, .. } = route
        && let Err(wait) = shared.count(dcr, exchange.bytes_inflated)
    {
        exchange.fault = Some("limits");
        let answer = worded(route, 429, "TooManyRequests", "The rule has taken all that it takes a minute.");
        let seconds = wait.as_secs_f64().ceil();
        return Outcome::Answer(answer.with_header("retry-after", seconds.to_string()));
    }
    let fault = shared.faults().on_batch(&batch.body);
    if let Some(kind) = fault {
        exchange.fault = Some(kind.name());
        return strike(kind, route);
    }
    exchange.rows = batch.rows.len();
    let request_id = exchange.request_id.as_deref().unwrap_or_default();
    shared.kept().take(&batch.table, batch.rows, request_id, dcr, now);
    acknowledge(shared, route, Answer::empty(accepted), exchange)
}

/// Answers a success, unless a fault loses the answer.
fn acknowledge(shared: &Shared, route: &Route, answer: Answer, exchange: &mut Exchange) -> Outcome {
    let lost = route.target().and_then(|target| shared.faults().on_success(target));
    match lost {
        None => Outcome::Answer(answer),
        Some(kind) => {
            exchange.fault = Some(kind.name());
            strike(kind, route)
        }
    }
}

/// Answers with a flaw, and notes it.
fn refuse(shared: &Shared, route: &Route, call: &Call, flaw: Flaw) -> Outcome {
    let answer = worded(route, flaw.status, flaw.code, &flaw.message);
    let refusal = flaw.of_request(&call.path, call.header("x-ms-client-request-id"));
    shared.kept().note_refusal(refusal);
    Outcome::Answer(answer)
}

fn worded(route: &Route, status: u16, code: &str, message: &str) -> Answer {
    match route {
        Route::Legacy => Answer::legacy_error(status, code, message),
        _ => Answer::ingestion_error(status, code, message),
    }
}

/// The outcome that a fault makes.
fn strike(kind: FaultKind, route: &Route) -> Outcome {
    let (status, retry_after, code) = match kind {
        FaultKind::Hang | FaultKind::HangAfter => return Outcome::Hang,
        FaultKind::DropBefore | FaultKind::DropAfter => return Outcome::Close,
        FaultKind::Slow { .. } => return Outcome::Answer(Answer::empty(204)),
        FaultKind::RejectWhere { .. } => (400, None, Some("InvalidTransformOutput".to_owned())),
        FaultKind::TooLargeOver { .. } => (413, None, Some("ContentLengthLimitExceeded".to_owned())),
        FaultKind::Status { status, retry_after, code } => (status, retry_after, code),
    };
    let answer = if (200..300).contains(&status) {
        Answer::empty(status)
    } else if let Route::Token { .. } = route {
        EntraError::injected(status, code.as_deref()).into_answer()
    } else {
        let code = code.as_deref().unwrap_or(match status {
            401 => "Unauthorized",
            403 => "OperationFailed",
            429 => "TooManyRequests",
            _ => "InjectedFault",
        });
        worded(route, status, code, "This fault was injected.")
    };
    Outcome::Answer(match retry_after {
        Some(value) => answer.with_header("retry-after", value),
        None => answer,
    })
}
