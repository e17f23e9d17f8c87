//! The host that runs which never happened were on.

use reports::runlog::event::{BuildFacts, HostFacts};

pub(super) const CPUS: u32 = 2;

pub(super) fn facts() -> HostFacts {
    HostFacts {
        machine: "m1-0000".into(),
        fingerprint: "f1-0000".into(),
        hostname: "synthetic".into(),
        kernel: "0.0".into(),
        boot_id: "0000".into(),
        cpu_model: "synthetic".into(),
        cpus: CPUS,
        memory_bytes: 64 << 30,
        swap_bytes: 0,
        shm_bytes: 32 << 30,
        shm_inodes: 1_000_000,
        nofile_soft: 1_024,
        nofile_hard: 4_096,
        pids_max: 32_768,
        clock_source: "tsc".into(),
        virtualization: "none".into(),
        cgroup_memory_bytes: None,
        cgroup_pids: None,
        cgroup_cpus: None,
        load1_at_start: 0.25,
    }
}

pub(super) fn build() -> BuildFacts {
    BuildFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        git: "synthetic".into(),
        dirty: false,
        profile: "synthetic".into(),
        rustc: "0.0".into(),
    }
}
