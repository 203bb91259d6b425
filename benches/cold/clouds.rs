//! AWS and Azure on the loopback interface, in so far as a start needs them: each call is answered, the two on the way
//! to a token as late as over a network. What is sent is judged by the tests, against the strict stand-in.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Failure;

/// How long STS takes, in the function's own region.
const STS: Duration = Duration::from_millis(20);
/// How long Entra takes, over the internet.
const ENTRA: Duration = Duration::from_millis(100);

const ASSERTION: &str = "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>any\
                         </WebIdentityToken><Expiration>2100-01-01T00:00:00Z</Expiration>\
                         </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>";
const TOKEN: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"any"}"#;

/// Starts a thread that serves until the process ends; its address.
pub(super) fn start() -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let (late, text) =
        if head.uri.path().ends_with("/oauth2/v2.0/token") { (ENTRA, TOKEN) } else { (STS, ASSERTION) };
    tokio::time::sleep(late).await;
    Ok(Response::new(Full::from(text)))
}
