//! Each judgement, and that no byte can be changed unnoticed.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::forge::{FILES, Forged, Plan, gzip, key};
use super::*;
use crate::delivery::{Content, Counts, Entry, Settled, Stage};
use crate::json::hex;
use crate::task::ObjectRef;

fn document(forged: &Forged) -> Document {
    Document::read(&forged.bytes).unwrap()
}

fn checked(forged: &Forged) -> Result<(), Finding> {
    let place = DigestKey::parse(&forged.place.key).unwrap();
    let document = Document::read(&forged.bytes)?;
    check(&document, &place, &forged.place, Some(&forged.signature), Some(&key()))
}

#[test]
fn a_digest_is_read_and_its_signature_holds() {
    let first = Plan::new(9, None).forge();
    let second = Plan::new(10, Some(&first)).with("b.json.gz", b"b").with("a.json.gz", b"a").forge();
    assert_eq!((checked(&first), checked(&second)), (Ok(()), Ok(())));
    let read = document(&second);
    assert_eq!(read.account, "111122223333");
    assert_eq!(read.previous.unwrap().place, first.place);
    let folders = listed(&second.bytes).unwrap();
    let (folder, files) = folders.first_key_value().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!((folder.bucket.as_str(), folder.prefix.as_str()), (forge::BUCKET, FILES));
    assert_eq!(&*files[0].name, "a.json.gz");
    assert_eq!(files[0].sha256, <Hash>::from(Sha256::digest(b"a")));
    assert_eq!(hour_of(&document(&first)), "2026-03-10T09:00:00Z".parse().unwrap());
}

#[test]
fn the_signed_text_is_as_it_is_documented() {
    let first = document(&Plan::new(9, None).forge());
    let hash = hex(&first.sha256);
    let place = Plan::new(9, None).place();
    let expected = format!("2026-03-10T10:01:31Z\ntrail/{}\n{hash}\nnull", place.key);
    assert_eq!(first.signed_text(), expected);
}

#[test]
fn what_somebody_else_signed_or_put_there_is_found_out() {
    let good = Plan::new(9, None).with("a", b"a").forge();
    let by_forger = Plan { by_forger: true, ..Plan::new(9, None) }.forge();
    assert_eq!(checked(&by_forger), Err(Finding::BadSignature));
    let moved = Forged { place: Plan::new(11, None).place(), ..good.clone() };
    assert!(matches!(checked(&moved), Err(Finding::Moved { key, .. }) if key == good.place.key));

    let (read, lies_at) = (document(&good), DigestKey::parse(&good.place.key).unwrap());
    let with = |signature: Option<&Signature>, key: Option<&PublicKey>| {
        check(&read, &lies_at, &good.place, signature, key)
    };
    let own = &good.signature;
    assert_eq!(with(None, Some(&key())), Err(Finding::Unsigned));
    for other in [
        Signature { algorithm: "SHA1withRSA".to_owned(), ..own.clone() },
        Signature { hex: format!("{}0", own.hex), ..own.clone() },
        Signature { hex: own.hex.replace('a', "g"), ..own.clone() },
    ] {
        assert_eq!(with(Some(&other), Some(&key())), Err(Finding::Unsigned));
    }
    let past = PublicKey { valid_until: "2026-02-01T00:00:00Z".parse().unwrap(), ..key() };
    let other = PublicKey { fingerprint: "another".to_owned(), ..key() };
    for unfit in [None, Some(&past), Some(&other)] {
        assert!(matches!(with(Some(own), unfit), Err(Finding::UnknownKey { .. })));
    }
}

#[test]
fn what_is_no_digest_is_told_why() {
    let members = Plan::new(9, None).with("a", b"a").members();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut members = members.clone();
        change(&mut members);
        Document::read(&gzip(members.to_string().as_bytes()))
    };
    assert!(changed(&|_| {}).is_ok());
    assert!(changed(&|all| all["newMember"] = json!({"a": [1]})).is_ok(), "AWS adds members");
    assert_eq!(changed(&|all| all["digestSignatureAlgorithm"] = json!("MD5")), Err(Malformed::Algorithm));
    assert_eq!(changed(&|all| all["previousDigestSignature"] = json!("ab")), Err(Malformed::HalfLinked));
    assert_eq!(changed(&|all| all["digestEndTime"] = json!("soon")), Err(Malformed::Time));
    for (member, value) in [("hashValue", "ab"), ("hashAlgorithm", "MD5")] {
        let mut members = members.clone();
        members["logFiles"][0][member] = json!(value);
        let told = listed(&gzip(members.to_string().as_bytes()));
        assert!(matches!(told, Err(Malformed::Json { .. })), "{told:?}");
    }
    let mut no_list = members.clone();
    no_list["logFiles"] = json!(1);
    assert!(matches!(listed(&gzip(no_list.to_string().as_bytes())), Err(Malformed::Json { .. })));
    no_list.as_object_mut().unwrap().remove("logFiles");
    assert!(matches!(Document::read(&gzip(no_list.to_string().as_bytes())), Err(Malformed::Json { .. })));

    let good = Plan::new(9, None).forge().bytes;
    assert_eq!(Document::read(b"{}"), Err(Malformed::Gzip));
    assert_eq!(Document::read(&good[..good.len() - 1]), Err(Malformed::Gzip));
    for more in [&b"x"[..], &gzip(b"{}"), &[0]] {
        assert_eq!(Document::read(&[&good, more].concat()), Err(Malformed::BytesAfterGzip));
    }
    let bomb = gzip(&vec![b' '; 40 * 1024 * 1024]);
    assert_eq!(Document::read(&bomb), Err(Malformed::TooLong));
    assert_eq!(Document::read(&vec![0; MOST_BYTES + 1]), Err(Malformed::TooLong));
}

#[test]
fn ten_thousand_files_are_read_into_little_memory() {
    let mut plan = Plan::new(9, None);
    for number in 0..10_000 {
        plan =
            plan.with(&format!("111122223333_CloudTrail_eu-west-1_20260310T0905Z_{number:016}.json.gz"), b"");
    }
    let folders = listed(&plan.forge().bytes).unwrap();
    assert_eq!(folders.values().flatten().count(), 10_000);
    let kept: usize = folders.values().flatten().map(|file| size_of_val(file) + file.name.len()).sum();
    assert!(kept < 10_000 * 128, "{kept} bytes");
}

/// A chain of three, and what is remembered with the first two checked.
struct Three {
    digests: [Forged; 3],
    links: [Link; 2],
    head: Head,
}

fn three() -> Three {
    let first = Plan::new(9, None).forge();
    let second = Plan::new(10, Some(&first)).forge();
    let third = Plan::new(11, Some(&second)).forge();
    let [one, two] = [&first, &second].map(document);
    let head = Head::with(None, &one);
    let links =
        [Link::of(None, &one, &first.signature, None), Link::of(None, &two, &second.signature, Some(&head))];
    let head = Head::with(Some(head), &two);
    Three { digests: [first, second, third], links, head }
}

fn there(forged: &Forged) -> Found {
    Found::Something { sha256: sha256(&forged.bytes).ok(), signature: Some(forged.signature.clone()) }
}

fn joins(digest: &Forged, found: &Found, link: Option<&Link>, head: Option<&Head>) -> Vec<Finding> {
    let (document, key) = (document(digest), DigestKey::parse(&digest.place.key).unwrap());
    Joint { document: &document, key: &key, found, link, own: None, head }.findings()
}

#[test]
fn a_chain_holds_in_whatever_order_its_digests_come() {
    let Three { digests: [first, second, third], links, head } = three();
    assert_eq!(joins(&first, &Found::NotLookedAt, None, None), []);
    assert_eq!(joins(&second, &there(&first), Some(&links[0]), Some(&head)), []);
    assert_eq!(joins(&third, &there(&second), Some(&links[1]), Some(&head)), []);
    // The one before it is there, but not checked yet.
    assert_eq!(joins(&third, &there(&second), None, Some(&head)), []);
    // The first one that is ever seen, with its past gone.
    assert_eq!(joins(&third, &Found::Nothing, None, None), []);
    // Looked at again, and the beginning too.
    let all = Head::with(Some(head), &document(&third));
    assert_eq!(joins(&first, &Found::NotLookedAt, None, Some(&all)), []);
    assert_eq!(all.since, document(&first).start);
    assert_eq!((&all.key, all.end), (&third.place.key, document(&third).end));
}

#[test]
fn only_in_the_time_that_is_ours_the_digest_before_is_to_be_checked_too() {
    let Three { digests: [first, second, third], links, head } = three();
    let unchecked = |digest: &Forged, found: &Found, link: Option<&Link>, head: Option<&Head>| {
        let (document, key) = (document(digest), DigestKey::parse(&digest.place.key).unwrap());
        Joint { document: &document, key: &key, found, link, own: None, head }.unchecked().cloned()
    };
    assert_eq!(unchecked(&third, &there(&second), None, Some(&head)), Some(second.place.clone()));
    assert_eq!(unchecked(&third, &there(&second), Some(&links[1]), Some(&head)), None);
    assert_eq!(unchecked(&third, &there(&second), None, None), None);
    assert_eq!(unchecked(&third, &Found::Nothing, None, Some(&head)), None);
    let begins_here = Head::with(None, &document(&second));
    assert_eq!(unchecked(&second, &there(&first), None, Some(&begins_here)), None);
}

#[test]
fn removed_digests_are_a_gap_if_they_were_not_checked_before() {
    let Three { digests: [first, second, third], links, head } = three();
    let one = Head::with(None, &document(&first));
    let gap = Finding::Gap {
        missing: second.place.clone(),
        from: Some(document(&first).end),
        to: document(&third).start,
    };
    assert_eq!(
        gap.to_string(),
        "digests are gone: s3://trail/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/10/111122223333_\
         CloudTrail-Digest_eu-west-1_main_us-east-1_20260310T110131Z.json.gz, and so nothing vouches for the time \
         from 2026-03-10T10:01:31Z to 2026-03-10T11:01:31Z"
    );
    assert_eq!(joins(&third, &Found::Nothing, None, Some(&one)), [gap]);
    let removed = Finding::PreviousRemoved(second.place.clone());
    assert_eq!(joins(&third, &Found::Nothing, Some(&links[1]), Some(&head)), [removed]);
}

#[test]
fn a_digest_that_was_changed_after_the_next_one_named_it_is_found() {
    let Three { digests: [first, second, third], links, head } = three();
    // Signed as well as it may be: its hash and its signature are others.
    let forged = Plan::new(10, Some(&first)).with("x", b"x").forge();
    let changed = |what| vec![Finding::PreviousChanged(second.place.clone(), what)];
    assert_eq!(joins(&third, &there(&forged), None, Some(&head)), changed(Changed::Content));
    assert_eq!(joins(&third, &there(&forged), Some(&links[1]), Some(&head)), changed(Changed::Content));
    let resigned = Forged { signature: first.signature.clone(), ..second.clone() };
    assert_eq!(joins(&third, &there(&resigned), None, Some(&head)), changed(Changed::Signature));
    let unsigned = Found::Something { sha256: sha256(&second.bytes).ok(), signature: None };
    assert_eq!(joins(&third, &unsigned, None, Some(&head)), changed(Changed::Signature));
    let unreadable = Found::Something { sha256: None, signature: Some(second.signature.clone()) };
    assert_eq!(joins(&third, &unreadable, None, Some(&head)), changed(Changed::Content));
    let other = Link::of(None, &document(&forged), &forged.signature, None);
    assert_eq!(joins(&third, &there(&second), Some(&other), Some(&head)), changed(Changed::Content));
}

#[test]
fn a_chain_that_begins_anew_or_forks_is_found_and_a_backfill_is_neither() {
    let Three { digests: [_, second, third], links, head } = three();
    let anew = Plan::new(13, None).forge();
    let (from, to) = (head.end, document(&anew).start);
    assert_eq!(joins(&anew, &Found::NotLookedAt, None, Some(&head)), [Finding::Restarted { from, to }]);
    let backfill = Plan { is_backfill: true, ..Plan::new(13, None) }.forge();
    assert_eq!(joins(&backfill, &Found::NotLookedAt, None, Some(&head)), []);
    // Looked at once more, when the chain has gone on.
    let (read, key) = (document(&anew), DigestKey::parse(&anew.place.key).unwrap());
    let own = Link::of(None, &read, &anew.signature, Some(&head));
    let on = Head::with(Some(head.clone()), &read);
    let joint = Joint {
        document: &read,
        key: &key,
        found: &Found::NotLookedAt,
        link: None,
        own: Some(&own),
        head: Some(&on),
    };
    assert_eq!(joint.findings(), [Finding::Restarted { from, to }]);

    let followed = Link { next: Some(third.place.clone()), ..links[1].clone() };
    assert_eq!(joins(&third, &there(&second), Some(&followed), Some(&head)), []);
    let other = Plan::new(12, Some(&second)).forge();
    assert_eq!(
        joins(&other, &there(&second), Some(&followed), Some(&head)),
        [Finding::Fork(third.place.clone())]
    );
    let backfill = Plan { is_backfill: true, ..Plan::new(11, Some(&second)) }.forge();
    assert_eq!(joins(&backfill, &there(&second), Some(&followed), Some(&head)), []);
}

fn object(version: &str) -> ObjectRef {
    let key = format!("{FILES}a");
    ObjectRef { bucket: forge::BUCKET.to_owned(), key, version_id: Some(version.to_owned()), etag: None }
}

fn version(name: &str, is_latest: bool) -> Version {
    Version { object: object(name), modified: Timestamp::UNIX_EPOCH, is_latest }
}

/// An entry of a file with this content; without one, what stands in letters.
fn entry(stage: Stage, content: Option<&[u8]>) -> Entry {
    let counts = match content {
        Some(_) => Counts { records: 5, rows: 4, filtered: 1, ..Counts::default() },
        None => Counts { records: 1, letters: 1, ..Counts::default() },
    };
    Entry {
        version: 2,
        holder: String::new(),
        stage,
        settled: Settled { counts, ..Settled::default() },
        takeovers: 0,
        failures: std::collections::BTreeMap::default(),
        announced_at: Timestamp::UNIX_EPOCH,
        content: content.map(|content| Content {
            size: 1,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }),
    }
}

fn judged(versions: &[(Version, Option<Entry>)]) -> (Verdict, usize, Account, Vec<&'static str>) {
    let listed: Hash = Sha256::digest(b"true").into();
    let mut evidence = Evidence::default();
    for (version, entry) in versions {
        evidence.add(&listed, version.clone(), entry.as_ref());
    }
    let (mut account, mut findings) = (Account::default(), Vec::new());
    let place = Place { bucket: forge::BUCKET.to_owned(), key: format!("{FILES}a") };
    evidence.settle(&place, &listed, &mut account, &mut findings);
    let names = findings.iter().map(Finding::name).collect();
    (evidence.verdict(), evidence.to_deliver().len(), account, names)
}

#[test]
fn a_listed_file_is_judged_by_all_its_versions() {
    let soon = Stage::Delivered { at: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(15) };
    let late = Stage::Delivered { at: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(16) };
    let (good, other) = (entry(soon, Some(b"true")), entry(soon, Some(b"false")));
    let mut refused = good.clone();
    refused.settled.counts = Counts { records: 5, rows: 4, letters: 1, ..Counts::default() };
    let (open, in_letters) = (entry(Stage::Open, None), entry(soon, None));
    let (now, past) = (version("2", true), version("1", false));
    for (versions, verdict, to_deliver, names) in [
        (vec![(now.clone(), Some(good.clone()))], Verdict::Delivered, 0, vec![]),
        (vec![(now.clone(), Some(other.clone()))], Verdict::Altered, 0, vec!["Altered"]),
        (vec![(now.clone(), Some(open.clone()))], Verdict::UnderWay, 0, vec!["Missing"]),
        (vec![(now.clone(), Some(in_letters.clone()))], Verdict::InLetters, 0, vec![]),
        // Read to its end, and one of its records was refused.
        (vec![(now.clone(), Some(refused.clone()))], Verdict::InLetters, 0, vec![]),
        (
            vec![(now.clone(), Some(good.clone())), (past.clone(), Some(refused))],
            Verdict::Delivered,
            0,
            vec![],
        ),
        (vec![(now.clone(), None)], Verdict::Unknown, 1, vec!["Missing"]),
        (vec![], Verdict::Gone, 0, vec!["Gone"]),
        // Overwritten after the delivery, and before it.
        (
            vec![(now.clone(), Some(other.clone())), (past.clone(), Some(good.clone()))],
            Verdict::Delivered,
            0,
            vec!["Altered"],
        ),
        (
            vec![(now.clone(), Some(other)), (past.clone(), None)],
            Verdict::Unknown,
            1,
            vec!["Missing", "Altered"],
        ),
        // Removed after the delivery, and before it.
        (vec![(past.clone(), Some(good))], Verdict::Delivered, 0, vec!["Removed"]),
        (vec![(past, None)], Verdict::Unknown, 1, vec!["Missing"]),
    ] {
        let (found, count, account, found_names) = judged(&versions);
        assert_eq!((found, count, &found_names), (verdict, to_deliver, &names), "{versions:?}");
        let Account { listed, delivered, altered, in_letters, missing, counts, .. } = account;
        assert_eq!(listed, delivered + altered + in_letters + missing);
        assert_eq!(counts.records, counts.rows + counts.filtered + counts.letters);
    }
    let late = [(version("1", true), Some(entry(late, Some(b"true"))))];
    assert_eq!(judged(&late).2.late, 1);
}

#[test]
fn what_a_file_is_overwritten_with_is_compared_too() {
    let listed: Hash = Sha256::digest(b"true").into();
    let at = Stage::Delivered { at: Timestamp::UNIX_EPOCH };
    let judge = |current: Option<Entry>, read: Option<Current>| {
        let mut evidence = Evidence::default();
        evidence.add(&listed, version("2", true), current.as_ref());
        evidence.add(&listed, version("1", false), Some(&entry(at, Some(b"true"))));
        assert_eq!(evidence.to_compare().is_some(), read.is_some());
        if let Some(read) = read {
            evidence.compare(read);
        }
        let (mut account, mut findings) = (Account::default(), Vec::new());
        let place = Place::new(forge::BUCKET, &format!("{FILES}a"));
        evidence.settle(&place, &listed, &mut account, &mut findings);
        assert_eq!((account.delivered, evidence.verdict()), (1, Verdict::Delivered));
        findings.iter().map(Finding::name).collect::<Vec<_>>()
    };
    let other = Some(Sha256::digest(b"false").into());
    // Garbage that became a letter, and what was not delivered yet.
    for current in [Some(entry(at, None)), Some(entry(Stage::Open, None)), None] {
        let read = |found| Some(Current::of(&listed, found));
        assert_eq!(judge(current.clone(), read(other)), ["Overwritten"]);
        assert_eq!(judge(current.clone(), read(None)), ["Overwritten"]);
        assert_eq!(judge(current.clone(), read(Some(listed))), <[&str; 0]>::default());
        assert_eq!(judge(current.clone(), Some(Current::Nothing)), ["Removed"]);
        assert_eq!(judge(current, Some(Current::Unreadable("denied".to_owned()))), ["Unreadable"]);
    }
    assert_eq!(judge(Some(entry(at, Some(b"true"))), None), <[&str; 0]>::default());
    assert_eq!(judge(Some(entry(at, Some(b"false"))), None), ["Altered"]);
}

#[test]
fn a_backfill_is_signed_when_it_is_made_and_any_digest_within_two_hours() {
    let late = Plan { is_backfill: true, ..Plan::new(9, None) }.forge();
    let made = late.signature.generated_at.unwrap();
    let of_then = |from: i64, until: i64| PublicKey {
        valid_from: made + SignedDuration::from_mins(from),
        valid_until: made + SignedDuration::from_mins(until),
        ..key()
    };
    let judge = |forged: &Forged, key: &PublicKey| {
        let place = DigestKey::parse(&forged.place.key).unwrap();
        check(&document(forged), &place, &forged.place, Some(&forged.signature), Some(key))
    };
    // A key that was not valid in the hour that the backfill is about.
    assert_eq!(judge(&late, &of_then(-30, 300)), Ok(()));
    assert_eq!(judge(&late, &of_then(60, 300)), Ok(()));
    assert!(matches!(judge(&late, &of_then(61, 300)), Err(Finding::UnknownKey { .. })));
    assert!(matches!(judge(&late, &of_then(-300, -61)), Err(Finding::UnknownKey { .. })));
    let without = Forged { signature: Signature { generated_at: None, ..late.signature.clone() }, ..late };
    assert_eq!(judge(&without, &key()), Err(Finding::Malformed(Malformed::NoGenerationTime)));

    let first = Plan::new(9, None).forge();
    let after = |minutes| PublicKey {
        valid_from: document(&first).end + SignedDuration::from_mins(minutes),
        ..key()
    };
    assert_eq!(judge(&first, &after(120)), Ok(()));
    assert!(matches!(judge(&first, &after(121)), Err(Finding::UnknownKey { .. })));
}

#[test]
fn a_signature_in_upper_case_is_the_same() {
    let Three { digests: [_, second, third], mut links, head } = three();
    let upper = Signature { hex: second.signature.hex.to_uppercase(), ..second.signature.clone() };
    let loud = Forged { signature: upper.clone(), ..second };
    assert_eq!(checked(&loud), Ok(()));
    links[1].signature = upper.hex;
    assert_eq!(joins(&third, &there(&loud), Some(&links[1]), Some(&head)), []);
}

#[test]
fn a_forged_digest_is_not_parsed_into_more_memory_than_it_is_worth() {
    let long = format!("{{\"awsAccountId\":\"{}\"}}", "x".repeat(8 * 1024 + 1));
    assert_eq!(Document::read(&gzip(long.as_bytes())), Err(Malformed::TooLong));
    let as_long = Plan::new(9, None).with(&"\\\"".repeat(2000), b"").forge();
    assert_eq!(listed(&as_long.bytes).unwrap().len(), 1, "escapes are part of a string");
    // What it lists is not read before its signature is verified.
    let mut members = Plan::new(9, None).members();
    members["logFiles"] = json!([{"s3Bucket": 7}]);
    let bytes = gzip(members.to_string().as_bytes());
    assert!(Document::read(&bytes).is_ok());
    assert!(matches!(listed(&bytes), Err(Malformed::Json { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_digest_or_its_signature_is_changed_unnoticed(
        place in any::<prop::sample::Index>(), mask in 1_u8.., of_signature in any::<bool>(),
    ) {
        let first = Plan::new(9, None).forge();
        let mut forged = Plan::new(10, Some(&first)).with("a", b"a").forge();
        if of_signature {
            let mut bytes = forged.signature.hex.clone().into_bytes();
            let at = place.index(bytes.len());
            // Another digit: its case alone says nothing else.
            bytes[at] = if bytes[at] == b'0' + mask % 10 { b'a' } else { b'0' + mask % 10 };
            forged.signature.hex = String::from_utf8(bytes).unwrap();
        } else {
            // The content, not its packing: another packing of the same content is the same digest.
            let mut content = Plan::new(10, Some(&first)).with("a", b"a").members().to_string().into_bytes();
            let at = place.index(content.len());
            content[at] ^= mask;
            forged.bytes = gzip(&content);
        }
        prop_assert!(checked(&forged).is_err());
    }

    #[test]
    fn no_byte_of_a_listed_file_is_changed_unnoticed(
        content in prop::collection::vec(any::<u8>(), 1..200), place in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let mut changed = content.clone();
        changed[place.index(content.len())] ^= mask;
        let listed: Hash = Sha256::digest(&content).into();
        let delivered = Stage::Delivered { at: Timestamp::UNIX_EPOCH };
        for (content, verdict) in [(&content, Verdict::Delivered), (&changed, Verdict::Altered)] {
            let mut evidence = Evidence::default();
            evidence.add(&listed, version("1", true), Some(&entry(delivered, Some(content))));
            prop_assert_eq!(evidence.verdict(), verdict);
        }
    }

    #[test]
    fn any_bytes_are_a_digest_or_are_told_why_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Document::read(&bytes);
        prop_assert!(Document::read(&gzip(&bytes)).is_err());
    }
}
