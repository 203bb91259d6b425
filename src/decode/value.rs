//! Where a JSON value ends: depth and strings are followed, nothing else is judged, nothing recurses.

use crate::json::string_stop;

/// The place inside one value, kept from one piece of its bytes to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueScanner {
    depth: u64,
    in_string: bool,
    escaped: bool,
    scalar: bool,
}

impl ValueScanner {
    /// A scanner for the value that begins with this byte, which is the first that it will see.
    pub(super) const fn new(first: u8) -> Self {
        let scalar = !matches!(first, b'{' | b'[' | b'"');
        Self { depth: 0, in_string: false, escaped: false, scalar }
    }

    /// How many of the bytes belong to the value, if it ends among them.
    ///
    /// A number or word ends before the byte that is no part of it, all else with its last byte.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.scalar {
            return bytes
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        }
        if bytes.is_empty() {
            return None;
        }
        let mut place = usize::from(std::mem::take(&mut self.escaped));
        while place < bytes.len() {
            if self.in_string {
                place = string_stop(bytes, place);
                match bytes.get(place)? {
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(place + 1);
                        }
                    }
                    b'\\' => {
                        self.escaped = place + 1 == bytes.len();
                        place += 1;
                    }
                    _ => {}
                }
            } else {
                match bytes[place] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            return Some(place + 1);
                        }
                    }
                    _ => {}
                }
            }
            place += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_the_same_place_however_it_is_cut() {
        for (text, end) in [
            (r#"{"a":"}\"","b":[1,{}]},"#, 22),
            (r#""x\\",1"#, 5),
            ("12.5e3]", 6),
            ("null ", 4),
            (r#"[[[]],"]"]]"#, 10),
        ] {
            let bytes = text.as_bytes();
            for cut in 0..end {
                let mut scanner = ValueScanner::new(bytes[0]);
                assert_eq!(scanner.end(&[]), None);
                let found = match scanner.end(&bytes[..cut]) {
                    Some(found) => found,
                    None => cut + scanner.end(&bytes[cut..]).unwrap(),
                };
                assert_eq!(found, end, "{text} cut at {cut}");
            }
        }
    }
}
