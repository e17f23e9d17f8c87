//! Test coverage: lcov's tracefiles, and the JSON of `cargo llvm-cov --json`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Reading;

/// Found and hit, of one kind of thing.
type Pair = (u64, u64);

/// Sums over all files of a tracefile: `LF`/`LH` lines, `FNF`/`FNH` functions, `BRF`/`BRH` branches.
pub(super) fn lcov(text: &str) -> Result<Reading, String> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut files, mut open) = (0_u64, false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("SF:") {
            open = true;
        } else if line == "end_of_record" {
            if !std::mem::take(&mut open) {
                return Err(format!("line {}: an `end_of_record` without its `SF`", index + 1));
            }
            files += 1;
        } else if let Some((key @ ("LF" | "LH" | "FNF" | "FNH" | "BRF" | "BRH"), count)) =
            line.split_once(':')
        {
            let count: u64 =
                count.parse().map_err(|_| format!("line {}: `{count}` is not a count", index + 1))?;
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    if open {
        return Err("it ends within the record of a file".to_owned());
    }
    if files == 0 {
        return Err("it holds no record of a file: is it an lcov tracefile?".to_owned());
    }
    let pair = |found, hit| Some((*sums.get(found)?, sums.get(hit).copied().unwrap_or(0)));
    figures([
        ("coverage.lines", pair("LF", "LH")),
        ("coverage.functions", pair("FNF", "FNH")),
        ("coverage.branches", pair("BRF", "BRH")),
        ("coverage.regions", None),
    ])
}

/// The totals of the first export.
pub(super) fn llvm_cov(text: &str) -> Result<Reading, String> {
    let export: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let totals = export
        .pointer("/data/0/totals")
        .ok_or("it has no `data[0].totals`: is it the output of `cargo llvm-cov --json`?")?;
    let pair = |kind: &str| {
        let of = totals.get(kind)?;
        Some((of.get("count")?.as_u64()?, of.get("covered")?.as_u64()?))
    };
    figures([
        ("coverage.lines", pair("lines")),
        ("coverage.functions", pair("functions")),
        ("coverage.branches", pair("branches")),
        ("coverage.regions", pair("regions")),
    ])
}

/// Where nothing was found there is nothing to cover, and no figure.
fn figures(pairs: [(&'static str, Option<Pair>); 4]) -> Result<Reading, String> {
    let mut reading = Reading::default();
    for (name, pair) in pairs {
        let Some((found, hit)) = pair.filter(|(found, _)| *found > 0) else { continue };
        if hit > found {
            return Err(format!("it says that {hit} of {found} were reached (`{name}`)"));
        }
        reading.figures.insert(name, hit as f64 / found as f64);
        reading.remarks.push(format!("{name}: {hit} of {found}"));
    }
    if reading.figures.is_empty() { Err("it covers nothing".to_owned()) } else { Ok(reading) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lcov_is_summed_over_its_files() {
        let text =
            "TN:\nSF:a.rs\nFNF:2\nFNH:1\nLF:10\nLH:9\nend_of_record\nSF:b.rs\nLF:30\nLH:21\nend_of_record\n";
        let reading = lcov(text).unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.75));
        assert_eq!(reading.figures.get("coverage.functions"), Some(&0.5));
        assert!(!reading.figures.contains_key("coverage.branches"));
    }

    #[test]
    fn a_tracefile_that_was_cut_or_bent_has_no_figures() {
        for (text, why) in [
            ("TN:\n", "no record"),
            ("SF:a.rs\nLF:10\nLH:9\n", "ends within"),
            ("SF:a.rs\nLF:ten\nend_of_record\n", "not a count"),
            ("SF:a.rs\nLF:1\nLH:2\nend_of_record\n", "2 of 1"),
            ("SF:a.rs\nend_of_record\n", "covers nothing"),
            ("end_of_record\n", "without its `SF`"),
        ] {
            let error = lcov(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_totals_of_llvm_cov_are_read() {
        let text = r#"{"data":[{"totals":{"lines":{"count":200,"covered":151,"percent":75.5},
            "regions":{"count":10,"covered":5},"branches":{"count":0,"covered":0}}}],"type":"llvm.coverage.json.export"}"#;
        let reading = llvm_cov(text).unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.755));
        assert_eq!(reading.figures.get("coverage.regions"), Some(&0.5));
        assert!(!reading.figures.contains_key("coverage.branches"));
        assert!(llvm_cov("{}").unwrap_err().contains("totals"));
        assert!(llvm_cov("{").unwrap_err().contains("not JSON"));
    }
}
