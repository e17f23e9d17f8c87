//! What befalls the log and the directory of a run that is under way.

use super::{Bench, scenario};
use std::path::Path;

/// What befalls the directory of a run that is under way; what the run says about it.
fn befallen(what: impl FnOnce(&Path)) -> String {
    let bench = Bench::new(&scenario(2));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    what(&bench.latest());
    let done = run.end();
    let told = format!("{}{}", done.stdout, done.stderr);
    assert_eq!(done.status.code(), Some(12), "{told}");
    bench.assert_nothing_left(&agents);
    told
}

/// The log is lost, and the run is judged from the file that the harness holds open.
fn judged_though_lost(what: impl FnOnce(&Path), says: &str) {
    let told = befallen(what);
    assert!(told.starts_with("INCONCLUSIVE") && told.contains(says), "{told}");
    assert!(told.contains("delivery.rate >= 100%"), "{told}");
}

#[test]
fn a_log_that_is_removed_during_the_run_makes_it_inconclusive_and_it_is_judged() {
    judged_though_lost(|run| std::fs::remove_file(run.join("run.log")).unwrap(), "was removed or moved");
    judged_though_lost(|run| std::fs::remove_dir_all(run).unwrap(), "was removed or moved");
    judged_though_lost(
        |run| std::fs::rename(run, run.with_extension("moved")).unwrap(),
        "was removed or moved",
    );
}

#[test]
fn a_run_directory_that_is_removed_is_made_again_with_every_document() {
    let bench = Bench::new(&scenario(2));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let directory = bench.latest();
    std::fs::remove_dir_all(&directory).unwrap();
    let done = run.end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    for document in
        ["verdict.json", "report.html", "report.md", "junit.xml", "samples.csv", "rounds.csv", "plots"]
    {
        assert!(directory.join(document).exists(), "{document}: {}", done.stderr);
    }
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_log_with_another_in_its_place_makes_the_run_inconclusive() {
    let another = |run: &Path| {
        let log = run.join("run.log");
        std::fs::copy(&log, run.join("copy")).unwrap();
        std::fs::rename(run.join("copy"), log).unwrap();
    };
    judged_though_lost(another, "is another file");
    let pipe = |run: &Path| {
        std::fs::remove_file(run.join("run.log")).unwrap();
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&run.join("run.log"), mode).unwrap();
    };
    judged_though_lost(pipe, "is another file");
}

#[test]
fn a_log_that_is_changed_during_the_run_makes_it_inconclusive_and_it_is_judged_from_memory() {
    let log = |run: &Path| std::fs::File::options().write(true).open(run.join("run.log")).unwrap();
    let says = "was changed during the run";
    judged_though_lost(|run| log(run).set_len(0).unwrap(), says);
    let half = |run: &Path| log(run).metadata().unwrap().len() / 2;
    judged_though_lost(|run| log(run).set_len(half(run)).unwrap(), says);
    let scribble = |run: &Path| {
        std::os::unix::fs::FileExt::write_all_at(&log(run), b"precious", half(run)).unwrap();
    };
    judged_though_lost(scribble, says);
}
