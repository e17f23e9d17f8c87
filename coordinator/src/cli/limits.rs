//! Limits of the caller that this program cannot work within. Found first, they are an error with a name; found later, the
//! process is aborted.

use super::{UNFIT, Verb, print};
use crate::os::identity::Identity;
use procfs::process::Process;
use rustix::process::{Resource, getrlimit};

/// What the command line and a coordinator use of their stacks is less than half of this.
const STACK_MIN: u64 = 256 << 10;

/// A limit that is too low: what it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLow {
    pub what: String,
    pub remedy: &'static str,
}

/// Checks that this process has `room` more bytes of memory, and a stack to work with.
///
/// # Errors
/// A limit is too low.
pub fn check(room: u64) -> Result<(), TooLow> {
    let stack = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
    if stack < STACK_MIN {
        let what = format!("a stack may have {} KiB, and {} are needed", stack >> 10, STACK_MIN >> 10);
        return Err(TooLow { what, remedy: "raise `ulimit -s`; 8192 is usual" });
    }
    let limits = [
        (Resource::As, "of addresses", "raise `ulimit -v`"),
        (Resource::Data, "of data", "raise `ulimit -d`"),
    ];
    for (limit, kind, remedy) in limits {
        let Some(max) = getrlimit(limit).current else { continue };
        let left = max.saturating_sub(used(limit).unwrap_or(0));
        if left < room {
            let what = format!(
                "a process may have {} KiB {kind}, {} of them are left, and {} are needed",
                max >> 10,
                left >> 10,
                room >> 10
            );
            return Err(TooLow { what, remedy });
        }
    }
    Ok(())
}

/// Bytes of this process that count.
fn used(limit: Resource) -> Option<u64> {
    let pages = Process::myself().ok()?.statm().ok()?;
    let counted = if limit == Resource::As { pages.size } else { pages.data };
    Some(counted.saturating_mul(procfs::page_size()))
}

/// Whether this process can do what `verb` asks for. Errors are already printed.
pub(super) fn allow(verb: &Verb) -> Result<(), u8> {
    // These work without, as far as that is possible.
    let does_without =
        matches!(verb, Verb::Capacity(_) | Verb::Clean(_) | Verb::Completions(_) | Verb::Status(_));
    if !does_without && let Err(error) = Identity::try_own() {
        print::error(
            format!("cannot find out what this process is: {error}"),
            "this program needs /proc (`mount -t proc proc /proc`) and a free descriptor (`ulimit -n`)",
        );
        return Err(UNFIT);
    }
    Ok(())
}
