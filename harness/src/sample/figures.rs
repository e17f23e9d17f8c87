//! What `/proc` says about a process, as the log keeps it. Pure.

use procfs::process::{SmapsRollup, Stat, Status};
use reports::runlog::event::{AgentId, AgentSample};

/// Whether the process behind a pid is the one that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    /// Ended, or its pid is another process's by now.
    Gone,
}

/// A zombie has ended: all that is left of it is an exit status that its parent has not fetched. So has a process
/// without memory: it is on its way there.
pub(super) fn life(stat: &Stat, start_ticks: u64) -> Life {
    if stat.starttime != start_ticks || stat.vsize == 0 || matches!(stat.state, 'Z' | 'X' | 'x') {
        Life::Gone
    } else {
        Life::Alive
    }
}

/// Whether a figure is one that no living process of a fleet has.
pub(super) fn has_lost(status: &Status, fds: usize, pss_kib: Option<u64>) -> bool {
    let none = |figure: Option<u64>| figure.unwrap_or(0) == 0;
    none(status.vmsize) || none(status.vmrss) || fds == 0 || pss_kib == Some(0)
}

/// Where a process's CPU time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cpu {
    /// `/proc/PID/stat`: right for any number of threads, in steps of 10 ms on most kernels, which an
    /// idle worker does not reach in minutes.
    Ticks { per_second: u64 },
    /// `/proc/PID/schedstat`: exact, of the main thread alone.
    Exact { ns: u64 },
}

impl Cpu {
    fn micros(self, stat: &Stat) -> u64 {
        match self {
            Self::Ticks { per_second } => {
                stat.utime.saturating_add(stat.stime).saturating_mul(1_000_000) / per_second.max(1)
            }
            Self::Exact { ns } => ns / 1_000,
        }
    }
}

/// A kernel thread has no memory of its own: an absent figure is 0. As if of the first process in its place.
pub(super) fn agent_sample(
    agent: AgentId,
    stat: &Stat,
    status: &Status,
    fds: usize,
    pss_kib: Option<u64>,
    cpu: Cpu,
) -> AgentSample {
    AgentSample {
        agent,
        incarnation: 1,
        rss_kib: status.vmrss.unwrap_or(0),
        anon_kib: status.rssanon.unwrap_or(0),
        vsz_kib: status.vmsize.unwrap_or(0),
        fds: u32::try_from(fds).unwrap_or(u32::MAX),
        threads: u32::try_from(status.threads).unwrap_or(u32::MAX),
        cpu_us: cpu.micros(stat),
        voluntary_switches: status.voluntary_ctxt_switches.unwrap_or(0),
        involuntary_switches: status.nonvoluntary_ctxt_switches.unwrap_or(0),
        pss_kib,
        // Of nearly every process in nearly every sweep there is nothing to say.
        state: (!matches!(stat.state, 'R' | 'S' | 'I')).then_some(stat.state),
        commands: None,
    }
}

/// The kernel counts in KiB; the crate has made bytes of it.
pub(super) fn pss_kib(rollup: &SmapsRollup) -> Option<u64> {
    rollup.memory_map_rollup.iter().find_map(|map| map.extension.map.get("Pss")).map(|bytes| bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead as _;

    const STAT: &str = "4242 (worker/3.17) S 4200 4200 4200 0 -1 4194560 310 0 0 0 250 70 0 0 20 0 2 0 \
        987654 9437184 512 18446744073709551615 1 1 0 0 0 0 0 4096 17411 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    const STATUS: &str = "Name:\tworker/3.17\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nNgid:\t0\n\
        Pid:\t4242\nPPid:\t4200\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t\n\
        VmPeak:\t    9216 kB\nVmSize:\t    9216 kB\nVmLck:\t       0 kB\nVmHWM:\t    2048 kB\n\
        VmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t    1024 kB\nRssShmem:\t     512 kB\n\
        Threads:\t2\nSigQ:\t0/96000\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n\
        SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        voluntary_ctxt_switches:\t91\nnonvoluntary_ctxt_switches:\t7\n";

    #[test]
    fn the_figures_keep_the_kernels_units() {
        let stat = Stat::from_read(STAT.as_bytes()).unwrap();
        let status = Status::from_read(STATUS.as_bytes()).unwrap();
        let expected = AgentSample {
            agent: 17,
            incarnation: 1,
            rss_kib: 2048,
            anon_kib: 512,
            vsz_kib: 9216,
            fds: 9,
            threads: 2,
            cpu_us: 3_200_000,
            voluntary_switches: 91,
            involuntary_switches: 7,
            pss_kib: None,
            state: None,
            commands: None,
        };
        assert_eq!(agent_sample(17, &stat, &status, 9, None, Cpu::Ticks { per_second: 100 }), expected);
    }

    #[test]
    fn a_state_is_kept_unless_the_process_runs_or_sleeps() {
        let status = Status::from_read(STATUS.as_bytes()).unwrap();
        for (state, kept) in [('S', None), ('R', None), ('T', Some('T')), ('t', Some('t')), ('D', Some('D'))]
        {
            let text = STAT.replace(") S ", &format!(") {state} "));
            let stat = Stat::from_read(text.as_bytes()).unwrap();
            let sample = agent_sample(17, &stat, &status, 9, None, Cpu::Ticks { per_second: 100 });
            assert_eq!((sample.state, sample.is_stopped()), (kept, matches!(state, 'T' | 't')));
        }
    }

    #[test]
    fn another_start_time_is_another_process_and_a_zombie_has_ended() {
        let mut stat = Stat::from_read(STAT.as_bytes()).unwrap();
        assert_eq!(life(&stat, 987_654), Life::Alive);
        assert_eq!(life(&stat, 987_655), Life::Gone);
        stat.state = 'Z';
        assert_eq!(life(&stat, 987_654), Life::Gone);
    }

    #[test]
    fn a_process_that_has_given_up_its_memory_has_ended() {
        let mut stat = Stat::from_read(STAT.as_bytes()).unwrap();
        stat.vsize = 0;
        assert_eq!(life(&stat, 987_654), Life::Gone);
    }

    #[test]
    fn memory_or_descriptors_of_0_are_what_a_process_leaves_behind() {
        let of = |status: &str| Status::from_read(status.as_bytes()).unwrap();
        let whole = of(STATUS);
        assert!(!has_lost(&whole, 9, None) && !has_lost(&whole, 9, Some(7)));
        assert!(has_lost(&whole, 0, None) && has_lost(&whole, 9, Some(0)));
        let ended: String = STATUS.split_inclusive('\n').filter(|line| !line.starts_with("Vm")).collect();
        assert!(has_lost(&of(&ended), 9, None));
    }

    #[test]
    fn pss_is_read_from_a_rollup() {
        let text = "55d0c0000000-7ffd0000000 ---p 00000000 00:00 0                      [rollup]\n\
            Rss:                2048 kB\nPss:                1234 kB\nPss_Dirty:           100 kB\n";
        let rollup = SmapsRollup::from_read(text.as_bytes()).unwrap();
        assert_eq!(pss_kib(&rollup), Some(1234));
    }
}
