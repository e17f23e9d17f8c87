//! From a bundle to what it proves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::archive::{self, File};
use super::envelope::Envelope;
use super::statement::{Statement, Subject, TestResult};
use super::write::{FINGERPRINT, configuration, fingerprint, scenario_file, scenario_sha256};
use super::{PublicKey, SEAL, SealError};
use crate::render;
use crate::run_dir::HeaderCheck;
use crate::run_dir::layout::{SEGMENTS_MAX, VERDICT, segment_log};
use crate::verdict::Judgement;

/// A run of a bundle, judged again from its logs.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedRun {
    pub judgement: Judgement,
    /// Of its logs, in hex and in order: what tells it from every other run.
    pub logs_sha256: Vec<String>,
}

/// What a bundle amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Those whose bytes are the sealed ones.
    pub runs: Vec<SealedRun>,
    /// Ids of the given keys that have signed it.
    pub signed_by: Vec<String>,
    /// Ids of the keys that its signatures name. Anyone can write a name.
    pub named_keys: Vec<String>,
    /// What does not hold, each in a sentence's fragment. None if the seal holds.
    pub findings: Vec<String>,
}

impl Verified {
    /// Whether every byte is as it was sealed, and what was sealed is true.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// Ids of the given keys that vouch for the run with these logs: who sealed it. None unless the seal holds.
    pub fn signers_of(&self, logs_sha256: &[String]) -> &[String] {
        let has_it = self.runs.iter().any(|run| run.logs_sha256 == logs_sha256);
        if self.holds() && has_it { &self.signed_by } else { &[] }
    }
}

/// Holds every byte of a bundle against its seal, the seal against its signatures, and its verdicts against its logs.
///
/// # Errors
/// It is no bundle that [`super::seal`] could have written.
pub fn verify<R: Read + Seek>(
    mut bundle: R,
    keys: &[PublicKey],
    check: HeaderCheck,
) -> Result<Verified, SealError> {
    let files = archive::files(&mut bundle)?;
    let [seal, files @ ..] = &files[..] else {
        return Err(SealError::NotABundle("it holds no file".to_owned()));
    };
    if seal.name != SEAL {
        return Err(SealError::NotABundle(format!("its first file is `{}`, and not `{SEAL}`", seal.name)));
    }
    let envelope = Envelope::parse(&seal.read(&mut bundle)?)?;
    let payload = envelope.payload()?;
    let statement = Statement::parse(&payload)?;
    let signed_by: Vec<String> =
        keys.iter().filter(|key| envelope.is_signed_by(key, &payload)).map(PublicKey::id).collect();
    let mut findings: Vec<String> = unsigned(keys, &signed_by, &envelope).into_iter().collect();
    // The name of a key is not signed, so anyone can change it.
    if let [signer, ..] = &signed_by[..] {
        let others = envelope.named_keys().into_iter().filter(|named| !signed_by.contains(named));
        findings.extend(
            others.map(|named| format!("its signature is by {signer}, and names another key, {named}")),
        );
    }
    // Of a name that comes twice, the first counts.
    let sealed: Sealed<'_> = statement.subject.iter().rev().map(Subject::named).collect();
    findings.extend(altered(&mut bundle, files, &sealed)?);
    // What was altered is not judged: it says nothing about the run.
    let runs = if findings.is_empty() {
        judged(&mut bundle, files, (&sealed, &statement.predicate), (&mut findings, check))?
    } else {
        Vec::new()
    };
    Ok(Verified { runs, signed_by, named_keys: envelope.named_keys(), findings })
}

fn unsigned(keys: &[PublicKey], signed_by: &[String], envelope: &Envelope) -> Option<String> {
    if keys.is_empty() || !signed_by.is_empty() {
        return None;
    }
    let given: Vec<String> = keys.iter().map(PublicKey::id).collect();
    let named = envelope.named_keys();
    let but = if named.is_empty() {
        "it is unsigned".to_owned()
    } else {
        format!("its signature names {}", named.join(", "))
    };
    Some(format!("it is not signed by {}: {but}", given.join(" or ")))
}

/// The SHA-256 of each sealed file, by its name.
type Sealed<'s> = BTreeMap<&'s str, &'s str>;

/// Where the files and the statement disagree.
fn altered<R: Read + Seek>(
    bundle: &mut R,
    files: &[File],
    sealed: &Sealed<'_>,
) -> Result<Vec<String>, SealError> {
    let mut findings = Vec::new();
    for file in files {
        match sealed.get(&*file.name) {
            None => findings.push(format!("`{}` is not among the sealed files", file.name)),
            Some(sha256) if file.sha256(bundle)? != *sha256 => {
                findings
                    .push(format!("`{}` was changed after it was sealed: its SHA-256 differs", file.name));
            }
            Some(_) => {}
        }
    }
    let names: BTreeSet<&str> = files.iter().map(|file| &*file.name).collect();
    for name in sealed.keys().filter(|name| !names.contains(*name)) {
        findings.push(format!("`{name}` was sealed, and is not there any more"));
    }
    Ok(findings)
}

/// Each run judged again; what was sealed and is not so is found. Every file has its sealed hash.
fn judged<R: Read + Seek>(
    bundle: &mut R,
    files: &[File],
    (sealed, result): (&Sealed<'_>, &TestResult),
    (findings, check): (&mut Vec<String>, HeaderCheck),
) -> Result<Vec<SealedRun>, SealError> {
    let mut runs = Vec::new();
    let mut scenarios = Vec::new();
    let mut seen = 0;
    let mut at = files;
    while let Some((id, _)) = at.first().and_then(|file| file.name.split_once('/')) {
        let count =
            at.iter().take_while(|file| file.name.split_once('/').is_some_and(|(of, _)| of == id)).count();
        let (own, rest) = at.split_at(count);
        if let Some((run, scenario)) = one(bundle, (id, own), sealed, (findings, check))? {
            runs.push(run);
            scenarios.push(scenario);
        }
        (at, seen) = (rest, seen + 1);
    }
    if let Some(stray) = at.first() {
        findings.push(format!("`{}` is of no run", stray.name));
    }
    let results: Vec<_> = runs.iter().map(|run| &run.judgement).zip(scenarios).collect();
    if findings.is_empty() && (seen == 0 || TestResult::of(&results) != *result) {
        findings.push("the result that the seal states is not that of its runs".to_owned());
    }
    Ok(runs)
}

/// A run whose files are these.
fn one<R: Read + Seek>(
    bundle: &mut R,
    (id, files): (&str, &[File]),
    sealed: &Sealed<'_>,
    (findings, check): (&mut Vec<String>, HeaderCheck),
) -> Result<Option<(SealedRun, Subject)>, SealError> {
    let find =
        |name: &str| files.iter().find(|file| file.name.split_once('/').is_some_and(|(_, of)| of == name));
    let logs: Vec<&File> = (0..SEGMENTS_MAX).map_while(|segment| find(&segment_log(segment))).collect();
    let scenario: Vec<&File> = (0..).map_while(|index| find(&scenario_file(index))).collect();
    let (Some(verdict), Some(print)) = (find(VERDICT), find(FINGERPRINT)) else {
        findings.push(format!("run `{id}` has no verdict or no fingerprint"));
        return Ok(None);
    };
    if logs.len() + scenario.len() + 2 != files.len() || logs.is_empty() {
        findings.push(format!("run `{id}` has no log, or files that no run has"));
        return Ok(None);
    }
    let shared = std::cell::RefCell::new(&mut *bundle);
    let opened = logs.iter().map(|log| {
        let (at, left) = log.span();
        BufReader::with_capacity(1 << 18, Span { of: &shared, at, left })
    });
    let (judgement, facts) = match crate::judge_logs(opened, check) {
        Ok(judged) => judged,
        Err(error) => {
            findings.push(format!("the log of run `{id}` is damaged: {error}"));
            return Ok(None);
        }
    };
    let before = findings.len();
    if judgement.run_id != id {
        findings.push(format!("run `{id}` is `{}` by its own log", judgement.run_id));
    }
    if verdict.read(bundle)? != render::json::render(&judgement).as_bytes() {
        findings.push(format!(
            "the verdict of run `{id}` is not what its log says: judged again it is {}",
            judgement.verdict.word()
        ));
    }
    if print.read(bundle)? != fingerprint(&facts) {
        findings.push(format!("the fingerprint of run `{id}` is not that of its log"));
    }
    let texts = scenario.iter().map(|file| file.read(bundle)).collect::<Result<Vec<_>, _>>()?;
    if scenario_sha256(&texts) != facts.header.scenario.sha256 {
        findings.push(format!("the scenario of run `{id}` is not the one that ran"));
    }
    if findings.len() > before {
        return Ok(None);
    }
    let logs_sha256 = logs.iter().map(|log| sealed[&*log.name].to_owned()).collect();
    Ok(Some((SealedRun { judgement, logs_sha256 }, configuration(&facts))))
}

/// A part of a bundle that is read by turns with others.
struct Span<'b, 'r, R> {
    of: &'b std::cell::RefCell<&'r mut R>,
    at: u64,
    left: u64,
}

impl<R: Read + Seek> Read for Span<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut of = self.of.borrow_mut();
        of.seek(SeekFrom::Start(self.at))?;
        let read = of.read(&mut buffer[..most])?;
        (self.at, self.left) = (self.at + read as u64, self.left - read as u64);
        Ok(read)
    }
}
