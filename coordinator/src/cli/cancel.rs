//! `coordinator cancel`, and what all orders to a fleet have in common.

use super::choose::fleet;
use super::{FAILED, OK, Place, print};
use crate::client::operator::OperatorError;
use crate::client::orders::{Operator, OrderError, OrderResult, Which, parse_id};
use crate::wire::TaskId;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How long an order waits.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Patience {
    /// How long to wait for another operator to finish, and then for each coordinator to acknowledge
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::time::time, allow_hyphen_values = true)]
    patience: Duration,
}

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator cancel demo 1.1.17 1.1.18")]
pub(super) struct Args {
    /// Name of the fleet
    name: String,
    /// Ids of tasks, as `status`, `top` and `events` show them; or `all`
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
        .ok_or_else(|| format!("`{text}` is not a task id: use an id such as 1.2.345, or `all`"))
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

type Results = Result<Vec<(TaskId, OrderResult)>, OrderError>;

/// Gives an order as the fleet's operator, and prints the result for each task.
pub(super) fn ordered(
    dir: &Path,
    Patience { patience }: Patience,
    verb: &str,
    which: &Which,
    order: impl FnOnce(&mut Operator, &Which) -> Results,
) -> u8 {
    let results = Operator::attach(dir, patience).and_then(|mut operator| order(&mut operator, which));
    let results = match results {
        Ok(results) => results,
        Err(error) => {
            let hint = match &error {
                OrderError::Operator(OperatorError::Busy { .. }) => {
                    "wait until the other operator has finished, or stop it"
                }
                _ => "`coordinator status` shows the state of the fleet",
            };
            print::error(error, hint);
            return FAILED;
        }
    };
    let (mut text, mut failed) = (String::new(), false);
    for (id, result) in &results {
        match result {
            OrderResult::Done => {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{verb} {id}");
            }
            OrderResult::Pending => {
                let _ = writeln!(text, "pending {id}: {result}");
            }
            other => {
                failed = true;
                print::error(format!("{id} was not {verb}: {other}"), "");
            }
        }
    }
    if results.is_empty() {
        let _ = writeln!(text, "nothing was {verb}: there was nothing to do");
    }
    match print::text(text) {
        Err(status) => status,
        Ok(()) if failed => FAILED,
        Ok(()) => OK,
    }
}
