//! The clock of the ledger: what the answers of `DynamoDB` say of its time.
//!
//! Every answer bears a `Date` (<https://www.rfc-editor.org/rfc/rfc9110#field.date>), which has whole seconds and was
//! written at some moment between the request and the answer. Two workers' own clocks are never compared.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::delivery::LedgerTime;

/// What a `Date` leaves out.
const RESOLUTION: Duration = Duration::from_secs(1);

/// What the last answer said.
#[derive(Clone, Debug, Default)]
pub(super) struct LedgerClock(Arc<Mutex<Option<Reading>>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    date: Timestamp,
    /// The answer was written after the one and before the other.
    sent: Instant,
    received: Instant,
}

impl Reading {
    fn time(self, now: Instant) -> LedgerTime {
        let after = |since: Instant| {
            self.date.saturating_add(now.saturating_duration_since(since)).unwrap_or(Timestamp::MAX)
        };
        let latest = after(self.sent).saturating_add(RESOLUTION).unwrap_or(Timestamp::MAX);
        LedgerTime { earliest: after(self.received), latest }
    }
}

impl LedgerClock {
    /// The time, after the first answer.
    pub(super) fn time(&self) -> Option<LedgerTime> {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.map(|reading| reading.time(Instant::now()))
    }
}

#[derive(Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for LedgerClock {
    fn name(&self) -> &'static str {
        "LedgerClock"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(Instant::now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        if let Some((date, Sent(sent))) = date.zip(bag.load::<Sent>()) {
            let reading = Reading { date, sent: *sent, received: Instant::now() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_lies_between_what_the_date_and_the_way_of_the_answer_allow() {
        let sent = Instant::now();
        let reading = Reading {
            date: Timestamp::from_second(100).unwrap(),
            sent,
            // A worker that was frozen meanwhile.
            received: sent + Duration::from_secs(40),
        };
        let time = reading.time(sent + Duration::from_secs(42));
        assert_eq!((time.earliest.as_second(), time.latest.as_second()), (102, 143));
    }
}
