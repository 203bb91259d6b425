//! `sentinelctl dev`: runs the stand-in until it is interrupted, and says how to point the function at it.

use sentinel_forwarder::standin::{Cloud, Settings, Standin};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::console::end;
use super::files::{naming, write_whole};
use super::interruption::Interruption;

/// Where it listens unless told otherwise.
const DEFAULT_PORT: u16 = 8089;
/// The rows kept of a table unless told otherwise: enough to look at, in tens of megabytes.
const DEFAULT_KEEP_ROWS: usize = 20_000;

#[derive(clap::Args)]
#[command(after_help = "Ctrl-C ends it.

Examples:
  sentinelctl dev
  sentinelctl dev --port 0 --ready-file /tmp/standin.url --dcr dcr-00000000000000000000000000000001")]
pub(crate) struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one [default: 8089, or a free one if that is taken]
    #[arg(long)]
    port: Option<u16>,
    /// Immutable id of a data collection rule that exists; may be repeated [default: one made up]
    #[arg(long, value_name = "DCR_ID", value_parser = parse_dcr)]
    dcr: Vec<String>,
    /// The Entra tenant that exists [default: one made up]
    #[arg(long)]
    tenant: Option<String>,
    /// The application that exists in it [default: one made up]
    #[arg(long)]
    client_id: Option<String>,
    /// Its client secret [default: one made up]
    #[arg(long)]
    client_secret: Option<String>,
    /// Issuer of its federated credential [default: any]
    #[arg(long)]
    issuer: Option<String>,
    /// Subject of its federated credential [default: any]
    #[arg(long)]
    subject: Option<String>,
    /// Audience of its federated credential [default: that of the cloud]
    #[arg(long)]
    audience: Option<String>,
    /// `x5t` of its certificate: the SHA-1 as base64url [default: any]
    #[arg(long, value_name = "X5T")]
    certificate_thumbprint: Option<String>,
    /// How far its clock is ahead of this machine's
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead: i64,
    /// The cloud whose scope and audience are right
    #[arg(long, value_enum, default_value = "public")]
    cloud: Cloud,
    /// The most rows kept of a table
    #[arg(long, value_name = "N", default_value_t = DEFAULT_KEEP_ROWS)]
    keep_rows: usize,
    /// File to write the URL to, once it listens
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

fn parse_dcr(text: &str) -> Result<String, String> {
    match text.strip_prefix("dcr-") {
        Some(id) if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(text.to_owned()),
        _ => Err("an immutable id is dcr- and 32 hex digits".to_owned()),
    }
}

/// Runs the stand-in.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    end("dev", serve(arguments).map(|()| ExitCode::SUCCESS))
}

fn serve(arguments: Arguments) -> io::Result<()> {
    let ready_file = arguments.ready_file.clone();
    // A file left by an earlier run would name a stand-in that is gone.
    if let Some(path) = &ready_file {
        remove_if_there(path)?;
    }
    let secret_is_made_up = arguments.client_secret.is_none();
    // Signals are caught before anybody can learn that it is up.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupted = runtime.block_on(async { Interruption::catch() })?;
    let standin = start(arguments)?;
    introduce(&standin, secret_is_made_up)?;
    if let Some(path) = &ready_file {
        write_whole(path, format!("{}\n", standin.url()).as_bytes())?;
    }
    runtime.block_on(interrupted.wait())?;
    if let Some(path) = &ready_file {
        remove_if_there(path)?;
    }
    Ok(())
}

fn start(arguments: Arguments) -> io::Result<Standin> {
    let made_up = Settings::default();
    let settings = Settings {
        port: arguments.port.unwrap_or(DEFAULT_PORT),
        tenant: arguments.tenant.unwrap_or(made_up.tenant),
        client_id: arguments.client_id.unwrap_or(made_up.client_id),
        client_secret: arguments.client_secret.unwrap_or(made_up.client_secret),
        issuer: arguments.issuer,
        subject: arguments.subject,
        audience: arguments.audience,
        certificate_thumbprint: arguments.certificate_thumbprint,
        clock_ahead_seconds: arguments.clock_ahead,
        cloud: arguments.cloud,
        dcrs: if arguments.dcr.is_empty() { made_up.dcrs } else { arguments.dcr },
        keep_rows: arguments.keep_rows,
        ..Settings::default()
    };
    match Standin::start(settings.clone()) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && arguments.port.is_none() => {
            Standin::start(Settings { port: 0, ..settings })
        }
        Err(error) => {
            Err(io::Error::new(error.kind(), format!("can't listen on port {}: {error}", settings.port)))
        }
        started => started,
    }
}

fn introduce(standin: &Standin, secret_is_made_up: bool) -> io::Result<()> {
    let (url, settings) = (standin.url(), standin.settings());
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    writeln!(out, "The page is there too. Environment of a function that is to write here:")?;
    writeln!(out, "  SENTINEL_ENDPOINT={url}")?;
    writeln!(out, "  SENTINEL_DCR_ID={}", settings.dcrs.join(","))?;
    writeln!(out, "  AZURE_CLOUD={}", settings.cloud.name())?;
    writeln!(out, "  AZURE_AUTHORITY_HOST={url}")?;
    writeln!(out, "  AZURE_TENANT_ID={}", settings.tenant)?;
    writeln!(out, "  AZURE_CLIENT_ID={}", settings.client_id)?;
    if secret_is_made_up {
        writeln!(out, "  AZURE_CREDENTIAL=secret")?;
        writeln!(out, "  AZURE_CLIENT_SECRET={}", settings.client_secret)?;
    }
    out.flush()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(naming(path, &error)),
        _ => Ok(()),
    }
}
