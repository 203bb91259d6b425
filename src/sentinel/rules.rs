//! The data collection rules that share the load: the next upload goes to the one with the least in flight that has
//! budget left and whose circuit lets it through.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::budget::{Budget, DOCUMENTED};
use super::circuit::{Circuit, LONGEST_ASKED, Pause};
use super::retry::LONGEST;
use super::{UploadError, now};
use crate::config::DataCollectionRule;

/// One rule and how it fares.
struct Rule {
    address: DataCollectionRule,
    circuit: Circuit,
    budget: Budget,
    in_flight: AtomicUsize,
}

/// All rules.
pub(super) struct Rules {
    all: Vec<Rule>,
    /// Where to begin among those that have as little in flight.
    turn: AtomicUsize,
    /// Circuits that opened and have not been told of yet.
    opened: AtomicU64,
}

/// Why no rule takes an upload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// All circuits are open.
    Resting(Duration),
    /// What is not resting has spent its budget, or is being tried: worth asking again after so long.
    Soon(Duration),
}

/// An upload's place at a rule, until it is dropped.
struct Place<'a>(&'a Rule);

impl Rules {
    pub(super) fn new(rules: Vec<DataCollectionRule>) -> Self {
        let now = now();
        let rules = rules.into_iter().map(|address| Rule {
            address,
            circuit: Circuit::new(),
            budget: Budget::new(DOCUMENTED, now),
            in_flight: AtomicUsize::default(),
        });
        Self { all: rules.collect(), turn: AtomicUsize::default(), opened: AtomicU64::default() }
    }

    /// Uploads so many bytes to one of the rules, whose circuit learns how it went.
    pub(super) async fn upload(
        &self,
        bytes: usize,
        post: impl AsyncFnOnce(&DataCollectionRule) -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        let place = loop {
            match self.place(now(), bytes) {
                Ok(place) => break place,
                Err(Full::Soon(wait)) if wait <= LONGEST => tokio::time::sleep(wait).await,
                Err(Full::Soon(rest) | Full::Resting(rest)) => return Err(UploadError::Resting { rest }),
            }
        };
        let rule = place.0;
        let mut result = post(&rule.address).await;
        let Err(UploadError::Unavailable { after, .. }) = &mut result else {
            rule.circuit.close();
            return result;
        };
        let now = now();
        if rule.circuit.fail(now, *after) {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(after) = after {
            rule.budget.hold(now + (*after).min(LONGEST_ASKED));
            // Another rule may take it sooner.
            let waits = self
                .all
                .iter()
                .map(|rule| rule.budget.held(now).max(rule.circuit.rests(now).unwrap_or_default()));
            *after = waits.min().unwrap_or(*after);
        }
        result
    }

    /// How many circuits opened since this was last asked.
    pub(super) fn opened(&self) -> u64 {
        self.opened.swap(0, Ordering::Relaxed)
    }

    /// A place for an upload of so many bytes.
    fn place(&self, now: Instant, bytes: usize) -> Result<Place<'_>, Full> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut places: Vec<_> =
            (0..self.all.len()).map(|step| turn.wrapping_add(step) % self.all.len()).collect();
        places.sort_by_key(|place| self.all[*place].in_flight.load(Ordering::Relaxed));
        let (mut resting, mut soon) = (Duration::MAX, Duration::MAX);
        for rule in places.into_iter().map(|place| &self.all[place]) {
            // What can't be posted costs no budget.
            let admitted = match rule.circuit.pause(now) {
                None => match rule.budget.spend(now, bytes) {
                    Ok(()) => rule.circuit.admit(now),
                    Err(wait) => {
                        soon = soon.min(wait);
                        continue;
                    }
                },
                Some(pause) => Err(pause),
            };
            match admitted {
                Ok(()) => {
                    rule.in_flight.fetch_add(1, Ordering::Relaxed);
                    return Ok(Place(rule));
                }
                Err(Pause::Rest(rest)) => resting = resting.min(rest),
                Err(Pause::Trial(wait)) => soon = soon.min(wait),
            }
        }
        Err(if soon < Duration::MAX { Full::Soon(soon) } else { Full::Resting(resting) })
    }

    /// How long all circuits are open.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        let rests = self.all.iter().map(|rule| rule.circuit.rests(now));
        rests.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(count: usize) -> Rules {
        Rules::new(
            (0..count)
                .map(|number| DataCollectionRule {
                    endpoint: String::new(),
                    dcr_immutable_id: number.to_string(),
                })
                .collect(),
        )
    }

    fn id<'a>(place: &'a Place<'_>) -> &'a str {
        &place.0.address.dcr_immutable_id
    }

    #[test]
    fn uploads_go_where_the_least_is_in_flight() {
        let (rules, now) = (rules(3), Instant::now());
        let mut places: Vec<_> = (0..6).map(|_| rules.place(now, 1).ok().unwrap()).collect();
        for number in ["0", "1", "2"] {
            assert_eq!(places.iter().filter(|place| id(place) == number).count(), 2);
        }
        places.retain(|place| id(place) != "1");
        assert_eq!(id(&rules.place(now, 1).ok().unwrap()), "1");
    }

    #[test]
    fn a_rule_whose_circuit_is_open_is_passed_over() {
        let (rules, now) = (rules(2), Instant::now());
        let place = rules.place(now, 1).ok().unwrap();
        while !place.0.circuit.fail(now, None) {}
        let failed = id(&place).to_owned();
        drop(place);
        assert_eq!(rules.rests(now), None);
        for _ in 0..4 {
            assert_ne!(id(&rules.place(now, 1).ok().unwrap()), failed);
        }
        let place = rules.place(now, 1).ok().unwrap();
        while !place.0.circuit.fail(now, None) {}
        drop(place);
        assert!(rules.rests(now).is_some());
        assert!(matches!(rules.place(now, 1), Err(Full::Resting(_))));
    }
}
