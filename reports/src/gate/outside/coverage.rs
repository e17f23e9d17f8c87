//! Test coverage: lcov's tracefiles, and the JSON of `cargo llvm-cov --json`.
//!
//! What a file says of itself is held against what it lists. `llvm-cov` sums `LF` and `LH` over functions, so that a line that two of them
//! share counts twice: the lines that are listed are what is counted, and a sum may only be larger, and never hide a miss.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Reading, not_json};

/// Found and hit, of one kind of thing.
type Pair = (u64, u64);

const LINES: &str = "coverage.lines";
const FUNCTIONS: &str = "coverage.functions";
const BRANCHES: &str = "coverage.branches";
const REGIONS: &str = "coverage.regions";

/// What a tracefile says of one source file.
#[derive(Default)]
struct Record<'t> {
    /// Each sum, and the number of its line.
    sums: BTreeMap<&'static str, (u64, usize)>,
    /// By the number of the line in the source: how often it ran.
    lines: BTreeMap<u64, u64>,
    /// By name: the most that one of this name ran.
    functions: BTreeMap<&'t str, u64>,
    /// How many of the rows of functions ran: two of one name are two rows.
    functions_run: u64,
    branches: Pair,
    /// By line, block and branch: whether it was taken.
    taken: BTreeMap<&'t str, bool>,
}

/// Of each kind of thing that a source file has.
type Pairs = Vec<(&'static str, Pair)>;

const SUMS: [&str; 6] = ["LF", "LH", "FNF", "FNH", "BRF", "BRH"];

/// Sums over all files of a tracefile: the lines that it lists, else `LF`/`LH`; `FNF`/`FNH` functions, `BRF`/`BRH` branches. A source file
/// may have a record of each test (`TN`): what any of them reached is reached.
pub(super) fn lcov(text: &str) -> Result<Reading, String> {
    let mut records: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut files: BTreeMap<String, Vec<(Record<'_>, Pairs)>> = BTreeMap::new();
    let mut test = "";
    let mut open: Option<(String, Record<'_>)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let at = |why: String| format!("line {number}: {why}");
        let line = line.trim();
        if let Some(source) = line.strip_prefix("SF:") {
            if open.is_some() {
                return Err(at("a second `SF` before the `end_of_record` of the one before".to_owned()));
            }
            let source = plain(source);
            if let Some(first) = records.insert((test, source.clone()), number) {
                return Err(at(format!(
                    "`{source}` is duplicated: it is at line {first}: merge the tracefiles"
                )));
            }
            open = Some((source, Record::default()));
        } else if line == "end_of_record" {
            let Some((source, record)) = open.take() else {
                return Err(at("an `end_of_record` without its `SF`".to_owned()));
            };
            let pairs = record.pairs().map_err(at)?;
            files.entry(source).or_default().push((record, pairs));
        } else if let Some((key, value)) = line.split_once(':') {
            let is_read = SUMS.contains(&key) || ["DA", "FNDA", "BRDA"].contains(&key);
            match &mut open {
                Some((_, record)) => record.take(key, value, number).map_err(at)?,
                None if is_read => return Err(at(format!("a `{key}` outside of the record of a file"))),
                None if key == "TN" => test = value,
                None => {}
            }
        }
    }
    if open.is_some() {
        return Err("it ends within the record of a file".to_owned());
    }
    if files.is_empty() {
        return Err("it holds no record of a file: is it an lcov tracefile?".to_owned());
    }
    let mut totals: BTreeMap<&str, Pair> = BTreeMap::new();
    for (kind, (found, hit)) in files.values().flat_map(|records| united(records)) {
        let total = totals.entry(kind).or_default();
        *total = (total.0.saturating_add(found), total.1.saturating_add(hit));
    }
    figures([LINES, FUNCTIONS, BRANCHES, REGIONS].map(|kind| (kind, totals.get(kind).copied())))
}

/// The name of a file without what leads nowhere: `./a.rs` is `a.rs`.
fn plain(source: &str) -> String {
    let parts: Vec<&str> = source.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let root = if source.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// What all tests together found and hit of one source file. Where they list nothing, what one of them says that it reached most is
/// the least that all of them did.
fn united(records: &[(Record<'_>, Pairs)]) -> Pairs {
    if let [(_, pairs)] = records {
        return pairs.clone();
    }
    let (mut lines, mut functions, mut taken) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (record, _) in records {
        let of_lines = record.lines.iter().map(|(line, times)| (*line, *times > 0));
        of_lines.for_each(|(line, ran)| *lines.entry(line).or_default() |= ran);
        let of_functions = record.functions.iter().map(|(name, times)| (*name, *times > 0));
        of_functions.for_each(|(name, ran)| *functions.entry(name).or_default() |= ran);
        record.taken.iter().for_each(|(branch, ran)| *taken.entry(*branch).or_default() |= *ran);
    }
    let declared = |kind| {
        let of_kind = records.iter().flat_map(|(_, pairs)| pairs).filter(|(other, _)| *other == kind);
        of_kind.map(|(_, pair)| *pair).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    };
    let listed = [
        (LINES, counted(lines.into_values())),
        (FUNCTIONS, counted(functions.into_values())),
        (BRANCHES, counted(taken.into_values())),
    ];
    let of = |(kind, rows): (&'static str, Pair)| {
        let pair = if rows.0 > 0 { Some(rows) } else { declared(kind) };
        pair.map(|pair| (kind, pair))
    };
    listed.into_iter().filter_map(of).collect()
}

/// How many there are, and how many of them are true.
fn counted(all: impl Iterator<Item = bool>) -> Pair {
    all.fold((0, 0), |(found, hit), is_hit| (found + 1, hit + u64::from(is_hit)))
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a count"))
}

impl<'t> Record<'t> {
    fn take(&mut self, key: &str, value: &'t str, number: usize) -> Result<(), String> {
        if let Some(sum) = SUMS.into_iter().find(|sum| *sum == key) {
            return match self.sums.insert(sum, (count(value)?, number)) {
                Some((_, first)) => {
                    Err(format!("a second `{key}` of the same file, after that of line {first}"))
                }
                None => Ok(()),
            };
        }
        let fields: Vec<&str> = value.split(',').collect();
        match (key, &fields[..]) {
            ("DA", [line, times, ..]) => match self.lines.insert(count(line)?, count(times)?) {
                Some(_) => Err(format!("a second `DA` of line {line} of the same file")),
                None => Ok(()),
            },
            // A name may have commas in it.
            ("FNDA", [times, _, ..]) => {
                let name = value.split_once(',').map_or("", |(_, name)| name);
                let times = count(times)?;
                self.functions.entry(name).and_modify(|most| *most = times.max(*most)).or_insert(times);
                self.functions_run += u64::from(times > 0);
                Ok(())
            }
            ("BRDA", [_, _, _, .., taken]) => {
                let is_taken = *taken != "-" && count(taken)? > 0;
                self.branches = (self.branches.0 + 1, self.branches.1 + u64::from(is_taken));
                let branch = value.rsplit_once(',').map_or(value, |(branch, _)| branch);
                *self.taken.entry(branch).or_default() |= is_taken;
                Ok(())
            }
            ("DA" | "FNDA" | "BRDA", _) => Err(format!("`{key}:{value}` is cut short")),
            _ => Ok(()),
        }
    }

    /// What was found and hit of each kind, if its sums and what is listed agree.
    fn pairs(&self) -> Result<Pairs, String> {
        let lines = counted(self.lines.values().map(|times| *times > 0));
        let functions = counted(self.functions.values().map(|times| *times > 0));
        let mut pairs = Vec::new();
        for (kind, [found, hit], what, listed, rows_hit) in [
            (LINES, ["LF", "LH"], "DA", lines, lines.1),
            (FUNCTIONS, ["FNF", "FNH"], "FNDA", functions, self.functions_run),
            (BRANCHES, ["BRF", "BRH"], "BRDA", self.branches, self.branches.1),
        ] {
            let sums = self.declared(found, hit, rows_hit)?;
            if let (Some((declared, declared_hit)), true) = (sums, listed.0 > 0) {
                let at = self.sums.get(hit).or(self.sums.get(found)).map_or(0, |(_, number)| *number);
                let said = format!(
                    "`{hit}` is {declared_hit} of {declared} (line {at}), and its `{what}` lines show {} of {}",
                    listed.1, listed.0
                );
                // Functions that are instances of one count once, and two of one name twice; so does a line of two functions.
                let hides = kind == LINES && declared - declared_hit < listed.0 - listed.1;
                let beyond = kind != LINES && declared_hit > rows_hit;
                if hides || beyond || (declared_hit == 0) != (listed.1 == 0) {
                    return Err(said);
                }
            }
            // What was only listed counts as well; of functions and branches, the sums say which are one.
            let is_listed = listed.0 > 0 && (kind == LINES || sums.is_none());
            pairs.extend(if is_listed { Some(listed) } else { sums }.map(|pair| (kind, pair)));
        }
        Ok(pairs)
    }

    /// By its sums. Where it has no sum of what was hit (tarpaulin writes no `FNH`), its rows say how much that is.
    fn declared(&self, found: &str, hit: &str, rows_hit: u64) -> Result<Option<Pair>, String> {
        let Some((all, line)) = self.sums.get(found).copied() else {
            return match self.sums.get(hit) {
                Some((_, number)) => Err(format!("a `{hit}` (line {number}) without its `{found}`")),
                None => Ok(None),
            };
        };
        match self.sums.get(hit).copied() {
            Some((reached, number)) if reached > all => {
                Err(format!("`{hit}` (line {number}) says that {reached} of {all} were reached"))
            }
            None if rows_hit > all => Err(format!(
                "`{found}` (line {line}) says that there are {all}, and its rows show {rows_hit} that ran"
            )),
            Some((reached, _)) => Ok(Some((all, reached))),
            None => Ok(Some((all, rows_hit))),
        }
    }
}

/// The totals of an export, which must be the sums over its files.
pub(super) fn llvm_cov(text: &str) -> Result<Reading, String> {
    let export: Value = serde_json::from_str(text)
        .map_err(|_| format!("it is {}", not_json(text, "cargo llvm-cov --json")))?;
    let totals = export
        .pointer("/data/0/totals")
        .ok_or("it has no `data[0].totals`: is it the output of `cargo llvm-cov --json`?")?;
    if export.pointer("/data/1").is_some() {
        return Err("it has more than one export in `data`: make a file of each".to_owned());
    }
    let files = export.pointer("/data/0/files").and_then(Value::as_array);
    let files = files.ok_or("it has totals and no `files` that they could be the totals of")?;
    let mut names = BTreeSet::new();
    for (at, file) in files.iter().enumerate() {
        let name = file.get("filename").and_then(Value::as_str);
        let name = name.ok_or_else(|| format!("`data[0].files[{at}]` has no `filename`"))?;
        if !names.insert(name) {
            return Err(format!("`data[0].files[{at}]`: `{name}` is duplicated"));
        }
    }
    let of = |key| summed(totals, files, key);
    figures([
        (LINES, of("lines")?),
        (FUNCTIONS, of("functions")?),
        (BRANCHES, of("branches")?),
        (REGIONS, of("regions")?),
    ])
}

/// A kind of thing in the totals, held against the files.
fn summed(totals: &Value, files: &[Value], key: &str) -> Result<Option<Pair>, String> {
    let pair = |place: String, of: &Value| {
        let number = |name: &str| of.get(name).and_then(Value::as_u64);
        match (number("count"), number("covered")) {
            (Some(all), Some(covered)) if covered <= all => Ok((all, covered)),
            (Some(all), Some(covered)) => Err(format!("`{place}` says that {covered} of {all} were reached")),
            _ => Err(format!("`{place}` has no `count` and `covered` that are counts")),
        }
    };
    let Some(total) = totals.get(key) else { return Ok(None) };
    let total = pair(format!("data[0].totals.{key}"), total)?;
    let mut sum: Pair = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let place = format!("data[0].files[{at}].summary.{key}");
        let Some(of) = file.pointer(&format!("/summary/{key}")) else {
            return Err(format!("it has no `{place}`, and totals of it"));
        };
        let (all, covered) = pair(place, of)?;
        sum = (sum.0.saturating_add(all), sum.1.saturating_add(covered));
    }
    if sum != total {
        return Err(format!(
            "`data[0].totals.{key}` says {} of {}, and its files are {} of {} together",
            total.1, total.0, sum.1, sum.0
        ));
    }
    Ok(Some(total))
}

/// Where nothing was found there is nothing to cover, and no figure.
fn figures(pairs: [(&'static str, Option<Pair>); 4]) -> Result<Reading, String> {
    let mut reading = Reading::default();
    for (name, pair) in pairs {
        let Some((found, hit)) = pair.filter(|(found, _)| *found > 0) else { continue };
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

    /// Where the rows of a record and its sums can be told apart, the rows count.
    #[test]
    fn what_a_tracefile_lists_is_held_against_what_it_says() {
        let of = |body: &str| lcov(&format!("SF:a.rs\n{body}\nend_of_record\n"));
        let reading = of("DA:1,1\nDA:2,0\nDA:3,18446744073709551151\nDA:4,0\nLF:5\nLH:3").unwrap();
        assert_eq!(
            reading.figures.get("coverage.lines"),
            Some(&0.5),
            "a line that two functions share counts once"
        );
        let reading = of("DA:1,1,checksum\nDA:2,0").unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.5), "without sums, the rows are counted");
        for (body, why) in [
            ("DA:1,0\nDA:2,0\nLF:2\nLH:2", "line 6: `LH` is 2 of 2 (line 5), and its `DA` lines show 0 of 2"),
            ("DA:1,1\nDA:2,0\nLF:2\nLH:2", "its `DA` lines show 1 of 2"),
            ("DA:1,1\nDA:2,0\nLF:100\nLH:100", "its `DA` lines show 1 of 2"),
            ("LF:1\nLH:1\nLF:100\nLH:100", "line 4: a second `LF` of the same file, after that of line 2"),
            ("LF:2\nLH:-1", "line 3: `-1` is not a count"),
            ("DA:1,-1\nLF:1\nLH:1", "line 2: `-1` is not a count"),
            ("DA:1,0\nDA:1,1\nLF:1\nLH:1", "line 3: a second `DA` of line 1"),
            ("DA:1", "line 2: `DA:1` is cut short"),
            ("LH:1", "a `LH` (line 2) without its `LF`"),
            ("SF:b.rs\nLF:1\nLH:1", "line 2: a second `SF` before the `end_of_record`"),
            ("FNDA:0,f\nFNF:1\nFNH:1", "its `FNDA` lines show 0 of 1"),
            ("BRDA:1,0,0,-\nBRF:1\nBRH:1", "its `BRDA` lines show 0 of 1"),
        ] {
            let error = of(body).unwrap_err();
            assert!(error.contains(why), "{body:?}: {error}");
        }
        let twice = "SF:a.rs\nLF:1\nLH:1\nend_of_record\n".repeat(2);
        assert!(lcov(&twice).unwrap_err().contains("line 5: `a.rs` is duplicated: it is at line 1"));
        for again in ["./a.rs", ".//a.rs", "././a.rs"] {
            let twice =
                format!("SF:a.rs\nLF:1\nLH:1\nend_of_record\nSF:{again}\nLF:1\nLH:1\nend_of_record\n");
            assert!(lcov(&twice).unwrap_err().contains("`a.rs` is duplicated"), "{again}");
        }
        assert!(
            lcov("LF:9\nSF:a.rs\nLF:1\nLH:1\nend_of_record\n")
                .unwrap_err()
                .contains("line 1: a `LF` outside")
        );
    }

    /// As `cargo llvm-cov --lcov` writes it for a generic function and a closure: its sums are larger than its rows.
    #[test]
    fn an_honest_tracefile_of_llvm_cov_is_read() {
        let text = "SF:/src/lib.rs\nFN:1,max::<u8>\nFN:1,max::<f32>\nFNDA:0,max::<u8>\nFNDA:1,max::<f32>\nFNF:1\nFNH:1\n\
                    DA:1,2\nDA:2,2\nDA:3,2\nDA:15,0\nDA:16,0\nBRF:0\nBRH:0\nLF:8\nLH:5\nend_of_record";
        let reading = lcov(text).unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.6));
        assert_eq!(reading.figures.get("coverage.functions"), Some(&1.0));
    }

    /// As `cargo tarpaulin --out Lcov` writes it: without `FNH`.
    #[test]
    fn an_honest_tracefile_of_tarpaulin_is_read() {
        let text = "TN:\nSF:/src/lib.rs\nFN:1,lib::ran\nFN:5,lib::idle\nFNF:2\nFNDA:3,lib::ran\nFNDA:0,lib::idle\n\
                    DA:1,3\nDA:2,3\nDA:5,0\nDA:6,0\nLF:4\nLH:2\nend_of_record\n";
        let reading = lcov(text).unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.5));
        assert_eq!(reading.figures.get("coverage.functions"), Some(&0.5));
        // What is not listed has not run.
        let more = lcov(&text.replace("FNF:2", "FNF:10")).unwrap();
        assert_eq!(more.figures.get("coverage.functions"), Some(&0.1));
        assert!(lcov(&text.replace("FNF:2", "FNF:0")).unwrap_err().contains("line 5) says that there are 0"));
        assert!(lcov("SF:a\nLF:2\nend_of_record\n").unwrap().figures.get("coverage.lines") == Some(&0.0));
    }

    /// Inner functions of JavaScript, or a property of Python with its setter.
    #[test]
    fn two_functions_of_one_name_in_one_file_are_two() {
        let of = |sums: &str| {
            lcov(&format!(
                "SF:a.js\nFN:1,(anonymous)\nFN:9,(anonymous)\nFNDA:1,(anonymous)\nFNDA:2,(anonymous)\n{sums}\nend_of_record\n"
            ))
        };
        assert_eq!(of("FNF:2\nFNH:2").unwrap().figures.get("coverage.functions"), Some(&1.0));
        assert!(of("FNF:3\nFNH:3").unwrap_err().contains("its `FNDA` lines show 1 of 1"));
    }

    /// As `lcov -a a.info -a b.info` writes it for two tests: a record of each, and what either of them reached is reached.
    #[test]
    fn the_records_of_several_tests_are_one_file() {
        let record = |test: &str, first: u32, second: u32| {
            format!(
                "TN:{test}\nSF:a.c\nFN:1,f\nFN:2,g\nFNDA:{first},f\nFNDA:{second},g\nFNF:2\nFNH:1\nBRDA:1,0,0,{first}\nBRDA:1,0,1,{second}\n\
                 BRF:2\nBRH:1\nDA:1,{first}\nDA:2,{second}\nDA:3,0\nLF:3\nLH:1\nend_of_record\n"
            )
        };
        let (a, b) = (record("a", 1, 0), record("b", 0, 4));
        for (text, lines, others) in
            [(a.clone() + &b, 2.0 / 3.0, 1.0), (a.clone() + &record("b", 7, 0), 1.0 / 3.0, 0.5)]
        {
            let reading = lcov(&text).unwrap();
            let of = |name| reading.figures.get(name);
            assert_eq!(of("coverage.lines"), Some(&lines), "{text}");
            assert_eq!(of("coverage.functions"), Some(&others), "{text}");
            assert_eq!(of("coverage.branches"), Some(&others), "{text}");
        }
        let error = lcov(&(a.clone() + &b + &a)).unwrap_err();
        assert!(error.contains("`a.c` is duplicated: it is at line 2"), "{error}");
        // Of sums alone, no more than one test reached is known.
        let sums =
            lcov("TN:a\nSF:a.c\nLF:10\nLH:4\nend_of_record\nTN:b\nSF:a.c\nLF:10\nLH:6\nend_of_record\n")
                .unwrap();
        assert_eq!(sums.figures.get("coverage.lines"), Some(&0.6));
    }

    fn export(totals: &str, files: &[&str]) -> String {
        let files: Vec<String> = files
            .iter()
            .enumerate()
            .map(|(at, of)| format!(r#"{{"filename":"{at}.rs","summary":{of}}}"#))
            .collect();
        format!(
            r#"{{"data":[{{"files":[{}],"totals":{totals}}}],"type":"llvm.coverage.json.export"}}"#,
            files.join(",")
        )
    }

    #[test]
    fn the_totals_of_llvm_cov_are_read_if_they_are_those_of_its_files() {
        let text = export(
            r#"{"lines":{"count":200,"covered":151,"percent":75.5},"regions":{"count":10,"covered":5},"branches":{"count":0,"covered":0}}"#,
            &[
                r#"{"lines":{"count":100,"covered":100},"regions":{"count":4,"covered":4},"branches":{"count":0,"covered":0}}"#,
                r#"{"lines":{"count":100,"covered":51},"regions":{"count":6,"covered":1},"branches":{"count":0,"covered":0}}"#,
            ],
        );
        let reading = llvm_cov(&text).unwrap();
        assert_eq!(reading.figures.get("coverage.lines"), Some(&0.755));
        assert_eq!(reading.figures.get("coverage.regions"), Some(&0.5));
        assert!(!reading.figures.contains_key("coverage.branches"));
        assert!(llvm_cov("{}").unwrap_err().contains("totals"));
        assert!(llvm_cov("{").unwrap_err().contains("not JSON"));
        let of = |total: &str, file: &str| {
            llvm_cov(&export(&format!(r#"{{"lines":{total}}}"#), &[&format!(r#"{{"lines":{file}}}"#)]))
        };
        let one = r#"{"count":10,"covered":1}"#;
        for (total, file, why) in [
            (
                r#"{"count":10,"covered":10}"#,
                one,
                "`data[0].totals.lines` says 10 of 10, and its files are 1 of 10",
            ),
            (one, r#"{"count":10,"covered":11}"#, "`data[0].files[0].summary.lines` says that 11 of 10"),
            (one, r#"{"count":10,"covered":-1}"#, "that are counts"),
            (one, "null", "that are counts"),
        ] {
            let error = of(total, file).unwrap_err();
            assert!(error.contains(why), "{total} {file}: {error}");
        }
        let twice = export(r#"{"lines":{"count":0,"covered":0}}"#, &["{}", "{}"]).replace("1.rs", "0.rs");
        assert!(llvm_cov(&twice).unwrap_err().contains("`0.rs` is duplicated"));
        assert!(llvm_cov(r#"{"data":[{"totals":{}}]}"#).unwrap_err().contains("no `files`"));
        assert!(
            llvm_cov(r#"{"data":[{"totals":{},"files":[]},{}]}"#)
                .unwrap_err()
                .contains("more than one export")
        );
    }
}
