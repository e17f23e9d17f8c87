//! What the user sees while a run goes on: a line that changes on a terminal, plain lines elsewhere.

use super::output;
use crate::engine::live::{Live, Look, Reader};
use crate::scenario::Plan;
use coordinator::cli::console;
use notation::visible;
use reports::facts::LiveView;
use reports::runlog::event::Phase;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Plain lines come this often, or a hundred times in a run.
const LINE_EVERY_MIN: Duration = Duration::from_secs(5);
const LINE_EVERY_MAX: Duration = Duration::from_secs(60);

enum Form {
    Quiet,
    Status,
    Lines { every: Duration, next: Instant, phase: Option<Phase> },
}

pub(crate) struct Progress {
    form: Form,
    started: Instant,
    expected: Duration,
    reader: Reader,
}

impl Progress {
    /// Of a run that is resumed, so much of the load is `over`.
    pub(crate) fn new(plan: &Plan, over: Duration, live: &Live, quiet: bool) -> Self {
        let expected = plan.expected_duration().saturating_sub(over);
        let form = if quiet {
            Form::Quiet
        } else if console::can_redraw() {
            Form::Status
        } else {
            let every = (expected / 100).clamp(LINE_EVERY_MIN, LINE_EVERY_MAX);
            Form::Lines { every, next: Instant::now() + every, phase: None }
        };
        Self { form, started: Instant::now(), expected, reader: live.reader() }
    }

    pub(crate) fn show(&mut self) {
        console::flush();
        let Some(look) = self.reader.look() else { return };
        if matches!(self.form, Form::Quiet) {
            return;
        }
        Self::report_alerts(&look);
        let elapsed = self.started.elapsed();
        let line = line(&look.snapshot.view, elapsed, self.expected.saturating_sub(elapsed));
        match &mut self.form {
            Form::Quiet => {}
            Form::Status => console::status(&line),
            Form::Lines { every, next, phase } => {
                let now = Instant::now();
                if *phase != look.snapshot.view.phase || now >= *next {
                    *phase = look.snapshot.view.phase;
                    *next = now + *every;
                    output::report(&line);
                }
            }
        }
    }

    fn report_alerts(look: &Look) {
        if look.alerts_missed > 0 {
            let missed = look.alerts_missed;
            output::report(&format!("{missed} alerts came too fast to be shown; they are in the run log"));
        }
        for alert in &look.alerts {
            output::report(&format!("alert: {}", visible::line(&alert.text)));
        }
    }

    pub(crate) fn finish(self) {
        if matches!(self.form, Form::Status) {
            console::clear_status();
        }
    }
}

pub(super) fn line(view: &LiveView, elapsed: Duration, left: Duration) -> String {
    let phase = match view.phase {
        None | Some(Phase::Launch) => "launch",
        Some(Phase::WarmUp) => "warm-up",
        Some(Phase::Load) => "load",
        Some(Phase::Drain) => "drain",
        Some(Phase::Verify) => "verify",
    };
    let rounds = if view.rounds_planned > 0 {
        format!("{}/{}", view.rounds, view.rounds_planned)
    } else {
        view.rounds.to_string()
    };
    // Short enough for 80 columns: a figure that falls off the edge is not shown.
    let mut text = format!("{phase:<7} {}, {} left | {rounds} rounds", clock(elapsed), clock(left));
    if let Some(delivery) = view.delivery {
        let _ = write!(text, " | {}", reports::units::percent(delivery));
    }
    match (view.coordination_p99_ns, view.coordination_max_ns) {
        (Some(p99), _) => {
            let _ = write!(text, " | p99 {}", reports::units::nanos(p99));
        }
        // Too few rounds for a percentile.
        (None, Some(max)) => {
            let _ = write!(text, " | max {}", reports::units::nanos(max));
        }
        (None, None) => {}
    }
    if let Some(live) = view.agents_live {
        let _ = match view.agents_planned {
            (least, most) if least == most => write!(text, " | {live}/{most} up"),
            (least, most) => write!(text, " | {live} up ({least} to {most})"),
        };
    }
    if view.alerts > 0 {
        let _ = write!(text, " | {} alerts", view.alerts);
    }
    text
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_follows_its_load_is_shown_with_its_bounds() {
        let view = |agents_planned| LiveView {
            phase: Some(Phase::Load),
            rounds: 3,
            rounds_planned: 60,
            warm_up_rounds: 0,
            tasks: 24,
            answered: 24,
            failed: 0,
            duplicates: 0,
            delivery: Some(1.0),
            coordination_p50_ns: None,
            coordination_p99_ns: None,
            coordination_max_ns: None,
            coordination_last_ns: None,
            throughput_tasks: None,
            agents_live: Some(12),
            agents_planned,
            deaths: 0,
            alerts: 0,
            fleet_pss_bytes: None,
        };
        let line = |planned| line(&view(planned), Duration::from_secs(1), Duration::from_secs(5));
        assert!(line((12, 12)).ends_with(" | 12/12 up"), "{}", line((12, 12)));
        assert!(line((4, 14)).ends_with(" | 12 up (4 to 14)"), "{}", line((4, 14)));
    }
}
