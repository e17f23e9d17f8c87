//! Untrusted bytes, run through everything that reads them: what the fuzz targets in `coordinator/fuzz/`
//! call, and the test that replays their corpus. Compiled for these only.
//!
//! An input is a small program, so that a fuzzer gets past the first check: it patches valid files, or
//! writes plausible slots. The oracle is that every call returns, with a value or an error, and that what
//! it returns is within its bounds.

use crate::bus::directory::{self, control_path, fleet_dir, region_path};
use crate::bus::heap::{HEADER_WORDS, HeapRing};
use crate::bus::leak::reclaiming;
use crate::bus::ring::{Consumer, Geometry, HEADER, KIND_MAX, Producer, Record};
use crate::bus::sync::{AtomicU32, Ordering};
use crate::bus::view::{Control, Region, Stamped, peek_owner};
use crate::client::{Client, Task, WorkerRef, status};
use crate::config::FleetShape;
use crate::os::identity::Identity;
use crate::plan::lease::{Attempt, Word};
use crate::plan::recover::{Endings, Found, Limits, balanced, decide};
use crate::process::reap::HowEnded;
use crate::wire;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use zerocopy::FromBytes;

/// An input, read from front to back; behind its end there are zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> u64 {
        let mut eight = [0; 8];
        let taken = self.bytes(bytes);
        eight[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(eight)
    }
}

/// A fleet's two files as they should be: one coordinator, one worker, the minimum of everything.
fn images() -> &'static [Vec<u8>; 2] {
    static IMAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        reclaiming(|| {
            let scratch = Scratch::new();
            let shape = FleetShape::new(1, 1, 0, 1).expect("a small shape");
            let stamped = Stamped::new(Identity::own(), 1, shape);
            let (dir, _) = directory::create(&scratch.0, "probe", &stamped, shape.coordinators())
                .expect("space for a small fleet");
            [control_path(&dir), region_path(&dir, 0)].map(|file| fs::read(file).expect("just made"))
        })
    })
}

/// A directory for one input, removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(directory::SHM).join(format!("probe-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).expect("space in shared memory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Arbitrary contents of a fleet's control file and region: attached, read, and sent tasks.
///
/// The first byte says where the files come from. 0: both come whole from the input, and the next two bytes
/// give the length of the first. Otherwise they are the valid files with patches {file: 1, offset: 2,
/// length: 1} and that many bytes, or truncations, with the top bit of `file` set.
pub fn attach(input: &[u8]) {
    let mut input = Input(input);
    let mut files = images().clone();
    if input.number(1) == 0 {
        let first = input.number(2) as usize;
        files[0] = input.bytes(first).to_vec();
        files[1] = input.bytes(usize::MAX).to_vec();
    } else {
        while !input.is_empty() {
            let (file, at) = (input.number(1), input.number(2) as usize);
            let image = &mut files[(file & 1) as usize];
            if file & 0x80 != 0 {
                image.truncate(at);
                continue;
            }
            let len = input.number(1) as usize;
            let patch = input.bytes(len);
            let at = at.min(image.len());
            let len = patch.len().min(image.len() - at);
            image[at..at + len].copy_from_slice(&patch[..len]);
        }
    }
    let scratch = Scratch::new();
    let dir = fleet_dir(&scratch.0, "probe");
    fs::DirBuilder::new().mode(0o700).create(&dir).expect("space in shared memory");
    for (path, bytes) in [control_path(&dir), region_path(&dir, 0)].iter().zip(&files) {
        let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(bytes)).expect("space in shared memory");
    }
    reclaiming(|| {
        let _ = peek_owner(&control_path(&dir));
        let _ = directory::find(&scratch.0);
        if let Ok(control) = Control::attach(&control_path(&dir)) {
            let _ = Region::attach(&region_path(&dir, 0), control.stamped(), 0);
        }
        read_status(&dir);
        use_fleet(&dir);
    });
}

fn read_status(dir: &Path) {
    let Ok(status) = status::of(dir) else { return };
    assert!(status.processes().count() as u64 <= 2 + status.coordinators.len() as u64 * 4097);
    let ledger = status.ledger();
    assert!(ledger.in_flight <= ledger.accepted);
    serde_json::to_string(&status).expect("a status is text");
}

/// A client whose coordinator answers nonsense: what it reports, and what it counts.
fn use_fleet(dir: &Path) {
    let Ok(mut client) = Client::attach(dir) else { return };
    let worker = WorkerRef { coordinator: 0, worker: 0 };
    for _ in 0..3 {
        let _ = client.send(worker, Task::Echo(b""), Duration::from_secs(1), 7);
        client.flush();
        let mut outcomes = 0_u64;
        client.poll(|_| outcomes += 1);
        let ledger = client.ledger();
        assert_eq!(ledger.accepted, ledger.answered + ledger.failed + ledger.in_flight);
        assert_eq!(ledger.in_flight, client.in_flight() as u64);
        // A ring's worth of records, and a failure for each task in flight.
        assert!(outcomes < 64, "{outcomes} events out of a ring of one record");
    }
    let _ = client.status();
}

/// A ring whose words are overwritten while both ends are at work.
///
/// Two bytes for its shape, then steps: one byte for the step, then its arguments.
pub fn records(input: &[u8]) {
    let mut input = Input(input);
    let capacity = 1 + input.number(1) % 16;
    let payload_max = input.number(1) as usize;
    // Before the ends, so that it is dropped after them.
    let memory = HeapRing::new(Geometry::new(capacity, payload_max));
    let (ring, words) = (memory.ring(), memory.words());
    let capacity = ring.geometry().capacity();
    let (mut producer, mut consumer) = (ring.producer(), ring.consumer());
    let mut record = Record::empty();
    while !input.is_empty() {
        let what = input.number(1);
        match what % 16 {
            // A word anywhere.
            0 => {
                let at = input.number(2) as usize % words.len();
                words[at].store(input.number(8), Ordering::Relaxed);
            }
            // A plausible word of a slot: which record, in what epoch, of what kind and length.
            1 => {
                let index = input.number(1);
                let (epoch, kind, len) = (input.number(1), input.number(1) & 7, input.number(2));
                let stride = ring.geometry().stride() as u64 / 8;
                let at = HEADER_WORDS + (index % capacity * stride) as usize;
                let word = (index + 1) << 32 | epoch << 24 | kind << 21 | len;
                words[at].store(word, Ordering::Relaxed);
            }
            // A small number in a word of the header: plausible positions and holders.
            2 => {
                let at = input.number(1) as usize % HEADER_WORDS;
                words[at].store(input.number(1), Ordering::Relaxed);
            }
            3..8 => produce(&mut producer, what % 16, &mut input, payload_max, capacity),
            8..13 => consume(&mut consumer, what % 16, &mut input, &mut record, capacity),
            13 => {
                producer = ring.take_over_producer().ok();
            }
            14 => {
                consumer = ring.take_over_consumer().ok();
            }
            _ => {
                if let Ok(backlog) = ring.backlog() {
                    assert!(backlog <= capacity);
                }
                if what & 0x10 != 0 {
                    (producer, consumer) = (None, None);
                    let _ = ring.reset();
                }
            }
        }
    }
}

fn produce(end: &mut Option<Producer>, what: u64, input: &mut Input<'_>, payload_max: usize, capacity: u64) {
    let Some(producer) = end else { return };
    let kind = 1 + input.number(1) as u32 % KIND_MAX;
    match what {
        3 | 4 => {
            let len = (input.number(1) as usize).min(payload_max);
            let payload = vec![kind as u8; len];
            let _ = if what == 3 { producer.put(kind, &payload) } else { producer.control(kind, &payload) };
        }
        5 => {
            let mut staged = 0;
            while let Ok(claim) = producer.claim() {
                claim.commit(kind, 0);
                staged += 1;
                assert!(staged <= capacity, "a ring has room for {staged} of {capacity} records");
            }
        }
        6 => {
            producer.publish();
        }
        _ => {
            let _ = (producer.is_fenced(), producer.is_full(), producer.is_sealed());
        }
    }
}

fn consume(end: &mut Option<Consumer>, what: u64, input: &mut Input<'_>, record: &mut Record, capacity: u64) {
    let Some(consumer) = end else { return };
    match what {
        8 => {
            let mut taken = 0;
            while consumer.pop(record) == Ok(true) {
                taken += 1;
                // The producer does not run meanwhile: each slot can hold one record at most.
                assert!(taken <= capacity, "{taken} records out of a ring of {capacity}");
            }
        }
        9 => {
            let limit = 1 + input.number(1) as usize;
            let mut bytes = Vec::new();
            let taken = consumer.poll(limit, |message| {
                bytes.resize(message.len(), 0);
                assert_eq!(message.copy_to(&mut bytes).len(), message.len());
                assert_eq!(message.words().len(), message.len().div_ceil(8));
            });
            assert!(taken.is_ok_and(|taken| taken <= limit) || taken.is_err());
        }
        10 => consumer.acknowledge(),
        11 => consumer.seal(),
        _ => {
            let _ = (consumer.is_ready(), consumer.is_sealed(), consumer.acknowledged());
        }
    }
}

/// Arbitrary messages, commands and words of the task table.
pub fn wire(input: &[u8]) {
    let mut input = Input(input);
    let mut header = [0; HEADER];
    let taken = input.bytes(header.len());
    header[..taken.len()].copy_from_slice(taken);
    let task = wire::TaskHeader::read_from_bytes(&header).expect("headers have one size");
    let taken = input.bytes(header.len());
    header[..taken.len()].copy_from_slice(taken);
    let answer = wire::AnswerHeader::read_from_bytes(&header).expect("headers have one size");
    let _ = (task.id.to_string(), wire::TaskKind::from_raw(task.kind));
    let _ = (wire::AnswerStatus::from_raw(answer.status), wire::epoch_of(answer.lease));
    let _ = HowEnded::from_raw(answer.code).to_string();

    let found = Found {
        entry: answer.entry,
        word: Word::from_raw(input.number(8)),
        task,
        task_len: input.number(4) as u32,
        answer,
        answer_len: input.number(4) as u32,
        in_hand: task.parameter & 1 == 1,
    };
    let limits = Limits { workers: 4, payload_max: 64, attempts_max: 3, epoch: 1 };
    let _ = decide(&found, &limits);
    let word = found.word;
    let _ = (word.queue(1), word.lease(1), word.finish(), word.fail(), word.free(), word.clear().state());
    let _ = (word.requeue(Attempt::Begun, 1), word.condemn(1), word.claim(1, wire::attempt_of(answer.lease)));
    let counted = Endings {
        answered: answer.started_ns,
        failed_tasks: answer.entry.into(),
        failed: answer.finished_ns,
        returned: task.sent_ns,
    };
    let now = balanced(task.deadline_ns, task.parameter, counted, None);
    let rest = [now.failed_tasks, now.failed, now.returned];
    let ended = rest.into_iter().try_fold(now.answered, u64::checked_add);
    assert!(ended.is_some_and(|ended| ended <= task.deadline_ns));

    // A command survives the round trip unchanged.
    let body = input.bytes(usize::MAX);
    if let Some(arguments) = wire::arguments(body) {
        assert!(!arguments.is_empty());
        let text: Option<Vec<&str>> =
            arguments.iter().map(|argument| std::str::from_utf8(argument).ok()).collect();
        if let Some(text) = text {
            assert_eq!(wire::command_body(&text).as_deref(), Some(body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each file of the corpus, through the function of its folder.
    #[test]
    fn every_input_of_the_corpus_still_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (target, run) in [("attach", attach as fn(&[u8])), ("records", records), ("wire", wire)] {
            let files: Vec<_> = fs::read_dir(corpus.join(target)).unwrap().collect();
            assert!(!files.is_empty(), "no corpus for {target}");
            for file in files {
                run(&fs::read(file.unwrap().path()).unwrap());
            }
        }
    }

    #[test]
    fn the_files_that_inputs_patch_are_valid() {
        let scratch = Scratch::new();
        let dir = fleet_dir(&scratch.0, "probe");
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        for (path, bytes) in [control_path(&dir), region_path(&dir, 0)].iter().zip(images()) {
            let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
            file.unwrap().write_all(bytes).unwrap();
        }
        reclaiming(|| {
            status::of(&dir).unwrap();
            Client::attach(&dir).unwrap();
        });
    }

    proptest! {
        #[test]
        fn any_bytes_as_a_fleets_files_are_read_or_refused(
            mode in 0_u8..4,
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            attach(&[&[mode][..], &bytes].concat());
        }

        #[test]
        fn any_bytes_in_a_ring_are_records_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            records(&bytes);
        }

        #[test]
        fn any_bytes_as_messages_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            wire(&bytes);
        }
    }
}
