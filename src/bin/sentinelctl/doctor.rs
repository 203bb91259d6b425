//! `sentinelctl doctor`: checks a deployment by the environment of the function, and says what to do next.

use std::io::{self, Write};
use std::process::ExitCode;

use sentinel_forwarder::config::Config;
use sentinel_forwarder::doctor::{Finding, Options, examine, has_failed, json, summary};

use super::console::{Output, end, is_coloured};

const HELP: &str = "\
The environment is that of the function: take its variables over first. NAME is
FunctionName of the stack's outputs.

  eval \"$(aws lambda get-function-configuration --function-name NAME \\
    --query Environment.Variables --output json |
    python3 -c 'import json, shlex, sys
for pair in json.load(sys.stdin).items():
    print(\"export %s=%s\" % tuple(map(shlex.quote, pair)))')\"

AWS is asked as you, by AWS_REGION and the other AWS_… variables. After any kind
of sign-in of the AWS CLI this sets them:

  eval \"$(aws configure export-credentials --format env)\"

What you may not look at is skipped, and the permission that you lack is named.

Exit codes: 0 nothing failed, 1 a check failed, 2 wrong usage.

Examples:
  sentinelctl doctor
  sentinelctl doctor --role-arn arn:aws:iam::123456789012:role/forwarder
  sentinelctl doctor --probe --output json";

/// Checks a deployment end to end and says what to do next; prints no secret, token or key.
///
/// Exits with 0 if nothing failed, with 1 if a check did, with 2 if the arguments are wrong.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Post one row to each stream: it stays in the table and is billed.
    ///
    /// Its `EventName` or `ActivityType` is `SentinelForwarderProbe`.
    #[arg(long)]
    probe: bool,
    /// The function's role, which Azure must trust, where you are another.
    #[arg(long, value_name = "ARN", value_parser = parse_role)]
    role_arn: Option<String>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

fn parse_role(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "iam", "", account, role]
            if account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("a role's ARN is arn:aws:iam::ACCOUNT:role/NAME".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let code = |is_well| if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    end("doctor", check(arguments).map(code))
}

/// Makes all checks; whether none failed.
fn check(arguments: Arguments) -> io::Result<bool> {
    let options = Options { probe: arguments.probe, role_arn: arguments.role_arn };
    let mut out = io::stdout().lock();
    let (as_text, coloured) = (arguments.output == Output::Text, is_coloured());
    let mut written = Ok(());
    let tell = |finding: &Finding| {
        if as_text && written.is_ok() {
            written = out.write_all(finding.text(coloured).as_bytes()).and_then(|()| out.flush());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let examined = runtime.block_on(examine(Config::from_env_as_in_lambda(), &options, tell));
    let findings = examined.map_err(io::Error::other)?;
    written?;
    if as_text {
        writeln!(out, "\n{}", summary(&findings))?;
    } else {
        writeln!(out, "{}", json(&findings))?;
    }
    Ok(!has_failed(&findings))
}
