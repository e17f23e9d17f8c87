//! Dead letters: tasks that were given up, with the reason, as a coordinator keeps them.

use super::events::reason;
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

/// Looks at a letter that is being written before it is left to the next reading.
const LOOKS: usize = 8;

/// A task that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub id: TaskId,
    /// Who keeps it.
    pub coordinator: u32,
    /// Its place among that coordinator's letters.
    pub place: u32,
    /// `None`: the words are none that this program writes.
    pub kind: Option<TaskKind>,
    /// The worker that it was for; `None`: any.
    pub worker: Option<u32>,
    /// Workers that have begun it.
    pub attempts: u8,
    pub status: Option<AnswerStatus>,
    /// Of a command its exit status or minus its signal, of a death the wait status.
    pub code: i32,
    /// CLOCK_REALTIME, ns, when it was written; `None` while it becomes a task again.
    pub written_unix_ns: Option<u64>,
    /// What the workload was told: nanoseconds to sleep or to compute.
    pub parameter: u64,
    /// What its worker said of it, as far as there was room to keep it.
    pub said: String,
    /// As it was sent.
    pub body: Vec<u8>,
}

impl Letter {
    /// In words.
    pub fn reason(&self) -> String {
        let words = reason(self.status.map_or(0, |status| status as u64));
        let how = HowEnded::from_raw(self.code);
        if !self.said.is_empty() {
            return format!("{words}: {}", self.said.trim_end());
        }
        match self.status {
            Some(AnswerStatus::WorkerDied | AnswerStatus::WorkerDead | AnswerStatus::WorkerHung)
                if self.code != 0 =>
            {
                format!("{words} ({})", how.in_fleet())
            }
            Some(AnswerStatus::Ok) => format!("{words} ({how})"),
            _ => words.to_owned(),
        }
    }

    /// The name of its kind, as in `docs/status.md`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Some(TaskKind::Echo) => "echo",
            Some(TaskKind::Sleep) => "sleep",
            Some(TaskKind::Compute) => "compute",
            Some(TaskKind::Exec) => "exec",
            Some(TaskKind::Command) => "command",
            Some(TaskKind::Agent) => "agent",
            Some(TaskKind::Canary) => "canary",
            None => "unknown",
        }
    }

    /// The command's arguments, where the body is a command of arguments alone.
    pub fn arguments(&self) -> Option<Vec<&[u8]>> {
        (self.kind == Some(TaskKind::Exec)).then(|| arguments(&self.body)).flatten()
    }
}

/// Every dead letter of the fleet in `dir`, in the order of their writing.
pub fn of(dir: &Path) -> Result<Vec<Letter>, BusError> {
    let watch = Watch::attach(dir)?;
    let mut letters: Vec<_> = watch.regions().flat_map(|(index, region)| of_region(index, &region)).collect();
    letters.sort_by_key(|letter| (letter.written_unix_ns.unwrap_or(u64::MAX), letter.id));
    Ok(letters)
}

pub(crate) fn of_region(coordinator: u32, region: &Region) -> Vec<Letter> {
    let entries = region.dead_letters();
    (0..entries.len() as u32)
        .filter_map(|place| {
            (0..LOOKS).find_map(|_| read(coordinator, region, place, &entries[place as usize]))?
        })
        .collect()
}

/// `None` if it changed while it was read, `Some(None)` if there is none.
#[expect(clippy::option_option, reason = "to be read again, or nothing there")]
fn read(coordinator: u32, region: &Region, place: u32, entry: &DeadLetterEntry) -> Option<Option<Letter>> {
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
    // The task's body, and behind it what was said.
    let most = region.shape().payload_max() as usize;
    let len = (entry.task_len.load(Ordering::Relaxed) as usize).min(most);
    let said = (answer.stdout_len as usize).min(most - len);
    let mut body = vec![0; len + said];
    copy_out(region.dead_letter_body(place), &mut body);
    full_fence();
    // A letter that made room for another one has another time.
    if entry.state.load(Ordering::Relaxed) != raw || entry.stamp.load(Ordering::Relaxed) != stamp {
        return None;
    }
    let said = String::from_utf8_lossy(&body[len..]).into_owned();
    body.truncate(len);
    Some(Some(Letter {
        id: task.id,
        coordinator,
        place,
        kind: TaskKind::from_raw(task.kind),
        worker: task.place(),
        attempts: attempt_of(answer.lease),
        status: AnswerStatus::from_raw(answer.status),
        code: answer.code,
        written_unix_ns: (state == DeadLetterState::Dead).then_some(stamp),
        parameter: task.parameter,
        said,
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

    /// As a coordinator does it.
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
    fn nobody_reads_half_a_letter() {
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
            let is_whole = |letter: &Letter| {
                let number = letter.id.sequence;
                (letter.parameter, letter.code, letter.written_unix_ns)
                    == (number, number as i32, Some(number))
                    && letter.body == number.to_le_bytes().repeat(256)
                    && (letter.said.as_str(), letter.attempts) == ("why!", 2)
            };
            let letters = std::iter::repeat_with(|| of_region(0, &region)).flatten().take(20_000);
            let torn: Vec<_> = letters.filter(|letter| !is_whole(letter)).take(1).collect();
            enough.store(1, Ordering::Relaxed);
            assert_eq!(torn, []);
        });
    }
}
