//! A statement that a person stands for, with a name and a date:
//!
//! ```text
//! Statement: The API is documented; I have read what `cargo doc` makes of it.
//! Name: Jane Doe
//! Date: 2026-11-30
//! Approves: yes
//! ```
//!
//! Three more lines bind it: `Build:` to a commit, `Scenario:` to the text of a scenario by its SHA-256, `Expires:` to a last day.
//! The name alone proves nothing: who wrote the file is seen from a signature beside it, if the gate asks for one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use notation::visible;

use super::{COMMIT_DIGITS_MIN, Reading};
use crate::sha256::is_hex;

/// The lines that a statement may have, in the order in which it is written.
const KEYS: [&str; 7] = ["Statement", "Name", "Date", "Approves", "Build", "Scenario", "Expires"];

pub(super) fn read(text: &str) -> Result<Reading, String> {
    let lines = lines(text)?;
    let given = |key: &str| lines.get(key).cloned().filter(|text| !text.is_empty());
    let needed = |key: &str| given(key).ok_or_else(|| format!("it has no `{key}`"));
    let (statement, name) = (needed("Statement")?, needed("Name")?);
    let dated = day(&needed("Date")?)?.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    let approved = match needed("Approves")?.as_str() {
        "yes" => 1.0,
        "no" => 0.0,
        other => return Err(format!("`Approves` is `{other}`: write yes or no")),
    };
    let build = given("Build").map(|commit| hash("Build", commit, "a commit", BUILD_DIGITS)).transpose()?;
    let scenario = given("Scenario")
        .map(|sha256| hash("Scenario", sha256, "the SHA-256 of a scenario", SHA256_DIGITS))
        .transpose()?;
    let expires = given("Expires").map(|date| day(&date)).transpose()?;
    // A key without a value was meant to bind it.
    if let Some(empty) = lines.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("`{}` has no value: write one, or leave the line out", empty.0));
    }
    Ok(Reading {
        figures: [("statement.approved", approved)].into(),
        dated: Some(dated.timestamp()),
        by: Some(name),
        build,
        scenario_sha256: scenario,
        expires,
        remarks: vec![statement],
    })
}

/// By their keys, as they were found.
fn lines(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let mut found = BTreeMap::new();
    for (line, at) in text.lines().zip(1..) {
        if let Some((_, hidden)) = visible::first_hidden(line) {
            return Err(format!("line {at} has {}: take it out", visible::name_of(hidden)));
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) =
            line.split_once(':').ok_or_else(|| format!("line {at} has no `:`: write `Name: …`"))?;
        let key = key.trim();
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            return Err(format!("line {at} begins with `{key}`: a statement has {}", KEYS.join(", ")));
        };
        if found.insert(known, value.trim().to_owned()).is_some() {
            return Err(format!("line {at}: `{key}` is duplicated"));
        }
    }
    Ok(found)
}

fn day(text: &str) -> Result<Date, String> {
    crate::gate::day(text).ok_or_else(|| format!("`{text}` is not a date: write it like 2026-11-30"))
}

/// A commit may be shortened, as builds say it.
const BUILD_DIGITS: RangeInclusive<usize> = COMMIT_DIGITS_MIN..=64;
const SHA256_DIGITS: RangeInclusive<usize> = 64..=64;

/// The value of a key, which must be `what`.
fn hash(key: &str, text: String, what: &str, digits: RangeInclusive<usize>) -> Result<String, String> {
    if is_hex(&text) && digits.contains(&text.len()) {
        return Ok(text);
    }
    Err(format!("`{key}` is `{text}`: write {what}, in lower-case hex digits, as `harness gate` shows it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Statement: All is documented.\nName: Jane Doe\nDate: 2026-11-30\nApproves: yes\n";

    #[test]
    fn a_statement_has_a_name_a_date_and_an_answer() {
        let reading = read(GOOD).unwrap();
        assert_eq!(reading.figures.get("statement.approved"), Some(&1.0));
        assert_eq!((reading.by.as_deref(), reading.remarks.len()), (Some("Jane Doe"), 1));
        assert_eq!(reading.dated.unwrap().to_string(), "2026-11-30T00:00:00Z");
        assert_eq!(read(&GOOD.replace("yes", "no")).unwrap().figures.get("statement.approved"), Some(&0.0));
    }

    #[test]
    fn a_statement_may_be_bound_to_a_build_and_a_scenario_and_may_expire() {
        let sha256 = "ab".repeat(32);
        let bound = format!("{GOOD}Build: 1234567\nScenario: {sha256}\nExpires: 2026-12-31\n");
        let reading = read(&bound).unwrap();
        assert_eq!(reading.build.as_deref(), Some("1234567"));
        assert_eq!(reading.scenario_sha256, Some(sha256));
        assert_eq!(reading.expires.unwrap().to_string(), "2026-12-31");
        let plain = read(GOOD).unwrap();
        assert_eq!((plain.build, plain.scenario_sha256, plain.expires), (None, None, None));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (from, to, why) in [
            ("Name: Jane Doe\n", "", "no `Name`"),
            ("Jane Doe", "", "no `Name`"),
            ("2026-11-30", "30.11.2026", "is not a date"),
            ("2026-11-30", "2026-11-30[Asia/Tokyo]", "is not a date"),
            ("2026-11-30", "2026-11-30T23:59:59-12:00", "is not a date"),
            ("2026-11-30", "20261130", "is not a date"),
            ("2026-11-30", "+002026-11-30", "is not a date"),
            ("yes", "maybe", "write yes or no"),
            ("Name: Jane", "Name: A\nName: Jane", "duplicated"),
            ("Name: Jane Doe", "Jane Doe", "no `:`"),
            ("Name", "Author", "begins with `Author`"),
            ("Approves", "Expires: 2026-13-01\nApproves", "`2026-13-01` is not a date"),
            ("Approves", "Expires:\nApproves", "`Expires` has no value"),
            ("Approves", "Build: head\nApproves", "`Build` is `head`: write a commit"),
            ("Approves", "Scenario: abcdef0123\nApproves", "write the SHA-256 of a scenario"),
            ("Jane Doe", "Jane\u{200b} Doe", "line 2 has the character U+200B"),
            ("Jane Doe", "\u{202e}eoD enaJ", "line 2 has the character U+202E"),
        ] {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(why), "{from} -> {to}: {error}");
        }
    }
}
