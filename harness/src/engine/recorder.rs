//! The one writer of the run log. It also keeps the facts that the log amounts to, for the live view
//! and for criteria that end a run early: the same fold that judges the log later.

use super::stop::{Stop, Wish};
use coordinator::client::now_ns;
use reports::facts::{Facts, LiveView};
use reports::runlog::codec::Writer;
use reports::runlog::event::{EndReason, Event, Header};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Events that may wait for the disk. A disk slower than that slows the load down, which shows as
/// lateness and not as memory.
const QUEUE: usize = 4096;
/// What a crash of the machine may cost.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often the live view is made anew and hope is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a live display shows.
#[derive(Debug, Clone)]
pub struct Live {
    pub view: LiveView,
    /// The newest alerts, the newest last.
    pub alerts: Vec<String>,
}

/// Where events go in.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Stamped and queued under one lock: times in the log never go back.
    to: Arc<Mutex<SyncSender<(u64, Event)>>>,
    start_ns: u64,
    stop: Stop,
}

impl Handle {
    /// Hands an event over; it is stamped here. After a failed write nothing is kept, and the stop
    /// switch has been thrown.
    pub fn record(&self, event: Event) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let t_ns = now_ns() - self.start_ns;
        if to.send((t_ns, event)).is_err() {
            // Its thread is gone: a run that nobody writes down is not worth going on with.
            let why = "the recorder has ended".to_owned();
            self.stop.ask(Wish::Drain, EndReason::RecordingFailed, why);
        }
    }
}

#[derive(Debug)]
pub struct Recorder {
    handle: Handle,
    thread: JoinHandle<io::Result<()>>,
}

/// Shared with whoever shows the run.
pub type LiveSlot = Arc<Mutex<Option<Live>>>;

impl Recorder {
    /// Begins the log with its header. `start_ns` is the run's zero on the fleet's clock.
    pub fn start(
        path: &Path,
        header: &Header,
        start_ns: u64,
        stop: Stop,
        live: LiveSlot,
    ) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let mut log = Log {
            writer: Writer::new(BufWriter::with_capacity(1 << 16, file)),
            facts: Facts::new(header),
            live,
            stop: stop.clone(),
            alerts: Vec::new(),
            start_ns,
        };
        log.append(0, Event::Header(Box::new(header.clone())))?;
        log.sync()?;
        let (to, from) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || log.run(&from))?;
        Ok(Self { handle: Handle { to: Arc::new(Mutex::new(to)), start_ns, stop }, thread })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until everything handed over is on disk. Every other handle must be gone.
    pub fn finish(self) -> io::Result<()> {
        drop(self.handle);
        match self.thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Log {
    writer: Writer<BufWriter<File>>,
    facts: Facts,
    live: LiveSlot,
    stop: Stop,
    alerts: Vec<String>,
    start_ns: u64,
}

/// Alerts that a live display can show.
const ALERTS_SHOWN: usize = 5;

impl Log {
    fn run(mut self, from: &Receiver<(u64, Event)>) -> io::Result<()> {
        let done = self.record_all(from);
        if let Err(error) = &done {
            self.stop.ask(
                Wish::Drain,
                EndReason::RecordingFailed,
                format!("the run log cannot be written: {error}"),
            );
            // Nobody may wait for a queue that is not emptied any more.
            for _ in from {}
        }
        done
    }

    fn record_all(&mut self, from: &Receiver<(u64, Event)>) -> io::Result<()> {
        let (mut flushed, mut looked) = (Instant::now(), Instant::now());
        loop {
            match from.recv_timeout(LOOK_EVERY) {
                Ok((t_ns, event)) => self.append(t_ns, event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if looked.elapsed() >= LOOK_EVERY {
                self.look();
                looked = Instant::now();
            }
            if flushed.elapsed() >= FLUSH_EVERY {
                self.writer.flush()?;
                flushed = Instant::now();
            }
        }
    }

    fn append(&mut self, t_ns: u64, event: Event) -> io::Result<()> {
        if let Event::Alert(alert) = &event {
            if self.alerts.len() == ALERTS_SHOWN {
                self.alerts.remove(0);
            }
            self.alerts.push(alert.text.clone());
        }
        let record = self.writer.append(t_ns, event)?;
        self.facts.push(&record);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.look();
        self.writer.flush()?;
        self.writer.get_ref().get_ref().sync_data()
    }

    fn look(&mut self) {
        if self.stop.wish() == Wish::GoOn
            && let Some((name, why)) = reports::cannot_pass(&self.facts, now_ns() - self.start_ns)
        {
            self.stop.ask(
                Wish::Drain,
                EndReason::Aborted,
                format!("criterion `{name}` is beyond hope: {why}"),
            );
        }
        let live = Live { view: self.facts.live(), alerts: self.alerts.clone() };
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }
}
