//! The names of the files in a run directory.

/// The log of a run, or of its first segment.
pub const RUN_LOG: &str = "run.log";
pub const VERDICT: &str = "verdict.json";
pub const REPORT: &str = "report.html";

/// The most segments that a run may have. Each is a resumption: after so many the run is not one run.
pub const SEGMENTS_MAX: u32 = 1_000;

/// The log of a segment, counted from 0: `run.log`, `run.2.log`, `run.3.log`, …
pub fn segment_log(segment: u32) -> String {
    match segment {
        0 => RUN_LOG.to_owned(),
        later => format!("run.{}.log", u64::from(later) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_people_do() {
        assert_eq!([0, 1, 2].map(segment_log), ["run.log", "run.2.log", "run.3.log"]);
    }
}
