//! Faults that are drawn instead of written: a swarm of them within a budget, as tables of a scenario file.
//!
//! All of it follows from the seed, the budget and the fleet: the same seed is the same calendar. The targets of each fault are
//! drawn by the scenario itself, from the same seed and the fault's name, so that a fault hits the same places whichever
//! others are beside it. Deliberately absent: which kinds are possible on a host.

mod shrink;

use super::Plan;
use super::fault::{Resource, Thing};
use super::seed;
use coordinator::config::SupervisorDeath;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reports::criterion::MetricId;
use reports::facts::STEADY_NS;
use reports::runlog::event::FaultKind;
use std::fmt::Write as _;
use std::time::Duration;

pub use shrink::{Step, Tally, shrink};

/// The load runs undisturbed so long at first,
const FIRST_MS: u64 = 1_000;
/// and so long at the end at least; longer where a criterion is about the recovery.
const REST_MS: u64 = 500;
/// No fault that lasts is shorter.
const SHORTEST_MS: u64 = 300;
/// Between two faults on the disk of a run, at least: the first is shown to be healed until then.
const DISK_REST_MS: u64 = 250;

/// Kinds that are drawn if nothing else is asked for. A fleet loses what `segment-truncate` and `segment-scribble` destroy, and is
/// to: these are drawn by name alone, and so are `shm-errors`, for which a fleet is started below a filter, and faults on disks, which
/// are done to that of the run.
pub const KINDS: [FaultKind; 12] = [
    FaultKind::Kill,
    FaultKind::Stop,
    FaultKind::Pause,
    FaultKind::Limit,
    FaultKind::Cpus,
    FaultKind::ShmLimit,
    FaultKind::ShmFill,
    FaultKind::ShmInodes,
    FaultKind::ShmReadOnly,
    FaultKind::SegmentUnlink,
    FaultKind::CpuHogs,
    FaultKind::Memory,
];

/// How much may be done to a fleet in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    pub faults: u32,
    /// Of the processes of a role, at once: 0 to 1.
    pub share: f64,
    /// Between the injections of two faults, at least.
    pub apart: Duration,
    /// The longest that a fault lasts.
    pub longest: Duration,
}

/// What is drawn for: a plan without these faults.
#[derive(Debug, Clone, Copy)]
struct Fleet {
    coordinators: u32,
    workers: u32,
    adopts: bool,
    shm_bytes: u64,
    load_ms: u64,
    rest_ms: u64,
}

/// A fault that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Its name, which stays what it is whatever else is left out.
    name: String,
    pub kind: FaultKind,
    role: Option<&'static str>,
    pub count: u32,
    pub at_ms: u64,
    /// Of a fault that lasts.
    pub for_ms: Option<u64>,
    /// Keys of its kind alone.
    keys: String,
}

impl Drawn {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `swarm-2-kill: 3 workers at 2500 ms`.
    pub fn words(&self) -> String {
        let whom = match (self.role, self.count) {
            (None, _) => String::new(),
            (Some(role), 1) => format!(" 1 {role}"),
            (Some(role), count) => format!(" {count} {role}s"),
        };
        let lasts = self.for_ms.map(|ms| format!(" for {ms} ms")).unwrap_or_default();
        format!("{}:{whom} at {} ms{lasts}", self.name, self.at_ms)
    }

    /// As a scenario has it.
    pub fn table(&self) -> String {
        let mut text = format!("[[fault]]\nname = \"{}\"\nkind = \"{}\"\n", self.name, self.kind.name());
        // Writing to a String cannot fail.
        if let Some(role) = self.role {
            let _ = writeln!(text, "role = \"{role}\"\ncount = {}", self.count);
        }
        let _ = writeln!(text, "at = \"{}ms\"", self.at_ms);
        if let Some(ms) = self.for_ms {
            let _ = writeln!(text, "for = \"{ms}ms\"");
        }
        text.push_str(&self.keys);
        text
    }
}

/// The text of a scenario without its profiles but one: the load of any other may be too short for what is drawn.
pub fn with_profile(text: &str, profile: Option<&str>) -> String {
    // What is not TOML is reported by the reading of it.
    let Ok(mut meant) = text.parse::<toml::Table>() else { return text.to_owned() };
    let Some(toml::Value::Table(profiles)) = meant.get_mut("profile") else { return text.to_owned() };
    profiles.retain(|name, _| profile == Some(name));
    if profiles.is_empty() {
        meant.remove("profile");
    }
    let lines = without_sections(text, profile);
    // A text that is written in another way loses its comments, and nothing else.
    if lines.parse::<toml::Table>().is_ok_and(|table| table == meant) { lines } else { meant.to_string() }
}

/// Leaves out the sections of other profiles, line by line.
fn without_sections(text: &str, profile: Option<&str>) -> String {
    let mut is_in = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            let name = line.trim_start_matches('[').strip_prefix("profile.");
            let name = name.map(|rest| rest.split(['.', ']']).next().unwrap_or_default());
            is_in = name.is_some_and(|name| profile != Some(name));
        }
        if !is_in {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The text of a scenario with more faults.
pub fn with_faults(text: &str, faults: &[Drawn]) -> String {
    let mut all = text.trim_end().to_owned();
    all.push('\n');
    for fault in faults {
        all.push('\n');
        all.push_str(&fault.table());
    }
    all
}

/// One fault of this kind, to ask a host about: small, and in the middle of the load. Nothing if no fault of it can be drawn for
/// the plan.
pub fn sample(plan: &Plan, kind: FaultKind) -> Option<Drawn> {
    let budget =
        Budget { faults: 1, share: 1.0, apart: Duration::ZERO, longest: Duration::from_millis(SHORTEST_MS) };
    let drawn = draw(plan, 0, &budget, &[kind]).ok()?.pop()?;
    Some(Drawn { count: 1, ..drawn })
}

/// Draws faults of these kinds, in the order of their times.
///
/// # Errors
/// In words, why the budget does not fit into the load, and what to do.
pub fn draw(
    plan: &Plan,
    root: u64,
    budget: &Budget,
    kinds: &[FaultKind],
) -> Result<Vec<Drawn>, (String, String)> {
    let is_recovery = plan.asks_for(MetricId::RecoveryTime);
    let fleet = Fleet {
        coordinators: plan.shape().coordinators(),
        workers: plan.shape().coordinators() * plan.shape().workers_per_coordinator(),
        adopts: plan.fleet_policy().supervisor_death == SupervisorDeath::Adopt,
        shm_bytes: plan.shape().shm_bytes(),
        load_ms: plan.load().duration().as_millis() as u64,
        rest_ms: REST_MS + if is_recovery { STEADY_NS / 1_000_000 } else { 0 },
    };
    let disk_apart = Duration::from_millis(SHORTEST_MS + DISK_REST_MS);
    if budget.faults > 1 && budget.apart < disk_apart && kinds.iter().any(|kind| kind.is_of_disk()) {
        let (is, least) = (budget.apart.as_millis(), disk_apart.as_millis());
        let what = format!("the faults are {is} ms apart, and those on disks need {least} ms");
        return Err((what, format!("write `--apart {least}ms` or more, or leave the `disk-` kinds out")));
    }
    let kinds = within(&fleet, budget, kinds)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed::child(root, "swarm"));
    let times = times(&fleet, budget, &mut random)?;
    let drawn =
        (0..).zip(times).map(|(number, at_ms)| one(&fleet, budget, &kinds, (number, at_ms), &mut random));
    let mut drawn: Vec<Drawn> = drawn.collect();
    end_before_the_next(&mut drawn);
    Ok(drawn)
}

/// A fault ends before another begins that sets the same: together they would be a mistake of the file.
fn end_before_the_next(drawn: &mut [Drawn]) {
    // All limits that are drawn are of open files.
    let thing = |fault: &Drawn| Thing::of_kind(fault.kind, Resource::Descriptors);
    let sets_the_same = |one: &Drawn, other: &Drawn| thing(one).is_some() && thing(one) == thing(other);
    for number in 0..drawn.len() {
        let (before, rest) = drawn.split_at_mut(number + 1);
        let one = &mut before[number];
        let next = rest.iter().find(|other| sets_the_same(one, other)).map(|other| other.at_ms);
        if let (Some(next), Some(ms)) = (next, one.for_ms) {
            let rest_ms = if one.kind.is_of_disk() { DISK_REST_MS } else { 1 };
            one.for_ms = Some(ms.min(next.saturating_sub(one.at_ms + rest_ms).max(1)));
        }
    }
}

/// In order; the room that the distances leave is divided by chance.
fn times(fleet: &Fleet, budget: &Budget, random: &mut ChaCha8Rng) -> Result<Vec<u64>, (String, String)> {
    let (count, apart_ms) = (u64::from(budget.faults), budget.apart.as_millis() as u64);
    let longest_ms = budget.longest.as_millis() as u64;
    let needed_ms = FIRST_MS + fleet.rest_ms + longest_ms + count.saturating_sub(1) * apart_ms;
    let Some(room_ms) = fleet.load_ms.checked_sub(needed_ms + 1) else {
        let what = format!(
            "{count} faults, {apart_ms} ms apart and up to {longest_ms} ms long, take a load of {needed_ms} ms, and this one lasts {} ms",
            fleet.load_ms
        );
        return Err((what, "lower --faults, --apart or --longest, or lengthen `load.duration`".to_owned()));
    };
    let mut times: Vec<u64> = (0..count).map(|_| random.random_range(0..=room_ms)).collect();
    times.sort_unstable();
    Ok((0..).zip(times).map(|(nth, ms)| FIRST_MS + ms + nth * apart_ms).collect())
}

/// The kinds of which a fault keeps within the budget.
fn within(fleet: &Fleet, budget: &Budget, kinds: &[FaultKind]) -> Result<Vec<FaultKind>, (String, String)> {
    let lasts = kinds.iter().any(|kind| kind.is_healed());
    if lasts && budget.longest < Duration::from_millis(SHORTEST_MS) {
        let what = format!("a fault lasts {SHORTEST_MS} ms at least, so that its effect can be shown");
        return Err((what, format!("write `--longest {SHORTEST_MS}ms` or more")));
    }
    let fits = |kind: &FaultKind| !kind.has_targets() || !fleet.roles(*kind, budget).is_empty();
    let fitting: Vec<FaultKind> = kinds.iter().copied().filter(fits).collect();
    if fitting.is_empty() {
        let (share, Fleet { coordinators, workers, .. }) = (budget.share * 100.0, fleet);
        let what = format!(
            "{share:.1} % of {coordinators} coordinators or of {workers} workers is less than one process"
        );
        return Err((what, "raise --share, or enlarge the fleet".to_owned()));
    }
    Ok(fitting)
}

impl Fleet {
    /// How many processes of a role a fault may hit. There is one supervisor: no share of it is less than all.
    fn most(&self, role: &str, budget: &Budget) -> u32 {
        let of = |all: u32| (budget.share * f64::from(all)) as u32;
        match role {
            "worker" => of(self.workers),
            "coordinator" => of(self.coordinators),
            _ => 1,
        }
    }

    /// Whose processes a kind can be done to, within the budget.
    fn roles(&self, kind: FaultKind, budget: &Budget) -> Vec<&'static str> {
        roles(kind, self.adopts).iter().copied().filter(|role| self.most(role, budget) > 0).collect()
    }
}

fn one(
    fleet: &Fleet,
    budget: &Budget,
    kinds: &[FaultKind],
    (number, at_ms): (u32, u64),
    random: &mut ChaCha8Rng,
) -> Drawn {
    let kind = kinds[random.random_range(0..kinds.len())];
    let roles = fleet.roles(kind, budget);
    let role = (!roles.is_empty()).then(|| roles[random.random_range(0..roles.len())]);
    let count = random.random_range(1..=role.map_or(1, |role| fleet.most(role, budget)));
    let longest_ms = budget.longest.as_millis() as u64;
    let for_ms = kind.is_healed().then(|| random.random_range(SHORTEST_MS..=longest_ms));
    let keys = match kind {
        FaultKind::Limit => "resource = \"nofile\"\nto = 64\n".to_owned(),
        FaultKind::Cpus => "to = 1\n".to_owned(),
        FaultKind::ShmFill => "fill = \"100%\"\n".to_owned(),
        // What the fleet needs, and more than none beside it: below the size that the run's own has by default.
        FaultKind::ShmLimit => format!("size = \"{}B\"\n", fleet.shm_bytes.max(32 << 20)),
        FaultKind::CpuHogs => format!("hogs = {}\n", random.random_range(1..=4)),
        FaultKind::Memory | FaultKind::CgroupMemory => "memory = \"64MiB\"\n".to_owned(),
        FaultKind::CgroupCpu => "cpus = 0.5\n".to_owned(),
        // A coordinator's new workers are in its group.
        FaultKind::CgroupPids => "to = 512\n".to_owned(),
        FaultKind::ShmErrors | FaultKind::DiskFail => "error = \"EIO\"\nrate = \"30%\"\n".to_owned(),
        FaultKind::DiskSlow => "delay = \"20ms\"\n".to_owned(),
        _ => String::new(),
    };
    // When it comes is chance: what it meets is, too.
    let keys = if kind.is_counted() { format!("{keys}may_meet_nothing = true\n") } else { keys };
    let name = format!("swarm-{number}-{}", kind.name());
    Drawn { name, kind, role, count, at_ms, for_ms, keys }
}

/// Whose processes a kind can be done to.
fn roles(kind: FaultKind, adopts: bool) -> &'static [&'static str] {
    match kind {
        FaultKind::Kill | FaultKind::Oom if adopts => &["worker", "coordinator", "supervisor"],
        FaultKind::Kill
        | FaultKind::Stop
        | FaultKind::Limit
        | FaultKind::Cpus
        | FaultKind::CgroupMemory
        | FaultKind::CgroupCpu
        | FaultKind::CgroupPids
        | FaultKind::Oom => &["worker", "coordinator"],
        FaultKind::Pause => &["worker", "coordinator", "supervisor"],
        _ if kind.is_of_segments() => &["coordinator"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{PlanOptions, Scenario, Selection, Source};

    fn base() -> String {
        with_profile(include_str!("../../../scenarios/chaos-swarm.toml"), None)
    }

    fn plan(text: &str) -> Plan {
        let scenario = Scenario::parse(&Source::new("swarm.toml", text), &Selection::default());
        let options = PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None };
        Plan::new(scenario.unwrap_or_else(|found| panic!("{found}\n{text}")), &options)
    }

    const BUDGET: Budget = Budget {
        faults: 8,
        share: 0.1,
        apart: Duration::from_secs(2),
        longest: Duration::from_millis(1_500),
    };

    #[test]
    fn the_same_seed_is_the_same_calendar_and_another_one_is_another() {
        let base = plan(&base());
        let draw = |seed| draw(&base, seed, &BUDGET, &KINDS).unwrap();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let text = super::with_faults(&self::base(), &draw(7));
        assert_eq!(plan(&text).calendar(), plan(&text).calendar());
    }

    #[test]
    fn faults_on_disks_leave_time_to_show_that_the_one_before_is_healed() {
        let base = plan(&base());
        let kinds = [FaultKind::DiskSlow, FaultKind::DiskFail, FaultKind::DiskFull];
        let close = Budget { apart: Duration::from_millis(550), ..BUDGET };
        for seed in 0..100 {
            // A mistake in its text would end the test.
            plan(&super::with_faults(&self::base(), &draw(&base, seed, &close, &kinds).unwrap()));
        }
        let closer = Budget { apart: Duration::from_millis(549), ..BUDGET };
        let (what, remedy) = draw(&base, 7, &closer, &kinds).unwrap_err();
        assert!(what.contains("need 550 ms") && remedy.contains("--apart 550ms"), "{what}: {remedy}");
        assert!(draw(&base, 7, &closer, &[FaultKind::Kill]).is_ok());
        assert!(sample(&base, FaultKind::DiskFull).is_some());
    }

    #[test]
    fn every_draw_is_a_scenario_within_the_budget() {
        let base = plan(&base());
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let faults = draw(&base, seed, &BUDGET, &KINDS).unwrap();
            assert_eq!(faults.len(), 8);
            assert!(faults.windows(2).all(|pair| pair[1].at_ms >= pair[0].at_ms + 2_000), "{faults:?}");
            assert!(
                faults.iter().all(|fault| fault.for_ms.is_none_or(|ms| (SHORTEST_MS..=1_500).contains(&ms)))
            );
            kinds.extend(faults.iter().map(|fault| fault.kind));
            let with = plan(&with_faults(&self::base(), &faults));
            assert_eq!(with.calendar().firings().len(), 8, "seed {seed}");
            let (all, workers) = (with.shape().coordinators(), 500);
            for firing in with.calendar().firings() {
                let most = if all > 1 { workers / 10 } else { 1 };
                assert!(firing.targets.len() <= most, "seed {seed}: {firing:?}");
            }
        }
        assert_eq!(kinds.len(), KINDS.len(), "every kind is drawn at some time: {kinds:?}");
    }

    #[test]
    fn faults_that_set_the_same_are_drawn_one_after_the_other() {
        let base = plan(&base());
        let dense = Budget {
            apart: Duration::from_millis(400),
            longest: Duration::from_secs(3),
            faults: 12,
            ..BUDGET
        };
        let groups = [FaultKind::CgroupMemory, FaultKind::CgroupCpu, FaultKind::CgroupPids, FaultKind::Oom];
        let regions = [FaultKind::SegmentUnlink, FaultKind::SegmentTruncate];
        let on_shm: Vec<FaultKind> = FaultKind::ALL.into_iter().filter(|kind| kind.is_of_shm()).collect();
        for seed in 0..100 {
            for kinds in
                [&KINDS[..], &[FaultKind::Limit], &groups, &regions, &on_shm, &[FaultKind::ShmErrors]]
            {
                let faults = draw(&base, seed, &dense, kinds).unwrap();
                assert_eq!(plan(&with_faults(&self::base(), &faults)).calendar().firings().len(), 12);
            }
        }
    }

    #[test]
    fn a_budget_is_kept_or_refused() {
        let base = plan(&base());
        // Of 10 coordinators, less than one; of 500 workers, 25.
        let small = Budget { share: 0.05, ..BUDGET };
        for seed in 0..50 {
            let faults = draw(&base, seed, &small, &KINDS).unwrap();
            let of_processes =
                faults.iter().filter(|fault| fault.role.is_some_and(|role| role != "supervisor"));
            assert!(of_processes.clone().all(|fault| fault.role == Some("worker") && fault.count <= 25));
        }
        let none = Budget { share: 0.001, ..BUDGET };
        let (what, hint) = draw(&base, 1, &none, &[FaultKind::Kill]).unwrap_err();
        assert!(what.contains("is less than one process") && hint.contains("--share"), "{what}");
        assert!(draw(&base, 1, &none, &[FaultKind::Kill, FaultKind::CpuHogs]).is_ok());
        let short = Budget { longest: Duration::from_millis(SHORTEST_MS - 1), ..BUDGET };
        let (what, hint) = draw(&base, 1, &short, &[FaultKind::Pause]).unwrap_err();
        assert!(what.contains(&format!("{SHORTEST_MS} ms at least")) && hint.contains("--longest"), "{what}");
        assert!(draw(&base, 1, &short, &[FaultKind::Kill]).is_ok(), "a death has no length");
    }

    #[test]
    fn a_fault_hits_the_same_places_whichever_others_are_left_out() {
        let base = plan(&base());
        let faults = draw(&base, 3, &BUDGET, &[FaultKind::Kill]).unwrap();
        let targets = |faults: &[Drawn], at: usize| {
            plan(&with_faults(&self::base(), faults)).calendar().firings()[at].targets.clone()
        };
        assert_eq!(targets(&faults, 5), targets(&faults[5..6], 0));
    }

    #[test]
    fn the_profiles_that_are_not_run_are_left_out_however_they_are_written() {
        let text = "a = 1\n[profile.ci]\nb = 2\n[profile.ci.c]\nd = 3\n[profile.long]\nb = 4\n[e]\nf = 5\n";
        assert_eq!(with_profile(text, None), "a = 1\n[e]\nf = 5\n");
        let long = with_profile(text, Some("long"));
        assert_eq!(long, "a = 1\n[profile.long]\nb = 4\n[e]\nf = 5\n");
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let inline = with_profile("a = 1\nprofile = { ci = { b = 2 } }\n", None);
        assert_eq!(table(&inline), table("a = 1"));
        let none = "a = 1\n[e]\nf = 5 # as it is\n";
        assert_eq!(with_profile(none, None), none);
    }

    #[test]
    fn a_budget_that_does_not_fit_says_what_it_takes() {
        let base = plan(&base());
        let many = Budget { faults: 1_000, ..BUDGET };
        let (what, hint) = draw(&base, 1, &many, &KINDS).unwrap_err();
        assert!(what.contains("1000 faults, 2000 ms apart") && hint.contains("--faults"), "{what}");
    }
}
