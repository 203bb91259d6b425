//! JSON with line breaks and indents, its text otherwise as it is: no number passes through a float.

/// The text of a JSON value, a member a line.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut rest = json.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                out.push(c);
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_change() {
        let text = r#"{ "a":[ ],"b":{"c":1.10,"d":49590338271490256608},"e":"x\"{[,: \\","f":[1 , {}]}"#;
        insta::assert_snapshot!(pretty(text), @r#"
        {
          "a": [],
          "b": {
            "c": 1.10,
            "d": 49590338271490256608
          },
          "e": "x\"{[,: \\",
          "f": [
            1,
            {}
          ]
        }
        "#);
        assert_eq!(pretty(&pretty(text)), pretty(text));
    }
}
