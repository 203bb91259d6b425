//! Reads and evaluates template expressions
//! (<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>).

use sentinel_forwarder::json::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// An expression, parsed.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Text(String),
    Whole(i64),
    Call(String, Vec<Expression>),
    Member(Box<Expression>, String),
    Element(Box<Expression>, Box<Expression>),
}

/// The expression that a string is, if it is one.
pub(crate) fn parse(text: &str) -> Option<Result<Expression, String>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    if inside.starts_with('[') {
        return None;
    }
    let mut parser = Parser { text: inside.as_bytes(), at: 0 };
    let parsed = parser.expression().and_then(|expression| {
        parser.blanks();
        if parser.at == inside.len() { Ok(expression) } else { Err(format!("cannot read {text}")) }
    });
    Some(parsed)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.blanks();
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expects(&mut self, byte: u8) -> Result<(), String> {
        if self.takes(byte) { Ok(()) } else { Err(format!("no {} at {}", char::from(byte), self.at)) }
    }

    fn word(&mut self) -> Result<String, String> {
        self.blanks();
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        self.at += length;
        if length == 0 {
            return Err(format!("no name at {}", self.at));
        }
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn text(&mut self) -> Result<Expression, String> {
        let mut text = Vec::new();
        loop {
            match self.text[self.at..] {
                [b'\'', b'\'', ..] => {
                    text.push(b'\'');
                    self.at += 2;
                }
                [b'\'', ..] => {
                    self.at += 1;
                    return String::from_utf8(text).map(Expression::Text).map_err(|error| error.to_string());
                }
                [byte, ..] => {
                    text.push(byte);
                    self.at += 1;
                }
                [] => return Err("a text that does not end".to_owned()),
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, String> {
        if self.takes(b'\'') {
            return self.text();
        }
        let word = self.word()?;
        if let Ok(number) = word.parse() {
            return Ok(Expression::Whole(number));
        }
        self.expects(b'(')?;
        let mut arguments = Vec::new();
        if !self.takes(b')') {
            loop {
                arguments.push(self.expression()?);
                if self.takes(b')') {
                    break;
                }
                self.expects(b',')?;
            }
        }
        let mut expression = Expression::Call(word, arguments);
        loop {
            if self.takes(b'.') {
                expression = Expression::Member(Box::new(expression), self.word()?);
            } else if self.takes(b'[') {
                let element = self.expression()?;
                self.expects(b']')?;
                expression = Expression::Element(Box::new(expression), Box::new(element));
            } else {
                return Ok(expression);
            }
        }
    }
}

impl Expression {
    /// Every call in it, those of branches that are not taken too.
    pub(crate) fn calls(&self, each: &mut impl FnMut(&str, &[Self])) {
        match self {
            Self::Text(_) | Self::Whole(_) => {}
            Self::Call(name, arguments) => {
                each(name, arguments);
                for argument in arguments {
                    argument.calls(each);
                }
            }
            Self::Member(of, _) => of.calls(each),
            Self::Element(of, at) => {
                of.calls(each);
                at.calls(each);
            }
        }
    }
}

/// What depends on the deployment.
pub(crate) trait Context {
    fn parameter(&self, name: &str) -> Result<Value, String>;
    fn variable(&self, name: &str) -> Result<Value, String>;
    fn cloud(&self) -> &str;
    fn resource_id(&self, kind: &str, names: &[&str]) -> Result<String, String>;
    fn reference(&self, id: &str) -> Result<Value, String>;
    fn copy_index(&self) -> Result<i64, String>;
}

/// The value of an expression.
pub(crate) fn evaluate(expression: &Expression, context: &impl Context) -> Result<Value, String> {
    match expression {
        Expression::Text(text) => Ok(json!(text)),
        Expression::Whole(number) => Ok(json!(number)),
        Expression::Member(of, name) => {
            let of = evaluate(of, context)?;
            of.get(name).cloned().ok_or_else(|| format!("no {name} in {of}"))
        }
        Expression::Element(of, at) => {
            let (of, at) = (evaluate(of, context)?, evaluate(at, context)?);
            let element = match &at {
                Value::String(name) => of.get(name),
                _ => at.as_u64().and_then(|at| of.get(usize::try_from(at).ok()?)),
            };
            element.cloned().ok_or_else(|| format!("no {at} in {of}"))
        }
        Expression::Call(name, arguments) => {
            // Only the branch that is taken is evaluated.
            if let ("if", [condition, then, otherwise]) = (name.as_str(), arguments.as_slice()) {
                return match evaluate(condition, context)? {
                    Value::Bool(true) => evaluate(then, context),
                    Value::Bool(false) => evaluate(otherwise, context),
                    other => Err(format!("{other} is no condition")),
                };
            }
            let values: Result<Vec<_>, _> =
                arguments.iter().map(|argument| evaluate(argument, context)).collect();
            call(name, &values?, context)
        }
    }
}

fn texts(values: &[Value]) -> Result<Vec<&str>, String> {
    values.iter().map(|value| value.as_str().ok_or_else(|| format!("{value} is no text"))).collect()
}

fn call(name: &str, values: &[Value], context: &impl Context) -> Result<Value, String> {
    let wrong = || Err(format!("{name} does not take {values:?}"));
    Ok(match (name, values) {
        ("parameters", [Value::String(name)]) => context.parameter(name)?,
        ("variables", [Value::String(name)]) => context.variable(name)?,
        ("environment", []) => json!({"name": context.cloud()}),
        ("subscription", []) => json!({"tenantId": TENANT}),
        ("resourceGroup", []) => json!({"location": "westeurope"}),
        ("copyIndex", [offset]) => json!(context.copy_index()? + offset.as_i64().unwrap_or_default()),
        ("resourceId", [Value::String(kind), names @ ..]) => {
            json!(context.resource_id(kind, &texts(names)?)?)
        }
        ("subscriptionResourceId", [Value::String(kind), Value::String(name)]) => {
            json!(format!("{SUBSCRIPTION}/providers/{kind}/{name}"))
        }
        ("reference", [Value::String(id), Value::String(_version)]) => context.reference(id)?,
        ("guid", [_, ..]) => json!(guid(&texts(values)?.join("-"))),
        ("null", []) => Value::Null,
        ("empty", [value]) => json!(match value {
            Value::String(text) => text.is_empty(),
            Value::Array(array) => array.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => return wrong(),
        }),
        ("contains", [Value::Array(array), item]) => json!(array.contains(item)),
        ("contains", [Value::Object(object), Value::String(name)]) => json!(object.contains_key(name)),
        ("equals", [one, other]) => json!(one == other),
        ("greaterOrEquals", [Value::Number(one), Value::Number(other)]) => {
            json!(one.as_i64() >= other.as_i64())
        }
        ("not", [Value::Bool(value)]) => json!(!value),
        ("and" | "or", [_, _, ..]) => {
            let Some(flags) = values.iter().map(Value::as_bool).collect::<Option<Vec<_>>>() else {
                return wrong();
            };
            json!(if name == "and" { flags.iter().all(|flag| *flag) } else { flags.iter().any(|flag| *flag) })
        }
        ("concat", [Value::Array(_), ..]) => {
            let Some(arrays) = values.iter().map(Value::as_array).collect::<Option<Vec<_>>>() else {
                return wrong();
            };
            json!(arrays.into_iter().flatten().collect::<Vec<_>>())
        }
        ("concat", [Value::String(_), ..]) => json!(texts(values)?.concat()),
        ("createArray", _) => json!(values),
        ("createObject", _) if values.len().is_multiple_of(2) => {
            let mut object = Map::new();
            for pair in values.chunks(2) {
                object.insert(texts(&pair[..1])?[0].to_owned(), pair[1].clone());
            }
            Value::Object(object)
        }
        ("union", [_, _, ..]) => {
            let Some(objects) = values.iter().map(Value::as_object).collect::<Option<Vec<_>>>() else {
                return wrong();
            };
            Value::Object(objects.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        ("format", [Value::String(form), rest @ ..]) => {
            let mut text = form.clone();
            for (at, value) in rest.iter().enumerate() {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text = text.replace(&format!("{{{at}}}"), &value);
            }
            if text.contains('{') {
                return wrong();
            }
            json!(text)
        }
        ("join", [Value::Array(array), Value::String(between)]) => json!(texts(array)?.join(between)),
        ("split", [Value::String(text), Value::String(at)]) => {
            json!(text.split(at.as_str()).collect::<Vec<_>>())
        }
        ("last", [Value::Array(array)]) => array.last().cloned().unwrap_or_default(),
        ("first", [Value::Array(array)]) => array.first().cloned().unwrap_or_default(),
        ("string", [value]) => json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        ("less", [Value::Number(one), Value::Number(other)]) => json!(one.as_i64() < other.as_i64()),
        ("div", [Value::Number(one), Value::Number(other)]) => {
            json!(one.as_i64().zip(other.as_i64()).and_then(|(one, other)| one.checked_div(other)))
        }
        ("trim", [Value::String(text)]) => json!(text.trim()),
        _ => return wrong(),
    })
}

pub(crate) const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-4000-8000-000000000001";
pub(crate) const TENANT: &str = "00000000-0000-4000-8000-000000000002";

/// A guid of our own making: the same for the same text.
fn guid(text: &str) -> String {
    let hex = hex(&Sha256::digest(text));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}
