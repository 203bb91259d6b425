//! The one HTTP client of both clouds: one set of embedded roots, one pool of connections, answers of bounded length.
//!
//! Lambda freezes a function between invocations, and connections die meanwhile without a word to it. That is no failure
//! of the service at their other end: a pool that was idle for long is not used any more, and a request whose connection
//! breaks is repeated once on a fresh one. Never follows a redirect: what would follow takes the body along, and with it
//! a secret.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Response};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was idle for so long is not used any more. Azure's load balancers drop one after 4 minutes
/// (<https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset>), NAT gateways of AWS after 350 seconds
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html>), both without a word.
const LONGEST_IDLE: Duration = Duration::from_mins(1);

/// A client; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tls: Option<ClientConfig>,
    pool: Mutex<Pool>,
}

/// The connections that are in use.
#[derive(Clone, Debug)]
struct Pool {
    client: Client,
    generation: u64,
    /// When an answer last came through it: since then connections of it are idle. By the wall clock, since another one
    /// may stand still while the function is frozen.
    answered_at: Option<SystemTime>,
}

/// The client of the function and of the command line.
///
/// # Errors
/// If the client can't be built.
pub fn http_client() -> Result<HttpClient, reqwest::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // ring supports both protocol versions, so the versions can always be set.
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok();
    let tls = tls.map(|tls| tls.with_root_certificates(roots).with_no_client_auth());
    let pool = Pool { client: connect(tls.as_ref())?, generation: 0, answered_at: None };
    Ok(HttpClient(Arc::new(Shared { tls, pool: Mutex::new(pool) })))
}

/// A client without connections.
fn connect(tls: Option<&ClientConfig>) -> Result<Client, reqwest::Error> {
    let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(LONGEST_IDLE);
    let builder = builder.no_proxy().redirect(Policy::none());
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls.clone()).build(),
        None => builder.build(),
    }
}

impl HttpClient {
    /// Sends the request that is built; where it is repeated, it is built anew.
    ///
    /// # Errors
    /// If no answer comes, or none of this protocol.
    pub async fn send(&self, build: impl Fn(&Client) -> RequestBuilder) -> Result<Response, reqwest::Error> {
        let pool = self.current_pool();
        let request = build(&pool.client).build()?;
        self.execute_in(pool, request, |client| build(client).build().ok()).await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If no answer comes, or none of this protocol.
    pub async fn execute(&self, request: Request) -> Result<Response, reqwest::Error> {
        let again = request.try_clone();
        self.execute_in(self.current_pool(), request, |_| again).await
    }

    async fn execute_in(
        &self,
        pool: Pool,
        request: Request,
        again: impl FnOnce(&Client) -> Option<Request>,
    ) -> Result<Response, reqwest::Error> {
        let error = match pool.client.execute(request).await {
            Ok(response) => return Ok(self.answered(response)),
            Err(error) => error,
        };
        let had_connections = pool.answered_at.is_some();
        if !had_connections || error.is_connect() || error.is_builder() {
            return Err(error);
        }
        let fresh = self.renew(&pool);
        // Whoever waited in vain has no time for another wait: the next request goes by a fresh connection.
        if error.is_timeout() {
            return Err(error);
        }
        match again(&fresh.client) {
            Some(again) => fresh.client.execute(again).await.map(|response| self.answered(response)),
            None => Err(error),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, response: Response) -> Response {
        self.pool().answered_at = Some(SystemTime::now());
        response
    }

    /// The pool, unless its connections were idle for too long.
    fn current_pool(&self) -> Pool {
        let pool = self.pool().clone();
        let idle = pool.answered_at.map(|at| SystemTime::now().duration_since(at));
        // A clock that was set back says nothing of how long that was.
        let is_used = idle.is_none_or(|idle| idle.is_ok_and(|idle| idle <= LONGEST_IDLE));
        if is_used { pool } else { self.renew(&pool) }
    }

    /// Puts an empty pool in the place of this one, unless that was done.
    fn renew(&self, old: &Pool) -> Pool {
        let mut pool = self.pool();
        if pool.generation == old.generation
            && let Ok(client) = connect(self.0.tls.as_ref())
        {
            *pool = Pool { client, generation: old.generation + 1, answered_at: None };
        }
        pool.clone()
    }
}

/// Why the body of an answer was not read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BodyError {
    /// The connection broke, or the time was up.
    #[error("the answer broke off")]
    Broken,
    /// It is longer than any answer that makes sense here.
    #[error("the answer is too long")]
    TooLong,
}

/// Reads the body of an answer up to a bound.
///
/// # Errors
/// If it breaks off, or goes on beyond the bound.
pub async fn read_body(mut response: Response, most_bytes: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyError::Broken)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// What a server does with the requests of a connection, one after another; after the last it reads no more.
    #[derive(Clone, Copy)]
    enum Doing {
        Answer,
        Break,
        Swallow,
    }

    /// A server whose first connections, so many, do one thing and all later ones another; and how many there were.
    fn serve(count: usize, first: &'static [Doing], later: &'static [Doing]) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::default());
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let is_first = counted.fetch_add(1, Ordering::SeqCst) < count;
                let (stream, doings) = (stream.unwrap(), if is_first { first } else { later });
                thread::spawn(move || treat(stream, doings));
            }
        });
        (url, connections)
    }

    fn treat(mut stream: TcpStream, doings: &[Doing]) {
        for doing in doings {
            let mut request = [0; 4096];
            if stream.read(&mut request).unwrap_or(0) == 0 {
                return;
            }
            match doing {
                Doing::Answer => {
                    // Long enough for several requests to be under way at once.
                    thread::sleep(Duration::from_millis(100));
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                }
                Doing::Break => return,
                Doing::Swallow => loop {
                    thread::park();
                },
            }
        }
    }

    async fn post(client: &HttpClient, url: &str) -> Result<u16, reqwest::Error> {
        let sent = client.send(|client| client.post(url).timeout(Duration::from_secs(20)).body("[{}]"));
        sent.await.map(|response| response.status().as_u16())
    }

    const WORKS: &[Doing] = &[Doing::Answer; 9];

    #[tokio::test]
    async fn requests_whose_idle_connections_break_are_repeated_on_fresh_ones() {
        let client = http_client().unwrap();
        let (url, connections) = serve(8, &[Doing::Answer, Doing::Break], WORKS);
        for _ in 0..2 {
            let posts = std::iter::repeat_with(|| post(&client, &url)).take(8);
            for answered in futures_util::future::join_all(posts).await {
                assert_eq!(answered.unwrap(), 204);
            }
        }
        assert_eq!(connections.load(Ordering::SeqCst), 16);
    }

    #[tokio::test]
    async fn a_request_that_is_repeated_is_built_anew() {
        let client = http_client().unwrap();
        let (url, _) = serve(1, &[Doing::Answer, Doing::Break], WORKS);
        let built = AtomicUsize::default();
        for expected in [1, 3] {
            let sent = client.send(|client| {
                built.fetch_add(1, Ordering::SeqCst);
                client.post(&url).body("[{}]")
            });
            assert_eq!(sent.await.unwrap().status(), 204);
            assert_eq!(built.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn a_fresh_connection_that_breaks_is_the_services_failure() {
        let client = http_client().unwrap();
        let (url, connections) = serve(1, &[Doing::Answer, Doing::Break], &[Doing::Break]);
        assert_eq!(post(&client, &url).await.unwrap(), 204);
        assert!(post(&client, &url).await.is_err());
        assert_eq!(connections.load(Ordering::SeqCst), 2);
        assert!(post(&client, &url).await.is_err());
        assert_eq!(connections.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn connections_that_were_idle_for_long_are_not_used_though_nobody_closed_them() {
        let client = http_client().unwrap();
        let (url, connections) = serve(1, &[Doing::Answer, Doing::Swallow], WORKS);
        assert_eq!(post(&client, &url).await.unwrap(), 204);
        // The function was frozen.
        let long_ago = SystemTime::now() - LONGEST_IDLE - Duration::from_secs(1);
        client.pool().answered_at = Some(long_ago);
        assert_eq!(post(&client, &url).await.unwrap(), 204);
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound_and_no_further() {
        for (length, most_bytes, expected) in
            [(10, 10, Ok(10)), (11, 10, Err(BodyError::TooLong)), (0, 0, Ok(0))]
        {
            let response = http::Response::new(reqwest::Body::from(vec![b'x'; length]));
            let read = read_body(response.into(), most_bytes).await;
            assert_eq!(read.map(|body| body.len()), expected);
        }
    }
}
