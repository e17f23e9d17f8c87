//! Coordinators that live and make no progress; and words by which every process sees who is alive and what to do.
//!
//! Of the latter this process is the only writer. What another program has written there is put back and named: a wrong
//! identity would be a death that no process has died.

use super::Supervisor;
use super::places::PlaceState;
use crate::bus::events::{EventKind, SELF};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::bus::written::{Foreign, OwnWord, WrittenCell, put_back, put_back_wide};
use crate::config::SupervisorDeath;
use crate::os::clock::now_ns;
use crate::plan::health::{HealthEvent, Limits, Progress};
use crate::wire::place::PlaceId;
use std::time::Duration;

/// A successor that has not begun to serve by then counts as hung.
const START_MAX: Duration = Duration::from_secs(60);

/// A hang is suspected after half of `hang_after`, and confirmed after all of it.
pub(in crate::process) fn limits(hang_after: Duration) -> Limits {
    let half = (hang_after.as_nanos() as u64 / 2).max(1);
    Limits { suspect_ns: half, confirm_ns: half }
}

impl Supervisor {
    /// Shows that this process makes progress.
    pub(super) fn beat(&mut self) {
        let before = self.beat;
        self.beat = before.wrapping_add(1);
        let found = self.control.state().beat.swap(self.beat, Ordering::AcqRel);
        self.name(SELF, (found != before).then(|| Foreign::new(OwnWord::Beat, found)));
    }

    /// Counts the death of a coordinator. Its place, its event and its life are written before.
    pub(super) fn count_death(&mut self) {
        self.deaths = self.deaths.wrapping_add(1);
        self.control.state().deaths.store(self.deaths, Ordering::Release);
    }

    /// Compares all of them: in each round.
    pub(super) fn check_words(&mut self) {
        let state = self.control.state();
        if let Some(foreign) = put_back(OwnWord::Stage, &state.stage, self.stage as u32) {
            for place in &self.places {
                self.control.coordinator(place.index).bell.wake();
            }
            self.name(SELF, [foreign]);
        }
        self.name(SELF, put_back(OwnWord::Supervisors, &state.supervisors, self.supervisors));
        let adoptable = u32::from(self.launch.policy.supervisor_death == SupervisorDeath::Adopt);
        self.name(SELF, put_back(OwnWord::Adoptable, &state.adoptable, adoptable));
        self.name(SELF, put_back_wide(OwnWord::FleetDeaths, &state.deaths, self.deaths));
        self.name(SELF, put_back_wide(OwnWord::Marker, &state.marker, self.marker.hash()));
        self.name(SELF, self.control.put_back_stamp(&self.stamp));
        for at in 0..self.places.len() {
            self.check_place(at);
        }
    }

    /// Compares the words of a coordinator's place. To be called before this process goes by them.
    pub(super) fn check_place(&mut self, at: usize) {
        let place = &self.places[at];
        let (index, cell) = (place.index, &self.control.coordinator(place.index).process);
        let mut foreign = place.written.map(|written| written.put_back(cell)).unwrap_or_default();
        // Of a living one this process writes no life, and the coordinator itself only these.
        let raw = cell.life.load(Ordering::Relaxed);
        let can_be = matches!(Life::from_raw(raw), Some(Life::Starting | Life::Live | Life::Stopped));
        if place.state == PlaceState::Alive && place.written.is_some() && !can_be {
            cell.set_life(Life::Live);
            foreign.push(Foreign::new(OwnWord::Life, raw));
        }
        self.name(index, foreign);
    }

    /// Notes what this process has just written about the process at a place.
    pub(super) fn note_place(&mut self, at: usize) {
        let place = &mut self.places[at];
        place.written = Some(WrittenCell::of(&self.control.coordinator(place.index).process));
    }

    fn name(&mut self, place: u32, foreign: impl IntoIterator<Item = Foreign>) {
        for foreign in foreign {
            self.event(EventKind::Overwritten, place, &foreign.details());
        }
    }

    /// Suspects, heals, and kills coordinators by their progress.
    pub(super) fn watch_health(&mut self, now: u64) {
        let Some(hang_after) = self.launch.policy.hang_after else { return };
        let limits = limits(hang_after);
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            let index = place.index;
            let entry = self.control.coordinator(index);
            let alive = place.state == PlaceState::Alive;
            let life = entry.process.life();
            let beat = entry.own.beat.load(Ordering::Relaxed);
            let progress = (alive && life == Life::Live).then(|| Progress {
                incarnation: entry.process.incarnation.load(Ordering::Relaxed),
                counter: beat,
            });
            let pid = place.process.as_ref().map_or(0, |process| process.identity.pid);
            let found = place.health.observe(progress, now, &limits);
            let moved = std::mem::replace(&mut place.beat, beat) != beat;
            match found {
                Some(HealthEvent::Suspected { since_ns }) => {
                    entry.suspected_ns.store(since_ns.max(1), Ordering::Release);
                    self.event(EventKind::Suspected, index, &[now.saturating_sub(since_ns), pid.into()]);
                }
                Some(HealthEvent::Healed { suspected_for_ns }) => {
                    entry.suspected_ns.store(0, Ordering::Release);
                    self.event(EventKind::Healed, index, &[suspected_for_ns, pid.into()]);
                }
                Some(HealthEvent::Confirmed { since_ns }) => self.kill_hung(at, now.saturating_sub(since_ns)),
                None if alive && life == Life::Starting => {
                    let starting_ns = now.saturating_sub(place.forked_ns);
                    if self.serving && place.forked_ns != 0 && starting_ns > START_MAX.as_nanos() as u64 {
                        self.kill_hung(at, starting_ns);
                    }
                }
                // A neighbour had suspected it, and it makes progress again.
                None if moved && place.health.stuck_since_ns().is_none() => {
                    let since_ns = entry.suspected_ns.swap(0, Ordering::AcqRel);
                    if since_ns != 0 {
                        let ns = now_ns().saturating_sub(since_ns);
                        self.event(EventKind::Healed, index, &[ns, pid.into()]);
                    }
                }
                None => {}
            }
        }
    }

    /// Kills a hung coordinator, stopped or not; its death is then handled as any other.
    fn kill_hung(&mut self, at: usize, still_ns: u64) {
        let place = &self.places[at];
        let Some(process) = &place.process else { return };
        let (index, identity) = (place.index, process.identity);
        self.event(EventKind::Hung, index, &[still_ns, identity.pid.into()]);
        self.kill(at);
        self.report(&format!(
            "{} (process {}) made no progress for {:.1} s and is killed",
            PlaceId::Coordinator(index),
            identity.pid,
            still_ns as f64 / 1e9
        ));
    }

    /// Sends SIGKILL to the coordinator at this place, and to no other process.
    pub(super) fn kill(&self, at: usize) {
        if let Some(process) = &self.places[at].process {
            process.kill();
        }
    }
}
