//! What a system says of a place, held against what the kernel shows. Pure.
//!
//! A place has another process only after the end of the one before, and counts a death only when its parent has been told
//! of it by the kernel. As long as the process lives that is known, anything else was written by another program.

use crate::system::{Identity, Life, PlaceId, Presence, Process};

/// What the log has of the place.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) known: Identity,
    pub(super) deaths: u32,
    /// The process whose death was noted last.
    pub(super) died: Option<Identity>,
    /// One that the known process followed before its end was noted.
    pub(super) unannounced: Option<u32>,
}

/// Puts right what cannot be, and returns the first of it in words.
pub(super) fn correct(
    process: &mut Process,
    before: &Before,
    presence: impl Fn(Identity) -> Presence,
) -> Option<String> {
    let (place, known) = (process.place, before.known);
    let is_new = process.deaths > before.deaths;
    let is_named = process.identity() == known;
    let is_over = process.life == Life::Dead || process.life == Life::Stopped;
    if is_named && !is_new && !is_over {
        return None;
    }
    let lives = presence(known) == Presence::Alive;
    let mut wrong = None;
    if lives && !is_named {
        wrong = Some(format!(
            "{place} names process {} while process {} lives there, which cannot be",
            process.pid, known.pid
        ));
        (process.pid, process.start_ticks) = (known.pid, known.start_ticks);
    }
    if lives && is_over {
        // That it ends in order a process says itself, shortly before.
        if process.life == Life::Dead && place != PlaceId::Supervisor {
            wrong = wrong.or_else(|| {
                Some(format!(
                    "{place} is called dead while process {} lives there, which cannot be",
                    known.pid
                ))
            });
        }
        process.life = Life::Live;
    }
    if is_new && !can_have_died(process, before, lives) {
        wrong = wrong.or_else(|| {
            let new = process.deaths - before.deaths;
            Some(format!("{place} counts {new} new deaths that no process has died, which cannot be"))
        });
        process.deaths = before.deaths;
    }
    wrong
}

/// The death that the place counts last is one that the log has not.
fn can_have_died(process: &Process, before: &Before, known_lives: bool) -> bool {
    // A system that counts and does not say whose death is not contradicted.
    let Some(death) = &process.last_death else { return true };
    // Pids come again.
    let dead = Identity { pid: death.pid, start_ticks: death.start_ticks };
    let is_another = death.pid != 0 && before.died != Some(dead);
    is_another && (!known_lives || before.unannounced == Some(death.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Death;

    const KNOWN: Identity = Identity { pid: 10, start_ticks: 1 };
    const DIED: Identity = Identity { pid: 7, start_ticks: 1 };

    fn process(pid: u32, life: Life, deaths: u32, died: u32) -> Process {
        let how = "killed by SIGKILL".to_owned();
        let last_death = (deaths > 0).then_some(Death { pid: died, start_ticks: 1, how });
        let (place, start_ticks, ended) = (PlaceId::worker(0, 1), 1, None);
        Process { place, incarnation: 1, pid, start_ticks, life, retiring: false, deaths, last_death, ended }
    }

    /// What is said and believed of a place whose known process lives or does not.
    fn check(said: (u32, Life, u32, u32), lives: bool, believed: (u32, Life, u32), wrong: Option<&str>) {
        let mut process = process(said.0, said.1, said.2, said.3);
        let before = Before { known: KNOWN, deaths: 1, died: Some(DIED), unannounced: Some(8) };
        let presence = |it| if it == KNOWN && lives { Presence::Alive } else { Presence::Gone };
        let found = correct(&mut process, &before, presence);
        assert_eq!((process.pid, process.life, process.deaths), believed, "{said:?} {lives}");
        assert_eq!(found.as_deref(), wrong, "{said:?} {lives}");
    }

    #[test]
    fn no_process_is_dead_while_the_kernel_shows_it() {
        let named = "worker/0.1 names process 66 while process 10 lives there, which cannot be";
        let dead = "worker/0.1 is called dead while process 10 lives there, which cannot be";
        let deaths = "worker/0.1 counts 1 new deaths that no process has died, which cannot be";
        check((10, Life::Live, 1, 7), true, (10, Life::Live, 1), None);
        check((66, Life::Live, 1, 7), true, (10, Life::Live, 1), Some(named));
        check((10, Life::Dead, 1, 7), true, (10, Life::Live, 1), Some(dead));
        check((10, Life::Stopped, 1, 7), true, (10, Life::Live, 1), None);
        check((10, Life::Live, 2, 7), true, (10, Life::Live, 1), Some(deaths));
        check((10, Life::Live, 2, 10), true, (10, Life::Live, 1), Some(deaths));
        check((0, Life::Stopped, 0, 0), true, (10, Life::Live, 0), Some(&named.replace("66", "0")));
    }

    #[test]
    fn a_death_is_believed_once_and_only_of_a_process() {
        let deaths = "worker/0.1 counts 1 new deaths that no process has died, which cannot be";
        check((66, Life::Live, 2, 10), false, (66, Life::Live, 2), None);
        check((10, Life::Dead, 2, 10), false, (10, Life::Dead, 2), None);
        check((66, Life::Live, 2, 7), false, (66, Life::Live, 1), Some(deaths));
        check((66, Life::Live, 2, 0), false, (66, Life::Live, 1), Some(deaths));
        // Its successor was noted before it.
        check((10, Life::Live, 2, 8), true, (10, Life::Live, 2), None);
    }

    #[test]
    fn a_death_of_another_process_with_the_same_pid_is_believed() {
        let before = Before {
            known: Identity { pid: 7, start_ticks: 5 },
            deaths: 1,
            died: Some(DIED),
            unannounced: None,
        };
        for (start_ticks, believed) in [(5, 2), (1, 1)] {
            let mut process = process(66, Life::Live, 2, 7);
            process.last_death.as_mut().unwrap().start_ticks = start_ticks;
            correct(&mut process, &before, |_| Presence::Gone);
            assert_eq!(process.deaths, believed, "{start_ticks}");
        }
    }
}
