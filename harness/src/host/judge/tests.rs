//! Hosts that lack one thing each.

use super::super::cgroup::{CgroupLimit, Cgroups};
use super::super::read::{Limit, ShmReading};
use super::*;
use crate::scenario::fault::Grouped;

const NEED: Need = Need {
    shm_bytes: 64 << 20,
    shm_inodes: 9,
    mapped_bytes: 10 << 20,
    file_bytes: 4 << 20,
    log_bytes: 16 << 20,
    fds: 109,
    processes: 708,
    private_shm_bytes: None,
    disks: false,
    disk_dirs: Vec::new(),
    cpus_left: 0,
    held_bytes: 0,
    traps_calls: false,
    groups: Vec::new(),
    grouped: Vec::new(),
    programs: Vec::new(),
};

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
        fsize: Limit { soft: u64::MAX, hard: u64::MAX },
        addresses: Limit { soft: u64::MAX, hard: u64::MAX },
        nproc: Some(UserProcesses { max: 30_000, used: 20 }),
        proc: Ok(()),
        pid_max: 32_768,
        threads_max: 100_000,
        pids_now: 300,
        cgroups: Cgroups::default(),
        groups: vec![
            (Controller::Memory, None),
            (Controller::Cpu, Some("/sys/fs/cgroup/cpu cannot be written to".to_owned())),
        ],
        in_one_tree: Vec::new(),
        kernel: "6.8.0".into(),
        pidfd: Ok(()),
        futex: Ok(()),
        user_namespaces: 10_000,
        fuse: Ok(()),
        can_mount: false,
        memory: Some(MemoryReading { total: 8 << 30, available: 6 << 30, swap: 0 }),
        clock_source: "tsc".into(),
        governor: Some("performance".into()),
        remove_ipc: false,
        virtualization: "none".into(),
        load1: Some(0.1),
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
fn a_private_file_system_needs_a_right_to_mount_or_user_namespaces() {
    let need = Need { private_shm_bytes: Some(1 << 20), ..NEED };
    for (can_mount, user_namespaces, wanted) in
        [(true, 0, Status::Ok), (false, 1, Status::Ok), (false, 0, Status::Missing)]
    {
        let readings = Readings { user_namespaces, can_mount, ..good() };
        let all = needed(&readings, &need);
        let found = all.iter().find(|capability| capability.name == PRIVATE_SHM).unwrap();
        assert_eq!(found.status, wanted, "{found:?}");
    }
    assert!(needed(&good(), &NEED).iter().all(|capability| capability.name != PRIVATE_SHM));
}

#[test]
fn faults_on_disks_need_the_device_and_a_right_to_mount() {
    let need = Need { disks: true, ..NEED };
    let refused = || Err("Permission denied".to_owned());
    for (fuse, can_mount, user_namespaces, wanted, remedy) in [
        (Ok(()), true, 0, Status::Ok, ""),
        (Ok(()), false, 1, Status::Ok, ""),
        (Ok(()), false, 0, Status::Missing, "max_user_namespaces"),
        (refused(), true, 1, Status::Missing, "install fuse3"),
    ] {
        let readings = Readings { user_namespaces, fuse, can_mount, ..good() };
        let all = needed(&readings, &need);
        let found = all.iter().find(|capability| capability.name == DISKS).unwrap();
        assert_eq!(found.status, wanted, "{found:?}");
        assert!(found.remedy.as_deref().unwrap_or_default().contains(remedy), "{found:?}");
        // Without such a fault, it is only a warning.
        let may = advisory(&readings).into_iter().find(|capability| capability.name == DISKS).unwrap();
        assert_eq!(may.status == Status::Ok, wanted == Status::Ok, "{may:?}");
        assert_ne!(may.status, Status::Missing);
    }
    assert!(needed(&good(), &NEED).iter().all(|capability| capability.name != DISKS));
}

#[test]
fn a_file_system_that_a_fault_can_fill_must_fit_the_memory() {
    let need = Need { private_shm_bytes: Some(8 << 30), ..NEED };
    let found = memory(&good(), &need);
    assert_eq!(found.status, Status::Missing, "{found:?}");
}

#[test]
fn memory_that_a_fault_holds_must_be_there_beside_the_fleet_and_a_reserve() {
    // Of 6 GiB, 64 MiB are for the fleet's shared memory, and 708 for its processes.
    for (left, wanted) in [(1030 << 20, Status::Ok), (1020 << 20, Status::Missing)] {
        let found = memory(&good(), &Need { held_bytes: (6 << 30) - left, ..NEED });
        assert_eq!(found.status, wanted, "{found:?}");
    }
}

#[test]
fn control_groups_are_missing_only_for_faults_that_need_one_that_cannot_be_made() {
    let found = |groups: &[Controller]| control_groups(&good(), &Need { groups: groups.to_vec(), ..NEED });
    assert_eq!(found(&[]), []);
    let [memory, cpu] = &found(&[Controller::Memory, Controller::Cpu])[..] else { panic!() };
    assert_eq!((memory.status, cpu.status), (Status::Ok, Status::Missing));
    assert!(cpu.remedy.as_ref().unwrap().contains("Delegate"), "{cpu:?}");
}

#[test]
fn two_controllers_at_once_are_missing_only_where_both_are_in_one_tree() {
    let grouped =
        Grouped { controllers: ["memory", "pids"], message: "`a` and `b` are both under way".into() };
    let need = Need { grouped: vec![grouped], ..NEED };
    for (tree, wanted) in [
        (&[][..], 0),
        // As where systemd has taken over some controllers.
        (&[Controller::Pids, Controller::Cpu], 0),
        (&[Controller::Memory, Controller::Pids], 1),
        (&Controller::ALL, 1),
    ] {
        let found = control_groups(&Readings { in_one_tree: tree.to_vec(), ..good() }, &need);
        assert_eq!(found.len(), wanted, "{tree:?}: {found:?}");
        for one in found {
            assert_eq!(one.status, Status::Missing);
            assert!(
                one.found.contains("`a` and `b` are both under way") && one.found.contains("(memory, pids)")
            );
            assert!(one.remedy.unwrap().contains("after the other has been healed"));
        }
    }
    assert_eq!(control_groups(&Readings { in_one_tree: Controller::ALL.to_vec(), ..good() }, &NEED), []);
}

#[test]
fn processors_can_be_taken_from_a_host_that_has_more() {
    for (cpus_left, wanted) in [(7, Status::Ok), (8, Status::Missing)] {
        let found = processors(&good(), &Need { cpus_left, ..NEED }).unwrap();
        assert_eq!(found.status, wanted, "{found:?}");
    }
    assert_eq!(processors(&good(), &NEED), None);
}

#[test]
fn a_good_host_has_nothing_to_fix() {
    assert!(all(&good()).iter().all(|c| c.status == Status::Ok && c.remedy.is_none()), "{:?}", all(&good()));
}

#[test]
fn what_does_not_fit_is_missing_and_says_how_to_fix_it() {
    let shm = |readings: &Readings| *readings.shm.as_ref().unwrap();
    let cases: [(Capability, &str, &str); 15] = [
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
        (finding(|r| r.addresses.soft = 64 << 20), "ulimit -v is 64", "ulimit -v "),
        (
            finding(|r| r.addresses = Limit { soft: 64 << 20, hard: 64 << 20 }),
            "and the run needs",
            "LimitAS=",
        ),
        (finding(|r| r.fsize.soft = 10 << 10), "the largest file of the run needs 4", "ulimit -f 18432"),
        (
            finding(|r| r.fsize = Limit { soft: 10 << 10, hard: 10 << 10 }),
            "ulimit -f is 10",
            "raise the hard limit to 18432 KiB",
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
        finding(|r| r.load1 = Some(7.5)),
        finding(|r| r.load1 = None),
        finding(|r| r.fsize.soft = 8 << 20),
        finding(|r| r.clock_source = "hpet".into()),
        finding(|r| (r.can_mount, r.user_namespaces) = (true, 0)),
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
