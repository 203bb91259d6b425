//! Faults that the stand-in commits when told to: throttling, failing, hanging, losing acknowledgements.
//!
//! A fault is armed by [`Standin::inject`](super::Standin::inject) or by `POST /_standin/faults`. It applies to
//! the next calls of its target until its `times` are used up or it is cleared.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One fault, and which calls it strikes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// The calls it applies to.
    #[serde(rename = "match")]
    pub target: Target,
    /// How many calls it strikes; until cleared if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of calls it strikes, 0 to 1; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The seed of that chance, so that a run can be repeated.
    pub seed: u64,
}

/// The calls that a fault applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Token requests.
    Token,
    /// Uploads of rows, by either API.
    #[default]
    Upload,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers with a status, and takes nothing.
    Status {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header, as it is sent: seconds or an HTTP date.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
        /// The error code in the body.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Answers late. The rows are taken on arrival, so a caller that gives up too early sends them twice.
    Slow {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// Never answers, and takes nothing.
    Hang,
    /// Closes the connection, and takes nothing.
    DropBefore,
    /// Takes the rows, then closes the connection: the acknowledgement is lost.
    DropAfter,
    /// Takes the rows, then never answers.
    HangAfter,
    /// Refuses (400) every batch whose rows' raw text contains this.
    RejectWhere {
        /// The text looked for.
        contains: String,
    },
    /// Refuses (413) every batch that inflates to more bytes than this.
    TooLargeOver {
        /// The most bytes that pass.
        bytes: usize,
    },
}

impl FaultKind {
    /// The name that `kind` takes in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Slow { .. } => "slow",
            Self::Hang => "hang",
            Self::DropBefore => "drop_before",
            Self::DropAfter => "drop_after",
            Self::HangAfter => "hang_after",
            Self::RejectWhere { .. } => "reject_where",
            Self::TooLargeOver { .. } => "too_large_over",
        }
    }
}

impl Fault {
    /// A fault that strikes every upload until cleared.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self { kind, target: Target::Upload, times: None, probability: None, seed: 0 }
    }

    /// Answers with a status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::new(FaultKind::Status { status, retry_after: None, code: None })
    }

    /// Adds a `Retry-After` to a status; other kinds stay as they are.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let FaultKind::Status { retry_after, .. } = &mut self.kind {
            *retry_after = Some(value.to_owned());
        }
        self
    }

    /// Names the error code of a status; other kinds stay as they are.
    #[must_use]
    pub fn code(mut self, value: &str) -> Self {
        if let FaultKind::Status { code, .. } = &mut self.kind {
            *code = Some(value.to_owned());
        }
        self
    }

    /// Strikes this many calls, then no more.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes token requests instead of uploads.
    #[must_use]
    pub const fn on_tokens(mut self) -> Self {
        self.target = Target::Token;
        self
    }

    /// Strikes this share of the calls, drawn from a seed.
    #[must_use]
    pub const fn with_probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = seed;
        self
    }

    /// Reads the JSON of `POST /_standin/faults`.
    ///
    /// # Errors
    /// Says which member is unknown, missing or out of place.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let document: FaultDocument = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        document.into_fault()
    }
}

/// The JSON of a fault: flat, so that an unknown member is an error and not a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultDocument {
    kind: String,
    status: Option<u16>,
    retry_after: Option<RetryAfter>,
    code: Option<String>,
    ms: Option<u64>,
    contains: Option<String>,
    bytes: Option<usize>,
    times: Option<u32>,
    #[serde(default, rename = "match")]
    target: Target,
    probability: Option<f64>,
    #[serde(default)]
    seed: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

impl FaultDocument {
    fn into_fault(mut self) -> Result<Fault, String> {
        let kind = match self.kind.as_str() {
            "status" => FaultKind::Status {
                status: self.status.take().ok_or("a status fault needs `status`")?,
                retry_after: self.retry_after.take().map(|value| match value {
                    RetryAfter::Seconds(seconds) => seconds.to_string(),
                    RetryAfter::Text(text) => text,
                }),
                code: self.code.take(),
            },
            "slow" => FaultKind::Slow { ms: self.ms.take().ok_or("a slow fault needs `ms`")? },
            "hang" => FaultKind::Hang,
            "drop_before" => FaultKind::DropBefore,
            "drop_after" => FaultKind::DropAfter,
            "hang_after" => FaultKind::HangAfter,
            "reject_where" => FaultKind::RejectWhere {
                contains: self.contains.take().ok_or("a reject_where fault needs `contains`")?,
            },
            "too_large_over" => FaultKind::TooLargeOver {
                bytes: self.bytes.take().ok_or("a too_large_over fault needs `bytes`")?,
            },
            other => return Err(format!("no such kind of fault: {other}")),
        };
        let out_of_place = [
            ("status", self.status.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("code", self.code.is_some()),
            ("ms", self.ms.is_some()),
            ("contains", self.contains.is_some()),
            ("bytes", self.bytes.is_some()),
        ];
        if let Some((member, _)) = out_of_place.iter().find(|(_, left)| *left) {
            return Err(format!("`{member}` means nothing to a {} fault", self.kind));
        }
        if let FaultKind::Status { status, retry_after, code } = &kind {
            if !(200..=999).contains(status) {
                return Err(format!("{status} is no HTTP status that can be answered"));
            }
            if [retry_after, code].into_iter().flatten().any(|text| !text.bytes().all(is_header_byte)) {
                return Err("`retry_after` and `code` are sent as headers: printable ASCII only".to_owned());
            }
        }
        if self.probability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err("`probability` lies between 0 and 1".to_owned());
        }
        Ok(Fault {
            kind,
            target: self.target,
            times: self.times,
            probability: self.probability,
            seed: self.seed,
        })
    }
}

fn is_header_byte(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// The faults that are armed.
#[derive(Default)]
pub(super) struct Faults(Vec<Armed>);

struct Armed {
    fault: Fault,
    chance: fastrand::Rng,
}

impl Armed {
    /// Uses up one strike, if the fault strikes this call.
    fn strikes(&mut self, target: Target, wanted: impl FnOnce(&FaultKind) -> bool) -> bool {
        if self.fault.target != target || self.fault.times == Some(0) || !wanted(&self.fault.kind) {
            return false;
        }
        if self.fault.probability.is_some_and(|share| self.chance.f64() >= share) {
            return false;
        }
        if let Some(times) = &mut self.fault.times {
            *times -= 1;
        }
        true
    }
}

/// What the armed faults make of a call on its arrival.
#[derive(Default)]
pub(super) struct Arrival {
    pub(super) delay: Duration,
    pub(super) end: Option<FaultKind>,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.0.push(Armed { chance: fastrand::Rng::with_seed(fault.seed), fault });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The faults that can still strike.
    pub(super) fn armed(&self) -> Vec<Fault> {
        self.0.iter().map(|armed| armed.fault.clone()).filter(|fault| fault.times != Some(0)).collect()
    }

    /// What strikes before anything is looked at: every delay, then at most one end.
    pub(super) fn on_arrival(&mut self, target: Target) -> Arrival {
        let mut arrival = Arrival::default();
        for armed in &mut self.0 {
            if armed.strikes(target, |kind| matches!(kind, FaultKind::Slow { .. }))
                && let FaultKind::Slow { ms } = armed.fault.kind
            {
                arrival.delay += Duration::from_millis(ms);
            }
        }
        arrival.end = self.first(target, |kind| {
            matches!(kind, FaultKind::Status { .. } | FaultKind::Hang | FaultKind::DropBefore)
        });
        arrival
    }

    /// What strikes a batch for what it holds.
    pub(super) fn on_batch(&mut self, body: &str) -> Option<FaultKind> {
        self.first(Target::Upload, |kind| match kind {
            FaultKind::RejectWhere { contains } => body.contains(contains.as_str()),
            FaultKind::TooLargeOver { bytes } => body.len() > *bytes,
            _ => false,
        })
    }

    /// What strikes once a call has succeeded.
    pub(super) fn on_success(&mut self, target: Target) -> Option<FaultKind> {
        self.first(target, |kind| matches!(kind, FaultKind::DropAfter | FaultKind::HangAfter))
    }

    fn first(&mut self, target: Target, wanted: impl Fn(&FaultKind) -> bool) -> Option<FaultKind> {
        self.0.iter_mut().find_map(|armed| armed.strikes(target, &wanted).then(|| armed.fault.kind.clone()))
    }
}
