//! `coordinator capacity`: how large a fleet can be on this host, before anything is started.

use super::number::{bytes, number};
use super::{OK, Place, UNFIT, USAGE, print};
use crate::config::FleetShape;
use crate::plan::capacity::{Capacity, Costs, capacity};
use crate::process::host;
use std::path::Path;

/// Private memory of a worker before its first task: page tables, stack and heap, measured as PSS and rounded up. The
/// memory of its tasks comes on top.
const MEMORY_EACH: u64 = 512 << 10;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator capacity --coordinators 10")]
pub(super) struct Args {
    /// Coordinators that share the workers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(0, u32::MAX))]
    coordinators: u32,
    /// Largest task or answer, in bytes or as a size such as 64KiB
    #[arg(long, value_name = "SIZE", default_value_t = 4096, value_parser = bytes::<u32>)]
    payload_max: u32,
    /// Tasks that may wait for one worker
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number(0, u32::MAX))]
    depth: u32,
    #[command(flatten)]
    place: Place,
}

/// What the host has room for, for fleets like this one.
pub(super) fn of(shape: &FleetShape, shm: &Path) -> Capacity {
    capacity(&host::read(shm), &Costs::of(shape, MEMORY_EACH))
}

/// The largest number of workers of a fleet of this shape.
pub(super) fn workers(shape: &FleetShape) -> u64 {
    u64::from(shape.coordinators()) * u64::from(shape.workers_per_coordinator())
}

pub(super) fn main(args: &Args) -> u8 {
    // The cost of a worker in shared memory hardly depends on how many there are.
    let shape = match FleetShape::new(args.coordinators, 100, args.payload_max, args.depth) {
        Ok(shape) => shape,
        Err(error) => {
            print::error(error, &super::policy::hint(error));
            return USAGE;
        }
    };
    let room = of(&shape, &args.place.shm_dir);
    print::output(format!("{room}\n").as_bytes()).err().unwrap_or(if room.workers == 0 { UNFIT } else { OK })
}

/// `up --dry-run`: whether this shape fits, and what it costs.
pub(super) fn dry_run(shape: &FleetShape, shm: &Path) -> u8 {
    let room = of(shape, shm);
    let fits = room.workers >= workers(shape);
    let text = format!(
        "this fleet needs up to {} processes and {} bytes of shared memory in {} files; it {} here\n{room}\n",
        shape.processes_with_guard(),
        shape.shm_bytes(),
        shape.shm_inodes(),
        if fits { "fits" } else { "does not fit" },
    );
    print::text(text).err().unwrap_or(if fits { OK } else { UNFIT })
}
