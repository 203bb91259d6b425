//! Decoders against documents cut, packed and broken in every way.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const DOCUMENT: &str =
    "{ \"a\" : [1, {\"Records\":[]}] , \"Records\" :\n[ {\"x\":\"}{\\\"\"} ,{\"y\":[[]]},\n{} ],\"z\":null }";
const RECORDS: [&str; 3] = [r#"{"x":"}{\""}"#, r#"{"y":[[]]}"#, "{}"];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// All that comes out: records as text, flaws as their words, and the error if there was one.
fn decode(format: Option<Format>, bytes: &[u8], chunk: usize) -> (Vec<String>, Option<DecodeError>) {
    let mut decoder = Decoder::new(format);
    let mut chunks = bytes.chunks(chunk.max(1));
    let mut found = Vec::new();
    loop {
        match decoder.next() {
            Ok(Step::Record(record)) => {
                assert_eq!(record.index, found.len() as u64);
                found.push(String::from_utf8_lossy(record.json).into_owned());
            }
            Ok(Step::Flawed { index, flaw }) => {
                assert_eq!(index, found.len() as u64);
                found.push(flaw.to_string());
            }
            Ok(Step::Taken) => unreachable!("nobody takes any"),
            Ok(Step::Recognised(_)) => assert!(format.is_none() && found.is_empty()),
            Ok(Step::Starved) => match chunks.next() {
                Some(chunk) => decoder.push(Bytes::copy_from_slice(chunk)),
                None => decoder.end_input(),
            },
            Ok(Step::End) => return (found, None),
            Ok(Step::Unclaimed) => return (vec!["unclaimed".to_owned()], None),
            Err(error) => {
                assert_eq!(decoder.next_index(), found.len() as u64);
                return (found, Some(error));
            }
        }
    }
}

const TRAIL: Option<Format> = Some(Format::CloudTrail);

#[test]
fn records_come_out_however_the_bytes_are_cut_and_packed() {
    let plain = DOCUMENT.as_bytes().to_vec();
    let (first, second) = plain.split_at(40);
    let members = [gzip(first), gzip(b""), gzip(second)].concat();
    for packed in [plain.clone(), gzip(&plain), members] {
        for chunk in 1..=packed.len() {
            for format in [TRAIL, None] {
                assert_eq!(
                    decode(format, &packed, chunk),
                    (RECORDS.map(str::to_owned).to_vec(), None),
                    "{format:?} in chunks of {chunk}: {packed:?}"
                );
            }
        }
    }
}

#[test]
fn records_before_a_cut_come_out_and_then_the_error() {
    for cut in 1..DOCUMENT.len() {
        let (found, error) = decode(TRAIL, &DOCUMENT.as_bytes()[..cut], 7);
        assert_eq!(error, Some(DecodeError::CutOff), "cut at {cut}");
        assert!(RECORDS.map(str::to_owned).starts_with(&found));
    }
    let packed = gzip(DOCUMENT.as_bytes());
    for cut in 2..packed.len() {
        let (found, error) = decode(TRAIL, &packed[..cut], 5);
        assert_eq!(error, Some(DecodeError::GzipCutOff), "cut at {cut}");
        assert!(RECORDS.map(str::to_owned).starts_with(&found));
    }
}

#[test]
fn each_fault_has_its_error() {
    let mut damaged = gzip(DOCUMENT.as_bytes());
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let trailing = [&gzip(DOCUMENT.as_bytes())[..], b"more"].concat();
    let one = vec!["{}".to_owned()];
    let all = RECORDS.map(str::to_owned).to_vec();
    for (bytes, found, error) in [
        (damaged.as_slice(), all.clone(), DecodeError::Gzip),
        (&trailing, all, DecodeError::BytesAfterGzip),
        (b"hello", vec![], DecodeError::NoDocument),
        (b"{\"Records\":[{}]} {", one.clone(), DecodeError::BytesAfterDocument),
        (b"{\"Records\":[{} {}]}", one.clone(), DecodeError::Syntax),
        (b"{\"Records\":[{},]}", one.clone(), DecodeError::Syntax),
        (b"{\"Records\":[{}],}", one, DecodeError::Syntax),
        (b"{\"Records\":null}", vec![], DecodeError::RecordsNoArray),
        (b"{\"records\":[]}", vec![], DecodeError::NoRecords),
        (b"{}", vec![], DecodeError::NoRecords),
    ] {
        assert_eq!(decode(TRAIL, bytes, 3), (found, Some(error)), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn elements_that_are_no_objects_are_passed_over_alone() {
    let (found, error) = decode(TRAIL, br#"{"Re\u0063ords":[1,{"a":1},"x",[{}],null,{"b":2}]}"#, 4);
    let flaw = Flaw::NotAnObject.to_string();
    assert_eq!(found, [&*flaw, r#"{"a":1}"#, &*flaw, &*flaw, &*flaw, r#"{"b":2}"#]);
    assert_eq!(error, None);
}

#[test]
fn a_record_of_any_length_is_passed_over_in_bounded_memory() {
    let long = format!("{{\"Records\":[{{\"a\":\"{}\"}},{{}}]}}", "x".repeat(3 * MAX_RECORD_BYTES));
    let packed = gzip(long.as_bytes());
    let mut decoder = Decoder::new(TRAIL);
    decoder.push(packed.into());
    decoder.end_input();
    assert_eq!(decoder.next(), Ok(Step::Flawed { index: 0, flaw: Flaw::TooLong }));
    assert!(matches!(decoder.next(), Ok(Step::Record(Record { index: 1, json: b"{}" }))));
    assert_eq!(decoder.next(), Ok(Step::End));
    assert!(decoder.window.capacity() <= MAX_RECORD_BYTES);
}

#[test]
fn the_longest_record_that_is_read_is_read() {
    let record = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_RECORD_BYTES - WINDOW_BYTES));
    let (found, error) = decode(TRAIL, format!("{{\"Records\":[{record}]}}").as_bytes(), 100_000);
    assert!(found == [record] && error.is_none());
}

#[test]
fn a_bomb_of_blanks_stays_in_the_window() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"Records\":[").unwrap();
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&blanks).unwrap();
    }
    encoder.write_all(b"{}]}").unwrap();
    let mut decoder = Decoder::new(TRAIL);
    decoder.push(encoder.finish().unwrap().into());
    decoder.end_input();
    assert!(matches!(decoder.next(), Ok(Step::Record(Record { index: 0, json: b"{}" }))));
    assert_eq!(decoder.next(), Ok(Step::End));
    assert_eq!(decoder.window.capacity(), WINDOW_BYTES);
}

#[test]
fn lines_stand_each_for_itself() {
    let text = "{\"id\":\"1\"}\r\n\n  {\"findings\": [ ]}\n[1]\n{\"id\":\"2\"} \nbroken\n{\"id\":\"3\"}";
    let flaw = Flaw::NotAnObject.to_string();
    let expected = ["{\"id\":\"1\"}\r\n", &flaw, "{\"id\":\"2\"} \n", &flaw, "{\"id\":\"3\"}"];
    for packed in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        for chunk in 1..=packed.len() {
            let (found, error) = decode(Some(Format::GuardDuty), &packed, chunk);
            assert_eq!(found, expected);
            assert_eq!(error, None);
        }
    }
}

#[test]
fn nothing_and_what_is_not_ours_make_no_records() {
    assert_eq!(decode(TRAIL, b"", 1), (vec![], None));
    assert_eq!(decode(Some(Format::GuardDuty), b"\n", 1), (vec![], None));
    assert_eq!(decode(None, b"2 111122223333 eni-1", 4), (vec!["unclaimed".to_owned()], None));
    assert_eq!(decode(None, &gzip(b"{\"logFiles\":[]}"), 4), (vec!["unclaimed".to_owned()], None));
}

#[test]
fn a_format_is_told_by_what_stands_anywhere_in_the_first_object() {
    let filler = "x".repeat(3 * WINDOW_BYTES);
    let trail = format!("{{\"a\":\"{filler}\",\"Records\":[{{}}]}}");
    let finding = format!("{{\"resource\":{{\"a\":\"{filler}\"}},\"service\":{{}}}}");
    for chunk in [97, 100_000, trail.len()] {
        assert_eq!(decode(None, trail.as_bytes(), chunk), (vec!["{}".to_owned()], None));
        assert_eq!(decode(None, &gzip(trail.as_bytes()), chunk), (vec!["{}".to_owned()], None));
        assert_eq!(decode(None, finding.as_bytes(), chunk), (vec![finding.clone()], None));
    }
}

#[test]
fn a_format_is_sought_no_further_than_a_record_may_be_long() {
    let filler = "x".repeat(2 * MAX_RECORD_BYTES);
    let far = format!("{{\"a\":\"{filler}\",\"Records\":[{{}}]}}");
    assert_eq!(decode(None, far.as_bytes(), 100_000), (vec!["unclaimed".to_owned()], None));
    let mut decoder = Decoder::new(None);
    decoder.push(gzip(far.as_bytes()).into());
    assert_eq!(decoder.next(), Ok(Step::Unclaimed));
    assert!(decoder.window.capacity() <= MAX_RECORD_BYTES);
}

#[test]
fn a_list_of_findings_is_as_many_findings_wherever_it_stands() {
    let lists = [
        r#"{"findings":[{"id":"1"},{"id":"2"}]}"#,
        "{ \"Findings\" :\n  [ {\"id\":\"1\"},\r\n{\"id\":\"2\"} ],\n\"NextToken\":\"\"}",
        r#"{"f\u0069ndings":[{"id":"1"}]}{"findings":[{"id":"2"}]}"#,
        "\u{feff}{\"findings\":[{\"id\":\"1\"}]}\n\u{feff}{\"id\":\"2\"}",
    ];
    let [one, two, three] = ["1", "2", "3"].map(|id| format!("{{\"id\":\"{id}\"}}"));
    for list in lists {
        let file = format!("{{\"findings\":[]}}\n{list}\n{three}");
        for chunk in [1, 2, 5, 1000] {
            let (found, error) = decode(Some(Format::GuardDuty), file.as_bytes(), chunk);
            let found: Vec<_> = found.iter().map(|line| line.trim_end().to_owned()).collect();
            assert_eq!((found, error), (vec![one.clone(), two.clone(), three.clone()], None), "{file}");
        }
    }
}

#[test]
fn a_fault_in_a_list_of_findings_is_one_records_fault() {
    let flaw = Flaw::NotAnObject.to_string();
    let [one, three] = ["1", "3"].map(|id| format!("{{\"id\":\"{id}\"}}"));
    for broken in ["7", "{\"id\":\"2\"", "\"x\"]}\n[", "]]", "{} {}"] {
        for end in ["]}", "", "]"] {
            let file = format!("{{\"findings\":[{one},{broken}{end}\n{three}");
            let (found, error) = decode(Some(Format::GuardDuty), file.as_bytes(), 3);
            assert!(found.first() == Some(&one) && found.contains(&flaw), "{file}: {found:?}");
            assert_eq!(error, None);
        }
        let file = format!("{{\"findings\":[{one} {broken}]}}\n{three}");
        let (found, error) = decode(Some(Format::GuardDuty), file.as_bytes(), 3);
        assert_eq!((found.first(), found.last(), error), (Some(&one), Some(&three), None), "{file}");
    }
}

#[test]
fn a_byte_order_mark_before_lines_belongs_to_none() {
    for chunk in [1, 2, 100] {
        let (found, error) = decode(Some(Format::GuardDuty), b"\xef\xbb\xbf{\"id\":\"1\"}", chunk);
        assert_eq!((found, error), (vec!["{\"id\":\"1\"}".to_owned()], None));
    }
}
