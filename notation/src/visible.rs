//! Text that others wrote, such as the output of a command, in a form that shows what is in it and does nothing.
//!
//! A terminal obeys control characters: they clear the screen, move the cursor and set colours. Characters that set the direction
//! of writing make text read otherwise than it is. XML has no place for noncharacters at all. Each of these becomes its
//! number, `\u001b`: an escape of JSON, so that a document in JSON stays the document that it was.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Line ends and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    shown(text, |c| !matches!(c, '\n' | '\t') && is_hidden(c))
}

/// As one line: line ends are shown as well, so that nothing in it can pass for a line of its own.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, is_hidden)
}

fn is_hidden(c: char) -> bool {
    let is_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    // The separators of lines and paragraphs break a line as well.
    c.is_control() || is_direction || is_noncharacter || matches!(c, '\u{2028}' | '\u{2029}')
}

fn shown(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if is_hidden(c) => out.push_str("\\n"),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing into a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_done_nothing_with() {
        assert_eq!(text("a\u{1b}[2J\u{7}\r\nb\tc\u{9b}"), "a\\u001b[2J\\u0007\\u000d\nb\tc\\u009b");
        assert_eq!(line("PASS\nFAIL\tx\u{2028}"), "PASS\\nFAIL\\u0009x\\u2028");
        assert_eq!(text("\u{202e}evil\u{2066}"), "\\u202eevil\\u2066");
        assert_eq!(text("\u{fffe}\u{ffff}\u{1fffe}\u{fdd0}"), "\\ufffe\\uffff\\ud83f\\udffe\\ufdd0");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for plain in ["", "café – 日本語 – עברית – 👩‍🚀 −5 %", "two\nlines\tand a tab"]
        {
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain));
        }
    }
}
