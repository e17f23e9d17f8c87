//! A statement that a person stands for, with a name and a date:
//!
//! ```text
//! Statement: The API is documented; I have read what `cargo doc` makes of it.
//! Name: Jane Doe
//! Date: 2026-11-30
//! Approves: yes
//! ```
//!
//! It is signed by name alone: who wrote the file cannot be seen from it.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Reading;

pub(super) fn read(text: &str) -> Result<Reading, String> {
    let (mut statement, mut name, mut date, mut approves) = (None, None, None, None);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = index + 1;
        let (key, value) =
            line.split_once(':').ok_or_else(|| format!("line {at} has no `:`: write `Name: …`"))?;
        let slot = match key.trim() {
            "Statement" => &mut statement,
            "Name" => &mut name,
            "Date" => &mut date,
            "Approves" => &mut approves,
            other => {
                return Err(format!(
                    "line {at} begins with `{other}`: a statement has Statement, Name, Date and Approves"
                ));
            }
        };
        if slot.replace(value.trim().to_owned()).is_some() {
            return Err(format!("line {at}: `{}` is duplicated", key.trim()));
        }
    }
    let given = |slot: Option<String>, key: &str| {
        slot.filter(|text| !text.is_empty()).ok_or_else(|| format!("it has no `{key}`"))
    };
    let (statement, name) = (given(statement, "Statement")?, given(name, "Name")?);
    let date = given(date, "Date")?;
    let day: Date = date.parse().map_err(|_| format!("`{date}` is not a date: write it like 2026-11-30"))?;
    let dated = day.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?.timestamp();
    let approved = match given(approves, "Approves")?.as_str() {
        "yes" => 1.0,
        "no" => 0.0,
        other => return Err(format!("`Approves` is `{other}`: write yes or no")),
    };
    Ok(Reading {
        figures: [("statement.approved", approved)].into(),
        dated: Some(dated),
        by: Some(name),
        remarks: vec![statement],
    })
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
    fn what_is_missing_is_named() {
        for (from, to, why) in [
            ("Name: Jane Doe\n", "", "no `Name`"),
            ("Jane Doe", "", "no `Name`"),
            ("2026-11-30", "30.11.2026", "is not a date"),
            ("yes", "maybe", "write yes or no"),
            ("Name: Jane", "Name: A\nName: Jane", "duplicated"),
            ("Name: Jane Doe", "Jane Doe", "no `:`"),
            ("Name", "Author", "begins with `Author`"),
        ] {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(why), "{from} -> {to}: {error}");
        }
    }
}
