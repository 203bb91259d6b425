//! Queries whose first lines, `let Name = value;`, are settings that the deployment fills in.

use super::expression::{call, text, whole};

/// The query as a member's value; each setting takes an expression of KQL text instead of its default.
pub(super) fn with_settings(query: &str, settings: &[(&str, String)]) -> String {
    let (mut pieces, mut rest) = (Vec::new(), query);
    for (name, value) in settings {
        let start = format!("let {name} = ");
        if let Some((before, after)) = rest.split_once(&start)
            && let Some(end) = after.find(';')
        {
            pieces.extend([text(&format!("{before}{start}")), value.clone()]);
            rest = &after[end..];
        }
    }
    if pieces.is_empty() {
        return query.to_owned();
    }
    pieces.push(text(rest));
    whole(&call("concat", pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_takes_the_place_of_its_default_and_quotes_are_kept() {
        let query = "let Hours = 3;\nT | where Name == 'x' and Age > Hours";
        let hours = [("Hours", "string(parameters('hours'))".to_owned())];
        assert_eq!(
            with_settings(query, &hours),
            "[concat('let Hours = ', string(parameters('hours')), ';\nT | where Name == ''x'' and Age > Hours')]"
        );
        assert_eq!(with_settings("T | count", &[]), "T | count");
    }
}
