//! What is wrong with JSON that a user has written, in the words of a user.

use serde_json::error::Category;

/// What is wrong; where is for the caller, which knows the line.
pub(super) fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let plain = match (error.classify(), message) {
        (Category::Data | Category::Io, _) => return message.to_owned(),
        (Category::Eof, _) => "it ends too early; close every quote, bracket and brace",
        (_, "expected ident" | "expected value") => "write text in double quotes, and an object in braces",
        (_, "trailing characters") => "something follows its end; write one value per line",
        (_, "trailing comma") => "a comma stands before the closing bracket; remove it",
        (_, "key must be a string") => "a key must be in double quotes",
        (_, "expected `:`") => "a `:` is missing after a key",
        (_, other) if other.starts_with("expected `,`") => "a comma or a closing bracket is missing",
        (_, other) if other.starts_with("control character") => {
            "a string contains a control character; write a newline as \\n and a tab as \\t"
        }
        (_, other) => other,
    };
    format!("it is not valid JSON: {plain}")
}
