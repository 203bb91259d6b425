//! Lambda's Runtime API in so far as a start goes: it notes when a function asks for its first invocation, and hands
//! one out.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use super::Failure;

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next ";

/// The first poll of a process.
pub(super) struct Poll {
    pub(super) at: Instant,
    stream: TcpStream,
}

impl Poll {
    /// Answers with an invocation.
    pub(super) fn invoke(&mut self, event: &str) -> Result<Instant, Failure> {
        let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + Duration::from_mins(5);
        let (end_ms, length) = (end.as_millis(), event.len());
        let at = Instant::now();
        write!(
            self.stream,
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {end_ms}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:111122223333:function:f\r\n\
             content-length: {length}\r\n\r\n{event}"
        )?;
        Ok(at)
    }
}

pub(super) struct RuntimeApi {
    pub(super) address: String,
    polls: Receiver<Poll>,
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

    /// The next poll.
    pub(super) fn poll(&self) -> Result<Poll, Failure> {
        self.polls.recv_timeout(PATIENCE).map_err(|_| format!("no poll within {PATIENCE:?}").into())
    }
}

fn poll(mut stream: TcpStream) -> io::Result<Poll> {
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
    if head.starts_with(NEXT) { Ok(Poll { at, stream }) } else { Err(io::ErrorKind::InvalidData.into()) }
}
