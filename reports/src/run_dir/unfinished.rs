//! Where a run that was interrupted would go on.

use std::path::{Path, PathBuf};

use super::JudgeError;
use super::layout::{RUN_LOG, SEGMENTS_MAX, segment_log};
use super::read::{Pass, last_checkpoint, later_segment, open, refuse};
use crate::runlog::codec::LogError;
use crate::runlog::event::{BuildFacts, EndReason, Event, Header, Resumes};
use crate::runlog::validate::differs;
use crate::verdict::Case;

/// A run whose end has not come.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// What its segments amount to.
    pub case: Case,
    /// Of the segment that comes next.
    pub segment: u32,
    /// What that segment follows.
    pub resumes: Resumes,
    /// Greater than the number of any round that was recorded.
    pub next_round: u64,
    /// Tasks on their way at the last checkpoint, if the newest segment counts up to that.
    pub in_hand: Option<u64>,
    /// A log of that segment which was begun and got no further than its first line: it says nothing.
    pub begun: Option<PathBuf>,
}

impl Unfinished {
    /// Of the run's first segment.
    pub fn header(&self) -> &Header {
        &self.case.facts().header
    }

    /// What would make a segment with this header one of another run; nothing if it can follow.
    pub fn stands_against(&self, header: &Header) -> Option<String> {
        let first = self.header();
        if header.host.machine != first.host.machine {
            return Some(format!(
                "the run began on another machine ({}, and this is {})",
                first.host.machine, header.host.machine
            ));
        }
        if header.build != first.build {
            let words = |build: &BuildFacts| {
                let dirty = if build.dirty { " with changes" } else { "" };
                format!("{} {}{dirty}, {}", build.version, build.git, build.profile)
            };
            return Some(format!(
                "the run was begun by another build ({}), and this is {}",
                words(&first.build),
                words(&header.build)
            ));
        }
        differs(first, header).then(|| "this host has another plan for its scenario".to_owned())
    }
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    #[error(transparent)]
    Unreadable(#[from] JudgeError),
    #[error("{path} is the log of a run that has ended ({how})")]
    Ended { path: PathBuf, how: &'static str },
    #[error("{path} contradicts itself, so nothing can be added to it: {what}")]
    Contradicts { path: PathBuf, what: String },
    #[error("{missing} is missing, and {found} is there")]
    Missing { missing: PathBuf, found: PathBuf },
    #[error("{path} has {SEGMENTS_MAX} segments, and can have no more")]
    Segments { path: PathBuf },
}

/// Reads all segments of a run that was interrupted. Whether its harness is still alive is for the caller to know.
pub fn unfinished(run_dir: &Path) -> Result<Unfinished, ResumeError> {
    let mut pass = Pass::default();
    let (mut segments, mut next_round, mut begun, mut counted_to) = (0, 0, None, None);
    let path = |segment| run_dir.join(segment_log(segment));
    let mut own = open(run_dir, 0)?;
    while let Some(opened) = own.take() {
        let path = path(segments);
        if segments + 1 < SEGMENTS_MAX {
            own = open(run_dir, segments + 1)?;
        }
        counted_to = match own.as_ref().filter(|next| next.has_begun()) {
            Some(next) => next.before_counts_to(),
            None => last_checkpoint(&path)?,
        };
        pass.segment(opened, counted_to, &mut |_, record| {
            if let Event::Round(round) = &record.event {
                next_round = next_round.max(round.round.saturating_add(1));
            }
        })
        .map_err(|source| refuse(path, source))?;
        segments += 1;
        if own.as_ref().is_some_and(|next| !next.has_begun()) {
            // Nothing of it is in the log: it is a log that was begun, or no log at all.
            begun = own.take().map(|_| run_dir.join(segment_log(segments)));
        }
    }
    // One that was begun is the last.
    let next = segments + u32::from(begun.is_some());
    if let Some(found) = later_segment(run_dir, next) {
        return Err(ResumeError::Missing { missing: path(next), found });
    }
    if segments == SEGMENTS_MAX {
        return Err(ResumeError::Segments { path: path(0) });
    }
    let newest = path(segments.saturating_sub(1));
    let Some((lines, crc)) = pass.newest.take() else {
        return Err(refuse(newest, LogError::Empty).into());
    };
    let (case, log) = pass.finish().map_err(|source| refuse(run_dir.join(RUN_LOG), source))?;
    if let Some(what) = log.contradiction {
        return Err(ResumeError::Contradicts { path: newest, what });
    }
    if let Some(how) = case.facts().end.as_ref().and_then(|end| ended(end.reason, segments)) {
        return Err(ResumeError::Ended { path: newest, how });
    }
    let run = case.facts().header.run_id.clone();
    let resumes = Resumes { run, seq: lines.saturating_sub(1), crc, counted_to, left: None };
    let in_hand = case.facts().in_hand_now();
    Ok(Unfinished { case, segment: segments, resumes, next_round, in_hand, begun })
}

/// In words, if nothing can follow the last of so many segments.
fn ended(reason: EndReason, segments: u32) -> Option<&'static str> {
    match reason {
        _ if reason.can_be_resumed(segments) => None,
        EndReason::Interrupted | EndReason::RecordingFailed => None,
        EndReason::Completed => Some("it was carried out to its end"),
        EndReason::Aborted => Some("a criterion ended it"),
        EndReason::FleetLost => Some("its fleet was lost"),
        EndReason::LaunchFailed => Some("its fleet did not start"),
    }
}
