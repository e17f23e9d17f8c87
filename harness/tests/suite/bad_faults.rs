//! Mistakes in `[[fault]]` that concern its whole calendar.

use crate::bad_input::{GOOD, said};
use harness::scenario::Selection;

fn with(keys: &str, duration: &str) -> String {
    let fault = format!("[[fault]]\nname = \"x\"\nat = \"1s\"\n{keys}\n[sampling]");
    // Without its profile, whose load is short.
    let good = GOOD.split("[profile").next().unwrap_or_default();
    let text = good.replacen("[sampling]", &fault, 1).replacen("workers = 4", "workers = 400", 1);
    said(&text.replacen("duration = \"6s\"", &format!("duration = \"{duration}\""), 1), &Selection::default())
}

#[test]
fn a_calendar_holds_so_many_words_and_targets_and_no_more() {
    let scribble = "kind = \"segment-scribble\"\nrole = \"coordinator\"";
    let kill = "kind = \"kill\"\nrole = \"worker\"";
    for (keys, drawn) in [
        (format!("{scribble}\ncount = 2\nwords = 1024\nevery = \"1ms\"\ntimes = 100000"), "204800000 words"),
        (format!("{scribble}\ncount = 2\nwords = 1024\nevery = \"10ms\""), "61235200 words"),
        (format!("{scribble}\nwords = 1024\nevery = \"1s\"\ntimes = 257"), "263168 words"),
        (format!("{kill}\ncount = 800\nevery = \"1ms\"\ntimes = 100000"), "80000000 processes"),
    ] {
        let said = with(&keys, "5m");
        let all = format!("the fault `x` would be done to {drawn} in all");
        assert!(said.contains(&all) && said.contains("at most 262144"), "{keys}: {said}");
    }
    for keys in [
        format!("{scribble}\nwords = 1024\nevery = \"1s\"\ntimes = 256"),
        format!("{kill}\ncount = 2\nevery = \"1ms\"\ntimes = 100000"),
    ] {
        assert_eq!(with(&keys, "5m"), "no mistake\n", "{keys}");
    }
}

#[test]
fn a_moment_is_one_that_the_targets_can_be_at_and_has_time_to_come() {
    let kill = "kind = \"kill\"\nrole = \"worker\"";
    let pause = "kind = \"pause\"\nrole = \"supervisor\"\nfor = \"1s\"\nmoment = \"task-in-flight\"";
    let hogs = "kind = \"cpu-hogs\"\nhogs = 1\nfor = \"1s\"\nmoment = \"task-in-flight\"";
    for (keys, why) in [
        (format!("{kill}\nwithin = \"1s\""), "`fault.x.within` needs something to wait for"),
        (pause.to_owned(), "a supervisor has no workers with tasks"),
        (hogs.to_owned(), "`cpu-hogs` has no workers with tasks"),
        (format!("{kill}\nmoment = \"mid-round\"\nwithin = \"5m\""), "would last until 5m 1s"),
        (format!("{kill}\nmoment = \"mid-round\"\nevery = \"4s\""), "one injection lasts 5s"),
        (format!("{kill}\nmoment = \"noon\""), "noon"),
    ] {
        let said = with(&keys, "5m");
        assert!(said.contains(why), "{keys}: {said}");
    }
    for keys in [
        format!("{kill}\nmoment = \"task-in-flight\"\nwithin = \"1s\"\nevery = \"1s\""),
        hogs.replace("task-in-flight", "mid-round"),
    ] {
        assert_eq!(with(&keys, "5m"), "no mistake\n", "{keys}");
    }
}

#[test]
fn errors_of_calls_say_how_the_calls_fail_and_which_of_them() {
    let errors = "kind = \"shm-errors\"\nfor = \"2s\"\nerror = \"EIO\"";
    for (keys, wanted) in [
        (errors.to_owned(), "`fault.x.rate` is missing: `kind = \"shm-errors\"` needs it"),
        (errors.to_owned(), "or `nth = 3`"),
        (format!("{errors}\nrate = \"30%\"\nnth = 3"), "`fault.x.rate` and `nth` both say which calls fail"),
        (format!("{errors}\nrate = \"0.5%\""), "`fault.x.rate` is less than 1 %, and may hit no call"),
        (format!("{errors}\nrate = \"101%\""), "`fault.x.rate` cannot be \"101%\""),
        (format!("{errors}\nnth = 0"), "`fault.x.nth` must be from 1 to 1000, not 0"),
        (
            format!("{errors}\nnth = 3\nrole = \"worker\""),
            "`fault.role` does not apply to `kind = \"shm-errors\"`",
        ),
        (errors.replace("EIO", "EACCES") + "\nnth = 3", "`fault.x.error`"),
        (errors.replace("\nerror = \"EIO\"", "\nnth = 3"), "`fault.x.error` is missing"),
        (
            "kind = \"kill\"\nrole = \"worker\"\nnth = 3".to_owned(),
            "`fault.nth` does not apply to `kind = \"kill\"`",
        ),
    ] {
        let said = with(&keys, "5m");
        assert!(said.contains(wanted), "{keys}: {said}");
    }
    for which in ["rate = \"1%\"", "rate = \"100%\"", "nth = 1", "nth = 1000"] {
        assert_eq!(with(&format!("{errors}\n{which}"), "5m"), "no mistake\n", "{which}");
    }
}
