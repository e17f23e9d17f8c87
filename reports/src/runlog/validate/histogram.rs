//! A histogram of the log against what is said of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// Between which values those of a histogram lie, to its precision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) least_ns: u64,
    /// The largest value is at least this,
    pub(super) most_from_ns: u64,
    /// and at most this.
    pub(super) most_ns: u64,
}

impl Extent {
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            least_ns: self.least_ns.min(other.least_ns),
            most_from_ns: self.most_from_ns.max(other.most_from_ns),
            most_ns: self.most_ns.max(other.most_ns),
        }
    }
}

/// A histogram holds what its interval says of it.
pub(super) fn counted(histogram: &str, count: u64, max_ns: u64) -> Result<Extent, String> {
    let histogram = decode(histogram)?;
    if histogram.len() != count || !histogram.equivalent(histogram.max(), max_ns) {
        return Err(format!(
            "{count} latencies up to {max_ns} ns, and a histogram of {} up to {} ns",
            histogram.len(),
            histogram.max()
        ));
    }
    Ok(Extent {
        least_ns: histogram.lowest_equivalent(histogram.min()),
        most_from_ns: histogram.lowest_equivalent(histogram.max()),
        most_ns: histogram.highest_equivalent(histogram.max()),
    })
}

fn decode(base64: &str) -> Result<Histogram<u64>, String> {
    let unreadable = |why: String| format!("a histogram that cannot be read: {why}");
    let bytes = STANDARD.decode(base64).map_err(|e| unreadable(e.to_string()))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| unreadable(e.to_string()))
}
