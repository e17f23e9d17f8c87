//! `coordinator cancel`, and what orders to a fleet have in common.

use super::choose::fleet;
use super::{FAILED, OK, Place, complain, hand_out};
use crate::client::operator::OperatorError;
use crate::client::orders::{Became, Operator, OrderError, Which, parse_id};
use crate::wire::TaskId;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How long an order waits.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Patience {
    /// How long another operator is waited for, and then each coordinator's acknowledgement
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::run::time)]
    patience: Duration,
}

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator cancel demo 1.1.17 1.1.18")]
pub(super) struct Args {
    /// The fleet
    name: String,
    /// Tasks as `status`, `top` and `events` name them, or `all`
    #[arg(required = true, value_name = "ID|all", value_parser = parse)]
    tasks: Vec<Which>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match fleet(&args.place, Some(&args.name)) {
        Ok(found) => found,
        Err(status) => return status,
    };
    ordered(&found.path, args.patience, "cancelled", &joined(&args.tasks), Operator::cancel)
}

pub(super) fn parse(text: &str) -> Result<Which, String> {
    if text == "all" {
        return Ok(Which::All);
    }
    parse_id(text)
        .map(|id| Which::These(vec![id]))
        .ok_or_else(|| format!("`{text}` is no id of a task; they look like 1.2.345, and `all` means all"))
}

/// `all` among others means all.
pub(super) fn joined(which: &[Which]) -> Which {
    let mut ids = Vec::new();
    for which in which {
        match which {
            Which::All => return Which::All,
            Which::These(these) => ids.extend(these),
        }
    }
    Which::These(ids)
}

type Ends = Result<Vec<(TaskId, Became)>, OrderError>;

/// Gives an order as the fleet's operator, and says of each task what came of it.
pub(super) fn ordered(
    dir: &Path,
    Patience { patience }: Patience,
    verb: &str,
    which: &Which,
    order: impl FnOnce(&mut Operator, &Which) -> Ends,
) -> u8 {
    let ends = Operator::attach(dir, patience).and_then(|mut operator| order(&mut operator, which));
    let ends = match ends {
        Ok(ends) => ends,
        Err(error) => {
            let hint = match &error {
                OrderError::Operator(OperatorError::Busy { .. }) => "wait until that one has done, or end it",
                _ => "`coordinator status` says how the fleet is",
            };
            complain(error, hint);
            return FAILED;
        }
    };
    let (mut said, mut failed) = (String::new(), false);
    for (id, became) in &ends {
        match became {
            Became::Done => {
                // Writing into a string cannot fail.
                let _ = writeln!(said, "{verb} {id}");
            }
            Became::Waits => {
                let _ = writeln!(said, "waits {id}: {became}");
            }
            other => {
                failed = true;
                complain(format!("{id} is not {verb}: {other}"), "");
            }
        }
    }
    if ends.is_empty() {
        let _ = writeln!(said, "nothing to be {verb}");
    }
    match hand_out(said.as_bytes()) {
        Err(status) => status,
        Ok(()) if failed => FAILED,
        Ok(()) => OK,
    }
}

/// `TimedOut` as `timed-out`.
pub(super) fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
