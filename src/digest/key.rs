//! The keys of digests, as AWS makes them, wherever their prefix stands.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html>:
//! `…/AWSLogs/[o-…/]<account>/CloudTrail-Digest/<region>/yyyy/mm/dd/`
//! `<account>_CloudTrail-Digest_<region>_<trail>_<home region>_<end>[_backfill].json.gz`. A name proves nothing: it only
//! says which chain a digest claims to belong to.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The folder of the digests.
const SERVICE: &str = "CloudTrail-Digest";

/// What a digest's key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestKey {
    /// The chain that it claims to belong to.
    pub chain: Chain,
    /// When the time ends that it speaks of.
    pub end: Timestamp,
    /// Whether it names files that came too late for the digest of their time.
    pub is_backfill: bool,
}

/// Whose digests follow one upon another: those of one trail for one account and region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chain {
    /// The organization whose trail it is.
    pub organization: Option<String>,
    /// The account whose files it lists.
    pub account: String,
    /// The region whose files it lists.
    pub region: String,
    /// The trail's name.
    pub trail: String,
    /// The region that the trail was made in.
    pub home_region: String,
}

impl DigestKey {
    /// Reads a key; none if it is no digest's.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (folder, name) = key.rsplit_once('/')?;
        let mut folders = folder.rsplit('/');
        if !folders.by_ref().take(3).all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        let region = folders.next().filter(|region| is_region(region))?;
        if folders.next()? != SERVICE {
            return None;
        }
        let account = folders
            .next()
            .filter(|text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let above = folders.next()?;
        let organization = above.starts_with("o-").then(|| above.to_owned());
        if organization.is_some() && folders.next()? != "AWSLogs"
            || organization.is_none() && above != "AWSLogs"
        {
            return None;
        }
        let name = name.strip_suffix(".json.gz")?;
        let (name, is_backfill) = name.strip_suffix("_backfill").map_or((name, false), |name| (name, true));
        let name = name.strip_prefix(&format!("{account}_{SERVICE}_{region}_"))?;
        let (name, end) = name.rsplit_once('_')?;
        let end = DateTime::strptime("%Y%m%dT%H%M%S", end.strip_suffix('Z')?).ok()?;
        let (trail, home_region) = name.rsplit_once('_')?;
        if trail.is_empty() || !is_region(home_region) {
            return None;
        }
        let chain = Chain {
            organization,
            account: account.to_owned(),
            region: region.to_owned(),
            trail: trail.to_owned(),
            home_region: home_region.to_owned(),
        };
        Some(Self { chain, end: Offset::UTC.to_timestamp(end).ok()?, is_backfill })
    }
}

/// Whether a text can be a region's name: hosts are made of it.
fn is_region(text: &str) -> bool {
    text.contains('-') && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/10/";
    const NAME: &str =
        "111122223333_CloudTrail-Digest_eu-west-1_my_own-trail.1_us-east-1_20260310T100131Z.json.gz";

    #[test]
    fn a_key_is_read_wherever_its_prefix_stands() {
        for (prefix, organization) in [("", None), ("a/AWSLogs/", None), ("x/y/", None)] {
            let read = DigestKey::parse(&format!("{prefix}{FOLDER}{NAME}")).unwrap();
            assert_eq!(read.chain.organization, organization, "{prefix}");
            assert_eq!(read.chain.trail, "my_own-trail.1");
            assert_eq!(
                (read.chain.account.as_str(), read.chain.region.as_str(), read.chain.home_region.as_str()),
                ("111122223333", "eu-west-1", "us-east-1")
            );
            assert_eq!((read.end, read.is_backfill), ("2026-03-10T10:01:31Z".parse().unwrap(), false));
        }
        let of_organization = format!("p/{FOLDER}{NAME}").replace("AWSLogs/", "AWSLogs/o-abc123/");
        assert_eq!(
            DigestKey::parse(&of_organization).unwrap().chain.organization.as_deref(),
            Some("o-abc123")
        );
        let backfill = format!("{FOLDER}{NAME}").replace(".json.gz", "_backfill.json.gz");
        assert!(DigestKey::parse(&backfill).unwrap().is_backfill);
    }

    #[test]
    fn what_is_no_digest_is_not_taken_for_one() {
        let whole = format!("{FOLDER}{NAME}");
        for (part, other) in [
            ("CloudTrail-Digest/", "CloudTrail/"),
            ("AWSLogs/", "Logs/"),
            ("AWSLogs/111122223333", "AWSLogs/1111"),
            ("111122223333_", "444455556666_"),
            ("_eu-west-1_", "_eu-west-2_"),
            ("_us-east-1_", "_evil.example_"),
            ("eu-west-1/", "evil.example/"),
            ("T100131Z", "T1001Z"),
            (".json.gz", ".json"),
            ("my_own-trail.1_", "_"),
            ("2026/03/10/", "2026/03/x/"),
        ] {
            let other = whole.replace(part, other);
            assert_ne!(other, whole);
            assert_eq!(DigestKey::parse(&other), None, "{other}");
        }
        assert_eq!(DigestKey::parse(NAME), None);
        assert_eq!(DigestKey::parse(""), None);
    }
}
