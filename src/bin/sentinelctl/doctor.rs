//! `sentinelctl doctor`: checks a deployment by the environment of the function, and says what to do next.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use sentinel_forwarder::aws::{AwsError, Inspection};
use sentinel_forwarder::config::Config;
use sentinel_forwarder::doctor::{Finding, Options, examine, has_failed, json, summary};

use super::console::{Output, end, is_coloured};
use super::operator;

const HELP: &str = "\
--stack takes the function's variables and its role from the stack. Without it the
environment is that of the function; NAME is FunctionName of the stack's outputs:

  eval \"$(aws lambda get-function-configuration --function-name NAME \\
    --query Environment.Variables --output json |
    python3 -c 'import json, shlex, sys
for pair in json.load(sys.stdin).items():
    print(\"export %s=%s\" % tuple(map(shlex.quote, pair)))')\"

AWS is asked as you, by --profile and --region or the AWS_… variables. After any
kind of sign-in of the AWS CLI this sets them:

  eval \"$(aws configure export-credentials --format env)\"

What you may not look at is skipped, and the permission that you lack is named.

Exit codes: 0 nothing failed, 1 a check failed, 2 wrong usage.

Examples:
  sentinelctl doctor --stack sentinel-forwarder --profile security
  sentinelctl doctor --role-arn arn:aws:iam::123456789012:role/forwarder
  sentinelctl doctor --probe --output json";

/// Checks a deployment end to end and says what to do next; prints no secret, token or key.
///
/// Exits with 0 if nothing failed, with 1 if a check did, with 2 if the arguments are wrong.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Stack of template.yaml whose function is meant; without it the environment says what is checked.
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
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

/// The variables of a stack's function, as it has them in Lambda, and its role.
async fn of_stack(
    inspection: &Inspection,
    stack: &str,
) -> Result<(BTreeMap<String, String>, Option<String>), AwsError> {
    let mut outputs = inspection.stack_outputs(stack).await?;
    let name = outputs.remove("FunctionName");
    let name = name.ok_or_else(|| AwsError::Missing { code: "no output FunctionName".to_owned() })?;
    let mut variables = inspection.function(&name).await?.variables;
    variables.insert("AWS_LAMBDA_FUNCTION_NAME".to_owned(), name);
    Ok((variables, outputs.remove("RoleArn")))
}

/// Makes all checks; whether none failed.
fn check(arguments: Arguments) -> io::Result<bool> {
    let mut options = Options { probe: arguments.probe, role_arn: arguments.role_arn };
    let mut out = io::stdout().lock();
    let (as_text, coloured) = (arguments.output == Output::Text, is_coloured());
    let mut written = Ok(());
    let tell = |finding: &Finding| {
        if as_text && written.is_ok() {
            written = out.write_all(finding.text(coloured).as_bytes()).and_then(|()| out.flush());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(async {
        let (aws, client) = operator::config_and_client().await?;
        let config = match &arguments.stack {
            None => Config::from_env_as_in_lambda(),
            Some(stack) => {
                let inspection = Inspection::new(client.clone(), aws.clone());
                let deployed = of_stack(&inspection, stack).await;
                let (variables, role_arn) =
                    deployed.map_err(|error| io::Error::other(format!("stack {stack}: {error}")))?;
                options.role_arn = options.role_arn.take().or(role_arn);
                Config::parse(variables)
            }
        };
        Ok::<_, io::Error>(Box::pin(examine(config, (aws, client), &options, tell)).await)
    })?;
    written?;
    if as_text {
        writeln!(out, "\n{}", summary(&findings))?;
    } else {
        writeln!(out, "{}", json(&findings))?;
    }
    Ok(!has_failed(&findings))
}
