//! Text that others wrote, such as the output of a command, in a form that shows what is in it and does nothing.
//!
//! A terminal obeys control characters: they clear the screen, move the cursor and set colours. Characters that set the direction
//! of writing make text read otherwise than it is, and those of no width make two names look like one. XML has no place for
//! noncharacters at all. Each of these becomes its number, `\u001b`: an escape of JSON, so that a document in JSON stays the
//! document that it was.

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

/// The first character of a text that a reader does not see, and the byte that it begins at: with it, two names that look alike
/// differ, or text reads otherwise than it is. Line ends and tabs are seen; a joiner is where scripts and emoji need it, between
/// two characters beyond ASCII.
pub fn first_hidden(text: &str) -> Option<(usize, char)> {
    let mut before = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let after = rest.peek().map(|(_, c)| *c);
        let is_seen = match c {
            '\n' | '\t' => true,
            '\r' => after == Some('\n'),
            JOINER | NON_JOINER => [before, after].iter().all(|c| c.is_some_and(|c| !c.is_ascii())),
            c => !is_hidden(c),
        };
        if !is_seen {
            return Some((at, c));
        }
        before = Some(c);
    }
    None
}

/// `the character U+200B, which cannot be seen`: one that [`first_hidden`] has found, for a message.
pub fn name_of(hidden: char) -> String {
    let does =
        if is_direction(hidden) { "which changes the direction of text" } else { "which cannot be seen" };
    format!("the character U+{:04X}, {does}", u32::from(hidden))
}

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Of no width: a soft hyphen, fillers, invisible operators, byte order marks, annotations, tags.
fn is_of_no_width(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn is_hidden(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    // The separators of lines and paragraphs break a line as well.
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || is_direction(c) || is_of_no_width(c) || is_noncharacter || is_separator
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
    fn characters_of_no_width_are_shown() {
        assert_eq!(line("gate\u{200b}-1\u{feff}\u{ad}"), "gate\\u200b-1\\ufeff\\u00ad");
        assert_eq!(line("a\u{e0041}"), "a\\udb40\\udc41");
    }

    #[test]
    fn the_first_character_that_is_not_seen_is_found_and_named() {
        for (text, at) in [
            ("gate-1\u{200b}", 6),
            ("\u{202e}abc", 0),
            ("Jane\u{200d}Doe", 4),
            ("é\u{2060}", 2),
            ("a\rb", 1),
            ("a\u{200c}", 1),
        ] {
            assert_eq!(first_hidden(text).map(|(at, _)| at), Some(at), "{text:?}");
        }
        for plain in ["", "two\r\nlines\tand a tab", "café – 日本語 – עברית – 👩‍🚀", "می\u{200c}خواهم"]
        {
            assert_eq!(first_hidden(plain), None, "{plain:?}");
        }
        assert_eq!(name_of('\u{200b}'), "the character U+200B, which cannot be seen");
        assert_eq!(name_of('\u{202e}'), "the character U+202E, which changes the direction of text");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for plain in ["", "café – 日本語 – עברית – 👩‍🚀 −5 %", "two\nlines\tand a tab"]
        {
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain));
        }
    }
}
