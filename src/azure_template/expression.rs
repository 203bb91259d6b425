//! Writes template expressions (<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>).

/// The expression as a member's value.
pub(super) fn whole(expression: &str) -> String {
    format!("[{expression}]")
}

/// A call of a function.
pub(super) fn call<S: AsRef<str>>(function: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let mut text = format!("{function}(");
    for (at, argument) in arguments.into_iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(argument.as_ref());
    }
    text.push(')');
    text
}

/// A string literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// The value of a parameter.
pub(super) fn parameter(name: &str) -> String {
    call("parameters", [text(name)])
}

/// The value of a variable.
pub(super) fn variable(name: &str) -> String {
    call("variables", [text(name)])
}

/// One value or the other.
pub(super) fn either(condition: &str, then: &str, otherwise: &str) -> String {
    call("if", [condition, then, otherwise])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_a_text_are_doubled() {
        assert_eq!(
            whole(&either(&call("empty", [parameter("a")]), &text("it's"), &variable("b"))),
            "[if(empty(parameters('a')), 'it''s', variables('b'))]"
        );
    }
}
