//! An hour of an account-region: what is known of it, and the one word for that.

use std::ops::AddAssign;

use jiff::Timestamp;

use crate::delivery::Counts;
use crate::digest::Account;

/// The files of an hour that lie in S3, and no digest lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// Those that lie there.
    pub found: u64,
    /// Those that were delivered.
    pub delivered: u64,
    /// Those that could not be delivered, and stand in letters.
    pub in_letters: u64,
    /// Those that were not delivered.
    pub missing: u64,
    /// Those that are on their way, as far as can be known.
    pub under_way: u64,
    /// The records of those that were delivered.
    pub counts: Counts,
}

impl AddAssign<&Self> for Unlisted {
    fn add_assign(&mut self, other: &Self) {
        self.found += other.found;
        self.delivered += other.delivered;
        self.in_letters += other.in_letters;
        self.missing += other.missing;
        self.under_way += other.under_way;
        self.counts.add(other.counts);
    }
}

/// The one word for an hour; of several, the last in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A digest vouches for it, and all that it lists and all that lies in S3 was delivered.
    Complete,
    /// Its digest is not due yet, or a file has come just now.
    Pending,
    /// No digest vouches for it: what is there was delivered.
    Unvouched,
    /// It could not be looked at.
    Unchecked,
    /// A file was not delivered.
    Incomplete,
    /// A file is gone.
    Gone,
    /// Digests of it were removed, or kept from being written.
    Unsealed,
    /// A digest of it is none of `CloudTrail`'s, or was changed.
    Unverified,
    /// A file was altered.
    Altered,
}

impl State {
    /// All of them, the best first.
    pub const ALL: [Self; 9] = [
        Self::Complete,
        Self::Pending,
        Self::Unvouched,
        Self::Unchecked,
        Self::Incomplete,
        Self::Gone,
        Self::Unsealed,
        Self::Unverified,
        Self::Altered,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Pending => "pending",
            Self::Unvouched => "unvouched",
            Self::Unchecked => "unchecked",
            Self::Incomplete => "incomplete",
            Self::Gone => "gone",
            Self::Unsealed => "unsealed",
            Self::Unverified => "unverified",
            Self::Altered => "altered",
        }
    }

    /// What it says, for a reader.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Complete => {
                "a digest vouches for it, and all that it lists and all that lies in S3 was delivered"
            }
            Self::Pending => "its digest is not due yet, or a file has come just now",
            Self::Unvouched => "no digest vouches for it; all files that are there were delivered",
            Self::Unchecked => "it could not be looked at",
            Self::Incomplete => "a file was not delivered, or records of it stand in letters",
            Self::Gone => "a file is gone",
            Self::Unsealed => "digests were removed, or kept from being written",
            Self::Unverified => "a digest is none that CloudTrail wrote, or was changed",
            Self::Altered => "a file was altered, or overwritten",
        }
    }
}

/// What is known of an hour.
#[derive(Clone, Debug)]
pub struct Hour {
    /// Its first moment.
    pub begins: Timestamp,
    /// Genuine digests of it.
    pub digests: u64,
    /// What became of the files that they list.
    pub account: Account,
    /// The other files.
    pub unlisted: Unlisted,
    /// The word for it.
    pub state: State,
    /// A genuine digest is about it, and all that it lists was looked at.
    pub(super) is_vouched_for: bool,
    /// All files that lie in S3 were looked at.
    pub(super) is_walked: bool,
}

impl Hour {
    /// An hour of which nothing is known yet.
    pub(super) fn new(begins: Timestamp) -> Self {
        let (account, unlisted) = (Account::default(), Unlisted::default());
        let state = State::Complete;
        Self { begins, digests: 0, account, unlisted, state, is_vouched_for: false, is_walked: false }
    }

    /// It is no better than that.
    pub(super) fn worsen(&mut self, state: State) {
        self.state = self.state.max(state);
    }

    /// Says what it is at best: each word needs what was seen for it.
    pub(super) fn conclude(&mut self, is_due: bool) {
        let best = if !self.is_walked {
            State::Unchecked
        } else if !self.is_vouched_for {
            if is_due { State::Unvouched } else { State::Pending }
        } else if self.unlisted.under_way > 0 {
            State::Pending
        } else {
            State::Complete
        };
        self.worsen(best);
    }

    /// All its records.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut sum = self.account;
        sum.counts.add(self.unlisted.counts);
        sum.counts
    }
}
