//! What is wrong with text that is not TOML, in the words of a user who writes scenarios.

/// The line of `text` that holds the byte at `offset`.
pub(super) fn line_at(text: &str, offset: usize) -> &str {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let line_start = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
    text[line_start..].lines().next().unwrap_or_default()
}

/// Message and hint for what the parser said about the byte at `offset`.
pub(super) fn explain(said: &str, text: &str, offset: usize) -> (String, String) {
    let line = line_at(text, offset).trim();
    let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
    let first = said.split(", expected ").next().unwrap_or_default().trim();
    match first {
        "unclosed table" | "unclosed array table" => {
            let name = header_name(line);
            let hint = if first == "unclosed table" { format!("[{name}]") } else { format!("[[{name}]]") };
            ("the table header has no closing bracket".to_owned(), format!("write {hint}"))
        }
        "key with no value" | "invalid unquoted key" => (format!("`{line}` has no `=`"), without_value(line)),
        "unquoted keys cannot be empty" => (
            "a key or the name of a table is missing".to_owned(),
            "write `key = value`, or [load]".to_owned(),
        ),
        "invalid basic string" | "invalid literal string" if said.contains("expected `") => (
            format!("the value of `{key}` has no closing quote"),
            "write the same quote at its end".to_owned(),
        ),
        "unexpected leading zero" => {
            let number = value.trim_start_matches('0');
            (format!("the value of `{key}` begins with a zero"), format!("write `{key} = {number}`"))
        }
        "missing escaped value" => (
            format!("the value of `{key}` has a backslash that begins no escape sequence"),
            r"write `\\` for a backslash, or put the value in single quotes".to_owned(),
        ),
        "string values must be quoted" | "invalid boolean" | "invalid float" => wrong_value(key, value),
        _ => (
            format!("this is not valid TOML: {}", said.trim().replace('\n', ", ")),
            "a line is `key = value`, a header such as [load], or a comment".to_owned(),
        ),
    }
}

fn wrong_value(key: &str, value: &str) -> (String, String) {
    let bare = value.split(" #").next().unwrap_or_default().trim();
    let lower = bare.to_lowercase();
    if bare.is_empty() {
        (format!("`{key}` has no value"), format!("write a value after `{key} =`, or remove the line"))
    } else if matches!(lower.as_str(), "true" | "false") {
        (format!("`{bare}` is not a value"), format!("write `{key} = {lower}`"))
    } else if bare.contains(['"', '\'', '[', '{']) {
        (
            format!("the value of `{key}` cannot be read"),
            "put the whole text in one pair of quotes".to_owned(),
        )
    } else {
        (format!("the value of `{key}` must be quoted"), format!("write `{key} = \"{bare}\"`"))
    }
}

/// What to write instead of a line without `=`.
fn without_value(line: &str) -> String {
    if line.ends_with(']') && !line.starts_with('[') {
        return format!("write [{}]", header_name(line));
    }
    match line.split_once(':') {
        Some((key, value)) => format!("write `{} = {}`", key.trim(), value.trim()),
        None => "write `key = value`; a key has letters, digits, `-` and `_`".to_owned(),
    }
}

fn header_name(line: &str) -> &str {
    let bare = line.split('#').next().unwrap_or_default();
    bare.trim_matches(|c: char| c == '[' || c == ']' || c.is_whitespace())
}

/// Where a bracket or brace begins that nothing closes, if that is the first thing wrong.
pub(super) fn unclosed(text: &str, first_offset: usize) -> Option<usize> {
    text.get(..first_offset)?.rfind(['[', '{'])
}

#[cfg(test)]
mod tests {
    use super::super::{Scenario, Selection, Source};

    fn said(text: &str) -> String {
        let source = Source::new("x.toml", text.to_owned());
        Scenario::parse(&source, &Selection::default())
            .map_or_else(|found| found.to_string(), |_| String::new())
    }

    #[test]
    fn syntax_errors_say_where_what_and_what_to_write() {
        for (text, place, message, hint) in [
            ("name = smoke", "1:8", "the value of `name` must be quoted", "write `name = \"smoke\"`"),
            ("every = 6s", "1:9", "the value of `every` must be quoted", "write `every = \"6s\"`"),
            ("[load\na = 1", "1:6", "the table header has no closing bracket", "write [load]"),
            ("[[criterion]\na = 1", "1:13", "the table header has no closing bracket", "write [[criterion]]"),
            ("load]\n", "1:", "`load]` has no `=`", "write [load]"),
            ("workers: 4", "1:", "`workers: 4` has no `=`", "write `workers = 4`"),
            ("workers = ", "1:", "`workers` has no value", "write a value after `workers =`"),
            ("workers = True", "1:11", "`True` is not a value", "write `workers = true`"),
            ("workers = 04", "1:", "`workers` begins with a zero", "write `workers = 4`"),
            ("a = \"6s", "1:", "the value of `a` has no closing quote", "write the same quote"),
            ("a = [1, 2\n[load]\nb = 1", "1:5", "a bracket or brace is not closed", "close it"),
        ] {
            let said = said(text);
            let wanted = [&format!("at x.toml:{place}"), message, hint];
            assert!(wanted.iter().all(|words| said.contains(*words)), "{text}: {said}");
            assert_eq!(said.matches("error: ").count(), 1, "{text}: {said}");
        }
    }
}
