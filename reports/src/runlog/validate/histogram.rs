//! A histogram of the log against what is said of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// A histogram holds what its interval says of it.
pub(super) fn counted(histogram: &str, count: u64, max_ns: u64) -> Result<(), String> {
    let histogram = decode(histogram)?;
    if histogram.len() != count || !histogram.equivalent(histogram.max(), max_ns) {
        return Err(format!(
            "{count} latencies up to {max_ns} ns, and a histogram of {} up to {} ns",
            histogram.len(),
            histogram.max()
        ));
    }
    Ok(())
}

fn decode(base64: &str) -> Result<Histogram<u64>, String> {
    let unreadable = |why: String| format!("a histogram that cannot be read: {why}");
    let bytes = STANDARD.decode(base64).map_err(|e| unreadable(e.to_string()))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| unreadable(e.to_string()))
}
