use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn host() -> Host {
    Host {
        fds_soft: 1 << 20,
        pids_free: Some(1 << 20),
        processes_free: Some(1 << 20),
        memory_available: 1 << 50,
        shm_free: 1 << 50,
        shm_inodes_free: Some(1 << 20),
    }
}

fn costs() -> Costs {
    Costs::of(&FleetShape::new(4, 100, 64, 1).unwrap(), MIB)
}

#[test]
fn the_first_limit_is_named_with_its_figure_and_a_remedy() {
    let words = |host: Host| capacity(&host, &costs()).to_string();
    assert_eq!(
        words(Host { fds_soft: 1024, ..host() }),
        "this host has capacity for 4056 workers; the first limit is open files (1024 per process); \
         to go beyond: raise `ulimit -n`, or use more coordinators"
    );
    assert_eq!(
        words(Host { pids_free: Some(500), ..host() }),
        "this host has capacity for 494 workers; the first limit is processes of the container or service \
         (500 left); to go beyond: raise the limit on processes of the container or service (`pids.max`, \
         TasksMax=)"
    );
    // Shared memory is memory.
    let memory = 506 * MIB + 500 * costs().shm.each;
    assert!(memory > 506 * MIB);
    assert_eq!(
        words(Host { memory_available: memory, ..host() }),
        format!(
            "this host has capacity for 500 workers; the first limit is memory ({} MiB available); \
             to go beyond: add memory, or end other programs that use it",
            memory / MIB
        )
    );
    assert_eq!(
        words(host()),
        "this host has capacity for 16384 workers; the first limit is places (4 coordinators of 4096 workers); \
         to go beyond: use more coordinators"
    );
}

#[test]
fn a_fleet_costs_what_its_processes_and_their_share_of_shared_memory_cost() {
    let shape = FleetShape::new(3, 50, 1000, 4).unwrap();
    let shm_each = shape.shm_bytes().div_ceil(150);
    assert_eq!(
        Costs::of(&shape, MIB),
        Costs {
            coordinators: 3,
            fds: Cost { fixed: shape.fds_max() - 50, each: 1 },
            // The supervisor, three coordinators and the guard.
            processes: Cost { fixed: 5, each: 1 },
            memory: Cost { fixed: 5 * MIB, each: MIB + shm_each },
            shm: Cost { fixed: 0, each: shm_each },
            shm_inodes: 5,
        }
    );
}

#[test]
fn a_host_too_small_for_the_supervisor_has_capacity_for_no_worker() {
    for (poor, limit) in [
        (Host { fds_soft: 3, ..host() }, Limit::Descriptors(3)),
        (Host { processes_free: Some(2), ..host() }, Limit::Processes(2)),
        (Host { shm_inodes_free: Some(1), ..host() }, Limit::ShmInodes(1)),
        (Host { shm_free: 0, ..host() }, Limit::Shm(0)),
    ] {
        assert_eq!(capacity(&poor, &costs()), Capacity { workers: 0, limited_by: limit });
    }
}

#[test]
fn a_fleet_that_fits_exactly_fits() {
    let shape = FleetShape::new(3, 50, 1000, 4).unwrap();
    let costs = Costs::of(&shape, MIB);
    let exactly = Host {
        fds_soft: shape.fds_max(),
        pids_free: Some(u64::from(shape.processes_with_guard())),
        processes_free: None,
        memory_available: u64::from(shape.processes_with_guard()) * MIB + shape.shm_bytes() + 150,
        shm_free: shape.shm_bytes() + 150,
        shm_inodes_free: Some(shape.shm_inodes()),
    };
    assert_eq!(capacity(&exactly, &costs).workers, 150);
}

#[test]
fn each_limit_has_its_figure_and_its_own_remedy() {
    let told = |limit: Limit| format!("{limit}: {}", limit.remedy());
    assert_eq!(told(Limit::Processes(7)), "processes of the user (7 left): raise `ulimit -u`");
    assert_eq!(
        told(Limit::Shm(64 * MIB)),
        "/dev/shm (64 MiB free): mount /dev/shm larger (`mount -o remount,size=…`, docker `--shm-size`), or use a \
         smaller payload or depth"
    );
    assert_eq!(
        told(Limit::ShmInodes(3)),
        "files in /dev/shm (3 free): mount /dev/shm with more files (`mount -o remount,nr_inodes=…`), or use fewer \
         coordinators"
    );
}

#[test]
fn only_a_fleet_with_all_its_coordinators_needs_another_beside_it() {
    let told = |coordinators| {
        let limit = Limit::Places { coordinators };
        format!("{limit}: {}", limit.remedy())
    };
    assert_eq!(told(1), "places (1 coordinator of 4096 workers): use more coordinators");
    assert_eq!(
        told(COORDINATORS_MAX - 1),
        format!("places ({} coordinators of 4096 workers): use more coordinators", COORDINATORS_MAX - 1)
    );
    assert_eq!(
        told(COORDINATORS_MAX),
        format!(
            "places ({COORDINATORS_MAX} coordinators of 4096 workers): start another fleet beside this one"
        )
    );
}

proptest! {
    /// More of anything never makes room for fewer.
    #[test]
    fn more_is_never_less(fds in 0_u64..5000, pids in 0_u64..5000, memory in 0_u64..1 << 33, shm in 0_u64..1 << 33) {
        let less = Host { fds_soft: fds, pids_free: Some(pids), memory_available: memory, shm_free: shm, ..host() };
        let workers = capacity(&less, &costs()).workers;
        for more in [
            Host { fds_soft: fds + 1, ..less },
            Host { pids_free: Some(pids + 1), ..less },
            Host { pids_free: None, ..less },
            Host { memory_available: memory + MIB, ..less },
            Host { shm_free: shm + MIB, ..less },
        ] {
            prop_assert!(capacity(&more, &costs()).workers >= workers);
        }
    }
}
