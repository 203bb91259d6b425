//! The data collection rules that share the load: the next upload goes to the one with the least in flight that has
//! budget left and whose circuit lets it through. What one refuses the others are asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use super::budget::{Budget, DOCUMENTED};
use super::circuit::{Circuit, LONGEST_ASKED, Pause};
use super::retry::LONGEST;
use super::standing::{Standings, is_recent};
use super::{UploadCosts, UploadError, now};
use crate::config::DataCollectionRule;
use crate::failure::{Disposition, Reason};
use crate::json;
use crate::table::Table;

/// One rule and how it fares.
struct Rule {
    address: DataCollectionRule,
    circuit: Circuit,
    budget: Budget,
    in_flight: AtomicUsize,
    standings: Standings,
}

/// All rules.
pub(super) struct Rules {
    all: Vec<Rule>,
    /// Where to begin among those that have as little in flight.
    turn: AtomicUsize,
    /// Circuits that opened and have not been told of yet.
    opened: AtomicU64,
    /// Why rules were passed over, where that has not been told of yet.
    passed_over: Mutex<Vec<Reason>>,
    /// When the rules last agreed that rows of a table are at fault.
    agreed_at: Mutex<BTreeMap<Table, Instant>>,
}

/// Why no rule takes an upload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// All circuits are open.
    Resting(Duration),
    /// What is not resting has spent its budget, or is being tried: worth asking again after so long.
    Soon(Duration),
}

/// An upload's place at a rule, by its number, until it is dropped.
struct Place<'a>(usize, &'a AtomicUsize);

/// What the rules said of one body.
#[derive(Default)]
struct Round {
    asked: Vec<usize>,
    rejected_by: Vec<usize>,
    passed_over: Vec<Reason>,
    /// The first rejection (400), and the first refusal (403, 404).
    rejection: Option<UploadError>,
    refusal: Option<UploadError>,
}

impl Rules {
    pub(super) fn new(rules: Vec<DataCollectionRule>) -> Self {
        let now = now();
        let rules = rules.into_iter().map(|address| Rule {
            address,
            circuit: Circuit::new(),
            budget: Budget::new(DOCUMENTED, now),
            in_flight: AtomicUsize::default(),
            standings: Standings::default(),
        });
        Self {
            all: rules.collect(),
            turn: AtomicUsize::default(),
            opened: AtomicU64::default(),
            passed_over: Mutex::default(),
            agreed_at: Mutex::default(),
        }
    }

    /// Uploads a body, the rows of a table, to one of the rules. What one rule refuses (403, 404) or rejects (400) the
    /// others are asked for, before an operator is or the rows are given up.
    pub(super) async fn upload<F: Future<Output = Result<(), UploadError>>>(
        &self,
        table: Table,
        body: &[u8],
        post: impl Fn(&DataCollectionRule) -> F,
    ) -> Result<(), UploadError> {
        let mut round = Round::default();
        let result = loop {
            let place = match self.next_place(table, body.len(), &round).await {
                Ok(Some(place)) => place,
                Ok(None) => break self.refusal_of_all(table, &mut round),
                Err(rest) => break self.refusal_without_others(table, body, &mut round, rest),
            };
            let rule = &self.all[place.0];
            round.asked.push(place.0);
            let result = self.post(rule, post(&rule.address)).await;
            let now = now();
            let Err(error) = result else {
                rule.standings.took(table, now);
                for rejecting in std::mem::take(&mut round.rejected_by) {
                    self.pass_over(rejecting, table, Reason::Misconfigured, &mut round);
                }
                break Ok(());
            };
            match error.disposition() {
                Disposition::Permanent(reason @ (Reason::Forbidden | Reason::Misconfigured)) => {
                    self.pass_over(place.0, table, reason, &mut round);
                    round.refusal.get_or_insert(error);
                }
                Disposition::Poison(Reason::Rejected) => {
                    let has_second = !round.rejected_by.is_empty() && rule.standings.is_sound(table, now);
                    round.rejected_by.push(place.0);
                    round.rejection.get_or_insert(error);
                    let is_agreed = is_recent(self.agreed_at().get(&table).copied(), now);
                    if has_second || (is_agreed && !is_one_row(body)) {
                        break self.refusal_of_all(table, &mut round);
                    }
                }
                _ => break Err(error),
            }
        };
        let asks_operator = |error: &UploadError| matches!(error.disposition(), Disposition::Permanent(_));
        if !result.as_ref().is_err_and(asks_operator) {
            self.passed_over().append(&mut round.passed_over);
        }
        result
    }

    /// Posts to a rule, whose circuit learns how it went.
    async fn post(
        &self,
        rule: &Rule,
        posted: impl Future<Output = Result<(), UploadError>>,
    ) -> Result<(), UploadError> {
        let mut result = posted.await;
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

    /// Lets the other rules take the table's rows for a while.
    fn pass_over(&self, number: usize, table: Table, reason: Reason, round: &mut Round) {
        let rule = &self.all[number];
        rule.standings.refused(table, now());
        round.passed_over.push(reason);
        if self.all.len() > 1 {
            let (rule, table, reason) = (&rule.address.dcr_immutable_id, table.name(), reason.name());
            warn!(
                rule,
                table, reason, "a data collection rule refuses rows, and is passed over for a minute"
            );
        }
    }

    /// What to say when no rule is left that could be asked.
    fn refusal_of_all(&self, table: Table, round: &mut Round) -> Result<(), UploadError> {
        if round.rejected_by.len() > 1 {
            self.agreed_at().insert(table, now());
        }
        // A rule that rejects some rows takes others; one that refuses takes none.
        round.rejection.take().or(round.refusal.take()).map_or(Ok(()), Err)
    }

    /// What to say when the rules that could be asked yet rest.
    fn refusal_without_others(
        &self,
        table: Table,
        body: &[u8],
        round: &mut Round,
        rest: Duration,
    ) -> Result<(), UploadError> {
        let is_sound = |number: &usize| self.all[*number].standings.is_sound(table, now());
        match round.rejection.take() {
            // The rejection of several rows gives up none, and a rule that takes rows is not at fault.
            Some(error) if !is_one_row(body) || round.rejected_by.iter().any(is_sound) => Err(error),
            _ => Err(UploadError::Resting { rest }),
        }
    }

    /// Tells what happened since this was last asked.
    pub(super) fn account(&self, costs: &mut UploadCosts) {
        costs.circuit_open = self.opened.swap(0, Ordering::Relaxed);
        costs.passed_over = std::mem::take(&mut *self.passed_over());
        costs.failed += costs.passed_over.len() as u64;
    }

    fn passed_over(&self) -> MutexGuard<'_, Vec<Reason>> {
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agreed_at(&self) -> MutexGuard<'_, BTreeMap<Table, Instant>> {
        self.agreed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at a rule that was not asked yet and does not refuse the table's rows; at any if all do, so that one that
    /// is mended is found. None if no such rule is left.
    ///
    /// # Errors
    /// With for how long they rest.
    async fn next_place(
        &self,
        table: Table,
        bytes: usize,
        round: &Round,
    ) -> Result<Option<Place<'_>>, Duration> {
        loop {
            let now = now();
            let refuses = |number: &usize| self.all[*number].standings.refuses(table, now);
            let mut candidates: Vec<_> = (0..self.all.len())
                .filter(|number| !round.asked.contains(number) && !refuses(number))
                .collect();
            if candidates.is_empty() && round.asked.is_empty() {
                candidates = (0..self.all.len()).collect();
            }
            if candidates.is_empty() {
                return Ok(None);
            }
            match self.place(now, bytes, &candidates) {
                Ok(place) => return Ok(Some(place)),
                Err(Full::Soon(wait)) if wait <= LONGEST => tokio::time::sleep(wait).await,
                Err(Full::Soon(rest) | Full::Resting(rest)) => return Err(rest),
            }
        }
    }

    /// A place for an upload of so many bytes at one of these rules.
    fn place(&self, now: Instant, bytes: usize, candidates: &[usize]) -> Result<Place<'_>, Full> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut places: Vec<_> = (0..candidates.len())
            .map(|step| candidates[turn.wrapping_add(step) % candidates.len()])
            .collect();
        places.sort_by_key(|place| self.all[*place].in_flight.load(Ordering::Relaxed));
        let (mut resting, mut soon) = (Duration::MAX, Duration::MAX);
        for number in places {
            let rule = &self.all[number];
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
                    return Ok(Place(number, &rule.in_flight));
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
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a body, an array, holds one row: it can't be bisected.
fn is_one_row(body: &[u8]) -> bool {
    let mut rows = 0;
    let counted =
        std::str::from_utf8(body).is_ok_and(|body| json::for_each_element(body, |_| rows += 1).is_ok());
    counted && rows == 1
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

    fn place(rules: &Rules, now: Instant) -> Result<Place<'_>, Full> {
        rules.place(now, 1, &(0..rules.all.len()).collect::<Vec<_>>())
    }

    #[test]
    fn uploads_go_where_the_least_is_in_flight() {
        let (rules, now) = (rules(3), Instant::now());
        let mut places: Vec<_> = (0..6).map(|_| place(&rules, now).ok().unwrap()).collect();
        for number in 0..3 {
            assert_eq!(places.iter().filter(|place| place.0 == number).count(), 2);
        }
        places.retain(|place| place.0 != 1);
        assert_eq!(place(&rules, now).ok().unwrap().0, 1);
    }

    #[test]
    fn a_rule_whose_circuit_is_open_is_passed_over() {
        let (rules, now) = (rules(2), Instant::now());
        let open = |number: usize| while !rules.all[number].circuit.fail(now, None) {};
        let failed = place(&rules, now).ok().unwrap().0;
        open(failed);
        assert_eq!(rules.rests(now), None);
        for _ in 0..4 {
            assert_ne!(place(&rules, now).ok().unwrap().0, failed);
        }
        open(1 - failed);
        assert!(rules.rests(now).is_some());
        assert!(matches!(place(&rules, now), Err(Full::Resting(_))));
    }

    const TABLE: Table = Table::AwsCloudTrail;
    const TWO_ROWS: &[u8] = b"[{},{}]";

    fn rejected() -> Result<(), UploadError> {
        Err(UploadError::Rejected { code: "X".to_owned(), request_id: "1".to_owned() })
    }

    fn forbidden() -> Result<(), UploadError> {
        Err(UploadError::Forbidden { code: "X".to_owned() })
    }

    fn down() -> Result<(), UploadError> {
        Err(UploadError::no_answer("503"))
    }

    /// Uploads, and says which rules were asked.
    async fn upload(
        rules: &Rules,
        body: &[u8],
        answers: &[fn() -> Result<(), UploadError>],
    ) -> (Result<(), UploadError>, String) {
        let asked = Mutex::new(String::new());
        let result = rules.upload(TABLE, body, |rule| {
            asked.lock().unwrap().push_str(&rule.dcr_immutable_id);
            std::future::ready(answers[rule.dcr_immutable_id.parse::<usize>().unwrap()]())
        });
        let result = result.await;
        (result, asked.into_inner().unwrap())
    }

    fn passed_over(rules: &Rules) -> Vec<Reason> {
        let mut costs = UploadCosts::default();
        rules.account(&mut costs);
        costs.passed_over
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_rule_refuses_another_takes_and_the_first_is_passed_over_for_a_while() {
        for (refuses, reason) in
            [(forbidden as fn() -> _, Reason::Forbidden), (rejected, Reason::Misconfigured)]
        {
            let rules = rules(2);
            let answers = [refuses, || Ok(())];
            assert_eq!(upload(&rules, TWO_ROWS, &answers).await, (Ok(()), "01".to_owned()));
            assert_eq!(passed_over(&rules), [reason]);
            for _ in 0..4 {
                assert_eq!(upload(&rules, TWO_ROWS, &answers).await, (Ok(()), "1".to_owned()));
            }
            assert_eq!(passed_over(&rules), []);
            tokio::time::advance(Duration::from_mins(1)).await;
            let asked =
                [upload(&rules, TWO_ROWS, &answers).await.1, upload(&rules, TWO_ROWS, &answers).await.1];
            assert!(asked.concat().contains('0'), "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_every_rule_refuses_is_told_once_each_and_then_by_one() {
        let rules = rules(3);
        let refusals = [forbidden as fn() -> _, forbidden, forbidden];
        let (result, asked) = upload(&rules, TWO_ROWS, &refusals).await;
        assert_eq!((result, asked.len()), (forbidden(), 3));
        // The message asks for the operator itself.
        assert_eq!(passed_over(&rules), []);
        let (result, asked) = upload(&rules, TWO_ROWS, &refusals).await;
        assert_eq!((result, asked.len()), (forbidden(), 1));
        assert_eq!(upload(&rules, TWO_ROWS, &[|| Ok(()), || Ok(()), || Ok(())]).await.0, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_rule_alone_is_asked_each_time() {
        let rules = rules(1);
        for (answer, result) in [(forbidden as fn() -> _, forbidden()), (rejected, rejected())] {
            for body in [TWO_ROWS, b"[{}]"] {
                assert_eq!(upload(&rules, body, &[answer]).await, (result.clone(), "0".to_owned()));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_all_rules_reject_cost_one_more_post_at_the_first_and_for_each_single_row() {
        let rules = rules(2);
        let answers = [rejected as fn() -> _, rejected];
        let mut asked = Vec::new();
        for body in [TWO_ROWS, TWO_ROWS, TWO_ROWS, b"[{}]"] {
            let (result, by) = upload(&rules, body, &answers).await;
            assert_eq!(result, rejected());
            asked.push(by.len());
        }
        assert_eq!(asked, [2, 1, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_row_is_given_up_only_by_the_word_of_a_rule_that_takes_rows() {
        let rules = rules(3);
        assert_eq!(upload(&rules, b"[{}]", &[rejected, rejected, || Ok(())]).await.0, Ok(()));
        // Two do not take it, and the third can't be asked.
        let answers = [rejected as fn() -> _, rejected, down];
        let rules = self::rules(3);
        while !rules.all[2].circuit.fail(now(), None) {}
        assert!(matches!(upload(&rules, b"[{}]", &answers).await.0, Err(UploadError::Resting { .. })));
        // Several rows are taken apart meanwhile.
        assert_eq!(upload(&rules, TWO_ROWS, &answers).await.0, rejected());
        rules.all[0].standings.took(TABLE, now());
        assert_eq!(upload(&rules, b"[{}]", &answers).await.0, rejected());
    }

    #[tokio::test(start_paused = true)]
    async fn no_operator_is_asked_while_another_rule_rests_but_the_alarm_rings() {
        let rules = rules(2);
        while !rules.all[1].circuit.fail(now(), None) {}
        let (result, _) = upload(&rules, TWO_ROWS, &[forbidden, down]).await;
        assert!(matches!(result, Err(UploadError::Resting { .. })), "{result:?}");
        assert_eq!(passed_over(&rules), [Reason::Forbidden]);
    }
}
