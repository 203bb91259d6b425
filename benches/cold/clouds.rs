//! AWS and Azure on the loopback interface, in so far as a start and a finding need them: each call is answered,
//! as late as over a network. What is sent is judged by the tests, against the strict
//! stand-in.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Failure;

/// How long a call of AWS takes, in the function's own region.
pub(super) const AWS: Duration = Duration::from_millis(20);
/// How long a call of Azure takes, over the internet.
pub(super) const AZURE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

const ASSERTION: &str = "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>any\
                         </WebIdentityToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
                         </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>";
const TOKEN: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"any"}"#;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Entra answered.
    Exchange,
    /// Rows were taken.
    Upload,
}

pub(super) struct Clouds {
    pub(super) address: String,
    seen: Receiver<(Seen, Instant)>,
    is_down: Arc<AtomicBool>,
}

impl Clouds {
    /// Starts a thread that serves until the process ends.
    pub(super) fn start() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = format!("http://{}", listener.local_addr()?);
        let (sender, seen) = channel();
        let is_down = Arc::new(AtomicBool::default());
        let flag = Arc::clone(&is_down);
        std::thread::spawn(move || {
            runtime.block_on(async {
                while let Ok((stream, _)) = listener.accept().await {
                    let (sender, flag) = (sender.clone(), Arc::clone(&flag));
                    let service =
                        service_fn(move |request| answer(request, sender.clone(), Arc::clone(&flag)));
                    let http = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        Ok(Self { address, seen, is_down })
    }

    /// Lets Entra be down, or up again.
    pub(super) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// Forgets what was seen.
    pub(super) fn forget(&self) {
        while self.seen.try_recv().is_ok() {}
    }

    /// When this was seen next.
    pub(super) fn wait_for(&self, what: Seen) -> Result<Instant, Failure> {
        loop {
            match self.seen.recv_timeout(PATIENCE) {
                Ok((seen, at)) if seen == what => return Ok(at),
                Ok(_) => {}
                Err(_) => return Err(format!("no {what:?} within {PATIENCE:?}").into()),
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    sender: Sender<(Seen, Instant)>,
    is_down: Arc<AtomicBool>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let path = head.uri.path();
    let is_rows = path.starts_with("/dataCollectionRules/");
    let is_exchange = path.ends_with("/oauth2/v2.0/token");
    tokio::time::sleep(if is_exchange || is_rows { AZURE } else { AWS }).await;
    let (status, text, seen) = if is_rows {
        (StatusCode::NO_CONTENT, "", Some(Seen::Upload))
    } else if is_exchange && is_down.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "", Some(Seen::Exchange))
    } else if is_exchange {
        (StatusCode::OK, TOKEN, Some(Seen::Exchange))
    } else if head.headers.contains_key("x-amz-target") {
        (StatusCode::OK, "{}", None)
    } else {
        (StatusCode::OK, ASSERTION, None)
    };
    if let Some(seen) = seen {
        // The harness may have ended.
        sender.send((seen, Instant::now())).ok();
    }
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}
