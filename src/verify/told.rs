//! What came of it, as text and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{Answer, Exception, Hour, Outcome, Source, State, Unlisted, advice};
use crate::backfill::progress::{number, time};
use crate::digest::Account;

/// The sums of all hours.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many hours are in each state.
    pub states: BTreeMap<State, u64>,
    /// Genuine digests.
    pub digests: u64,
    /// What became of the files that they list.
    pub account: Account,
    /// The other files.
    pub unlisted: Unlisted,
}

impl Totals {
    /// Of all hours.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let mut totals = Self::default();
        for hour in outcome.verified.iter().flat_map(|verified| &verified.hours) {
            *totals.states.entry(hour.state).or_default() += 1;
            totals.digests += hour.digests;
            totals.account.add(&hour.account);
            totals.unlisted += &hour.unlisted;
        }
        totals
    }

    /// Each sum in words, under its name.
    #[must_use]
    pub fn lines(&self) -> [(&'static str, String); 5] {
        let states: Vec<String> = State::ALL
            .iter()
            .filter_map(|state| Some(format!("{} {}", number(*self.states.get(state)?), state.name())))
            .collect();
        let Self { account, unlisted, .. } = self;
        let mut sum = *account;
        sum.counts.add(unlisted.counts);
        let counts = sum.counts;
        [
            ("hours", states.join(", ")),
            ("digests", format!("{} that CloudTrail signed", number(self.digests))),
            (
                "files",
                format!(
                    "{} listed = {} delivered + {} altered + {} in letters + {} missing; {} late, {} gone",
                    number(account.listed),
                    number(account.delivered),
                    number(account.altered),
                    number(account.in_letters),
                    number(account.missing),
                    number(account.late),
                    number(account.gone),
                ),
            ),
            (
                "unlisted",
                format!(
                    "{} in S3 that no digest lists = {} delivered + {} in letters + {} missing + {} on their way",
                    number(unlisted.found),
                    number(unlisted.delivered),
                    number(unlisted.in_letters),
                    number(unlisted.missing),
                    number(unlisted.under_way),
                ),
            ),
            (
                "records",
                format!(
                    "{} = {} rows + {} kept back by a rule + {} in letters",
                    number(counts.records),
                    number(counts.rows),
                    number(counts.filtered),
                    number(counts.letters),
                ),
            ),
        ]
    }
}

impl Outcome {
    /// How many exceptions there are, those that are only counted too.
    #[must_use]
    pub fn number_of_exceptions(&self) -> u64 {
        self.verified.iter().map(|verified| verified.exceptions.len() as u64 + verified.unnamed).sum()
    }

    /// One sentence that says it all.
    #[must_use]
    pub fn sentence(&self) -> String {
        let states = Totals::of(self).states;
        let count = |state| states.get(&state).copied().unwrap_or_default();
        let all: u64 = states.values().sum();
        let unvouched = count(State::Unvouched);
        match self.answer() {
            Answer::Wrong => match self.number_of_exceptions() {
                1 => "1 thing is not as it should be.".to_owned(),
                more => format!("{} things are not as they should be.", number(more)),
            },
            Answer::Unknown if count(State::Unchecked) == all => {
                "Nothing could be checked, so nothing is proven.".to_owned()
            }
            Answer::Unknown
                if unvouched > 0 && unvouched + count(State::Complete) == all && !self.is_cut_short() =>
            {
                format!(
                    "Nothing is known to be wrong, but no digest vouches for {} of the hours; --allow-unvouched accepts \
                     that.",
                    number(unvouched)
                )
            }
            Answer::Unknown => format!(
                "Nothing is known to be wrong, but only {} of {} hours are complete.",
                number(count(State::Complete)),
                number(all)
            ),
            Answer::Proven if count(State::Complete) == 0 => {
                "All files that lie in S3 were delivered; no digest vouches for them.".to_owned()
            }
            Answer::Proven if unvouched > 0 => format!(
                "All that digests list and all files that lie in S3 were delivered; no digest vouches for {} of the hours.",
                number(unvouched)
            ),
            Answer::Proven => "All that digests list and all files that lie in S3 were delivered.".to_owned(),
        }
    }

    /// Whether something could not be looked at to its end.
    fn is_cut_short(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Why something could not be looked at, with its account-region if it is one's.
    pub fn errors(&self) -> impl Iterator<Item = (Option<&Source>, &str)> {
        let own = self.error.as_deref().map(|error| (None, error));
        let of_walks = self
            .verified
            .iter()
            .filter_map(|verified| Some((Some(&verified.source), verified.error.as_deref()?)));
        own.into_iter().chain(of_walks)
    }

    /// How it was made, each with its name.
    #[must_use]
    pub fn made(&self) -> Vec<(&'static str, String)> {
        let wanted = &self.asked.wanted;
        let all =
            |names: &[String]| if names.is_empty() { "all there are".to_owned() } else { names.join(", ") };
        vec![
            ("ledger", self.asked.ledger.clone()),
            ("identity", self.asked.identity.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("accounts", all(&wanted.accounts)),
            ("regions", all(&wanted.regions)),
            ("services", wanted.services.join(", ")),
        ]
    }

    /// The whole for a reader: sums, then an exception a line, then what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let asked = &self.asked;
        // A String takes all that is written.
        let _ = writeln!(
            text,
            "s3://{}/{}, {} to {}, {} account-regions",
            visible(&asked.bucket),
            visible(&asked.wanted.path.root),
            asked.from,
            asked.until,
            number(self.verified.len() as u64)
        );
        let (s3, ledger) = (number(self.s3_calls), number(self.ledger_calls));
        let calls = format!("{s3} to S3, {ledger} to the ledger, in {}", time(self.elapsed));
        let lines = Totals::of(self).lines().into_iter().chain([("calls", calls)]).chain(self.made());
        for (name, value) in lines {
            let _ = writeln!(text, "  {name:<10}{}", visible(&value));
        }
        for (source, error) in self.errors() {
            let whose = source.map(|source| {
                format!("{} {} could not be looked at to its end: ", source.account, source.region)
            });
            let _ = writeln!(text, "\n{}", visible(&format!("{}{error}", whose.unwrap_or_default())));
        }
        let mut names = BTreeSet::new();
        for (place, (source, exception)) in self.exceptions().enumerate() {
            let _ = write!(text, "{}{}", if place == 0 { "\n" } else { "" }, line(source, exception));
            names.insert(exception.name);
        }
        let unnamed: u64 = self.verified.iter().map(|verified| verified.unnamed).sum();
        if unnamed > 0 {
            let _ = writeln!(text, "… and {} more; take a shorter time to see them", number(unnamed));
        }
        if !names.is_empty() {
            text.push_str("\nWhat to do:\n");
        }
        for name in names {
            let _ = writeln!(text, "  {name}: {}", advice(name));
        }
        let _ = write!(text, "\n{}", self.sentence());
        text
    }

    /// The whole for a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let (asked, totals) = (&self.asked, Totals::of(self));
        let states: Map<String, Value> =
            totals.states.iter().map(|(state, count)| (state.name().to_owned(), json!(count))).collect();
        let hours: Vec<Value> = self
            .verified
            .iter()
            .flat_map(|verified| verified.hours.iter().map(|hour| hour_json(&verified.source, hour)))
            .collect();
        let digests: Vec<Value> = self
            .verified
            .iter()
            .flat_map(|verified| verified.seals.iter().map(|seal| (&verified.source, seal)))
            .map(|(source, seal)| {
                with(source, json!({
                    "hour": seal.hour, "key": seal.key, "sha256": seal.sha256, "fingerprint": seal.fingerprint,
                    "is_genuine": seal.is_genuine,
                }))
            })
            .collect();
        let exceptions: Vec<Value> =
            self.exceptions().map(|(source, exception)| exception_json(source, exception)).collect();
        let errors = self.errors().map(|(source, message)| {
            let error = json!({"message": message});
            source.map_or_else(|| error.clone(), |source| with(source, error.clone()))
        });
        let errors: Vec<Value> = errors.collect();
        json!({
            "bucket": asked.bucket,
            "ledger": asked.ledger,
            "identity": asked.identity,
            "accounts": asked.wanted.accounts,
            "regions": asked.wanted.regions,
            "services": asked.wanted.services,
            "from": asked.from,
            "until": asked.until,
            "verified_at": asked.now,
            "version": env!("CARGO_PKG_VERSION"),
            "answer": match self.answer() {
                Answer::Proven => "proven",
                Answer::Wrong => "wrong",
                Answer::Unknown => "unknown",
            },
            "states": states,
            "totals": numbers(totals.digests, &totals.account, &totals.unlisted),
            "exceptions": exceptions,
            "exceptions_in_all": self.number_of_exceptions(),
            "errors": errors,
            "hours": hours,
            "digests": digests,
            "s3_calls": self.s3_calls,
            "ledger_calls": self.ledger_calls,
            "seconds": self.elapsed.as_secs_f64(),
        })
    }
}

/// An exception, in one line.
fn line(source: &Source, exception: &Exception) -> String {
    let hour = exception.hour.strftime("%Y-%m-%dT%H");
    let letter = exception.letter.as_ref();
    let letter = letter.map(|(reason, id)| format!(" [letter {} {id}]", reason.name())).unwrap_or_default();
    let digest = exception.digest.as_ref().filter(|_| exception.file.is_none());
    let digest = digest.map(|digest| format!(" [digest {digest}]")).unwrap_or_default();
    let Exception { name, says, .. } = exception;
    let line = format!("{hour} {} {} {name}: {says}{digest}{letter}", source.account, source.region);
    visible(&line) + "\n"
}

/// Text in which nothing moves, hides or turns around what stands beside it: such characters are written as escapes.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let is_hidden = character.is_control()
            || matches!(
                character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            );
        if is_hidden {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn exception_json(source: &Source, exception: &Exception) -> Value {
    let file = exception.file.as_ref().map(ToString::to_string);
    let (reason, id) = exception.letter.as_ref().map(|(reason, id)| (reason.name(), id)).unzip();
    with(
        source,
        json!({
            "hour": exception.hour, "name": exception.name, "message": exception.says, "file": file,
            "digest": exception.digest, "letter_reason": reason, "letter_id": id, "advice": advice(exception.name),
        }),
    )
}

fn hour_json(source: &Source, hour: &Hour) -> Value {
    let mut value = numbers(hour.digests, &hour.account, &hour.unlisted);
    value["hour"] = json!(hour.begins);
    value["state"] = json!(hour.state.name());
    with(source, value)
}

/// The numbers by the names that they have in the ledger; records are those of all files.
fn numbers(digests: u64, account: &Account, unlisted: &Unlisted) -> Value {
    let mut sum = *account;
    sum.counts.add(unlisted.counts);
    let mut numbers: Map<String, Value> =
        sum.numbers().into_iter().map(|(name, _, number)| (name.to_owned(), json!(number))).collect();
    for (name, number) in [
        ("digests", digests),
        ("unlisted", unlisted.found),
        ("unlisted_delivered", unlisted.delivered),
        ("unlisted_in_letters", unlisted.in_letters),
        ("unlisted_missing", unlisted.missing),
        ("unlisted_under_way", unlisted.under_way),
    ] {
        numbers.insert(name.to_owned(), json!(number));
    }
    Value::Object(numbers)
}

/// The same, of an account-region.
fn with(source: &Source, mut value: Value) -> Value {
    value["account"] = json!(source.account);
    value["region"] = json!(source.region);
    if let Some(organization) = &source.organization {
        value["organization"] = json!(organization);
    }
    value
}
