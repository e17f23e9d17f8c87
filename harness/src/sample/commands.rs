//! What the descendants of a worker use: the commands it runs, and whatever those have started.
//!
//! They are found from the worker down, by `/proc/PID/task/TID/children`: one more file a worker, whatever else runs on
//! the host. A kernel without that file is asked for the parents of all its processes, once a sweep. A process that has
//! left its family (two forks, and a subreaper above the worker) is not found; a fleet adopts and ends those.

use super::{figures, is_gone};
use procfs::ProcError;
use procfs::process::{Process, Stat};
use reports::runlog::event::CommandsSample;
use std::collections::HashMap;
use std::io::Read as _;

/// How children are found.
#[derive(Debug)]
pub(super) enum Kin {
    /// Each thread names the children that it has started.
    Named,
    /// The processes of the host by their parents, read when this was made.
    Table(HashMap<i32, Vec<i32>>),
}

impl Kin {
    /// For one sweep.
    pub(super) fn new() -> Self {
        let own = i32::try_from(std::process::id()).ok().and_then(|pid| Process::new(pid).ok());
        let named = own.is_some_and(|own| read_children(&own, own.pid).is_ok());
        if named { Self::Named } else { Self::table() }
    }

    fn table() -> Self {
        let mut by_parent: HashMap<i32, Vec<i32>> = HashMap::new();
        let all = procfs::process::all_processes().into_iter().flatten();
        for stat in all.filter_map(|process| process.ok()?.stat().ok()) {
            by_parent.entry(stat.ppid).or_default().push(stat.pid);
        }
        Self::Table(by_parent)
    }

    fn children(&self, process: &Process, threads: i64) -> Result<Vec<i32>, ProcError> {
        match self {
            Self::Table(by_parent) => Ok(by_parent.get(&process.pid).cloned().unwrap_or_default()),
            Self::Named if threads == 1 => read_children(process, process.pid),
            Self::Named => {
                let mut all = Vec::new();
                for task in process.tasks()? {
                    match task.and_then(|task| read_children(process, task.tid)) {
                        Ok(children) => all.extend(children),
                        Err(error) if is_gone(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(all)
            }
        }
    }
}

fn read_children(process: &Process, tid: i32) -> Result<Vec<i32>, ProcError> {
    let mut text = String::new();
    process.open_relative(format!("task/{tid}/children"))?.read_to_string(&mut text)?;
    Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// A process of a fleet that has no place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub pid: u32,
    /// As in `ps`.
    pub name: String,
    /// As `/proc/PID/stat` spells it.
    pub state: char,
}

/// The children of a process that carry a name of such a one.
pub(super) fn helpers(parent: u32, kin: &Kin) -> Vec<Helper> {
    let of = |pid: u32| i32::try_from(pid).ok().and_then(|pid| Process::new(pid).ok());
    let Some(parent) = of(parent) else { return Vec::new() };
    let threads = parent.stat().map_or(1, |stat| stat.num_threads);
    let children = kin.children(&parent, threads).unwrap_or_default();
    let stats = children.into_iter().filter_map(|pid| Process::new(pid).ok()?.stat().ok());
    stats
        .filter(|stat| stat.ppid == parent.pid && matches!(stat.comm.as_str(), "guard" | "spare"))
        .map(|stat| Helper { pid: stat.pid.cast_unsigned(), name: stat.comm, state: stat.state })
        .collect()
}

/// Adds up what descends from one worker, whose `stat` is given. What ends meanwhile is left out; what cannot be read is
/// named in `unread`.
pub(super) fn sample(
    worker: &Process,
    stat: &Stat,
    kin: &Kin,
    with_pss: bool,
    unread: &mut Vec<String>,
) -> Result<CommandsSample, ProcError> {
    let ticks_per_second = procfs::ticks_per_second().max(1);
    let mut sum = CommandsSample { pss_kib: with_pss.then_some(0), ..CommandsSample::default() };
    let mut ticks = waited_for(stat);
    let mut found = expected(kin.children(worker, stat.num_threads)?, stat.pid);
    while let Some((pid, parent)) = found.pop() {
        match one(pid, parent, &mut sum, kin, unread) {
            Ok(Some(descendant)) => {
                ticks = ticks.saturating_add(descendant.ticks);
                found.extend(expected(descendant.children, pid));
            }
            Ok(None) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => unread.push(format!("a command ({pid}) of process {}: {error}", stat.pid)),
        }
    }
    sum.cpu_us = ticks.saturating_mul(1_000_000) / ticks_per_second;
    Ok(sum)
}

fn expected(children: Vec<i32>, parent: i32) -> Vec<(i32, i32)> {
    children.into_iter().map(|pid| (pid, parent)).collect()
}

/// User and system time of the children that have ended, and of theirs.
fn waited_for(stat: &Stat) -> u64 {
    u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or(0)
}

fn is_over(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x')
}

struct Descendant {
    /// Of itself, and of the children it has waited for.
    ticks: u64,
    children: Vec<i32>,
}

/// `None` if the pid is another family's by now. A zombie still has its time, and nothing else.
fn one(
    pid: i32,
    parent: i32,
    sum: &mut CommandsSample,
    kin: &Kin,
    unread: &mut Vec<String>,
) -> Result<Option<Descendant>, ProcError> {
    let process = Process::new(pid)?;
    let stat = process.stat()?;
    if stat.ppid != parent {
        return Ok(None);
    }
    let ticks = stat.utime.saturating_add(stat.stime).saturating_add(waited_for(&stat));
    let ended = || Ok(Some(Descendant { ticks, children: Vec::new() }));
    if is_over(&stat) {
        return ended();
    }
    let status = process.status()?;
    // It ends while it is read: its memory goes first.
    if status.vmrss.is_none() {
        return ended();
    }
    let fds = match process.fd_count() {
        Ok(fds) => fds,
        Err(error) if is_gone(&error) => return ended(),
        Err(error) => {
            unread.push(format!("descriptors of a command ({pid}): {error}"));
            0
        }
    };
    if let Some(before) = sum.pss_kib {
        // A sum that lacks a process would read as less than there is.
        sum.pss_kib = match pss(&process, unread) {
            Pss::Ended => return ended(),
            Pss::Unread => None,
            Pss::Read(own) => Some(before.saturating_add(own)),
        };
    }
    sum.processes += 1;
    sum.rss_kib = sum.rss_kib.saturating_add(status.vmrss.unwrap_or(0));
    sum.anon_kib = sum.anon_kib.saturating_add(status.rssanon.unwrap_or(0));
    sum.vsz_kib = sum.vsz_kib.saturating_add(status.vmsize.unwrap_or(0));
    sum.fds = sum.fds.saturating_add(u32::try_from(fds).unwrap_or(u32::MAX));
    sum.threads = sum.threads.saturating_add(u32::try_from(status.threads).unwrap_or(u32::MAX));
    let children = match kin.children(&process, stat.num_threads) {
        Err(error) if is_gone(&error) => Vec::new(),
        children => children?,
    };
    Ok(Some(Descendant { ticks, children }))
}

enum Pss {
    Read(u64),
    Unread,
    /// The process ends while it is read.
    Ended,
}

fn pss(process: &Process, unread: &mut Vec<String>) -> Pss {
    let why = match process.smaps_rollup() {
        Ok(rollup) => match figures::pss_kib(&rollup) {
            Some(own) => return Pss::Read(own),
            None => "the kernel names none".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    if process.stat().map_or(true, |stat| is_over(&stat)) {
        return Pss::Ended;
    }
    unread.push(format!("PSS of a command ({}): {why}", process.pid));
    Pss::Unread
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A shell with a child of its own, both waiting; `0` is the shell.
    struct Family(Child);

    impl Family {
        fn spawn() -> Self {
            let script = "sh -c 'echo ready; read end' & wait";
            let mut child = Command::new("sh")
                .args(["-c", &format!("exec 3<&0; {}", script.replace("read end", "read end <&3"))])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            Self(child)
        }
    }

    impl Drop for Family {
        fn drop(&mut self) {
            // The end of its input ends the grandchild, and that the shell.
            drop(self.0.stdin.take());
            let _ = self.0.wait();
        }
    }

    fn own_sum(kin: &Kin, family: &Family) -> CommandsSample {
        let shell = Process::new(i32::try_from(family.0.id()).unwrap()).unwrap();
        let mut unread = Vec::new();
        let sum = sample(&shell, &shell.stat().unwrap(), kin, true, &mut unread).unwrap();
        assert_eq!(unread, [] as [String; 0]);
        sum
    }

    #[test]
    fn both_ways_of_finding_descendants_find_the_same() {
        assert!(matches!(Kin::new(), Kin::Named), "this kernel names the children of a thread");
        let family = Family::spawn();
        for kin in [Kin::Named, Kin::table()] {
            let sum = own_sum(&kin, &family);
            assert_eq!((sum.processes, sum.threads), (1, 1), "{sum:?}");
            assert!(sum.rss_kib > 0 && sum.fds >= 3 && sum.vsz_kib >= sum.rss_kib, "{sum:?}");
            assert!(sum.pss_kib.is_some_and(|pss| pss > 0 && pss <= sum.rss_kib), "{sum:?}");
        }
    }

    #[test]
    fn the_time_of_a_child_that_has_ended_is_its_parents() {
        let mut busy = Command::new("sh")
            .args(["-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(busy.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let family = Family(busy);
        let sum = own_sum(&Kin::Named, &family);
        assert_eq!((sum.processes, sum.rss_kib, sum.pss_kib), (0, 0, Some(0)));
        assert!(sum.cpu_us >= 10_000, "{sum:?}");
    }
}
