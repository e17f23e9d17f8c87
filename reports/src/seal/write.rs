//! From runs to a bundle.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufReader, Read, Seek, Write};

use super::archive::Packer;
use super::envelope::Envelope;
use super::statement::{Digests, Statement, Subject, TestResult};
use super::{PrivateKey, SEAL, SealError};
use crate::facts::Facts;
use crate::render;
use crate::run_dir::HeaderCheck;
use crate::run_dir::layout::{VERDICT, segment_log};
use crate::sha256::{hex, sha256_of};
use crate::verdict::Judgement;

/// A log, wherever it is kept.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// A run to be sealed.
pub struct RunInput {
    /// As messages call it.
    pub name: String,
    /// Of all its segments, in order.
    pub logs: Vec<Box<dyn Source>>,
    /// The text of its scenario, and of those that it extends, the nearest first.
    pub scenario: Vec<String>,
    /// What its `verdict.json` says.
    pub verdict: Vec<u8>,
}

impl std::fmt::Debug for RunInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunInput").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One file that will be in the bundle.
enum Content {
    Text(Vec<u8>),
    /// The log of this number.
    Log(usize),
}

/// A run as it will be in the bundle.
struct Prepared {
    judgement: Judgement,
    files: Vec<(String, u64, Content)>,
    subjects: Vec<Subject>,
    logs: Vec<Box<dyn Source>>,
}

/// The hash by which a run's header names its scenario: of its text and of those that it extends.
pub fn scenario_sha256(texts: &[impl AsRef<[u8]>]) -> String {
    let mut digest = Sha256::new();
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            // Parted by a byte that no text has.
            digest.update([0xff]);
        }
        digest.update(text);
    }
    hex(&digest.finalize())
}

/// `scenario.toml`, and those that it extends: `scenario.base-1.toml`, …
pub(super) fn scenario_file(index: usize) -> String {
    if index == 0 { "scenario.toml".to_owned() } else { format!("scenario.base-{index}.toml") }
}

pub(super) const FINGERPRINT: &str = "fingerprint.json";

/// The host and the build of a run, from its log.
pub(super) fn fingerprint(facts: &Facts) -> Vec<u8> {
    let header = &facts.header;
    let text = format!("{:#}\n", json!({ "host": header.host, "build": header.build }));
    text.into_bytes()
}

/// What a run's scenario is to the statement.
pub(super) fn configuration(facts: &Facts) -> Subject {
    let scenario = &facts.header.scenario;
    let digest = Digests { sha256: scenario.sha256.clone() };
    Subject { name: scenario.file.clone(), digest }
}

/// Writes a bundle of these runs. Judges each from its logs: a verdict that says something else is not sealed.
pub fn seal<W: Write>(
    out: W,
    runs: Vec<RunInput>,
    key: Option<&PrivateKey>,
    check: HeaderCheck,
) -> Result<Vec<Judgement>, SealError> {
    let prepared = runs.into_iter().map(|run| prepare(run, check)).collect::<Result<Vec<_>, _>>()?;
    let mut prepared: Vec<(Prepared, Subject)> = prepared;
    prepared.sort_by(|(a, _), (b, _)| a.judgement.run_id.cmp(&b.judgement.run_id));
    for pair in prepared.windows(2) {
        let run = &pair[1].0.judgement.run_id;
        if *run == pair[0].0.judgement.run_id {
            let what = "it is named twice, and a run counts once".to_owned();
            return Err(SealError::Run { run: run.clone(), what, hint: "name each run once" });
        }
    }
    let judged: Vec<(&Judgement, Subject)> =
        prepared.iter().map(|(run, scenario)| (&run.judgement, scenario.clone())).collect();
    let subjects = prepared.iter().flat_map(|(run, _)| run.subjects.clone()).collect();
    let statement = Statement::new(subjects, TestResult::of(&judged));
    let envelope = Envelope::around(&statement.bytes(), key).text();
    let mut packer = Packer::new(out);
    packer.add(SEAL, envelope.len() as u64, envelope.as_bytes())?;
    for (run, _) in &mut prepared {
        pack(&mut packer, run)?;
    }
    packer.finish()?.flush().map_err(SealError::Write)?;
    Ok(prepared.into_iter().map(|(run, _)| run.judgement).collect())
}

fn prepare(input: RunInput, check: HeaderCheck) -> Result<(Prepared, Subject), SealError> {
    let RunInput { name, mut logs, scenario, verdict } = input;
    let refuse = |what: String, hint| SealError::Run { run: name.clone(), what, hint };
    let unreadable = |error: io::Error| {
        refuse(
            format!("its log cannot be read: {error}"),
            "copy the run directory to a sound disk, and seal the copy",
        )
    };
    for log in &mut logs {
        log.rewind().map_err(unreadable)?;
    }
    let opened = logs.iter_mut().map(BufReader::new);
    let (judgement, facts) = crate::judge_logs(opened, check).map_err(|error| {
        refuse(
            format!("its log is damaged: {error}"),
            "take an unharmed copy of the run, or run the scenario again",
        )
    })?;
    if render::json::render(&judgement).as_bytes() != verdict {
        let what = "its verdict.json is not what its log says".to_owned();
        return Err(refuse(what, "`harness judge RUN` makes it again from the log"));
    }
    if scenario_sha256(&scenario) != facts.header.scenario.sha256 {
        let what = format!("`{}` is not the scenario that ran: its hash differs", facts.header.scenario.file);
        return Err(refuse(what, "name the file as it was then with --scenario FILE"));
    }
    let mut run = Prepared { judgement, files: Vec::new(), subjects: Vec::new(), logs: Vec::new() };
    for (index, text) in scenario.into_iter().enumerate() {
        run.add_text(&scenario_file(index), text.into_bytes());
    }
    for (index, log) in logs.iter_mut().enumerate() {
        log.rewind().map_err(unreadable)?;
        let (sha256, length) = sha256_of(log).map_err(unreadable)?;
        let segment = u32::try_from(index).unwrap_or(u32::MAX);
        run.add(&segment_log(segment), sha256, length, Content::Log(index));
    }
    run.add_text(FINGERPRINT, fingerprint(&facts));
    run.add_text(VERDICT, verdict);
    run.logs = logs;
    Ok((run, configuration(&facts)))
}

impl Prepared {
    fn add_text(&mut self, name: &str, text: Vec<u8>) {
        self.add(name, hex(&Sha256::digest(&text)), text.len() as u64, Content::Text(text));
    }

    fn add(&mut self, name: &str, sha256: String, length: u64, content: Content) {
        let name = format!("{}/{name}", self.judgement.run_id);
        self.subjects.push(Subject { name: name.clone(), digest: Digests { sha256 } });
        self.files.push((name, length, content));
    }
}

fn pack<W: Write>(packer: &mut Packer<W>, run: &mut Prepared) -> Result<(), SealError> {
    for ((name, length, content), subject) in run.files.iter().zip(&run.subjects) {
        match content {
            Content::Text(text) => packer.add(name, *length, &text[..])?,
            Content::Log(index) => {
                let log = &mut run.logs[*index];
                log.rewind().map_err(SealError::Read)?;
                let mut hashed = Hashing { from: log.take(*length), digest: Sha256::new() };
                packer.add(name, *length, &mut hashed)?;
                if hex(&hashed.digest.finalize()) != subject.digest.sha256 {
                    let what = "its log was changed while it was sealed".to_owned();
                    let hint = "wait until the run has ended";
                    return Err(SealError::Run { run: run.judgement.run_id.clone(), what, hint });
                }
            }
        }
    }
    Ok(())
}

struct Hashing<R> {
    from: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
