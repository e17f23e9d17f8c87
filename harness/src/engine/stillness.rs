//! Which processes make no progress, and whether the whole system is held, as this end sees it.
//!
//! Every process of a fleet counts its rounds. A count that stands still proves nothing: a process may wait for a processor on
//! a busy host, and so may the harness, whose looks are then late. So time in which the harness did not look is not
//! held against anyone, and the kernel has the last word: a process is still if it has, for half of the time that it may be
//! silent, not changed its place on a processor once and does not wait for one. That is a process which is stopped, frozen
//! with its control group, or caught in the kernel. One that starts a program has longer: it waits for its fork to execute that, and all
//! others that fork wait for the same locks of the kernel. If no process of the system gets on at all while the harness does, it is
//! held from outside, whatever the kernel calls that.
//!
//! Pure; bounded by the number of places.

use crate::system::{Activity, Beat, Identity, PlaceId};
use std::collections::HashMap;
use std::time::Duration;

/// How often to look.
pub const LOOK: Duration = Duration::from_millis(200);
/// A look that comes later than this after the one before was held up, and what happened between them is not known.
const LATE_NS: u64 = 3 * LOOK.as_nanos() as u64;
/// No process is expected to show progress more often, and no pause that is shorter is told.
const SILENT_LEAST: Duration = Duration::from_secs(1);
/// A process that starts a program may be silent for so long: seconds, where hundreds do so at once on few processors. One that
/// still shows nothing then is held.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
const STARTS_NS: u64 = STARTS_WITHIN.as_nanos() as u64;

/// A process that makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Still {
    pub place: PlaceId,
    pub process: Identity,
    /// Since when the kernel has seen it do nothing.
    pub since_ns: u64,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All that are still now.
    pub still: Vec<Still>,
    /// Since when the system is paused, if it is and has been for long.
    pub paused_ns: Option<u64>,
}

#[derive(Debug)]
struct Heart {
    process: Identity,
    count: u64,
    /// How long the count has stood still while this end looked.
    silent_ns: u64,
    /// What it did when half of the time it may be silent was over, and when that was seen.
    resting: Option<(Activity, u64)>,
    seen: u64,
}

#[derive(Debug, Default)]
pub struct Stillness {
    hearts: HashMap<PlaceId, Heart>,
    looked_ns: Option<u64>,
    looks: u64,
    /// Since when, and how much of that was looked at.
    paused: Option<(u64, u64)>,
}

impl Stillness {
    pub fn next_ns(&self) -> u64 {
        self.looked_ns.map_or(0, |looked_ns| looked_ns.saturating_add(LOOK.as_nanos() as u64))
    }

    /// `activity` asks the kernel, and is called only for processes that have been silent for long.
    pub fn look(
        &mut self,
        now_ns: u64,
        beats: &[Beat],
        is_paused: bool,
        activity: impl Fn(PlaceId, Identity) -> Option<Activity>,
    ) -> Found {
        let since_ns = now_ns.saturating_sub(self.looked_ns.unwrap_or(now_ns));
        let passed_ns = if since_ns > LATE_NS { 0 } else { since_ns };
        self.looked_ns = Some(now_ns);
        self.looks += 1;
        let mut still = Vec::new();
        // Of those that do nothing and yet wait for a processor.
        let mut waiting = Vec::new();
        for beat in beats {
            let (seen, process, count) = (self.looks, beat.process, beat.count);
            let heart = self.hearts.entry(beat.place).or_insert(Heart {
                process,
                count,
                silent_ns: 0,
                resting: None,
                seen,
            });
            if (heart.process, heart.count) != (process, count) {
                *heart = Heart { process, count, silent_ns: 0, resting: None, seen };
            }
            heart.seen = seen;
            heart.silent_ns = heart.silent_ns.saturating_add(passed_ns);
            let found = heart.judge(now_ns, limit_ns(beat.every), |process| activity(beat.place, process));
            let (to, since_ns) = match found {
                Some((runs, since_ns)) => (if runs { &mut waiting } else { &mut still }, since_ns),
                None => continue,
            };
            to.push(Still { place: beat.place, process, since_ns });
        }
        let looks = self.looks;
        self.hearts.retain(|_, heart| heart.seen == looks);
        if !waiting.is_empty() && waiting.len() + still.len() == beats.len() {
            still.append(&mut waiting);
        }
        Found { still, paused_ns: self.paused(now_ns, passed_ns, is_paused) }
    }

    fn paused(&mut self, now_ns: u64, passed_ns: u64, is_paused: bool) -> Option<u64> {
        if !is_paused {
            self.paused = None;
            return None;
        }
        let (since_ns, seen_ns) = self.paused.get_or_insert((now_ns, 0));
        if *since_ns != now_ns {
            *seen_ns = seen_ns.saturating_add(passed_ns);
        }
        (*seen_ns >= SILENT_LEAST.as_nanos() as u64).then_some(*since_ns)
    }
}

/// How long a process may be silent.
fn limit_ns(every: Duration) -> u64 {
    (2 * every).max(SILENT_LEAST).as_nanos() as u64
}

impl Heart {
    /// Whether it waits for a processor, and since when it has had none; `None` while it is not still.
    fn judge(
        &mut self,
        now_ns: u64,
        limit_ns: u64,
        activity: impl Fn(Identity) -> Option<Activity>,
    ) -> Option<(bool, u64)> {
        if self.silent_ns < limit_ns / 2 {
            return None;
        }
        let now = activity(self.process)?;
        match self.resting {
            Some((then, since_ns)) if then.switches == now.switches => {
                let limit_ns = if now.starts { limit_ns.max(STARTS_NS) } else { limit_ns };
                (self.silent_ns >= limit_ns).then_some((now.runs, since_ns))
            }
            _ => {
                self.resting = Some((now, now_ns));
                self.silent_ns = limit_ns / 2;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const ASLEEP: Activity = Activity { runs: false, switches: 7, starts: false };
    const WAITS: Activity = Activity { runs: true, switches: 7, starts: false };
    const STARTS: Activity = Activity { runs: false, switches: 7, starts: true };

    fn beat(worker: u32, count: u64) -> Beat {
        let process = Identity { pid: 100 + worker, start_ticks: 1 };
        Beat { place: PlaceId::worker(0, worker), process, count, every: Duration::from_secs(1) }
    }

    /// Looks every 200 ms of `ms`; worker 0 counts on, and worker 1 does as it is told.
    fn looks(
        stillness: &mut Stillness,
        ms: std::ops::Range<u64>,
        count: impl Fn(u64) -> u64,
        activity: impl Fn(u64) -> Option<Activity>,
    ) -> Vec<Found> {
        ms.step_by(200)
            .map(|ms| {
                let beats = [beat(0, ms), beat(1, count(ms))];
                stillness.look(ms * MS, &beats, false, |_, _| activity(ms))
            })
            .collect()
    }

    fn is_quiet(found: &[Found]) -> bool {
        found.iter().all(|found| *found == Found::default())
    }

    #[test]
    fn a_process_that_neither_counts_nor_moves_is_still_until_it_counts_again() {
        let mut stillness = Stillness::default();
        let found = looks(&mut stillness, 0..5_000, |_| 3, |_| Some(ASLEEP));
        assert!(is_quiet(&found[..10]), "{found:?}");
        let process = beat(1, 0).process;
        let still = Still { place: PlaceId::worker(0, 1), process, since_ns: 1_000 * MS };
        assert!(found[10..].iter().all(|found| found.still == [still]), "{found:?}");
        assert!(is_quiet(&looks(&mut stillness, 5_000..5_200, |_| 4, |_| Some(ASLEEP))));
    }

    #[test]
    fn heartbeats_that_come_as_rarely_as_they_may_are_no_silence() {
        assert!(is_quiet(&looks(&mut Stillness::default(), 0..30_000, |ms| ms / 1_000, |_| Some(ASLEEP))));
    }

    #[test]
    fn a_process_that_works_without_a_heartbeat_or_waits_for_a_processor_is_not_still() {
        let works = |ms| Some(Activity { switches: ms / 400, ..ASLEEP });
        assert!(is_quiet(&looks(&mut Stillness::default(), 0..30_000, |_| 3, works)));
        assert!(is_quiet(&looks(&mut Stillness::default(), 0..30_000, |_| 3, |_| Some(WAITS))));
        assert!(is_quiet(&looks(&mut Stillness::default(), 0..30_000, |_| 3, |_| None)), "it has ended");
    }

    #[test]
    fn a_process_that_starts_a_program_has_longer_but_not_for_ever() {
        let starts = |ms: std::ops::Range<u64>| looks(&mut Stillness::default(), ms, |_| 3, |_| Some(STARTS));
        assert!(is_quiet(&starts(0..5_000)));
        let found = starts(0..9_000);
        assert!(found[26..].iter().all(|found| found.still.len() == 1), "{found:?}");
        // Held when the program had begun.
        let then = |ms| Some(if ms < 3_000 { STARTS } else { ASLEEP });
        let found = looks(&mut Stillness::default(), 0..4_000, |_| 3, then);
        assert!(found[..15].iter().all(|found| found.still.is_empty()) && found[15].still.len() == 1);
    }

    #[test]
    fn if_no_process_gets_on_the_system_is_held_whatever_the_kernel_calls_it() {
        let mut stillness = Stillness::default();
        let look = |ms: u64| {
            let found = stillness.look(ms * MS, &[beat(0, 1), beat(1, 1)], false, |_, _| Some(WAITS));
            found.still.len()
        };
        let found: Vec<_> = (0..3_000).step_by(200).map(look).collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn time_in_which_the_harness_did_not_look_is_held_against_no_process() {
        let mut stillness = Stillness::default();
        let look = |second: u64| {
            stillness.look(second * 1_000 * MS, &[beat(0, 1), beat(1, 1)], true, |_, _| Some(ASLEEP))
        };
        assert!(is_quiet(&(0..60).map(look).collect::<Vec<_>>()));
    }

    #[test]
    fn a_successor_begins_anew_and_a_place_without_a_process_is_forgotten() {
        let mut stillness = Stillness::default();
        looks(&mut stillness, 0..1_800, |_| 3, |_| Some(ASLEEP));
        stillness.look(1_800 * MS, &[beat(0, 0)], false, |_, _| Some(ASLEEP));
        assert!(is_quiet(&looks(&mut stillness, 2_000..3_800, |_| 3, |_| Some(ASLEEP))));
        let mut other = beat(1, 3);
        other.process.start_ticks = 2;
        assert_eq!(
            stillness.look(3_800 * MS, &[beat(0, 9), other], false, |_, _| Some(ASLEEP)),
            Found::default()
        );
    }

    #[test]
    fn a_pause_is_told_when_it_has_lasted_for_a_second() {
        let mut stillness = Stillness::default();
        let look = |ms: u64| stillness.look(ms * MS, &[], ms < 2_000, |_, _| None).paused_ns;
        let found: Vec<_> = (0..2_400).step_by(400).map(look).collect();
        assert_eq!(found, [None, None, None, Some(0), Some(0), None]);
    }
}
