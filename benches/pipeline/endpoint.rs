//! Swallows posts on the loopback interface and hands out files: the token endpoint, the Logs Ingestion API and S3 in so
//! far as time and bytes go. What is posted is judged by the tests, against the strict stand-in.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Failure;

/// So much of a file is written at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// An endpoint that serves until the process ends.
pub(super) struct Endpoint {
    pub(super) address: String,
    connections: Arc<AtomicUsize>,
}

impl Endpoint {
    /// How many connections were opened.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Starts a thread that answers each post after so long, and hands out these files.
pub(super) fn start(files: &Path, latency: Duration) -> Result<Endpoint, Failure> {
    let files: Arc<Path> = files.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("http://{}", listener.local_addr()?);
    let endpoint = Endpoint { address, connections: Arc::default() };
    let connections = Arc::clone(&endpoint.connections);
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let files = Arc::clone(&files);
                let service = hyper::server::conn::http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| answer(request, Arc::clone(&files), latency)),
                );
                tokio::spawn(service);
            }
        });
    });
    Ok(endpoint)
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    files: Arc<Path>,
    latency: Duration,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        return Ok(hand_out(&files.join(path.rsplit('/').next().unwrap_or_default())));
    }
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    tokio::time::sleep(latency).await;
    let token = br#"{"token_type":"Bearer","expires_in":3599,"access_token":"any"}"#;
    let (status, body) = if path.ends_with("/token") {
        (StatusCode::OK, &token[..])
    } else {
        (StatusCode::NO_CONTENT, &[][..])
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body)).boxed_unsync());
    *response.status_mut() = status;
    Ok(response)
}

fn hand_out(path: &Path) -> Response<Body> {
    let Ok(mut file) = File::open(path) else {
        let mut response = Response::new(Full::default().boxed_unsync());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let pieces = std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).ok().filter(|read| *read > 0)?;
        piece.truncate(read);
        Some(Ok(Frame::data(Bytes::from(piece))))
    });
    let mut response = Response::new(StreamBody::new(stream::iter(pieces)).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.headers_mut().insert(ETAG, HeaderValue::from_static("\"any\""));
    response
}
