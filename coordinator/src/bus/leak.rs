//! Values that stay for the life of the process: maps, and the layouts that describe them.
//!
//! A test that attaches a million times would run out of maps. So in tests and under the feature `probe` a
//! thread can note what it leaks ([`reclaiming`]) and take it back.

#[cfg(any(test, feature = "probe"))]
use std::any::Any;
#[cfg(any(test, feature = "probe"))]
use std::cell::RefCell;

/// Keeps `value` for the life of the process.
pub(super) fn leak<T: 'static>(value: T) -> &'static T {
    let leaked = Box::leak(Box::new(value));
    #[cfg(any(test, feature = "probe"))]
    note(leaked);
    leaked
}

#[cfg(any(test, feature = "probe"))]
thread_local! {
    /// What this thread has leaked since [`reclaiming`] began; `None` outside of it.
    static LEAKED: RefCell<Option<Vec<*mut dyn Any>>> = const { RefCell::new(None) };
}

#[cfg(any(test, feature = "probe"))]
fn note(leaked: *mut dyn Any) {
    LEAKED.with_borrow_mut(|all| {
        if let Some(all) = all {
            all.push(leaked);
        }
    });
}

/// Runs `with` and then drops what this thread leaked in it. Neither the value that `with` returns nor
/// anything that outlives it may hold a reference to a map: both callers are in `fuzzing`, and return bytes
/// or nothing.
#[cfg(any(test, feature = "probe"))]
pub(crate) fn reclaiming<T>(with: impl FnOnce() -> T) -> T {
    LEAKED.set(Some(Vec::new()));
    let value = with();
    for leaked in LEAKED.take().unwrap_or_default() {
        // SAFETY: each came out of a Box in `leak`, on this thread and within `with`, and is dropped once. By
        // the contract above no reference to it is left.
        drop(unsafe { Box::from_raw(leaked) });
    }
    value
}
