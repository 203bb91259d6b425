//! Finds what a selection asks for: folders level by level, then keys page by page, never all of them at once.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::BackfillError;
use super::layout::{Range, is_account, is_organization};
use super::plan::Found;
use super::selection::{Selection, Verdict, Wanted};
use crate::aws::{Bucket, BucketError, Listed};

/// Listings that run at once: S3 takes thousands a second, and each takes a tenth of a second.
pub(super) const LISTINGS_AT_ONCE: usize = 8;

/// The ranges of keys that hold what is selected, in the order of their keys.
///
/// # Errors
/// If S3 refuses, or there is nothing of the kind.
pub async fn ranges(bucket: &Bucket, selection: &Selection) -> Result<Vec<Range>, BackfillError> {
    if selection.raw {
        return Ok(vec![Range::all(selection.source.prefix.clone())]);
    }
    let wanted = selection.wanted().map_err(BackfillError::Usage)?;
    let folders = regions(bucket, selection).await?;
    Ok(folders.iter().map(|folder| selection.period.days(folder, &wanted.path.rest)).collect())
}

/// The folders of the regions that are selected, in the order of their keys.
///
/// # Errors
/// If S3 refuses, or there is nothing of the kind.
pub async fn regions(bucket: &Bucket, selection: &Selection) -> Result<Vec<String>, BackfillError> {
    let wanted = selection.wanted().map_err(BackfillError::Usage)?;
    let accounts = accounts(bucket, &wanted).await?;
    if accounts.is_empty() {
        return Err(BackfillError::NoAccounts {
            bucket: selection.source.bucket.clone(),
            root: wanted.path.root,
        });
    }
    let wanted = &wanted;
    let services = accounts
        .iter()
        .flat_map(|account| wanted.services.iter().map(move |service| format!("{account}{service}/")));
    let regions = stream::iter(services)
        .map(|service| async move {
            let names = match &wanted.regions[..] {
                [] => bucket.folders(&service).await?,
                given => given.to_vec(),
            };
            let folders = names.iter().map(|region| format!("{service}{region}/"));
            Ok::<Vec<_>, BucketError>(folders.collect())
        })
        .buffer_unordered(LISTINGS_AT_ONCE);
    let mut folders: Vec<String> = regions.try_concat().await?;
    folders.sort();
    Ok(folders)
}

/// The folders of the accounts, those of organizations' trails too.
async fn accounts(bucket: &Bucket, wanted: &Wanted) -> Result<Vec<String>, BucketError> {
    let path = &wanted.path;
    let is_wanted =
        |name: &String| is_account(name) && (wanted.accounts.is_empty() || wanted.accounts.contains(name));
    let below = |folder: &str, names: &[String]| -> Vec<String> {
        names.iter().filter(|name| is_wanted(name)).map(|name| format!("{folder}{name}/")).collect()
    };
    if let Some(organization) = &path.organization {
        let folder = format!("{}{organization}/", path.root);
        return Ok(below(&folder, &bucket.folders(&folder).await?));
    }
    let names = bucket.folders(&path.root).await?;
    let mut found = below(&path.root, &names);
    // A prefix that names an account says that it is not an organization's.
    for organization in names.iter().filter(|name| path.account.is_none() && is_organization(name)) {
        let folder = format!("{}{organization}/", path.root);
        found.extend(below(&folder, &bucket.folders(&folder).await?));
    }
    Ok(found)
}

/// Walks a range page by page, as long as whoever takes the objects wants more.
///
/// # Errors
/// If S3 refuses.
pub(super) async fn walk(
    bucket: &Bucket,
    selection: &Selection,
    range: &Range,
    mut take: impl AsyncFnMut(Listed) -> bool,
) -> Result<Found, BucketError> {
    let (mut found, mut next) = (Found::default(), None);
    loop {
        let page = bucket.objects(&range.prefix, range.after.as_deref(), next.as_deref()).await?;
        for object in page.objects {
            if range.before.as_ref().is_some_and(|before| *before <= object.key) {
                return Ok(found);
            }
            match selection.judge(&object.key, object.bytes, object.modified, object.is_archived) {
                Verdict::Take => {
                    found.files += 1;
                    found.bytes += object.bytes;
                    if !take(object).await {
                        return Ok(found);
                    }
                }
                Verdict::Archived => found.archived += 1,
                Verdict::Other => found.other += 1,
                Verdict::OutOfPeriod => {}
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(found);
        }
    }
}
