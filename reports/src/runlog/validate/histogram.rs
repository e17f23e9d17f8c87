//! A histogram of the log against what is said of it, and percentiles against how many values they are of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// Between which values those of a histogram lie, to its precision; ns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) least: u64,
    /// The largest value is at least this,
    pub(super) most_from: u64,
    /// and at most this.
    pub(super) most: u64,
}

impl Extent {
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most_from: self.most_from.max(other.most_from),
            most: self.most.max(other.most),
        }
    }
}

/// A histogram that holds what its interval says of it, and its extent.
pub(super) fn counted(histogram: &str, count: u64, max_ns: u64) -> Result<(Histogram<u64>, Extent), String> {
    let histogram = decode(histogram)?;
    if histogram.len() != count || histogram.max() != max_ns {
        return Err(format!(
            "{count} latencies up to {max_ns} ns, and a histogram of {} up to {} ns",
            histogram.len(),
            histogram.max()
        ));
    }
    let extent = Extent {
        least: histogram.lowest_equivalent(histogram.min()),
        most_from: histogram.lowest_equivalent(histogram.max()),
        most: histogram.highest_equivalent(histogram.max()),
    };
    Ok((histogram, extent))
}

/// Percentiles are values that occurred: of fewer than two answers all are the longest one, and of fewer than 100 the 99th
/// percentile is.
pub(super) fn occurred(answered: u32, [p50, p99, max]: [Option<u64>; 3]) -> bool {
    (answered >= 100 || p99 == max) && (answered >= 2 || p50 == max)
}

fn decode(base64: &str) -> Result<Histogram<u64>, String> {
    let unreadable = |why: String| format!("a histogram that cannot be read: {why}");
    let bytes = STANDARD.decode(base64).map_err(|e| unreadable(e.to_string()))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| unreadable(e.to_string()))
}
