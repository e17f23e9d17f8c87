//! The sampler against what `/proc` says when it is read by hand.

use harness::sample::{HARNESS, Sampler};
use reports::runlog::event::{AgentInfo, AgentSample, Role};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A child that is past its start and now waits: it has answered once.
struct Echo(Child);

impl Echo {
    fn spawn() -> Self {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        let mut answer = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"!");
        Self(child)
    }

    fn info(&self) -> AgentInfo {
        let pid = self.0.id();
        let start_ticks = start_ticks(pid);
        AgentInfo { id: 1, role: Role::Worker, name: "worker/0.0".into(), pid, start_ticks, incarnation: 1 }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Field 22 of `/proc/PID/stat`; the name in field 2 may hold anything but ends with the last `)`.
fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(19).unwrap().parse().unwrap()
}

/// A figure of `/proc/PID/FILE`, as `key: n kB`.
fn figure(pid: u32, file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn sampler(agents: Vec<AgentInfo>, fleet: &Path) -> Sampler {
    Sampler::new(agents, fleet.to_owned(), PathBuf::from("/dev/shm")).unwrap()
}

fn of(samples: &[AgentSample], agent: u32) -> AgentSample {
    *samples.iter().find(|sample| sample.agent == agent).unwrap()
}

#[test]
fn a_waiting_child_is_sampled_as_proc_shows_it() {
    let child = Echo::spawn();
    let pid = child.0.id();
    let directory = tempfile::tempdir().unwrap();
    // The kernel may take a page from a process that waits, or give it one, at any time.
    let before = ["VmRSS", "RssAnon"].map(|name| figure(pid, "status", name));
    // It may be on its way into its next read.
    let ran_us = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_000
    };
    let switches = || figure(pid, "status", "voluntary_ctxt_switches");
    let had = (ran_us(), switches());
    let result = sampler(vec![child.info()], directory.path()).sweep(true);

    let sample = of(&result.agents, 1);
    for ((name, before), sampled) in
        ["VmRSS", "RssAnon"].into_iter().zip(before).zip([sample.rss_kib, sample.anon_kib])
    {
        let after = figure(pid, "status", name);
        assert!(
            (before.min(after)..=before.max(after)).contains(&sampled),
            "{name}: {before} {sampled} {after}"
        );
    }
    assert_eq!(sample.vsz_kib, figure(pid, "status", "VmSize"));
    assert_eq!(u64::from(sample.threads), figure(pid, "status", "Threads"));
    // In ticks of 10 ms this child has used nothing at all.
    assert!(had.0 > 0 && (had.0..=ran_us()).contains(&sample.cpu_us), "{had:?} {sample:?}");
    assert!((had.1..=switches()).contains(&sample.voluntary_switches), "{had:?} {sample:?}");
    assert_eq!(sample.fds as usize, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count());
    // Other processes come and go, and with them this one's share of the pages of the C library.
    let (pss, now) = (sample.pss_kib.unwrap(), figure(pid, "smaps_rollup", "Pss"));
    assert!(pss > 0 && pss <= sample.rss_kib && pss.abs_diff(now) <= sample.rss_kib, "{pss} {now}");
    assert_eq!((result.live, result.gone.len(), result.unread.len()), (1, 0, 0), "{result:?}");
}

#[test]
fn the_harness_samples_itself_as_agent_0() {
    let directory = tempfile::tempdir().unwrap();
    let mut sampler = sampler(Vec::new(), directory.path());
    assert_eq!(sampler.own().pid, std::process::id());
    assert_eq!(sampler.own().start_ticks, start_ticks(std::process::id()));
    let result = sampler.sweep(false);
    let own = of(&result.agents, HARNESS);
    assert!(own.rss_kib > 0 && own.vsz_kib >= own.rss_kib && own.threads >= 2 && own.fds >= 3, "{own:?}");
    assert_eq!(own.pss_kib, None);
    assert_eq!(result.live, 0, "the harness is no part of the fleet");
    assert!(result.took.as_nanos() > 0 && result.cpu.as_nanos() > 0);
}

#[test]
fn the_host_and_the_fleets_directory_are_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("control"), [7; 8192]).unwrap();
    let result = sampler(Vec::new(), directory.path()).sweep(false);
    assert_eq!((result.host.fleet_shm_files, result.host.fleet_shm_bytes), (1, 8192));
    assert!(result.host.mem_available_kib > 0 && result.host.load1 >= 0.0, "{:?}", result.host);
}

#[test]
fn a_child_that_ended_is_gone_once_even_before_it_is_waited_for() {
    let mut child = Echo::spawn();
    let directory = tempfile::tempdir().unwrap();
    let mut sampler = sampler(vec![child.info()], directory.path());
    assert_eq!(sampler.sweep(false).live, 1);

    child.0.kill().unwrap();
    // Ended, and still a zombie: NOWAIT leaves it in the table.
    let pid = Pid::from_child(&child.0);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let result = sampler.sweep(true);
    assert_eq!((result.live, result.gone), (0, vec![1]));
    assert_eq!(result.unread, [] as [String; 0]);

    child.0.wait().unwrap();
    let result = sampler.sweep(true);
    assert_eq!((result.live, result.gone), (0, vec![]), "named once");
}

#[test]
fn a_pid_with_another_start_time_is_another_process() {
    let child = Echo::spawn();
    let mut info = child.info();
    info.start_ticks += 1;
    let directory = tempfile::tempdir().unwrap();
    let result = sampler(vec![info], directory.path()).sweep(false);
    assert_eq!((result.live, result.gone), (0, vec![1]));
}

#[test]
fn an_agent_can_be_added_and_replaced_between_sweeps() {
    let (first, second) = (Echo::spawn(), Echo::spawn());
    let directory = tempfile::tempdir().unwrap();
    let mut sampler = sampler(Vec::new(), directory.path());
    sampler.replace(first.info());
    assert_eq!(sampler.sweep(false).live, 1);
    drop(first);
    sampler.replace(second.info());
    let result = sampler.sweep(false);
    assert_eq!((result.live, result.gone.len()), (1, 0));
}
