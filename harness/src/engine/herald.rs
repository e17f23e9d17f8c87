//! Reports to a command of the scenario what people are told: one JSON object on its standard input for each alert and each recovery.
//!
//! A thread of its own, which nothing waits for but the end of the run, and that for a bounded time. The command is not of the
//! run: it has this process's environment as it is, and no mark.

use coordinator::client::own_session;
use reports::runlog::event::Header;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits for a command that is slow. More is dropped, and that is told.
const QUEUE: usize = 64;
/// How long the end of a run waits for what has not been told: who cancels a run kills it within ten seconds, and it is still
/// to be judged.
const END_PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// `memory-growth`, `crash`.
    pub alert: &'static str,
    pub severity: &'static str,
    /// `raised` or `recovered`.
    pub state: &'static str,
    /// On the run's clock.
    pub since_ns: u64,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub text: String,
}

/// Where a run is, for those who are told of it.
#[derive(Debug, Clone)]
pub(super) struct Of {
    scenario: String,
    run_id: String,
    host: String,
    started_utc: String,
    run: String,
}

impl Of {
    pub(super) fn new(header: &Header, run: &std::path::Path) -> Self {
        Self {
            scenario: header.scenario.name.clone(),
            run_id: header.run_id.clone(),
            host: header.host.hostname.clone(),
            started_utc: header.started_utc.clone(),
            run: std::path::absolute(run).unwrap_or_else(|_| run.to_owned()).display().to_string(),
        }
    }

    fn json(&self, message: &Message) -> String {
        let start = self.started_utc.parse::<jiff::Timestamp>().ok();
        let since = jiff::SignedDuration::from_nanos(i64::try_from(message.since_ns).unwrap_or(i64::MAX));
        let since = start.and_then(|start| start.checked_add(since).ok());
        let since = since.map(|at| at.round(jiff::Unit::Millisecond).unwrap_or(at).to_string());
        let Message { alert, severity, state, value, limit, text, .. } = message;
        json!({
            "alert": alert,
            "severity": severity,
            "state": state,
            "since": since,
            "value": value,
            "limit": limit,
            "text": text,
            "scenario": self.scenario,
            "run_id": self.run_id,
            "run": self.run,
            "host": self.host,
        })
        .to_string()
            + "\n"
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// Why the command has failed, until that is told; and whether it was.
    failure: Option<String>,
    is_told: bool,
    /// By when everything must be over.
    until: Option<Instant>,
}

fn with<T>(shared: &Mutex<Shared>, f: impl FnOnce(&mut Shared) -> T) -> T {
    f(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

fn fail(shared: &Mutex<Shared>, why: String) {
    with(shared, |shared| {
        if !std::mem::replace(&mut shared.is_told, true) {
            shared.failure = Some(why);
        }
    });
}

/// Reports until it is dropped.
#[derive(Debug)]
pub(super) struct Herald {
    to: Option<SyncSender<Message>>,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Herald {
    /// # Errors
    /// Its thread cannot be started.
    pub(super) fn start(arguments: Vec<String>, timeout: Duration, of: Of) -> std::io::Result<Self> {
        let (to, from) = sync_channel(QUEUE);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("herald".to_owned())
            .spawn(move || report_all(&from, (&arguments, timeout), &of, &theirs))?;
        Ok(Self { to: Some(to), shared, thread: Some(thread) })
    }

    pub(super) fn report(&self, message: Message) {
        let Some(Err(TrySendError::Full(_))) = self.to.as_ref().map(|to| to.try_send(message)) else {
            return;
        };
        fail(
            &self.shared,
            "alerts come faster than their command takes them, and some were dropped".to_owned(),
        );
    }

    /// That it has failed, once.
    pub(super) fn failure(&self) -> Option<String> {
        with(&self.shared, |shared| shared.failure.take())
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        with(&self.shared, |shared| {
            shared.until.get_or_insert(Instant::now() + END_PATIENCE);
        });
        self.to = None;
        if let Some(thread) = self.thread.take() {
            // Its own panic is its own: the run is recorded.
            let _ = thread.join();
        }
    }
}

fn report_all(
    from: &Receiver<Message>,
    (arguments, timeout): (&[String], Duration),
    of: &Of,
    shared: &Mutex<Shared>,
) {
    for message in from {
        if with(shared, |shared| shared.until).is_some_and(|until| Instant::now() >= until) {
            return;
        }
        if let Err(why) = report(arguments, timeout, &of.json(&message), shared) {
            fail(shared, format!("the command of the alerts ({}) {why}", arguments.join(" ")));
        }
    }
}

fn report(arguments: &[String], timeout: Duration, text: &str, shared: &Mutex<Shared>) -> Result<(), String> {
    let [program, arguments @ ..] = arguments else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        own_session(&mut command).spawn().map_err(|error| format!("cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Less than a pipe holds; a command that does not read it has its reasons.
        let _ = stdin.write_all(text.as_bytes());
    }
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed: {status}")),
            Ok(None) => {}
            // The end of a fleet reaps whatever has ended.
            Err(_) => return Ok(()),
        }
        let is_late = with(shared, |shared| shared.until).is_some_and(|until| Instant::now() >= until);
        if is_late || begun.elapsed() >= timeout {
            end(&mut child);
            return Err(format!("was ended after {:.1?}", begun.elapsed()));
        }
        std::thread::park_timeout(LOOK);
    }
}

/// With its group. It is not reaped before, so the group's number is its own.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // A group that has ended needs no signal.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of() -> Of {
        Of {
            scenario: "soak".to_owned(),
            run_id: "soak-1".to_owned(),
            host: "testbed".to_owned(),
            started_utc: "2026-01-02T03:04:05Z".to_owned(),
            run: "/runs/soak/1".to_owned(),
        }
    }

    fn message(state: &'static str) -> Message {
        Message {
            alert: "memory-growth",
            severity: "info",
            state,
            since_ns: 61_500_000_000,
            value: Some(0.25),
            limit: Some(0.2),
            text: "it grows".to_owned(),
        }
    }

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn each_message_is_one_json_object_on_the_commands_input_and_the_end_waits_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let script = format!("test -z \"$HARNESS_RUN\" && cat >> {}", file.display());
        let herald = Herald::start(sh(&script), Duration::from_secs(60), of()).unwrap();
        herald.report(message("raised"));
        herald.report(message("recovered"));
        drop(herald);
        let told = std::fs::read_to_string(file).unwrap();
        let told: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), 2);
        assert_eq!((&told[0]["state"], &told[1]["state"]), (&"raised".into(), &"recovered".into()));
        assert_eq!(told[0]["since"], "2026-01-02T03:05:06.5Z");
        assert_eq!((&told[0]["value"], &told[0]["limit"]), (&0.25.into(), &0.2.into()));
        assert_eq!((&told[0]["run"], &told[0]["host"]), (&"/runs/soak/1".into(), &"testbed".into()));
    }

    fn failure(command: Vec<String>, timeout: Duration) -> String {
        let herald = Herald::start(command, timeout, of()).unwrap();
        herald.report(message("raised"));
        let first = loop {
            match herald.failure() {
                Some(why) => break why,
                None => std::thread::yield_now(),
            }
        };
        herald.report(message("recovered"));
        std::thread::park_timeout(Duration::from_millis(50));
        assert_eq!(herald.failure(), None, "told once");
        first
    }

    #[test]
    fn a_command_that_fails_hangs_or_is_missing_is_told_once_and_holds_nothing_up() {
        assert!(failure(sh("exit 3"), Duration::from_secs(60)).contains("exit status: 3"));
        assert!(failure(sh("sleep 700"), Duration::from_millis(100)).contains("was ended after"));
        assert!(
            failure(vec!["/nowhere/at/all".to_owned()], Duration::from_secs(1)).contains("cannot be started")
        );
    }

    #[test]
    fn what_a_slow_command_has_no_room_for_is_dropped() {
        let herald = Herald::start(sh("sleep 700"), Duration::from_millis(300), of()).unwrap();
        (0..=QUEUE + 1).for_each(|_| herald.report(message("raised")));
        assert!(herald.failure().unwrap().contains("some were dropped"));
        with(&herald.shared, |shared| shared.until = Some(Instant::now()));
    }
}
