//! The command after `--`, with placeholders for a task's input, its number and its id.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A part of an argument, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// The input; the id of a task without one.
    Input,
    /// Without its extension.
    Stem,
    /// After its last slash.
    Base,
    BaseStem,
    /// Before its last slash.
    Dir,
    /// 1 for the first task.
    Number,
    Id,
}

/// As GNU parallel has them, and `{id}`.
const PLACEHOLDERS: [(&[u8], Part); 7] = [
    (b"{}", Part::Input),
    (b"{.}", Part::Stem),
    (b"{/}", Part::Base),
    (b"{/.}", Part::BaseStem),
    (b"{//}", Part::Dir),
    (b"{#}", Part::Number),
    (b"{id}", Part::Id),
];

/// A command with placeholders for what differs from task to task.
#[derive(Debug)]
pub(super) struct Template {
    arguments: Vec<Vec<Part>>,
    has_placeholders: bool,
}

/// What the placeholders are replaced by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) input: Option<&'a [u8]>,
    pub(super) number: u64,
    pub(super) id: &'a str,
}

impl Template {
    pub(super) fn new(command: &[OsString]) -> Self {
        let arguments: Vec<Vec<Part>> = command.iter().map(|argument| split(argument)).collect();
        let has_placeholders = arguments.iter().flatten().any(|part| !matches!(part, Part::Text(_)));
        Self { arguments, has_placeholders }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The arguments of one task.
    pub(super) fn fill(&self, values: &Values<'_>) -> Vec<Vec<u8>> {
        self.arguments.iter().map(|parts| parts.iter().flat_map(|part| part.fill(values)).collect()).collect()
    }

    /// As [`Template::fill`]; without a placeholder, the input becomes the last argument.
    pub(super) fn fill_or_append(&self, values: &Values<'_>) -> Vec<Vec<u8>> {
        let mut arguments = self.fill(values);
        if !self.has_placeholders {
            arguments.extend(values.input.map(<[u8]>::to_vec));
        }
        arguments
    }
}

fn split(argument: &OsStr) -> Vec<Part> {
    let bytes = argument.as_bytes();
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        // `${#}` and `${id}` belong to the shell.
        let is_shells = text.last() == Some(&b'$');
        let found = PLACEHOLDERS
            .iter()
            .find(|(name, part)| rest.starts_with(name) && (!is_shells || *part == Part::Input));
        if let Some((name, part)) = found {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part.clone());
            at += name.len();
        } else {
            text.push(bytes[at]);
            at += 1;
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

impl Part {
    fn fill(&self, values: &Values<'_>) -> Vec<u8> {
        let input = values.input.unwrap_or(values.id.as_bytes());
        match self {
            Self::Text(text) => text.clone(),
            Self::Input => input.to_vec(),
            Self::Stem => input[..input.len() - extension(base(input))].to_vec(),
            Self::Base => base(input).to_vec(),
            Self::BaseStem => base(input)[..base(input).len() - extension(base(input))].to_vec(),
            Self::Dir => dir(input).to_vec(),
            Self::Number => values.number.to_string().into_bytes(),
            Self::Id => values.id.as_bytes().to_vec(),
        }
    }
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn dir(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

/// How many bytes the extension of a name has, including the dot; a name that begins with its only dot has none.
fn extension(name: &[u8]) -> usize {
    match name.iter().rposition(|byte| *byte == b'.') {
        None | Some(0) => 0,
        Some(at) => name.len() - at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, input: &str, wanted: &str) {
        let template = Template::new(&[argument.into()]);
        let values = Values { input: Some(input.as_bytes()), number: 7, id: "a1" };
        let filled = template.fill(&values);
        assert_eq!(filled, [wanted.as_bytes()], "{argument} of {input}");
    }

    #[test]
    fn placeholders_are_filled_as_gnu_parallel_does() {
        check("x{}y{}", "in", "xinyin");
        check("{.}.gz", "a/b.c/d.tar.xz", "a/b.c/d.tar.gz");
        check("{.}", "a.b/c", "a.b/c");
        check("{.}", ".profile", ".profile");
        check("{/}", "a/b.c", "b.c");
        check("{/.}", "a/b.c", "b");
        check("{//}", "a/b/c", "a/b");
        check("{//}", "c", ".");
        check("{//}", "/c", "/");
        check("{#}:{id}", "in", "7:a1");
    }

    #[test]
    fn shell_variables_are_left_alone() {
        check("echo ${#} ${id} ${//} {x} { } {", "in", "echo ${#} ${id} ${//} {x} { } {");
        check("${}", "in", "$in");
    }

    #[test]
    fn an_input_without_a_placeholder_comes_last() {
        let values = Values { input: Some(b"in"), number: 1, id: "1" };
        let plain = Template::new(&["gzip".into(), "-k".into()]);
        assert_eq!(plain.fill_or_append(&values), [&b"gzip"[..], b"-k", b"in"]);
        assert_eq!(plain.fill(&values), [&b"gzip"[..], b"-k"]);
        let numbered = Template::new(&["echo".into(), "{#}".into()]);
        assert_eq!(numbered.fill_or_append(&values), [&b"echo"[..], b"1"]);
        let without = Values { input: None, ..values };
        assert_eq!(plain.fill_or_append(&without), [&b"gzip"[..], b"-k"]);
        assert_eq!(Template::new(&["{}".into()]).fill(&without), [b"1"]);
    }

    #[test]
    fn an_input_need_not_be_text() {
        let values = Values { input: Some(b"\xff/\xfe.x"), number: 1, id: "1" };
        let template = Template::new(&["{/.}".into()]);
        assert_eq!(template.fill(&values), [b"\xfe"]);
    }
}
