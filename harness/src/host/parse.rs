//! The kernel's texts, as values. Pure.

/// `model name : …` of `/proc/cpuinfo`; ARM calls it otherwise, or nothing.
pub(super) fn cpu_model(cpuinfo: &str) -> Option<String> {
    ["model name", "Model", "Hardware", "cpu model"].iter().find_map(|wanted| {
        cpuinfo
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == *wanted)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    })
}

/// `6.8.0-41-generic` is at least 5.14.
pub(super) fn release_at_least(release: &str, major: u32, minor: u32) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let found = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(found >= (major, minor))
}

/// Which hierarchy of `/proc/self/cgroup` holds a controller, and the path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cgroup {
    /// All controllers in one tree.
    V2 { path: String },
    /// A tree for each.
    V1 { path: String },
}

/// A controller that a v1 hierarchy has is not in the v2 one of the same host.
pub(super) fn cgroup(proc_self_cgroup: &str, controller: &str) -> Option<Cgroup> {
    let lines = || {
        proc_self_cgroup.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
    };
    lines()
        .find(|(_, controllers, _)| controllers.split(',').any(|name| name == controller))
        .map(|(_, _, path)| Cgroup::V1 { path: path.to_owned() })
        .or_else(|| {
            lines()
                .find(|(id, controllers, _)| *id == "0" && controllers.is_empty())
                .map(|(_, _, path)| Cgroup::V2 { path: path.to_owned() })
        })
}

/// `max` is no limit; and so is v1's memory limit of almost 2^63.
pub(super) fn limit(text: &str) -> Option<u64> {
    const NO_LIMIT: u64 = 1 << 60;
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

/// `RemoveIPC=` of logind's configuration; the last one counts.
pub(super) fn remove_ipc(conf: &str) -> Option<bool> {
    conf.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .rfind(|(key, _)| key.trim() == "RemoveIPC")
        .map(|(_, value)| matches!(value.trim(), "yes" | "true" | "1" | "on"))
}

/// Signs of a container or a virtual machine.
#[derive(Debug, Default)]
pub(super) struct VirtualizationSigns<'a> {
    pub(super) docker_file: bool,
    pub(super) podman_file: bool,
    pub(super) kubernetes_environment: bool,
    /// `/proc/1/cgroup`.
    pub(super) init_cgroup: &'a str,
    /// `/sys/class/dmi/id/sys_vendor` and `product_name`.
    pub(super) vendor: &'a str,
    /// `/sys/hypervisor/type`.
    pub(super) hypervisor: &'a str,
    pub(super) cpuinfo: &'a str,
}

/// A container inside a machine is called by the container.
pub(super) fn virtualization(signs: &VirtualizationSigns<'_>) -> &'static str {
    let vendor = signs.vendor.to_lowercase();
    let has = |word: &str| signs.init_cgroup.contains(word);
    if signs.kubernetes_environment || has("kubepods") {
        "kubernetes"
    } else if signs.docker_file || has("/docker") {
        "docker"
    } else if signs.podman_file || has("libpod") {
        "podman"
    } else if has("/lxc") {
        "lxc"
    } else if vendor.contains("kvm") || vendor.contains("qemu") || vendor.contains("google") {
        "kvm"
    } else if vendor.contains("amazon") {
        "amazon"
    } else if vendor.contains("vmware") {
        "vmware"
    } else if vendor.contains("microsoft") {
        "hyper-v"
    } else if vendor.contains("innotek") {
        "virtualbox"
    } else if signs.hypervisor.trim() == "xen" {
        "xen"
    } else if signs.cpuinfo.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor")) {
        "vm"
    } else {
        "none"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_on_intel_and_on_arm() {
        let intel = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\n";
        assert_eq!(cpu_model(intel).as_deref(), Some("Intel(R) Xeon(R) CPU @ 2.00GHz"));
        assert_eq!(cpu_model("processor\t: 0\nModel\t: Raspberry Pi 5\n").as_deref(), Some("Raspberry Pi 5"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }

    #[test]
    fn releases_compare_as_numbers() {
        assert_eq!(release_at_least("6.8.0-41-generic", 5, 14), Some(true));
        assert_eq!(release_at_least("5.14.0", 5, 14), Some(true));
        assert_eq!(release_at_least("5.4.0-generic", 5, 14), Some(false));
        assert_eq!(release_at_least("4.19.325", 5, 14), Some(false));
        assert_eq!(release_at_least("strange", 5, 14), None);
    }

    #[test]
    fn cgroups_are_found_in_both_versions() {
        let v2 = "0::/user.slice/session-3.scope\n";
        assert_eq!(cgroup(v2, "pids"), Some(Cgroup::V2 { path: "/user.slice/session-3.scope".into() }));
        let v1 = "12:pids:/docker/ab\n4:cpu,cpuacct:/x\n0::/system.slice\n";
        assert_eq!(cgroup(v1, "pids"), Some(Cgroup::V1 { path: "/docker/ab".into() }));
        assert_eq!(cgroup(v1, "cpuacct"), Some(Cgroup::V1 { path: "/x".into() }));
        assert_eq!(cgroup(v1, "memory"), Some(Cgroup::V2 { path: "/system.slice".into() }));
        assert_eq!(cgroup("garbage", "pids"), None);
    }

    #[test]
    fn no_limit_is_spelled_in_more_than_one_way() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("4096\n"), Some(4096));
    }

    #[test]
    fn the_last_remove_ipc_counts() {
        assert_eq!(remove_ipc("[Login]\n#RemoveIPC=yes\n"), None);
        assert_eq!(remove_ipc("[Login]\nRemoveIPC=yes\nRemoveIPC = no\n"), Some(false));
    }

    #[test]
    fn containers_are_named_before_the_machine_below() {
        let kvm = VirtualizationSigns { vendor: "QEMU\nStandard PC", ..Default::default() };
        assert_eq!(virtualization(&kvm), "kvm");
        assert_eq!(virtualization(&VirtualizationSigns { docker_file: true, ..kvm }), "docker");
        assert_eq!(virtualization(&VirtualizationSigns::default()), "none");
    }
}
