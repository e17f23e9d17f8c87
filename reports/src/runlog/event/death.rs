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

/// What the names of everything begin with that ends with this place.
pub(crate) fn dependents(name: &str) -> Option<String> {
    name.strip_prefix("coord/").map(|number| format!("worker/{number}."))
}
