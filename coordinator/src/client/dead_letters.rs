//! Dead letters: tasks that failed for good, with the reason, as a coordinator keeps them.

use super::events::TaskReason;
use super::status::Watch;
use crate::bus::copy::copy_out;
use crate::bus::error::BusError;
use crate::bus::ring::HEADER;
use crate::bus::slot::{DeadLetterEntry, DeadLetterState};
use crate::bus::sync::{Ordering, full_fence};
use crate::bus::view::Region;
use crate::process::reap::HowEnded;
use crate::wire::{AnswerHeader, AnswerStatus, TaskHeader, TaskId, TaskKind, arguments, attempt_of};
use std::path::Path;
use zerocopy::FromBytes;

/// How often a dead letter that is being written is read again, before it is left to the next reading.
const LOOKS: usize = 8;

/// A task that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: TaskId,
    /// The number of the coordinator that keeps it.
    pub coordinator: u32,
    /// Its index among that coordinator's dead letters.
    pub index: u32,
    /// `None`: a kind that this program does not know.
    pub kind: Option<TaskKind>,
    /// The worker that it was addressed to; `None`: any.
    pub worker: Option<u32>,
    /// How many workers have begun it.
    pub attempts: u8,
    pub status: Option<AnswerStatus>,
    /// Of a command: its exit status, or minus its signal. Of a death: the wait status.
    pub code: i32,
    /// CLOCK_REALTIME, ns, when it was written; `None` while it is being made a task again.
    pub written_unix_ns: Option<u64>,
    /// Nanoseconds to sleep or to compute.
    pub parameter: u64,
    /// What its worker or its command printed, as far as there was room to keep it.
    pub output: String,
    /// As it was sent.
    pub body: Vec<u8>,
}

impl DeadLetter {
    pub fn reason(&self) -> TaskReason {
        TaskReason::of(self.status)
    }

    /// The reason in words, with what is known about it.
    pub fn message(&self) -> String {
        let words = self.reason();
        let how = HowEnded::from_raw(self.code);
        if !self.output.is_empty() {
            return format!("{words}: {}", self.output.trim_end());
        }
        match self.status {
            Some(AnswerStatus::WorkerDied | AnswerStatus::WorkerDead | AnswerStatus::WorkerHung)
                if self.code != 0 =>
            {
                format!("{words} ({})", how.in_fleet())
            }
            Some(AnswerStatus::Ok) => format!("{words} ({how})"),
            _ => words.to_string(),
        }
    }

    /// The command's arguments, if the body consists of arguments alone.
    pub fn arguments(&self) -> Option<Vec<&[u8]>> {
        (self.kind == Some(TaskKind::Exec)).then(|| arguments(&self.body)).flatten()
    }
}

/// Every dead letter of the fleet in `dir`, the oldest first.
pub fn of(dir: &Path) -> Result<Vec<DeadLetter>, BusError> {
    let watch = Watch::attach(dir)?;
    let mut letters: Vec<_> = watch.regions().flat_map(|(index, region)| of_region(index, &region)).collect();
    letters.sort_by_key(|letter| (letter.written_unix_ns.unwrap_or(u64::MAX), letter.id));
    Ok(letters)
}

pub(crate) fn of_region(coordinator: u32, region: &Region) -> Vec<DeadLetter> {
    let entries = region.dead_letters();
    (0..entries.len() as u32)
        .filter_map(|index| {
            (0..LOOKS).find_map(|_| read(coordinator, region, index, &entries[index as usize]))?
        })
        .collect()
}

/// `None` if the entry changed while it was read, `Some(None)` if it is empty.
#[expect(clippy::option_option, reason = "the outer `None`: read it again; the inner one: nothing is there")]
fn read(
    coordinator: u32,
    region: &Region,
    index: u32,
    entry: &DeadLetterEntry,
) -> Option<Option<DeadLetter>> {
    let (raw, stamp) = (entry.state.load(Ordering::Acquire), entry.stamp.load(Ordering::Acquire));
    let Some(state) = DeadLetterState::from_raw(raw).filter(|state| *state != DeadLetterState::Empty) else {
        return Some(None);
    };
    let header = |words| {
        let mut bytes = [0; HEADER];
        copy_out(words, &mut bytes);
        bytes
    };
    let task = TaskHeader::read_from_bytes(&header(&entry.task)).ok()?;
    let answer = AnswerHeader::read_from_bytes(&header(&entry.answer)).ok()?;
    // The task's body, followed by the output.
    let most = region.shape().payload_max() as usize;
    let len = (entry.task_len.load(Ordering::Relaxed) as usize).min(most);
    let output_len = (answer.stdout_len as usize).min(most - len);
    let mut body = vec![0; len + output_len];
    copy_out(region.dead_letter_body(index), &mut body);
    full_fence();
    // A newer dead letter in the same entry has another time.
    if entry.state.load(Ordering::Relaxed) != raw || entry.stamp.load(Ordering::Relaxed) != stamp {
        return None;
    }
    let output = String::from_utf8_lossy(&body[len..]).into_owned();
    body.truncate(len);
    Some(Some(DeadLetter {
        id: task.id,
        coordinator,
        index,
        kind: TaskKind::from_raw(task.kind),
        worker: task.place(),
        attempts: attempt_of(answer.lease),
        status: AnswerStatus::from_raw(answer.status),
        code: answer.code,
        written_unix_ns: (state == DeadLetterState::Dead).then_some(stamp),
        parameter: task.parameter,
        output,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::copy::copy_in;
    use crate::bus::directory::region_path;
    use crate::bus::sync::AtomicU32;
    use crate::bus::view::Stamped;
    use crate::config::FleetShape;
    use crate::os::identity::Identity;
    use zerocopy::IntoBytes;

    /// As a coordinator writes it.
    fn write(region: &Region, number: u64) {
        let letter = &region.dead_letters()[0];
        letter.state.store(DeadLetterState::Empty as u32, Ordering::Release);
        full_fence();
        let id = TaskId { epoch: 1, sender: 1, sequence: number };
        let task = TaskHeader {
            id,
            deadline_ns: 0,
            parameter: number,
            sent_ns: 0,
            entry: 0,
            lease: 0,
            timeout_ms: 0,
            worker: 0,
            kind: TaskKind::Echo as u8,
            attempts_max: 0,
        };
        let answer = AnswerHeader {
            id,
            started_ns: 0,
            finished_ns: 0,
            worker: 0,
            entry: 0,
            lease: 2,
            status: AnswerStatus::Refused as u32,
            code: number as i32,
            stdout_len: 4,
        };
        let body = number.to_le_bytes().repeat(256);
        copy_in(region.dead_letter_body(0), &[&body[..], b"why!"].concat());
        copy_in(&letter.task, task.as_bytes());
        copy_in(&letter.answer, answer.as_bytes());
        letter.task_len.store(body.len() as u32, Ordering::Relaxed);
        letter.stamp.store(number, Ordering::Relaxed);
        letter.state.store(DeadLetterState::Dead as u32, Ordering::Release);
    }

    #[test]
    fn a_reader_never_gets_half_a_dead_letter() {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        let shape = FleetShape::new(1, 1, 4096, 1).unwrap();
        let stamped = Stamped::new(Identity { pid: 0, start_ticks: 0 }, 0, shape);
        let path = region_path(dir.path(), 0);
        Region::create(&path, &stamped, 0).unwrap();
        let region = Region::attach(&path, &stamped, 0).unwrap();
        assert_eq!(of_region(0, &region), []);
        let enough = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1.. {
                    write(&region, number);
                    if number % 16 == 0 {
                        std::thread::yield_now();
                    }
                    if enough.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                }
            });
            let is_whole = |letter: &DeadLetter| {
                let number = letter.id.sequence;
                (letter.parameter, letter.code, letter.written_unix_ns)
                    == (number, number as i32, Some(number))
                    && letter.body == number.to_le_bytes().repeat(256)
                    && (letter.output.as_str(), letter.attempts) == ("why!", 2)
            };
            let letters = std::iter::repeat_with(|| of_region(0, &region)).flatten().take(20_000);
            let torn: Vec<_> = letters.filter(|letter| !is_whole(letter)).take(1).collect();
            enough.store(1, Ordering::Relaxed);
            assert_eq!(torn, []);
        });
    }
}
