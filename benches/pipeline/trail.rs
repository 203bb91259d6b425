//! Generates a `CloudTrail` file: seeded, so that the same size gives the same records everywhere.
//!
//! Members come in the order in which AWS writes them. Kinds of calls, their shares and the length of their parts follow
//! what an account with a busy application writes: mostly reads by assumed roles, some writes with large parameters, a
//! few sign-ins and errors.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Failure;

/// What the file is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All kinds of calls: 1.7 KB a record.
    Typical,
    /// Changes of large policies and stacks: 50 KB a record.
    Large,
    /// Data events of few members: 0.6 KB a record.
    Small,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Typical, Self::Large, Self::Small];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Typical => "typical",
            Self::Large => "large",
            Self::Small => "small",
        }
    }
}

const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"];
const AGENTS: [&str; 5] = [
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#arm64 api/sts#1.30.3",
    "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.220 md/arch#x86_64 lang/python#3.11.9",
    "[aws-sdk-java/2.26.20 Linux/5.10 OpenJDK_64-Bit_Server_VM/21.0.3 io/sync http/Apache cfg/retry-mode/legacy]",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.2 (+https://www.terraform.io) terraform-provider-aws/5.58.0",
];
const ROLES: [&str; 6] = ["api", "ingest", "batch", "deploy", "reader", "audit"];

/// Writes a file of at least so many uncompressed bytes, whose times begin with this second.
pub(super) fn generate(path: &Path, kind: Kind, bytes: u64, seed: u64, start: i64) -> Result<(), Failure> {
    let mut random = Rng::with_seed(seed);
    // Under another name until it is whole, so that a run that was cut short leaves none that looks whole.
    let unfinished = path.with_extension("unfinished");
    let mut file = GzEncoder::new(BufWriter::new(File::create(&unfinished)?), Compression::new(6));
    let mut written = 0;
    let mut second = start;
    let mut opening = "{\"Records\":[";
    while written < bytes {
        second += i64::from(random.u8(..) < 8);
        let line = format!("{opening}{}", record(&mut random, kind, second)?);
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
        opening = ",";
    }
    file.write_all(b"]}")?;
    file.finish()?.into_inner()?.sync_all()?;
    std::fs::rename(unfinished, path)?;
    Ok(())
}

/// What a call has of its own: its service and name, its members before `requestID`, whether it only reads, and the
/// members behind `readOnly`.
struct Call {
    source: &'static str,
    name: &'static str,
    members: String,
    is_read: bool,
    resources: String,
}

fn record(random: &mut Rng, kind: Kind, second: i64) -> Result<String, Failure> {
    let account = format!("{:012}", 111_122_220_000_u64 + random.u64(0..4));
    let region = pick(random, &REGIONS);
    let time = jiff::Timestamp::from_second(second)?.to_string();
    let call = match kind {
        Kind::Typical => call(random, &account, region),
        Kind::Large => large_call(random, &account),
        Kind::Small => small_call(random),
    };
    let identity = match kind {
        Kind::Small => format!(
            r#"{{"type":"AWSService","invokedBy":"{}.amazonaws.com"}}"#,
            pick(random, &["cloudtrail", "config", "firehose", "delivery.logs"])
        ),
        Kind::Typical | Kind::Large => identity(random, &account, &time),
    };
    let (category, is_management) =
        if kind == Kind::Small { ("Data", "false") } else { ("Management", "true") };
    let tls = if kind == Kind::Small {
        String::new()
    } else {
        format!(
            r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"service.{region}.amazonaws.com"}}"#
        )
    };
    let Call { source, name, members, is_read, resources } = call;
    let address = format!("198.51.{}.{}", random.u8(100..104), random.u8(..));
    let agent = pick(random, &AGENTS);
    let (request, event) = (uuid(random), uuid(random));
    Ok(format!(
        r#"{{"eventVersion":"1.09","userIdentity":{identity},"eventTime":"{time}","eventSource":"{source}","eventName":"{name}","awsRegion":"{region}","sourceIPAddress":"{address}","userAgent":"{agent}",{members},"requestID":"{request}","eventID":"{event}","readOnly":{is_read}{resources},"eventType":"AwsApiCall","managementEvent":{is_management},"recipientAccountId":"{account}","eventCategory":"{category}"{tls}}}"#
    ))
}

fn identity(random: &mut Rng, account: &str, time: &str) -> String {
    let role = pick(random, &ROLES);
    let principal = format!("AROA{}", letters(random, 17));
    let session = format!("i-{:017x}", random.u64(..) >> 4);
    let key = letters(random, 16);
    format!(
        r#"{{"type":"AssumedRole","principalId":"{principal}:{session}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}","accountId":"{account}","accessKeyId":"ASIA{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{principal}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}","userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{time}","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0"}}}}"#
    )
}

fn call(random: &mut Rng, account: &str, region: &str) -> Call {
    match random.u8(0..100) {
        0..40 => {
            let (role, other) = (pick(random, &ROLES), pick(random, &ROLES));
            let (session, key, token) = (letters(random, 20), letters(random, 16), letters(random, 300));
            let id = letters(random, 17);
            Call {
                source: "sts.amazonaws.com",
                name: "AssumeRole",
                members: format!(
                    r#""requestParameters":{{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{session}","durationSeconds":3600}},"responseElements":{{"credentials":{{"accessKeyId":"ASIA{key}","sessionToken":"{token}","expiration":"Jan 2, 2026, 1:00:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{id}:{session}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}"}}}}"#
                ),
                is_read: true,
                resources: format!(
                    r#","resources":[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{other}"}}]"#
                ),
            }
        }
        40..70 => {
            let (bucket, key) = (letters(random, 12), uuid(random));
            Call {
                source: "kms.amazonaws.com",
                name: "Decrypt",
                members: format!(
                    r#""requestParameters":{{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::app-{bucket}"}}}},"responseElements":null"#
                ),
                is_read: true,
                resources: format!(
                    r#","resources":[{{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{account}:key/{key}"}}]"#
                ),
            }
        }
        70..90 => {
            let filters = items(random, 1..8, |random| {
                format!(
                    r#"{{"name":"instance-id","valueSet":{{"items":[{{"value":"i-{:017x}"}}]}}}}"#,
                    random.u64(..) >> 4
                )
            });
            Call {
                source: "ec2.amazonaws.com",
                name: "DescribeInstances",
                members: format!(
                    r#""requestParameters":{{"filterSet":{{"items":[{filters}]}}}},"responseElements":null"#
                ),
                is_read: true,
                resources: String::new(),
            }
        }
        90..96 => {
            let rules = items(random, 1..20, |random| {
                format!(
                    r#"{{"securityGroupRuleId":"sgr-{:017x}","fromPort":{}}}"#,
                    random.u64(..) >> 4,
                    random.u16(..)
                )
            });
            let (group, host) = (random.u64(..) >> 4, random.u8(..));
            Call {
                source: "ec2.amazonaws.com",
                name: "AuthorizeSecurityGroupIngress",
                members: format!(
                    r#""requestParameters":{{"groupId":"sg-{group:017x}","ipPermissions":{{"items":[{{"ipProtocol":"tcp","fromPort":443,"toPort":443,"ipRanges":{{"items":[{{"cidrIp":"203.0.113.{host}/32"}}]}}}}]}}}},"responseElements":{{"_return":true,"securityGroupRuleSet":{{"items":[{rules}]}}}}"#
                ),
                is_read: false,
                resources: String::new(),
            }
        }
        _ => {
            let (bucket, id, bytes) = (letters(random, 12), letters(random, 76), random.u32(0..100_000));
            Call {
                source: "s3.amazonaws.com",
                name: "GetBucketPolicy",
                members: format!(
                    r#""errorCode":"AccessDenied","errorMessage":"Access Denied: \"s3:GetBucketPolicy\" – no identity-based policy allows it","requestParameters":{{"bucketName":"app-{bucket}","policy":""}},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","bytesTransferredOut":{bytes},"x-amz-id-2":"{id}"}}"#
                ),
                is_read: true,
                resources: String::new(),
            }
        }
    }
}

/// A policy as text in the parameters, and a list in the answer.
fn large_call(random: &mut Rng, account: &str) -> Call {
    let statements = items(random, 80..300, |random| {
        format!(
            r#"{{\"Sid\":\"{}\",\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":\"arn:aws:s3:::app-{}/*\"}}"#,
            letters(random, 10),
            letters(random, 12)
        )
    });
    let instances = items(random, 40..100, |random| {
        format!(
            r#"{{"instanceId":"i-{:017x}","instanceType":"m7g.large","privateIpAddress":"10.0.{}.{}","monitoring":{{"state":"disabled"}},"amiLaunchIndex":{},"tagSet":{{"items":[{{"key":"Name","value":"{}"}}]}}}}"#,
            random.u64(..) >> 4,
            random.u8(..),
            random.u8(..),
            random.u8(..),
            letters(random, 20)
        )
    });
    let role = pick(random, &ROLES);
    Call {
        source: "iam.amazonaws.com",
        name: "PutRolePolicy",
        members: format!(
            r#""requestParameters":{{"roleName":"{role}","policyName":"{account}","policyDocument":"{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}"}},"responseElements":{{"instancesSet":{{"items":[{instances}]}}}}"#
        ),
        is_read: false,
        resources: String::new(),
    }
}

fn small_call(random: &mut Rng) -> Call {
    let (bucket, key) = (letters(random, 12), letters(random, 24));
    Call {
        source: "s3.amazonaws.com",
        name: "GetObject",
        members: format!(
            r#""requestParameters":{{"bucketName":"app-{bucket}","key":"{key}"}},"responseElements":null"#
        ),
        is_read: true,
        resources: String::new(),
    }
}

fn items(
    random: &mut Rng,
    count: std::ops::Range<usize>,
    mut item: impl FnMut(&mut Rng) -> String,
) -> String {
    let count = random.usize(count);
    (0..count).map(|_| item(random)).collect::<Vec<_>>().join(",")
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
