//! Readings against needs. Pure: a test can write down any host.

use super::cgroup;
use super::parse;
use super::program::ProgramReading;
use super::read::{MemoryReading, Readings};
use super::{Capability, Need, Status};
use crate::scenario::unit::bytes_text;
use coordinator::client::UserProcesses;

pub(super) const USER_NAMESPACES: &str = "user namespaces";

/// What a process costs in addition to the shared memory: page tables, stack and the pages that a fork dirties.
/// An estimate, and so only ever a warning.
const PROCESS_BYTES: u64 = 1 << 20;

fn ok(name: &'static str, found: String) -> Capability {
    Capability { name, status: Status::Ok, found, remedy: None }
}

fn warn(name: &'static str, found: String, remedy: impl Into<String>) -> Capability {
    Capability { name, status: Status::Warn, found, remedy: Some(remedy.into()) }
}

fn missing(name: &'static str, found: String, remedy: impl Into<String>) -> Capability {
    Capability { name, status: Status::Missing, found, remedy: Some(remedy.into()) }
}

/// What every run needs.
pub(super) fn needed(readings: &Readings, need: &Need) -> Vec<Capability> {
    let mut found = vec![proc(readings)];
    found.extend(shared_memory(readings, need));
    found.push(descriptors(readings, need));
    found.push(processes(readings, need));
    found.extend(kernel(readings));
    found.push(memory(readings, need));
    found
}

/// A program that the scenario names.
pub(super) fn command(program: &str, reading: &ProgramReading) -> Capability {
    const NAME: &str = "command";
    let other = "or name another program in the scenario";
    match reading {
        ProgramReading::Found(path) => ok(NAME, path.display().to_string()),
        ProgramReading::Nowhere => missing(
            NAME,
            format!("`{program}` is in no directory of PATH"),
            "install it, or write its full path in the scenario",
        ),
        ProgramReading::Absent(error) => {
            missing(NAME, format!("`{program}`: {error}"), format!("install it, {other}"))
        }
        ProgramReading::NoFile(path) => {
            missing(NAME, format!("`{}` is not a file", path.display()), "name a program in the scenario")
        }
        ProgramReading::NotExecutable(path) => missing(
            NAME,
            format!("`{}` is not executable", path.display()),
            format!("chmod +x {}, {other}", path.display()),
        ),
    }
}

/// What makes a run's figures worse, but not impossible.
pub(super) fn advisory(readings: &Readings) -> Vec<Capability> {
    vec![
        clock_source(readings),
        governor(readings),
        load(readings),
        remove_ipc(readings),
        user_namespaces(readings),
        ok("virtualization", readings.virtualization.clone()),
    ]
}

fn proc(readings: &Readings) -> Capability {
    const NAME: &str = "/proc";
    match &readings.proc {
        Ok(()) => ok(NAME, "can be read".to_owned()),
        Err(error) => missing(NAME, format!("cannot be read: {error}"), "mount it: mount -t proc proc /proc"),
    }
}

fn shared_memory(readings: &Readings, need: &Need) -> Vec<Capability> {
    let directory = readings.shm_dir.display();
    let shm = match &readings.shm {
        Ok(shm) => shm,
        Err(error) => {
            let remedy = format!("mount one: mount -t tmpfs -o size=1g tmpfs {directory}");
            return vec![missing("shared memory", format!("{directory}: {error}"), remedy)];
        }
    };
    let kind = if shm.tmpfs {
        ok("shared memory", format!("{directory} is a tmpfs"))
    } else {
        let remedy = format!("set COORDINATOR_SHM_DIR to a tmpfs, or mount one at {directory}");
        warn(
            "shared memory",
            format!("{directory} is not a tmpfs, so the shared memory may be written to a disk"),
            remedy,
        )
    };
    let writable = if shm.writable {
        ok("shared memory, access", format!("{directory} can be written to"))
    } else {
        let remedy = format!("chmod 1777 {directory}, or set COORDINATOR_SHM_DIR to a tmpfs of your own");
        missing("shared memory, access", format!("{directory} cannot be written to"), remedy)
    };
    let (free, wanted) = (bytes_text(shm.free_bytes), bytes_text(need.shm_bytes));
    let space = if shm.free_bytes >= need.shm_bytes {
        let wanted = if need.shm_bytes > 0 { format!(", {wanted} needed") } else { String::new() };
        ok("shared memory, space", format!("{free} free of {}{wanted}", bytes_text(shm.total_bytes)))
    } else {
        let remedy = format!(
            "mount -o remount,size={}m {directory} (docker: --shm-size), start fewer workers, or lower `payload`",
            (shm.total_bytes - shm.free_bytes + need.shm_bytes).div_ceil(1 << 20)
        );
        missing("shared memory, space", format!("{free} free, and the fleet needs {wanted}"), remedy)
    };
    // A tmpfs without a limit of inodes says that it has none at all.
    let unlimited = shm.total_inodes == 0;
    let inodes = if unlimited || shm.free_inodes >= need.shm_inodes {
        let free = if unlimited { "no limit".to_owned() } else { format!("{} free", shm.free_inodes) };
        ok("shared memory, inodes", free)
    } else {
        let found = format!("{} free, and the fleet needs {}", shm.free_inodes, need.shm_inodes);
        missing("shared memory, inodes", found, format!("mount -o remount,nr_inodes=1m {directory}"))
    };
    vec![kind, writable, space, inodes]
}

fn descriptors(readings: &Readings, need: &Need) -> Capability {
    const NAME: &str = "file descriptors";
    let limit = readings.nofile;
    let found = format!("ulimit -n is {} (hard: {})", counted(limit.soft), counted(limit.hard));
    if limit.soft >= need.fds {
        return ok(NAME, found);
    }
    let found = format!("{found}, and the process with the most open descriptors needs {}", need.fds);
    let remedy = if limit.hard >= need.fds {
        format!("ulimit -n {}", need.fds)
    } else {
        format!(
            "raise the hard limit to {} (limits.conf, LimitNOFILE=, docker: --ulimit nofile=), or start fewer workers under each coordinator",
            need.fds
        )
    };
    missing(NAME, found, remedy)
}

/// The least of all limits on processes.
pub(super) fn pids_max(readings: &Readings) -> u64 {
    pid_limits(readings).into_iter().map(|limit| limit.max).min().unwrap_or(0)
}

struct PidLimit {
    name: String,
    max: u64,
    used: u64,
    remedy: String,
}

fn pid_limits(readings: &Readings) -> Vec<PidLimit> {
    let now = readings.pids_now;
    let sysctl = |key: &str, max| PidLimit {
        name: key.to_owned(),
        max,
        used: now,
        remedy: format!("sysctl -w {key}=4194304"),
    };
    let mut limits =
        vec![sysctl("kernel.pid_max", readings.pid_max), sysctl("kernel.threads-max", readings.threads_max)];
    limits.extend(readings.nproc.map(|UserProcesses { max, used }| PidLimit {
        name: "ulimit -u".to_owned(),
        max,
        used,
        remedy: "raise `ulimit -u` (limits.conf, LimitNPROC=)".to_owned(),
    }));
    limits.extend(readings.cgroups.pids.iter().map(|group| PidLimit {
        name: group.file.display().to_string(),
        max: group.limit,
        used: group.used,
        remedy: "raise it (systemd: TasksMax=, docker: --pids-limit, kubelet: podPidsLimit)".to_owned(),
    }));
    limits
}

fn processes(readings: &Readings, need: &Need) -> Capability {
    const NAME: &str = "processes";
    let Some(tightest) =
        pid_limits(readings).into_iter().min_by_key(|limit| limit.max.saturating_sub(limit.used))
    else {
        return ok(NAME, "no limit".to_owned());
    };
    let free = tightest.max.saturating_sub(tightest.used);
    let found = format!("{} more ({} is {})", counted(free), tightest.name, counted(tightest.max));
    if free >= need.processes {
        ok(NAME, found)
    } else {
        missing(NAME, format!("{found}, and the fleet has {}", need.processes), tightest.remedy)
    }
}

fn kernel(readings: &Readings) -> Vec<Capability> {
    let release = &readings.kernel;
    let populate = match parse::release_at_least(release, 5, 14) {
        Some(true) => ok("MADV_POPULATE_WRITE", format!("Linux {release}")),
        Some(false) => missing(
            "MADV_POPULATE_WRITE",
            format!("Linux {release} is older than 5.14"),
            "update the kernel: without it, a full tmpfs ends a run with SIGBUS",
        ),
        None => warn(
            "MADV_POPULATE_WRITE",
            format!("the kernel's release is not a version number ({release})"),
            "use Linux 5.14 or later",
        ),
    };
    let call = |name: &'static str, result: &Result<(), String>, remedy: &str| match result {
        Ok(()) => ok(name, "works".to_owned()),
        Err(error) => missing(name, error.clone(), remedy),
    };
    vec![
        populate,
        call(
            "pidfd_open",
            &readings.pidfd,
            "use Linux 5.3 or later, and a seccomp profile that allows it (docker: update, or --security-opt seccomp=…)",
        ),
        call("futex", &readings.futex, "use a seccomp profile that allows it"),
    ]
}

fn memory(readings: &Readings, need: &Need) -> Capability {
    const NAME: &str = "memory";
    let Some(MemoryReading { available: host, .. }) = readings.memory else {
        let remedy = "mount /proc: a run log says how much memory its host has";
        return missing(NAME, "unknown: /proc/meminfo cannot be read".to_owned(), remedy);
    };
    let group = cgroup::tightest(&readings.cgroups.memory);
    let available = group.map_or(host, |group| group.left().min(host));
    let mut found = format!("{} available", bytes_text(available));
    if let Some(group) = group
        && group.left() < host
    {
        found = format!("{found} ({} is {})", group.file.display(), bytes_text(group.limit));
    }
    let wanted = need.shm_bytes + need.processes * PROCESS_BYTES;
    let remedy = "end other programs, raise the container's limit, or start fewer workers";
    if available < need.shm_bytes {
        missing(NAME, format!("{found}, and the bus alone needs {}", bytes_text(need.shm_bytes)), remedy)
    } else if available < wanted {
        warn(NAME, format!("{found}, and the fleet may need {}", bytes_text(wanted)), remedy)
    } else {
        ok(NAME, found)
    }
}

fn clock_source(readings: &Readings) -> Capability {
    const NAME: &str = "clock source";
    let source = readings.clock_source.clone();
    match source.as_str() {
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => ok(NAME, source),
        "unknown" => warn(
            NAME,
            source,
            "if reading the clock is a system call on this host, short times come out too long",
        ),
        _ => warn(
            NAME,
            format!("{source}: reading the clock costs microseconds"),
            "boot with clocksource=tsc where the processor allows it",
        ),
    }
}

fn governor(readings: &Readings) -> Capability {
    const NAME: &str = "CPU governor";
    match readings.governor.as_deref() {
        None => ok(NAME, "none (the hypervisor or the firmware decides)".to_owned()),
        Some("performance") => ok(NAME, "performance".to_owned()),
        Some(other) => warn(
            NAME,
            format!("{other}: the processors' speed follows the load"),
            "for repeatable figures: cpupower frequency-set -g performance",
        ),
    }
}

fn load(readings: &Readings) -> Capability {
    const NAME: &str = "other load";
    let found = format!("load average {:.2} on {} processors", readings.load1, readings.cpus);
    // Half of the machine busy with something else moves every percentile.
    if readings.load1 > f64::from(readings.cpus) / 2.0 {
        warn(NAME, found, "end other programs, or wait: they lengthen every time that is measured")
    } else {
        ok(NAME, found)
    }
}

fn remove_ipc(readings: &Readings) -> Capability {
    const NAME: &str = "systemd RemoveIPC";
    if readings.remove_ipc {
        let found = "logind removes this user's shared memory when the user's last session ends".to_owned();
        warn(
            NAME,
            found,
            "for long runs: set RemoveIPC=no in /etc/systemd/logind.conf, or run `loginctl enable-linger`",
        )
    } else {
        ok(NAME, "does not apply to this user".to_owned())
    }
}

fn user_namespaces(readings: &Readings) -> Capability {
    if readings.user_namespaces > 0 {
        ok(USER_NAMESPACES, "allowed".to_owned())
    } else {
        let remedy = "sysctl -w user.max_user_namespaces=10000 (only faults on mounts need them)";
        warn(USER_NAMESPACES, "not allowed".to_owned(), remedy)
    }
}

/// `u64::MAX` stands for no limit.
fn counted(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::{CgroupLimit, Cgroups};
    use super::super::read::{Limit, ShmReading};
    use super::*;

    const NEED: Need =
        Need { shm_bytes: 64 << 20, shm_inodes: 9, fds: 109, processes: 708, programs: Vec::new() };

    fn good() -> Readings {
        Readings {
            shm_dir: "/dev/shm".into(),
            shm: Ok(ShmReading {
                tmpfs: true,
                writable: true,
                total_bytes: 1 << 30,
                free_bytes: 1 << 30,
                total_inodes: 100_000,
                free_inodes: 99_999,
            }),
            nofile: Limit { soft: 1024, hard: 4096 },
            nproc: Some(UserProcesses { max: 30_000, used: 20 }),
            proc: Ok(()),
            pid_max: 32_768,
            threads_max: 100_000,
            pids_now: 300,
            cgroups: Cgroups::default(),
            kernel: "6.8.0".into(),
            pidfd: Ok(()),
            futex: Ok(()),
            user_namespaces: 10_000,
            memory: Some(MemoryReading { total: 8 << 30, available: 6 << 30, swap: 0 }),
            clock_source: "tsc".into(),
            governor: Some("performance".into()),
            remove_ipc: false,
            virtualization: "none".into(),
            load1: 0.1,
            cpus: 8,
        }
    }

    fn all(readings: &Readings) -> Vec<Capability> {
        let mut all = needed(readings, &NEED);
        all.extend(advisory(readings));
        all
    }

    /// The one capability that differs from a good host.
    fn finding(change: impl FnOnce(&mut Readings)) -> Capability {
        let mut readings = good();
        change(&mut readings);
        let mut findings: Vec<_> = all(&readings).into_iter().filter(|c| c.status != Status::Ok).collect();
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn a_good_host_has_nothing_to_fix() {
        assert!(
            all(&good()).iter().all(|c| c.status == Status::Ok && c.remedy.is_none()),
            "{:?}",
            all(&good())
        );
    }

    #[test]
    fn what_does_not_fit_is_missing_and_says_how_to_fix_it() {
        let shm = |readings: &Readings| *readings.shm.as_ref().unwrap();
        let cases: [(Capability, &str, &str); 11] = [
            (finding(|r| r.proc = Err("not there".into())), "cannot be read: not there", "mount -t proc"),
            (
                finding(|r| r.nproc = Some(UserProcesses { max: 1000, used: 293 })),
                "707 more (ulimit -u is 1000), and the fleet has 708",
                "LimitNPROC",
            ),
            (
                finding(|r| r.shm = Ok(ShmReading { free_bytes: 1 << 20, ..shm(r) })),
                "1 MiB free, and the fleet needs 64 MiB",
                "remount,size=1087m",
            ),
            (finding(|r| r.shm = Ok(ShmReading { free_inodes: 3, ..shm(r) })), "needs 9", "nr_inodes"),
            (finding(|r| r.shm = Ok(ShmReading { writable: false, ..shm(r) })), "cannot be written", "chmod"),
            (finding(|r| r.nofile.soft = 64), "needs 109", "ulimit -n 109"),
            (finding(|r| r.nofile = Limit { soft: 64, hard: 64 }), "needs 109", "hard limit"),
            (finding(|r| r.pid_max = 900), "600 more (kernel.pid_max is 900)", "sysctl"),
            (
                finding(|r| {
                    r.cgroups.pids =
                        vec![CgroupLimit { limit: 100, used: 7, file: "/sys/fs/cgroup/pids.max".into() }];
                }),
                "93 more (/sys/fs/cgroup/pids.max is 100)",
                "--pids-limit",
            ),
            (finding(|r| r.kernel = "5.4.0".into()), "older than 5.14", "update"),
            (finding(|r| r.pidfd = Err("ENOSYS".into())), "ENOSYS", "5.3"),
        ];
        for (capability, found, remedy) in cases {
            assert_eq!(capability.status, Status::Missing, "{capability:?}");
            assert!(capability.found.contains(found), "{capability:?}");
            assert!(capability.remedy.as_ref().unwrap().contains(remedy), "{capability:?}");
        }
    }

    #[test]
    fn what_only_hurts_the_figures_is_a_warning() {
        for capability in [
            finding(|r| r.governor = Some("powersave".into())),
            finding(|r| r.load1 = 7.5),
            finding(|r| r.clock_source = "hpet".into()),
            finding(|r| r.user_namespaces = 0),
            finding(|r| r.remove_ipc = true),
            finding(|r| r.memory.as_mut().unwrap().available = 200 << 20),
            finding(|r| r.shm = Ok(ShmReading { tmpfs: false, ..*r.shm.as_ref().unwrap() })),
        ] {
            assert_eq!(capability.status, Status::Warn, "{capability:?}");
        }
    }

    #[test]
    fn processes_of_other_users_do_not_count_against_this_users_limit() {
        let mut readings = good();
        readings.pids_now = 29_900;
        readings.pid_max = 4_194_304;
        readings.nproc = Some(UserProcesses { max: 30_000, used: 100 });
        let capability = processes(&readings, &NEED);
        assert_eq!(capability.status, Status::Ok, "{capability:?}");
    }

    #[test]
    fn memory_that_cannot_be_read_is_unknown_and_not_none() {
        let capability = finding(|r| r.memory = None);
        assert_eq!(capability.status, Status::Missing);
        assert!(capability.found.starts_with("unknown"), "{capability:?}");
    }

    #[test]
    fn a_host_without_shared_memory_is_told_to_mount_some() {
        let capability = finding(|r| r.shm = Err("No such file or directory".into()));
        assert_eq!(capability.status, Status::Missing);
        assert!(capability.remedy.unwrap().contains("mount -t tmpfs"));
    }

    #[test]
    fn a_program_that_cannot_be_started_is_missing() {
        for (reading, found, remedy) in [
            (ProgramReading::Nowhere, "`agent` is in no directory of PATH", "install it"),
            (ProgramReading::Absent("No such file".into()), "`agent`: No such file", "install it"),
            (ProgramReading::NoFile("/opt/agent".into()), "`/opt/agent` is not a file", "name a program"),
            (ProgramReading::NotExecutable("/opt/agent".into()), "is not executable", "chmod +x /opt/agent"),
        ] {
            let capability = command("agent", &reading);
            assert_eq!(capability.status, Status::Missing);
            assert!(capability.found.contains(found), "{capability:?}");
            assert!(capability.remedy.as_ref().unwrap().contains(remedy), "{capability:?}");
        }
        assert_eq!(command("sh", &ProgramReading::Found("/bin/sh".into())).status, Status::Ok);
    }

    #[test]
    fn the_containers_memory_limit_counts_where_it_is_the_tighter_one() {
        let capability = finding(|r| {
            r.cgroups.memory =
                vec![CgroupLimit { limit: 50 << 20, used: 0, file: "/sys/fs/cgroup/memory.max".into() }];
        });
        assert_eq!(capability.status, Status::Missing);
        assert!(capability.found.contains("memory.max is 50 MiB"), "{capability:?}");
    }
}
