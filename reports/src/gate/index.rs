//! The index of a directory of runs: a line for each run that begins and one for each that ends, appended and never changed.
//!
//! A run that is in the index and not in the directory was removed, also if it was killed before it could end. Checksums continue
//! from line to line, so that a line that was changed or taken out is found. Lines cut off at the end are found by a later run that is there
//! and not in the index; where there is none, or the whole index was removed, nothing shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use notation::framed::{Chain, Lines, Next, TooLong, append};
use serde::{Deserialize, Serialize};

use crate::runlog::event::{BuildFacts, Header, HostFacts};
use crate::verdict::{Judgement, Variant};

/// Its name in the directory of runs.
pub const FILE: &str = "index.jsonl";
/// A line holds a few names and hashes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The verdict of a run that has begun and not ended: it goes on, or was killed.
const UNFINISHED: &str = "UNFINISHED";

/// A run that has begun, or that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub run_id: String,
    pub started_utc: String,
    pub scenario: String,
    pub scenario_sha256: String,
    pub profile: Option<String>,
    /// Nothing but a profile was laid over the file: no override, no compressed schedule, no smaller fleet.
    pub as_asked: bool,
    /// `FAIL`: what it was judged to be when it ended; `UNFINISHED` until then.
    pub verdict: String,
    /// Empty until it has ended.
    pub log_sha256: String,
    /// From the directory of runs.
    pub directory: String,
    /// Of the build that ran; absent if that is unknown or the build had changes of its own, and in older indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// That ran it, as its log names it; absent in older indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl Entry {
    pub fn of(judgement: &Judgement, log_sha256: String, directory: String) -> Self {
        Self {
            run_id: judgement.run_id.clone(),
            started_utc: judgement.started_utc.clone(),
            scenario: judgement.scenario.clone(),
            scenario_sha256: judgement.file.as_ref().map(|file| file.sha256.clone()).unwrap_or_default(),
            profile: judgement.variant.profile.clone(),
            as_asked: as_asked(&judgement.variant),
            verdict: judgement.verdict.word().to_owned(),
            log_sha256,
            directory,
            commit: None,
            machine: None,
        }
    }

    /// Of a run that begins now.
    pub fn begun(header: &Header, directory: String) -> Self {
        let scenario = &header.scenario;
        Self {
            run_id: header.run_id.clone(),
            started_utc: header.started_utc.clone(),
            scenario: scenario.name.clone(),
            scenario_sha256: scenario.sha256.clone(),
            profile: scenario.profile.clone(),
            as_asked: as_asked(&Variant::of(header)),
            verdict: UNFINISHED.to_owned(),
            log_sha256: String::new(),
            directory,
            commit: header.build.commit().map(str::to_owned),
            machine: Some(header.host.machine.clone()),
        }
    }

    pub fn is_unfinished(&self) -> bool {
        self.verdict == UNFINISHED
    }

    /// What the header of a run says now, and what it said when the run began. Nothing if they agree, as far as this has it.
    pub fn contradicts(&self, judgement: &Judgement, host: &HostFacts, build: &BuildFacts) -> Option<String> {
        let now = Self::of(judgement, String::new(), String::new());
        let none = || "none".to_owned();
        let words = |as_asked: bool| (if as_asked { "that of the file" } else { "another" }).to_owned();
        let mut known = vec![
            ("id", self.run_id.clone(), now.run_id),
            ("start", self.started_utc.clone(), now.started_utc),
            ("scenario", self.scenario.clone(), now.scenario),
            ("SHA-256 of the scenario", self.scenario_sha256.clone(), now.scenario_sha256),
            ("profile", self.profile.clone().unwrap_or_else(none), now.profile.unwrap_or_else(none)),
            ("plan", words(self.as_asked), words(now.as_asked)),
        ];
        // Older indexes have neither.
        if let Some(machine) = &self.machine {
            let commit = |commit: Option<&str>| commit.unwrap_or("unknown").to_owned();
            known.push(("machine", machine.clone(), host.machine.clone()));
            known.push(("commit", commit(self.commit.as_deref()), commit(build.commit())));
        }
        let (what, then, now) = known.into_iter().find(|(_, then, now)| then != now)?;
        Some(format!("its {what} is {now}, and was {then} when it began"))
    }
}

/// Other criteria leave the run as it was.
fn as_asked(variant: &Variant) -> bool {
    variant.overrides.is_empty() && variant.rehearsal.is_none() && variant.smaller.is_none()
}

/// What an index says, as far as it can be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    pub entries: Vec<Entry>,
    /// Where it does not verify any more, and why. Nothing after it is read.
    pub damaged: Option<String>,
}

/// Reads an index. Of the lines of a run, the last one counts: it has one for its beginning, which alone names commit and machine, and one
/// for each end.
pub fn read(input: impl BufRead) -> Index {
    let (mut index, end) = walk(input);
    if end.is_torn {
        let line = end.count + 1;
        index.damaged = Some(format!("line {line}: it stops in its middle, so what it said is lost"));
    }
    let mut begun = BTreeMap::new();
    for Entry { run_id, commit, machine, .. } in &index.entries {
        begun.entry(run_id.clone()).or_insert_with(|| (commit.clone(), machine.clone()));
    }
    let mut seen = BTreeSet::new();
    index.entries.reverse();
    index.entries.retain(|entry| seen.insert(entry.run_id.clone()));
    index.entries.reverse();
    for entry in &mut index.entries {
        (entry.commit, entry.machine) = begun.remove(&entry.run_id).unwrap_or_default();
    }
    index
}

/// One more line: its bytes, and where in the file it begins. What a writer did not finish is overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    pub offset: u64,
    pub line: Vec<u8>,
}

/// The line of one more run, for an index that holds `before`. The error says why nothing can be added.
pub fn add(before: impl BufRead, entry: &Entry) -> Result<Addition, String> {
    let (index, End { mut chain, offset, .. }) = walk(before);
    if let Some(damaged) = index.damaged {
        return Err(damaged);
    }
    let mut line = Vec::new();
    append(&mut chain, &mut line, entry, LINE_BYTES_MAX)
        .map_err(|TooLong { bytes, .. }| format!("a line would have {bytes} bytes"))?;
    Ok(Addition { offset, line })
}

/// How far the lines of an index are whole.
struct End {
    count: u64,
    chain: Chain,
    offset: u64,
    /// What follows is the beginning of one more line: its writer was stopped, or the file was cut.
    is_torn: bool,
}

/// What it holds; a line at the end that is not whole is for the caller to judge.
fn walk(input: impl BufRead) -> (Index, End) {
    let mut lines = Lines::new(input, LINE_BYTES_MAX);
    let (mut entries, mut is_torn) = (Vec::new(), false);
    let damaged = loop {
        match next(&mut lines) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {
                is_torn = !lines.text().is_empty();
                break None;
            }
            Err(why) => break Some(format!("line {}: {why}", lines.count() + 1)),
        }
    };
    let end = End { count: lines.count(), chain: lines.chain(), offset: lines.offset(), is_torn };
    (Index { entries, damaged }, end)
}

/// Nothing at the end.
fn next(lines: &mut Lines<impl BufRead>) -> Result<Option<Entry>, String> {
    match lines.advance().map_err(|error| error.to_string())? {
        Next::Torn if lines.has_changed_end() => return Err("its end was changed".to_owned()),
        Next::End | Next::Torn => return Ok(None),
        Next::TooLong => return Err("it is longer than any line of an index".to_owned()),
        Next::Whole => {}
    }
    let checked = lines.check().map_err(|error| error.to_string())?;
    let entry = serde_json::from_slice(&checked.json).map_err(|error| error.to_string())?;
    lines.accept(&checked);
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> Entry {
        Entry {
            run_id: format!("smoke-{number}"),
            started_utc: "2026-01-02T03:04:05Z".into(),
            scenario: "smoke".into(),
            scenario_sha256: "ab".repeat(32),
            profile: None,
            as_asked: true,
            verdict: "FAIL".into(),
            log_sha256: "cd".repeat(32),
            directory: format!("smoke/{number}"),
            commit: None,
            machine: None,
        }
    }

    fn file(count: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..count {
            let Addition { offset, line } = add(&*bytes, &entry(number)).unwrap();
            bytes.truncate(offset as usize);
            bytes.extend(line);
        }
        bytes
    }

    #[test]
    fn what_was_added_is_read_in_its_order() {
        let index = read(&*file(3));
        assert_eq!((index.entries, index.damaged), ((0..3).map(entry).collect(), None));
        assert_eq!(read(&b""[..]), Index::default());
    }

    #[test]
    fn of_a_run_that_went_on_the_last_end_counts() {
        let mut bytes = file(2);
        let later = Entry { verdict: "PASS".into(), log_sha256: "ef".repeat(32), ..entry(0) };
        let Addition { line, .. } = add(&*bytes, &later).unwrap();
        bytes.extend(line);
        assert_eq!(read(&*bytes).entries, [entry(1), later]);
    }

    #[test]
    fn a_line_that_was_changed_or_taken_out_is_found() {
        let text = String::from_utf8(file(4)).unwrap();
        let changed = text.replacen("\"verdict\":\"FAIL\"", "\"verdict\":\"PASS\"", 1);
        let index = read(changed.as_bytes());
        assert!(index.entries.is_empty() && index.damaged.unwrap().starts_with("line 1: "));
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let without = [lines[0], lines[2], lines[3]].concat();
        let index = read(without.as_bytes());
        assert_eq!(index.entries.len(), 1);
        assert!(index.damaged.unwrap().starts_with("line 2: "));
        assert!(add(without.as_bytes(), &entry(9)).is_err());
    }

    #[test]
    fn a_line_that_was_not_finished_is_overwritten() {
        let mut bytes = file(2);
        bytes.truncate(bytes.len() - 7);
        let torn = read(&*bytes);
        assert_eq!(torn.entries.len(), 1);
        assert!(torn.damaged.unwrap().starts_with("line 2: it stops in its middle"));
        let Addition { offset, line } = add(&*bytes, &entry(5)).unwrap();
        bytes.truncate(offset as usize);
        bytes.extend(line);
        let ids: Vec<_> = read(&*bytes).entries.into_iter().map(|entry| entry.run_id).collect();
        assert_eq!(ids, ["smoke-0", "smoke-5"]);
    }
}
