//! A log that was changed, cut or never was one: named, refused, and never judged as good.

use reports::Verdict;
use reports::runlog::event::Event;
use reports::runlog::{LogError, Reader, Writer};

use crate::synthetic::{self, Run, log_of, report, run_dir};

/// Small enough to try every byte of it, and with every kind of record.
fn small() -> Run {
    Run { coordinators: 1, workers: 1, rounds: 2, warm_up_rounds: 1, ..Run::default() }
}

fn first_error(log: &[u8]) -> Option<LogError> {
    Reader::new(log).find_map(Result::err)
}

#[test]
fn every_flipped_byte_is_found() {
    let log = small().log();
    for at in 0..log.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bent = log.clone();
            bent[at] ^= bit;
            let error = first_error(&bent);
            assert!(
                matches!(
                    error,
                    Some(LogError::Damaged { .. } | LogError::Torn { .. } | LogError::BadHeader { .. })
                ),
                "byte {at} ^ {bit:#x}: {error:?}"
            );
        }
    }
}

#[test]
fn a_log_cut_anywhere_never_passes() {
    let log = small().log();
    for at in 0..log.len() {
        match reports::judge_log(&log[..at]) {
            Ok((judgement, _)) => {
                assert_eq!(judgement.verdict, Verdict::Inconclusive, "cut at {at}: {judgement:?}");
            }
            Err(e) => {
                assert!(matches!(e, LogError::Empty | LogError::Torn { line: 1, .. }), "cut at {at}: {e}");
            }
        }
    }
    let (whole, _) = reports::judge_log(log.as_slice()).unwrap();
    assert!(whole.evidence.iter().all(|e| e.verdict == Verdict::Pass), "{:#?}", whole.evidence);
}

#[test]
fn a_cut_log_says_where_it_ends_and_is_rendered() {
    let log = Run::default().log();
    let dir = run_dir(&log[..log.len() / 2]);
    let (judgement, files) = report(dir.path());
    assert_eq!((judgement.verdict, judgement.exit.code), (Verdict::Inconclusive, 12));
    assert!(judgement.reasons[0].contains("ends in the middle of line"), "{:?}", judgement.reasons);
    assert!(files.iter().any(|f| f.ends_with("report.html")));
}

/// A good run, and half a line after its end: it did not end where it says.
#[test]
fn a_whole_log_that_goes_on_after_its_end_is_inconclusive() {
    let mut log = Run::default().log();
    let lines = log.split_inclusive(|b| *b == b'\n').count();
    log.extend(b"hello");
    let (judgement, _) = reports::judge_log(log.as_slice()).unwrap();
    assert_eq!(
        (judgement.verdict, judgement.exit.code),
        (Verdict::Inconclusive, 12),
        "{:#?}",
        judgement.reasons
    );
    let complete = judgement.evidence.iter().find(|e| e.name == "run complete").unwrap();
    assert_eq!(complete.verdict, Verdict::Inconclusive);
    assert!(complete.note.as_ref().unwrap().contains(&format!("line {}", lines + 1)), "{complete:?}");
}

#[test]
fn lines_removed_swapped_or_repeated_break_the_chain() {
    let log = small().log();
    let lines: Vec<&[u8]> = log.split_inclusive(|b| *b == b'\n').collect();
    let damaged = |lines: Vec<&[u8]>| matches!(first_error(&lines.concat()), Some(LogError::Damaged { .. }));
    for at in 1..lines.len() - 1 {
        let mut without = lines.clone();
        without.remove(at);
        assert!(damaged(without), "line {at} removed");
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        assert!(damaged(swapped), "lines {at} and {} swapped", at + 1);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(damaged(twice), "line {at} twice");
    }
}

#[test]
fn a_damaged_log_names_the_place_and_leaves_the_files_alone() {
    let mut log = Run::default().log();
    let dir = run_dir(&log);
    report(dir.path());
    let before = synthetic::read(dir.path(), "verdict.json");
    let middle = log.len() / 2;
    log[middle] ^= 1;
    std::fs::write(dir.path().join("run.log"), &log).unwrap();
    let error = reports::report(dir.path(), |_| None).unwrap_err();
    assert_eq!(error.exit_code(), 12);
    let line = log[..middle].split(|b| *b == b'\n').count();
    let text = error.to_string();
    assert!(
        text.contains(&format!("line {line}")) && text.contains("byte") && text.contains("run.log"),
        "{text}"
    );
    assert_eq!(synthetic::read(dir.path(), "verdict.json"), before);
    assert_eq!(temporary(dir.path()), Vec::<String>::new());
}

#[test]
fn what_is_no_run_log_is_refused_as_usage() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(reports::judge(empty.path(), |_| None).unwrap_err().exit_code(), 64);
    for text in ["", "hello\n", "{}\n", "\n\n", "{\"seq\":0,\"crc\":\"00000000\"}\n"] {
        let dir = run_dir(text.as_bytes());
        let error = reports::judge(dir.path(), |_| None).unwrap_err();
        assert!(matches!(error.exit_code(), 64 | 12), "{text:?}: {error}");
    }
}

/// Names of files that were left under their temporary name.
fn temporary(dir: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp"))
        .collect()
}

/// Each obstacle stands for an archive that cannot be written. A disk that is full is in the tests of the harness.
#[test]
fn what_cannot_be_written_is_told_and_the_verdict_given() {
    let taken = |dir: &std::path::Path, name: &str| std::fs::create_dir(dir.join(name)).unwrap();
    let judged = |obstruct: &dyn Fn(&std::path::Path)| {
        let dir = run_dir(&Run::default().log());
        obstruct(dir.path());
        let judged = reports::report(dir.path(), |_| None).unwrap();
        assert_eq!(judged.judgement.exit.code, 0);
        assert!(judged.summary.starts_with("PASS"));
        assert_eq!(temporary(dir.path()), Vec::<String>::new());
        let files: Vec<String> = judged
            .files
            .iter()
            .map(|f| f.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned())
            .collect();
        let error = judged.unwritten.expect("something could not be written");
        assert_eq!(error.exit_code(), 20);
        (files, error.to_string())
    };
    // A table cannot be written: no table, and all the rest.
    for table in ["samples.csv", "rounds.csv"] {
        let (files, error) = judged(&|dir| taken(dir, table));
        assert!(error.contains(table), "{error}");
        assert_eq!(files[..4], ["verdict.json", "report.html", "report.md", "junit.xml"]);
        assert!(!files.iter().any(|f| f == table), "{files:?}");
    }
    // One document cannot be written: the others are.
    let (files, error) = judged(&|dir| taken(dir, "report.html"));
    assert!(!files.contains(&"report.html".into()) && files.contains(&"junit.xml".into()), "{error}");
    // Not even the verdict: it is told all the same.
    let dir = run_dir(&Run::default().log());
    taken(dir.path(), "verdict.json");
    let judged = reports::judge(dir.path(), |_| None).unwrap();
    assert_eq!((judged.judgement.verdict, judged.files.len()), (Verdict::Pass, 0));
    assert!(judged.unwritten.unwrap().to_string().contains("verdict.json cannot be written"));
}

#[test]
fn a_run_that_is_not_there_is_told_from_one_that_cannot_be_read() {
    let none = tempfile::tempdir().unwrap();
    let error = reports::judge(none.path(), |_| None).unwrap_err();
    assert!(error.to_string().starts_with("there is no run at "), "{error}");
    assert!(error.hint().contains("runs/SCENARIO/latest"));
    // The directory of the scenario was given, and its runs lie below it.
    let latest = none.path().join("latest");
    std::fs::create_dir(&latest).unwrap();
    std::fs::write(latest.join("run.log"), Run::default().log()).unwrap();
    let error = reports::judge(none.path(), |_| None).unwrap_err();
    assert_eq!(error.hint(), format!("did you mean {}?", latest.display()));
    // A file was given.
    let error = reports::judge(&latest.join("run.log"), |_| None).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(error.hint().contains("not a file in it") && error.exit_code() == 64);
    std::fs::create_dir(none.path().join("run.log")).unwrap();
    let error = reports::judge(none.path(), |_| None).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

fn pipe(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "mkfifo is part of coreutils");
}

/// Runs what may wait for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    wait.recv_timeout(std::time::Duration::from_secs(120)).expect("it waits for ever")
}

#[test]
fn a_pipe_or_a_device_is_refused_and_not_waited_for() {
    for name in ["run.log", "run.2.log"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("run.log"), Run::default().log()).unwrap();
        let _ = std::fs::remove_file(dir.path().join(name));
        pipe(&dir.path().join(name));
        let path = dir.path().to_owned();
        let error = in_time(move || reports::report(&path, |_| None)).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        assert!(error.to_string().contains(name) && error.to_string().contains("pipe"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("run.log")).unwrap();
    let path = dir.path().to_owned();
    assert_eq!(in_time(move || reports::judge(&path, |_| None)).unwrap_err().exit_code(), 64);
    let dir = tempfile::tempdir().unwrap();
    pipe(&dir.path().join("verdict.json"));
    let path = dir.path().to_owned();
    assert_eq!(in_time(move || reports::read_verdict(&path)).unwrap_err().exit_code(), 64);
}

#[test]
fn a_pipe_in_the_place_of_a_document_is_written_over() {
    let dir = run_dir(&Run::default().log());
    for name in ["samples.csv", "samples.csv.tmp", "verdict.json", "verdict.json.tmp"] {
        pipe(&dir.path().join(name));
    }
    let path = dir.path().to_owned();
    let judged = in_time(move || reports::report(&path, |_| None)).unwrap();
    assert!(judged.unwritten.is_none(), "{:?}", judged.unwritten);
    assert!(std::fs::metadata(dir.path().join("samples.csv")).unwrap().is_file());
}

/// Each document in turn cannot be written, for a reason that is its own.
#[test]
fn a_document_that_cannot_be_written_is_named_and_stops_no_other() {
    let whole = {
        let dir = run_dir(&Run::default().log());
        let (_, files) = report(dir.path());
        files.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(whole.len() > 7, "{whole:?}");
    for name in &whole {
        // Under its own name, and under the temporary one.
        for suffix in ["", ".tmp"] {
            let dir = run_dir(&Run::default().log());
            let taken = dir.path().join(format!("{}{suffix}", name.display()));
            std::fs::create_dir_all(taken).unwrap();
            let judged = reports::report(dir.path(), |_| None).unwrap();
            let error = judged.unwritten.expect("one document cannot be written").to_string();
            assert!(error.contains(&format!("{} cannot", name.display())), "{name:?}: {error}");
            for other in whole.iter().filter(|other| *other != name) {
                assert!(judged.files.contains(&dir.path().join(other)), "{name:?} stops {other:?}");
            }
        }
    }
}

#[test]
fn a_line_without_end_is_not_read_into_memory() {
    struct Endless;
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }
    let mut reader = Reader::new(std::io::BufReader::new(Endless));
    let error = reader.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_writer_returns_what_a_reader_reads() {
    let mut writer = Writer::new(Vec::new());
    let written: Vec<_> =
        small().events().into_iter().map(|(t, event)| writer.append(t, event).unwrap()).collect();
    let log = writer.into_inner();
    let read: Vec<_> = Reader::new(log.as_slice()).map(Result::unwrap).collect();
    assert_eq!(read, written);
}

/// The bytes of the format. If this changes, so does `FORMAT`, and old logs must still be read.
#[test]
fn the_bytes_of_a_log_are_those_of_the_format() {
    let mut events = small().events();
    // Its compression is another library's affair.
    events.retain(|(_, event)| !matches!(event, Event::Latency(_)));
    insta::assert_snapshot!("run_log", String::from_utf8(log_of(events)).unwrap());
}
