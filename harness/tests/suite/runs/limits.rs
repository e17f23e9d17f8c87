//! Fleets with lower limits for a while.

use super::*;

/// The soft limits of open files of everything below a process.
fn below(parent: u32) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return found };
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().map(|pid| pid.parse().unwrap()) {
            found.extend(open_files(child));
            found.extend(below(child));
        }
    }
    found
}

fn open_files(pid: u32) -> Option<String> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next().map(str::to_owned)
}

#[test]
fn workers_that_were_started_under_a_lower_limit_have_the_one_before_when_it_is_healed() {
    let lower = "[[fault]]\nname = \"few\"\nkind = \"limit\"\nrole = \"coordinator\"\nshare = \"100%\"\n\
                 resource = \"nofile\"\nto = 64\nat = \"1s\"\nfor = \"3s\"\n";
    let kill =
        "[[fault]]\nname = \"anew\"\nkind = \"kill\"\nrole = \"worker\"\nshare = \"100%\"\nat = \"1500ms\"\n";
    let bench = Bench::new(&(scenario(600) + lower + kill));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let before = open_files(run.child.id()).unwrap();
    let log = || std::fs::read_to_string(bench.out().join("small/latest/run.log")).unwrap();
    let seen = |step: &str| log().matches(&format!("\"step\":\"{step}\"")).count();
    let limited = || below(run.child.id()).iter().filter(|limit| *limit == "64").count();
    // Two coordinators, and their six workers anew.
    wait_until("successors have the lower limit", || limited() == 8);
    wait_until("it is proven healed", || seen("heal-proven") == 1);
    let after = below(run.child.id());
    assert!(after.len() >= 9 && after.iter().all(|limit| *limit == before), "{before}: {after:?}");
    run.signal(nix::sys::signal::Signal::SIGTERM);
    drop(run.end());
    bench.assert_nothing_left(&agents);
}
