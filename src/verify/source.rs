//! Where to look: the folders of each account and region.

use std::collections::BTreeMap;

use crate::aws::Bucket;
use crate::backfill::layout::Path;
use crate::backfill::selection::Selection;
use crate::backfill::{BackfillError, regions};

/// The folder of the digests.
pub(super) const DIGESTS: &str = "CloudTrail-Digest";
/// What `CloudTrail` writes begins so, and digests vouch for nothing else.
pub(super) const VOUCHED_FOR: &str = "CloudTrail";

/// The folders of an account-region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The organization whose trail it is.
    pub organization: Option<String>,
    /// Where its digests lie; none if none can.
    pub digests: Option<String>,
    /// Where its files lie.
    pub files: Vec<String>,
}

/// The folders of the account-regions that are selected, those that the bucket shows.
///
/// # Errors
/// If S3 refuses.
pub async fn folders(bucket: &Bucket, selection: &Selection) -> Result<Vec<String>, BackfillError> {
    let path = Path::of(&selection.source.prefix);
    if path.service.is_some() {
        return Err(BackfillError::Usage(
            "name the bucket and the prefix before AWSLogs, or up to an account: --services, --regions and --from \
             say the rest"
                .to_owned(),
        ));
    }
    let mut services = selection.wanted().map_err(BackfillError::Usage)?.services;
    if services.iter().any(|service| service.starts_with(VOUCHED_FOR)) {
        services.push(DIGESTS.to_owned());
    }
    // A region that is asked for and is not there must show.
    let all = Selection { services, regions: Vec::new(), ..selection.clone() };
    let mut found = match regions(bucket, &all).await {
        Err(BackfillError::NoAccounts { .. }) => Vec::new(),
        found => found?,
    };
    let regions = &selection.regions;
    found.retain(|folder| {
        Path::of(folder).region.is_some_and(|region| regions.is_empty() || regions.contains(&region))
    });
    Ok(found)
}

/// Puts the folders of each account-region together.
pub(super) fn together<'f>(folders: impl IntoIterator<Item = &'f String>) -> Vec<Source> {
    let mut found: BTreeMap<(String, String, String), Source> = BTreeMap::new();
    for folder in folders {
        let path = Path::of(folder);
        let (Some(account), Some(service), Some(region)) = (path.account, path.service, path.region) else {
            continue;
        };
        let organization = path.organization;
        let above = format!("{}{}", path.root, organization.clone().unwrap_or_default());
        let source = found.entry((above, account.clone(), region.clone())).or_insert_with(|| Source {
            account,
            region,
            organization,
            digests: None,
            files: Vec::new(),
        });
        if service == DIGESTS {
            source.digests = Some(folder.clone());
        } else if !source.files.contains(folder) {
            source.files.push(folder.clone());
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_an_account_region_are_one_source() {
        let folders = [
            "p/AWSLogs/111122223333/CloudTrail/eu-west-1/",
            "p/AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/",
            "p/AWSLogs/o-x1/111122223333/CloudTrail/eu-west-1/",
            "p/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/",
            "p/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/",
        ]
        .map(str::to_owned);
        let found = together(&folders);
        let told: Vec<_> = found
            .iter()
            .map(|source| {
                (
                    source.organization.as_deref(),
                    &*source.region,
                    source.files.len(),
                    source.digests.is_some(),
                )
            })
            .collect();
        let expected = [
            (None, "eu-west-1", 2, true),
            (None, "us-east-1", 0, true),
            (Some("o-x1"), "eu-west-1", 1, false),
        ];
        assert_eq!(told, expected);
    }
}
