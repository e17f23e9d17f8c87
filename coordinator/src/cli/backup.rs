//! `coordinator backup`.

use super::choose::fleet;
use super::{FAILED, OK, Place, UNFIT, complain, hand_out, warn};
use crate::bus::directory::Owner;
use crate::client::operator::{OperatorError, OperatorLock};
use crate::snapshot::backup::{Taken, take};
use crate::snapshot::record::Progress;
use crate::snapshot::write_snapshot;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator backup demo.backup --name demo",
    after_help = "The fleet's coordinators stand still while their tables are copied, for milliseconds; its agents work on. \
                  What its client holds back itself is in no backup: a journal has that."
)]
pub(super) struct Args {
    /// Where to; a backup of that name is replaced once this one is whole
    file: PathBuf,
    /// The fleet; without a name the only one that lives
    #[arg(long, value_name = "FLEET")]
    name: Option<String>,
    /// How long to wait for another operator, and for coordinators that are busy
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::run::time)]
    patience: Duration,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match fleet(&args.place, args.name.as_deref()) {
        Ok(found) => found,
        Err(status) => return status,
    };
    if let Owner::Dead(_) = found.owner {
        let what = format!("the supervisor of `{}` is dead, and the fleet with it", found.id);
        complain(what, "a fleet is backed up while it lives; `coordinator clean` removes what it left");
        return FAILED;
    }
    let lock = match OperatorLock::take(&found.path, args.patience) {
        Ok(lock) => lock,
        Err(error) => {
            let busy = matches!(error, OperatorError::Busy { .. });
            complain(error, if busy { "wait until that one has done, or end it" } else { "" });
            return FAILED;
        }
    };
    let taken = match take(&lock, &found.id, args.patience) {
        Ok(taken) => taken,
        Err(error) => {
            let hint = error.hint();
            complain(error, hint);
            return FAILED;
        }
    };
    drop(lock);
    let bytes = match write_snapshot(&args.file, &taken.snapshot) {
        Ok(bytes) => bytes,
        Err(error) => {
            let hint = error.hint();
            complain(error, hint);
            return UNFIT;
        }
    };
    if taken.damaged > 0 {
        warn(format!("{} entries of the fleet's tables cannot be, and are not in the backup", taken.damaged));
    }
    if taken.with_client > 0 {
        warn(format!(
            "tasks that were handed back to the fleet's client, and that it has not handed on, are not in the backup \
             ({} at least)",
            taken.with_client
        ));
    }
    hand_out(said(args, &found.id, &taken, bytes).as_bytes()).err().unwrap_or(OK)
}

fn said(args: &Args, name: &str, taken: &Taken, bytes: u64) -> String {
    let snapshot = &taken.snapshot;
    let in_hand = snapshot.tasks.iter().filter(|task| task.state == Progress::Leased).count();
    let sum =
        |of: fn(&crate::snapshot::record::Counters) -> u64| snapshot.counters.iter().map(of).sum::<u64>();
    format!(
        "{name}: {} coordinators of at most {} workers, {} open tasks ({in_hand} in hand), {} answers untold, {} dead \
         letters\n{} tasks accepted = {} answered + {} failed + {} returned + {} in flight\n{bytes} bytes in {}; the \
         fleet stood still for {:.1} ms\n",
        snapshot.header.coordinators,
        snapshot.header.workers,
        snapshot.tasks.len(),
        snapshot.untold.len(),
        snapshot.dead.len(),
        sum(|one| one.accepted),
        sum(|one| one.answered),
        sum(|one| one.failed),
        sum(|one| one.returned),
        sum(|one| one.in_flight),
        args.file.display(),
        taken.paused.as_secs_f64() * 1e3,
    )
}
