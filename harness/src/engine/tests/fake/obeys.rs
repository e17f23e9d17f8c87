//! How far a fake does what it is told.

/// What becomes of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obeys {
    /// They are carried out; who is killed has a successor after 100 ms.
    All,
    /// They are taken, and nothing happens.
    Nothing,
    /// What is paused stays paused.
    NoContinue,
    /// The first kill is carried out, and every other one is refused.
    OneKill,
    /// What is paused goes on, and the order says that this failed.
    RefusesContinue,
    /// What is paused is continued by another program, 2.5 s after the clock's start.
    UntilOthers,
}

impl Obeys {
    /// Whether what is paused is still so.
    pub fn holds(self, now_ns: u64) -> bool {
        self != Self::UntilOthers || now_ns < 2_500_000_000
    }
}
