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
