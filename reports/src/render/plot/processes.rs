//! Plots of the processes: how many there are, and what one of them uses.

use super::draw::Figure;
use super::model::{Axis, Band, Line, Point};
use super::palette::Colour;
use super::{Plot, limits, line};
use crate::criterion::MetricId;
use crate::facts::{Facts, Figure as Read, Typical};
use crate::runlog::event::Role;
use crate::scope::Scope;

/// What a process has of something.
pub(super) struct Has {
    figure: Read,
    metric: MetricId,
    name: &'static str,
    title: &'static str,
    axis: fn() -> Axis,
    caption: &'static str,
}

pub(super) const PSS: Has = Has {
    figure: Read::Pss,
    metric: MetricId::MemoryPss,
    name: "memory-pss",
    title: "Memory of a process, PSS",
    axis: || Axis::bytes("PSS"),
    caption: "Proportional set size: of shared pages, each process counts its part. The line is the process in the middle, the band reaches to the worst.",
};

pub(super) const RSS: Has = Has {
    figure: Read::Rss,
    metric: MetricId::MemoryRss,
    name: "memory-rss",
    title: "Memory of a process, RSS",
    axis: || Axis::bytes("RSS"),
    caption: "Resident set size: pages that processes share count for each of them. The line is the process in the middle, the band reaches to the worst.",
};

pub(super) const FDS: Has = Has {
    figure: Read::Fds,
    metric: MetricId::Fds,
    name: "fds",
    title: "Open file descriptors of a process",
    axis: || Axis::count("descriptors"),
    caption: "The line is the process in the middle, the band reaches to the worst. A line that rises without end is a leak.",
};

const ROLES: [(Role, Scope, Colour); 4] = [
    (Role::Worker, Scope::Workers, Colour::One),
    (Role::Coordinator, Scope::Coordinators, Colour::Two),
    (Role::Supervisor, Scope::Supervisor, Colour::Three),
    (Role::Harness, Scope::Harness, Colour::Four),
];

/// Sums over unlike roles would hide the one process that leaks.
pub(super) fn typical(facts: &Facts, has: &Has) -> Option<Plot> {
    let of = |(role, whose, colour): (Role, Scope, Colour)| {
        let typical = facts.samples.typical(has.figure, role)?;
        let many = facts.agents.values().filter(|agent| agent.role == role).count();
        let label = if many > 1 { format!("{many} {}", whose.name()) } else { whose.name().to_owned() };
        Some(Line { label, colour, points: points(typical), band: Band::Shown })
    };
    let lines = ROLES.into_iter().filter_map(of).collect();
    Figure::over_time(has.name, has.title, (has.axis)(), lines)
        .limits(limits::of_each(facts, has.metric))
        .caption(has.caption)
        .plot(facts)
}

/// The medians, with a band up to the worst. Both were pushed at the same times.
fn points(typical: &Typical) -> Vec<Point> {
    let (median, worst) = (typical.median.at_most(400), typical.worst.at_most(400));
    let pairs = median.bins().zip(worst.bins());
    pairs
        .filter_map(|((t, median), (_, worst))| {
            let mean = median.mean()?;
            Some(Point { t_ns: t as f64, mean, low: mean, high: worst.max.max(mean) })
        })
        .collect()
}

/// How many are there, sweep by sweep.
pub(super) fn live(facts: &Facts) -> Option<Plot> {
    let gauge = facts.samples.gauge(Read::Live, Scope::Fleet)?;
    let label = "processes of the fleet, and the fewest at a time";
    let lines = vec![line(label, Colour::Three, &gauge.series.at_most(400), Band::Shown)];
    Figure::over_time("processes", "Processes", Axis::count("processes"), lines)
        .limits(limits::of(facts, MetricId::AgentsLive))
        .caption("As /proc shows them. What dies and is replaced between two sweeps shows as a tick alone.")
        .plot(facts)
}
