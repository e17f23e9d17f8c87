//! Every document says the same, and what a person reads is what a person was meant to read.

use reports::render;
use reports::runlog::event::{Alert, EndReason, Event, Severity, TaskFailed};

use crate::synthetic::{Run, criterion, facts, judge, log_of, read, report, run_dir};

/// A run with something to say in every section.
pub(crate) fn troubled() -> Run {
    Run {
        failed: |n| u32::from(n % 40 == 7),
        criteria: vec![
            criterion("all delivered", "delivery.rate >= 100%", Some("delivery.rate >= 99%")),
            criterion("fast", "coordination.time p99 < 1s", None),
            criterion("rare outliers", "coordination.time p99.9 < 1s", None),
            criterion("no slow round", "coordination.time max < 12ms", None),
            criterion("memory level", "memory.pss.workers slope < 10%/h", None),
        ],
        ..Run::default()
    }
}

#[test]
fn all_formats_agree_on_the_verdict_and_on_every_value() {
    for run in [Run::default(), troubled(), Run { rehearsal: Some(1440.0), ..Run::default() }] {
        let dir = run_dir(&run.log());
        let (judgement, _) = report(dir.path());
        let json: serde_json::Value = serde_json::from_str(&read(dir.path(), "verdict.json")).unwrap();
        assert_eq!(json["verdict"], judgement.verdict.word());
        assert_eq!(json["exit"]["code"], judgement.exit.code);
        let text = render::text::render(&judgement, &facts(&run.log()));
        let documents = [
            read(dir.path(), "report.html"),
            read(dir.path(), "report.md"),
            read(dir.path(), "junit.xml"),
            text,
        ];
        for document in &documents {
            assert!(document.contains(&judgement.headline()));
            for (c, in_json) in judgement.criteria.iter().zip(json["criteria"].as_array().unwrap()) {
                assert_eq!(in_json["value_text"], c.value_text.as_str());
                for said in [&c.name, &c.value_text, &c.margin_text] {
                    assert!(document.contains(said.as_str()), "{said} is not in:\n{document}");
                }
            }
        }
        // The figures in words are those of the numbers.
        let delivery = judgement.criteria[0].value.unwrap();
        assert!((delivery - json["criteria"][0]["value"].as_f64().unwrap()).abs() < 1e-12);
    }
}

#[test]
fn a_report_made_twice_and_elsewhere_is_the_same() {
    let log = troubled().log();
    let (here, there) = (run_dir(&log), run_dir(&log));
    let (_, files) = report(here.path());
    let first: Vec<_> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    report(here.path());
    let (_, elsewhere) = report(there.path());
    for ((file, bytes), other) in files.iter().zip(&first).zip(&elsewhere) {
        assert!(std::fs::read(file).unwrap() == *bytes, "{} changed", file.display());
        assert!(std::fs::read(other).unwrap() == *bytes, "{} depends on its place", other.display());
        assert!(!String::from_utf8_lossy(bytes).contains(&*here.path().to_string_lossy()));
    }
    let names: Vec<_> =
        files.iter().map(|f| f.strip_prefix(here.path()).unwrap().to_str().unwrap()).collect();
    for name in [
        "samples.csv",
        "rounds.csv",
        "latency.hlog",
        "verdict.json",
        "report.html",
        "report.md",
        "junit.xml",
        "plots/coordination.svg",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
}

#[test]
fn a_rehearsal_is_marked_in_every_file() {
    let dir = run_dir(&Run { rehearsal: Some(1440.0), ..Run::default() }.log());
    let (_, files) = report(dir.path());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.to_lowercase().contains("rehearsal") && text.contains("1440"), "{}", file.display());
    }
}

#[test]
fn the_html_needs_nothing_from_outside() {
    let log = troubled().log();
    let html = render::html::render(&judge(&log), &facts(&log));
    // The one address is the name of the SVG namespace.
    assert_eq!(html.matches("://").count(), html.matches("http://www.w3.org/2000/svg").count());
    for outside in ["<script", "<link", "<img", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html.contains("#0102A"), "a marker colour was left in a plot");
}

#[test]
fn what_a_command_wrote_is_shown_and_nothing_obeys_it() {
    let evil = "\u{fffe} \u{1b}[2J\u{1b}]0;title\u{7} \nPASS  all good \u{202e}lived\r";
    let run = Run { failed: |n| u32::from(n == 3), ..Run::default() };
    let mut events = run.events();
    for (_, event) in &mut events {
        if let Event::Header(header) = event {
            header.scenario.asks = format!("Why? {evil}");
        }
    }
    let at = events.len() - 8;
    let worker = TaskFailed { round: 13, task: "1:2".into(), worker: 5, workload: None, reason: evil.into() };
    events.insert(at, (events[at].0, Event::TaskFailed(worker)));
    events.insert(at, (events[at].0, alert(evil)));
    let log = log_of(events);
    let (judgement, facts) = (judge(&log), facts(&log));
    let text = render::text::render(&judgement, &facts);
    let documents = [
        render::html::render(&judgement, &facts),
        render::markdown::render(&judgement, &facts),
        render::junit::render(&judgement, &facts),
        text.clone(),
    ];
    for document in &documents {
        let hidden = ['\u{fffe}', '\u{1b}', '\u{7}', '\u{202e}', '\r'];
        assert!(!document.contains(hidden), "{document}");
        assert!(document.contains("\\u001b[2J") && document.contains("\\u202elived"), "{document}");
    }
    assert!(!text.lines().any(|line| line.starts_with("PASS")), "{text}");
}

#[test]
fn what_a_log_says_cannot_break_out_of_a_document() {
    let mut run = troubled();
    run.criteria[0].name = "<script>alert(1)</script> | \u{1b}[31m & \"x\"".into();
    let mut events = run.events();
    events.insert(3, (1_000_000_000, alert("</style><b>x\u{0}")));
    let log = log_of(events);
    let (judgement, facts) = (judge(&log), facts(&log));
    let html = render::html::render(&judgement, &facts);
    assert!(!html.contains("<script>") && !html.contains("</style><b>"));
    let junit = render::junit::render(&judgement, &facts);
    assert!(!junit.contains("<script>") && !junit.contains('\u{1b}'));
    let markdown = render::markdown::render(&judgement, &facts);
    assert!(markdown.contains("\\|") && !markdown.contains('\u{1b}') && !markdown.contains("<script>"));
}

fn alert(text: &str) -> Event {
    Event::Alert(Alert { severity: Severity::Critical, text: text.into() })
}

#[test]
fn a_summary_fits_into_a_comment_however_much_went_wrong() {
    let mut run = troubled();
    run.criteria = (0..2_000)
        .map(|i| criterion(&format!("{i} {}", "long ".repeat(200)), "coordination.time max < 1ms", None))
        .collect();
    let log = run.log();
    let markdown = render::markdown::render(&judge(&log), &facts(&log));
    assert!(markdown.len() < 64 << 10, "{} bytes", markdown.len());
}

#[test]
fn tables_have_a_row_for_everything_and_units_in_their_names() {
    let run = Run::default();
    let dir = run_dir(&run.log());
    report(dir.path());
    let rounds = read(dir.path(), "rounds.csv");
    assert_eq!(rounds.lines().count(), 1 + 130);
    assert!(
        rounds.lines().nth(1).unwrap().starts_with("2026-01-02T03:04:06.000Z,1.000000,0,warm-up,"),
        "{rounds}"
    );
    let samples = read(dir.path(), "samples.csv");
    let sweeps = run.events().iter().filter(|e| matches!(e.1, Event::Sample(_))).count();
    assert_eq!(samples.lines().count(), 1 + sweeps * 10);
    assert!(samples.contains(",worker/1.2,worker,"));
    let columns = samples.lines().next().unwrap().split(',').count();
    assert!(samples.lines().all(|l| l.split(',').count() == columns));
}

#[test]
fn the_latency_log_opens_in_hdrhistogram() {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let dir = run_dir(&Run::default().log());
    report(dir.path());
    let text = std::fs::read(dir.path().join("latency.hlog")).unwrap();
    let entries: Vec<_> = IntervalLogIterator::new(&text).map(Result::unwrap).collect();
    assert!(entries.iter().any(|e| matches!(e, LogEntry::StartTime(_))));
    let interval =
        entries.iter().find_map(|e| if let LogEntry::Interval(i) = e { Some(i) } else { None }).unwrap();
    assert_eq!(interval.tag().map(|t| t.as_str()), Some("task"));
    assert!((interval.max() - 15.0).abs() < 0.02, "milliseconds: {}", interval.max());
}

#[test]
fn no_document_shows_a_percentile_that_the_sample_does_not_support() {
    for (rounds, shown) in [(99, "p99 —"), (100, "p99 15 ms")] {
        let log = Run { rounds, criteria: vec![], ..Run::default() }.log();
        let (judgement, facts) = (judge(&log), facts(&log));
        for document in
            [render::text::render(&judgement, &facts), render::markdown::render(&judgement, &facts)]
        {
            assert!(document.contains(shown), "{document}");
        }
        assert_eq!(facts.live().coordination_p99_ns.is_some(), rounds >= 100);
        assert_eq!(facts.load.coordination.supported_quantile_ns(0.999), None);
        let html = render::html::render(&judgement, &facts);
        let tile = html.split("coordination p99").nth(1).unwrap();
        assert_eq!(tile.starts_with("</span><b>—"), rounds < 100, "{}", &tile[..60]);
    }
}

#[test]
fn what_stands_beside_a_lines_name_says_of_when_it_is() {
    let plots = render::plot::all(&facts(&Run::default().log()));
    let svg = |name| plots.iter().find(|p| p.name == name).unwrap().standalone();
    for name in ["memory-pss", "memory-rss", "fds"] {
        assert!(svg(name).contains("6 workers: ") && svg(name).contains(" at the end"), "{name}");
    }
    assert!(svg("cpu").contains("6 workers: mean ") && !svg("cpu").contains("at the end"));
}

#[test]
fn a_single_sweep_is_one() {
    let log = Run { rounds: 2, ..Run::default() }.log();
    let text = serde_json::to_string(&judge(&log).evidence).unwrap();
    assert!(text.contains("over 1 sweep\"") && text.contains("of 1 sweep,"), "{text}");
    assert!(!text.contains("1 sweeps"), "{text}");
}

#[test]
fn what_people_read() {
    let log = troubled().log();
    let (judgement, facts) = (judge(&log), facts(&log));
    insta::assert_snapshot!("text", render::text::render(&judgement, &facts));
    insta::assert_snapshot!("markdown", render::markdown::render(&judgement, &facts));
    insta::assert_snapshot!("junit", render::junit::render(&judgement, &facts));
    insta::assert_snapshot!("verdict", render::json::render(&judgement));
}

#[test]
fn what_people_read_of_a_cut_run() {
    let run = Run { end: Some(EndReason::Interrupted), ..Run::default() };
    let log = run.log();
    insta::assert_snapshot!("interrupted", render::text::render(&judge(&log), &facts(&log)));
}

/// The bytes that other people's tools read; those of `hdrhistogram` are one of them.
#[test]
fn the_histogram_log_is_written_as_its_readers_expect() {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let run = Run { rounds: 4, rehearsal: Some(2.0), ..Run::default() };
    let dir = run_dir(&run.log());
    report(dir.path());
    let text = read(dir.path(), "latency.hlog");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "#[Latency of run 20260102T030405Z-abc123, in nanoseconds]",
            "#[REHEARSAL: the schedule was compressed 2 times. This run satisfies no gate.]",
            "#[Histogram log format version 1.3]",
            "#[StartTime: 1767323045.000 (seconds since epoch), 2026-01-02T03:04:05Z]",
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
        ]
    );
    assert!(lines[5].starts_with("Tag=task,6.000,2.000,"), "{}", lines[5]);
    let intervals = IntervalLogIterator::new(text.as_bytes())
        .filter(|entry| matches!(entry, Ok(LogEntry::Interval(found)) if found.tag().is_some()));
    assert_eq!(intervals.count(), 1);
}

#[test]
fn junit_says_when_where_and_how_long() {
    let log = Run::default().log();
    let facts = facts(&log);
    let junit = render::junit::render(&judge(&log), &facts);
    let took = format!("{:.3}", facts.last_ns as f64 / 1e9);
    assert!(
        junit.contains("timestamp=\"2026-01-02T03:04:05+00:00\"") && junit.contains("hostname=\"testbed\""),
        "{junit}"
    );
    // The run, its suite, and the one case that stands for it.
    assert_eq!(junit.matches(&format!("time=\"{took}\"")).count(), 3, "{junit}");
}
