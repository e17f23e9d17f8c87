//! Text for a terminal of some width: lines that are longer go on in the next one, further to the right.
//!
//! What people copy is never cut: words without a space, such as paths, and what stands between backticks. It is as wide as it is, and
//! the terminal breaks it. Pipes and files get lines as they are, and so do JSON and commands to repeat.

use super::outlet::Stream;
use rustix::termios::tcgetwinsize;

/// What is narrower has no room for an indent.
const COLUMNS_MIN: usize = 20;
/// A cell of a table begins after so many spaces.
const GAP: usize = 2;
/// On the left is so much of a terminal, and an indent is not wider.
const INDENT_SHARE: usize = 3;
/// How much further to the right a line goes on, where no cell says where.
const HANG: usize = 2;
/// Lines that begin with one of these are to be copied as they are.
const COMMANDS: [&str; 2] = ["harness ", "coordinator "];

/// Columns of the terminal that a stream goes to; nothing if it is none, or does not say.
pub fn columns(stream: Stream) -> Option<usize> {
    let size = match stream {
        Stream::Stdout => tcgetwinsize(rustix::stdio::stdout()),
        Stream::Stderr => tcgetwinsize(rustix::stdio::stderr()),
    };
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// As the terminal behind a stream shows it best; unchanged where there is none.
pub fn for_stream(stream: Stream, text: String) -> String {
    let is_json = text.starts_with(['{', '[']);
    match columns(stream).filter(|columns| *columns >= COLUMNS_MIN && !is_json) {
        Some(columns) => to(columns, &text),
        None => text,
    }
}

/// `text`, with no line longer than so many columns, as far as what it holds may be cut.
fn to(columns: usize, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        let (bare, end) = line.strip_suffix('\n').map_or((line, ""), |bare| (bare, "\n"));
        if width(bare) <= columns || COMMANDS.iter().any(|command| bare.trim_start().starts_with(command)) {
            out.push_str(bare);
        } else {
            fold(columns, bare, &mut out);
        }
        out.push_str(end);
    }
    out
}

/// Columns that a text takes: those of its characters, without what only colours them.
fn width(text: &str) -> usize {
    let mut is_style = false;
    let is_shown = |c: &char| {
        let was_style = is_style;
        is_style = *c == '\u{1b}' || is_style && *c != 'm';
        !is_style && !was_style
    };
    text.chars().filter(is_shown).count()
}

/// A piece that is not cut, and the spaces before it.
struct Piece<'a> {
    spaces: usize,
    text: &'a str,
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    // Where each begins and ends, and the spaces before it.
    let mut found: Vec<(usize, usize, usize)> = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let bare = line[at..].trim_start_matches(' ');
        let start = line.len() - bare.len();
        let mut is_code = false;
        let end = bare.find(|c: char| {
            is_code ^= c == '`';
            c == ' ' && !is_code
        });
        // Where a backtick is never closed, the words behind it are words.
        let end = if is_code { bare.find(' ') } else { end }.map_or(line.len(), |end| start + end);
        match found.last_mut() {
            Some((first, last, _)) if start - *last == 1 && is_unit(&line[*first..*last], bare) => {
                *last = end;
            }
            _ if start == end => {}
            _ => found.push((start, end, start - at)),
        }
        at = end;
    }
    found.into_iter().map(|(start, end, spaces)| Piece { spaces, text: &line[start..end] }).collect()
}

/// Whether a text begins with the unit of the number before it, such as `%`, `ms` or `runs`.
fn is_unit(number: &str, text: &str) -> bool {
    number.ends_with(|c: char| c.is_ascii_digit())
        && text.starts_with(|c: char| c == '%' || c.is_alphabetic())
}

fn fold(columns: usize, line: &str, out: &mut String) {
    let pieces = pieces(line);
    let hang = hang(columns, &pieces);
    let mut used = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let own = width(piece.text);
        // A cell that does not fit into the rest of its line, and into the next one, stays whole there.
        let cell = if piece.spaces >= GAP { cell(&pieces[at..]) } else { own };
        let fits = used + piece.spaces + own <= columns;
        let is_better_below = used + piece.spaces + cell > columns && hang + cell <= columns;
        if at > 0 && (!fits || is_better_below) {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', hang));
            used = hang;
        } else {
            // What stood far to the right has no room there.
            let spaces = if at == 0 { piece.spaces.min(columns / INDENT_SHARE) } else { piece.spaces };
            out.extend(std::iter::repeat_n(' ', spaces));
            used += spaces;
        }
        out.push_str(piece.text);
        used += own;
    }
}

/// Columns of the cell that begins with the first of these.
fn cell(pieces: &[Piece<'_>]) -> usize {
    let rest = pieces[1..].iter().take_while(|piece| piece.spaces < GAP);
    width(pieces[0].text) + rest.map(|piece| piece.spaces + width(piece.text)).sum::<usize>()
}

/// Where a line goes on: below the beginning of its last cell, if the text has room there; else a little to the right of the last cell
/// that begins on the left.
fn hang(columns: usize, pieces: &[Piece<'_>]) -> usize {
    let mut at = pieces.first().map_or(0, |piece| piece.spaces.min(columns / INDENT_SHARE));
    let mut cells = vec![at];
    for (number, piece) in pieces.iter().enumerate() {
        at += if number > 0 { piece.spaces } else { 0 };
        if number > 0 && piece.spaces >= GAP {
            cells.push(at);
        }
        at += width(piece.text);
    }
    match cells[..] {
        [_, .., last] if last <= columns / 2 => last,
        _ => cells.iter().rfind(|cell| **cell <= columns / INDENT_SHARE).map_or(HANG, |cell| cell + HANG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(columns: usize, text: &str, wanted: &str) {
        assert_eq!(to(columns, text), wanted);
    }

    #[test]
    fn what_is_short_enough_stays_as_it_is_and_what_is_longer_goes_on_indented() {
        fits(20, "twenty columns, that\nx\n", "twenty columns, that\nx\n");
        fits(20, "error: the disk is full, as it seems\n", "error: the disk is\n  full, as it seems\n");
        fits(20, "  indented as it is, and more", "  indented as it is,\n    and more");
    }

    #[test]
    fn a_row_gives_its_last_cell_away_first_and_a_text_hangs_below_its_own_beginning() {
        let row = "  PASS  delivery  delivery.rate >= 100%  100 %  margin +3 points";
        fits(50, row, "  PASS  delivery  delivery.rate >= 100%  100 %\n          margin +3 points");
        fits(40, row, "  PASS  delivery  delivery.rate >= 100%\n          100 %  margin +3 points");
        let named = "  workload    echo 256 B to each of the workers, every 20 ms";
        fits(40, named, "  workload    echo 256 B to each of the\n              workers, every 20 ms");
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        fits(20, "it took longer by +1289 % of that", "it took longer by\n  +1289 % of that");
        fits(20, "rounds of the load: 7 runs each, 1 2", "rounds of the load:\n  7 runs each, 1 2");
    }

    #[test]
    fn what_stood_far_to_the_right_has_room_on_a_narrow_terminal() {
        let remedy = format!("{}→ end other programs, or wait", " ".repeat(34));
        fits(30, &remedy, "          → end other\n            programs, or wait");
    }

    #[test]
    fn what_people_copy_is_not_cut() {
        let path = "runs/smoke/20261201T130436Z-168883f5/report.html";
        fits(30, path, path);
        fits(30, "see `harness run a.toml --seed 7 --quiet`", "see\n  `harness run a.toml --seed 7 --quiet`");
        let command = "  harness run a.toml --seed 7 --quiet --profile ci";
        fits(30, command, command);
        fits(20, "a ` that is never closed, and more", "a ` that is never\n  closed, and more");
    }

    #[test]
    fn colours_take_no_room() {
        fits(
            20,
            "\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m  twelve chars",
            "\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m  twelve chars",
        );
        assert_eq!(width("\u{1b}[1mé\u{1b}[0m x"), 3);
    }

    #[test]
    fn no_line_of_short_words_is_wider_than_any_terminal() {
        let words = ["a", "bb  ccc", "   dddd", "eeeee", "ffffff"];
        let text = (0..200).map(|n| words[n * n % 5]).collect::<Vec<_>>().join(" ");
        for columns in COLUMNS_MIN..120 {
            let found = to(columns, &text);
            assert!(found.lines().all(|line| width(line) <= columns), "{columns}: {found}");
            let bare = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(bare(&found), bare(&text));
        }
    }
}
