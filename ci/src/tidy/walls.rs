//! What the parts may not know or do: "must never" of docs/ARCHITECTURE.md.

use super::Finding;
use super::source::{Path, Source};

/// True for `folder.rs` and whatever lies in `folder/`.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn is_in_any(path: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| is_in(path, module))
}

/// Pure from end to end.
const PLANS: [&str; 3] = ["coordinator/src/plan", "harness/src/scenario", "reports/src"];
/// Where reports read the log and write the documents.
const FILES_OF_REPORTS: [&str; 2] = ["reports/src/runlog/codec", "reports/src/run_dir"];
/// Each a door to the world, under some name.
const DOORS: [&[&str]; 12] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "thread"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["tokio", "*"],
    &["rustix", "*"],
    &["nix", "*"],
    &["procfs", "*"],
    &["tempfile", "*"],
    &["libc", "*"],
];

/// No clock, file system, environment, thread or tokio where plans are made and runs are judged.
pub(super) fn plans_are_pure(source: &Source) -> Vec<Finding> {
    if !is_in_any(&source.path, &PLANS) {
        return Vec::new();
    }
    let may_use_files = is_in_any(&source.path, &FILES_OF_REPORTS);
    let instead = "this part is pure; take what you need as a parameter";
    let impure = |path: &Path| {
        let is_clock = path.parts.iter().any(|part| part == "Instant" || part == "SystemTime")
            || (path.parts.len() > 1 && path.ends_with(&["now"]));
        if is_clock {
            return Some(format!("`{}` reads a clock, and {instead}", path.text()));
        }
        let door = DOORS.iter().find(|door| match door {
            [name, "*"] => path.starts_with(&[name]) && (path.imported || path.parts.len() > 1),
            door => path.starts_with(door),
        })?;
        let is_allowed = may_use_files && (**door == ["std", "fs"] || **door == ["tempfile", "*"]);
        (!is_allowed).then(|| format!("`{}` reaches outside, and {instead}", path.text()))
    };
    source
        .paths
        .iter()
        .filter(|path| !path.test)
        .filter_map(|path| Some(Finding::error(&source.path, path.line, impure(path)?)))
        .collect()
}

/// What the harness may name of the coordinator.
const KNOWN: [&str; 3] = ["client", "wire", "config"];

/// The harness links the fleet's client, its messages and its configuration, and shows its command line.
pub(super) fn the_harness_knows_little_of_the_coordinator(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("harness/") {
        return Vec::new();
    }
    let is_cli = is_in(&source.path, "harness/src/cli");
    let is_known = |path: &Path| match path.parts.get(1).map(String::as_str) {
        Some("cli") => is_cli,
        Some(module) => KNOWN.contains(&module),
        // A variable may be called so; an import of everything may not.
        None => !path.imported,
    };
    source
        .paths
        .iter()
        .filter(|path| path.starts_with(&["coordinator"]) && !is_known(path))
        .map(|path| {
            let what = format!(
                "`{}` is the coordinator's own affair; use its `client`, `wire` or `config` (and `cli` in harness/src/cli alone), \
                 or give `client` what is missing",
                path.text()
            );
            Finding::error(&source.path, path.line, what)
        })
        .collect()
}

/// The floors of the coordinator that know nothing above them: what may be named in each.
const FLOORS: [(&str, &[&str]); 3] = [
    ("coordinator/src/os", &["os"]),
    ("coordinator/src/raw", &["raw"]),
    ("coordinator/src/bus", &["bus", "os", "raw"]),
];

/// The ground floor and the bus import nothing of the fleet that stands on them.
pub(super) fn lower_floors_know_nothing_above(source: &Source) -> Vec<Finding> {
    let Some((floor, known)) = FLOORS.iter().find(|(floor, _)| is_in(&source.path, floor)) else {
        return Vec::new();
    };
    source
        .paths
        .iter()
        .filter(|path| path.starts_with(&["crate"]) && !path.test)
        .filter(|path| path.parts.get(1).is_some_and(|module| !known.contains(&module.as_str())))
        .map(|path| {
            let what =
                format!("`{}` is above {floor}; move what it needs beneath, or hand it in", path.text());
            Finding::error(&source.path, path.line, what)
        })
        .collect()
}

/// Where shared memory is mapped, processes are forked and system calls are trapped; and the bench that does both with the peers' own interfaces.
const UNSAFE: [&str; 4] =
    ["coordinator/src/bus", "coordinator/src/process/fork", "trap/src/kernel", "benches/peers/src"];

pub(super) fn unsafe_stays_in_its_two_places(source: &Source) -> Vec<Finding> {
    if is_in_any(&source.path, &UNSAFE) {
        return Vec::new();
    }
    source
        .tokens
        .iter()
        .filter(|token| token.is_word("unsafe"))
        .map(|token| {
            let what = "`unsafe` outside coordinator/src/bus/, coordinator/src/process/fork.rs and trap/src/kernel.rs; \
                        use what they offer, or put the unsafe part there behind a safe function";
            Finding::error(&source.path, token.line, what)
        })
        .collect()
}

const PRINTS: [&str; 4] = ["println", "eprintln", "print", "eprint"];
/// Standard streams, arguments and the end of the process, by their last two names.
const TALKS: [[&str; 2]; 6] = [
    ["process", "exit"],
    ["process", "abort"],
    ["env", "args"],
    ["env", "args_os"],
    ["io", "stdout"],
    ["io", "stderr"],
];

/// Only the command lines print, read arguments or end the process.
pub(super) fn only_command_lines_talk(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let is_program = is_in_any(path, &["coordinator/src/cli", "harness/src/cli", "ci", "benches"])
        || path.ends_with("/src/main.rs")
        || path.ends_with("build.rs");
    if is_program {
        return Vec::new();
    }
    let prints = source
        .macros()
        .filter(|(name, token)| PRINTS.contains(name) && !token.test)
        .map(|(name, token)| (token.line, format!("`{name}!` talks")));
    let talks = source
        .paths
        .iter()
        .filter(|path| !path.test && TALKS.iter().any(|talk| path.ends_with(talk)))
        .map(|path| (path.line, format!("`{}` talks", path.text())));
    prints
        .chain(talks)
        .map(|(line, what)| {
            let what = format!(
                "{what}, and only the `cli/` folders may; return a value or an error and let the command line say it"
            );
            Finding::error(path, line, what)
        })
        .collect()
}

/// So that a model checker can stand in for the atomics of the bus.
pub(super) fn atomics_come_through_one_door(source: &Source) -> Vec<Finding> {
    const DOOR: &str = "coordinator/src/bus/sync.rs";
    /// The door's other leaf: the same atomics, counted.
    const COUNTED: &str = "coordinator/src/bus/sync/counted.rs";
    if !source.path.starts_with("coordinator/src/") || [DOOR, COUNTED].contains(&source.path.as_str()) {
        return Vec::new();
    }
    let is_atomic =
        |path: &&Path| ["std", "core"].iter().any(|root| path.starts_with(&[root, "sync", "atomic"]));
    source
        .paths
        .iter()
        .filter(|path| !path.test)
        .filter(is_atomic)
        .map(|path| {
            let what = format!("`{}` goes around {DOOR}; take it from `crate::bus::sync`", path.text());
            Finding::error(&source.path, path.line, what)
        })
        .collect()
}

/// What follows a link that another user has put there, and cuts what it leads to.
const FOLLOWS: [[&str; 2]; 2] = [["File", "create"], ["fs", "write"]];

/// Directories are shared with others: what the products make there is new, or refused.
pub(super) fn files_are_made_anew(source: &Source) -> Vec<Finding> {
    if !is_in_any(
        &source.path,
        &["coordinator/src", "harness/src", "reports/src", "notation/src", "trap/src"],
    ) {
        return Vec::new();
    }
    source
        .paths
        .iter()
        .filter(|path| !path.test && FOLLOWS.iter().any(|call| path.ends_with(call)))
        .map(|path| {
            let what = format!(
                "`{}` follows a link to any file and cuts that; use `File::create_new`, or a file without a name",
                path.text()
            );
            Finding::error(&source.path, path.line, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    const PURE: [&str; 6] = [
        "coordinator/src/plan/retry.rs",
        "coordinator/src/plan.rs",
        "harness/src/scenario.rs",
        "harness/src/scenario/unit.rs",
        "reports/src/lib.rs",
        "reports/src/stats/slope.rs",
    ];

    #[test]
    fn a_plan_that_reaches_outside_is_caught() {
        let doors = [
            "use std::fs;",
            "use std::{io, env};",
            "use std::time::Instant;",
            "fn f() { std::time::SystemTime::UNIX_EPOCH; }",
            "fn f() { jiff::Timestamp::now(); }",
            "fn f() { std::thread::spawn(g); }",
            "use std::process::Command;",
            "use tokio::time;",
            "use tokio;",
            "use rustix::fs;",
        ];
        for path in PURE {
            for text in doors {
                assert_eq!(lines(plans_are_pure, path, text), [1], "{text} in {path}");
            }
        }
    }

    #[test]
    fn a_plan_may_speak_of_time_and_be_tested_with_anything() {
        let text = "use std::time::Duration;\nfn f(now: Duration, fs: u8, tokio: u8) { g(now); x.now(); }\n\
                    // std::fs\n#[cfg(test)]\nmod tests { use std::fs; }";
        for path in PURE {
            assert!(lines(plans_are_pure, path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn other_parts_may_reach_outside_and_reports_may_use_files_in_two_places() {
        let text = "use std::fs;\nuse std::thread;";
        assert!(lines(plans_are_pure, "harness/src/engine.rs", text).is_empty());
        assert!(lines(plans_are_pure, "coordinator/src/planes.rs", text).is_empty());
        assert!(lines(plans_are_pure, "reports/tests/judging/main.rs", text).is_empty());
        for path in ["reports/src/run_dir.rs", "reports/src/runlog/codec.rs"] {
            assert_eq!(lines(plans_are_pure, path, text), [2], "{path}");
        }
    }

    #[test]
    fn the_harness_may_not_look_into_the_bus() {
        let rule = the_harness_knows_little_of_the_coordinator;
        let text = "use coordinator::client::{Client, launch};\nuse coordinator::{wire, bus::ring};\n\
                    fn f() { coordinator::process::fork(); coordinator(1); }\nuse coordinator;";
        assert_eq!(lines(rule, "harness/src/engine.rs", text), [2, 3, 4]);
        assert_eq!(lines(rule, "harness/tests/a.rs", text), [2, 3, 4]);
        assert!(lines(rule, "benches/benches/ring.rs", text).is_empty());
    }

    #[test]
    fn only_the_command_line_of_the_harness_shows_that_of_the_coordinator() {
        let rule = the_harness_knows_little_of_the_coordinator;
        let text = "fn f() { coordinator::cli::main(a, b) }";
        assert!(lines(rule, "harness/src/cli.rs", text).is_empty());
        assert!(lines(rule, "harness/src/cli/run.rs", text).is_empty());
        assert_eq!(lines(rule, "harness/src/engine.rs", text), [1]);
    }

    #[test]
    fn a_floor_that_knows_what_stands_on_it_is_caught() {
        let rule = lower_floors_know_nothing_above;
        let text = "use crate::bus::ring;\nuse crate::os::clock;\nuse crate::client::B;\nfn f() { crate::wire::g() }\n\
                    #[cfg(test)]\nmod tests { use crate::plan::P; }";
        assert_eq!(lines(rule, "coordinator/src/bus/view.rs", text), [3, 4]);
        assert_eq!(lines(rule, "coordinator/src/os/clock.rs", text), [1, 3, 4]);
        assert!(lines(rule, "coordinator/src/client.rs", text).is_empty());
    }

    #[test]
    fn unsafe_is_caught_even_in_tests() {
        let rule = unsafe_stays_in_its_two_places;
        let text = "// unsafe\nfn f() { unsafe { g() } }\n#[cfg(test)]\nmod tests { unsafe impl A for B {} }";
        for path in ["coordinator/src/client.rs", "coordinator/src/process/worker.rs", "reports/tests/a.rs"] {
            assert_eq!(lines(rule, path, text), [2, 4], "{path}");
        }
        assert!(lines(rule, "coordinator/src/bus/ring.rs", text).is_empty());
        assert!(lines(rule, "coordinator/src/process/fork.rs", text).is_empty());
        assert!(lines(rule, "a/src/b.rs", "#![deny(unsafe_code)]").is_empty());
    }

    #[test]
    fn whoever_talks_outside_a_command_line_is_caught() {
        let rule = only_command_lines_talk;
        let text = "fn f() {\n    println!(\"a\");\n    std::process::exit(1);\n    std::env::args();\n    \
                    std::io::stdout();\n    writeln!(out, \"a\");\n}";
        for path in ["harness/src/engine.rs", "coordinator/src/client.rs", "reports/src/run_dir.rs"] {
            assert_eq!(lines(rule, path, text), [2, 3, 4, 5], "{path}");
        }
        for path in
            ["harness/src/cli/output.rs", "coordinator/src/cli.rs", "harness/build.rs", "ci/src/main.rs"]
        {
            assert!(lines(rule, path, text).is_empty(), "{path}");
        }
        let tests = "#[cfg(test)]\nmod tests { fn f() { println!(\"seed\"); } }";
        assert!(lines(rule, "reports/src/stats.rs", tests).is_empty());
    }

    #[test]
    fn a_file_that_may_be_anothers_is_caught() {
        let rule = files_are_made_anew;
        let text = "fn f() {\n    std::fs::File::create(a);\n    File::create_new(a);\n    fs::write(a, b);\n}\n\
                    #[cfg(test)]\nmod tests { fn f() { std::fs::write(a, b); } }";
        assert_eq!(lines(rule, "coordinator/src/client/launch.rs", text), [2, 4]);
        assert_eq!(lines(rule, "reports/src/run_dir.rs", text), [2, 4]);
        assert!(lines(rule, "ci/src/dist.rs", text).is_empty());
    }

    #[test]
    fn an_atomic_that_goes_around_the_door_is_caught() {
        let rule = atomics_come_through_one_door;
        let text = "use std::sync::{Arc, atomic::AtomicU32};\nuse crate::bus::sync::AtomicU64;\n\
                    #[cfg(test)]\nmod tests { use std::sync::atomic::AtomicU8; }";
        assert_eq!(lines(rule, "coordinator/src/bus/ring.rs", text), [1]);
        assert_eq!(lines(rule, "coordinator/src/cli/run.rs", text), [1]);
        assert!(lines(rule, "coordinator/src/bus/sync.rs", text).is_empty());
        assert!(lines(rule, "harness/src/host.rs", text).is_empty());
    }
}
