//! What is looked at before the standard library begins: which standard streams this process was started without, which it
//! then fills up, and whether there is any memory, without which it aborts. And which descriptors this process keeps to itself.

use crate::bus::sync::{AtomicU32, Ordering};

/// A bit for each standard stream that this process was started without.
static MISSING: AtomicU32 = AtomicU32::new(0);

/// What the standard library and reading the command line take, in bytes, with as much again to spare.
const ROOM: usize = 1 << 20;
/// Composing it would take memory.
const NO_ROOM: &[u8] = b"error: this process can get no memory; nothing was started\n\
    hint: raise `ulimit -v`, `ulimit -d`, or the limit of the control group\n";
/// This host cannot run the program: `docs/exit-codes.md`.
const UNFIT: i32 = 20;

/// Called before the standard library opens `/dev/null` in the place of a standard stream that is closed.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    note_missing_streams();
    if !has_room() {
        // It cannot be reported anywhere else.
        let _ = rustix::io::write(rustix::stdio::stderr(), NO_ROOM);
        // SAFETY: ends this process, of which nothing has run yet that would have to be ended in an orderly way.
        unsafe { nix::libc::_exit(UNFIT) };
    }
}

/// Asks the kernel and not the allocator, whose habits depend on what it has given out.
fn has_room() -> bool {
    use nix::libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap};
    let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    // SAFETY: a new mapping, wherever there is room, which nothing points into and which is removed again.
    unsafe {
        let at = mmap(std::ptr::null_mut(), ROOM, access, kind, -1, 0);
        at != MAP_FAILED && munmap(at, ROOM) == 0
    }
}

fn note_missing_streams() {
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
