//! `coordinator backup`.

use super::choose::fleet;
use super::shown::counted;
use super::{FAILED, OK, Place, UNFIT, print};
use crate::bus::directory::Owner;
use crate::client::operator::{OperatorError, OperatorLock};
use crate::snapshot::backup::{Taken, Unwritten, take};
use crate::snapshot::record::Progress;
use crate::snapshot::{output, write_snapshot};
use crate::wire::TaskId;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator backup demo.backup --name demo",
    after_help = "The coordinators of the fleet are paused for some milliseconds while their tables are copied; its workers go on. \
                  Tasks that the fleet's client holds back itself are not in a backup; a journal has them. Long output of answers that \
                  no client has taken is in the directory FILE.output: keep both together."
)]
pub(super) struct Args {
    /// File to write; an earlier backup of that name is replaced once this one is complete
    file: PathBuf,
    /// Name of the fleet; by default the only one that is running
    #[arg(long, value_name = "FLEET")]
    name: Option<String>,
    /// How long to wait for another operator to finish, and for busy coordinators
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::time::time, allow_hyphen_values = true)]
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
        let what = format!("the supervisor of `{}` is dead, and so is the fleet", found.id);
        print::error(
            what,
            "only a running fleet can be backed up; `coordinator clean` removes what this one left behind",
        );
        return FAILED;
    }
    let lock = match OperatorLock::take(&found.path, args.patience) {
        Ok(lock) => lock,
        Err(error) => {
            let busy = matches!(error, OperatorError::Busy { .. });
            print::error(
                error,
                if busy { "wait until the other operator has finished, or stop it" } else { "" },
            );
            return FAILED;
        }
    };
    let mut taken = match take(&lock, &found.id, args.patience) {
        Ok(taken) => taken,
        Err(error) => {
            let hint = error.hint();
            print::error(error, hint);
            return FAILED;
        }
    };
    drop(lock);
    let mut fleet = None;
    let mut unwritten = || fleet.get_or_insert_with(|| Unwritten::of(&found.path)).as_ref().ok()?.tasks();
    let written = output::copy(&args.file, &mut taken.snapshot, &mut unwritten)
        .and_then(|copied| Ok((write_snapshot(&args.file, &taken.snapshot)?, copied)));
    let bytes = match written {
        Ok((bytes, copied)) => {
            report_lost(&copied.lost);
            copied.keep(&taken.snapshot);
            bytes
        }
        Err(error) => {
            let hint = error.hint();
            print::error(error, hint);
            return UNFIT;
        }
    };
    if taken.damaged > 0 {
        print::warn(format!("{} damaged entries of the task tables are not in the backup", taken.damaged));
    }
    if taken.with_client > 0 {
        print::warn(format!(
            "tasks that were returned to the fleet's client, and that it has not sent on, are not in the backup (at least {})",
            taken.with_client
        ));
    }
    print::text(summary(args, &found.id, &taken, bytes)).err().unwrap_or(OK)
}

/// Output that could not be copied.
fn report_lost(lost: &[(TaskId, String)]) {
    if let Some((id, why)) = lost.first() {
        print::warn(format!(
            "the output of {} is not in the backup, and a restore says that it is lost: of task {id}, {why}",
            counted(lost.len() as u64, "unreported answer")
        ));
    }
}

fn summary(args: &Args, name: &str, taken: &Taken, bytes: u64) -> String {
    let snapshot = &taken.snapshot;
    let in_hand = snapshot.tasks.iter().filter(|task| task.state == Progress::Leased).count();
    let sum =
        |of: fn(&crate::snapshot::record::Counters) -> u64| snapshot.counters.iter().map(of).sum::<u64>();
    format!(
        "{name}: {} coordinators of at most {} workers, {} open tasks ({in_hand} in hand), {} unreported answers, {} dead \
         letters\n{} tasks accepted = {} answered + {} failed deliveries + {} returned + {} in flight\n{bytes} bytes in {}; the \
         coordinators were paused for {:.1} ms\n",
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
