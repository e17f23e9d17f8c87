//! When a worker that has served is replaced by a fresh one, between two tasks.

/// How much a worker has been used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wear {
    /// Carried out by this process.
    pub tasks: u32,
    pub rss_bytes: u64,
    /// Bytes before its first task.
    pub baseline_rss: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `None`: no limit.
    pub after_tasks: Option<u32>,
    /// Bytes beyond the baseline; `None`: no limit.
    pub rss_growth_max: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Keep,
    Recycle(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has carried out as many tasks as it may.
    Tasks(u32),
    /// It holds so many bytes more than at its start.
    Growth(u64),
}

/// After a task whose state was reset: whether the process takes another one.
pub fn after_task(wear: &Wear, limits: &Limits) -> Decision {
    if limits.after_tasks.is_some_and(|most| wear.tasks >= most) {
        return Decision::Recycle(Reason::Tasks(wear.tasks));
    }
    let growth = wear.rss_bytes.saturating_sub(wear.baseline_rss);
    if limits.rss_growth_max.is_some_and(|most| growth > most) {
        debug_assert!(
            wear.rss_bytes > wear.baseline_rss,
            "a worker that has grown is larger than at its start"
        );
        return Decision::Recycle(Reason::Growth(growth));
    }
    Decision::Keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { after_tasks: Some(10), rss_growth_max: Some(1000) };

    #[test]
    fn a_worker_is_replaced_after_its_share_of_tasks() {
        let wear = |tasks| Wear { tasks, ..Wear::default() };
        assert_eq!(after_task(&wear(9), &LIMITS), Decision::Keep);
        assert_eq!(after_task(&wear(10), &LIMITS), Decision::Recycle(Reason::Tasks(10)));
    }

    #[test]
    fn a_worker_is_replaced_when_it_has_grown_and_not_because_it_is_large() {
        let wear = |rss_bytes| Wear { tasks: 1, rss_bytes, baseline_rss: 50_000 };
        assert_eq!(after_task(&wear(51_000), &LIMITS), Decision::Keep);
        assert_eq!(after_task(&wear(51_001), &LIMITS), Decision::Recycle(Reason::Growth(1001)));
        assert_eq!(after_task(&wear(10), &LIMITS), Decision::Keep);
    }

    proptest! {
        #[test]
        fn without_limits_no_worker_is_replaced(tasks: u32, rss_bytes: u64, baseline_rss: u64) {
            let wear = Wear { tasks, rss_bytes, baseline_rss };
            prop_assert_eq!(after_task(&wear, &Limits::default()), Decision::Keep);
        }
    }
}
