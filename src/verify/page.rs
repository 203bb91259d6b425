//! The page that an auditor keeps: one file, readable without a script, in light and dark, on paper.
//!
//! All text is escaped, and a policy in the page forbids whatever is not its own style and script. A state is told by
//! its colour, its sign and its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Display, Formatter, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::told::{Totals, visible};
use super::{Answer, Hour, Outcome, Seal, Source, State, Verified, advice};
use crate::backfill::progress::{number, time};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const QUERY: &str = include_str!("../azure_template/queries/workbook/completeness.kql");

/// Text as HTML may have it.
struct Text<T>(T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for character in visible(&self.0.to_string()).chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                character => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}

impl State {
    /// Its sign on the map.
    const fn sign(self) -> char {
        match self {
            Self::Complete => '✓',
            Self::Pending => '…',
            Self::Unvouched => '–',
            Self::Unchecked => '?',
            Self::Incomplete => 'M',
            Self::Gone => 'G',
            Self::Unsealed => 'D',
            Self::Unverified => 'F',
            Self::Altered => 'A',
        }
    }
}

/// The page.
#[must_use]
pub fn page(outcome: &Outcome) -> String {
    let mut out = String::new();
    // A String takes all that is written.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let asked = &outcome.asked;
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    let title =
        format!("Completeness of s3://{}, {} to {}", asked.bucket, minute(asked.from), minute(asked.until));
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {style}; script-src \
         {script}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        Text(&title)
    )?;
    let class = match outcome.answer() {
        Answer::Proven => "proven",
        Answer::Wrong => "wrong",
        Answer::Unknown => "unknown",
    };
    write!(
        out,
        "<header>\n<h1>{}</h1>\n<p class=\"answer {class}\">{}</p>\n<nav aria-label=\"Parts of the page\"><ul>\
         <li><a href=\"#sums\">Sums</a></li><li><a href=\"#exceptions\">Exceptions</a></li>\
         <li><a href=\"#map\">Map of the hours</a></li><li><a href=\"#digests\">Digests</a></li>\
         <li><a href=\"#made\">How it was made</a></li></ul></nav>\n</header>\n<main>\n",
        Text(&title),
        Text(outcome.sentence())
    )?;
    sums(out, outcome)?;
    let anchors = exceptions(out, outcome)?;
    map(out, outcome, &anchors)?;
    digests(out, outcome)?;
    made(out, outcome)?;
    write!(out, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn sums(out: &mut String, outcome: &Outcome) -> fmt::Result {
    out.write_str("<section id=\"sums\">\n<h2>Sums</h2>\n<dl>\n")?;
    for (name, value) in Totals::of(outcome).lines() {
        writeln!(out, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(value))?;
    }
    out.write_str("</dl>\n</section>\n")
}

/// Which exception tells of an hour of an account-region, by their numbers.
type Anchors = HashMap<(Source, Timestamp), usize>;

fn exceptions(out: &mut String, outcome: &Outcome) -> Result<Anchors, fmt::Error> {
    let mut anchors = Anchors::new();
    writeln!(
        out,
        "<section id=\"exceptions\">\n<h2>Exceptions ({})</h2>",
        number(outcome.number_of_exceptions())
    )?;
    for (source, error) in outcome.errors() {
        let whose = source.map(|source| format!("{} could not be looked at to its end: ", place(source)));
        writeln!(out, "<p>{}{}</p>", whose.unwrap_or_default(), Text(error))?;
    }
    if outcome.exceptions().next().is_none() {
        out.write_str("<p>None.</p>\n</section>\n")?;
        return Ok(anchors);
    }
    out.write_str(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Exceptions\" tabindex=\"0\"><table class=\"list\">\n<thead><tr><th \
         scope=\"col\">No.</th><th scope=\"col\">Hour (UTC)\
         </th><th scope=\"col\">Account and region</th><th scope=\"col\">Finding</th><th scope=\"col\">What was found</th></tr>\
         </thead>\n<tbody>\n",
    )?;
    let mut names = BTreeSet::new();
    for (place, (source, exception)) in outcome.exceptions().enumerate() {
        let at = place + 1;
        anchors.entry((source.clone(), exception.hour)).or_insert(at);
        names.insert(exception.name);
        let letter = exception.letter.as_ref().map_or_else(String::new, |(reason, id)| {
            format!("<br>Letter: {} <code>{}</code>", Text(reason.name()), Text(id))
        });
        let digest = exception
            .digest
            .as_ref()
            .map_or_else(String::new, |digest| format!("<br>Digest: <code>{}</code>", Text(digest)));
        writeln!(
            out,
            "<tr id=\"e{at}\"><td>{at}</td><td class=\"whole\">{}</td><td class=\"whole\">{}</td>\
             <td class=\"whole\">{}</td><td>{}{digest}{letter}</td></tr>",
            minute(exception.hour),
            self::place(source),
            Text(exception.name),
            Text(&exception.says),
        )?;
    }
    out.write_str("</tbody>\n</table></div>\n")?;
    let unnamed: u64 = outcome.verified.iter().map(|verified| verified.unnamed).sum();
    if unnamed > 0 {
        writeln!(out, "<p>And {} more: make the page of a shorter time to see them.</p>", number(unnamed))?;
    }
    out.write_str("<h3>What to do</h3>\n<dl>\n")?;
    for name in names {
        writeln!(out, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(advice(name)))?;
    }
    out.write_str(
        "</dl>\n<p>A letter is the one that the function writes about it: <code>sentinelctl dlq show ID</code> shows it as \
         long as it is in the queue.</p>\n</section>\n",
    )?;
    Ok(anchors)
}

fn map(out: &mut String, outcome: &Outcome, anchors: &Anchors) -> fmt::Result {
    out.write_str("<section id=\"map\">\n<h2>Map of the hours</h2>\n<ul class=\"legend\">\n")?;
    for state in State::ALL {
        let (name, sign) = (state.name(), state.sign());
        writeln!(
            out,
            "<li><span class=\"key {name}\" aria-hidden=\"true\">{sign}</span> <strong>{name}</strong>: {}</li>",
            Text(state.says())
        )?;
    }
    out.write_str("</ul>\n<p>Hours are those of UTC. Arrow keys move through a map.</p>\n")?;
    for verified in outcome.verified.iter().filter(|verified| !verified.hours.is_empty()) {
        place_map(out, verified, anchors)?;
    }
    out.write_str("</section>\n")
}

/// A row a day, a column an hour.
fn place_map(out: &mut String, verified: &Verified, anchors: &Anchors) -> fmt::Result {
    let mut days: BTreeMap<String, Vec<(usize, &Hour)>> = BTreeMap::new();
    for hour in &verified.hours {
        let day = hour.begins.strftime("%Y-%m-%d").to_string();
        let column = usize::try_from(hour.begins.as_second().rem_euclid(86_400) / 3600).unwrap_or_default();
        days.entry(day).or_default().push((column, hour));
    }
    write!(
        out,
        "<div class=\"place\"><h3>{0}</h3>\n<div class=\"scroll\"><table class=\"map\" aria-label=\"{0}\">\n<thead><tr>\
         <td></td>",
        place(&verified.source)
    )?;
    for hour in 0..24 {
        write!(out, "<th scope=\"col\">{hour:02}</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    for (day, hours) in days {
        write!(out, "<tr><th scope=\"row\">{day}</th>")?;
        let mut hours = hours.into_iter().peekable();
        for column in 0..24 {
            match hours.next_if(|(place, _)| *place == column) {
                Some((_, hour)) => cell(out, &verified.source, hour, anchors)?,
                None => out.write_str("<td></td>")?,
            }
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody>\n</table></div><p class=\"at\" aria-live=\"polite\"></p></div>\n")
}

fn cell(out: &mut String, source: &Source, hour: &Hour, anchors: &Anchors) -> fmt::Result {
    let (name, sign, counts) = (hour.state.name(), hour.state.sign(), hour.counts());
    let mut title = format!("{}: {name}", minute(hour.begins));
    let (account, unlisted) = (&hour.account, &hour.unlisted);
    for (number, what) in [
        (account.listed, "files listed"),
        (account.delivered, "delivered"),
        (account.late, "of these late"),
        (account.altered, "altered"),
        (account.in_letters, "in letters"),
        (account.missing, "missing"),
        (account.gone, "of these gone"),
        (unlisted.found, "files in S3 that no digest lists"),
        (unlisted.delivered, "of these delivered"),
        (unlisted.in_letters, "of these in letters"),
        (unlisted.missing, "of these missing"),
        (counts.records, "records"),
        (counts.rows, "rows"),
        (counts.filtered, "kept back by a rule"),
        (counts.letters, "records in letters"),
    ] {
        if number > 0 {
            write!(title, ", {number} {what}")?;
        }
    }
    match anchors.get(&(source.clone(), hour.begins)) {
        Some(at) => write!(
            out,
            "<td class=\"{name}\" title=\"{title}\"><a href=\"#e{at}\" aria-label=\"{title}; see exception {at}\">{sign}</a></td>"
        ),
        None => write!(out, "<td class=\"{name}\" title=\"{title}\" aria-label=\"{title}\">{sign}</td>"),
    }
}

fn digests(out: &mut String, outcome: &Outcome) -> fmt::Result {
    out.write_str(
        "<section id=\"digests\">\n<h2>Digests</h2>\n<p>The SHA-256 is that of the uncompressed content; the key is the \
         fingerprint by which <code>aws cloudtrail list-public-keys</code> names it.</p>\n",
    )?;
    for verified in &outcome.verified {
        let count = number(verified.seals.len() as u64);
        writeln!(out, "<details><summary>{}: {count} digests</summary>", place(&verified.source))?;
        if !verified.seals.is_empty() {
            out.write_str(
                "<div class=\"scroll\" role=\"region\" aria-label=\"Digests\" tabindex=\"0\"><table class=\"list\">\n<thead><tr><th scope=\"col\">Hour (UTC)</th><th scope=\"col\">\
                 Signed by CloudTrail</th><th scope=\"col\">Digest, SHA-256, key</th></tr></thead>\n<tbody>\n",
            )?;
        }
        for Seal { hour, key, sha256, fingerprint, is_genuine } in &verified.seals {
            let is_genuine = if *is_genuine { "yes" } else { "NO" };
            let none = "unreadable";
            writeln!(
                out,
                "<tr><td class=\"whole\">{}</td><td>{is_genuine}</td><td><code>{}<br>{}<br>{}</code></td></tr>",
                minute(*hour),
                Text(key),
                Text(sha256.as_deref().unwrap_or(none)),
                Text(fingerprint.as_deref().unwrap_or(none)),
            )?;
        }
        out.write_str(if verified.seals.is_empty() {
            "</details>\n"
        } else {
            "</tbody>\n</table></div></details>\n"
        })?;
    }
    out.write_str("</section>\n")
}

fn made(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let asked = &outcome.asked;
    out.write_str("<section id=\"made\">\n<h2>How it was made</h2>\n<dl>\n")?;
    for (name, value) in [
        ("bucket", format!("s3://{}/{}", asked.bucket, asked.wanted.path.root)),
        ("hours", format!("{} to {}, the end not included", asked.from, asked.until)),
        ("made at", format!("{:.0}", asked.now)),
        ("made by", format!("sentinelctl {}", env!("CARGO_PKG_VERSION"))),
        (
            "calls",
            format!("{} to S3, {} to the ledger", number(outcome.s3_calls), number(outcome.ledger_calls)),
        ),
        ("took", time(outcome.elapsed)),
    ]
    .into_iter()
    .chain(outcome.made())
    {
        writeln!(out, "<dt>{name}</dt><dd>{}</dd>", Text(value))?;
    }
    write!(
        out,
        "</dl>\n<p>Each digest was verified with CloudTrail's public key, and followed in its chain; each file that it \
         lists was looked for among the versions in S3 and in the forwarder's ledger, which holds the SHA-256 of what was \
         delivered. Files in S3 that no digest lists were compared with the ledger. Nothing was changed by that.</p>\n\
         <h3>To check it in Sentinel</h3>\n<p>This query compares, for each whole day, the rows that the account of the day \
         expects with those that are in AWSCloudTrail; set its time range to begin two days before {} and to end a day \
         after {}. <em>NotThere</em> above 0 is a loss behind the forwarder. Copies of a row, and rows that came by another \
         way, raise <em>Landed</em> and can hide one; so do rows of the hour before and behind the day. Events older than \
         two days when they arrive have another TimeGenerated.</p>\n<pre tabindex=\"0\"><code>{}</code></pre>\n</section>\n",
        minute(asked.from),
        minute(asked.until),
        Text(QUERY.trim_end()).lines()
    )
}

impl Text<&str> {
    /// The same, with its line breaks.
    fn lines(&self) -> String {
        self.0.lines().map(|line| Text(line).to_string()).collect::<Vec<_>>().join("\n")
    }
}

/// An account-region by its names.
fn place(source: &Source) -> String {
    let Source { account, region, organization, .. } = source;
    let organization = organization.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    Text(format!("{account} {region}{organization}")).to_string()
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
