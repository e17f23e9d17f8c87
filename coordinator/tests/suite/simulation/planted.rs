//! The test of the test: each mistake that can be planted is found, and made short.

use super::event::Event;
use super::run::{Passed, as_test, run, shrink, storm};
use super::world::{Bug, Setup};

/// Storms that a mistake may hide from, at most.
const STORMS: u64 = 2000;
/// Events that a short list has at most.
const SHORT: usize = 16;

/// The short list.
fn found(bug: Bug) -> String {
    let mut shortest: Option<(Setup, Vec<Event>)> = None;
    for seed in 1..=STORMS {
        let Passed { setup, events, broken, .. } = storm(seed, super::STORM, Some(bug));
        if broken.is_none() {
            continue;
        }
        let short = shrink(setup, &events);
        let is_short = short.len() <= SHORT;
        if is_short {
            let list = as_test(setup, &short);
            let right = Setup { bug: None, ..setup };
            assert!(run(right, &short).is_none(), "without {bug:?} the same breaks a rule:\n{list}");
            return list;
        }
        // The first to be found may need more than another one does.
        if shortest.as_ref().is_none_or(|(_, events)| short.len() < events.len()) {
            shortest = Some((setup, short));
        }
    }
    let (setup, short) = shortest.unwrap_or_else(|| panic!("{bug:?} is not found in {STORMS} storms"));
    panic!("{bug:?} is not made short:\n{}", as_test(setup, &short));
}

macro_rules! found {
    ($($name:ident: $bug:ident,)*) => {
        $(#[test]
        fn $name() {
            println!("{}", found(Bug::$bug));
        })*
    };
}

found! {
    no_fencing_is_found: NoFencing,
    a_lost_lease_is_found: LostLease,
    an_ending_counted_twice_is_found: DoubleCount,
    an_outcome_counted_twice_is_found: CountsRepeats,
    free_before_told_is_found: FreeBeforeTold,
    acknowledged_before_it_is_recorded_is_found: AcknowledgeBeforeTable,
    an_attempt_that_does_not_count_is_found: SameAttempt,
    a_revival_counted_twice_is_found: ReviveCountedTwice,
    leases_before_answers_is_found: LeasesBeforeAnswers,
    revived_before_its_failure_is_told_is_found: RevivedBeforeTold,
    the_letter_of_an_open_task_is_found: LetterOfAnOpenTask,
    an_answer_of_a_former_life_is_found: FormerLife,
    settled_too_early_is_found: SettledTooEarly,
    attempts_that_begin_anew_are_found: AttemptsBeginAnew,
    what_was_begun_and_is_spilt_is_found: SpillsTheBegun,
    a_record_taken_for_another_is_found: TakenForKnown,
    a_letter_given_back_is_found: GivesLettersBack,
    restoring_what_had_ended_is_found: RestoresTheEnded,
}
