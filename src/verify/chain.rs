//! Judges one chain of digests by what lies in the bucket and by what the ledger knows. Pure.
//!
//! The order is that of the digests' own times, whenever each was read or checked. Every hour between the beginning and
//! the end of a chain that no digest of it is about has a finding, or stands between two digests of which the second
//! says that it follows the first.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Asked, HOUR, hour_from, hour_to, hours};
use crate::digest::{Changed, DigestKey, Document, Finding, Found, Head, Place, Signature, hour_at, hour_of};
use crate::json;

/// A genuine digest that lies where `CloudTrail` put it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) document: Document,
    pub(super) signature: Signature,
    pub(super) is_backfill: bool,
}

/// A digest that the function has checked.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) place: Place,
    pub(super) sha256: String,
    pub(super) end: Timestamp,
}

/// All that is known of a chain around the hours that are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// In any order.
    pub(super) seen: Vec<Seen>,
    /// What the ledger knows of its digests, in any order.
    pub(super) known: Vec<Known>,
    /// What the ledger knows of the chain.
    pub(super) head: Option<Head>,
    /// What lies where a digest says that the one before it is, if that is none of those that were seen.
    pub(super) found: HashMap<Place, Found>,
    /// Where something lies that was not believed or could not be read, which is told already.
    pub(super) doubtful: HashSet<Place>,
}

/// What was found, the hours that it is about, and the digest that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) finding: Finding,
    pub(super) first: Timestamp,
    pub(super) end: Timestamp,
    pub(super) digest: Option<Place>,
}

impl Seen {
    fn place(&self) -> &Place {
        &self.document.place
    }

    /// The hours that it is about: those whose middle lies in its time, or else the one that most of its time lies in.
    pub(super) fn hours(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let Document { start, end, .. } = self.document;
        let (first, end) = (hour_from(start), hour_from(end));
        let most = hour_of(&self.document);
        let (first, end) = if first < end { (first, end) } else { (most, most + HOUR) };
        hours(first, end)
    }
}

impl Evidence {
    /// What is wrong with the chain, in the order of time.
    pub(super) fn judge(mut self, asked: &Asked) -> Vec<Judged> {
        self.seen.sort_by(|one, other| {
            let order = |seen: &Seen| (seen.document.end, seen.document.place.key.clone());
            order(one).cmp(&order(other))
        });
        self.known.sort_by(|one, other| (one.end, &one.place.key).cmp(&(other.end, &other.place.key)));
        let mut judged = Vec::new();
        self.joints(&mut judged);
        self.removed(&mut judged);
        self.unexplained(asked, &mut judged);
        self.end(asked, &mut judged);
        judged
    }

    /// The places of digests that others name as the one before them, and that were not seen.
    pub(super) fn to_look_at(&self, asked: &Asked) -> Vec<Place> {
        let places: HashSet<&Place> = self.seen.iter().map(Seen::place).collect();
        let asked_for = self.seen.iter().filter(|seen| hour_from(seen.document.start) > asked.from);
        let previous = asked_for.filter_map(|seen| Some(&seen.document.previous.as_ref()?.place));
        previous.filter(|place| !places.contains(place)).cloned().collect()
    }

    fn in_order(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| !seen.is_backfill)
    }

    fn is_known(&self, place: &Place) -> bool {
        self.known.iter().any(|known| known.place == *place)
    }

    /// Where each digest joins the one before it.
    fn joints(&self, judged: &mut Vec<Judged>) {
        let by_place: HashMap<&Place, &Seen> = self.seen.iter().map(|seen| (seen.place(), seen)).collect();
        let (mut before, mut follower) = (None::<&Seen>, HashMap::new());
        for seen in &self.seen {
            let Seen { document, is_backfill, .. } = seen;
            let mut tell = |finding, (first, end)| {
                judged.push(Judged { finding, first, end, digest: Some(document.place.clone()) });
            };
            let Some(previous) = &document.previous else {
                if let Some(from) = self.last_before(before, document.start).filter(|_| !is_backfill) {
                    let end = hour_from(document.start).max(hour_at(from) + HOUR);
                    tell(Finding::Restarted { from, to: document.start }, (hour_from(from), end));
                }
                before = if *is_backfill { before } else { Some(seen) };
                continue;
            };
            let found = match by_place.get(&previous.place) {
                Some(seen) => Some(Found::Something {
                    sha256: Some(seen.document.sha256),
                    signature: Some(seen.signature.clone()),
                }),
                None => self.found.get(&previous.place).cloned(),
            };
            match found {
                Some(Found::Something { sha256, signature }) => {
                    let changed = if sha256 != Some(previous.sha256) {
                        Some(Changed::Content)
                    } else if !signature.is_some_and(|signature| signature.is(&previous.signature)) {
                        Some(Changed::Signature)
                    } else {
                        None
                    };
                    if let Some(changed) = changed {
                        tell(
                            Finding::PreviousChanged(previous.place.clone(), changed),
                            hours_of(&previous.place),
                        );
                    }
                }
                // What the ledger knows is told by itself.
                Some(Found::Nothing) if !self.is_known(&previous.place) => {
                    let from = before.map(|before| before.document.end);
                    let hours = match from {
                        Some(from) if from < document.start => {
                            (hour_from(from), hour_from(document.start).max(hour_at(from) + HOUR))
                        }
                        _ => hours_of(&previous.place),
                    };
                    let (missing, to) = (previous.place.clone(), document.start);
                    tell(Finding::Gap { missing, from, to }, hours);
                }
                Some(Found::Nothing | Found::NotLookedAt) | None => {}
            }
            if !is_backfill {
                if let Some(other) = follower.insert(&previous.place, &document.place) {
                    tell(Finding::Fork(other.clone()), hours_of(&document.place));
                }
                before = Some(seen);
            }
        }
    }

    /// The end of the newest digest that is known to have come before that.
    fn last_before(&self, seen: Option<&Seen>, start: Timestamp) -> Option<Timestamp> {
        let seen = seen.map(|seen| seen.document.end);
        let known = self.known.iter().map(|known| known.end);
        let head = self.head.as_ref().map(|head| head.end);
        seen.into_iter().chain(known).chain(head).filter(|end| *end <= start).max()
    }

    /// What the ledger knows, and the bucket has no longer.
    fn removed(&self, judged: &mut Vec<Judged>) {
        let by_place: HashMap<&Place, &Seen> = self.seen.iter().map(|seen| (seen.place(), seen)).collect();
        for known in &self.known {
            let place = known.place.clone();
            let finding = match by_place.get(&known.place) {
                Some(seen) if json::hex(&seen.document.sha256) == known.sha256 => continue,
                Some(_) => Finding::PreviousChanged(place, Changed::Content),
                None if self.doubtful.contains(&known.place) => continue,
                None => Finding::PreviousRemoved(place),
            };
            let (first, end) = hours_of(&known.place);
            judged.push(Judged { finding, first, end, digest: None });
        }
    }

    /// Hours of the chain's time that no digest is about, and that nothing found so far explains.
    fn unexplained(&self, asked: &Asked, judged: &mut Vec<Judged>) {
        let Some(head) = &self.head else { return };
        let mut explained: HashSet<Timestamp> = self.in_order().flat_map(Seen::hours).collect();
        for each in judged.iter() {
            explained.extend(asked.hours_in(each.first, each.end));
        }
        // A trail's validation may be off for a part of an hour without a break in its chain.
        let seen: Vec<&Seen> = self.in_order().collect();
        for pair in seen.windows(2) {
            let [one, next] = [pair[0], pair[1]];
            if next.document.previous.as_ref().is_some_and(|previous| previous.place == *one.place()) {
                let (from, to) = (hour_from(one.document.end), hour_from(next.document.start));
                explained.extend(asked.hours_in(from, to));
            }
        }
        let lives = asked.hours_in(hour_from(head.since), hour_from(head.end));
        let hours: Vec<Timestamp> = lives.filter(|hour| !explained.contains(hour)).collect();
        let folder = head.key.rsplitn(5, '/').nth(4).unwrap_or_default();
        for run in hours.chunk_by(|one, next| *one + HOUR == *next) {
            let (first, end) = (run[0], run[run.len() - 1] + HOUR);
            let missing = Place::new(&head.bucket, &format!("{folder}/"));
            let finding = Finding::Gap { missing, from: Some(first), to: end };
            judged.push(Judged { finding, first, end, digest: None });
        }
    }

    /// Whether it ends before the hours that are asked for do.
    fn end(&self, asked: &Asked, judged: &mut Vec<Judged>) {
        let seen = self.in_order().map(|seen| (seen.document.end, seen.place())).last();
        let known = self.known.last().map(|known| (known.end, &known.place));
        let head = self.head.as_ref().map(|head| (head.end, Place::new(&head.bucket, &head.key)));
        let newest = seen.or(known).map(|(end, place)| (end, place.clone()));
        let Some((from, last)) = newest.into_iter().chain(head).max_by_key(|(end, _)| *end) else { return };
        let (first, end) = (hour_from(from), asked.end_of_due());
        if first < end {
            judged.push(Judged { finding: Finding::Ended { last, from }, first, end, digest: None });
        }
    }
}

/// The hour that a digest is about by its name.
fn hours_of(place: &Place) -> (Timestamp, Timestamp) {
    let first = DigestKey::parse(&place.key).map_or(Timestamp::MIN, |key| hour_to(key.end));
    (first, first.saturating_add(HOUR).unwrap_or(first))
}
