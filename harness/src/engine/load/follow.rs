//! What a fleet says of its processes: how soon it notices that one has died, and how soon it has as many as its load asks for.

use crate::engine::deaths::Ends;
use crate::system::{Notice, Noticed, PlaceId};
use reports::runlog::event::{DeathNoticed, Event, Resized};
use std::collections::{BTreeMap, BTreeSet};

/// A decision that is not carried out yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// How many there were when the decision before it had been carried out: what is turned round was not.
    origin: u32,
    from: u32,
    to: u32,
    decided_ns: u64,
    /// Processes that are still to come, or to go.
    left: u32,
}

/// Pure; bounded by the number of places.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// By the process that has decided.
    open: BTreeMap<PlaceId, Open>,
    /// Places whose next process replaces one that has died.
    dead: BTreeSet<PlaceId>,
}

impl Following {
    /// What the notices show; they are in order of time. `ends` knows when processes have ended.
    pub fn notice(&mut self, notices: &[Notice], ends: Option<&Ends>, now_ns: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for notice in notices {
            let (place, at_ns) = (notice.place, notice.at_ns.min(now_ns));
            match notice.what {
                Noticed::Died { pid } => {
                    self.dead.insert(place);
                    let ended_ns = ends.and_then(|ends| ends.of(pid)).map(|ended_ns| ended_ns.min(now_ns));
                    events.extend(ended_ns.map(|ended_ns| {
                        let name = place.to_string();
                        Event::DeathNoticed(DeathNoticed { name, pid, ended_ns, noticed_ns: at_ns })
                    }));
                }
                Noticed::Resized { from, to } => self.decide(place, (from, to), at_ns),
                Noticed::Started if self.dead.remove(&place) => {}
                Noticed::Started => events.extend(self.step(place, true, at_ns)),
                Noticed::Ended => {
                    self.forget_below(place);
                    events.extend(self.step(place, false, at_ns));
                }
                Noticed::Suspected { .. }
                | Noticed::Healed { .. }
                | Noticed::Hung { .. }
                | Noticed::Scaled { .. }
                | Noticed::Overwritten { .. }
                | Noticed::HelperDied { .. }
                | Noticed::Unread(_) => {}
            }
        }
        events
    }

    fn decide(&mut self, place: PlaceId, (from, to): (u64, u64), decided_ns: u64) {
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (from, to) = (small(from), small(to));
        let new = Open { origin: from, from, to, decided_ns, left: from.abs_diff(to) };
        let merged = match self.open.remove(&place) {
            // It goes on: what was wanted first has waited longest.
            Some(before) if (before.to > before.from) == (to > from) => {
                Open { to, left: before.left.saturating_add(new.left), ..before }
            }
            Some(before) => Open { origin: before.origin, ..new },
            None => new,
        };
        if merged.left > 0 {
            self.open.insert(place, merged);
        }
    }

    /// A coordinator has ended in order, and its workers with it: what it had decided is void, and its dead have no successors.
    fn forget_below(&mut self, place: PlaceId) {
        if let PlaceId::Coordinator(number) = place {
            self.open.remove(&place);
            let is_below = |dead: &PlaceId| matches!(dead, PlaceId::Worker(of) if of.coordinator == number);
            self.dead.retain(|dead| !is_below(dead));
        }
    }

    /// A process has come or gone: the decision that this fulfils, if it is the last one.
    fn step(&mut self, place: PlaceId, came: bool, at_ns: u64) -> Option<Event> {
        let by = match place {
            PlaceId::Worker(worker) => PlaceId::Coordinator(worker.coordinator),
            PlaceId::Coordinator(_) => PlaceId::Supervisor,
            PlaceId::Supervisor => return None,
        };
        let open = self.open.get_mut(&by).filter(|open| (open.to > open.from) == came)?;
        open.left -= 1;
        if open.left > 0 {
            return None;
        }
        let Open { origin, to, decided_ns, .. } = self.open.remove(&by)?;
        let reached_ns = at_ns.max(decided_ns);
        let resized = Resized { name: by.to_string(), from: origin, to, decided_ns, reached_ns };
        // Turned round, and back where it was.
        (origin != to).then_some(Event::Resized(resized))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(at_ns: u64, place: PlaceId, what: Noticed) -> Notice {
        Notice { at_ns, place, what }
    }

    fn resized(events: Vec<Event>) -> Vec<(u32, u32, u64, u64)> {
        let of = |event| match event {
            Event::Resized(r) => Some((r.from, r.to, r.decided_ns, r.reached_ns)),
            _ => None,
        };
        events.into_iter().filter_map(of).collect()
    }

    #[test]
    fn a_decision_is_followed_when_the_last_process_has_come_or_gone() {
        let (coordinator, worker) = (PlaceId::Coordinator(1), |n| PlaceId::worker(1, n));
        let mut following = Following::default();
        let grow = [
            notice(10, coordinator, Noticed::Resized { from: 2, to: 4 }),
            notice(12, worker(2), Noticed::Started),
            // Of another coordinator.
            notice(13, PlaceId::worker(0, 3), Noticed::Started),
            notice(14, worker(3), Noticed::Started),
            // Nothing is awaited any more.
            notice(15, worker(4), Noticed::Started),
        ];
        assert_eq!(resized(following.notice(&grow, None, 100)), [(2, 4, 10, 14)]);
        let shrink = [
            notice(20, coordinator, Noticed::Resized { from: 4, to: 3 }),
            notice(30, worker(3), Noticed::Ended),
        ];
        assert_eq!(resized(following.notice(&shrink, None, 100)), [(4, 3, 20, 30)]);
    }

    #[test]
    fn what_a_coordinator_had_decided_ends_with_it() {
        let (supervisor, coordinator, worker) =
            (PlaceId::Supervisor, PlaceId::Coordinator(1), |n| PlaceId::worker(1, n));
        let mut following = Following::default();
        let retired = [
            notice(10, coordinator, Noticed::Resized { from: 1, to: 3 }),
            notice(11, worker(1), Noticed::Started),
            notice(12, worker(0), Noticed::Died { pid: 7 }),
            notice(13, supervisor, Noticed::Resized { from: 2, to: 1 }),
            notice(14, worker(1), Noticed::Ended),
            notice(15, coordinator, Noticed::Ended),
        ];
        assert_eq!(resized(following.notice(&retired, None, 100)), [(2, 1, 13, 15)]);
        let again = [
            notice(50, supervisor, Noticed::Resized { from: 1, to: 2 }),
            notice(51, coordinator, Noticed::Started),
            notice(52, worker(0), Noticed::Started),
            notice(60, coordinator, Noticed::Resized { from: 1, to: 2 }),
            notice(61, worker(1), Noticed::Started),
        ];
        assert_eq!(resized(following.notice(&again, None, 100)), [(1, 2, 50, 51), (1, 2, 60, 61)]);
    }

    #[test]
    fn a_replacement_is_no_growth_and_a_second_decision_goes_on_with_the_first() {
        let (coordinator, worker) = (PlaceId::Coordinator(0), |n| PlaceId::worker(0, n));
        let mut following = Following::default();
        let notices = [
            notice(10, coordinator, Noticed::Resized { from: 2, to: 3 }),
            notice(11, worker(0), Noticed::Died { pid: 7 }),
            notice(12, worker(0), Noticed::Started),
            notice(13, coordinator, Noticed::Resized { from: 3, to: 4 }),
            notice(14, worker(2), Noticed::Started),
            notice(15, worker(3), Noticed::Started),
        ];
        assert_eq!(resized(following.notice(&notices, None, 100)), [(2, 4, 10, 15)]);
        let turned = [
            notice(20, coordinator, Noticed::Resized { from: 4, to: 6 }),
            notice(21, coordinator, Noticed::Resized { from: 6, to: 5 }),
            notice(22, worker(5), Noticed::Ended),
        ];
        // There never were six.
        assert_eq!(resized(following.notice(&turned, None, 100)), [(4, 5, 21, 22)]);
        let back = [
            notice(30, coordinator, Noticed::Resized { from: 5, to: 6 }),
            notice(31, coordinator, Noticed::Resized { from: 6, to: 5 }),
            notice(32, worker(5), Noticed::Ended),
        ];
        assert_eq!(resized(following.notice(&back, None, 100)), []);
    }
}
