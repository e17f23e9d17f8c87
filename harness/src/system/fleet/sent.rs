//! Which task had which number, for answers to tasks that the client has forgotten.

use std::collections::VecDeque;

/// Rounds that are remembered: of a hundred a second, those of ten minutes.
const RUNS_MAX: usize = 65_536;

/// Tasks as they were sent. Those of a round have numbers and tags that follow each other, and are kept as one.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// First number, its tag, and how many. In order.
    runs: VecDeque<(u64, u64, u64)>,
}

impl Sent {
    /// Numbers rise.
    pub(super) fn push(&mut self, number: u64, tag: u64) {
        if let Some((first, first_tag, count)) = self.runs.back_mut()
            && (*first + *count, *first_tag + *count) == (number, tag)
        {
            *count += 1;
            return;
        }
        if self.runs.len() == RUNS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back((number, tag, 1));
    }

    /// Of the task with this number, if it is remembered.
    pub(super) fn tag(&self, number: u64) -> Option<u64> {
        let after = self.runs.partition_point(|(first, ..)| *first <= number);
        let (first, tag, count) = self.runs.get(after.checked_sub(1)?)?;
        (number - first < *count).then(|| tag + (number - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_its_number_until_it_is_long_ago() {
        let mut sent = Sent::default();
        for round in 0..=RUNS_MAX as u64 {
            for task in 0..3 {
                sent.push(10 * round + task, (round << 24) + task);
            }
        }
        assert_eq!(sent.runs.len(), RUNS_MAX);
        assert_eq!((sent.tag(0), sent.tag(2)), (None, None), "forgotten");
        assert_eq!([sent.tag(10), sent.tag(12), sent.tag(13)], [Some(1 << 24), Some((1 << 24) + 2), None]);
        assert_eq!(sent.tag(u64::MAX), None);
    }
}
