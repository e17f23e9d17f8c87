//! A schedule: as text, and as a drawing.

use std::fmt::Write as _;

use super::{DEMO, takes};
use crate::gate::schedule::{Schedule, Slot, State};
use crate::units;

const WEEK_NS: f64 = 7.0 * 86_400e9;

/// For a terminal. Ends with the command that moves the plan forward.
pub fn text(schedule: &Schedule) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{}", schedule.title);
    if schedule.demo {
        let _ = writeln!(out, "{DEMO}");
    }
    let width = schedule.phases.iter().map(|phase| phase.name.chars().count()).max().unwrap_or(0);
    for phase in &schedule.phases {
        let gate = phase
            .gate
            .as_ref()
            .map_or_else(|| "no gate".to_owned(), |(gate, outcome)| format!("{gate} is {outcome}"));
        let blocked = if phase.blocked_by.is_empty() {
            String::new()
        } else {
            format!(", waits for {}", phase.blocked_by.join(", "))
        };
        let _ = writeln!(
            out,
            "  {:<7}  {:<width$}  {}: {gate}{blocked}",
            phase.state.word(),
            phase.name,
            phase.title
        );
    }
    let _ = writeln!(out, "\ncritical path: {} in all\n  {}", weeks(schedule.takes_ns), path(schedule));
    if !schedule.together.is_empty() {
        out.push_str("\nmay run at the same time\n");
        for together in &schedule.together {
            let _ = writeln!(out, "  {}, for {}", together.sprints.join(" and "), weeks(together.overlap_ns));
        }
    }
    match &schedule.next {
        Some(step) => {
            let _ = writeln!(
                out,
                "\nnext: {}: {} (takes {})\n  {}",
                step.evidence,
                step.what,
                takes(step.takes_ns),
                step.command
            );
        }
        None => out.push_str("\nnext: nothing: every gate is passed\n"),
    }
    out
}

/// What begins at the same time stands side by side: `a → b + c → d`.
fn path(schedule: &Schedule) -> String {
    let mut critical: Vec<&Slot> = schedule.sprints.iter().filter(|slot| slot.critical).collect();
    critical.sort_by_key(|slot| slot.from_ns);
    let steps = critical.chunk_by(|a, b| a.from_ns == b.from_ns);
    let names = steps.map(|step| step.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(" + "));
    names.collect::<Vec<_>>().join(" → ")
}

fn weeks(ns: u64) -> String {
    let weeks = (ns as f64 / WEEK_NS * 10.0).round() / 10.0;
    match units::count(weeks).as_str() {
        "1" => "1 week".to_owned(),
        _ if weeks < 1.0 => units::nanos(ns),
        count => format!("{count} weeks"),
    }
}

const LEFT: f64 = 170.0;
const WIDE: f64 = 720.0;
const ROW: f64 = 26.0;

/// A bar for each sprint in the earliest calendar; what is not on the critical path is paler, and each phase has the colour of its
/// state.
pub fn svg(schedule: &Schedule) -> String {
    let end = schedule.takes_ns.max(1) as f64;
    let x = |ns: u64| LEFT + ns as f64 / end * WIDE;
    let (width, mut y) = (LEFT + WIDE + 40.0, 56.0);
    let mut body = String::new();
    for phase in &schedule.phases {
        let outcome = phase.gate.as_ref().map_or("", |(_, outcome)| outcome);
        let _ = writeln!(
            body,
            "<text x=\"10\" y=\"{:.0}\" class=\"p\">{}: {} ({}{}{outcome})</text>",
            y + 17.0,
            escape(&phase.name),
            escape(&phase.title),
            phase.state.word(),
            if outcome.is_empty() { "" } else { ", gate " },
        );
        y += ROW;
        for slot in schedule.sprints.iter().filter(|slot| slot.phase == phase.name) {
            bar(&mut body, slot, phase.state, (x(slot.from_ns), x(slot.to_ns)), y);
            y += ROW;
        }
    }
    let weeks = (end / WEEK_NS).ceil() as u32;
    let mut grid = String::new();
    for week in (0..=weeks).step_by(4) {
        let at = LEFT + f64::from(week) * WEEK_NS / end * WIDE;
        if at <= LEFT + WIDE + 1.0 {
            let _ = writeln!(
                grid,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"40\" y2=\"{y:.0}\" class=\"g\"/><text x=\"{at:.1}\" y=\"36\" class=\"w\">week {week}</text>"
            );
        }
    }
    let title = format!("{}{}", if schedule.demo { "DEMO: " } else { "" }, escape(&schedule.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {:.0}\" role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" class=\"bg\"/>\n<text x=\"10\" y=\"20\" class=\"p\">{title}</text>\n{grid}{body}{}</svg>\n",
        y + 14.0 + ROW,
        legend(schedule, y + 14.0)
    )
}

/// What each colour in use means.
fn legend(schedule: &Schedule, y: f64) -> String {
    let has = |state: &State| schedule.phases.iter().any(|phase| phase.state == *state);
    let states = [State::Done, State::Open, State::Blocked];
    let mut entries: Vec<(String, &str)> = states
        .iter()
        .filter(|state| has(state))
        .map(|state| (state.word().to_owned(), state.word()))
        .collect();
    if let Some(slot) = schedule.sprints.iter().find(|slot| !slot.critical) {
        let phase = schedule.phases.iter().find(|phase| phase.name == slot.phase);
        let state = phase.map_or("open", |phase| phase.state.word());
        entries.push((format!("{state} slack"), "not on the critical path"));
    }
    let mut out = String::new();
    for (index, (class, says)) in entries.iter().enumerate() {
        let x = LEFT + index as f64 * 100.0;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<rect width=\"16\" height=\"12\" x=\"{x:.0}\" y=\"{:.0}\" rx=\"3\" class=\"{class}\"/><text x=\"{:.0}\" y=\"{:.0}\">{says}</text>",
            y,
            x + 22.0,
            y + 11.0
        );
    }
    out
}

/// Text is outlined in the colour of the background, so that lines behind them do not cross them.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328;stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}.p{font-weight:600}.w{fill:#59636e;font-size:11px;text-anchor:middle}.g{stroke:#d8dde3}.bg{fill:#fff}.done{fill:#0f6b4f}.open{fill:#0072b2}.blocked{fill:#8a939e}.slack{opacity:.45}@media (prefers-color-scheme:dark){text{fill:#e6eaef;stroke:#0f1317}.w{fill:#a3adb8}.g{stroke:#3a424c}.bg{fill:#0f1317}.done{fill:#39c496}.open{fill:#56b4e9}}";

fn bar(body: &mut String, slot: &Slot, state: State, (from, to): (f64, f64), y: f64) {
    let slack = if slot.critical { "" } else { " slack" };
    let wide = (to - from).max(3.0);
    // Beside the bar, on the side that has room.
    let (at, anchor) =
        if to > LEFT + WIDE * 0.7 { (from - 6.0, "end") } else { (from + wide + 6.0, "start") };
    let _ = writeln!(
        body,
        "<rect x=\"{from:.1}\" y=\"{:.0}\" width=\"{wide:.1}\" height=\"16\" rx=\"3\" class=\"{}{slack}\"/><text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>",
        y + 4.0,
        state.word(),
        y + 17.0,
        escape(&slot.title)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
