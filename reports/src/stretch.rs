//! Which part of the load a figure is of, where a criterion does not ask about all of it.

use std::fmt;

/// The word for all faults of a scenario together; no fault may have it as its name.
pub const ANY_FAULT: &str = "faults";

/// Where a part of the load lies beside the firings of a fault. A firing lasts from its injection to the recovery from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the first firing.
    Before,
    /// While a firing lasts.
    During,
    /// When the last firing is over.
    After,
    /// While no firing lasts: before, between and after.
    Outside,
}

impl Side {
    pub const ALL: [Self; 4] = [Self::Before, Self::During, Self::After, Self::Outside];

    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
            Self::Outside => "outside",
        }
    }
}

/// `after kill-3`, `outside faults`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub side: Side,
    /// Its name in the scenario; all faults, if absent.
    pub fault: Option<String>,
}

impl Stretch {
    /// The fault's name, or the word for all of them.
    pub fn fault_name(&self) -> &str {
        self.fault.as_deref().unwrap_or(ANY_FAULT)
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.side.name(), self.fault_name())
    }
}
