//! Which metrics a single process has.

use crate::criterion::MetricId;
use crate::facts::Figure;

/// The figure of single processes behind a metric, if it is a level that processes have.
#[expect(clippy::wildcard_enum_match_arm, reason = "a new metric is not one of processes unless it says so")]
pub(super) fn figure(metric: MetricId) -> Option<Figure> {
    Some(match metric {
        MetricId::MemoryPss => Figure::Pss,
        MetricId::MemoryRss => Figure::Rss,
        MetricId::MemoryAnon => Figure::Anon,
        MetricId::MemoryVsz => Figure::Vsz,
        MetricId::Fds => Figure::Fds,
        MetricId::Threads => Figure::Threads,
        _ => return None,
    })
}
