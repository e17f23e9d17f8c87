//! The plots: what each shows. How one is drawn is in [`draw`].
//!
//! Coordinates come from series of bounded size, so a plot of a month is as big as one of a minute.

mod draw;
mod frame;
mod heat;
mod limits;
mod model;
mod palette;
mod processes;
mod windows;
mod workers;

use crate::criterion::MetricId;
use crate::facts::balance::Share;
use crate::facts::{Bin, Distribution, Facts, Figure as Read, Series, TimeBin};
use crate::runlog::event::Role;
use crate::scope::Scope;
use crate::units;

use notation::visible;

use draw::Figure;
use model::{Axis, Band, Line, Point};
use palette::Colour;
pub use palette::css_variables;

/// One plot. The drawing names its colours by CSS variable.
#[derive(Debug, Clone)]
pub struct Plot {
    /// File name without its ending.
    pub name: &'static str,
    pub title: String,
    /// What one sees, in a sentence.
    pub caption: String,
    svg: String,
    /// The same with powers of ten upwards, where a reader may choose it.
    log: Option<String>,
}

impl Plot {
    /// To stand in a page that defines [`css_variables`].
    pub fn inline(&self) -> String {
        palette::with_variables(&self.svg)
    }

    /// As [`Self::inline`], with powers of ten upwards.
    pub fn inline_log(&self) -> Option<String> {
        self.log.as_deref().map(palette::with_variables)
    }

    /// A file of its own: light by attribute, dark by style, so that plain viewers show it too.
    pub fn standalone(&self) -> String {
        let label = format!("<svg role=\"img\" aria-label=\"{}\" ", self.title);
        palette::with_own_style(&visible::text(&self.svg.replacen("<svg ", &label, 1)))
    }
}

/// Of a single line in a drawing that [`inline`] makes part of a page.
pub(super) fn series_colour() -> plotters::style::RGBColor {
    Colour::One.marker()
}

/// A drawing in colours of ours, to stand in a page that defines [`css_variables`].
pub(super) fn inline(svg: &str) -> String {
    palette::with_variables(svg)
}

/// Those that have something to show, in the order of the report.
pub fn all(facts: &Facts) -> Vec<Plot> {
    [
        coordination(facts),
        heat::rounds(facts),
        distribution(facts),
        delivery(facts),
        failures(facts),
        workers::slowest(facts),
        throughput(facts),
        processes::live(facts),
        processes::typical(facts, &processes::PSS),
        processes::typical(facts, &processes::RSS),
        processes::typical(facts, &processes::FDS),
        by_role(
            facts,
            Read::Cpu,
            "cpu",
            "CPU by role",
            Axis::cores("CPU in use [cores]"),
            "User and system time, summed over the processes of a role; beside the names, the mean. What the kernel counts in ticks shows as steps.",
        ),
        shm(facts),
        balance(facts),
        lateness(facts),
        host(facts),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A file each, with its name.
pub fn files(facts: &Facts) -> Vec<(String, String)> {
    all(facts).iter().map(|plot| (format!("{}.svg", plot.name), plot.standalone())).collect()
}

/// Mean with its band of extremes.
fn points(series: &Series) -> Vec<Point> {
    series
        .bins()
        .filter_map(|(t, b)| Some(Point { t_ns: t as f64, mean: b.mean()?, low: b.min, high: b.max }))
        .collect()
}

fn line(label: impl Into<String>, colour: Colour, series: &Series, band: Band) -> Line {
    Line { label: label.into(), colour, points: points(series), band }
}

fn coordination(facts: &Facts) -> Option<Plot> {
    let bins = &facts.load.coordination_bins;
    let middle = bins.width_ns() / 2;
    let curve = |of: fn(&TimeBin) -> Option<u64>| -> Vec<Point> {
        let point = |(start_ns, bin): (u64, &TimeBin)| {
            let seconds = of(bin)? as f64 / 1e9;
            let t_ns = start_ns.saturating_add(middle) as f64;
            Some(Point { t_ns, mean: seconds, low: seconds, high: seconds })
        };
        bins.bins().filter_map(point).collect()
    };
    let line = |label: &str, colour, of| Line {
        label: label.to_owned(),
        colour,
        points: curve(of),
        band: Band::Hidden,
    };
    let lines = vec![
        line("max", Colour::Two, |bin| Some(bin.max_ns())),
        line("p99", Colour::Four, |bin| bin.quantile_ns(0.99)),
        line("p50", Colour::One, |bin| bin.quantile_ns(0.5)),
    ];
    let rounds = units::nanos(bins.width_ns());
    Figure::over_time(
        "coordination",
        "Coordination time of the rounds",
        Axis::seconds("coordination time"),
        lines,
    )
    .limits(limits::of(facts, MetricId::CoordinationTime))
    .with_log()
    .caption(&format!("From the scheduled start of a round to its last answer, by {rounds}; lower is better. p99 is drawn where 100 rounds or more fall into that time."))
    .plot(facts)
}

/// Absent where none failed.
fn failures(facts: &Facts) -> Option<Plot> {
    let series = facts.load.failed_series.at_most(120);
    let of = |bin: &Bin| Point { t_ns: 0.0, mean: bin.sum, low: bin.sum, high: bin.sum };
    let points: Vec<Point> = series.bins().map(|(t, bin)| Point { t_ns: t as f64, ..of(bin) }).collect();
    if points.iter().all(|point| point.mean == 0.0) {
        return None;
    }
    let label = match super::reasons(&facts.load.counts) {
        reasons if reasons.is_empty() => "before and after the load".to_owned(),
        reasons => reasons,
    };
    let lines = vec![Line { label, colour: Colour::Four, points, band: Band::Hidden }];
    let each = units::nanos(series.width_ns());
    Figure::over_time("failures", "Failed tasks", Axis::count("failed tasks"), lines)
        .caption(&format!("By the scheduled start of their round, {each} each."))
        .plot(facts)
}

/// How evenly the coordinators did the work; absent with one.
fn balance(facts: &Facts) -> Option<Plot> {
    let shares = facts.balance.shares().filter(|shares| shares.len() > 1)?;
    let point = |(place, share): (usize, &Share)| {
        let of_equal = if share.equal > 0.0 { share.answered as f64 / share.equal } else { 0.0 };
        Point { t_ns: place as f64, mean: of_equal, low: of_equal, high: of_equal }
    };
    let points: Vec<Point> = shares.iter().enumerate().map(point).collect();
    if points.iter().all(|point| point.mean == 0.0) {
        return None;
    }
    let label = "answered, of an equal part".to_owned();
    let lines = vec![Line { label, colour: Colour::One, points, band: Band::Hidden }];
    Figure::over_places("balance", "Balance of the coordinators", Axis::share("answered"), lines)
        .caption("Of each round during which no coordinator was missing: what was answered under each, over what would be its part if all had done the same.")
        .plot(facts)
}

/// What others did to the machine meanwhile.
fn host(facts: &Facts) -> Option<Plot> {
    let gauge = |figure| facts.samples.gauge(figure, Scope::Fleet);
    let cpus = f64::from(facts.header.host.cpus.max(1));
    let per_cpu = |series: Series| -> Vec<Point> {
        let of = |p: Point| Point { mean: p.mean / cpus, low: p.low / cpus, high: p.high / cpus, ..p };
        points(&series).into_iter().map(of).collect()
    };
    let load = gauge(Read::LoadAverage).map(|gauge| Line {
        label: "load average of a processor".to_owned(),
        colour: Colour::Five,
        points: per_cpu(gauge.series.at_most(400)),
        band: Band::Hidden,
    });
    let share = |label: &str, colour, figure| {
        gauge(figure).map(|gauge| line(label, colour, &gauge.series.at_most(400), Band::Hidden))
    };
    let lines = [
        load,
        share("used by other programs", Colour::Two, Read::OthersBusy),
        share("stolen by the hypervisor", Colour::Four, Read::Steal),
    ];
    let lines = lines.into_iter().flatten().collect();
    Figure::over_time("host", "The host", Axis::share("share of the processors"), lines)
        .caption("A busy host makes rounds slow that the fleet would have done in time. The load average counts this run, too.")
        .plot(facts)
}

fn delivery(facts: &Facts) -> Option<Plot> {
    let series = facts.load.delivery_series.at_most(200);
    let lines = vec![line("answered of accepted, with the worst round", Colour::Three, &series, Band::Shown)];
    Figure::over_time("delivery", "Delivery", Axis::percent("tasks answered"), lines)
        .limits(limits::of(facts, MetricId::DeliveryRate))
        .caption(
            "Tasks answered in time and right, over tasks accepted. The honest bar on one machine is 100 %.",
        )
        .plot(facts)
}

fn throughput(facts: &Facts) -> Option<Plot> {
    let messages = match facts.header.plan.messages_per_task {
        4 => "four".to_owned(),
        other => other.to_string(),
    };
    let series = facts.load.throughput_series.at_most(120);
    let seconds = series.width_ns() as f64 / 1e9;
    let mut points: Vec<Point> = series
        .bins()
        .map(|(t, b)| {
            let rate = b.sum / seconds;
            Point { t_ns: t as f64, mean: rate, low: rate, high: rate }
        })
        .collect();
    // The first and the last bin are covered in part, and would read as a dip.
    if points.len() > 4 {
        points.pop();
        points.remove(0);
    }
    let lines = vec![Line {
        label: "answered tasks a second".into(),
        colour: Colour::One,
        points,
        band: Band::Hidden,
    }];
    Figure::over_time("throughput", "Throughput", Axis::count("tasks [1/s]"), lines)
        .limits(limits::of(facts, MetricId::ThroughputTasks))
        .caption(&format!("The round trip of one task is {messages} bus messages. An open loop shows what was asked of the fleet, not what it could do."))
        .plot(facts)
}

fn by_role(
    facts: &Facts,
    figure: Read,
    name: &'static str,
    title: &str,
    axis: Axis,
    caption: &'static str,
) -> Option<Plot> {
    let roles = [
        (Scope::Workers, Role::Worker, Colour::One),
        (Scope::Coordinators, Role::Coordinator, Colour::Two),
        (Scope::Supervisor, Role::Supervisor, Colour::Three),
        (Scope::Harness, Role::Harness, Colour::Four),
    ];
    let lines = roles
        .into_iter()
        .filter_map(|(whose, role, colour)| {
            let gauge = facts.samples.gauge(figure, whose)?;
            let agents = facts.agents.values().filter(|a| a.role == role).count();
            let label =
                if agents > 1 { format!("{agents} {}", whose.name()) } else { whose.name().to_owned() };
            Some(line(label, colour, &gauge.series.at_most(400), Band::Hidden))
        })
        .chain(commands(facts, figure))
        .collect();
    let limits = limits::of(facts, MetricId::Cpu);
    Figure::over_time(name, title, axis, lines).limits(limits).caption(caption).plot(facts)
}

/// Absent where no worker has run any.
fn commands(facts: &Facts, figure: Read) -> Option<Line> {
    let gauge = facts.samples.gauge(figure, Scope::Commands)?;
    let has_any = gauge.series.bins().any(|(_, bin)| bin.max > 0.0);
    has_any.then(|| line(Scope::Commands.name(), Colour::Five, &gauge.series.at_most(400), Band::Hidden))
}

fn shm(facts: &Facts) -> Option<Plot> {
    let gauge = facts.samples.gauge(Read::FleetShm, Scope::Fleet)?;
    let lines = vec![line("the fleet's directory", Colour::Five, &gauge.series.at_most(400), Band::Hidden)];
    Figure::over_time("shm", "Shared memory in /dev/shm", Axis::bytes("bytes in use"), lines)
        .limits(limits::of(facts, MetricId::ShmUsed))
        .caption("Reserved at the start: a line that is not flat is a finding.")
        .plot(facts)
}

fn lateness(facts: &Facts) -> Option<Plot> {
    let series = facts.load.lateness_series.at_most(400);
    let lines = vec![line("rounds started late by", Colour::Four, &series, Band::Shown)];
    Figure::over_time("lateness", "The harness's own lateness", Axis::seconds("lateness"), lines)
        .limits(limits::of(facts, MetricId::LoadLateness))
        .caption("From a round's scheduled start to its first task sent: it is part of the coordination time above.")
        .plot(facts)
}

/// By percentile, so that one outlier does not press everything else into one bar.
fn distribution(facts: &Facts) -> Option<Plot> {
    let load = &facts.load;
    let curves = [
        ("whole rounds", Colour::One, &load.coordination),
        ("single tasks", Colour::Two, &load.task),
        ("single tasks, from sending", Colour::Three, &load.task_from_send),
    ];
    let lines = curves
        .into_iter()
        .filter(|(_, _, d)| d.count() > 0)
        .map(|(label, colour, d)| Line {
            label: label.into(),
            colour,
            points: percentiles(d),
            band: Band::Hidden,
        })
        .collect();
    Figure::over_percentiles("distribution", "Distribution of the times", Axis::seconds("time"), lines)
        .caption("Read: so many percent of the rounds (or tasks) took at most so long.")
        .plot(facts)
}

/// `x` is the number of nines: 1 is 90 %, 2 is 99 %. Only as far as the sample supports it.
fn percentiles(d: &Distribution) -> Vec<Point> {
    let nines_max = (d.count() as f64).log10().max(0.31);
    let steps = 120;
    (0..=steps)
        .filter_map(|i| {
            let nines = nines_max * f64::from(i) / f64::from(steps);
            let s = d.quantile_ns(1.0 - 10f64.powf(-nines))? as f64 / 1e9;
            Some(Point { t_ns: nines, mean: s, low: s, high: s })
        })
        .collect()
}
