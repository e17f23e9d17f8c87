//! What the faults of a run have written into the memory of coordinators, as opposed to what others write there.

use crate::scenario::fault::Overwrite;
use crate::scenario::unit::nanos;
use crate::system::{Notice, Noticed, PlaceId};
use std::collections::VecDeque;
use std::time::Duration;

/// Words that are remembered.
const WRITTEN_MAX: usize = 4096;
/// The fleet finds a word that it names within a second of its being overwritten, and later on a busy host.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
/// Two clocks are compared: an event may seem to be a little older than what it is about.
const CLOCKS_APART: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Entry {
    coordinator: u32,
    /// As the layout calls it: `workers[3].process.pid`.
    word: String,
    /// What of it the fleet has not named yet: the whole, or the halves of a stamp, which is put back by four bytes.
    left: Vec<u64>,
    at_ns: u64,
}

impl Entry {
    fn new(word: &Overwrite, at_ns: u64) -> Self {
        let halves = word.value.chunks_exact(4).map(|half| half.try_into().map_or(0, u32::from_ne_bytes));
        let left = if is_stamp(&word.name) { halves.map(u64::from).collect() } else { vec![word.number()] };
        Self { coordinator: word.coordinator, word: word.name.clone(), left, at_ns }
    }

    fn is_of(&self, place: PlaceId, word: &str) -> bool {
        let array = |name: &str| name.split('[').next().map(str::to_owned);
        match place {
            PlaceId::Coordinator(index) => index == self.coordinator && array(&self.word) == array(word),
            PlaceId::Worker(worker) => {
                worker.coordinator == self.coordinator
                    && self.word == format!("workers[{}].{word}", worker.worker)
            }
            PlaceId::Supervisor => false,
        }
    }

    fn is_found_in_time(&self, at_ns: u64) -> bool {
        let from_ns = self.at_ns.saturating_sub(nanos(CLOCKS_APART));
        (from_ns..=self.at_ns.saturating_add(nanos(FOUND_WITHIN))).contains(&at_ns)
    }
}

fn is_stamp(word: &str) -> bool {
    word.starts_with("stamp.")
}

/// The newest last.
#[derive(Debug, Default)]
pub struct Written(VecDeque<Entry>);

impl Written {
    pub fn note(&mut self, words: &[Overwrite], at_ns: u64) {
        self.0.extend(words.iter().map(|word| Entry::new(word, at_ns)));
        let surplus = self.0.len().saturating_sub(WRITTEN_MAX);
        self.0.drain(..surplus);
    }

    /// In words, if the notice is about what a fault has written; each word, and each half of a stamp, counts once.
    pub fn explains(&mut self, notice: &Notice) -> Option<String> {
        let Noticed::Overwritten { word, found, text } = &notice.what else { return None };
        let is_it = |entry: &Entry| {
            entry.is_of(notice.place, word)
                && entry.is_found_in_time(notice.at_ns)
                && entry.left.contains(found)
        };
        let at = self.0.iter().position(is_it)?;
        let left = &mut self.0[at].left;
        left.retain({
            let mut is_used = false;
            move |value| *value != *found || std::mem::replace(&mut is_used, true)
        });
        if left.is_empty() {
            self.0.remove(at);
        }
        Some(format!("{text}: a fault of this run had"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn overwrite(name: &str, value: &[u8]) -> Overwrite {
        Overwrite { coordinator: 1, name: name.to_owned(), at: 0, value: value.to_vec() }
    }

    fn halves(low: u32, high: u32) -> Vec<u8> {
        [low.to_ne_bytes(), high.to_ne_bytes()].concat()
    }

    fn noted(name: &str, value: &[u8]) -> Written {
        let mut written = Written::default();
        written.note(&[overwrite(name, value)], SECOND);
        written
    }

    fn found(place: PlaceId, word: &'static str, found: u64) -> Notice {
        let what = Noticed::Overwritten { word, found, text: "it was".to_owned() };
        Notice { at_ns: SECOND + 1, place, what }
    }

    const PLACE: PlaceId = PlaceId::Coordinator(1);

    #[test]
    fn only_the_very_value_in_the_very_word_is_explained_and_once() {
        let mut written = noted("state.epoch", &7_u32.to_ne_bytes());
        for other in [
            found(PLACE, "state.epoch", 0),
            found(PLACE, "state.stopping", 7),
            found(PlaceId::Coordinator(0), "state.epoch", 7),
            found(PlaceId::Supervisor, "state.epoch", 7),
        ] {
            assert_eq!(written.explains(&other), None, "{other:?}");
        }
        let own = found(PLACE, "state.epoch", 7);
        assert!(written.explains(&own).is_some());
        assert_eq!(written.explains(&own), None);
    }

    #[test]
    fn a_word_of_eight_bytes_counts_as_a_whole_and_no_half_of_it() {
        let mut written = noted("workers[3].process.start_ticks", &halves(5, 0));
        let place = PlaceId::worker(1, 3);
        assert_eq!(written.explains(&found(place, "process.start_ticks", 0)), None);
        assert_eq!(written.explains(&found(PlaceId::worker(1, 2), "process.start_ticks", 5)), None);
        let whole = u64::from_ne_bytes(halves(5, 0).try_into().unwrap());
        assert!(written.explains(&found(place, "process.start_ticks", whole)).is_some());
    }

    #[test]
    fn each_half_of_a_stamp_is_explained_once() {
        let mut written = noted("stamp.boot[1]", &halves(5, 6));
        for half in [6, 5] {
            assert!(written.explains(&found(PLACE, "stamp.boot", half)).is_some());
            assert_eq!(written.explains(&found(PLACE, "stamp.boot", half)), None);
        }
        let mut twice = noted("stamp.boot[1]", &halves(9, 9));
        let both: Vec<bool> =
            (0..3).map(|_| twice.explains(&found(PLACE, "stamp.boot", 9)).is_some()).collect();
        assert_eq!(both, [true, true, false]);
        // One of four bytes has no upper half.
        assert_eq!(noted("stamp.file", &5_u32.to_ne_bytes()).explains(&found(PLACE, "stamp.file", 0)), None);
    }

    #[test]
    fn what_was_found_before_or_long_after_it_was_written_is_anothers() {
        for (at_ns, is_own) in [(SECOND / 2, false), (2 * SECOND, true), (60 * SECOND, false)] {
            let notice = Notice { at_ns, ..found(PLACE, "state.epoch", 7) };
            let mut written = noted("state.epoch", &7_u32.to_ne_bytes());
            assert_eq!(written.explains(&notice).is_some(), is_own, "{at_ns}");
        }
    }

    #[test]
    fn the_oldest_words_are_forgotten() {
        let mut written = Written::default();
        let words: Vec<Overwrite> =
            (0..=WRITTEN_MAX as u32).map(|value| overwrite("state.epoch", &value.to_ne_bytes())).collect();
        written.note(&words, SECOND);
        assert_eq!(written.explains(&found(PLACE, "state.epoch", 0)), None);
        assert!(written.explains(&found(PLACE, "state.epoch", 1)).is_some());
    }
}
