//! `[shm]`: a file system of the run's own for the fleet's shared memory.

use super::cursor::{Fields, Sited};
use super::form::{Count, Size};
use super::mistake::Mistake;
use super::table::{Key, Presence, Preset, Table};
use super::unit::bytes_text;
use coordinator::config::FleetShape;

/// Enough for faults that use all of it up: each is a file.
const INODES: u32 = 4096;
/// What container engines give.
const BYTES_LEAST: u64 = 64 << 20;

pub(super) static TABLE: Table = Table {
    name: "shm",
    definition: "Shm",
    says: "Gives the run a `/dev/shm` of its own, which no other program sees. A scenario with a fault on shared memory has one without this table, too.",
    required: false,
    repeated: false,
    keys: &[&SIZE, &INODES_MAX],
    anew: None,
    rules: None,
};

static SIZE: Key<Size> = Key {
    name: "size",
    form: Size { least: 1 << 20, most: 1 << 31 },
    presence: Presence::Optional("twice what the fleet needs, and at least `\"64MiB\"`"),
    says: "What it can hold; memory is taken only as it is used. At least what the fleet needs.",
};

static INODES_MAX: Key<Count> = Key {
    name: "inodes",
    form: Count { max: 1 << 16, things: "files and directories that it can hold" },
    presence: Presence::Default(Preset::Count(INODES)),
    says: "How many files and directories it can hold.",
};

#[derive(Debug)]
pub(super) struct RawShm {
    size: Option<Sited<u64>>,
    inodes: Option<Sited<u32>>,
}

/// How much a file system can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    pub inodes: u64,
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawShm> {
    let fields = root.table(&TABLE, found)?;
    Some(RawShm { size: fields.value(&SIZE, found), inodes: fields.value(&INODES_MAX, found) })
}

/// What the run's own file system can hold; nothing if the fleet uses that of the host.
pub(super) fn check(
    raw: Option<&RawShm>,
    is_disturbed: bool,
    shape: Option<&FleetShape>,
    found: &mut Vec<Mistake>,
) -> Option<Room> {
    if raw.is_none() && !is_disturbed {
        return None;
    }
    let shape = shape?;
    let size = raw.and_then(|raw| raw.size.as_ref());
    if let Some(size) = size.filter(|size| size.value < shape.shm_bytes()) {
        reject_too_small(size, shape, found);
    }
    let inodes = raw.and_then(|raw| raw.inodes.as_ref());
    if let Some(inodes) = inodes.filter(|inodes| u64::from(inodes.value) < shape.shm_inodes()) {
        let message =
            format!("`{}` is {}, and the fleet needs {}", inodes.path, inodes.value, shape.shm_inodes());
        inodes.reject(found, message, "write more, or start fewer coordinators");
    }
    Some(Room {
        bytes: size.map_or_else(|| (2 * shape.shm_bytes()).max(BYTES_LEAST), |size| size.value),
        inodes: inodes.map_or(INODES, |inodes| inodes.value).into(),
    })
}

/// Of the file system, or of a fault that makes it smaller.
pub(super) fn reject_too_small(size: &Sited<u64>, shape: &FleetShape, found: &mut Vec<Mistake>) {
    let (has, needs) = (bytes_text(size.value), bytes_text(shape.shm_bytes()));
    let message = format!("`{}` is {has}, and the fleet needs {needs}", size.path);
    size.reject(found, message, "write a larger size, start fewer workers, or lower `payload`");
}
