//! Which calls are trapped: a program for the kernel's packet filter, in the numbers of this architecture.

use nix::libc::{self, sock_filter};
use std::ffi::c_long;

/// A call that is trapped, and the numbers of its arguments that say what it is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrappedCall {
    /// The path in the second argument, below the directory in the first.
    OpenAt,
    /// The same.
    OpenAt2,
    /// The path in the first argument. Not every architecture has it.
    Open,
    /// The descriptor in the first argument.
    Fallocate,
    /// The same.
    Truncate,
    /// The descriptor in the fifth argument; shared mappings of files alone.
    Map,
}

#[cfg(target_arch = "x86_64")]
const CALLS: [(c_long, TrappedCall); 6] = [
    (libc::SYS_openat, TrappedCall::OpenAt),
    (libc::SYS_openat2, TrappedCall::OpenAt2),
    (libc::SYS_open, TrappedCall::Open),
    (libc::SYS_fallocate, TrappedCall::Fallocate),
    (libc::SYS_ftruncate, TrappedCall::Truncate),
    (libc::SYS_mmap, TrappedCall::Map),
];
#[cfg(target_arch = "aarch64")]
const CALLS: [(c_long, TrappedCall); 5] = [
    (libc::SYS_openat, TrappedCall::OpenAt),
    (libc::SYS_openat2, TrappedCall::OpenAt2),
    (libc::SYS_fallocate, TrappedCall::Fallocate),
    (libc::SYS_ftruncate, TrappedCall::Truncate),
    (libc::SYS_mmap, TrappedCall::Map),
];

/// `AUDIT_ARCH_…` of `linux/audit.h`: the ELF machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`, in bytes.
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;
/// The low half of the fourth argument, on a little-endian machine: the flags of `mmap`.
const AT_MAP_FLAGS: u32 = 16 + 3 * 8;

impl TrappedCall {
    pub(crate) fn of(number: i32) -> Option<Self> {
        CALLS.iter().find(|(nr, _)| *nr == c_long::from(number)).map(|(_, call)| *call)
    }
}

fn load(at: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: at }
}

/// Skips `jt` instructions if what was loaded compares, and `jf` if not.
fn jump(how: u32, with: u32, jt: usize, jf: usize) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | how | libc::BPF_K) as u16, jt: jt as u8, jf: jf as u8, k: with }
}

fn end(action: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: action }
}

/// Everything but the calls above is allowed, and so is everything that a program of another architecture calls.
pub(crate) fn program() -> Vec<sock_filter> {
    let others: Vec<u32> =
        CALLS.iter().filter(|(_, call)| *call != TrappedCall::Map).map(|(nr, _)| *nr as u32).collect();
    let count = others.len();
    let mut program = vec![
        load(AT_ARCHITECTURE),
        // To `allow`, the last instruction but one.
        jump(libc::BPF_JEQ, ARCHITECTURE, 0, count + 5),
        load(AT_NUMBER),
    ];
    for (index, number) in others.into_iter().enumerate() {
        // To `trap`, the last instruction.
        program.push(jump(libc::BPF_JEQ, number, count - index + 4, 0));
    }
    program.extend([
        jump(libc::BPF_JEQ, libc::SYS_mmap as u32, 0, 3),
        load(AT_MAP_FLAGS),
        // Not of a file.
        jump(libc::BPF_JSET, libc::MAP_ANONYMOUS as u32, 1, 0),
        jump(libc::BPF_JSET, libc::MAP_SHARED as u32, 1, 0),
        end(libc::SECCOMP_RET_ALLOW),
        end(libc::SECCOMP_RET_USER_NOTIF),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says to a call: an interpreter of the instructions that it has.
    fn said(number: c_long, architecture: u32, map_flags: i32) -> u32 {
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let code = u32::from(code);
            at += 1;
            match code & 7 {
                libc::BPF_LD => {
                    loaded = match k {
                        AT_NUMBER => number as u32,
                        AT_ARCHITECTURE => architecture,
                        AT_MAP_FLAGS => map_flags as u32,
                        _ => panic!("loads {k}"),
                    }
                }
                libc::BPF_JMP => {
                    let holds = if code & 0xf0 == libc::BPF_JEQ { loaded == k } else { loaded & k != 0 };
                    at += usize::from(if holds { jt } else { jf });
                }
                _ => return k,
            }
        }
    }

    #[test]
    fn the_calls_are_trapped_and_no_other() {
        for number in 0..600 {
            let is_trapped = said(number, ARCHITECTURE, libc::MAP_SHARED) == libc::SECCOMP_RET_USER_NOTIF;
            assert_eq!(is_trapped, TrappedCall::of(number as i32).is_some(), "{number}");
            assert_eq!(said(number, ARCHITECTURE ^ 1, libc::MAP_SHARED), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn of_mappings_those_of_files_that_are_shared_are_trapped() {
        let allow = libc::SECCOMP_RET_ALLOW;
        let of = |flags| said(libc::SYS_mmap, ARCHITECTURE, flags);
        assert_eq!(of(libc::MAP_PRIVATE), allow);
        assert_eq!(of(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), allow);
        assert_eq!(of(libc::MAP_SHARED | libc::MAP_ANONYMOUS), allow);
        assert_eq!(of(libc::MAP_SHARED_VALIDATE), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(of(libc::MAP_SHARED | libc::MAP_POPULATE), libc::SECCOMP_RET_USER_NOTIF);
    }
}
