//! Mistakes in `[[fault]]` that concern its whole calendar.

use crate::bad_criteria::planned;
use crate::bad_input::{GOOD, said};
use harness::scenario::Selection;

fn with(keys: &str, duration: &str, more: &str) -> String {
    let fault = format!("[[fault]]\nname = \"x\"\nat = \"1s\"\n{keys}\n{more}[sampling]");
    // Without its profile, whose load is short.
    let good = GOOD.split("[profile").next().unwrap_or_default();
    let text = good.replacen("[sampling]", &fault, 1).replacen("workers = 4", "workers = 400", 1);
    said(&text.replacen("duration = \"6s\"", &format!("duration = \"{duration}\""), 1), &Selection::default())
}

/// Before any of them is drawn.
#[test]
fn the_injections_of_all_faults_together_have_a_bound() {
    let storm = |faults: u32, every: &str| {
        let one = |n: u32| {
            format!(
                "[[fault]]\nname = \"f{n}\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1ms\"\nevery = \"{every}\"\n"
            )
        };
        let all: String = (0..faults).map(one).collect();
        let good = GOOD.split("[profile").next().unwrap_or_default();
        said(&good.replacen("[sampling]", &format!("{all}[sampling]"), 1), &Selection::default())
    };
    let found = storm(1_000, "1ms");
    assert!(
        found.contains(
            "`fault.f16.at`: together with those before it, this fault would be injected 101983 times"
        ),
        "{found}"
    );
    assert!(found.contains("at most 100000 in all"), "{found}");
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    assert_eq!(storm(16, "1ms"), "no mistake\n");
    let many = |n: u32| {
        format!(
            "[[fault]]\nname = \"f{n}\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1ms\"\nevery = \"100ms\"\ncount = 500\n"
        )
    };
    let all: String = (0..10).map(many).collect();
    let good = GOOD.split("[profile").next().unwrap_or_default().replacen("workers = 4", "workers = 400", 1);
    let found = said(&good.replacen("[sampling]", &format!("{all}[sampling]"), 1), &Selection::default());
    assert!(found.contains("would be done to 270000 processes or words"), "{found}");
    // Of a matrix, those of all of its scenarios.
    let matrix = good.replacen(
        "[sampling]",
        &format!(
            "{}[matrix]\nseed = [1, 2, 3]\n[sampling]",
            many(0).replace("100ms", "1ms").replace("500", "1")
        ),
        1,
    );
    assert_eq!(said(&matrix, &Selection::default()), "no mistake\n");
    let seeds: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let found = said(&matrix.replacen("1, 2, 3", &seeds.join(", "), 1), &Selection::default());
    assert!(
        found.contains("the faults of all scenarios of the matrix would be injected over 100000 times"),
        "{found}"
    );
}

#[test]
fn a_fault_on_a_disk_says_what_it_needs_and_what_it_does_not_take() {
    let of = |keys: &str| with(&format!("for = \"2s\"\n{keys}"), "5m", "");
    for (keys, wanted) in [
        ("kind = \"disk-slow\"", "`fault.x.delay` is missing"),
        ("kind = \"disk-slow\"\ndelay = \"1001ms\"", "a call can be shown to take up to 1s longer"),
        ("kind = \"disk-slow\"\ndelay = \"500us\"", "fault.x.delay"),
        ("kind = \"disk-slow\"\ndelay = \"20ms\"\nerror = \"EIO\"", "`fault.error` does not apply to"),
        ("kind = \"disk-fail\"\ndelay = \"20ms\"", "`fault.delay` does not apply to"),
        ("kind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"10%\"\nnth = 3", "both say which calls fail"),
        ("kind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"0.5%\"", "is less than 1 %"),
        ("kind = \"disk-fail\"\nerror = \"EIO\"\nnth = 1001", "fault.x.nth"),
        ("kind = \"disk-fail\"\nerror = \"EINVAL\"", "EMFILE"),
        ("kind = \"disk-full\"\nnth = 3", "`fault.nth` does not apply to"),
        ("kind = \"disk-full\"\nrole = \"worker\"", "`fault.role` does not apply to"),
        ("kind = \"memory\"\nmemory = \"1MiB\"\ndir = \"/tmp\"", "`fault.dir` does not apply to"),
    ] {
        let said = of(keys);
        assert!(said.contains(wanted), "{keys}: {said}");
    }
    let short = with("kind = \"disk-slow\"\ndelay = \"20ms\"\nfor = \"219ms\"", "5m", "");
    assert!(short.contains("it takes 220ms to show the fault"), "{short}");
    for keys in [
        "kind = \"disk-slow\"\ndelay = \"1s\"\ndir = \"/tmp/work\"",
        "kind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"100%\"",
        "kind = \"disk-fail\"\nerror = \"ENOMEM\"\nrate = \"1%\"",
        "kind = \"disk-fail\"\nerror = \"EIO\"\nnth = 1000",
        "kind = \"disk-full\"",
    ] {
        assert_eq!(of(keys), "no mistake\n", "{keys}");
    }
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
        let said = with(&keys, "5m", "");
        let all = format!("the fault `x` would be done to {drawn} in all");
        assert!(said.contains(&all) && said.contains("at most 262144"), "{keys}: {said}");
    }
    for keys in [
        format!("{scribble}\nwords = 1024\nevery = \"1s\"\ntimes = 256"),
        format!("{kill}\ncount = 2\nevery = \"1ms\"\ntimes = 100000"),
    ] {
        assert_eq!(with(&keys, "5m", ""), "no mistake\n", "{keys}");
    }
}

/// Two faults, `one` and `two`, whose keys are given.
fn both(one: &str, two: &str) -> String {
    with(one, "5m", &format!("[[fault]]\nname = \"two\"\n{two}\n"))
}

#[test]
fn faults_that_set_the_same_thing_at_once_are_refused() {
    let limit = "kind = \"limit\"\nresource = \"nofile\"\nto = 64\nfor = \"10s\"";
    let shm = "kind = \"shm-limit\"\nsize = \"64MiB\"\nfor = \"10s\"";
    let group = "kind = \"cgroup-memory\"\nmemory = \"64MiB\"\nfor = \"10s\"";
    let cases = [
        (
            format!("{limit}\nrole = \"worker\""),
            format!("{limit}\nrole = \"worker\"\nat = \"11s\""),
            "open files",
        ),
        // What a coordinator starts has its limit.
        (
            format!("{limit}\nrole = \"worker\""),
            format!("{limit}\nrole = \"coordinator\"\nat = \"5s\""),
            "open files",
        ),
        // The third injection of one.
        (
            format!("{limit}\nrole = \"worker\"\nevery = \"20s\"\ntimes = 5"),
            format!("{limit}\nrole = \"worker\"\nat = \"45s\""),
            "open files",
        ),
        (shm.to_owned(), format!("{shm}\nat = \"2s\""), "/dev/shm"),
        (shm.to_owned(), "kind = \"shm-read-only\"\nfor = \"1s\"\nat = \"2s\"".to_owned(), "/dev/shm"),
        (
            format!("{group}\nrole = \"worker\""),
            format!("{group}\nrole = \"supervisor\"\nat = \"2s\""),
            "(memory)",
        ),
        (
            format!("{group}\nrole = \"worker\""),
            "kind = \"oom\"\nrole = \"worker\"\nat = \"2s\"".to_owned(),
            "(memory)",
        ),
        (
            "kind = \"pause\"\nrole = \"worker\"\nfor = \"10s\"".to_owned(),
            "kind = \"pause\"\nrole = \"worker\"\nfor = \"1s\"\nat = \"2s\"".to_owned(),
            "paused",
        ),
        (
            "kind = \"cpus\"\nto = 1\nrole = \"worker\"\nfor = \"10s\"".to_owned(),
            "kind = \"cpus\"\nto = 1\nrole = \"coordinator\"\nfor = \"1s\"\nat = \"2s\"".to_owned(),
            "the processors",
        ),
        (
            "kind = \"segment-unlink\"\nrole = \"coordinator\"\nfor = \"10s\"".to_owned(),
            "kind = \"segment-truncate\"\nrole = \"coordinator\"\nfor = \"1s\"\nat = \"2s\"".to_owned(),
            "a region",
        ),
    ];
    for (one, two, thing) in cases {
        let said = both(&one, &two);
        assert!(
            said.contains("the faults `x` and `two` are both under way") && said.contains(thing),
            "{one}\n{two}: {said}"
        );
    }
}

#[test]
fn faults_on_one_disk_are_refused_at_once_and_before_the_heal_of_the_first_can_be_shown() {
    let full = "kind = \"disk-full\"\nfor = \"10s\"";
    let slow = "kind = \"disk-slow\"\ndelay = \"20ms\"\nfor = \"1s\"";
    let dir = "dir = \"/tmp/a\"";
    for (one, two, is_refused) in [
        (full.to_owned(), format!("{slow}\nat = \"2s\""), true),
        (full.to_owned(), format!("{full}\nat = \"1s\""), true),
        (full.to_owned(), format!("{slow}\nat = \"11200ms\""), true),
        (full.to_owned(), format!("{slow}\nat = \"11201ms\""), false),
        (format!("{full}\n{dir}"), format!("{slow}\n{dir}\nat = \"2s\""), true),
        (full.to_owned(), format!("{slow}\n{dir}\nat = \"2s\""), false),
    ] {
        let said = both(&one, &two);
        assert_eq!(said.contains("both set the disk of a directory"), is_refused, "{one}\n{two}: {said}");
        assert_eq!(said == "no mistake\n", !is_refused, "{one}\n{two}: {said}");
    }
}

#[test]
fn faults_one_after_the_other_or_of_different_things_are_not_refused() {
    let limit = "kind = \"limit\"\nresource = \"nofile\"\nto = 64\nfor = \"10s\"\nrole = \"worker\"";
    let group = "kind = \"cgroup-memory\"\nmemory = \"64MiB\"\nfor = \"10s\"\nrole = \"worker\"";
    for (one, two) in [
        (limit, format!("{limit}\nat = \"12s\"")),
        // Each finds what was there before both.
        (limit, limit.replace("worker", "coordinator") + "\nat = \"1s\""),
        (limit, limit.replace("nofile", "nproc") + "\nat = \"2s\""),
        (limit, "kind = \"kill\"\nrole = \"worker\"\nat = \"2s\"".to_owned()),
        (
            group,
            "kind = \"cgroup-cpu\"\ncpus = 0.5\nfor = \"10s\"\nrole = \"worker\"\nat = \"2s\"".to_owned(),
        ),
        (
            "kind = \"memory\"\nmemory = \"1MiB\"\nfor = \"10s\"",
            "kind = \"memory\"\nmemory = \"1MiB\"\nfor = \"10s\"\nat = \"2s\"".to_owned(),
        ),
        (
            "kind = \"pause\"\nrole = \"worker\"\nfor = \"10s\"",
            "kind = \"pause\"\nrole = \"coordinator\"\nfor = \"1s\"\nat = \"2s\"".to_owned(),
        ),
    ] {
        assert_eq!(both(one, &two), "no mistake\n", "{one}\n{two}");
    }
}

#[test]
fn the_keys_of_control_groups_are_held_against_their_kind() {
    for (keys, wanted) in [
        ("kind = \"oom\"\nrole = \"supervisor\"", "the fleet ends with its supervisor"),
        ("kind = \"oom\"\nrole = \"worker\"\nfor = \"1s\"", "does not apply"),
        ("kind = \"oom\"\nrole = \"worker\"\nmemory = \"1MiB\"", "does not apply"),
        ("kind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"", "`fault.x.cpus` is missing"),
        (
            "kind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = 0.5\nevery = \"1s\"",
            "its processes are moved back within 500ms, and the next follows after 1s",
        ),
        ("kind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = 0", "write from 0.01 to 1024"),
        ("kind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = \"1\"", "must be a decimal number"),
        (
            "kind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = inf",
            "write a number of processors",
        ),
        ("kind = \"cgroup-pids\"\nrole = \"worker\"\nfor = \"1s\"\nto = 0", "room for 1 to 4194304"),
        ("kind = \"cgroup-memory\"\nrole = \"worker\"\nfor = \"1s\"\nmemory = \"1KiB\"", "too small"),
        ("kind = \"cgroup-memory\"\nfor = \"1s\"\nmemory = \"1MiB\"", "`fault.x.role` is missing"),
    ] {
        let said = with(keys, "5m", "");
        assert!(said.contains(wanted), "{keys}: {said}");
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
        let said = with(&keys, "5m", "");
        assert!(said.contains(why), "{keys}: {said}");
    }
    for keys in [
        format!("{kill}\nmoment = \"task-in-flight\"\nwithin = \"1s\"\nevery = \"1s\""),
        hogs.replace("task-in-flight", "mid-round"),
    ] {
        assert_eq!(with(&keys, "5m", ""), "no mistake\n", "{keys}");
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
        let said = with(&keys, "5m", "");
        assert!(said.contains(wanted), "{keys}: {said}");
    }
    for which in ["rate = \"1%\"", "rate = \"100%\"", "nth = 1", "nth = 1000"] {
        assert_eq!(with(&format!("{errors}\n{which}"), "5m", ""), "no mistake\n", "{which}");
    }
}

#[test]
fn faults_that_meet_in_a_rehearsal_alone_are_named_before_it() {
    let pause = |name: &str, at: &str| {
        format!(
            "\n[[fault]]\nname = \"{name}\"\nkind = \"pause\"\nrole = \"worker\"\nat = \"{at}\"\nfor = \"500ms\"\n"
        )
    };
    let text = GOOD.replacen("[profile.ci]\nload.duration = \"3s\"\n", "", 1)
        + &pause("one", "1s")
        + &pause("two", "2s");
    let notes = |factor: Option<&str>| {
        planned(&text, factor.map(|factor| factor.parse().unwrap())).notes().join("\n")
    };
    assert!(!notes(None).contains("both under way"), "{}", notes(None));
    assert!(!notes(Some("2x")).contains("both under way"), "{}", notes(Some("2x")));
    // A second is 50 ms then, and no fault is shorter than 100 ms.
    let close = notes(Some("20x"));
    assert!(close.contains("in this rehearsal the faults `one` and `two` are both under way"), "{close}");
}

#[test]
fn two_controllers_of_one_process_at_once_are_known_for_hosts_that_have_one_group_for_both() {
    let fault = |name: &str, kind: &str, role: &str, at: &str| {
        format!(
            "\n[[fault]]\nname = \"{name}\"\nkind = \"{kind}\nrole = \"{role}\"\nat = \"{at}\"\nfor = \"1s\"\n"
        )
    };
    let (memory, pids) = ("cgroup-memory\"\nmemory = \"64MiB\"", "cgroup-pids\"\nto = 64");
    let grouped = |one: String, two: String| {
        let text = GOOD.replacen("[profile.ci]\nload.duration = \"3s\"\n", "", 1) + &one + &two;
        planned(&text, None).grouped()
    };
    for (role, at, meet) in [
        ("worker", "1s", true),
        ("worker", "1500ms", true),
        // Its workers have its groups.
        ("coordinator", "1500ms", true),
        ("worker", "3s", false),
    ] {
        let found = grouped(fault("one", memory, "worker", "1s"), fault("two", pids, role, at));
        let names: Vec<_> = found.iter().map(|faults| faults.controllers).collect();
        assert_eq!(names, if meet { vec![["memory", "pids"]] } else { vec![] }, "{role} {at}");
        assert!(
            found
                .iter()
                .all(|faults| faults.message.contains("the faults `one` and `two` are both under way"))
        );
    }
    // What is done to a process goes on in it, whatever is done to the file of a region.
    let other = fault("two", "segment-unlink\"", "coordinator", "1s").replace("unlink\"\"", "unlink\"");
    assert_eq!(grouped(fault("one", memory, "coordinator", "1s"), other), []);
}
