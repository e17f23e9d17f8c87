//! One report, and one decision, of each kind that a reader meets, on disk.

use std::path::PathBuf;

use reports::runlog::event::{AgentExit, Event};
use tempfile::TempDir;

use crate::decisions::shown;
use crate::documents::troubled;
use crate::faults::Faulty;
use crate::segments;
use crate::side_by_side::page;
use crate::synthetic::{Run, log_of, report, run_dir};
use crate::workers;

pub(super) struct Page {
    pub(super) name: &'static str,
    dir: TempDir,
}

impl Page {
    fn new(name: &'static str, dir: TempDir) -> Self {
        report(dir.path());
        Self { name, dir }
    }

    fn of(name: &'static str, log: &[u8]) -> Self {
        Self::new(name, run_dir(log))
    }

    /// A page other than the report of a run.
    fn drawn(name: &'static str, html: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("report.html"), html).unwrap();
        Self { name, dir }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join("report.html")
    }
}

pub(super) fn all() -> Vec<Page> {
    let gates = shown::pages().into_iter().map(|(name, html)| Page::drawn(name, &html));
    let mut pages = vec![
        Page::of("pass", &Run::default().log()),
        Page::of("fail", &died(&troubled())),
        Page::of("faults", &Faulty::killed("recovery.time max < 1s").log()),
        Page::of("rehearsal", &Run { rehearsal: Some(1440.0), ..Run::default() }.log()),
        Page::of("unending", &Run { end: None, ..Run::default() }.log()),
        Page::new("resumed", segments::resumed()),
        Page::of("foreign", &foreign()),
        Page::of("workers", &workers::log()),
        Page::drawn("side-by-side", &page(&[Run::default().log(), died(&troubled()), foreign()])),
    ];
    pages.extend(gates);
    pages
}

/// In which 22 processes die at once.
fn died(run: &Run) -> Vec<u8> {
    let run = Run { workers: 20, ..run.clone() };
    let mut events = run.events();
    for (t, event) in &mut events {
        if let Event::AgentExit(exit) = event
            && exit.agent <= 22
        {
            *t -= 3_000_000;
            let end = AgentExit { how: "killed by SIGKILL".into(), expected: false, ..exit.clone() };
            *exit = AgentExit { seen_ns: *t, ..end };
        }
    }
    events.sort_by_key(|(t, _)| *t);
    log_of(events)
}

/// Texts in another direction, with nowhere to break, and with what hides.
fn foreign() -> Vec<u8> {
    let mut run = Run::default();
    run.criteria[0].name = "כל המשימות נענו".into();
    run.criteria[1].name = "a-name-with-nowhere-to-break-".repeat(6);
    run.overrides = vec!["load.duration=\u{202e}s06".into(), "x".repeat(300)];
    let mut events = run.events();
    for (_, event) in &mut events {
        if let Event::Header(header) = event {
            header.scenario.asks = "هل يجيب كل عامل في الوقت المحدد؟ <b>\u{202e}PASS</b>".into();
            header.command = format!("harness run {}", "/very/deep".repeat(40));
            header.host.hostname = "h".repeat(120);
        }
    }
    log_of(events)
}
