//! What the commands of workers use is part of what the fleet uses.

use super::{Bench, verdict};
use reports::runlog::codec;
use reports::runlog::event::{CommandsSample, Event};

const MIB_KIB: u64 = 1024;

/// A task reads more than 100 MiB into one process, and holds them for a while: input without a line's end.
const HOLDS: &str = "(head -c 125829120 /dev/zero; sleep 1.5) | tail -n 1 > /dev/null";

fn holding(pass: &str) -> String {
    format!(
        r#"
schema = 1
name = "small"
asks = "How much do commands hold?"
[fleet]
topology = "flat"
coordinators = 1
workers = 1
[workload]
kind = "exec"
command = ["sh", "-c", "{HOLDS}"]
[load]
model = "closed"
duration = "4s"
task_timeout = "60s"
[sampling]
every = "100ms"
pss_every = "200ms"
[[criterion]]
name = "memory"
pass = "{pass}"
"#
    )
}

fn commands(bench: &Bench) -> Vec<CommandsSample> {
    codec::open(&bench.latest().join("run.log"))
        .unwrap()
        .filter_map(|record| match record.unwrap().event {
            Event::Sample(sample) => Some(sample.agents.into_iter().filter_map(|agent| agent.commands)),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_command_that_holds_a_hundred_mebibytes_fails_a_criterion_on_64() {
    let bench = Bench::new(&holding("memory.pss max < 64MiB"));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let verdict = verdict(&bench.latest());
    let value = verdict["criteria"][0]["value"].as_f64().unwrap();
    assert!(value >= 100.0 * 1024.0 * 1024.0, "{verdict:#}");

    let seen = commands(&bench);
    let most = seen.iter().map(|commands| commands.rss_kib).max().unwrap();
    assert!(most >= 100 * MIB_KIB, "{most} KiB");
    assert!(seen.iter().any(|commands| commands.pss_kib >= Some(100 * MIB_KIB)), "{seen:?}");
    // The shell, what it pipes into, and what it pipes from.
    assert!(seen.iter().any(|commands| commands.processes >= 3 && commands.fds >= 9), "{seen:?}");
    // Of those that have ended, too: it never falls by more than one of them may add to its parent's late.
    let used: Vec<u64> = seen.iter().map(|commands| commands.cpu_us).collect();
    assert!(used.last() > Some(&10_000), "{used:?}");
}

#[test]
fn what_the_workers_hold_themselves_has_no_commands_in_it() {
    let bench = Bench::new(&holding("memory.pss.workers max < 64MiB"));
    let done = bench.start(&["--quiet"]).end();
    // On a host so busy that sweeps are missing, the rest of the verdict is another one.
    let verdict = verdict(&bench.latest());
    let memory = &verdict["criteria"][0];
    assert_eq!(memory["verdict"], "PASS", "{verdict:#}{}", done.stderr);
    let value = memory["value"].as_f64().unwrap();
    assert!(value > 0.0 && value < 64.0 * 1024.0 * 1024.0, "{verdict:#}");
    // Both are in the same table.
    let csv = std::fs::read_to_string(bench.latest().join("samples.csv")).unwrap();
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let column = |name| header.iter().position(|column| *column == name).unwrap();
    let (role, rss) = (column("role"), column("commands_rss_kib"));
    let of_workers: Vec<u64> =
        rows.filter(|row| row[role] == "worker").map(|row| row[rss].parse().unwrap()).collect();
    assert!(of_workers.iter().any(|rss| *rss >= 100 * MIB_KIB), "{of_workers:?}");
}
