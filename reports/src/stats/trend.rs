//! Whether a series rises: a set of questions, of which the worst answer counts.
//!
//! One line through a whole series hides what happens in a part of it. So the steady part is asked for its slope, its
//! last third for its own, its end is held against its beginning, and a level that changed at once is a jump of its
//! own. What has the shape of a warm-up that goes on, or of a sawtooth that the series holds too little of, has no
//! slope at all: then the answer stays open, and says what would decide it.

use super::line::{Noise, fit, least_squares, noise, quantile};
use super::shape::{
    Jump, LASTS, Levelling, Sawtooth, joined, jumps, levelling, sawtooth, warm_up, without_spikes,
};
use super::{Interval, TREND_POINTS_MIN, median, range, tenth};

/// A part is asked for a slope of its own from so many points on.
const PART_POINTS_MIN: usize = 12;
/// Fewer teeth say nothing about the trend of their minima.
const PERIODS_MIN: f64 = 3.0;
/// A rate an hour is not known before an hour is over.
const HOURS_MIN: f64 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// An hour.
    Slope,
    /// From the first steady point to the last.
    Growth,
    /// The last tenth over the first steady one.
    Drift,
}

/// What is asked of a series of `(hours, value)`.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub points: &'a [(f64, f64)],
    pub asked: Asked,
    /// Figures are shares of the first steady level.
    pub relative: bool,
    /// What the figure is held against, in its own unit.
    pub limit: f64,
    /// A fall is bad, not a rise.
    pub falling: bool,
    /// The least step that the values can make.
    pub quantum: f64,
    /// How often the interval may miss: 0.05 for 95 %.
    pub miss: f64,
    /// When processes were replaced: a fall there is no recovery of theirs.
    pub restarts: &'a [f64],
}

/// The worst answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    pub value: f64,
    pub interval: Interval,
    /// Why it can be no better than open, whatever the interval says.
    pub open: Option<String>,
    /// What there is to know of the answer.
    pub note: Option<String>,
    /// Steady points.
    pub points: usize,
    /// Points left out as warm-up.
    pub cut: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoTrend {
    /// So many points are too few.
    Few(usize),
    /// A share of nothing.
    NoLevel,
}

/// One question's answer.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    value: f64,
    interval: Interval,
    note: Option<String>,
}

impl Answer {
    fn of(interval: Interval, value: f64) -> Self {
        Self { value, interval, note: None }
    }

    /// Counts against, and never for: too few points to prove that all is well.
    fn against(value: f64, low: f64, note: String) -> Self {
        Self { value, interval: Interval { low, high: value }, note: Some(note) }
    }
}

/// Of a series, the steady part, and what it looks like.
struct Steady {
    points: Vec<(f64, f64)>,
    jumps: Vec<Jump>,
    /// Without jumps.
    joined: Vec<(f64, f64)>,
    noise: Noise,
    cut: usize,
    /// Median of the first tenth.
    level: f64,
    hours: f64,
}

impl Steady {
    fn of(points: &[(f64, f64)], quantum: f64) -> Self {
        let values: Vec<f64> = points.iter().map(|p| p.1).collect();
        let values = without_spikes(&values, quantum);
        let calm: Vec<(f64, f64)> = points.iter().zip(&values).map(|(p, v)| (p.0, *v)).collect();
        let all = jumps(&values, quantum);
        let cut = if sawtooth(&calm, &all).is_some() { 0 } else { Self::cut(&calm, &all, quantum) };
        let jumps: Vec<Jump> =
            all.iter().filter(|jump| jump.at > cut).map(|jump| Jump { at: jump.at - cut, ..*jump }).collect();
        let steady = calm[cut..].to_vec();
        let joined = join(&steady, &jumps);
        let level = median(&mut steady[..tenth(steady.len())].iter().map(|p| p.1).collect::<Vec<_>>());
        Self {
            noise: noise(&joined),
            hours: steady[steady.len() - 1].0 - steady[0].0,
            level: level.unwrap_or(0.0),
            points: steady,
            jumps,
            joined,
            cut,
        }
    }

    /// A jump in the first third is a part of the warm-up.
    fn cut(points: &[(f64, f64)], jumps: &[Jump], quantum: f64) -> usize {
        let third = points.len() / 3;
        let jumped = jumps.iter().map(|jump| jump.at).filter(|at| *at <= third).max().unwrap_or(0);
        jumped.max(warm_up(&join(points, jumps), quantum))
    }

    /// Median of the last tenth, or of what comes after a later jump, less that of the first tenth.
    fn rise(&self, from_end: usize) -> f64 {
        let mut last: Vec<f64> = self.points[self.points.len() - from_end..].iter().map(|p| p.1).collect();
        median(&mut last).unwrap_or(self.level) - self.level
    }

    /// Half the interval of such a rise.
    fn rise_error(&self, from_end: usize, miss: f64, quantum: f64) -> f64 {
        let first = self.noise.of_median(tenth(self.points.len()));
        let last = self.noise.of_median(from_end);
        let freedom = (self.noise.effective(self.points.len()) - 2.0).max(3.0);
        (quantile(freedom, miss) * (first + last).sqrt()).max(quantum)
    }

    fn upward(&self) -> impl Iterator<Item = &Jump> {
        self.jumps.iter().filter(|jump| jump.height > 0.0)
    }
}

fn join(points: &[(f64, f64)], jumps: &[Jump]) -> Vec<(f64, f64)> {
    let values: Vec<f64> = points.iter().map(|p| p.1).collect();
    points.iter().zip(joined(&values, jumps)).map(|(p, v)| (p.0, v)).collect()
}

/// See the module.
pub fn trend(question: &Question<'_>) -> Result<Trend, NoTrend> {
    if question.points.len() < TREND_POINTS_MIN {
        return Err(NoTrend::Few(question.points.len()));
    }
    let sign = if question.falling { -1.0 } else { 1.0 };
    let points: Vec<(f64, f64)> = question.points.iter().map(|p| (p.0, p.1 * sign)).collect();
    let steady = Steady::of(&points, question.quantum);
    if steady.points.len() < TREND_POINTS_MIN {
        return Err(NoTrend::Few(steady.points.len()));
    }
    let level = steady.level * sign;
    let relative = question.relative || question.asked != Asked::Slope;
    if relative && level <= 0.0 {
        return Err(NoTrend::NoLevel);
    }
    let unit = if relative { level } else { 1.0 };
    let covered = {
        let n = points.len() as f64;
        (points[points.len() - 1].0 - points[0].0) * n / (n - 1.0)
    };
    let asking = Asking { question, limit: question.limit * sign * unit, covered };
    let (answer, open) = asking.answer(&steady);
    let (a, b) = (answer.interval.low / unit * sign, answer.interval.high / unit * sign);
    Ok(Trend {
        value: answer.value / unit * sign,
        interval: Interval { low: a.min(b), high: a.max(b) },
        open,
        note: answer.note,
        points: steady.points.len(),
        cut: steady.cut,
    })
}

/// A question in the unit of the values, to be answered by a ceiling.
struct Asking<'a> {
    question: &'a Question<'a>,
    limit: f64,
    /// Hours that the points stand for: the last one for as much as the others.
    covered: f64,
}

impl Asking<'_> {
    /// From an amount a run to the figure that is asked for.
    fn per(&self, steady: &Steady) -> f64 {
        match self.question.asked {
            Asked::Slope => 1.0 / steady.hours,
            Asked::Growth | Asked::Drift => 1.0,
        }
    }

    /// From an amount an hour to the figure that is asked for.
    fn hourly(&self, steady: &Steady) -> f64 {
        match self.question.asked {
            Asked::Slope => 1.0,
            Asked::Growth | Asked::Drift => steady.hours,
        }
    }

    fn answer(&self, steady: &Steady) -> (Answer, Option<String>) {
        let (mut answer, open) = match sawtooth(&steady.points, &steady.jumps) {
            Some(teeth) => self.of_teeth(steady, &teeth),
            None => self.of_line(steady),
        };
        if self.question.asked == Asked::Slope && self.covered < 0.999 * HOURS_MIN {
            // What has risen so far is known; how fast it will be in an hour is not.
            let from_end = tenth(steady.points.len());
            let risen = steady.rise(from_end)
                - steady.rise_error(from_end, self.question.miss, self.question.quantum);
            answer.interval.low = answer.interval.low.min(risen);
            let short = format!(
                "a rate an hour needs an hour of load at least, and there are {}",
                hours(self.covered)
            );
            return (answer, Some(open.map_or(short.clone(), |open| format!("{open}; {short}"))));
        }
        (answer, open)
    }

    fn of_line(&self, steady: &Steady) -> (Answer, Option<String>) {
        let Some(line) = fit(&steady.joined, self.question.quantum, self.question.miss, 0.0) else {
            return (self.anything(steady), Some("its points are of one moment".into()));
        };
        let scale = self.hourly(steady);
        let up: f64 = match self.question.asked {
            // A jump is no slope: it is held against the limit below.
            Asked::Slope => 0.0,
            Asked::Growth | Asked::Drift => steady.jumps.iter().map(|jump| jump.height).sum(),
        };
        let whole = Answer::of(
            Interval { low: line.interval.low * scale + up, high: line.interval.high * scale + up },
            line.slope * scale + up,
        );
        let (end, error) = self.end_against_beginning(steady);
        let mut all = match self.question.asked {
            Asked::Slope | Asked::Growth => vec![whole, end],
            Asked::Drift => {
                let both = Interval { low: end.interval.low, high: end.value + error };
                let line = Answer { note: Some("the line through all".into()), ..whole };
                vec![
                    Answer { interval: both, ..end },
                    Answer { interval: Interval { high: line.value, ..line.interval }, ..line },
                ]
            }
        };
        all.extend(self.last_third(steady));
        all.extend(self.last_sixth(steady));
        let (more, open) = self.late_jump(steady);
        all.extend(more);
        let worst = self.worst(all);
        // Whatever the shape is: no line through values of so small a range reaches the limit.
        let is_small = self.anything(steady).interval.high < self.limit;
        if open.is_none() && (is_small || worst.interval.high < self.limit) {
            return (worst, None);
        }
        match levelling(&steady.joined, steady.noise, self.question.quantum) {
            Some(rise) if steady.upward().next().is_none() => {
                (self.anything(steady), Some(self.levelling(steady, rise)))
            }
            Some(_) | None => (worst, open),
        }
    }

    /// The shape of a warm-up that the run was too short for.
    fn levelling(&self, steady: &Steady, rise: Levelling) -> String {
        let wanted = self.limit / self.hourly(steady) / 2.0;
        if wanted > 0.0 && rise.slope > wanted {
            format!(
                "it still levels off, by two thirds every {}; about {} more would show the steady level",
                hours(rise.constant),
                hours((rise.constant * (rise.slope / wanted).ln()).max(rise.constant)),
            )
        } else {
            format!(
                "it levelled off during the run, and more than a third of it was warm-up; about {} more would show \
                 the steady level",
                hours(3.0 * rise.constant)
            )
        }
    }

    /// The last third has too few points to prove that it is level; it counts where it is not.
    fn last_third(&self, steady: &Steady) -> Option<Answer> {
        self.last_part(steady, steady.joined.len() / 3, self.question.miss)
    }

    /// The last sixth has fewer still: it counts where it surely is not level.
    fn last_sixth(&self, steady: &Steady) -> Option<Answer> {
        self.last_part(steady, steady.joined.len() / 6, self.question.miss / 5.0)
            .filter(|a| a.interval.low > self.limit)
    }

    fn last_part(&self, steady: &Steady, points: usize, miss: f64) -> Option<Answer> {
        let part = &steady.joined[steady.joined.len() - points..];
        if part.len() < PART_POINTS_MIN || self.question.asked != Asked::Slope {
            return None;
        }
        let line = fit(part, self.question.quantum, miss, steady.noise.dependence)?;
        let low = if line.wanders { f64::NEG_INFINITY } else { line.interval.low };
        Some(Answer::against(
            line.slope,
            low,
            format!("over the last {}", hours(part[part.len() - 1].0 - part[0].0)),
        ))
    }

    /// With half its interval.
    fn end_against_beginning(&self, steady: &Steady) -> (Answer, f64) {
        let from_end = tenth(steady.points.len());
        let error = steady.rise_error(from_end, self.question.miss, self.question.quantum);
        let rise = steady.rise(from_end);
        let per = self.per(steady);
        let jump = steady.upward().max_by(|a, b| a.height.total_cmp(&b.height));
        let note = match jump.filter(|jump| jump.height > rise / 2.0) {
            Some(jump) => Self::jumped(steady, *jump),
            None => "the last tenth against the first".to_owned(),
        };
        (Answer::against(rise * per, (rise - error) * per, note), error * per)
    }

    /// A jump that the last tenth does not show; whether one of the last points lasts cannot be known.
    fn late_jump(&self, steady: &Steady) -> (Option<Answer>, Option<String>) {
        let n = steady.points.len();
        let Some(jump) = steady.upward().filter(|jump| n - jump.at <= tenth(n)).max_by_key(|j| j.at) else {
            return (None, None);
        };
        let after = n - jump.at;
        let rise = steady.rise(after);
        let error = steady.rise_error(after, self.question.miss, self.question.quantum);
        let per = self.per(steady);
        if after >= LASTS {
            let answer = Answer::against(rise * per, (rise - error) * per, Self::jumped(steady, *jump));
            return (Some(answer), None);
        }
        let is_over = rise * per > self.limit;
        (None, is_over.then(|| format!("{}: whether it lasts is not known", Self::jumped(steady, *jump))))
    }

    fn jumped(steady: &Steady, jump: Jump) -> String {
        let at = hours(steady.points[jump.at].0);
        let share = jump.height / (steady.level.abs().max(f64::MIN_POSITIVE));
        if share.is_finite() && steady.level.abs() > 0.0 {
            format!("a jump of {:+.0} % at {at}", share * 100.0)
        } else {
            format!("a jump at {at}")
        }
    }

    /// Everything that the values' own range allows: for series whose shape has no slope.
    fn anything(&self, steady: &Steady) -> Answer {
        let (low, high) = range(steady.points.iter().map(|p| p.1));
        let scale = self.hourly(steady);
        let steepest = (1.5 * (high - low) + self.question.quantum) / steady.hours * scale;
        let value = least_squares(&steady.points).slope * scale;
        Answer::of(Interval { low: value.min(-steepest), high: value.max(steepest) }, value)
    }

    fn of_teeth(&self, steady: &Steady, teeth: &Sawtooth) -> (Answer, Option<String>) {
        let scale = self.hourly(steady);
        let rising = fit(&steady.joined, self.question.quantum, self.question.miss, 0.0);
        let rising = rising.map(|line| {
            let interval = Interval { low: line.interval.low * scale, high: line.interval.high * scale };
            Answer::of(interval, line.slope * scale)
        });
        let near = 2.5 * steady.hours / steady.points.len() as f64;
        let restarted = |time: f64| self.question.restarts.iter().any(|at| (at - time).abs() <= near);
        let at_restarts = teeth.minima.iter().filter(|tooth| restarted(tooth.0)).count();
        if let Some(mut rising) = rising.clone().filter(|_| 2 * at_restarts > teeth.minima.len()) {
            rising.note = Some("between the falls, which come with restarts".into());
            return (rising, None);
        }
        let period = hours(teeth.period);
        if teeth.periods < PERIODS_MIN || teeth.minima.len() < LASTS {
            let anything = self.anything(steady);
            if anything.interval.high < self.limit {
                return (anything, None);
            }
            let open = format!(
                "it rises and falls every {period} or so, and the load holds {:.1} of the {PERIODS_MIN} periods that \
                 it needs: {} would do",
                teeth.periods,
                hours((PERIODS_MIN + 1.0) * teeth.period),
            );
            return (anything, Some(open));
        }
        let mut answer = self.of_minima(teeth, scale);
        answer.note =
            Some(format!("the {} minima of a sawtooth with a period of {period}", teeth.minima.len()));
        let open = rising.filter(|r| r.value > self.limit).map(|_| {
            "between its falls it rises faster than the limit: a collector that works, or a leak that something \
             resets"
                .to_owned()
        });
        (answer, open)
    }

    /// Minima are hours apart: they depend on each other no more.
    fn of_minima(&self, teeth: &Sawtooth, scale: f64) -> Answer {
        let line = least_squares(&teeth.minima);
        let n = teeth.minima.len() as f64;
        let left: f64 = teeth.minima.iter().map(|p| (p.1 - line.at(p.0)).powi(2)).sum();
        let mean = teeth.minima.iter().map(|p| p.0).sum::<f64>() / n;
        let square: f64 = teeth.minima.iter().map(|p| (p.0 - mean).powi(2)).sum();
        let freedom = n - 2.0;
        let error = (left / freedom / square).sqrt() * quantile(freedom, self.question.miss);
        let first = teeth.minima[0].0;
        let half = error.max(self.question.quantum / (teeth.minima[teeth.minima.len() - 1].0 - first));
        let slope = line.slope;
        Answer::of(Interval { low: (slope - half) * scale, high: (slope + half) * scale }, slope * scale)
    }

    /// The first of them, unless another one is over the limit: then the worst.
    fn worst(&self, all: Vec<Answer>) -> Answer {
        let over = |a: &Answer| a.value > self.limit || a.interval.low > self.limit;
        let mut all = all.into_iter();
        let Some(whole) = all.next() else {
            return Answer::of(Interval { low: 0.0, high: 0.0 }, 0.0);
        };
        all.filter(over).fold(whole, |worst, next| {
            let interval = Interval {
                low: worst.interval.low.max(next.interval.low),
                high: worst.interval.high.max(next.interval.high),
            };
            // The one that is sure to be over says why.
            let grave = |a: &Answer| (a.interval.low > self.limit, a.value);
            let (shown, _) = if grave(&next) > grave(&worst) { (next, worst) } else { (worst, next) };
            Answer { value: shown.value.clamp(interval.low, interval.high), interval, note: shown.note }
        })
    }
}

fn hours(hours: f64) -> String {
    crate::units::nanos((hours.max(0.0) * 3.6e12) as u64)
}
