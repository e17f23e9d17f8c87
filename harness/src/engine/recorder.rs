//! The one writer of the run log. It also keeps the facts that the log amounts to, for the live view
//! and for criteria that end a run early: the same fold that judges the log later.

use super::alarms::Alarms;
use super::clock::Clock;
use super::live::Live;
use super::sink::Sink;
use super::stop::{Stop, StopMode};
use reports::Case;
use reports::runlog::Record;
use reports::runlog::codec::Writer;
use reports::runlog::event::{Alert, EndReason, Event, Header, Severity};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Events that may wait for the disk. A disk slower than that slows the load down, which shows as
/// lateness and not as memory.
const QUEUE: usize = 4096;
/// What a crash of the machine may cost.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often a snapshot is published, and criteria are checked that may end the run.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where events go in.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Stamped and queued under one lock: times in the log never go back.
    to: Arc<Mutex<SyncSender<(u64, Event)>>>,
    clock: Clock,
    stop: Stop,
}

impl Handle {
    /// Hands an event over; it is stamped here. After a failed write nothing is kept, and the stop
    /// switch has been thrown.
    pub fn record(&self, event: Event) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(&to, event);
    }

    /// Records what the wall clock shows. It is read together with the stamp.
    pub fn record_utc(&self) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(&to, Event::Clock(reports::runlog::event::Clock { utc: self.clock.utc() }));
    }

    fn send(&self, to: &SyncSender<(u64, Event)>, event: Event) {
        if to.send((self.clock.now_ns(), event)).is_err() {
            // Its thread is gone: a run that is not written down is not worth going on with.
            let why = "the recorder has ended".to_owned();
            self.stop.ask(StopMode::Drain, EndReason::RecordingFailed, why);
        }
    }
}

#[derive(Debug)]
pub struct Recorder {
    handle: Handle,
    thread: JoinHandle<(io::Result<()>, Case)>,
}

impl Recorder {
    /// Begins the log with its header. `case`: what the run's earlier segments amount to.
    pub fn start(
        sink: Box<dyn Sink>,
        (header, case, alarms): (&Header, Option<Case>, Alarms),
        clock: &Clock,
        stop: &Stop,
        live: &Live,
    ) -> io::Result<Self> {
        let sink = Shared(Arc::new(Mutex::new(sink)));
        let mut log = Log {
            writer: Writer::new(sink.clone()),
            sink,
            case: case.unwrap_or_else(|| Case::new(header)),
            alarms,
            live: live.clone(),
            stop: stop.clone(),
            clock: clock.clone(),
        };
        // Of the first segment, this is the begin of the run.
        let t_ns = if header.segment == 0 { 0 } else { clock.now_ns() };
        log.append(t_ns, Event::Header(Box::new(header.clone())))?;
        log.sync()?;
        let (to, from) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || log.run(&from))?;
        let handle = Handle { to: Arc::new(Mutex::new(to)), clock: clock.clone(), stop: stop.clone() };
        Ok(Self { handle, thread })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the sink has synced everything handed over, and gives out what the records amount to. Every other
    /// handle must be gone.
    pub fn finish(self) -> (io::Result<()>, Case) {
        drop(self.handle);
        match self.thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// A sink that the log's writer and the recorder both reach, on one thread.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Box<dyn Sink>>>);

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut dyn Sink) -> T) -> T {
        f(&mut **self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Shared {
    /// The writer makes one call a line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.with(|sink| sink.append(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|sink| sink.flush())
    }
}

struct Log {
    writer: Writer<Shared>,
    sink: Shared,
    case: Case,
    alarms: Alarms,
    live: Live,
    stop: Stop,
    clock: Clock,
}

impl Log {
    fn run(mut self, from: &Receiver<(u64, Event)>) -> (io::Result<()>, Case) {
        let done = self.record_all(from);
        if let Err(error) = &done {
            let why = format!("the run log cannot be written: {error}");
            self.stop.ask(StopMode::Drain, EndReason::RecordingFailed, why);
            // No thread may wait for a queue that is not emptied any more.
            for _ in from {}
        }
        (done, self.case)
    }

    fn record_all(&mut self, from: &Receiver<(u64, Event)>) -> io::Result<()> {
        let (mut flushed, mut looked) = (Instant::now(), Instant::now());
        loop {
            let next = if let Ok(next) = from.try_recv() {
                Ok(next)
            } else {
                // Nothing waits: what there is outlasts the end of this process, however it comes.
                self.writer.flush()?;
                from.recv_timeout(LOOK_EVERY)
            };
            match next {
                Ok((t_ns, event)) => self.append(t_ns, event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if looked.elapsed() >= LOOK_EVERY {
                self.look();
                looked = Instant::now();
            }
            if flushed.elapsed() >= FLUSH_EVERY {
                // Also while events never cease to wait.
                self.writer.flush()?;
                flushed = Instant::now();
            }
        }
    }

    /// And what people are told of because of it.
    fn append(&mut self, t_ns: u64, event: Event) -> io::Result<()> {
        let deaths = self.case.facts().exits_unexpected.total;
        let record = self.write(t_ns, event)?;
        let is_death = self.case.facts().exits_unexpected.total > deaths;
        // The end stays the last line.
        let is_end = matches!(record.event, Event::End(_));
        for event in self.alarms.hear(&record, is_death).into_iter().filter(|_| !is_end) {
            self.write(t_ns, event)?;
        }
        Ok(())
    }

    fn write(&mut self, t_ns: u64, event: Event) -> io::Result<Record> {
        match &event {
            Event::Alert(alert) => self.live.alert(alert),
            Event::Threshold(step) => {
                self.live.alert(&Alert { severity: Severity::Info, text: step.text.clone() });
            }
            _ => {}
        }
        let record = self.writer.append(t_ns, event)?;
        self.case.push(&record);
        Ok(record)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.look();
        self.sink.with(|sink| sink.sync())
    }

    fn look(&mut self) {
        if self.stop.mode() == StopMode::Run
            && let Some((name, why)) = self.case.cannot_pass(self.clock.now_ns())
        {
            let why = format!("criterion `{name}` cannot pass any more: {why}");
            self.stop.ask(StopMode::Drain, EndReason::Aborted, why);
        }
        self.live.publish(self.case.facts().live());
    }
}
