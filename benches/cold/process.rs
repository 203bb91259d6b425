//! One start of a program, as Lambda would start it in a plausible deployment.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::Failure;
use super::runtime_api::{Poll, RuntimeApi};

const REGION: &str = "us-east-1";

/// A program that has asked for its first invocation; it ends with this.
pub(super) struct Process {
    child: Child,
    pub(super) poll: Poll,
    pub(super) start_ms: f64,
}

impl Process {
    pub(super) fn start(program: &Path, runtime: &RuntimeApi, clouds: &str) -> Result<Self, Failure> {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cold-start.log");
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(runtime_environment(&runtime.address))
            .envs(environment(clouds))
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        match runtime.poll() {
            Ok(poll) => {
                let start_ms = (poll.at - began).as_secs_f64() * 1e3;
                Ok(Self { child, poll, start_ms })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                let said = std::fs::read_to_string(&log)?;
                Err(format!("{}: {error}\n{said}", program.display()).into())
            }
        }
    }

    /// Its resident memory in megabytes.
    pub(super) fn resident_mb(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u32 = resident.trim().trim_end_matches("kB").trim().parse()?;
        Ok(f64::from(kib) * 1024.0 / 1e6)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself is waited for all the same.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn runtime_environment(api: &str) -> [(&'static str, String); 9] {
    [
        ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "sentinel-forwarder".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "any".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
        ("AWS_SESSION_TOKEN", "any".to_owned()),
    ]
}

/// A federated credential, a ledger and both queues, as template.yaml sets them.
fn environment(clouds: &str) -> [(&'static str, String); 10] {
    [
        ("AWS_ENDPOINT_URL", clouds.to_owned()),
        ("SENTINEL_ENDPOINT", clouds.to_owned()),
        ("SENTINEL_DCR_ID", "dcr-00000000000000000000000000000000".to_owned()),
        ("AZURE_AUTHORITY_HOST", clouds.to_owned()),
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000000".to_owned()),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000000".to_owned()),
        ("ALLOWED_BUCKETS", "any".to_owned()),
        ("WORK_QUEUE_URL", format!("{clouds}/111122223333/work")),
        ("DEAD_LETTER_QUEUE_URL", format!("{clouds}/111122223333/letters")),
        ("LEDGER_TABLE", "ledger".to_owned()),
    ]
}
