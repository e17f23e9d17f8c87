//! `cargo xtask ci-in-chroot`: whether `.ci/run` needs nothing that a pristine Debian 12 does not have.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask ci-in-chroot --dir /var/tmp/bookworm --keep")]
pub(crate) struct Args {
    /// Where Debian is installed, once, and copied for each run; by default in target/
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
    /// Keep the copy that the run was in, to look at it
    #[arg(long)]
    keep: bool,
    /// Where Debian's packages come from
    #[arg(long, value_name = "URL", default_value = "http://deb.debian.org/debian")]
    mirror: String,
}

pub(crate) fn chroot(workspace: &Workspace, args: &Args) -> Outcome {
    let own = workspace.metadata.target_directory.join("chroot").into_string();
    let keep = if args.keep { "keep" } else { "remove" };
    workspace.run(&["bash", ".ci/in-chroot", args.dir.as_deref().unwrap_or(&own), keep, &args.mirror])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn debian_is_installed_in_the_target_unless_another_place_is_named() {
        let tree = Tree::new(&[]);
        tree.program("bash", "");
        let args = |dir: Option<&str>, keep| {
            let (dir, mirror) = (dir.map(str::to_owned), "http://m".to_owned());
            chroot(&tree.workspace, &Args { dir, keep, mirror })
        };
        assert_eq!(args(None, false), Ok(()));
        assert_eq!(args(Some("/d"), true), Ok(()));
        assert_eq!(
            tree.calls(),
            ["bash .ci/in-chroot TARGET/chroot remove http://m", "bash .ci/in-chroot /d keep http://m"]
        );
        tree.program("bash", "exit 3");
        assert!(args(None, false).unwrap_err().ends_with("failed: exit status: 3"));
    }
}
