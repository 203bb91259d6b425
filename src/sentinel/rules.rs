//! The data collection rules that share the load: the next upload goes to the one with the least in flight that has
//! budget left and whose circuit lets it through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::budget::{Budget, DOCUMENTED};
use super::circuit::{Circuit, Pause};
use crate::config::DataCollectionRule;

/// One rule and how it fares.
struct Rule {
    settings: DataCollectionRule,
    circuit: Circuit,
    budget: Budget,
    in_flight: AtomicUsize,
}

/// All rules.
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Where to begin among those that have as little in flight.
    turn: AtomicUsize,
}

/// Why no rule takes an upload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All circuits are open.
    Resting(Duration),
    /// What is not resting has spent its budget, or is being tried: worth asking again after so long.
    Soon(Duration),
}

/// An upload's place at a rule, until it is dropped.
pub(super) struct Place<'a>(&'a Rule);

impl Rules {
    pub(super) fn new(rules: Vec<DataCollectionRule>) -> Self {
        let now = Instant::now();
        let rules = rules.into_iter().map(|settings| Rule {
            settings,
            circuit: Circuit::new(),
            budget: Budget::new(DOCUMENTED, now),
            in_flight: AtomicUsize::default(),
        });
        Self { rules: rules.collect(), turn: AtomicUsize::default() }
    }

    /// A place for an upload of so many bytes.
    pub(super) fn place(&self, now: Instant, bytes: usize) -> Result<Place<'_>, Full> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut places: Vec<_> =
            (0..self.rules.len()).map(|step| turn.wrapping_add(step) % self.rules.len()).collect();
        places.sort_by_key(|place| self.rules[*place].in_flight.load(Ordering::Relaxed));
        let (mut resting, mut soon) = (Duration::MAX, Duration::MAX);
        for rule in places.into_iter().map(|place| &self.rules[place]) {
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
        let rests = self.rules.iter().map(|rule| rule.circuit.rests(now));
        rests.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

impl Place<'_> {
    pub(super) const fn settings(&self) -> &DataCollectionRule {
        &self.0.settings
    }

    pub(super) const fn circuit(&self) -> &Circuit {
        &self.0.circuit
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
        &place.settings().dcr_immutable_id
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
        while !place.circuit().fail(now, None) {}
        let failed = id(&place).to_owned();
        drop(place);
        assert_eq!(rules.rests(now), None);
        for _ in 0..4 {
            assert_ne!(id(&rules.place(now, 1).ok().unwrap()), failed);
        }
        let place = rules.place(now, 1).ok().unwrap();
        while !place.circuit().fail(now, None) {}
        drop(place);
        assert!(rules.rests(now).is_some());
        assert!(matches!(rules.place(now, 1), Err(Full::Resting(_))));
    }

    /// Uploads of 1 MB that so many rules take in five minutes, with the clock turned on by hand.
    fn taken_in_five_minutes(count: usize) -> usize {
        let (rules, start) = (rules(count), Instant::now());
        let (mut now, mut taken) = (start, 0);
        while now - start < Duration::from_mins(5) {
            match rules.place(now, 1_000_000) {
                Ok(_) => taken += 1,
                Err(Full::Soon(wait) | Full::Resting(wait)) => now += wait + Duration::from_micros(1),
            }
        }
        taken
    }

    #[test]
    fn throughput_grows_with_the_rules() {
        let one = taken_in_five_minutes(1);
        for count in [2, 4, 8] {
            let taken = taken_in_five_minutes(count);
            assert!(taken.abs_diff(one * count) <= count, "{count} rules: {taken}, one: {one}");
        }
    }
}
