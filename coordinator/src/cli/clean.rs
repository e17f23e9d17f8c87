//! `coordinator clean`: removes leftovers of owners that are proven dead, and of nobody else.

use super::{FAILED, OK, Place, UNFIT, complain};
use crate::bus::directory::{Owner, find, remove};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator clean --dry-run")]
pub(super) struct Args {
    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match find(&args.place.shm_dir) {
        Ok(found) => found,
        Err(error) => {
            complain(format!("{}: {error}", args.place.shm_dir.display()), "is it a directory you may read?");
            return UNFIT;
        }
    };
    let mut status = OK;
    let mut dead = 0;
    for fleet in &found {
        let path = fleet.path.display();
        match fleet.owner {
            Owner::Alive(_) => {}
            Owner::Unknown => {
                complain(format!("{path}: does not say whose it is; left alone"), "");
            }
            Owner::Dead(owner) => {
                dead += 1;
                if args.dry_run {
                    println!("would remove {path} (its supervisor, process {}, is dead)", owner.pid);
                } else if let Err(error) = remove(&fleet.path) {
                    complain(format!("{path}: {error}"), "");
                    status = FAILED;
                } else {
                    println!("removed {path} (its supervisor, process {}, is dead)", owner.pid);
                }
            }
        }
    }
    if dead == 0 {
        println!("nothing to remove under {}", args.place.shm_dir.display());
    }
    status
}
