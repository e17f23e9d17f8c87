//! What `harness compare --json` says: whether anything has become worse than before, and from which limit on that counts.

use serde_json::Value;

use super::{REMARKS_MAX, Reading, not_json};
use crate::compare::{Comparison, Outcome, Word};

pub(super) fn read(text: &str) -> Result<Reading, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|_| format!("it is {}", not_json(text, "harness compare --json")))?;
    if let Some(error) = value.get("error") {
        let of = |key| error.get(key).and_then(Value::as_str);
        let hint = of("hint").map_or_else(String::new, |hint| format!(" ({hint})"));
        return Err(format!("there was no comparison: {}{hint}", of("message").unwrap_or("it says no more")));
    }
    let comparison: Comparison = serde_json::from_str(text)
        .map_err(|error| format!("it is not the output of `harness compare --json`: {error}"))?;
    let figures = || comparison.against.iter().flat_map(|against| &against.figures);
    if figures().count() == 0 {
        return Err("it compares nothing".to_owned());
    }
    if comparison.outcome == Outcome::Inconclusive {
        let why = comparison.reasons.first().map_or("it says no more", String::as_str);
        return Err(format!("the comparison cannot say: {why}"));
    }
    let regressed = figures().filter(|figure| figure.counts && figure.word == Word::Regressed).count();
    if (regressed > 0) != (comparison.outcome == Outcome::Regression) {
        return Err(format!("it is {}, and {regressed} of its figures regressed", comparison.outcome.word()));
    }
    let figures = [("regressions", regressed as f64), ("regression.limit", comparison.limit)].into();
    let mut remarks = comparison.warnings;
    remarks.extend(comparison.reasons);
    remarks.truncate(REMARKS_MAX);
    Ok(Reading { figures, remarks, ..Reading::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn comparison(outcome: &str, word: &str) -> String {
        let side = json!({ "label": "before", "commits": [], "runs": ["a"], "left_out": [] });
        let figure = json!({
            "name": "task.time p50", "part": "judged", "word": word, "counts": true, "better": "lower",
            "limit": 0.1, "first": 1.0, "second": 1.3, "first_text": "1 s", "second_text": "1.3 s", "change": 0.3,
            "low": 0.2, "high": 0.4, "detectable": null, "chance": null, "method": null, "runs": [10, 10],
            "note": null,
        });
        json!({
            "version": 1, "outcome": outcome, "exit": { "code": 0, "name": "pass" },
            "reasons": ["task.time p50"], "warnings": [], "limit": 0.1, "first": side, "terms": null,
            "against": [{ "side": side, "pairs": null, "figures": [figure] }],
        })
        .to_string()
    }

    #[test]
    fn what_regressed_is_counted_and_the_limit_is_a_figure() {
        let reading = read(&comparison("NO-REGRESSION", "same")).unwrap();
        assert_eq!(reading.figures.get("regressions"), Some(&0.0));
        assert_eq!(reading.figures.get("regression.limit"), Some(&0.1));
        let reading = read(&comparison("REGRESSION", "regressed")).unwrap();
        assert_eq!(reading.figures.get("regressions"), Some(&1.0));
    }

    #[test]
    fn a_comparison_that_cannot_say_or_contradicts_itself_has_no_figures() {
        assert!(read(&comparison("INCONCLUSIVE", "undecided")).unwrap_err().contains("cannot say"));
        assert!(read(&comparison("NO-REGRESSION", "regressed")).unwrap_err().contains("1 of its figures"));
        assert!(read("{}").unwrap_err().contains("not the output"));
        let refused = json!({ "error": { "message": "there is no baseline phase-1", "hint": "set it" } });
        let why = read(&refused.to_string()).unwrap_err();
        assert_eq!(why, "there was no comparison: there is no baseline phase-1 (set it)");
        assert!(read("error: cut").unwrap_err().contains("not JSON, but `error: cut`"));
    }
}
