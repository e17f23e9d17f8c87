//! The calls to the kernel: everything of this crate that is `unsafe`.

use crate::filter::program;
use nix::libc::{self, seccomp_notif, seccomp_notif_resp, seccomp_notif_sizes, sock_fprog};
use std::ffi::{c_long, c_uint, c_ulong, c_void};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::{from_mut, from_ref};

/// `seccomp(2)` with a pointer that this operation takes.
///
/// # Safety
/// `argument` must be what `operation` asks for, and live until the call returns.
unsafe fn seccomp(operation: c_uint, flags: c_ulong, argument: *mut c_void) -> io::Result<c_long> {
    // SAFETY: the caller vouches for the pointer; the other arguments are numbers.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, argument) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Whether the kernel's notifications are as long as this crate takes them to be.
pub(crate) fn check_sizes() -> io::Result<()> {
    let mut sizes = seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: this operation fills a `seccomp_notif_sizes`, which lives until then.
    unsafe { seccomp(libc::SECCOMP_GET_NOTIF_SIZES, 0, from_mut(&mut sizes).cast())? };
    // A kernel that writes more than we have room for would write beyond it.
    let fits = usize::from(sizes.seccomp_notif) <= size_of::<seccomp_notif>()
        && usize::from(sizes.seccomp_notif_resp) <= size_of::<seccomp_notif_resp>();
    if fits { Ok(()) } else { Err(io::Error::other("the kernel's notifications are longer than expected")) }
}

/// Traps the calls ([`TrappedCall`](crate::TrappedCall)) of this thread, for the rest of its life, and of everything that it starts from now on;
/// gives it no new privileges from now on either. Each trapped call waits for its answer by a
/// [`Listener`](crate::Listener) on the descriptor returned. If all copies of that are closed, it fails with ENOSYS.
///
/// # Errors
/// The kernel has no such notification, or refuses it: EBUSY if this thread has a listener already.
pub fn install() -> io::Result<OwnedFd> {
    check_sizes()?;
    // Without it only root may install a filter.
    rustix::thread::set_no_new_privs(true)?;
    let mut instructions = program();
    let length = u16::try_from(instructions.len()).map_err(io::Error::other)?;
    let mut program = sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    let mut ask = |flags: c_ulong| {
        let flags = flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: this operation reads a `sock_fprog` and the instructions that it points to, which live until then.
        unsafe { seccomp(libc::SECCOMP_SET_MODE_FILTER, flags, from_mut(&mut program).cast()) }
    };
    // So that no signal but a deadly one makes a call fail with EINTR that the listener has seen; from Linux 5.19 on.
    let answer = match ask(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => ask(0)?,
        answer => answer?,
    };
    let fd = RawFd::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for the caller; nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next call that waits. Blocks until there is one. To be called after [`check_sizes`].
pub(crate) fn receive(fd: BorrowedFd<'_>) -> io::Result<seccomp_notif> {
    let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
    // The kernel refuses one that is not zero.
    let mut call = seccomp_notif { id: 0, pid: 0, flags: 0, data };
    // SAFETY: this request fills a `seccomp_notif`, which lives until then; `Listener::new` has compared the lengths.
    let answer = unsafe {
        libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, from_mut::<seccomp_notif>(&mut call))
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(call) }
}

pub(crate) fn send(fd: BorrowedFd<'_>, mut answer: seccomp_notif_resp) -> io::Result<()> {
    // SAFETY: this request reads a `seccomp_notif_resp`, which lives until then.
    let sent = unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND as _,
            from_mut::<seccomp_notif_resp>(&mut answer),
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn is_valid(fd: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: this request reads a `u64`, which lives until then.
    let found =
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, from_ref::<u64>(&id)) };
    found == 0
}
