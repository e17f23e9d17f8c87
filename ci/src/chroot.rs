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
