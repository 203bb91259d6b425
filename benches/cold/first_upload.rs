//! From the first invocation, a finding, to its rows being taken: with a token that was fetched ahead, with one that is
//! still under way, and with one that the invocation has to fetch.

use std::path::Path;

use super::Failure;
use super::clouds::{Clouds, Seen};
use super::process::Process;
use super::runtime_api::RuntimeApi;

const FINDING: &str = include_str!("../../events/eventbridge-guardduty-finding.json");

/// When the first invocation comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    /// When Entra has refused a token at start: what comes of it is as if none had been asked for.
    WithoutToken,
    /// With the first poll.
    AtOnce,
    /// When Entra has given the token.
    WithToken,
}

impl First {
    pub(super) const ALL: [Self; 3] = [Self::WithoutToken, Self::AtOnce, Self::WithToken];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WithoutToken => "token by the invocation",
            Self::AtOnce => "invocation at the first poll",
            Self::WithToken => "token fetched ahead",
        }
    }

    /// Starts the function once; the milliseconds from the invocation to the upload.
    pub(super) fn measure(
        self,
        program: &Path,
        runtime: &RuntimeApi,
        clouds: &Clouds,
    ) -> Result<f64, Failure> {
        clouds.forget();
        clouds.set_down(matches!(self, Self::WithoutToken));
        let mut process = Process::start(program, runtime, &clouds.address)?;
        if !matches!(self, Self::AtOnce) {
            clouds.wait_for(Seen::Exchange)?;
        }
        clouds.set_down(false);
        let began = process.poll.invoke(FINDING)?;
        Ok((clouds.wait_for(Seen::Upload)? - began).as_secs_f64() * 1e3)
    }
}
