//! The edge: every file and call that says something about this machine. What a sweep asks about the host
//! ([`load_average`], [`memory`], [`space`]) is read here as well, so that a header and its samples agree.

use super::cgroup::{self, Cgroups};
use super::identity::MachineIds;
use super::parse::{self, VirtualizationSigns};
use crate::fault::Controller;
use coordinator::client::{UserProcesses, user_processes};
use procfs::process::Process;
use procfs::sys::kernel as sysctl;
use procfs::{Current as _, LoadAverage, Meminfo, ProcResult};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, getuid, pidfd_open};
use rustix::thread::futex;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

/// What was read, before it is judged.
#[derive(Debug, Clone)]
pub(super) struct Readings {
    pub(super) shm_dir: PathBuf,
    pub(super) shm: Result<ShmReading, String>,
    pub(super) nofile: Limit,
    /// Bytes of a file.
    pub(super) fsize: Limit,
    /// Bytes of addresses.
    pub(super) addresses: Limit,
    /// Absent if it does not bind this user.
    pub(super) nproc: Option<UserProcesses>,
    pub(super) pid_max: u64,
    pub(super) threads_max: u64,
    /// Processes and threads on the host now.
    pub(super) pids_now: u64,
    pub(super) cgroups: Cgroups,
    /// Of each controller, why no group can be made for it.
    pub(super) groups: Vec<(Controller, Option<String>)>,
    /// Controllers whose groups are those of other controllers, too: version 2 of control groups has one tree.
    pub(super) in_one_tree: Vec<Controller>,
    pub(super) kernel: String,
    pub(super) pidfd: Result<(), String>,
    pub(super) futex: Result<(), String>,
    pub(super) user_namespaces: u64,
    /// Whether its device can be opened.
    pub(super) fuse: Result<(), String>,
    /// Without a user namespace.
    pub(super) can_mount: bool,
    /// Why this process cannot be looked at.
    pub(super) proc: Result<(), String>,
    /// Absent if it cannot be read.
    pub(super) memory: Option<MemoryReading>,
    pub(super) clock_source: String,
    pub(super) governor: Option<String>,
    /// What logind does at the end of a session, if there is one and this is not a system user.
    pub(super) remove_ipc: bool,
    pub(super) virtualization: String,
    /// `None` if it cannot be read.
    pub(super) load1: Option<f64>,
    pub(super) cpus: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShmReading {
    pub(super) tmpfs: bool,
    pub(super) writable: bool,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) total_inodes: u64,
    pub(super) free_inodes: u64,
}

/// `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MemoryReading {
    pub(crate) total: u64,
    pub(crate) available: u64,
    pub(crate) swap: u64,
}

/// With the two decimals that the kernel writes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct LoadReading {
    pub(crate) one: f64,
    pub(crate) five: f64,
    pub(crate) fifteen: f64,
    /// Processes and threads on the host now.
    pub(crate) entities: u64,
}

/// Of a file system. A tmpfs without a limit of inodes says that it has none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total_bytes: u64,
    pub(crate) used_bytes: u64,
    /// To this user.
    pub(crate) free_bytes: u64,
    pub(crate) total_inodes: u64,
    pub(crate) used_inodes: u64,
    /// To this user.
    pub(crate) free_inodes: u64,
}

pub(crate) fn load_average() -> ProcResult<LoadReading> {
    LoadAverage::current().map(|load| LoadReading {
        one: decimals(load.one),
        five: decimals(load.five),
        fifteen: decimals(load.fifteen),
        entities: u64::from(load.max),
    })
}

/// Ticks of all processors since the host started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuReading {
    /// Idle time included.
    pub(crate) all: u64,
    /// What the hypervisor gave to others.
    pub(crate) stolen: u64,
    /// Idle, or waiting for a disk.
    pub(crate) idle: u64,
}

/// The first line of `/proc/stat` alone: the rest is long on a large host.
pub(crate) fn cpu_time() -> io::Result<CpuReading> {
    let mut line = String::new();
    BufReader::with_capacity(512, File::open("/proc/stat")?).read_line(&mut line)?;
    parse_cpu_time(&line).ok_or_else(|| io::Error::other(format!("/proc/stat begins with `{}`", line.trim())))
}

/// User, nice, system, idle, waiting, interrupts, soft interrupts, stolen; what guests used is in the first two.
fn parse_cpu_time(line: &str) -> Option<CpuReading> {
    let figures = line.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let figures = figures.map(|figure| figure.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let stolen = *figures.get(7)?;
    let idle = figures[3].saturating_add(figures[4]);
    Some(CpuReading { all: figures.iter().fold(0, |sum, figure| sum.saturating_add(*figure)), stolen, idle })
}

/// Widened from 32 bits, 3.27 would be 3.2699999809265137.
fn decimals(load: f32) -> f64 {
    (f64::from(load) * 100.0).round() / 100.0
}

pub(crate) fn memory() -> ProcResult<MemoryReading> {
    Meminfo::current().map(|memory| MemoryReading {
        total: memory.mem_total,
        available: memory.mem_available.unwrap_or(memory.mem_free),
        swap: memory.swap_total,
    })
}

pub(crate) fn space(directory: &Path) -> Result<Space, Errno> {
    let stat = rustix::fs::statvfs(directory)?;
    Ok(Space {
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        used_bytes: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_inodes: stat.f_files,
        used_inodes: stat.f_files.saturating_sub(stat.f_ffree),
        free_inodes: stat.f_favail,
    })
}

/// That this host has at once, at most; nothing if it does not say.
pub(super) fn threads() -> Option<u64> {
    let pids = u64::try_from(sysctl::pid_max().ok()?).ok()?;
    Some(pids.min(sysctl::threads_max().ok()?.into()))
}

/// That a process may have open at once, whatever its limits.
pub(super) fn descriptors() -> Option<u64> {
    text("/proc/sys/fs/nr_open").trim().parse().ok()
}

/// Of a process. What `/proc/cpuinfo` of x86 says is the kernel's half as well.
pub(super) fn address_bytes() -> Option<u64> {
    virtual_bits(&text("/proc/cpuinfo")).map(|bits| 1 << (bits - 1))
}

/// `address sizes : 46 bits physical, 48 bits virtual`
fn virtual_bits(cpuinfo: &str) -> Option<u32> {
    let sizes = cpuinfo.lines().find(|line| line.starts_with("address sizes"))?;
    let bits = sizes.split(',').find_map(|size| size.trim().strip_suffix(" bits virtual"))?;
    bits.trim().parse().ok().filter(|bits| (1..=64).contains(bits))
}

pub(super) fn readings(shm_dir: &Path) -> Readings {
    let load = load_average().ok();
    let root = getuid().is_root();
    Readings {
        shm_dir: shm_dir.to_owned(),
        shm: read_shm(shm_dir),
        nofile: rlimit(Resource::Nofile),
        fsize: rlimit(Resource::Fsize),
        addresses: rlimit(Resource::As),
        nproc: user_processes(),
        // A limit that cannot be read does not count as one.
        pid_max: sysctl::pid_max().map_or(u64::MAX, |max| u64::try_from(max).unwrap_or(u64::MAX)),
        threads_max: sysctl::threads_max().map_or(u64::MAX, u64::from),
        pids_now: load.as_ref().map_or(0, |load| load.entities),
        cgroups: cgroups(),
        groups: Controller::ALL.map(|one| (one, one.is_writable().err())).to_vec(),
        in_one_tree: Controller::ALL.into_iter().filter(|one| one.is_in_one_tree()).collect(),
        kernel: known(text("/proc/sys/kernel/osrelease").trim()),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).map(drop).map_err(|error| error.to_string()),
        futex: futex::wake(&AtomicU32::new(0), futex::Flags::empty(), 1)
            .map(drop)
            .map_err(|error| error.to_string()),
        user_namespaces: user_namespaces(),
        fuse: crate::disk::is_to_be_had().map_err(|error| error.to_string()),
        can_mount: can_mount(),
        proc: Process::myself().and_then(|own| own.stat()).map(drop).map_err(|error| error.to_string()),
        memory: memory().ok(),
        clock_source: known(text("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim()),
        governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|governor| governor.trim().to_owned()),
        remove_ipc: !root && remove_ipc(),
        virtualization: virtualization(),
        load1: load.map(|load| load.one),
        cpus: std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
    }
}

fn read_shm(shm_dir: &Path) -> Result<ShmReading, String> {
    /// `TMPFS_MAGIC` of linux/magic.h.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let space = space(shm_dir).map_err(|error| error.to_string())?;
    let file_system = rustix::fs::statfs(shm_dir).map_err(|error| error.to_string())?;
    let writable = rustix::fs::access(shm_dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    Ok(ShmReading {
        tmpfs: file_system.f_type == TMPFS_MAGIC,
        writable: writable.is_ok(),
        total_bytes: space.total_bytes,
        free_bytes: space.free_bytes,
        total_inodes: space.total_inodes,
        free_inodes: space.free_inodes,
    })
}

fn rlimit(resource: Resource) -> Limit {
    let limit = getrlimit(resource);
    Limit { soft: limit.current.unwrap_or(u64::MAX), hard: limit.maximum.unwrap_or(u64::MAX) }
}

fn cgroups() -> Cgroups {
    Process::myself()
        .and_then(|own| own.cgroups())
        .map_or_else(|_| Cgroups::default(), |groups| cgroup::read(Path::new(cgroup::ROOT), &groups))
}

fn user_namespaces() -> u64 {
    // Debian's own switch; absent elsewhere.
    if text("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0" && !getuid().is_root() {
        return 0;
    }
    number("/proc/sys/user/max_user_namespaces")
}

fn can_mount() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    Process::myself().and_then(|own| own.status()).is_ok_and(|status| status.capeff & CAP_SYS_ADMIN != 0)
}

/// Where logind runs, it removes a user's files in /dev/shm when the last session ends, unless told not to.
fn remove_ipc() -> bool {
    const SYSTEM_USER_MAX: u32 = 999;
    if !Path::new("/run/systemd/seats").is_dir() || getuid().as_raw() <= SYSTEM_USER_MAX {
        return false;
    }
    let mut files = vec![PathBuf::from("/etc/systemd/logind.conf")];
    for directory in ["/usr/lib/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"] {
        let mut more: Vec<PathBuf> =
            fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    parse::remove_ipc(&files.iter().map(text).collect::<Vec<_>>().join("\n")).unwrap_or(true)
}

fn virtualization() -> String {
    let cpuinfo = text("/proc/cpuinfo");
    let vendor = text("/sys/class/dmi/id/sys_vendor") + &text("/sys/class/dmi/id/product_name");
    parse::virtualization(&VirtualizationSigns {
        docker_file: Path::new("/.dockerenv").exists(),
        podman_file: Path::new("/run/.containerenv").exists(),
        // The service account is mounted into every pod that has not refused it.
        kubernetes_environment: Path::new("/var/run/secrets/kubernetes.io").exists(),
        init_cgroup: &text("/proc/1/cgroup"),
        vendor: &vendor,
        hypervisor: &text("/sys/hypervisor/type"),
        cpuinfo: &cpuinfo,
    })
    .to_owned()
}

pub(super) fn hostname() -> String {
    known(text("/proc/sys/kernel/hostname").trim())
}

pub(super) fn boot_id() -> String {
    known(&sysctl::random::boot_id().unwrap_or_default())
}

/// `boot_id` as [`boot_id`] gives it.
pub(super) fn machine_ids(boot_id: &str) -> MachineIds {
    // Before its first boot, an image's `machine-id` is empty or says `uninitialized`.
    let id =
        |path: &str| Some(text(path).trim().to_owned()).filter(|id| !id.is_empty() && id != "uninitialized");
    MachineIds {
        machine_id: id("/etc/machine-id"),
        product_uuid: id("/sys/class/dmi/id/product_uuid"),
        boot_id: boot_id.to_owned(),
    }
}

pub(super) fn cpu_model() -> String {
    parse::cpu_model(&text("/proc/cpuinfo")).unwrap_or_else(|| "unknown".to_owned())
}

fn known(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A limit in a file of its own; no file is no limit.
fn number(path: &str) -> u64 {
    text(path).trim().parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_average_has_the_decimals_that_the_kernel_wrote() {
        for (read, wanted) in [(3.27_f32, "3.27"), (0.0, "0"), (0.1, "0.1"), (708.01, "708.01")] {
            assert_eq!(decimals(read).to_string(), wanted);
        }
    }

    #[test]
    fn the_time_of_guests_is_counted_once() {
        let line = "cpu  100 20 30 4000 50 6 7 80 9 1\n";
        assert_eq!(parse_cpu_time(line), Some(CpuReading { all: 4_293, stolen: 80, idle: 4_050 }));
        for other in ["cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  1 2 3 4 5 6 7 x", ""] {
            assert_eq!(parse_cpu_time(other), None, "{other}");
        }
        let now = cpu_time().unwrap();
        assert!(now.all > 0 && now.stolen <= now.all);
    }
}
