//! What may be referenced while another process writes it.

use super::sync::{AtomicI32, AtomicU32, AtomicU64};

/// Types that may be referenced while another process writes them.
///
/// # Safety
/// The type is `repr(C)` and consists of atomics, of arrays of them and of other `Shared` types
/// alone; every bit pattern is valid.
pub unsafe trait Shared {}

// SAFETY: an atomic integer has no invalid bit pattern.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicI32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}
