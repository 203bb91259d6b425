//! A strict stand-in, on loopback, for Entra's token endpoint and Azure's Logs Ingestion API.
//!
//! Specifications: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Used by the tests in
//! process and by `sentinelctl dev`; never linked into the function, never reached but from this machine.
//!
//! **Strict** means: where the real service would answer 204 and then silently drop, cut or null something, the
//! stand-in refuses with 400 and says which row and column. It refuses undeclared and repeated columns, values of
//! the wrong type, null and empty values, values over the limit, halves of surrogate pairs, a request id that was
//! used before, and a `TimeGenerated` that the service would replace unless `EventTime_CF` keeps the true time.
//! It takes no more of a rule in any minute than the documented limits, and answers 429 beyond them.
//! It does not run transformations, does not check the signatures of assertions, and does not look for repeated
//! names below the top level of a row.
//!
//! | path | what |
//! | --- | --- |
//! | `POST /{tenant}/oauth2/v2.0/token` | tokens |
//! | `GET /{tenant}/v2.0/.well-known/openid-configuration` | whether the tenant exists |
//! | `POST /dataCollectionRules/{dcr}/streams/{stream}` | rows |
//! | `POST /api/logs` | rows, by the legacy API |
//! | `GET /` | a page that shows what came |
//! | `GET`, `DELETE /_standin/state` | the same as JSON; forgets it, but neither tokens nor faults |
//! | `GET /_standin/rows?table=&offset=&limit=&envelope=` | rows as JSON lines |
//! | `GET`, `POST`, `DELETE /_standin/faults` | what goes wrong from now on |

mod call;
mod control;
mod fault;
mod ingestion;
mod kept;
mod legacy;
mod limits;
mod refusal;
mod row;
mod server;
mod settings;
mod token;

pub use fault::{Fault, FaultKind, Target};
pub use kept::{Exchange, KeptRow, TokenCounts};
pub use limits::{LastMinute, RuleLimits};
pub use refusal::Refusal;
pub use settings::{Cloud, Settings};

use server::Shared;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A stand-in that listens; it stops when dropped.
pub struct Standin {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Standin {
    /// Starts a stand-in on a thread and a runtime of its own.
    ///
    /// # Errors
    /// If the port is taken or the thread can't be started.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let shared = Arc::new(Shared::new(settings, url));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("standin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = server::serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens: the logs-ingestion endpoint and the Entra authority at once.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// What it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The raw JSON of the rows kept of a table, in the order in which they came.
    #[must_use]
    pub fn rows(&self, table: &str) -> Vec<String> {
        self.shared.kept().rows(table).map(|row| row.text.clone()).collect()
    }

    /// The rows kept of a table, with what is known of their arrival.
    #[must_use]
    pub fn kept_rows(&self, table: &str) -> Vec<KeptRow> {
        self.shared.kept().rows(table).cloned().collect()
    }

    /// How many rows of a table were taken, those no longer kept included.
    #[must_use]
    pub fn row_total(&self, table: &str) -> u64 {
        self.shared.kept().row_total(table)
    }

    /// The requests that are over, in the order in which they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<Exchange> {
        self.shared.kept().exchanges()
    }

    /// What it refused on its own account.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.shared.kept().refusals()
    }

    /// What came of the token endpoint.
    #[must_use]
    pub fn tokens(&self) -> TokenCounts {
        self.shared.kept().tokens
    }

    /// How many tokens were issued.
    #[must_use]
    pub fn token_exchanges(&self) -> u64 {
        self.tokens().exchanges
    }

    /// The most uploads that were in flight at once.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.shared.kept().most_in_flight()
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults().arm(fault);
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// Makes every access token issued so far unknown, so that the next upload is answered with 401.
    pub fn revoke_tokens(&self) {
        self.shared.tokens().revoke();
    }

    /// Forgets rows, requests, refusals and counts; access tokens stay good and faults armed.
    pub fn reset(&self) {
        self.shared.kept().reset();
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}
