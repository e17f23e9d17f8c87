//! The one door to atomics: nothing else in the crate names `std::sync::atomic`, so that a model
//! checker's types can stand in for these, and so that a test can count them.

mod bug;
#[cfg(feature = "kill-points")]
pub mod counted;
#[cfg(feature = "sabotage")]
mod sabotage;
/// Counts for a planted defect. Its operations are not steps of the program.
#[cfg(feature = "sabotage")]
type Uncounted = std::sync::atomic::AtomicU64;

pub use bug::Bug;
#[cfg(feature = "kill-points")]
pub use counted::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, as_std, call, planted};

#[cfg(not(feature = "kill-points"))]
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

#[cfg(all(feature = "sabotage", not(feature = "kill-points")))]
pub use sabotage::planted;
pub use std::hint::spin_loop;
pub use std::sync::atomic::Ordering;

/// Nothing after it is read before everything before it is visible: the fence of those who publish
/// and then check whether the peer sleeps. On x86 any locked instruction is one, and this takes half
/// the time of the `mfence` that the standard library's becomes.
#[inline]
pub fn full_fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: changes no byte, and only the flags, which are declared to be lost.
    unsafe {
        std::arch::asm!("lock or dword ptr [rsp], 0");
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// The atomic as the standard library knows it, for the kernel.
#[cfg(not(feature = "kill-points"))]
pub fn as_std(word: &AtomicU32) -> &std::sync::atomic::AtomicU32 {
    word
}

/// True in a test that planted `bug`; otherwise nothing is left of the question.
#[cfg(not(any(feature = "kill-points", feature = "sabotage")))]
#[inline]
pub const fn planted(_bug: Bug) -> bool {
    false
}

/// A system call that others see comes next: a step like a change of memory.
#[cfg(not(feature = "kill-points"))]
#[inline]
pub const fn call() {}
