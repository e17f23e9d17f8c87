//! The tables: one a row, medians with their spread by mode, ratios within a round and a mode only.

use crate::catalogue::{Table, Who, Work};
use crate::store::{DISTURBED, DRIFT, Mode, Results, RowResult, Sample};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Median, least, greatest and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub count: usize,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max, count: values.len() })
    }
}

/// Three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn spread(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(spread) if spread.count == 1 => digits(spread.median),
        Some(spread) => format!("{} ({}–{})", digits(spread.median), digits(spread.min), digits(spread.max)),
    }
}

/// In the unit that suits it.
fn time(value: Option<Spread>) -> String {
    let Some(ns) = value else { return "–".to_owned() };
    let (unit, by) = match ns.median {
        median if median < 10e3 => ("ns", 1.0),
        median if median < 10e6 => ("µs", 1e3),
        _ => ("ms", 1e6),
    };
    let scaled = Spread { median: ns.median / by, min: ns.min / by, max: ns.max / by, count: ns.count };
    format!("{} {unit}", spread(Some(scaled)))
}

impl RowResult {
    /// Samples of one peer that count.
    pub fn valid(&self, who: Who) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.who == who && !sample.dropped)
    }

    fn modes(&self) -> BTreeSet<Mode> {
        self.samples.iter().filter(|sample| !sample.dropped).map(|sample| sample.mode).collect()
    }

    fn whos(&self) -> Vec<Who> {
        let whos: BTreeSet<Who> = self.samples.iter().map(|sample| sample.who).collect();
        whos.into_iter().collect()
    }

    fn value(&self, sample: &Sample) -> Option<f64> {
        let figures = &sample.measured.figures;
        if self.work.is_rate() { figures.rate_per_s } else { figures.p50_ns }
    }

    /// By how much `base` is faster than `who`, in rounds in which both count and have the same mode.
    pub fn ratio(&self, base: Who, who: Who, mode: Option<Mode>) -> Option<Spread> {
        let ratios = self.valid(base).filter_map(|ours| {
            let theirs =
                self.valid(who).find(|theirs| theirs.round == ours.round && theirs.mode == ours.mode)?;
            if mode.is_some_and(|mode| mode != ours.mode) {
                return None;
            }
            let (ours, theirs) = (self.value(ours)?, self.value(theirs)?);
            Some(if self.work.is_rate() { ours / theirs } else { theirs / ours })
        });
        Spread::of(ratios)
    }
}

pub fn markdown(results: &Results) -> Result<String> {
    let mut out = String::new();
    preamble(&mut out, results)?;
    for table in Table::ALL {
        let rows: Vec<&RowResult> = results.rows.iter().filter(|row| row.table == table).collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(out, "\n## {}", table.title())?;
        if table == Table::Sleep {
            writeln!(
                out,
                "\nOurs looks for about as long as a wake-up takes before it sleeps, as it does by default. Where \
                 the answer comes sooner than that, it does not sleep at all: the columns of CPU time and sleeps say \
                 so. \"files + flock\" has nothing to wait on, and looks again."
            )?;
        }
        for row in rows {
            one_row(&mut out, row)?;
        }
        if table == Table::Batch {
            batching(&mut out, results)?;
        }
    }
    own_fleets(&mut out, results)?;
    lost_ids(&mut out, results)?;
    Ok(out)
}

fn preamble(out: &mut String, results: &Results) -> Result<()> {
    let machine = &results.machine;
    writeln!(out, "# The bus beside its peers\n")?;
    writeln!(
        out,
        "{}, {} processors{}, {} MiB, {}, {}.",
        machine.processor,
        machine.processors,
        if machine.hypervisor { " of a virtual machine" } else { "" },
        machine.memory_mib,
        machine.kernel,
        machine.rustc
    )?;
    let versions: Vec<String> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(out, "\nVersions: {}.", versions.join("; "))?;
    for (name, why) in &results.absent {
        writeln!(out, "\n**Absent: {name}**: {why}.")?;
    }
    writeln!(
        out,
        "\nEvery sample is two processes bound to a processor each (or both to one); every word of every message is \
         written, read and checked, and so are order and count. Peers take turns, round by round. The time of a cache \
         line from one processor to the other is measured before and after each sample and gives its mode (smt below \
         25 ns, near to 80, far above); a sample in which it changed by more than {DRIFT}×, or in which others had a \
         processor for more than {:.0} % of the time that the sample wanted it, is dropped and repeated at most twice. Figures are medians (least–greatest) of n samples of a mode; \"faster by\" is the median of the \
         ratios of samples of the same round and mode, never of medians. CPU time is of both processes and of the \
         servers that the peer needs. Latency of a ping-pong is half the round trip; of the open loop, receipt minus \
         due time.",
        DISTURBED * 100.0
    )?;
    Ok(())
}

fn one_row(out: &mut String, row: &RowResult) -> Result<()> {
    writeln!(out, "\n### {} (`{}`)\n", row.title, row.key)?;
    let is_rate = row.work.is_rate();
    let is_batch = matches!(row.work, Work::Batch { .. });
    let is_fork = matches!(row.work, Work::Fork { .. });
    let is_busy_trip = row.table == Table::Poll && row.work == Work::PingPong;
    let lends = row.samples.iter().any(|sample| sample.who == Who::OursLent);
    let mut head = vec!["", "mode", "n (dropped)"];
    if is_fork {
        head.extend(["all run", "killed and reaped", "CPU s"]);
    } else {
        if is_rate || is_batch {
            head.push("M msg/s");
        }
        if !is_rate {
            head.extend(["p50", "p99"]);
        }
        if is_busy_trip {
            head.push("p50 / line bounce");
        }
        if is_batch {
            head.push("messages a look");
        }
        head.extend(["CPU ns a message", "sleeps a message", "ours faster by"]);
        if lends {
            head.push("lent faster by");
        }
    }
    writeln!(out, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()))?;
    for mode in row.modes() {
        for who in row.whos() {
            let samples: Vec<&Sample> = row.valid(who).filter(|sample| sample.mode == mode).collect();
            if samples.is_empty() {
                continue;
            }
            let dropped = row.samples.iter().filter(|s| s.who == who && s.dropped && s.mode == mode).count();
            let over =
                |value: &dyn Fn(&Sample) -> Option<f64>| Spread::of(samples.iter().filter_map(|s| value(s)));
            let p50 = time(over(&|s| s.measured.figures.p50_ns));
            let p99 = time(over(&|s| s.measured.figures.p99_ns));
            let mut cells =
                vec![who.name().to_owned(), mode.name().to_owned(), format!("{} ({dropped})", samples.len())];
            if is_fork {
                cells.extend([p50, p99, spread(over(&|s| Some(s.measured.cpu_s)))]);
                writeln!(out, "| {} |", cells.join(" | "))?;
                continue;
            }
            if is_rate || is_batch {
                // a round trip of the fan counts once here, as it does for those who wait for it
                cells.push(spread(over(&|s| Some(s.measured.figures.rate_per_s? / 1e6))));
            }
            if !is_rate {
                cells.extend([p50, p99]);
            }
            if is_busy_trip {
                cells.push(spread(over(&|s| Some(s.measured.figures.p50_ns? / s.measured.bounce_before_ns))));
            }
            if is_batch {
                cells.push(spread(over(&|s| s.measured.figures.batch)));
            }
            let messages = |s: &Sample| s.measured.figures.messages as f64;
            let cpu = over(&|s| Some((s.measured.cpu_s + s.measured.server_cpu_s) * 1e9 / messages(s)));
            cells.push(spread(cpu));
            cells.push(spread(over(&|s| Some(s.measured.sleeps as f64 / messages(s)))));
            for base in [Who::Ours, Who::OursLent].into_iter().take(if lends { 2 } else { 1 }) {
                cells.push(if base == who {
                    "–".to_owned()
                } else {
                    row.ratio(base, who, Some(mode)).map_or("–".to_owned(), |ratio| {
                        format!("{}, n {}", spread(Some(ratio)), ratio.count)
                    })
                });
            }
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    for (who, why) in &row.failed {
        writeln!(out, "\n**{} failed**: {why}.", who.name())?;
    }
    Ok(())
}

const FIXED: [Who; 3] = [Who::Batch1, Who::Batch10, Who::Batch100];

/// What became of messages at one rate: adaptive beside the fixed sizes, in rounds in which all count.
pub struct Batching {
    pub latency_of_best: Spread,
    pub latency_of_ten: Spread,
    pub rate_of_best: Spread,
}

impl Batching {
    pub fn of(row: &RowResult) -> Option<Self> {
        let mut ratios = [const { Vec::new() }; 3];
        for ours in row.valid(Who::Ours) {
            let fixed: Option<Vec<&Sample>> =
                FIXED.iter().map(|who| row.valid(*who).find(|sample| sample.round == ours.round)).collect();
            let Some(fixed) = fixed else { continue };
            let p50 = |sample: &Sample| sample.measured.figures.p50_ns;
            let rate = |sample: &Sample| sample.measured.figures.rate_per_s;
            let least = fixed.iter().filter_map(|s| p50(s)).min_by(f64::total_cmp)?;
            let most = fixed.iter().filter_map(|s| rate(s)).max_by(f64::total_cmp)?;
            ratios[0].push(p50(ours)? / least);
            ratios[1].push(p50(ours)? / p50(fixed[1])?);
            ratios[2].push(rate(ours)? / most);
        }
        let [latency_of_best, latency_of_ten, rate_of_best] = ratios.map(Spread::of);
        Some(Self {
            latency_of_best: latency_of_best?,
            latency_of_ten: latency_of_ten?,
            rate_of_best: rate_of_best?,
        })
    }
}

fn batching(out: &mut String, results: &Results) -> Result<()> {
    writeln!(out, "\n### Adaptive against fixed sizes\n")?;
    writeln!(
        out,
        "p50 and delivered rate of adaptive batches (\"ours\"), each divided by the fixed size that does best at that \
         rate, and by batches of 10; by round. Efficiency is the delivered rate against the best. Modes are not kept \
         apart here. The plot is batching.svg.\n"
    )?;
    writeln!(out, "| offered | p50 / best fixed | p50 / fixed 10 | efficiency | n |\n|---|---|---|---|---|")?;
    for row in results.rows.iter().filter(|row| row.table == Table::Batch) {
        if let Some(batching) = Batching::of(row) {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                row.title,
                spread(Some(batching.latency_of_best)),
                spread(Some(batching.latency_of_ten)),
                spread(Some(batching.rate_of_best)),
                batching.rate_of_best.count
            )?;
        }
    }
    Ok(())
}

fn own_fleets(out: &mut String, results: &Results) -> Result<()> {
    if results.fleets.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Our own fleets\n")?;
    writeln!(
        out,
        "Started, killed in and stopped as users' fleets are; times of recoveries are from the instant before the kill \
         to what the fleet itself wrote down. Every task of every one of these fleets was answered, once.\n"
    )?;
    writeln!(out, "| what | median (least–greatest) | p99 | n |\n|---|---|---|---|")?;
    for figure in &results.fleets {
        let (values, p99) = figure.spread();
        let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
        let p99 = p99.map_or("–".to_owned(), |p99| format!("{}{unit}", digits(p99)));
        writeln!(out, "| {} | {}{unit} | {p99} | {} |", figure.what, spread(values), figure.values.len())?;
    }
    Ok(())
}

fn lost_ids(out: &mut String, results: &Results) -> Result<()> {
    if results.lost_ids.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What the origin's message ids lose\n")?;
    writeln!(
        out,
        "One file a message, named by the second and a draw out of a thousand; all replies within one second, every \
         sender told that it went well. Median of 21 seeds. Ours loses none at any number: every row above would fail.\n"
    )?;
    writeln!(out, "| replies in a second | lost |\n|---|---|")?;
    for (replies, share) in &results.lost_ids {
        writeln!(out, "| {replies} | {:.1} % |", share * 100.0)?;
    }
    Ok(())
}

/// Every sample, dropped ones too.
pub fn csv(results: &Results) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record([
        "row",
        "who",
        "round",
        "mode",
        "dropped",
        "bounce_before_ns",
        "bounce_after_ns",
        "messages",
        "rate_per_s",
        "p50_ns",
        "p99_ns",
        "p999_ns",
        "batch",
        "cpu_s",
        "server_cpu_s",
        "sleeps",
        "disturbed",
    ])?;
    for row in &results.rows {
        for sample in &row.samples {
            let (measured, figures) = (&sample.measured, &sample.measured.figures);
            let known = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            out.write_record([
                row.key.clone(),
                sample.who.name().to_owned(),
                sample.round.to_string(),
                sample.mode.name().to_owned(),
                sample.dropped.to_string(),
                measured.bounce_before_ns.to_string(),
                measured.bounce_after_ns.to_string(),
                figures.messages.to_string(),
                known(figures.rate_per_s),
                known(figures.p50_ns),
                known(figures.p99_ns),
                known(figures.p999_ns),
                known(figures.batch),
                measured.cpu_s.to_string(),
                measured.server_cpu_s.to_string(),
                measured.sleeps.to_string(),
                measured.disturbed.to_string(),
            ])?;
        }
    }
    out.into_inner().context("finishing the CSV")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::{Figures, Measured};
    use std::collections::BTreeMap;

    fn sample(who: Who, round: usize, bounce: f64, rate: f64) -> Sample {
        let figures = Figures { messages: 1, rate_per_s: Some(rate), ..Figures::default() };
        let measured = Measured {
            bounce_before_ns: bounce,
            bounce_after_ns: bounce,
            cpu_s: 0.0,
            server_cpu_s: 0.0,
            sleeps: 0,
            disturbed: 0.0,
            figures,
        };
        Sample::new(who, round, measured)
    }

    #[test]
    fn a_ratio_never_crosses_a_round_or_a_mode() {
        let samples = vec![
            sample(Who::Ours, 0, 30.0, 100.0),
            sample(Who::Pipe, 0, 30.0, 50.0),
            sample(Who::Ours, 1, 30.0, 100.0),
            sample(Who::Pipe, 1, 150.0, 1.0),
            sample(Who::Ours, 2, 30.0, 90.0),
        ];
        let row = RowResult {
            key: String::new(),
            title: String::new(),
            table: Table::Sleep,
            work: Work::OneWay,
            samples,
            failed: BTreeMap::new(),
        };
        let ratio = row.ratio(Who::Ours, Who::Pipe, None).expect("round 0 is comparable");
        assert_eq!((ratio.median, ratio.count), (2.0, 1));
    }

    #[test]
    fn a_median_of_four_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("four values");
        assert_eq!((spread.median, spread.min, spread.max, spread.count), (2.5, 1.0, 4.0, 4));
        assert_eq!(Spread::of([]), None);
    }
}
