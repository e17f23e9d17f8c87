//! Fleets whose size the load decides, or the host.

use super::*;

fn evidence(verdict: &serde_json::Value, name: &str) -> String {
    let checks = verdict["evidence"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    check["verdict"].as_str().unwrap().to_owned()
}

/// Eight workers with next to nothing to do, which may become two.
#[test]
fn a_pool_that_has_little_to_do_retires_workers_and_that_is_no_incident() {
    let text = scenario(6)
        .replace("topology = \"hybrid\"\ncoordinators = 2", "topology = \"flat\"\ncoordinators = 1")
        .replace("workers = 3", "workers = 8\nworkers_min = 2\nscale_hold = \"1ms\"\nscale_pause = \"1ms\"")
        .replace("every = \"50ms\"", "every = \"200ms\"\ntasks_per_round = 1");
    let bench = Bench::new(&text);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    // Of what the fleet has decided, and followed.
    let resized = log.matches("\"ev\":\"resized\",\"name\":\"coord/0\",\"from\":").count();
    assert!(resized >= 1, "{log}");
    // One that was retired before the first look was never introduced.
    let retired = log.matches("retired when the fleet was scaled").count();
    assert!((1..=6).contains(&retired), "{log}");
    let verdict = verdict(&bench.latest());
    assert!(verdict["ran"]["title"].as_str().unwrap().starts_with("2 to 8 workers"), "{verdict:#}");
    for check in ["agents seen", "log consistent", "no undeclared incident", "ledger"] {
        assert_eq!(evidence(&verdict, check), "PASS", "{verdict:#}");
    }
    let samples = std::fs::read_to_string(bench.latest().join("samples.csv")).unwrap();
    let mut rows = samples.lines();
    let live = rows.next().unwrap().split(',').position(|column| column == "agents_live").unwrap();
    let last = rows.next_back().unwrap().split(',').nth(live).unwrap();
    assert_eq!(last, "4", "a supervisor, a coordinator and two workers:\n{samples}");
    bench.assert_nothing_left(&agents);
}

/// Three coordinators of three workers with bursts of work for all of them, and nothing between.
#[test]
fn coordinators_come_and_go_with_the_load_and_that_is_no_incident() {
    let bounds = "coordinators = 3\ncoordinators_min = 1\ncoordinators_max = 4\nscale_hold = \"20ms\"\nscale_pause = \"20ms\"";
    let text = scenario(10)
        .replace("coordinators = 2", bounds)
        .replace("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntime = \"80ms\"")
        .replace(
            "every = \"50ms\"",
            "every = \"1s\"\ntasks_per_round = 36\nrounds_in_flight_max = 4\nto = \"any\"",
        );
    let bench = Bench::new(&text);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    let header: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let plan = &header["plan"];
    assert_eq!(
        (&plan["coordinators_at_start"], &plan["coordinators_least"]),
        (&3.into(), &1.into()),
        "{plan:#}"
    );
    let resized: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains("\"ev\":\"resized\",\"name\":\"supervisor\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let grew = |event: &&serde_json::Value| event["to"].as_u64() > event["from"].as_u64();
    let (up, all) = (resized.iter().filter(grew).count(), resized.len());
    assert!(up > 0 && up < all, "{up} of {all} changes are upwards");
    let verdict = verdict(&bench.latest());
    let title = verdict["ran"]["title"].as_str().unwrap();
    assert!(title.starts_with("3 to 12 workers under 1 to 4 coordinators"), "{title}");
    for check in ["agents seen", "log consistent", "no undeclared incident", "ledger"] {
        assert_eq!(evidence(&verdict, check), "PASS", "{verdict:#}");
    }
    bench.assert_nothing_left(&agents);
}

/// Descriptors for about thirty workers, of a hundred.
fn crowded(partial: bool) -> (Bench, Done) {
    let workers = format!("workers = 100\npartial = {partial}");
    let text = scenario(1)
        .replace("topology = \"hybrid\"\ncoordinators = 2", "topology = \"flat\"\ncoordinators = 1")
        .replace("workers = 3", &workers)
        .replace("every = \"50ms\"", "every = \"500ms\"");
    let bench = Bench::new(&text);
    let mut command = Command::new("sh");
    bench.within(&mut command).args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", HARNESS]);
    command.args(["run", "small.toml", "--out", "runs"]);
    let done = bench.start_by(&mut command).end();
    (bench, done)
}

#[test]
fn a_fleet_that_may_be_smaller_fits_the_host_and_every_document_says_how_much_smaller_it_was() {
    let (bench, done) = crowded(true);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("the host has no room for all workers"), "{}", done.stderr);
    let verdict = verdict(&bench.latest());
    let (workers, asked) = (verdict["smaller"]["workers"].as_u64().unwrap(), &verdict["smaller"]["asked"]);
    assert!((10..64).contains(&workers) && *asked == 100, "{verdict:#}");
    assert_eq!(verdict["ran"]["workers"], workers);
    assert_eq!(verdict["satisfies_gate"], false);
    let words = format!("{workers} of 100 workers");
    assert!(done.stdout.contains(&words), "{}", done.stdout);
    for document in ["report.html", "report.md", "junit.xml"] {
        let text = std::fs::read_to_string(bench.latest().join(document)).unwrap();
        assert!(text.contains(&words), "{document} does not say: {words}");
    }
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_fleet_that_must_be_whole_is_not_started_smaller() {
    let (bench, done) = crowded(false);
    assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("file descriptors"), "{}", done.stderr);
    assert!(!bench.out().exists());
}

/// Each worker does five tasks, which takes it a quarter of a second.
#[test]
fn sweeps_see_the_workers_that_follow_recycled_ones() {
    let text = scenario(4)
        .replace("workers = 3", "workers = 3\nrecycle_after = 5")
        .replace("every = \"100ms\"", "every = \"1s\"");
    let criteria = text.find("[[criterion]]").unwrap();
    let delivery = "[[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 100%\"\n";
    let bench = Bench::new(&(text[..criteria].to_owned() + delivery));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(evidence(&verdict(&bench.latest()), "agents seen"), "PASS");
    let samples = std::fs::read_to_string(bench.latest().join("samples.csv")).unwrap();
    let mut rows = samples.lines();
    let live = rows.next().unwrap().split(',').position(|column| column == "agents_live").unwrap();
    assert!(rows.all(|row| row.split(',').nth(live) == Some("9")), "{samples}");
    // Each of them, and not only at the end.
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(log.matches("\"ev\":\"agent-replaced\"").count() >= 12, "{log}");
    bench.assert_nothing_left(&[]);
}
