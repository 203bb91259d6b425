//! What the ledger knows of the hours that are asked for, from one pass over it: digests that were checked, chains, and
//! files that were delivered. What it knows and the bucket no longer has is found by that alone.
//!
//! Of a file no more is kept than a hash of its key.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::chain::Known;
use super::source::{DIGESTS, Source};
use super::{Asked, BEFORE, BEHIND, HOUR};
use crate::aws::{LedgerError, Note, Notes};
use crate::backfill::layout::{Path, stamp};
use crate::digest::{Chain, DigestKey, Head, Link, Place, hour_at};

/// What the ledger knows.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The folders of account-regions that it knows something of.
    pub(super) folders: BTreeSet<String>,
    pub(super) chains: HashMap<Chain, Remains>,
    pub(super) files: Names,
}

/// What it knows of a chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Remains {
    pub(super) known: Vec<Known>,
    pub(super) head: Option<Head>,
    /// Whether any of that lies where it is asked for.
    pub(super) is_here: bool,
}

/// Keys, each as a hash of eight bytes.
#[derive(Debug, Default)]
pub(super) struct Names {
    hasher: RandomState,
    names: Mutex<HashSet<u64>>,
}

impl Names {
    fn with<T>(&self, key: &str, step: impl FnOnce(&mut HashSet<u64>, u64) -> T) -> T {
        let name = self.hasher.hash_one(key);
        step(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner), name)
    }

    fn add(&self, key: &str) {
        self.with(key, HashSet::insert);
    }

    fn has(&self, key: &str) -> bool {
        self.with(key, |names, name| names.contains(&name))
    }

    /// Takes a key out; whether it was there.
    pub(super) fn take(&self, key: &str) -> bool {
        self.with(key, |names, name| names.remove(&name))
    }

    fn is_empty(&self) -> bool {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Remembered {
    /// Reads the ledger once.
    pub(super) async fn read<N: Notes>(ledger: &N, asked: &Asked) -> Result<Self, LedgerError> {
        let found = Mutex::new(Self::default());
        ledger
            .scan(&|key, note| {
                found.lock().unwrap_or_else(PoisonError::into_inner).take_in(key, &note, asked);
            })
            .await?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The files that are left, which nobody has seen in the bucket; they are read once more, for their names.
    pub(super) async fn left<N: Notes>(
        &self,
        ledger: &N,
        asked: &Asked,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let found = Mutex::new(BTreeSet::new());
        if !self.files.is_empty() {
            ledger
                .scan(&|key, note| {
                    let file = delivered_file(key, &note, asked).filter(|file| self.files.has(file));
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.extend(file.map(str::to_owned));
                })
                .await?;
        }
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_in(&mut self, key: &str, note: &Note, asked: &Asked) {
        if let Some(file) = delivered_file(key, note, asked) {
            self.folders.extend(asked.folder_of(file));
            self.files.add(file);
        } else if let Some((bucket, digest)) = key.strip_prefix("link#").and_then(|key| key.split_once('#')) {
            let (Some(link), Some(parsed)) = (note.read::<Link>(), DigestKey::parse(digest)) else { return };
            let is_in_time = asked.from - BEFORE <= parsed.end && parsed.end <= asked.until + BEHIND;
            if is_in_time && asked.takes_chain(&parsed.chain) {
                let place = Place::new(bucket, digest);
                let folder = asked.digest_folder(&place);
                let chain = self.chains.entry(parsed.chain).or_default();
                chain.is_here |= folder.is_some();
                chain.known.push(Known { place, sha256: link.sha256, end: parsed.end });
                self.folders.extend(folder);
            }
        } else if key.starts_with("chain#") {
            let Some(head) = note.read::<Head>() else { return };
            let Some(parsed) = DigestKey::parse(&head.key) else { return };
            // A chain that begins behind the hours says nothing of them.
            if head.since < asked.until && asked.takes_chain(&parsed.chain) {
                let folder = asked.digest_folder(&Place::new(&head.bucket, &head.key));
                let chain = self.chains.entry(parsed.chain).or_default();
                chain.is_here |= folder.is_some();
                chain.head = Some(head);
                self.folders.extend(folder);
            }
        }
    }
}

/// The key of a file that was delivered, if its hour and its folder are asked for.
fn delivered_file<'k>(key: &'k str, note: &Note, asked: &Asked) -> Option<&'k str> {
    let (bucket, rest) = key.strip_prefix("object#")?.split_once('#')?;
    let (_, file) = rest.split_once('#')?;
    let is_delivered = note.content.get("stage").is_some_and(|stage| stage == "delivered");
    let is_asked_for = is_delivered && bucket == asked.bucket && asked.folder_of(file).is_some();
    (is_asked_for && hour_of_file(file, asked).is_some()).then_some(file)
}

/// The hour that a file is counted in, if that is asked for: the one that its name tells, in the day whose folder it lies
/// in; without one, the first that is asked for of that day.
pub(super) fn hour_of_file(file: &str, asked: &Asked) -> Option<Timestamp> {
    let path = Path::of(file);
    let mut rest = path.rest.split('/');
    let day = [rest.next()?, rest.next()?, rest.next()?].join("-");
    let day: Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
    let hour = match stamp(file) {
        Some(written) => hour_at(written).clamp(day, day + super::DAY - HOUR),
        None => day.max(asked.from),
    };
    (asked.takes(hour) && hour < day + super::DAY).then_some(hour)
}

impl Asked {
    /// The folder of the account-region that a key lies in, if that is asked for.
    pub(super) fn folder_of(&self, key: &str) -> Option<String> {
        let path = Path::of(key);
        let wanted = &self.wanted;
        let (account, service, region) =
            (path.account.as_ref()?, path.service.as_ref()?, path.region.as_ref()?);
        let takes = |wanted: &[String], name| wanted.is_empty() || wanted.contains(name);
        let takes_service = wanted.services.contains(service) || service == DIGESTS && self.takes_digests();
        let takes_organization = match &wanted.path.organization {
            None => wanted.path.account.is_none() || path.organization.is_none(),
            own => path.organization == *own,
        };
        (path.root == wanted.path.root
            && takes_organization
            && takes(&wanted.accounts, account)
            && takes(&wanted.regions, region)
            && takes_service)
            .then(|| {
                let organization =
                    path.organization.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
                format!("{}{organization}{account}/{service}/{region}/", path.root)
            })
    }

    fn digest_folder(&self, place: &Place) -> Option<String> {
        if place.bucket == self.bucket { self.folder_of(&place.key) } else { None }
    }

    fn takes_chain(&self, chain: &Chain) -> bool {
        let takes = |wanted: &[String], name| wanted.is_empty() || wanted.contains(name);
        self.takes_digests()
            && takes(&self.wanted.accounts, &chain.account)
            && takes(&self.wanted.regions, &chain.region)
    }
}

impl Source {
    /// Whether a chain is one of this account-region's.
    pub(super) fn has(&self, chain: &Chain) -> bool {
        chain.account == self.account
            && chain.region == self.region
            && chain.organization == self.organization
    }
}
