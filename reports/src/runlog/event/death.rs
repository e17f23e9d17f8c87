//! How soon a fleet notices a death.

use serde::{Deserialize, Serialize};

/// A process has died, and the fleet has noticed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNoticed {
    /// Of its place.
    pub name: String,
    pub pid: u32,
    /// When the kernel told the harness that it had ended. The harness's own delay is in it: it had ended no later.
    pub ended_ns: u64,
    /// When the fleet says that it noticed.
    pub noticed_ns: u64,
}

/// The coordinator and the number of a worker by its name, written as the fleet writes it: no sign, no leading zero.
pub(crate) fn worker_place(name: &str) -> Option<(u32, u32)> {
    let (coordinator, worker) = name.strip_prefix("worker/")?.split_once('.')?;
    Some((number(coordinator)?, number(worker)?))
}

/// A number of a place.
pub(crate) fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| number.to_string() == text)
}

/// What the names of everything begin with that ends with this place.
pub(crate) fn dependents(name: &str) -> Option<String> {
    name.strip_prefix("coord/").map(|number| format!("worker/{number}."))
}
