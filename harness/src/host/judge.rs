//! Readings against needs. Pure: a test can write down any host.

mod mounts;

use super::cgroup;
use super::parse;
use super::program::ProgramReading;
use super::read::{MemoryReading, Readings};
use super::{Capability, Need, Status};
use crate::fault::{Controller, RESERVE_BYTES};
use crate::scenario::unit::bytes_text;
use coordinator::client::UserProcesses;
use mounts::{disks, fuse, private_shm};
use std::io;

pub(super) use mounts::{covered, disk_remedy, trapped_calls};

pub(super) const USER_NAMESPACES: &str = "user namespaces";
pub(super) const PRIVATE_SHM: &str = "private shared memory";
pub(super) const CONTROL_GROUPS: &str = "control groups";

/// What users are told where groups cannot be made.
const CONTROL_GROUPS_REMEDY: &str = "run it as root, or in a group that was given to you: systemd-run --user --scope -p Delegate=yes … \
                                     (docker: --privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw)";
pub(super) const DISKS: &str = "disk faults (FUSE)";

/// What a process costs in addition to the shared memory: page tables, stack and the pages that a fork dirties.
/// An estimate, and so only ever a warning.
const PROCESS_BYTES: u64 = 1 << 20;

pub(super) fn ok(name: &'static str, found: String) -> Capability {
    Capability { name, status: Status::Ok, found, remedy: None }
}

pub(super) fn warn(name: &'static str, found: String, remedy: impl Into<String>) -> Capability {
    Capability { name, status: Status::Warn, found, remedy: Some(remedy.into()) }
}

pub(super) fn missing(name: &'static str, found: String, remedy: impl Into<String>) -> Capability {
    Capability { name, status: Status::Missing, found, remedy: Some(remedy.into()) }
}

/// What every run needs.
pub(super) fn needed(readings: &Readings, need: &Need) -> Vec<Capability> {
    let mut found = vec![proc(readings)];
    found.extend(shared_memory(readings, need));
    found.extend(need.private_shm_bytes.map(|_| private_shm(readings)));
    found.extend(control_groups(readings, need));
    found.extend(need.disks.then(|| disks(readings)));
    found.extend(processors(readings, need));
    found.push(descriptors(readings, need));
    found.push(processes(readings, need));
    found.push(file_size(readings, need));
    found.extend(addresses(readings, need));
    found.extend(kernel(readings));
    found.push(memory(readings, need));
    found
}

/// Of faults that put processes into groups of their own.
fn control_groups(readings: &Readings, need: &Need) -> Vec<Capability> {
    let one = |controller: &Controller| {
        let name = controller.name();
        let refused =
            readings.groups.iter().find(|(of, _)| of == controller).and_then(|(_, why)| why.as_ref());
        let Some(why) = refused else { return ok(CONTROL_GROUPS, format!("{name}: groups can be made")) };
        missing(CONTROL_GROUPS, format!("{name}: {why}"), CONTROL_GROUPS_REMEDY)
    };
    let is_shared =
        |name: &&'static str| readings.in_one_tree.iter().any(|controller| controller.name() == *name);
    let both = need.grouped.iter().filter(|faults| faults.controllers.iter().all(is_shared));
    let refused = both.map(|faults| {
        let [one, other] = faults.controllers;
        let found = format!(
            "{}, each with a group of a process ({one}, {other}); in version 2 of control groups a process is in one",
            faults.message
        );
        missing(CONTROL_GROUPS, found, "let one begin after the other has been healed, or use a host with version 1")
    });
    need.groups.iter().map(one).chain(refused).collect()
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
            let relative = !program.starts_with('/');
            let elsewhere =
                if relative { "start the harness in the directory where this path begins, " } else { "" };
            missing(NAME, format!("`{program}`: {error}"), format!("{elsewhere}install it, {other}"))
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

/// A directory that the scenario starts a program in.
pub(super) fn directory(path: &str, entered: io::Result<()>) -> Capability {
    const NAME: &str = "directory of a command";
    match entered {
        Ok(()) => ok(NAME, path.to_owned()),
        Err(error) => missing(
            NAME,
            format!("`{path}`: {error}"),
            "make it, let a [setup] make it, or correct `cwd` in the scenario",
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
        fuse(readings),
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

/// Of a host that has no more, none can be taken away.
fn processors(readings: &Readings, need: &Need) -> Option<Capability> {
    const NAME: &str = "processors";
    let (has, left) = (readings.cpus, need.cpus_left);
    match left {
        0 => None,
        left if has > left => Some(ok(NAME, format!("{has}, of which a fault leaves {left}"))),
        left => Some(missing(
            NAME,
            format!("{has}, and a fault is to leave {left} of more"),
            "use a host, or a container (docker: --cpuset-cpus), with more processors",
        )),
    }
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

/// Of the harness, which has the most: it maps the fleet's memory as its client and to follow its events. Nothing if there is
/// no limit.
fn addresses(readings: &Readings, need: &Need) -> Option<Capability> {
    const NAME: &str = "addresses of a process";
    /// The program, its libraries, and what the smallest run takes.
    const OWN: u64 = 48 << 20;
    const MAPS: u64 = 2;
    /// The allocator reserves so much for each thread, and goes without where that is refused: a small fleet finds its
    /// place all the same, and a large one does not.
    const ARENAS: u64 = 5 * (64 << 20);
    let limit = readings.addresses;
    if limit.soft == u64::MAX {
        return None;
    }
    let arenas = need.mapped_bytes.saturating_mul(64).min(ARENAS);
    let wanted = need.mapped_bytes.saturating_mul(MAPS).saturating_add(OWN + arenas);
    let found = format!("ulimit -v is {}", bytes_text(limit.soft));
    if limit.soft >= wanted {
        return Some(ok(NAME, found));
    }
    let kib = wanted.div_ceil(1024);
    let remedy = if limit.hard >= wanted {
        format!("ulimit -v {kib}, or make the fleet or its payload smaller")
    } else {
        format!(
            "raise the hard limit to {kib} KiB (limits.conf: as, LimitAS=), or make the fleet or its payload smaller"
        )
    };
    Some(missing(NAME, format!("{found}, and the run needs {}", bytes_text(wanted)), remedy))
}

/// The kernel ends a process that writes beyond it.
fn file_size(readings: &Readings, need: &Need) -> Capability {
    const NAME: &str = "size of a file";
    /// Of the largest report.
    const DOCUMENT: u64 = 2 << 20;
    let limit = readings.fsize;
    if limit.soft == u64::MAX {
        return ok(NAME, "ulimit -f is unlimited".to_owned());
    }
    let found = format!("ulimit -f is {}", bytes_text(limit.soft));
    let (least, most) = (need.file_bytes.max(DOCUMENT), need.log_bytes.saturating_add(DOCUMENT));
    let remedy = |wanted: u64| {
        let blocks = wanted.div_ceil(1024);
        if limit.hard >= wanted {
            format!("ulimit -f {blocks} (in the shell, blocks of 1024 bytes)")
        } else {
            format!("raise the hard limit to {blocks} KiB (limits.conf: fsize, LimitFSIZE=)")
        }
    };
    if limit.soft < least {
        let found = format!("{found}, and the largest file of the run needs {}", bytes_text(least));
        missing(NAME, found, remedy(least.max(most)))
    } else if limit.soft < most {
        let found = format!("{found}, and the run log may need {}", bytes_text(most));
        warn(NAME, found, remedy(most))
    } else {
        ok(NAME, found)
    }
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
    // What a fault may fill is memory, too.
    let shm_bytes = need.shm_bytes.max(need.private_shm_bytes.unwrap_or(0));
    let wanted = shm_bytes + need.processes * PROCESS_BYTES;
    if need.held_bytes > 0 && available < need.held_bytes + RESERVE_BYTES + wanted {
        let (held, kept) = (bytes_text(need.held_bytes), bytes_text(RESERVE_BYTES));
        let fleet = bytes_text(wanted);
        let found = format!(
            "{found}: faults that hold {held} at once would leave less than {kept} beside the fleet, which may need {fleet}"
        );
        return missing(NAME, found, "end other programs, or lower `memory` of the fault");
    }
    let remedy = "end other programs, raise the container's limit, or start fewer workers";
    if available < shm_bytes {
        missing(NAME, format!("{found}, and the bus alone needs {}", bytes_text(shm_bytes)), remedy)
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
    let Some(load1) = readings.load1 else {
        let found = format!("the load average of {} processors cannot be read", readings.cpus);
        return warn(NAME, found, "mount /proc where /proc/loadavg can be read: mount -t proc proc /proc");
    };
    let found = format!("load average {load1:.2} on {} processors", readings.cpus);
    // Half of the machine busy with something else moves every percentile.
    if load1 > f64::from(readings.cpus) / 2.0 {
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
mod tests;
