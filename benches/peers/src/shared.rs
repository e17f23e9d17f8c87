//! Memory that processes forked from this one share: for the floors and for keeping the two in step.

use anyhow::{Context, Result};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Types that are made of atomics only, so that all-zero bytes are a value and any process may look at any time.
///
/// # Safety
/// Every bit pattern is a value, all access goes through atomics, and there is nothing to drop.
pub unsafe trait Words {}

/// A word on a pair of cache lines of its own (processors fetch lines in pairs).
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Line(pub AtomicU64);

/// The same for the 32 bits of a futex.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Half(pub AtomicU32);

// SAFETY: atomics only.
unsafe impl Words for Line {}
// SAFETY: atomics only.
unsafe impl Words for Half {}
// SAFETY: atomics only.
unsafe impl Words for AtomicU64 {}
// SAFETY: an array of what is made of atomics only.
unsafe impl<T: Words, const N: usize> Words for [T; N] {}

/// `count` values of `T`, zeroed, shared with every process that is forked later.
#[derive(Debug)]
pub struct Shared<T: Words> {
    base: NonNull<c_void>,
    count: usize,
    _values: std::marker::PhantomData<T>,
}

impl<T: Words> Shared<T> {
    pub fn new(count: usize) -> Result<Self> {
        let bytes = NonZeroUsize::new(count * size_of::<T>()).context("a mapping of nothing")?;
        // SAFETY: a new anonymous mapping; nothing else lies there.
        let base = unsafe {
            mmap_anonymous(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE,
            )
        }
        .with_context(|| format!("mapping {bytes} bytes"))?;
        Ok(Self { base, count, _values: std::marker::PhantomData })
    }
}

impl<T: Words> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: mapped for `count` values in `new`, zeroed, page-aligned, unmapped in `drop` only; `Words` makes
        // every content a value and every change atomic.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.count) }
    }
}

impl<T: Words> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: ours since `new`; the borrow checker knows that it is not borrowed any more.
        let _ = unsafe { munmap(self.base, self.count * size_of::<T>()) };
    }
}
