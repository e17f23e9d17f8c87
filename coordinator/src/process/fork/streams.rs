//! Which standard streams this process was started without, seen before the standard library fills them up; and which
//! descriptors it keeps to itself.

use crate::bus::sync::{AtomicU32, Ordering};

/// A bit for each standard stream that this process was started without.
static MISSING: AtomicU32 = AtomicU32::new(0);

/// Called before the standard library opens `/dev/null` in the place of a standard stream that is closed.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_missing_streams;

extern "C" fn note_missing_streams() {
    for fd in 0..=2 {
        // SAFETY: asks for the flags of a number, which need not be a descriptor.
        if unsafe { nix::libc::fcntl(fd, nix::libc::F_GETFD) } == -1 {
            MISSING.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Whether this process was started without the standard stream `fd`: what is written there is lost.
pub fn started_without(fd: i32) -> bool {
    (0..=2).contains(&fd) && MISSING.load(Ordering::Relaxed) & 1 << fd != 0
}

/// Keeps the descriptors from `first` on from the programs that this process executes.
pub fn close_on_exec(first: u32) {
    // SAFETY: closes nothing. Kernels before 5.11 do not know the flag; they are too old for fleets in any case.
    unsafe {
        nix::libc::syscall(nix::libc::SYS_close_range, first, u32::MAX, nix::libc::CLOSE_RANGE_CLOEXEC);
    }
}
