//! The index of a directory of runs: a line for each run that begins and one for each that ends, appended and never changed.
//!
//! A run that is in the index and not in the directory was removed, also if it was killed before it could end. Checksums continue
//! from line to line, so that a line that was changed or taken out is found. Lines cut off at the end are found by a later run that is there
//! and not in the index; where there is none, or the whole index was removed, nothing shows it.
//!
//! A run that is resumed has further lines. They add to what the earlier ones say, and replace none of it: its logs begin with those that it
//! had then. A line that says otherwise is a rival of the run that was there first.

mod growth;

use std::collections::BTreeMap;
use std::io::BufRead;

use notation::framed::{Chain, Lines, Next, TooLong, append};
use serde::{Deserialize, Serialize};

use crate::runlog::event::{BuildFacts, Header, HostFacts};
use crate::verdict::{Judgement, Variant, Verdict};

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
    /// Of each of its logs, joined. Until it has ended, of those of the segments that came before; empty if there are none, and also where the
    /// log of a run that has ended is not what the run wrote.
    pub log_sha256: String,
    /// From the directory of runs.
    pub directory: String,
    /// Of the scenario, as given on the command line; absent in older indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
            file: judgement.file.as_ref().map(|file| file.path.clone()),
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
            file: Some(scenario.file.clone()),
            commit: header.build.commit().map(str::to_owned),
            machine: Some(header.host.machine.clone()),
        }
    }

    pub fn is_unfinished(&self) -> bool {
        self.verdict == UNFINISHED
    }

    /// Whether it was PASS when it ended.
    pub fn has_passed(&self) -> bool {
        self.verdict == Verdict::Pass.word()
    }

    /// What the header of a run says now, and what it said when the run began. Nothing if they agree, as far as this has it.
    pub fn contradicts(&self, judgement: &Judgement, host: &HostFacts, build: &BuildFacts) -> Option<String> {
        let now = Self {
            commit: build.commit().map(str::to_owned),
            machine: Some(host.machine.clone()),
            ..Self::of(judgement, String::new(), String::new())
        };
        self.differs(&now)
    }
}

/// Other criteria leave the run as it was.
fn as_asked(variant: &Variant) -> bool {
    variant.overrides.is_empty() && variant.rehearsal.is_none() && variant.smaller.is_none()
}

/// What an index says, as far as it can be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// One of each run, in the order in which they began.
    pub entries: Vec<Entry>,
    /// Lines that contradict what the index had of their run before: its logs are others, or its header is.
    pub rivals: Vec<Entry>,
    /// Where it does not verify any more, and why. Nothing after it is read.
    pub damaged: Option<String>,
}

/// Reads an index. A run has a line for each beginning, which alone names commit and machine, and one for each end.
pub fn read(input: impl BufRead) -> Index {
    let (lines, end) = walk(input);
    let mut index = Index { damaged: end.damaged, ..Index::default() };
    if end.is_torn {
        let line = end.count + 1;
        index.damaged = Some(format!("line {line}: it stops in its middle, so what it said is lost"));
    }
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        if let Some(entry) = places.get(&line.run_id).map(|place| &mut index.entries[*place]) {
            index.rivals.extend(entry.grow(line).err().map(|line| *line));
        } else {
            places.insert(line.run_id.clone(), index.entries.len());
            index.entries.push(line);
        }
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
    let (_, End { mut chain, offset, damaged, .. }) = walk(before);
    if let Some(damaged) = damaged {
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
    /// Why the next line does not verify.
    damaged: Option<String>,
}

/// Its lines; one at the end that is not whole is for the caller to judge.
fn walk(input: impl BufRead) -> (Vec<Entry>, End) {
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
    let end = End { count: lines.count(), chain: lines.chain(), offset: lines.offset(), is_torn, damaged };
    (entries, end)
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
            file: None,
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

    /// An index with these lines.
    fn of(lines: &[Entry]) -> Index {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(add(&*bytes, line).unwrap().line);
        }
        read(&*bytes)
    }

    /// The verdict of a run, and its logs.
    fn ended(verdict: &str, logs: &str) -> Entry {
        Entry { verdict: verdict.into(), log_sha256: logs.into(), ..entry(0) }
    }

    #[test]
    fn of_a_run_that_went_on_the_last_end_counts() {
        let begun = |logs| ended(UNFINISHED, logs);
        let lines = [begun(""), ended("FAIL", "aa"), entry(1), begun("aa"), ended("PASS", "aa+bb")];
        let index = of(&lines);
        assert_eq!((index.entries, index.rivals), (vec![ended("PASS", "aa+bb"), entry(1)], vec![]));
        // Of a run that was killed, there is no hash until it goes on.
        let index = of(&[begun(""), begun("aa"), ended("PASS", "aa+bb")]);
        assert_eq!((index.entries, index.rivals), (vec![ended("PASS", "aa+bb")], vec![]));
    }

    /// Older builds add no hash to the line of a run that goes on.
    #[test]
    fn a_run_that_goes_on_is_held_to_what_it_had_recorded_before() {
        for hashes in ["", "aa"] {
            let index = of(&[ended(UNFINISHED, ""), ended("FAIL", "aa"), ended(UNFINISHED, hashes)]);
            assert_eq!((index.entries, index.rivals), (vec![ended(UNFINISHED, "aa")], vec![]), "{hashes}");
        }
    }

    #[test]
    fn no_later_line_replaces_what_an_earlier_one_of_its_run_recorded() {
        let first = ended("FAIL", "aa+bb");
        let begun = ended(UNFINISHED, "aa+bb");
        for rival in [
            ended("PASS", "aa"),
            ended("PASS", "aa+cc"),
            ended("PASS", "aa+bbcc"),
            ended("PASS", ""),
            ended(UNFINISHED, "aa"),
            Entry { started_utc: "2025-01-02T03:04:05Z".into(), ..ended("PASS", "aa+bb+cc") },
            Entry { profile: Some("ci".into()), ..ended("PASS", "aa+bb+cc") },
            Entry { as_asked: false, ..ended("PASS", "aa+bb+cc") },
        ] {
            let index = of(&[first.clone(), rival.clone()]);
            assert_eq!((index.entries, index.rivals), (vec![first.clone()], vec![rival.clone()]));
            let index = of(&[first.clone(), begun.clone(), rival.clone()]);
            assert_eq!((index.entries, index.rivals), (vec![begun.clone()], vec![rival]));
        }
        // Its log was not what it wrote when it ended.
        let lost = ended("INCONCLUSIVE", "");
        let index = of(&[ended(UNFINISHED, ""), lost.clone(), ended("PASS", "aa+bb")]);
        assert_eq!((index.entries, index.rivals), (vec![lost], vec![ended("PASS", "aa+bb")]));
        // The segment that had begun is gone by the end.
        let rival = ended("INCONCLUSIVE", "aa+bb");
        let index = of(&[first, begun.clone(), rival.clone()]);
        assert_eq!((index.entries, index.rivals), (vec![begun], vec![rival]));
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
