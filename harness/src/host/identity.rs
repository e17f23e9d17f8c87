//! Two hashes that say whether two runs can be compared. Pure.
//!
//! [`machine`] is the identity of one machine: figures of two runs are compared for regressions only where it
//! agrees. [`fingerprint`] is a class of hosts: a gate names the class that it holds for. Both begin with their
//! version, and what goes into a hash changes only with that. Neither contains the host name, which says
//! nothing about what a machine can do; both contain the limits of the control groups, which do.

use crate::scenario::hex;
use reports::runlog::event::HostFacts;
use sha2::{Digest, Sha256};
use std::fmt::Display;

/// What identifies this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MachineIds {
    /// `/etc/machine-id`. In a container it belongs to the image, which many machines may run.
    pub(super) machine_id: Option<String>,
    /// `/sys/class/dmi/id/product_uuid`, which only root may read.
    pub(super) product_uuid: Option<String>,
    pub(super) boot_id: String,
}

impl MachineIds {
    /// The best of them. A boot's id changes with the next boot: runs before and after it cannot be compared,
    /// but no other machine is ever taken for this one.
    fn best(&self, virtualization: &str) -> &str {
        let in_image = matches!(virtualization, "docker" | "podman" | "kubernetes");
        let machine_id = self.machine_id.as_deref().filter(|_| !in_image);
        machine_id.or(self.product_uuid.as_deref()).unwrap_or(&self.boot_id)
    }
}

/// Identity of this machine, as `m1-` and 16 hex digits: its id, and what does not change between boots of
/// the same hardware with the same limits. The kernel is not in it: whether an update made the fleet slower
/// is a question that two runs on one machine can answer.
pub(super) fn machine(facts: &HostFacts, ids: &MachineIds) -> String {
    let mut hash = Hash::new("machine 1");
    hash.add("id", &ids.best(&facts.virtualization));
    hash.add("cpu model", &facts.cpu_model);
    hash.add("cpus", &facts.cpus);
    hash.add("memory", &rounded(facts.memory_bytes));
    hash.add("virtualization", &facts.virtualization);
    hash.add_cgroups(facts);
    hash.text("m1-")
}

/// Class of host, as `f1-` and 16 hex digits: whatever moves the figures of a run and is the same on all
/// hosts that were set up alike.
pub(super) fn fingerprint(facts: &HostFacts) -> String {
    let mut hash = Hash::new("fingerprint 1");
    hash.add("kernel", &facts.kernel);
    hash.add("cpu model", &facts.cpu_model);
    hash.add("cpus", &facts.cpus);
    hash.add("memory", &rounded(facts.memory_bytes));
    hash.add("shm", &rounded(facts.shm_bytes));
    hash.add("nofile soft", &facts.nofile_soft);
    hash.add("nofile hard", &facts.nofile_hard);
    hash.add("pids", &rounded(facts.pids_max));
    hash.add("clock source", &facts.clock_source);
    hash.add("virtualization", &facts.virtualization);
    hash.add_cgroups(facts);
    hash.text("f1-")
}

/// To one of eight steps between a power of two and the next: what the firmware and the kernel keep for
/// themselves differs between hosts with the same memory, and so does every limit that is made of it.
fn rounded(amount: u64) -> u64 {
    const STEPS_LOG2: u32 = 3;
    let Some(step_log2) = amount.checked_ilog2().and_then(|log2| log2.checked_sub(STEPS_LOG2)) else {
        return amount;
    };
    let step = 1 << step_log2;
    amount.saturating_add(step / 2) / step * step
}

/// SHA-256 over named values, a line each.
struct Hash(Sha256);

impl Hash {
    fn new(what: &str) -> Self {
        Self(Sha256::new_with_prefix(format!("{what}\n")))
    }

    fn add(&mut self, name: &str, value: &dyn Display) {
        self.0.update(format!("{name}: {}\n", value.to_string().escape_default()));
    }

    fn add_cgroups(&mut self, facts: &HostFacts) {
        let known = |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        self.add("cgroup memory", &known(facts.cgroup_memory_bytes));
        self.add("cgroup pids", &known(facts.cgroup_pids));
        // In thousandths of a processor: a finer difference has no effect on a run.
        let millis = facts.cgroup_cpus.map(|cpus| (cpus * 1000.0).round() as u64);
        self.add("cgroup cpus", &known(millis));
    }

    fn text(self, version: &str) -> String {
        format!("{version}{}", hex(&self.0.finalize()[..8]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> HostFacts {
        HostFacts {
            machine: String::new(),
            fingerprint: String::new(),
            hostname: "alpha".into(),
            kernel: "6.8.0".into(),
            boot_id: "boot-1".into(),
            cpu_model: "Xeon".into(),
            cpus: 8,
            memory_bytes: 16_400_000_000,
            swap_bytes: 0,
            shm_bytes: 8_200_000_000,
            shm_inodes: 2_000_000,
            nofile_soft: 1024,
            nofile_hard: 4096,
            pids_max: 125_000,
            clock_source: "tsc".into(),
            virtualization: "none".into(),
            cgroup_memory_bytes: None,
            cgroup_pids: None,
            cgroup_cpus: None,
            load1_at_start: 0.1,
        }
    }

    fn ids() -> MachineIds {
        MachineIds {
            machine_id: Some("image".into()),
            product_uuid: Some("board".into()),
            boot_id: "boot-1".into(),
        }
    }

    #[test]
    fn both_name_their_version_and_stay_what_they_are() {
        // A change here makes every earlier run and every gate incomparable: raise the version instead.
        assert_eq!(machine(&facts(), &ids()), "m1-0a855f8f81c14634");
        assert_eq!(fingerprint(&facts()), "f1-53323118c018359e");
    }

    #[test]
    fn neither_knows_the_name_the_moment_or_a_handful_of_pages() {
        let later = HostFacts {
            hostname: "beta".into(),
            boot_id: "boot-2".into(),
            load1_at_start: 9.0,
            memory_bytes: 16_300_000_000,
            shm_bytes: 8_150_000_000,
            pids_max: 124_500,
            ..facts()
        };
        assert_eq!(fingerprint(&later), fingerprint(&facts()));
        let later_ids = MachineIds { boot_id: "boot-2".into(), ..ids() };
        assert_eq!(machine(&later, &later_ids), machine(&facts(), &ids()));
    }

    #[test]
    fn a_limit_of_the_cgroup_is_in_both() {
        for limited in [
            HostFacts { cgroup_memory_bytes: Some(1 << 30), ..facts() },
            HostFacts { cgroup_pids: Some(1 << 30), ..facts() },
            HostFacts { cgroup_cpus: Some(1.5), ..facts() },
        ] {
            assert_ne!(machine(&limited, &ids()), machine(&facts(), &ids()));
            assert_ne!(fingerprint(&limited), fingerprint(&facts()));
        }
    }

    #[test]
    fn a_new_kernel_is_another_class_and_the_same_machine() {
        let updated = HostFacts { kernel: "6.9.0".into(), ..facts() };
        assert_ne!(fingerprint(&updated), fingerprint(&facts()));
        assert_eq!(machine(&updated, &ids()), machine(&facts(), &ids()));
    }

    #[test]
    fn an_image_or_a_boot_is_no_machine() {
        let there = MachineIds { product_uuid: Some("another board".into()), ..ids() };
        let docker = HostFacts { virtualization: "docker".into(), ..facts() };
        assert_ne!(machine(&docker, &there), machine(&docker, &ids()), "one image on two machines");
        assert_eq!(machine(&facts(), &there), machine(&facts(), &ids()), "root or not, the same machine");
        let unknown = |boot_id: &str| MachineIds { boot_id: boot_id.into(), ..MachineIds::default() };
        assert_ne!(machine(&facts(), &unknown("boot-1")), machine(&facts(), &unknown("boot-2")));
    }

    #[test]
    fn amounts_are_rounded_to_eighths() {
        const GIB: u64 = 1 << 30;
        assert_eq!(rounded(15 * GIB + GIB / 2), 16 * GIB);
        assert_eq!(rounded(15 * GIB + GIB / 3), 15 * GIB);
        assert_eq!([0, 1, 7, 8, 17].map(rounded), [0, 1, 7, 8, 18]);
        assert_eq!(rounded(u64::MAX), 15 << 60, "the largest step, without an overflow");
    }
}
