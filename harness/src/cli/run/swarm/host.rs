//! Which kinds of faults this host and this user allow, by the preflight of a run.

use super::plan;
use crate::cli::args::SwarmArgs;
use crate::cli::{load, output};
use crate::exit::ExitCode;
use crate::host::{self, PreflightError};
use crate::private_shm::Namespace;
use crate::scenario::swarm::{sample, with_faults};
use crate::scenario::{Plan, Scenario, Source};
use reports::runlog::event::FaultKind;

/// Of the kinds that were asked for.
pub(super) struct Possible {
    /// Never empty.
    pub(super) kinds: Vec<FaultKind>,
    /// The others, and what stands against each.
    pub(super) not: Vec<(FaultKind, String)>,
}

/// Enters a namespace if one of the kinds needs it, so that it must come before this process has a second thread. An error has been
/// explained when this returns its exit code.
pub(super) fn look(
    args: &SwarmArgs,
    source: &Source,
    base: &Plan,
) -> Result<(Option<Namespace>, Possible), ExitCode> {
    let asked = args.kinds();
    let mounts = |kind: FaultKind| kind.is_of_shm() || kind.is_of_disk();
    let has_shm = base.private_shm().is_some();
    let is_needed = has_shm || base.covers_disks();
    let entered = (is_needed || asked.iter().copied().any(mounts)).then(Namespace::enter);
    let (namespace, refused) = match entered {
        None => (None, None),
        Some(Ok(namespace)) => (Some(namespace), None),
        Some(Err(error)) if is_needed => {
            output::unfit(&PreflightError::no_namespace(has_shm, error.to_string()));
            return Err(ExitCode::HostUnfit);
        }
        Some(Err(error)) => (None, Some(error.to_string())),
    };
    if let Err(error) = host::preflight(&host::fitted(base.clone(), &load::shm_dir()), &load::shm_dir()) {
        output::unfit(&error);
        return Err(ExitCode::HostUnfit);
    }
    let mut possible = Possible { kinds: Vec::new(), not: Vec::new() };
    for kind in asked {
        let against = match &refused {
            Some(why) if mounts(kind) => Some(why.clone()),
            _ => against(args, source, base, kind)?,
        };
        match against {
            Some(why) => possible.not.push((kind, why)),
            None => possible.kinds.push(kind),
        }
    }
    if possible.kinds.is_empty() {
        let why: Vec<String> =
            possible.not.iter().map(|(kind, why)| format!("{}: {why}", kind.name())).collect();
        output::error("no kind of fault that was asked for is possible here", Some(&why.join("\nhint: ")));
        return Err(ExitCode::HostUnfit);
    }
    Ok((namespace, possible))
}

/// What stands against a fault of this kind, if anything does.
fn against(
    args: &SwarmArgs,
    source: &Source,
    base: &Plan,
    kind: FaultKind,
) -> Result<Option<String>, ExitCode> {
    let Some(fault) = sample(base, kind) else {
        return Ok(Some("the load is too short for one".to_owned()));
    };
    let with = Source { text: with_faults(&source.text, &[fault]), ..source.clone() };
    if let Err(found) = Scenario::parse(&with, &args.variant.selection()) {
        return Ok(found.to_string().lines().next().map(str::to_owned));
    }
    let fitted = host::fitted(plan(args, &with, Some(0))?, &load::shm_dir());
    let refused = host::preflight(&fitted, &load::shm_dir()).err();
    // Its first line says what; the remedies follow.
    Ok(refused.map(|error| error.to_string().lines().next().unwrap_or_default().to_owned()))
}
