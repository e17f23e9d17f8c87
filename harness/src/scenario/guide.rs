//! The tables of the guide (`docs/scenarios.md`) that are generated: keys from their declarations, metrics from the
//! catalogue. `cargo xtask schema` puts them between the markers in the file.

use super::root::{ROOT, TABLES};
use super::table::{AnyKey, Presence, Table};
use reports::criterion::{Aggregation, Metric, Side, Unit, catalogue};
use std::fmt::Write as _;

/// The generated blocks of the guide, each from its first marker line to its last.
pub fn guide_tables() -> String {
    block("keys", &keys()) + &block("metrics", &metrics())
}

fn block(name: &str, content: &str) -> String {
    format!("<!-- begin {name}: written by cargo xtask schema -->\n\n{content}\n<!-- end {name} -->\n")
}

fn keys() -> String {
    let mut text = table("Above the first table", &ROOT);
    for declared in TABLES {
        text.push('\n');
        text.push_str(&table(&format!("`{}`", declared.header()), declared));
    }
    text
}

fn table(title: &str, table: &Table) -> String {
    let says = if table.name.is_empty() { "" } else { table.says };
    let mut text = format!("### {title}\n\n");
    if !says.is_empty() {
        text = text + says + "\n\n";
    }
    text.push_str("| key | value | what | default |\n|---|---|---|---|\n");
    // In an array, the name of the entry would stand between the two.
    let path = if table.name.is_empty() || table.repeated && !table.may_stand_alone() {
        String::new()
    } else {
        format!("{}.", table.name)
    };
    for key in table.keys {
        text.push_str(&row(&path, *key));
    }
    text
}

fn row(path: &str, key: &dyn AnyKey) -> String {
    let default = match key.presence() {
        Presence::Required { .. } => "required".to_owned(),
        Presence::RequiredBy { who, .. } => format!("required by {who}"),
        Presence::Optional(words) => words.to_owned(),
        Presence::Default(default) => format!("`{default}`"),
    };
    let row = format!("| `{path}{}` | {} | {} | {default} |\n", key.name(), key.values(), key.says());
    assert_eq!(row.matches('|').count(), 5, "a cell contains `|`: {row}");
    row
}

fn metrics() -> String {
    let mut text =
        "| metric | aggregations | threshold | better | meaning |\n|---|---|---|---|---|\n".to_owned();
    for metric in catalogue() {
        let named: Vec<String> = metric
            .aggregations
            .iter()
            .filter(|aggregation| **aggregation != Aggregation::Whole)
            .map(|aggregation| format!("`{}`", aggregation.name()))
            .collect();
        let windows = metric.aggregations.iter().any(|aggregation| metric.has_windows(*aggregation));
        let aggregations = match (named.is_empty(), windows) {
            (true, false) => "none".to_owned(),
            (true, true) => "none; `every 15m` for the lowest window".to_owned(),
            (false, false) => named.join(" "),
            (false, true) => {
                format!("{}; `every 15m` for the worst window, without `drift`", named.join(" "))
            }
        };
        let divided =
            metric.aggregations.iter().any(|aggregation| metric.has_stretch(*aggregation, Side::After));
        let marks = [
            (metric.scoped, "*"),
            (metric.by_workload(), "†"),
            (metric.by_coordinator(), "§"),
            (divided, "‡"),
        ];
        let marks: String = marks.into_iter().filter_map(|(has, mark)| has.then_some(mark)).collect();
        let star = if marks.is_empty() { marks } else { format!(" {marks}") };
        let threshold = thresholds(metric);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}`{star} | {aggregations} | {threshold} | {} | {} |",
            metric.name,
            metric.id.better().name(),
            metric.says
        );
    }
    text
}

/// Examples for each aggregation that wants another unit than the metric's own.
fn thresholds(metric: &Metric) -> String {
    let has = |aggregation| metric.aggregations.contains(&aggregation);
    let mut text = format!("`{}`", level(metric.unit));
    if has(Aggregation::Slope) {
        // Writing to a String cannot fail.
        let _ = write!(text, "; slope `10%/h`, `{}`", slope(metric.unit));
    }
    let relative: Vec<&str> = [Aggregation::Growth, Aggregation::Drift]
        .into_iter()
        .filter(|aggregation| has(*aggregation))
        .map(Aggregation::name)
        .collect();
    if !relative.is_empty() {
        let _ = write!(text, "; {} `20%`", relative.join(", "));
    }
    text
}

fn level(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "250ms",
        Unit::Bytes => "64MiB",
        Unit::Count => "708",
        Unit::PerSecond => "8000/s",
        Unit::Share => "95%",
        Unit::OfOneCore | Unit::OfMean => "50%",
        Unit::Cores => "1.5 cores",
    }
}

fn slope(unit: Unit) -> &'static str {
    if unit == Unit::Bytes { "1MiB/h" } else { "2/d" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_threshold_of_the_guide_is_one_that_its_metric_takes() {
        use reports::criterion::{Better, Criterion, Known};
        for metric in catalogue() {
            let comparator = if metric.id.better() == Better::Lower { "<" } else { ">=" };
            for aggregation in metric.aggregations {
                let examples = match aggregation {
                    Aggregation::Slope => vec!["10%/h", slope(metric.unit)],
                    Aggregation::Growth | Aggregation::Drift => vec!["20%"],
                    _ => vec![level(metric.unit)],
                };
                for threshold in examples {
                    let text = format!("{} {} {comparator} {threshold}", metric.name, aggregation.name());
                    let read = Criterion::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                    assert_eq!(
                        (read.is_settled(Known::default()), read.points_the_wrong_way()),
                        (None, None),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_guide_has_these_tables() {
        let guide = include_str!("../../../docs/scenarios.md");
        for block in [block("keys", &keys()), block("metrics", &metrics())] {
            assert!(guide.contains(&block), "run: cargo xtask schema");
        }
    }
}
