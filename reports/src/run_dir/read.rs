//! One pass over the log of a run, segment by segment.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::layout::{RUN_LOG, SEGMENTS_MAX, segment_log};
use super::{Another, HeaderCheck, JudgeError};
use crate::facts::Facts;
use crate::runlog::codec::{self, LogError, Reader};
use crate::runlog::event::{Event, Header, PlanFacts, Record};
use crate::runlog::validate::Validator;
use crate::verdict::{Case, LogState};

/// Reads all segments of a run. `each` sees every record after the facts have taken it.
pub(super) fn run(
    run_dir: &Path,
    check: HeaderCheck,
    another: Option<&Another>,
    mut each: impl FnMut(&Facts, &Record),
) -> Result<(Case, LogState), JudgeError> {
    let mut pass = Pass { another: another.cloned(), ..Pass::checking(check) };
    let mut own = open(run_dir, 0)?;
    for segment in 0..SEGMENTS_MAX {
        let path = run_dir.join(segment_log(segment));
        let Some(opened) = own.take() else {
            if let Some(found) = later_segment(run_dir, segment) {
                let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                pass.missing = Some(format!("{} is missing, and {} is there", name(&path), name(&found)));
            }
            break;
        };
        if segment + 1 < SEGMENTS_MAX {
            own = open(run_dir, segment + 1)?;
        }
        let counted_to = own.as_ref().and_then(Opened::before_counts_to);
        pass.segment(opened, counted_to, &mut each).map_err(|source| refuse(path, source))?;
    }
    pass.finish().map_err(|source| refuse(run_dir.join(RUN_LOG), source))
}

/// The log of a segment; nothing if there is none. A run has a first one.
pub(super) fn open(run_dir: &Path, segment: u32) -> Result<Option<Opened<BufReader<File>>>, JudgeError> {
    let path = run_dir.join(segment_log(segment));
    match codec::open(&path) {
        Ok(reader) => Ok(Some(Opened::new(reader))),
        Err(source) if segment == 0 => Err(absent(run_dir, path, source)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JudgeError::CannotRead { path, source }),
    }
}

/// Reads one file, wherever it is and whatever its name is.
pub(super) fn file(path: &Path, check: HeaderCheck) -> Result<(Case, LogState), JudgeError> {
    let reader =
        codec::open(path).map_err(|source| JudgeError::CannotRead { path: path.to_owned(), source })?;
    let mut pass = Pass::checking(check);
    pass.segment(Opened::new(reader), None, &mut |_, _| ())
        .map_err(|source| refuse(path.to_owned(), source))?;
    pass.finish().map_err(|source| refuse(path.to_owned(), source))
}

/// Reads a log that is not in its place any more; `lost` says why not.
pub(super) fn held(
    run_dir: &Path,
    log: impl BufRead,
    lost: &str,
    mut each: impl FnMut(&Facts, &Record),
) -> Result<(Case, LogState), JudgeError> {
    let refuse = |source| refuse(run_dir.join(RUN_LOG), source);
    let mut pass = Pass::default();
    pass.segment(Opened::new(Reader::new(log)), None, &mut each).map_err(refuse)?;
    let (case, mut log) = pass.finish().map_err(refuse)?;
    log.contradiction = Some(lost.to_owned());
    Ok((case, log))
}

/// The log of a segment of which the first line was read: the header says how far the segment before it counts.
pub(super) struct Opened<R: BufRead> {
    reader: Reader<R>,
    first: Option<Result<Record, LogError>>,
}

impl<R: BufRead> Opened<R> {
    pub(super) fn new(mut reader: Reader<R>) -> Self {
        let first = reader.next();
        Self { reader, first }
    }

    /// Whether it got further than the middle of its first line.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.first, None | Some(Err(LogError::Empty | LogError::Torn { .. })))
    }

    /// The checkpoint up to which the segment before it counts.
    pub(super) fn before_counts_to(&self) -> Option<u64> {
        self.header()?.resumes.as_ref()?.counted_to
    }

    fn header(&self) -> Option<&Header> {
        match &self.first {
            Some(Ok(Record { event: Event::Header(header), .. })) => Some(header),
            _ => None,
        }
    }
}

/// Position of the checkpoint up to which a segment counts that no other follows yet: the last one, if it has no ledger.
pub(super) fn last_checkpoint(path: &Path) -> Result<Option<u64>, JudgeError> {
    let reader =
        codec::open(path).map_err(|source| JudgeError::CannotRead { path: path.to_owned(), source })?;
    let mut last = None;
    // Where it is damaged is told by the pass that judges it.
    for record in reader.map_while(Result::ok) {
        if matches!(record.event, Event::Ledger(_)) {
            return Ok(None);
        }
        if matches!(record.event, Event::Checkpoint(_)) {
            last = Some(record.seq);
        }
    }
    Ok(last)
}

/// The log of a segment behind `missing`, if there is one.
pub(super) fn later_segment(run_dir: &Path, missing: u32) -> Option<PathBuf> {
    (missing.saturating_add(1)..SEGMENTS_MAX)
        .map(|later| run_dir.join(segment_log(later)))
        .find(|path| path.exists())
}

/// Why there is no log to open, and where one is.
fn absent(run_dir: &Path, path: PathBuf, source: io::Error) -> JudgeError {
    if source.kind() != io::ErrorKind::NotFound {
        return JudgeError::CannotRead { path, source };
    }
    let latest = run_dir.join("latest");
    let hint = if latest.join(RUN_LOG).is_file() {
        format!("did you mean {}?", latest.display())
    } else {
        "give the directory of a run, such as runs/SCENARIO/latest".into()
    };
    JudgeError::NoRun { path, source, hint }
}

pub(super) fn refuse(path: PathBuf, source: LogError) -> JudgeError {
    match source {
        LogError::Io(source) => JudgeError::CannotRead { path, source },
        // Line 1 is the header: without it there is nothing to judge.
        LogError::Empty
        | LogError::BadHeader { .. }
        | LogError::VersionUnsupported { .. }
        | LogError::Torn { .. } => JudgeError::NotARunLog { path, source },
        LogError::Damaged { .. } | LogError::SequenceGap { .. } => JudgeError::Damaged { path, source },
    }
}

/// Linux numbers no more processes than this.
const PROCESSES_MAX: u64 = 1 << 22;

/// Whether any host could have had the fleet.
fn plausible(plan: &PlanFacts) -> Result<(), String> {
    let coordinators = u64::from(plan.coordinators);
    let processes = 1 + coordinators + coordinators * u64::from(plan.workers_per_coordinator);
    if processes <= PROCESSES_MAX {
        return Ok(());
    }
    Err(format!("it plans {processes} processes, and a host has no more than {PROCESSES_MAX}"))
}

/// What the segments read so far amount to.
#[derive(Default)]
pub(super) struct Pass {
    case: Option<Case>,
    /// Absent where the caller has made the header itself, or holds it against its own.
    check: Option<HeaderCheck>,
    /// What takes the place of the header's criteria.
    another: Option<Another>,
    validator: Validator,
    log: LogState,
    /// Lines of the newest segment, and the checksum of the last of them.
    pub(super) newest: Option<(u64, String)>,
    /// Of the segment that is read now.
    counted_to: Option<u64>,
    /// A segment that is not there.
    missing: Option<String>,
}

impl Pass {
    pub(super) fn checking(check: HeaderCheck) -> Self {
        Self { check: Some(check), ..Self::default() }
    }

    /// Reads the log of the next segment, which counts up to the checkpoint at `counted_to`, or to its end.
    pub(super) fn segment<R: BufRead>(
        &mut self,
        opened: Opened<R>,
        counted_to: Option<u64>,
        each: &mut impl FnMut(&Facts, &Record),
    ) -> Result<(), LogError> {
        if let Some((lines, crc)) = self.newest.take() {
            // The segment that follows says where it goes on: what was torn off there is accounted for.
            self.log.torn = None;
            self.validator.end_segment(lines, crc);
        }
        let Opened { mut reader, first } = opened;
        self.counted_to = counted_to;
        for read in first.into_iter().chain(reader.by_ref()) {
            match read {
                Ok(record) => self.record(&record, each)?,
                Err(LogError::Torn { line, offset }) if self.case.is_some() => {
                    self.log.torn = Some((line, offset));
                }
                // Of a segment that was begun and got no further.
                Err(LogError::Empty) if self.case.is_some() => {}
                Err(e) => return Err(e),
            }
        }
        self.log.lines += reader.lines();
        self.log.unknown.add(reader.unknown());
        self.newest = Some((reader.lines(), reader.crc()));
        Ok(())
    }

    fn record(&mut self, record: &Record, each: &mut impl FnMut(&Facts, &Record)) -> Result<(), LogError> {
        if let Event::Header(header) = &record.event {
            // What is kept of a fleet grows with what is planned.
            plausible(&header.plan).map_err(|what| LogError::BadHeader { what })?;
        }
        if let Err(contradiction) = self.validator.step(record) {
            self.log.contradiction.get_or_insert_with(|| contradiction.to_string());
        }
        // Those of later segments are held against the first.
        if let (None, Event::Header(header)) = (&self.case, &record.event) {
            if let Some(what) = self.check.and_then(|check| check(header)) {
                self.log.contradiction.get_or_insert(what);
            }
            self.case = Some(match &self.another {
                Some(another) => Case::new(&another.over(header)),
                None => Case::new(header),
            });
        }
        let Some(case) = &mut self.case else {
            return Err(LogError::BadHeader { what: "its first line is not a header".into() });
        };
        case.push(record);
        if matches!(record.event, Event::Header(_)) {
            case.count_to(self.counted_to);
        }
        each(case.facts(), record);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(Case, LogState), LogError> {
        if let Err(contradiction) = self.validator.complete() {
            self.log.contradiction.get_or_insert_with(|| contradiction.to_string());
        }
        if let Some(missing) = self.missing.take() {
            self.log.contradiction = Some(missing);
        }
        if self.log.unknown.needed > 0 {
            // What was not understood is the better reason, and may be the cause.
            self.log.contradiction = None;
        }
        self.case.map(|case| (case, self.log)).ok_or(LogError::Empty)
    }
}
