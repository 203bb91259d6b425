//! Lambda's Runtime API in so far as a start goes: it notes when a function asks for its first invocation.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::Failure;

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next ";

pub(super) struct RuntimeApi {
    pub(super) address: String,
    polls: Receiver<(Instant, TcpStream)>,
}

impl RuntimeApi {
    /// Starts a thread that does nothing but wait for polls.
    pub(super) fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (sender, polls) = channel();
        std::thread::spawn(move || {
            // A connection that breaks off is that of a process which failed; nobody waits for its poll for ever.
            for poll in listener.incoming().filter_map(|stream| poll(stream.ok()?).ok()) {
                if sender.send(poll).is_err() {
                    break;
                }
            }
        });
        Ok(Self { address, polls })
    }

    /// When the next poll came, and its connection: the poll is unanswered.
    pub(super) fn poll(&self) -> Result<(Instant, TcpStream), Failure> {
        self.polls.recv_timeout(PATIENCE).map_err(|_| format!("no poll within {PATIENCE:?}").into())
    }
}

fn poll(mut stream: TcpStream) -> io::Result<(Instant, TcpStream)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..length]);
    }
    let at = Instant::now();
    if head.starts_with(NEXT) { Ok((at, stream)) } else { Err(io::ErrorKind::InvalidData.into()) }
}
