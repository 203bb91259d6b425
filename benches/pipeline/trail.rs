//! Generates a `CloudTrail` file: seeded, so that the same size gives the same bytes everywhere.
//!
//! Kinds of calls, their shares and the length of their parts follow what an account with a busy application writes:
//! mostly reads by assumed roles, some writes with large parameters, a few sign-ins and errors.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::Failure;

const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"];
const AGENTS: [&str; 5] = [
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#arm64 api/sts#1.30.3",
    "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.220 md/arch#x86_64 lang/python#3.11.9",
    "[aws-sdk-java/2.26.20 Linux/5.10 OpenJDK_64-Bit_Server_VM/21.0.3 io/sync http/Apache cfg/retry-mode/legacy]",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.2 (+https://www.terraform.io) terraform-provider-aws/5.58.0",
];
const ROLES: [&str; 6] = ["api", "ingest", "batch", "deploy", "reader", "audit"];

/// Writes a file of at least so many uncompressed bytes.
pub(super) fn generate(path: &Path, bytes: u64, seed: u64) -> Result<(), Failure> {
    let mut random = Rng::with_seed(seed);
    // Under another name until it is whole, so that a run that was cut short leaves none that looks whole.
    let unfinished = path.with_extension("unfinished");
    let mut file = GzEncoder::new(BufWriter::new(File::create(&unfinished)?), Compression::new(6));
    let mut written = 0;
    let mut second = 0;
    let mut opening = "{\"Records\":[";
    while written < bytes {
        second += i64::from(random.u8(..) < 8);
        let line = format!("{opening}{}", record(&mut random, second)?);
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
        opening = ",";
    }
    file.write_all(b"]}")?;
    file.finish()?.into_inner()?.sync_all()?;
    std::fs::rename(unfinished, path)?;
    Ok(())
}

fn record(random: &mut Rng, second: i64) -> Result<Value, Failure> {
    let account = format!("{:012}", 111_122_220_000_u64 + random.u64(0..4));
    let region = pick(random, &REGIONS);
    let time = jiff::Timestamp::from_second(1_767_312_000 + second)?.to_string();
    let mut record = json!({
        "eventVersion": "1.09",
        "userIdentity": identity(random, &account, &time),
        "eventTime": time,
        "awsRegion": region,
        "sourceIPAddress": format!("198.51.{}.{}", random.u8(100..104), random.u8(..)),
        "userAgent": pick(random, &AGENTS),
        "requestID": uuid(random),
        "eventID": uuid(random),
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("service.{region}.amazonaws.com")},
    });
    let (source, name, members) = call(random, &account, region);
    record["eventSource"] = source.into();
    record["eventName"] = name.into();
    if let (Some(record), Value::Object(members)) = (record.as_object_mut(), members) {
        record.extend(members);
    }
    Ok(record)
}

fn identity(random: &mut Rng, account: &str, time: &str) -> Value {
    let role = pick(random, &ROLES);
    let principal = format!("AROA{}", letters(random, 17));
    json!({
        "type": "AssumedRole",
        "principalId": format!("{principal}:i-{:017x}", random.u64(..) >> 4),
        "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/i-{:017x}", random.u64(..) >> 4),
        "accountId": account,
        "accessKeyId": format!("ASIA{}", letters(random, 16)),
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": principal, "arn": format!("arn:aws:iam::{account}:role/{role}"),
                "accountId": account, "userName": role},
            "webIdFederationData": {},
            "attributes": {"creationDate": time, "mfaAuthenticated": "false"},
            "ec2RoleDelivery": "2.0",
        },
    })
}

/// A call's service and name, and the members that are its own.
fn call(random: &mut Rng, account: &str, region: &str) -> (&'static str, &'static str, Value) {
    match random.u8(0..100) {
        0..40 => (
            "sts.amazonaws.com",
            "AssumeRole",
            json!({
                "requestParameters": {"roleArn": format!("arn:aws:iam::{account}:role/{}", pick(random, &ROLES)),
                    "roleSessionName": letters(random, 20), "durationSeconds": 3600},
                "responseElements": {"credentials": {"accessKeyId": format!("ASIA{}", letters(random, 16)),
                    "sessionToken": letters(random, 300), "expiration": "Jan 2, 2026, 1:00:00 AM"},
                    "assumedRoleUser": {"assumedRoleId": format!("AROA{}:{}", letters(random, 17), letters(random, 20))}},
                "resources": [{"accountId": account, "type": "AWS::IAM::Role",
                    "ARN": format!("arn:aws:iam::{account}:role/{}", pick(random, &ROLES))}],
            }),
        ),
        40..70 => (
            "kms.amazonaws.com",
            "Decrypt",
            json!({
                "requestParameters": {"encryptionAlgorithm": "SYMMETRIC_DEFAULT",
                    "encryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::app-{}", letters(random, 12))}},
                "responseElements": null,
                "resources": [{"accountId": account, "type": "AWS::KMS::Key",
                    "ARN": format!("arn:aws:kms:{region}:{account}:key/{}", uuid(random))}],
            }),
        ),
        70..90 => (
            "ec2.amazonaws.com",
            "DescribeInstances",
            json!({
                "requestParameters": {"filterSet": {"items": (0..random.usize(1..8)).map(|_| json!({
                    "name": "instance-id", "valueSet": {"items": [{"value": format!("i-{:017x}", random.u64(..) >> 4)}]}}))
                    .collect::<Vec<_>>()}},
                "responseElements": null,
            }),
        ),
        90..96 => (
            "ec2.amazonaws.com",
            "AuthorizeSecurityGroupIngress",
            json!({
                "readOnly": false,
                "requestParameters": {"groupId": format!("sg-{:017x}", random.u64(..) >> 4), "ipPermissions": {"items": [{
                    "ipProtocol": "tcp", "fromPort": 443, "toPort": 443,
                    "ipRanges": {"items": [{"cidrIp": format!("203.0.113.{}/32", random.u8(..))}]}}]}},
                "responseElements": {"_return": true, "securityGroupRuleSet": {"items": (0..random.usize(1..20)).map(|_| json!({
                    "securityGroupRuleId": format!("sgr-{:017x}", random.u64(..) >> 4), "fromPort": random.u16(..)}))
                    .collect::<Vec<_>>()}},
            }),
        ),
        _ => (
            "s3.amazonaws.com",
            "GetBucketPolicy",
            json!({
                "errorCode": "AccessDenied",
                "errorMessage": "Access Denied: \"s3:GetBucketPolicy\" – no identity-based policy allows it",
                "requestParameters": {"bucketName": format!("app-{}", letters(random, 12)), "policy": ""},
                "responseElements": null,
                "additionalEventData": {"SignatureVersion": "SigV4", "bytesTransferredOut": random.u32(0..100_000),
                    "x-amz-id-2": letters(random, 76)},
            }),
        ),
    }
}

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

fn letters(random: &mut Rng, count: usize) -> String {
    (0..count).map(|_| random.alphanumeric()).collect()
}

fn uuid(random: &mut Rng) -> String {
    uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid().to_string()
}
