//! What stands around the function, looked at for the doctor and for whoever moves letters: reads alone.
//!
//! A stack's outputs, who reads a queue, the function's configuration, the rules and schedules that reach it, the alarms.

use std::collections::BTreeMap;

use aws_smithy_xml::decode::{Document, try_data};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{AwsError, classify};
use super::inspection::Inspection;
use super::signed::{Call, Service};

const CLOUD_FORMATION: Service = Service { id: "CloudFormation", name: "cloudformation" };
const CLOUD_WATCH: Service = Service { id: "CloudWatch", name: "monitoring" };
const EVENT_BRIDGE: Service = Service { id: "EventBridge", name: "events" };
const LAMBDA: Service = Service { id: "Lambda", name: "lambda" };
const SCHEDULER: Service = Service { id: "Scheduler", name: "scheduler" };
/// The most pages of a list of the whole account: 2,000 entries are enough to find ours in any account but odd ones.
const PAGES: usize = 20;

/// An event source mapping: a function that Lambda invokes with a queue's messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mapping {
    /// Its id.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// The function, or a version or alias of it.
    pub function_arn: String,
    /// `Enabled`, or what it is instead.
    pub state: String,
}

impl Mapping {
    /// Whether messages reach the function, now or in a moment.
    #[must_use]
    pub fn is_on(&self) -> bool {
        ["Enabled", "Enabling", "Creating", "Updating"].contains(&self.state.as_str())
    }
}

/// What is known of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionFacts {
    /// `Active`, or what it is instead.
    pub state: String,
    /// How its last update went.
    pub last_update: String,
    /// How many may run at once, where that is limited for this function alone.
    pub reserved_concurrency: Option<u64>,
    /// Its environment.
    pub variables: BTreeMap<String, String>,
}

/// What is known of a rule of `EventBridge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    /// Its name.
    pub name: String,
    /// Whether it matches anything now.
    pub is_enabled: bool,
    /// The services whose events it matches, such as `aws.s3`.
    pub sources: Vec<String>,
}

/// What is known of a schedule of `EventBridge` Scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleFacts {
    /// Its name.
    pub name: String,
    /// Whether it invokes anything now.
    pub is_enabled: bool,
}

/// What is known of an alarm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AlarmFacts {
    /// Its name.
    #[serde(rename = "AlarmName")]
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    #[serde(rename = "StateValue")]
    pub state: String,
    /// Whether its actions are on.
    #[serde(default = "yes")]
    pub actions_enabled: bool,
    /// Who is told.
    #[serde(rename = "AlarmActions")]
    pub actions: Vec<String>,
    /// Of the metric.
    pub namespace: Option<String>,
    /// Of the metric.
    pub dimensions: Vec<Dimension>,
}

/// A dimension of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

const fn yes() -> bool {
    true
}

impl Inspection {
    /// The outputs of a stack of `CloudFormation`, by their keys.
    ///
    /// # Errors
    /// If there is no such stack, or it can't be looked at.
    pub async fn stack_outputs(&self, stack: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let stack = utf8_percent_encode(stack, NON_ALPHANUMERIC);
        let call = Call {
            method: "POST",
            path: "/",
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: &format!("Action=DescribeStacks&Version=2010-05-15&StackName={stack}"),
            action: "cloudformation:DescribeStacks",
        };
        match self.signed.call(&CLOUD_FORMATION, &call).await {
            Ok(xml) => outputs(&xml).ok_or_else(unreadable),
            // CloudFormation's answer for a stack that does not exist.
            Err(AwsError::Rejected { code }) if code == "ValidationError" => Err(AwsError::Missing { code }),
            Err(error) => Err(error),
        }
    }

    /// The queues whose messages end in this one.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn dead_letter_sources(&self, url: &str) -> Result<Vec<String>, AwsError> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let answer = client.list_dead_letter_source_queues().queue_url(url).send().await;
        let answer = answer.map_err(|error| classify(&error, "sqs:ListDeadLetterSourceQueues"))?;
        Ok(answer.queue_urls)
    }

    /// The functions that read a queue.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn mappings(&self, queue_arn: &str) -> Result<Vec<Mapping>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            event_source_mappings: Vec<Mapping>,
        }
        let arn = utf8_percent_encode(queue_arn, NON_ALPHANUMERIC);
        let path = format!("/2015-03-31/event-source-mappings?EventSourceArn={arn}");
        let answer: Answer = self.get(&LAMBDA, &path, "lambda:ListEventSourceMappings").await?;
        Ok(answer.event_source_mappings)
    }

    /// What is known of a function.
    ///
    /// # Errors
    /// If it can't be looked at.
    pub async fn function(&self, name: &str) -> Result<FunctionFacts, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            #[serde(default)]
            state: String,
            #[serde(default)]
            last_update_status: String,
            #[serde(default)]
            environment: Environment,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Environment {
            #[serde(default)]
            variables: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Concurrency {
            reserved_concurrent_executions: Option<u64>,
        }
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let answer: Answer = self.get(&LAMBDA, &path, "lambda:GetFunctionConfiguration").await?;
        let path = format!("/2019-09-30/functions/{name}/concurrency");
        let concurrency: Concurrency = self.get(&LAMBDA, &path, "lambda:GetFunctionConcurrency").await?;
        Ok(FunctionFacts {
            state: answer.state,
            last_update: answer.last_update_status,
            reserved_concurrency: concurrency.reserved_concurrent_executions,
            variables: answer.environment.variables,
        })
    }

    /// The rules of the default bus that send to a queue or function.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn rules(&self, target_arn: &str) -> Result<Vec<RuleFacts>, AwsError> {
        let body = json!({"TargetArn": target_arn});
        let names: Value = self
            .post(
                &EVENT_BRIDGE,
                "AWSEvents",
                "1.1",
                "ListRuleNamesByTarget",
                &body,
                "events:ListRuleNamesByTarget",
            )
            .await?;
        let names = names["RuleNames"].as_array().cloned().unwrap_or_default();
        let mut rules = Vec::new();
        for name in names.iter().filter_map(Value::as_str) {
            let body = json!({"Name": name});
            let rule: Value = self
                .post(&EVENT_BRIDGE, "AWSEvents", "1.1", "DescribeRule", &body, "events:DescribeRule")
                .await?;
            let pattern =
                rule["EventPattern"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let sources =
                pattern.and_then(|pattern| pattern["source"].as_array().cloned()).unwrap_or_default();
            rules.push(RuleFacts {
                name: name.to_owned(),
                is_enabled: rule["State"].as_str().is_some_and(|state| state.starts_with("ENABLED")),
                sources: sources.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
        Ok(rules)
    }

    /// The schedules that invoke a function.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn schedules(&self, function_arn: &str) -> Result<Vec<ScheduleFacts>, AwsError> {
        let (mut found, mut path) = (Vec::new(), "/schedules?MaxResults=100".to_owned());
        for _ in 0..PAGES {
            let page: Value = self.get(&SCHEDULER, &path, "scheduler:ListSchedules").await?;
            let schedules = page["Schedules"].as_array().cloned().unwrap_or_default();
            let ours = schedules.iter().filter(|schedule| schedule["Target"]["Arn"] == function_arn);
            found.extend(ours.map(|schedule| ScheduleFacts {
                name: schedule["Name"].as_str().unwrap_or_default().to_owned(),
                is_enabled: schedule["State"] == "ENABLED",
            }));
            let Some(next) = page["NextToken"].as_str() else { break };
            path = format!(
                "/schedules?MaxResults=100&NextToken={}",
                utf8_percent_encode(next, NON_ALPHANUMERIC)
            );
        }
        Ok(found)
    }

    /// The alarms about this function, these queues, or this project's metrics of any function.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn alarms(&self, function: &str, queues: &[&str]) -> Result<Vec<AlarmFacts>, AwsError> {
        let (mut found, mut next) = (Vec::new(), Value::Null);
        for _ in 0..PAGES {
            let mut body = json!({"AlarmTypes": ["MetricAlarm"], "MaxRecords": 100});
            if !next.is_null() {
                body["NextToken"] = next;
            }
            let mut page: Value = self
                .post(
                    &CLOUD_WATCH,
                    "GraniteServiceVersion20100801",
                    "1.0",
                    "DescribeAlarms",
                    &body,
                    "cloudwatch:DescribeAlarms",
                )
                .await?;
            let alarms: Vec<AlarmFacts> =
                serde_json::from_value(page["MetricAlarms"].take()).map_err(|_| unreadable())?;
            found.extend(alarms.into_iter().filter(|alarm| alarm.is_about(function, queues)));
            next = page["NextToken"].take();
            if next.is_null() {
                break;
            }
        }
        Ok(found)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        service: &Service,
        path: &str,
        action: &'static str,
    ) -> Result<T, AwsError> {
        let call = Call { method: "GET", path, headers: &[], body: "", action };
        let answer = self.signed.call(service, &call).await?;
        serde_json::from_str(&answer).map_err(|_| unreadable())
    }

    /// A call of the protocol AWS JSON.
    async fn post(
        &self,
        service: &Service,
        prefix: &str,
        version: &str,
        operation: &str,
        body: &Value,
        action: &'static str,
    ) -> Result<Value, AwsError> {
        let content_type = format!("application/x-amz-json-{version}");
        let target = format!("{prefix}.{operation}");
        let headers = [("content-type", content_type.as_str()), ("x-amz-target", target.as_str())];
        let call = Call { method: "POST", path: "/", headers: &headers, body: &body.to_string(), action };
        let answer = self.signed.call(service, &call).await?;
        serde_json::from_str(&answer).map_err(|_| unreadable())
    }
}

impl AlarmFacts {
    fn is_about(&self, function: &str, queues: &[&str]) -> bool {
        let dimension = |name: &str| {
            self.dimensions
                .iter()
                .find(|dimension| dimension.name == name)
                .map(|dimension| dimension.value.as_str())
        };
        match dimension("FunctionName") {
            Some(about) => about == function,
            None => {
                self.namespace.as_deref() == Some("SentinelForwarder")
                    || dimension("QueueName").is_some_and(|about| queues.contains(&about))
            }
        }
    }
}

fn unreadable() -> AwsError {
    AwsError::Unavailable { code: "an answer that can't be read".to_owned() }
}

/// The outputs that an answer of `DescribeStacks` names.
fn outputs(xml: &str) -> Option<BTreeMap<String, String>> {
    let mut document = Document::try_from(xml.as_bytes()).ok()?;
    let mut root = document.root_element().ok()?;
    let mut outputs = BTreeMap::new();
    while let Some(mut result) = root.next_tag() {
        if !result.start_el().matches("DescribeStacksResult") {
            continue;
        }
        while let Some(mut stacks) = result.next_tag() {
            while let Some(mut stack) = stacks.next_tag() {
                while let Some(mut member) = stack.next_tag() {
                    if !member.start_el().matches("Outputs") {
                        continue;
                    }
                    while let Some(mut output) = member.next_tag() {
                        let (mut key, mut value) = (None, None);
                        while let Some(mut part) = output.next_tag() {
                            let name = part.start_el().local().to_owned();
                            let text = try_data(&mut part).ok()?.into_owned();
                            match name.as_str() {
                                "OutputKey" => key = Some(text),
                                "OutputValue" => value = Some(text),
                                _ => {}
                            }
                        }
                        outputs.extend(key.zip(value));
                    }
                }
            }
        }
    }
    Some(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_of_a_stack_are_read() {
        let xml = "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
             <DescribeStacksResult><Stacks><member><StackName>s</StackName><Parameters><member>\
             <ParameterKey>P</ParameterKey></member></Parameters><Outputs><member><Description>d</Description>\
             <OutputKey>WorkQueueUrl</OutputKey><OutputValue>https://q?a=1&amp;b=2</OutputValue></member><member>\
             <OutputKey>LedgerTable</OutputKey><OutputValue>t</OutputValue></member></Outputs></member></Stacks>\
             </DescribeStacksResult></DescribeStacksResponse>";
        let read = outputs(xml).unwrap();
        assert_eq!(read["WorkQueueUrl"], "https://q?a=1&b=2");
        assert_eq!((read["LedgerTable"].as_str(), read.len()), ("t", 2));
        assert_eq!(outputs("no xml"), None);
        assert!(outputs("<DescribeStacksResponse/>").unwrap().is_empty());
    }

    #[test]
    fn an_alarm_of_another_function_is_not_ours() {
        let alarm = |namespace: &str, name: &str, value: &str| AlarmFacts {
            namespace: Some(namespace.to_owned()),
            dimensions: vec![Dimension { name: name.to_owned(), value: value.to_owned() }],
            ..AlarmFacts::default()
        };
        for (alarm, is_ours) in [
            (alarm("SentinelForwarder", "FunctionName", "f"), true),
            (alarm("SentinelForwarder", "FunctionName", "g"), false),
            (alarm("SentinelForwarder", "Table", "AWSCloudTrail"), true),
            (alarm("AWS/Lambda", "FunctionName", "f"), true),
            (alarm("AWS/SQS", "QueueName", "q"), true),
            (alarm("AWS/SQS", "QueueName", "p"), false),
            (alarm("AWS/EC2", "InstanceId", "i"), false),
        ] {
            assert_eq!(alarm.is_about("f", &["q"]), is_ours, "{alarm:?}");
        }
    }
}
