//! `coordinator dead-letters`: tasks that failed for good, and orders to requeue or drop them.

use super::cancel::{Patience, joined, ordered, parse};
use super::choose::{fleet, unreadable};
use super::events::moment;
use super::{FAILED, OK, Place, print};
use crate::client::dead_letters::{DeadLetter, of};
use crate::client::events::TaskReason;
use crate::client::orders::{Operator, Which};
use crate::wire::TaskKind;
use base64::Engine;
use serde::Serialize;
use std::fmt::Write as _;

/// Characters of a body that a list shows.
const SHOWN_MAX: usize = 60;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator dead-letters demo --requeue all")]
pub(super) struct Args {
    /// Name of the fleet; may be omitted if there is only one
    name: Option<String>,
    /// Print a JSON object per line, each with the whole task; `docs/status.md` lists the keys
    #[arg(long)]
    json: bool,
    /// Make this dead letter, or `all`, a task again; `status` counts the outcomes
    #[arg(long, value_name = "ID|all", value_parser = parse, conflicts_with_all = ["drop", "json"])]
    requeue: Vec<Which>,
    /// Remove this dead letter, or `all`
    #[arg(long, value_name = "ID|all", value_parser = parse, conflicts_with = "json")]
    drop: Vec<Which>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Row<'a> {
    task: String,
    coordinator: u32,
    kind: Option<TaskKind>,
    worker: Option<u32>,
    attempts: u8,
    reason: TaskReason,
    message: String,
    code: i32,
    output: &'a str,
    time: Option<String>,
    written_unix_ns: Option<u64>,
    parameter: u64,
    bytes: usize,
    command: Option<Vec<String>>,
    body: Option<&'a str>,
    body_base64: Option<String>,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match fleet(&args.place, args.name.as_deref()) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let (which, verb) = match (args.requeue.as_slice(), args.drop.as_slice()) {
        ([], []) => return list(&found.path, args.json),
        (requeue, []) => (requeue, "requeued"),
        (_, drop) => (drop, "dropped"),
    };
    let which = joined(which);
    ordered(&found.path, args.patience, verb, &which, |operator: &mut Operator, which| {
        if verb == "requeued" { operator.requeue(which) } else { operator.drop_dead_letters(which) }
    })
}

fn list(dir: &std::path::Path, json: bool) -> u8 {
    let letters = match of(dir) {
        Ok(letters) => letters,
        Err(error) => return unreadable(error),
    };
    let mut text = String::new();
    for letter in &letters {
        if json {
            match serde_json::to_string(&row(letter)) {
                Ok(line) => text.push_str(&line),
                Err(error) => {
                    print::error(error, "");
                    return FAILED;
                }
            }
            text.push('\n');
        } else {
            write_line(&mut text, letter);
        }
    }
    if letters.is_empty() && !json {
        text.push_str("no dead letters\n");
    }
    print::text(text).err().unwrap_or(OK)
}

fn row(letter: &DeadLetter) -> Row<'_> {
    let body = std::str::from_utf8(&letter.body).ok();
    let lossy = |part: &[u8]| String::from_utf8(part.to_vec()).ok();
    Row {
        task: letter.id.to_string(),
        coordinator: letter.coordinator,
        kind: letter.kind,
        worker: letter.worker,
        attempts: letter.attempts,
        reason: letter.reason(),
        message: letter.message(),
        code: letter.code,
        output: &letter.output,
        time: letter.written_unix_ns.map(moment),
        written_unix_ns: letter.written_unix_ns,
        parameter: letter.parameter,
        bytes: letter.body.len(),
        command: letter.arguments().and_then(|parts| parts.into_iter().map(lossy).collect()),
        body,
        body_base64: body.is_none().then(|| base64::prelude::BASE64_STANDARD.encode(&letter.body)),
    }
}

fn write_line(out: &mut String, letter: &DeadLetter) {
    let when = letter.written_unix_ns.map_or_else(|| "being requeued".to_owned(), moment);
    let attempts = if letter.attempts == 1 { "attempt" } else { "attempts" };
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        "{}  {when}  coord/{}  {}  {} {attempts}  {} bytes  {}",
        letter.id,
        letter.coordinator,
        letter.kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_string()),
        letter.attempts,
        letter.body.len(),
        letter.message().replace('\n', "; "),
    );
    let body = match letter.arguments() {
        Some(parts) => parts.join(&b' '),
        None => letter.body.clone(),
    };
    if !body.is_empty() {
        let _ = write!(out, "  {}", first_of(&body));
    }
    out.push('\n');
}

/// The beginning of a body, on one line and with control characters escaped.
fn first_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut shown: String = text.chars().flat_map(char::escape_debug).take(SHOWN_MAX).collect();
    if text.chars().flat_map(char::escape_debug).nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_off_and_control_characters_are_escaped() {
        assert_eq!(first_of(b"a b"), "a b");
        assert_eq!(first_of(b"\x1b[2Jx\n"), "\\u{1b}[2Jx\\n");
        assert_eq!(first_of(&[b'x'; 100]).chars().count(), SHOWN_MAX + 1);
    }
}
