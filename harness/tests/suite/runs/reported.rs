//! `harness report` of one run and of several.

use super::{Bench, documents, scenario, wait_until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;

/// A run that passes, and where it is.
fn run(bench: &Bench) -> String {
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    bench.latest().to_str().unwrap().to_owned()
}

#[test]
fn several_runs_are_shown_side_by_side_and_stay_as_they_are() {
    let bench = Bench::new(&scenario(1));
    let (first, second) = (run(&bench), run(&bench));
    let before = [documents(first.as_ref()), documents(second.as_ref())];
    let refused = bench.ask(&["report", &first, &second]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    assert!(refused.stderr.contains("--out DIR"), "{refused:?}");

    let made = bench.ask(&["report", &first, &second, "--out", "beside", "--json"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let verdicts: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(verdicts.as_array().unwrap().len(), 2);
    let out = bench.dir.path().join("beside");
    let page = std::fs::read_to_string(out.join("side-by-side.html")).unwrap();
    for run in [&first, &second] {
        let name = run.rsplit('/').next().unwrap();
        assert!(page.contains(&format!("{name}/report.html")), "{name}");
        assert!(out.join(name).join("report.html").exists() && !out.join(name).join("run.log").exists());
    }
    assert!(before == [documents(first.as_ref()), documents(second.as_ref())]);

    // One that cannot be judged is named; the page is made of the others, and the code is the worst.
    let some = bench.ask(&["report", &first, "gone", &second, "--out", "beside"]);
    assert_eq!(some.status.code(), Some(64), "{some:?}");
    assert!(some.stderr.contains("there is no run at gone"), "{some:?}");
    // As `runs/small/*` names them: the newest by two names.
    let latest = bench.latest();
    let all = bench.ask(&["report", &first, latest.to_str().unwrap(), &second, "--out", "all", "--json"]);
    let verdicts: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!(verdicts.as_array().unwrap().len(), 2, "{all:?}");
    // Two runs of one name would have one folder.
    let copy = bench.dir.path().join("copy").join(first.rsplit('/').next().unwrap());
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(format!("{first}/run.log"), copy.join("run.log")).unwrap();
    let one_name = bench.ask(&["report", &first, copy.to_str().unwrap(), "--out", "beside"]);
    assert_eq!(one_name.status.code(), Some(64), "{one_name:?}");
    let names: Vec<String> = (0..9).map(|n| format!("run-{n}")).collect();
    let many: Vec<&str> =
        ["report", "--out", "beside"].into_iter().chain(names.iter().map(String::as_str)).collect();
    assert!(bench.ask(&many).stderr.contains("at most 8"));
}

#[test]
fn a_report_is_handed_to_the_browser_that_the_user_names() {
    let bench = Bench::new(&scenario(1));
    let run = run(&bench);
    let (browser, seen) = (bench.dir.path().join("browser"), bench.dir.path().join("seen"));
    std::fs::write(&browser, format!("#!/bin/sh\necho \"$1\" > {0}.new && mv {0}.new {0}\n", seen.display()))
        .unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
    let opened = bench.command().args(["report", &run, "--open"]).env("BROWSER", &browser).output().unwrap();
    assert_eq!(opened.status.code(), Some(0), "{opened:?}");
    wait_until("the browser is started", || seen.exists());
    assert_eq!(std::fs::read_to_string(&seen).unwrap().trim(), format!("{run}/report.html"));

    let none = bench.command().args(["report", &run, "--open"]).env("BROWSER", "/no/such").output().unwrap();
    assert_eq!(none.status.code(), Some(20), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("set BROWSER"), "{none:?}");
}
