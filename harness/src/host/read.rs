//! The edge: every file and call that says something about this machine.

use super::parse::{self, Cgroup, VirtualizationSigns};
use procfs::{Current as _, LoadAverage, Meminfo};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, getuid, pidfd_open};
use rustix::thread::futex;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

/// What was read, before anybody judges it.
#[derive(Debug, Clone)]
pub(super) struct Readings {
    pub(super) shm_dir: PathBuf,
    pub(super) shm: Result<ShmReading, String>,
    pub(super) nofile: Limit,
    /// Nothing for root, whom it does not bind.
    pub(super) nproc: Option<u64>,
    pub(super) pid_max: u64,
    pub(super) threads_max: u64,
    /// Processes and threads that there are now.
    pub(super) pids_now: u64,
    pub(super) cgroup_pids: Option<CgroupReading>,
    pub(super) cgroup_memory: Option<CgroupReading>,
    pub(super) kernel: String,
    pub(super) pidfd: Result<(), String>,
    pub(super) futex: Result<(), String>,
    pub(super) user_namespaces: u64,
    pub(super) memory: MemoryReading,
    pub(super) clock_source: String,
    pub(super) governor: Option<String>,
    /// What logind does at the end of a session, if there is one and this is not a system user.
    pub(super) remove_ipc: bool,
    pub(super) virtualization: String,
    pub(super) load1: f64,
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

/// The tightest limit from this process's group up to the root, and what is used under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupReading {
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) file: PathBuf,
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct MemoryReading {
    pub(super) total: u64,
    pub(super) available: u64,
    pub(super) swap: u64,
}

pub(super) fn readings(shm_dir: &Path) -> Readings {
    let load = LoadAverage::current().ok();
    let cgroup = text("/proc/self/cgroup");
    let root = getuid().is_root();
    Readings {
        shm_dir: shm_dir.to_owned(),
        shm: read_shm(shm_dir),
        nofile: rlimit(Resource::Nofile),
        nproc: (!root).then(|| rlimit(Resource::Nproc).soft),
        pid_max: number("/proc/sys/kernel/pid_max"),
        threads_max: number("/proc/sys/kernel/threads-max"),
        pids_now: load.as_ref().map_or(0, |load| u64::from(load.max)),
        cgroup_pids: tightest(&cgroup, "pids", "pids.max", "pids.max", "pids.current", "pids.current"),
        cgroup_memory: tightest(
            &cgroup,
            "memory",
            "memory.max",
            "memory.limit_in_bytes",
            "memory.current",
            "memory.usage_in_bytes",
        ),
        kernel: known(text("/proc/sys/kernel/osrelease").trim()),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).map(drop).map_err(|error| error.to_string()),
        futex: futex::wake(&AtomicU32::new(0), futex::Flags::empty(), 1)
            .map(drop)
            .map_err(|error| error.to_string()),
        user_namespaces: user_namespaces(),
        memory: memory(),
        clock_source: known(text("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim()),
        governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|governor| governor.trim().to_owned()),
        remove_ipc: !root && remove_ipc(),
        virtualization: virtualization(),
        load1: load.map_or(0.0, |load| f64::from(load.one)),
        cpus: std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
    }
}

fn read_shm(shm_dir: &Path) -> Result<ShmReading, String> {
    /// `TMPFS_MAGIC` of linux/magic.h.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let stat = rustix::fs::statvfs(shm_dir).map_err(|error| error.to_string())?;
    let file_system = rustix::fs::statfs(shm_dir).map_err(|error| error.to_string())?;
    let writable = rustix::fs::access(shm_dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    Ok(ShmReading {
        tmpfs: file_system.f_type == TMPFS_MAGIC,
        writable: writable.is_ok(),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_inodes: stat.f_files,
        free_inodes: stat.f_favail,
    })
}

/// Where a program lies, or why it cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProgramReading {
    Found(PathBuf),
    /// In no directory of the search path.
    Nowhere,
    /// Named by its path, and that leads nowhere.
    Absent(String),
    NoFile(PathBuf),
    NotExecutable(PathBuf),
}

/// Looks where `execvp` does: a name with a `/` is a path, any other is looked for in `search`, whose
/// empty parts are the current directory; a file that may not be run does not end the search.
pub(super) fn program(name: &str, search: Option<&OsStr>) -> ProgramReading {
    if name.contains('/') {
        return look_at(Path::new(name));
    }
    let search = search.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut last = ProgramReading::Nowhere;
    for directory in std::env::split_paths(search) {
        match look_at(&directory.join(name)) {
            found @ ProgramReading::Found(_) => return found,
            refused @ ProgramReading::NotExecutable(_) => last = refused,
            _ => {}
        }
    }
    last
}

fn look_at(path: &Path) -> ProgramReading {
    match fs::metadata(path) {
        Err(error) => ProgramReading::Absent(error.to_string()),
        Ok(metadata) if !metadata.is_file() => ProgramReading::NoFile(path.to_owned()),
        Ok(_) if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() => {
            ProgramReading::Found(path.to_owned())
        }
        Ok(_) => ProgramReading::NotExecutable(path.to_owned()),
    }
}

fn rlimit(resource: Resource) -> Limit {
    let limit = getrlimit(resource);
    Limit { soft: limit.current.unwrap_or(u64::MAX), hard: limit.maximum.unwrap_or(u64::MAX) }
}

fn tightest(
    proc_self_cgroup: &str,
    controller: &str,
    max_v2: &str,
    max_v1: &str,
    used_v2: &str,
    used_v1: &str,
) -> Option<CgroupReading> {
    let (root, path, max, used) = match parse::cgroup(proc_self_cgroup, controller)? {
        Cgroup::V2 { path } => (PathBuf::from("/sys/fs/cgroup"), path, max_v2, used_v2),
        Cgroup::V1 { path } => (Path::new("/sys/fs/cgroup").join(controller), path, max_v1, used_v1),
    };
    // In a container the path is often the host's, and only the root of it can be seen.
    let group = root.join(path.trim_start_matches('/'));
    let group = if group.is_dir() { group } else { root.clone() };
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(&root))
        .filter_map(|directory| {
            let file = directory.join(max);
            let limit = parse::limit(&fs::read_to_string(&file).ok()?)?;
            let used = text(directory.join(used)).trim().parse().unwrap_or(0);
            Some(CgroupReading { limit, used, file })
        })
        .min_by_key(|reading| reading.limit.saturating_sub(reading.used))
}

fn memory() -> MemoryReading {
    Meminfo::current().map_or_else(
        |_| MemoryReading::default(),
        |memory| MemoryReading {
            total: memory.mem_total,
            available: memory.mem_available.unwrap_or(memory.mem_free),
            swap: memory.swap_total,
        },
    )
}

fn user_namespaces() -> u64 {
    // Debian's own switch; absent elsewhere.
    if text("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0" && !getuid().is_root() {
        return 0;
    }
    number("/proc/sys/user/max_user_namespaces")
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
    known(text("/proc/sys/kernel/random/boot_id").trim())
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
    use std::os::unix::fs::PermissionsExt as _;

    fn file(directory: &Path, name: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_program_is_looked_for_as_execvp_looks_for_it() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        fs::create_dir_all(first.join("folder")).unwrap();
        fs::create_dir_all(&second).unwrap();
        let shadow = file(&first, "agent", 0o644);
        let agent = file(&second, "agent", 0o755);
        let plain = file(&second, "plain", 0o644);
        let search = std::env::join_paths([&first, &second]).unwrap();
        let look = |name: &str| program(name, Some(&search));
        assert_eq!(look("agent"), ProgramReading::Found(agent.clone()));
        assert_eq!(look("plain"), ProgramReading::NotExecutable(plain));
        assert_eq!(look("folder"), ProgramReading::Nowhere);
        assert_eq!(look("none"), ProgramReading::Nowhere);
        assert_eq!(look(agent.to_str().unwrap()), ProgramReading::Found(agent));
        assert_eq!(look(shadow.to_str().unwrap()), ProgramReading::NotExecutable(shadow));
        assert_eq!(look(first.to_str().unwrap()), ProgramReading::NoFile(first.clone()));
        assert!(matches!(look("/nowhere/agent"), ProgramReading::Absent(_)));
        assert!(matches!(program("sh", None), ProgramReading::Found(_)));
    }
}
