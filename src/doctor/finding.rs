//! What a check found, and how it is shown: as lines for a person or as JSON.

use serde::{Serialize, Serializer};

/// What is checked; the names stand in the text and in the JSON alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The environment variables.
    Configuration,
    /// Who we are at AWS.
    AwsIdentity,
    /// What proves to Azure who we are.
    Proof,
    /// Entra answers and has the tenant.
    Tenant,
    /// A host that rows go to answers.
    Endpoint,
    /// This machine's clock against Azure's.
    Clock,
    /// Entra gives a token for the proof.
    Token,
    /// A stream of a rule takes a row.
    Stream,
    /// The work queue.
    WorkQueue,
    /// The dead letter queue.
    DeadLetterQueue,
    /// The ledger's table.
    Ledger,
    /// A bucket that objects are read of.
    Bucket,
    /// Who reads the work queue.
    Mapping,
    /// The function.
    Function,
    /// A rule of `EventBridge` that reaches the queue or the function.
    Rule,
    /// The schedule of the watch.
    Schedule,
    /// The alarms.
    Alarms,
}

impl Check {
    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::AwsIdentity => "AWS identity",
            Self::Proof => "proof of identity",
            Self::Tenant => "tenant",
            Self::Endpoint => "endpoint",
            Self::Clock => "clock",
            Self::Token => "token",
            Self::Stream => "stream",
            Self::WorkQueue => "work queue",
            Self::DeadLetterQueue => "dead letter queue",
            Self::Ledger => "ledger",
            Self::Bucket => "bucket",
            Self::Mapping => "event source mapping",
            Self::Function => "function",
            Self::Rule => "rule",
            Self::Schedule => "schedule",
            Self::Alarms => "alarms",
        }
    }
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is as it should be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Nothing is known of it.
    Skipped,
    /// It does not work.
    Failed,
}

impl Status {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
            Self::Failed => "FAIL",
        }
    }

    /// How a terminal is told its colour.
    const fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Skipped => "\x1b[2m",
            Self::Failed => "\x1b[1;31m",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// What a check found; never a secret, a token or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: Check,
    /// Which one of them, where there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub what: String,
    /// What belongs to it, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    fn new(check: Check, status: Status, what: impl Into<String>, next: Option<String>) -> Self {
        Self { check, about: None, status, what: what.into(), details: Vec::new(), next }
    }

    /// All is well.
    pub fn ok(check: Check, what: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, what, None)
    }

    /// It works, and should be looked at.
    pub fn warning(check: Check, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, what, Some(next.into()))
    }

    /// Nothing is known.
    pub fn skipped(check: Check, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, what, Some(next.into()))
    }

    /// It does not work.
    pub fn failed(check: Check, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(check, Status::Failed, what, Some(next.into()))
    }

    /// Says which one of several it is about.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Adds lines.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The lines for a person, each with its end.
    #[must_use]
    pub fn text(&self, coloured: bool) -> String {
        let about = self.about.as_ref().map(|about| format!(" {about}")).unwrap_or_default();
        let title = format!("{}{about}: {}", self.check.name(), self.what);
        let mut text = String::new();
        let word = format!("{:<MARGIN$}", self.status.word());
        wrap(&mut text, &word, &" ".repeat(MARGIN), &title);
        for detail in &self.details {
            wrap(&mut text, &" ".repeat(MARGIN + 2), &" ".repeat(MARGIN + 4), detail);
        }
        if let Some(next) = &self.next {
            let first = format!("{:MARGIN$}next: ", "");
            wrap(&mut text, &first, &" ".repeat(first.len()), next);
        }
        if coloured {
            let word = self.status.word();
            text.replace_range(..word.len(), &format!("{}{word}\x1b[0m", self.status.colour()));
        }
        text
    }
}

/// Where the text begins, behind the longest status.
const MARGIN: usize = 9;
/// How wide lines are.
const WIDTH: usize = 80;

/// Appends lines of words; a word that is too long for any line stays whole where it is, so that it can be copied.
fn wrap(out: &mut String, first: &str, others: &str, text: &str) {
    let (mut line, mut is_bare) = (first.to_owned(), true);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let fits_below = others.len() + length <= WIDTH;
        if !is_bare && fits_below && line.chars().count() + 1 + length > WIDTH {
            out.push_str(&line);
            out.push('\n');
            (line, is_bare) = (others.to_owned(), true);
        }
        if !is_bare {
            line.push(' ');
        }
        line.push_str(word);
        is_bare = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// All findings as JSON.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        status: Status,
        checks: &'a [Finding],
    }
    let status = if has_failed(findings) { Status::Failed } else { Status::Ok };
    serde_json::to_string_pretty(&Report { status, checks: findings }).unwrap_or_default()
}

/// Whether anything does not work.
#[must_use]
pub fn has_failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.status == Status::Failed)
}

/// How many there are of each kind, in one line.
#[must_use]
pub fn summary(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let all = [Status::Ok, Status::Warning, Status::Skipped, Status::Failed];
    let counts = all.map(|status| (count(status), status.word()));
    let parts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        let next = "Give the federated credential exactly this subject, to the letter, upper and lower case";
        Finding::failed(Check::Token, "Entra refuses the subject (AADSTS700213)", next)
            .about("of 11111111-1111-1111-1111-111111111111")
            .details([
                "issuer: https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws".to_owned()
            ])
    }

    #[test]
    fn lines_are_wrapped_and_long_words_stay_whole() {
        insta::assert_snapshot!(finding().text(false), @r"
        FAIL     token of 11111111-1111-1111-1111-111111111111: Entra refuses the
                 subject (AADSTS700213)
                   issuer: https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws
                 next: Give the federated credential exactly this subject, to the
                       letter, upper and lower case
        ");
        insta::assert_snapshot!(Finding::ok(Check::Clock, "as Azure's").text(false), @"ok       clock: as Azure's");
    }

    #[test]
    fn a_line_breaks_at_its_81st_column() {
        let title = "ok       clock: ".len();
        for (letters, lines) in [(WIDTH - title - 2, 1), (WIDTH - title - 1, 2)] {
            let text = Finding::ok(Check::Clock, format!("{} b", "a".repeat(letters))).text(false);
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(text.lines().all(|line| line.len() <= WIDTH));
        }
    }

    #[test]
    fn colour_is_around_the_status_alone() {
        let (plain, coloured) = (finding().text(false), finding().text(true));
        assert!(!plain.contains('\x1b') && coloured.starts_with("\x1b[1;31mFAIL\x1b[0m "));
        assert_eq!(coloured.replace("\x1b[1;31m", "").replace("\x1b[0m", ""), plain);
    }

    #[test]
    fn a_report_has_failed_if_one_check_has() {
        let fine = Finding::ok(Check::Clock, "as Azure's");
        let skipped = Finding::skipped(Check::Token, "no proof", "mend it");
        assert!(!has_failed(&[fine.clone(), skipped.clone()]));
        let all = [fine.clone(), fine, skipped, finding()];
        assert!(has_failed(&all));
        assert_eq!(summary(&all), "2 ok, 1 skipped, 1 FAIL");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&all)).unwrap()["status"], "FAIL");
    }
}
