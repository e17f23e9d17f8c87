//! Gates on real runs: every outcome of the demonstration, and the index of runs.

use super::*;

pub(super) const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");

impl Bench {
    /// `harness gate NAME` on the demonstration: its exit code and its JSON.
    fn demo(&self, name: &str) -> (Option<i32>, serde_json::Value) {
        let plan = format!("{SCENARIOS}/phases-demo.toml");
        let done = self.start_by(self.command().args(["gate", name, "--json", "--phases", &plan])).end();
        let decision = serde_json::from_str(&done.stdout).expect(&done.stderr);
        (done.status.code(), decision)
    }

    fn run_demo(&self, profile: &str) -> Done {
        let file = format!("{SCENARIOS}/examples/gates.toml");
        self.start_by(self.command().args(["run", &file, "--profile", profile])).end()
    }
}

#[test]
fn the_demonstration_reaches_every_outcome_on_real_runs() {
    let bench = Bench::new("");
    assert_eq!(bench.demo("demo-go").0, Some(12), "without runs there is no decision");
    for profile in ["ci", "ci-conditional", "ci-fail"] {
        bench.run_demo(profile);
    }
    for (gate, outcome, code) in [
        ("demo-go", "GO", 0),
        ("demo-pivot", "PIVOT", 11),
        ("demo-no-go", "NO-GO", 10),
        ("demo-pass", "PASS", 0),
        ("demo-conditional", "CONDITIONAL", 11),
        ("demo-waived", "CONDITIONAL", 11),
        ("demo-expired", "FAIL", 10),
        ("demo-fail", "FAIL", 10),
        ("demo-inconclusive", "INCONCLUSIVE", 12),
    ] {
        let (exit, decision) = bench.demo(gate);
        assert_eq!((decision["outcome"].as_str(), exit), (Some(outcome), Some(code)), "{gate}: {decision:#}");
        for document in ["decision.json", "decision.html", "decision.md", "junit.xml", "evidence.csv"] {
            let path = bench.dir.path().join("gates").join(gate).join(document);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(outcome), "{document} of {gate} does not say {outcome}");
        }
    }
    // Beside the documents, and by nothing that the runs say of themselves.
    let (_, decision) = bench.demo("demo-fail");
    let run = PathBuf::from(decision["evidence"][0]["findings"][0]["source"].as_str().unwrap());
    let verdict = bench.dir.path().join(&run).join("verdict.json");
    let forged = std::fs::read_to_string(&verdict).unwrap().replace("FAIL", "PASS");
    std::fs::write(&verdict, forged).unwrap();
    assert_eq!(bench.demo("demo-fail").0, Some(10), "the log decides");
    // A run that failed and is gone is noticed.
    std::fs::remove_dir_all(bench.dir.path().join(&run)).unwrap();
    bench.run_demo("ci");
    let (exit, decision) = bench.demo("demo-fail");
    assert_eq!(exit, Some(12));
    assert!(
        decision["evidence"][0]["notes"].to_string().contains("cannot be judged any more"),
        "{decision:#}"
    );
}

#[test]
fn every_run_that_ends_is_in_the_index() {
    let bench = Bench::new(&scenario(1));
    for _ in 0..2 {
        let done = bench.start_by(bench.command().args(["run", "small.toml", "--quiet"])).end();
        assert!(!done.stderr.contains("index"), "{}", done.stderr);
    }
    let text = std::fs::read(bench.out().join("index.jsonl")).unwrap();
    let index = reports::gate::index::read(&text[..]);
    assert_eq!((index.entries.len(), index.damaged), (2, None));
    for entry in &index.entries {
        assert!(bench.out().join(&entry.directory).join("run.log").is_file(), "{entry:?}");
        assert_eq!((entry.verdict.as_str(), entry.as_asked), ("PASS", true));
    }
}

#[test]
fn a_gate_that_is_not_there_is_a_mistake_of_the_caller() {
    let bench = Bench::new("");
    let plan = format!("{SCENARIOS}/phases-demo.toml");
    let done = bench.start_by(bench.command().args(["gate", "demo-og", "--phases", &plan])).end();
    assert_eq!(done.status.code(), Some(64));
    assert!(
        done.stderr.contains("there is no gate `demo-og`") && done.stderr.contains("did you mean `demo-go`?")
    );
    let done = bench.start_by(bench.command().args(["gate", "demo-go", "--phases", "nowhere.toml"])).end();
    assert_eq!(done.status.code(), Some(64));
    let done = bench
        .start_by(bench.command().args(["gate", "demo-go", "--explain", "answres", "--phases", &plan]))
        .end();
    assert_eq!(done.status.code(), Some(64));
    assert!(done.stderr.contains("did you mean `answers`?"), "{}", done.stderr);
}

#[test]
fn the_plan_of_the_project_says_what_is_missing_and_how_to_get_it() {
    let bench = Bench::new("");
    let plan = format!("{SCENARIOS}/phases.toml");
    for gate in ["sprint-0", "gate-1", "gate-2", "gate-3", "gate-4"] {
        let done = bench.start_by(bench.command().args(["gate", gate, "--phases", &plan])).end();
        assert_eq!(done.status.code(), Some(12), "{}", done.stderr);
        assert!(done.stdout.starts_with("INCONCLUSIVE"), "{}", done.stdout);
        assert!(done.stdout.contains("harness run ") && done.stdout.contains("# takes "), "{}", done.stdout);
    }
    let done = bench.start_by(bench.command().args(["phases", "--svg", "p.svg", "--phases", &plan])).end();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    let last = done.stdout.trim_end().lines().last().unwrap();
    assert!(last.contains("cargo deny") || last.trim().starts_with("harness run "), "{last}");
    assert!(std::fs::read_to_string(bench.dir.path().join("p.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn a_gate_that_lists_a_key_takes_only_runs_that_it_has_sealed() {
    let bench = Bench::new("");
    let plan = std::fs::read_to_string(format!("{SCENARIOS}/phases-demo.toml")).unwrap();
    let plan = plan
        .replace("\"examples/gates.toml\"", &format!("\"{SCENARIOS}/examples/gates.toml\""))
        .replace("profile = \"ci\"\n", "profile = \"ci\"\nsigned_by = [\"key.pub.pem\"]\n");
    std::fs::write(bench.dir.path().join("plan.toml"), plan).unwrap();
    for (name, public) in [("key", "key.pub.pem"), ("other", "other.pub.pem")] {
        let private = format!("{name}.pem");
        for arguments in [
            vec!["genpkey", "-algorithm", "ed25519", "-out", &private],
            vec!["pkey", "-in", &private, "-pubout", "-out", public],
        ] {
            let done =
                Command::new("openssl").args(&arguments).current_dir(bench.dir.path()).output().unwrap();
            assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    bench.run_demo("ci");
    let gate = |seals: &[&str]| {
        let of_plan = ["gate", "demo-pass", "--json", "--phases", "plan.toml"];
        let done = bench.start_by(bench.command().args(of_plan).args(seals)).end();
        (done.status.code(), done.stdout)
    };
    for name in ["key", "other"] {
        let (key, out) = (format!("{name}.pem"), format!("{name}.tar"));
        let sealed = ["seal", "runs/gates/latest", "--key", &key, "--out", &out];
        assert_eq!(bench.start_by(bench.command().args(sealed)).end().status.code(), Some(0));
    }
    let (exit, said) = gate(&[]);
    assert_eq!(exit, Some(12));
    assert!(said.contains("it is in no seal that is signed by key.pub.pem"), "{said}");
    assert_eq!(gate(&["--seal", "other.tar"]).0, Some(12), "another key vouches for nothing");
    assert_eq!(gate(&["--seal", "other.tar", "--seal", "key.tar"]).0, Some(0));
    assert_eq!(gate(&["--seal", "nowhere.tar"]).0, Some(64));
    // An archive that does not hold is refused, and not dropped, by whatever key it is signed.
    let mut bytes = std::fs::read(bench.dir.path().join("key.tar")).unwrap();
    let at = bytes.windows(8).rposition(|some| some == b"\"verdict").unwrap();
    bytes[at + 1] = b'V';
    std::fs::write(bench.dir.path().join("bent.tar"), bytes).unwrap();
    for seals in [&["--seal", "bent.tar"][..], &["--seal", "key.tar", "--seal", "bent.tar"]] {
        let (exit, said) = gate(seals);
        assert_eq!(exit, Some(64), "{said}");
        assert!(said.contains("the seal of `bent.tar` does not hold"), "{said}");
    }
}

#[test]
fn a_drawing_replaces_a_regular_file_and_nothing_else() {
    let bench = Bench::new("");
    let at = |name: &str| bench.dir.path().join(name);
    for file in ["phases-demo.toml", "examples/gates.toml", "examples/base.toml"] {
        std::fs::create_dir_all(at("plans/examples")).unwrap();
        std::fs::copy(format!("{SCENARIOS}/{file}"), at("plans").join(file)).unwrap();
    }
    std::fs::create_dir(at("plans/about")).unwrap();
    for file in ["gates.toml", "base.toml"] {
        std::fs::copy(at("plans/examples").join(file), at("plans/about").join(file)).unwrap();
    }
    let stated = "\n[[evidence]]\ngate = \"demo-go\"\nname = \"stated\"\nsays = \"It is right.\"\nfile = \"s.txt\"\nformat = \"statement\"\n\
                  about = \"about/gates.toml\"\npass = \"statement.approved == 1\"\ncommand = \"sign it\"\n";
    let plan = std::fs::read_to_string(at("plans/phases-demo.toml")).unwrap() + stated;
    std::fs::write(at("plans/phases-demo.toml"), plan).unwrap();
    let draw = |to: &str| {
        let plan = ["--phases", "plans/phases-demo.toml"];
        bench.start_by(bench.command().args(["phases", "--svg", to]).args(plan)).end()
    };
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::create_dir_all(bench.out()).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let inputs = [
        "plans/phases-demo.toml",
        "./plans/../plans/examples/gates.toml",
        "plans/examples/base.toml",
        "plans/about/gates.toml",
        "plans/about/base.toml",
    ];
    let within = bench.out().join("p.svg").display().to_string();
    std::fs::write(at("key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let inputs = [&inputs[..], &["key.pem"]].concat();
    let others = ["folder", "null", "/dev/stdout", "-", "socket", &within];
    for to in others.into_iter().chain(inputs.iter().copied()) {
        // A device is not read.
        let held = || inputs.contains(&to).then(|| std::fs::read(at(to)).unwrap());
        let before = held();
        let done = draw(to);
        assert_eq!(done.status.code(), Some(64), "{to}: {}", done.stderr);
        assert!(done.stderr.contains("cannot be the drawing") && done.stderr.contains("hint"), "{to}");
        assert_eq!(held(), before, "{to}");
    }
    drop(socket);
    std::fs::write(at("old.svg"), "<svg xmlns=\"old\"/>").unwrap();
    std::fs::write(at("empty.svg"), "").unwrap();
    for to in ["new.svg", "old.svg", "empty.svg", "new.svg"] {
        let done = draw(to);
        assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
        assert!(std::fs::read_to_string(at(to)).unwrap().starts_with("<svg"));
    }
}

/// A plan of one gate, which asks for runs of `small.toml` as `more` says.
pub(super) fn small_plan(more: &str) -> String {
    format!(
        "schema = 1\ntitle = \"Small\"\n[[phase]]\nname = \"p\"\ntitle = \"P\"\n[[gate]]\nname = \"g\"\ntitle = \"G\"\nasks = \"Works?\"\n\
         phase = \"p\"\non_pass = \"Go.\"\non_conditional = \"Mend.\"\non_fail = \"Stop.\"\n[[evidence]]\ngate = \"g\"\nname = \"e\"\n\
         says = \"It works.\"\n{more}\n"
    )
}

impl Bench {
    /// `harness gate g` on a plan: its exit code, standard output and standard error.
    pub(super) fn gate_of(&self, plan: &str, more: &[&str]) -> (Option<i32>, String, String) {
        std::fs::write(self.dir.path().join("plan.toml"), plan).unwrap();
        let done =
            self.start_by(self.command().args(["gate", "g", "--phases", "plan.toml"]).args(more)).end();
        (done.status.code(), done.stdout, done.stderr)
    }
}

#[test]
fn a_run_that_is_killed_is_in_the_index_and_noticed_once_it_is_deleted() {
    let bench = Bench::new(&scenario(30));
    let going = bench.start(&["--quiet"]);
    let index =
        || reports::gate::index::read(&*std::fs::read(bench.out().join("index.jsonl")).unwrap_or_default());
    wait_until("the run is in the index", || !index().entries.is_empty());
    let plan = small_plan("scenario = \"small.toml\"\nfresh = \"7d\"");
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12));
    assert!(!stdout.contains("cannot be judged any more"), "it goes on, and is not gone: {stdout}");
    going.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(going.end().status.code(), None);
    let [entry] = &index().entries[..] else { panic!("{:?}", index()) };
    assert!(entry.is_unfinished(), "{entry:?}");
    std::fs::remove_dir_all(bench.out().join(&entry.directory)).unwrap();
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12));
    assert!(stdout.contains("cannot be judged any more") && stdout.contains(&entry.directory), "{stdout}");
    // A byte of the index is changed: the file and the line are named.
    let path = bench.out().join("index.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("UNFINISHED", "PASS")).unwrap();
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12));
    assert!(stdout.contains("does not verify (runs/index.jsonl: line 1: "), "{stdout}");
}

#[test]
fn a_piece_of_evidence_is_explained_as_json() {
    let bench = Bench::new(&scenario(1));
    bench.start_by(bench.command().args(["run", "small.toml", "--quiet"])).end();
    let plan = small_plan("scenario = \"small.toml\"");
    let (exit, stdout, stderr) = bench.gate_of(&plan, &["--explain", "e", "--json"]);
    assert_eq!(exit, Some(0), "{stderr}");
    let explained: serde_json::Value = serde_json::from_str(&stdout).expect(&stdout);
    assert_eq!((&explained["gate"], &explained["explains"]), (&"g".into(), &"e".into()));
    let criterion = explained["evidence"][0]["findings"][0]["criterion"].as_str().unwrap().to_owned();
    let (_, stdout, _) = bench.gate_of(&plan, &["--explain", &criterion, "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&stdout).expect(&stdout);
    let findings = explained["evidence"][0]["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|one| one["criterion"] == criterion.as_str()));
    assert_eq!(explained["evidence"][0]["runs"].as_array().unwrap().len(), 1);
    assert!(!bench.dir.path().join("gates").exists(), "to explain writes nothing");
    let (exit, stdout, _) = bench.gate_of(&plan, &["--explain", "delivry", "--json"]);
    assert_eq!(exit, Some(64));
    let error: serde_json::Value = serde_json::from_str(&stdout).expect(&stdout);
    assert!(error["error"]["message"].to_string().contains("no criterion `delivry`"), "{error}");
}

#[test]
fn a_gate_asks_for_each_scenario_of_a_matrix() {
    let text = scenario(1) + "\n[matrix]\nseed = [1, 2]\n";
    let bench = Bench::new(&text);
    let plan = small_plan("scenario = \"small.toml\"");
    let (exit, stdout, stderr) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12), "{stderr}");
    let command = |cell: &str| format!("harness run small.toml --filter small-{cell} ");
    assert!(stdout.contains(&command("1")) && stdout.contains(&command("2")), "{stdout}");
    bench.start_by(bench.command().args(["run", "small.toml", "--filter", "small-1", "--quiet"])).end();
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12));
    assert!(!stdout.contains(&command("1")) && stdout.contains(&command("2")), "{stdout}");
    bench.start_by(bench.command().args(["run", "small.toml", "--filter", "small-2", "--quiet"])).end();
    assert_eq!(bench.gate_of(&plan, &[]).0, Some(0));
}

#[test]
fn a_pinned_scenario_that_was_changed_is_refused_with_both_hashes() {
    let bench = Bench::new(&scenario(1));
    let done = bench.start_by(bench.command().args(["plan", "small.toml", "--json"])).end();
    let planned: serde_json::Value = serde_json::from_str(&done.stdout).expect(&done.stderr);
    let pinned = planned["scenario"]["sha256"].as_str().unwrap().to_owned();
    let plan = small_plan(&format!("scenario = \"small.toml\"\nsha256 = \"{pinned}\""));
    bench.start_by(bench.command().args(["run", "small.toml", "--quiet"])).end();
    assert_eq!(bench.gate_of(&plan, &[]).0, Some(0));
    std::fs::write(bench.dir.path().join("small.toml"), scenario(1) + "# weaker\n").unwrap();
    bench.start_by(bench.command().args(["run", "small.toml", "--quiet"])).end();
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12));
    assert!(
        stdout.contains(&pinned) && stdout.contains("not the text that the plan asks for: its SHA-256 is ")
    );
}

#[test]
fn a_statement_is_signed_with_the_tools_of_everyone() {
    let bench = Bench::new(&scenario(1));
    let at = |name: &str| bench.dir.path().join(name);
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(bench.dir.path()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub.pem"]);
    let stated = "Statement: Read.\nName: Jane Doe\nDate: 2026-01-31\nApproves: yes\n";
    std::fs::write(at("s.txt"), stated).unwrap();
    let plan = small_plan(
        "file = \"s.txt\"\nformat = \"statement\"\npass = \"statement.approved == 1\"\ncommand = \"sign it\"\nsigned_by = [\"key.pub.pem\"]",
    );
    let (exit, stdout, stderr) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12), "{stderr}");
    assert!(stdout.contains("s.txt is not signed by key.pub.pem"), "{stdout}");
    openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "s.txt", "-out", "s.txt.sig"]);
    assert_eq!(bench.gate_of(&plan, &[]).0, Some(0));
    std::fs::write(at("s.txt"), stated.replace("Read.", "Read it.")).unwrap();
    assert_eq!(bench.gate_of(&plan, &[]).0, Some(12), "another text");
}

#[test]
fn a_plan_that_is_too_large_and_names_that_are_not_seen_are_refused() {
    let bench = Bench::new(&scenario(1));
    let plan = small_plan("scenario = \"small.toml\"");
    let (exit, _, stderr) = bench.gate_of(&format!("{plan}# {}", "x".repeat(256 << 10)), &[]);
    assert_eq!(exit, Some(64));
    assert!(
        stderr.contains("plan.toml`: it is larger than 256 KiB") && stderr.contains("hint: plans have"),
        "{stderr}"
    );
    let (exit, _, stderr) = bench.gate_of(&plan.replace("It works.", "It\u{202e} works."), &[]);
    assert_eq!(exit, Some(64));
    assert!(stderr.contains("U+202E") && stderr.contains("plan.toml:17:11"), "{stderr}");
    std::fs::write(bench.dir.path().join("plan.toml"), &plan).unwrap();
    let done = bench.start_by(bench.command().args(["gate", "g\u{200b}", "--phases", "plan.toml"])).end();
    assert_eq!(done.status.code(), Some(64));
    assert!(done.stderr.contains("g\\u200b"), "{}", done.stderr);
}

/// The file that the plan names has another `name` since, by which its runs are sought.
#[test]
fn a_red_run_of_the_same_file_under_another_name_is_beside_the_decision() {
    let bench = Bench::new(&scenario(1));
    let run = || bench.start_by(bench.command().args(["run", "small.toml", "--quiet"])).end().status.code();
    let plan = small_plan("scenario = \"small.toml\"\nfresh = \"7d\"");
    let red = scenario(1).replace("name = \"small\"", "name = \"formerly\"");
    let red = format!("{red}\n[[criterion]]\nname = \"never\"\npass = \"coordination.time p50 < 1us\"\n");
    std::fs::write(bench.file(), red).unwrap();
    assert_eq!(run(), Some(10));
    std::fs::write(bench.file(), scenario(1)).unwrap();
    assert_eq!(run(), Some(0));
    let beside = |place: &str| {
        let (exit, stdout, stderr) = bench.gate_of(&plan, &[]);
        assert_eq!(exit, Some(0), "{stderr}");
        assert!(stdout.starts_with("PASS, with 1 run beside it that did not pass"), "{stdout}");
        assert!(stdout.contains("1 run of the same file, under the name formerly,"), "{stdout}");
        assert!(stdout.contains(place), "{stdout}");
    };
    beside("and is there");
    std::fs::remove_dir_all(bench.out().join("formerly")).unwrap();
    beside("in the index of runs, and not there any more");
}

#[test]
fn a_directory_of_runs_that_is_not_there_is_said_to_be_missing() {
    let bench = Bench::new(&scenario(1));
    let plan = small_plan("scenario = \"small.toml\"");
    let (exit, _, stderr) = bench.gate_of(&plan, &["--runs", "nosuch"]);
    assert_eq!(exit, Some(12));
    assert!(stderr.contains("there is no directory `nosuch`"), "{stderr}");
    let (_, _, stderr) = bench.gate_of(&plan, &[]);
    assert!(!stderr.contains("there is no directory"), "nothing was run yet: {stderr}");
}
