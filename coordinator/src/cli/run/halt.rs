//! When a run ends before its list is done.

use std::str::FromStr;

/// `never`; or `soon` or `now`, with the number of tasks that triggers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    Never,
    /// Starts no more tasks, and waits for those that are running.
    Soon(Trigger),
    /// Cancels running tasks.
    Now(Trigger),
}

/// A number of tasks that have ended in a certain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Fail(u64),
    Success(u64),
    Done(u64),
}

impl Trigger {
    fn is_met(self, ended: u64, failed: u64) -> bool {
        match self {
            Self::Fail(count) => failed >= count,
            Self::Success(count) => ended - failed >= count,
            Self::Done(count) => ended >= count,
        }
    }
}

impl Halt {
    pub(super) fn is_met(self, ended: u64, failed: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Soon(trigger) | Self::Now(trigger) => trigger.is_met(ended, failed),
        }
    }

    /// Whether a run that was halted has failed.
    pub(super) fn is_failure(self, failed: u64) -> bool {
        match self {
            Self::Soon(Trigger::Success(_)) | Self::Now(Trigger::Success(_)) => false,
            _ => failed > 0,
        }
    }
}

impl FromStr for Halt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a condition: write never; or soon or now, followed by fail=N, success=N or done=N, as in now,fail=1"
            )
        };
        if text == "never" {
            return Ok(Self::Never);
        }
        let (when, what) = text.split_once(',').unwrap_or((text, "fail=1"));
        let (what, count) = what.split_once('=').unwrap_or((what, "1"));
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let trigger = match what {
            "fail" => Trigger::Fail(count),
            "success" => Trigger::Success(count),
            "done" => Trigger::Done(count),
            _ => return Err(wrong()),
        };
        match when {
            "soon" => Ok(Self::Soon(trigger)),
            "now" => Ok(Self::Now(trigger)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_as_in_gnu_parallel() {
        assert_eq!("never".parse(), Ok(Halt::Never));
        assert_eq!("now".parse(), Ok(Halt::Now(Trigger::Fail(1))));
        assert_eq!("soon,fail=3".parse(), Ok(Halt::Soon(Trigger::Fail(3))));
        assert_eq!("now,success=1".parse(), Ok(Halt::Now(Trigger::Success(1))));
        assert_eq!("soon,done=9".parse(), Ok(Halt::Soon(Trigger::Done(9))));
        for wrong in ["", "later", "now,fail=0", "now,fail=x", "now,fail=20%", "soon,die=1"] {
            assert!(wrong.parse::<Halt>().unwrap_err().contains("as in now,fail=1"), "{wrong}");
        }
    }

    #[test]
    fn a_condition_is_met_by_the_tasks_that_it_counts() {
        let met = |text: &str, ended, failed| text.parse::<Halt>().unwrap().is_met(ended, failed);
        assert!(!met("never", 100, 100));
        assert!(met("now,fail=2", 5, 2) && !met("now,fail=2", 5, 1));
        assert!(met("soon,success=3", 5, 2) && !met("soon,success=4", 5, 2));
        assert!(met("soon,done=5", 5, 0) && !met("soon,done=6", 5, 5));
    }
}
