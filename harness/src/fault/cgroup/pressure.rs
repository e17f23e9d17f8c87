//! Makes a process use more memory, so that its control group runs out of it.
//!
//! What it used before it was moved is counted where it was, and an agent that waits allocates nothing. So pages of its own
//! code, which it has in common with the file, become its own: each is written through `/proc/PID/mem` with what is in it. The
//! kernel counts the copy for the process that has it, and the process sees no difference.

use crate::system::Identity;
use procfs::process::{MMPermissions, MMapPath, Process as Proc};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

const ENDS_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Until it has ended, or there is no page left that could be copied.
///
/// # Errors
/// In words: it cannot be written to, or it lives on.
pub(super) fn press(process: Identity) -> Result<(), String> {
    // Where it has ended already, by its own use, nothing of it can be read.
    copy_all(process).or_else(|why| if lives_on(process) { Err(why) } else { Ok(()) })
}

fn copy_all(process: Identity) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("/proc/{}/mem: {error}", process.pid);
    let memory = File::options().read(true).write(true).open(format!("/proc/{}/mem", process.pid));
    let memory = memory.map_err(|error| failed(&error))?;
    let maps = i32::try_from(process.pid)
        .map_err(|_| "has no pid".to_owned())
        .and_then(|pid| Proc::new(pid).and_then(|proc| proc.maps()).map_err(|error| error.to_string()))?;
    // From here on the file is of this process's memory, and of no later one's with its pid.
    if !process.is_alive() {
        return Ok(());
    }
    let is_code = MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE;
    let code = maps.iter().filter(|map| map.perms == is_code && matches!(map.pathname, MMapPath::Path(_)));
    for map in code {
        for page in (map.address.0..map.address.1).step_by(rustix::param::page_size()) {
            // Refused as soon as the kernel has taken its memory away.
            copy(&memory, page).map_err(|error| failed(&error))?;
        }
    }
    Err("has all of its code as its own, and is there".to_owned())
}

fn copy(memory: &File, page: u64) -> io::Result<()> {
    let mut byte = [0];
    memory.read_exact_at(&mut byte, page)?;
    memory.write_all_at(&byte, page)
}

/// A killed process takes a moment to end.
fn lives_on(process: Identity) -> bool {
    let until = Instant::now() + ENDS_WITHIN;
    while process.is_alive() && Instant::now() < until {
        std::thread::sleep(LOOK_AGAIN);
    }
    process.is_alive()
}
