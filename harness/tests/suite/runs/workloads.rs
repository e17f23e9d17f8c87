//! Mixes of workloads and agent programs, in a real fleet.

use super::*;
use reports::runlog::event::{Round, TaskFailed};

const ECHO: &str = "[workload]\nkind = \"echo\"\npayload = \"256B\"\n";

fn with_workload(workload: &str) -> String {
    let text = scenario(1).replace(ECHO, workload).replace("every = \"50ms\"", "every = \"250ms\"");
    assert!(text.contains(workload), "{text}");
    text
}

fn logged<T>(bench: &Bench, pick: impl Fn(Event) -> Option<T>) -> Vec<T> {
    let log = codec::open(&bench.latest().join("run.log")).unwrap();
    log.filter_map(|record| pick(record.unwrap().event)).collect()
}

fn rounds(bench: &Bench) -> Vec<Round> {
    let mut rounds = logged(bench, |event| if let Event::Round(round) = event { Some(round) } else { None });
    rounds.sort_by_key(|round| round.round);
    rounds
}

fn failures(bench: &Bench) -> Vec<TaskFailed> {
    logged(bench, |event| if let Event::TaskFailed(failed) = event { Some(failed) } else { None })
}

const MIX: &str = r#"
[[workload]]
name = "burn"
weight = 3
kind = "compute"
cpu = "2ms"
[[workload]]
name = "small"
kind = "echo"
payload = "64B"
"#;

#[test]
fn a_mix_divides_the_tasks_by_the_seed_and_is_judged_by_workload() {
    let tagged = "\n[[criterion]]\nname = \"burn-all\"\npass = \"delivery.rate{workload='burn'} >= 100%\"\n\
                  [[criterion]]\nname = \"small-time\"\npass = \"task.time{workload='small'} max < 3s\"\n";
    let bench = Bench::new(&(with_workload(MIX) + tagged));
    let divided = |seed: &str| {
        let done = bench.start(&["--quiet", "--seed", seed]).end();
        assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
        rounds(&bench)
            .iter()
            .map(|round| round.workloads.iter().map(|part| part.tasks).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let (first, again, other) = (divided("7"), divided("7"), divided("8"));
    assert!(first == again && first != other, "{first:?} {again:?} {other:?}");
    assert!(first.iter().all(|parts| parts.iter().sum::<u32>() == 6), "{first:?}");
    let judgement = verdict(&bench.latest());
    let proven =
        judgement["evidence"].as_array().unwrap().iter().find(|e| e["name"] == "work proven").unwrap();
    assert!(proven["wanted"].as_str().unwrap().contains("all workloads"), "{proven}");
    assert_eq!(proven["verdict"], "PASS", "{proven}");
    let report = std::fs::read_to_string(bench.latest().join("report.md")).unwrap();
    assert!(report.contains("| burn | 3 | compute 2ms |"), "{report}");
    let of_load = |round: &Round| round.phase == Phase::Load;
    let rounds: Vec<Round> = rounds(&bench).into_iter().filter(of_load).collect();
    for (index, figures) in judgement["workloads"].as_array().unwrap().iter().enumerate() {
        let tasks: u64 = rounds.iter().map(|round| u64::from(round.workloads[index].tasks)).sum();
        assert_eq!((&figures["tasks"], &figures["failed"]), (&tasks.into(), &0.into()), "{figures}");
        assert_eq!(figures["delivery"], 1.0, "{figures}");
        assert!(figures["p50_ns"].as_u64() <= figures["max_ns"].as_u64() && figures["p50_ns"].is_u64());
    }
    assert_eq!(judgement["workloads"].as_array().unwrap().len(), rounds[0].workloads.len());
}

/// A line of the protocol in, `$id`, `$key` and `$n` out.
const READS: &str = r#"read -r l; do i=${l#*'"id":"'}; i=${i%%'"'*}; k=${l#*'"key":"'}; k=${k%%'"'*}; n=${l#*'"double":'}; n=${n%%'}'*}; "#;

fn agent(does: &str) -> String {
    format!(
        "[workload]\nkind = \"agent\"\nquestion = '{{\"double\": {{}}}}'\ncommand = [\"sh\", \"-c\", '''while {READS}{does}; done''']\n"
    )
}

#[test]
fn each_worker_keeps_one_agent_program_for_all_its_tasks() {
    let answers = r#"c=$((c + 1)); echo $$ >> "$SEEN"; printf '{"id":"%s","ok":true,"result":{"key":"%s","answer":%d}}\n' "$i" "$k" "$((n * 2))""#;
    let seen = tempfile::NamedTempFile::new().unwrap();
    let env = format!("env = {{ SEEN = \"{}\" }}\n", seen.path().display());
    let bench = Bench::new(&with_workload(&(agent(answers) + &env)));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let text = std::fs::read_to_string(seen.path()).unwrap();
    let asked: Vec<&str> = text.lines().collect();
    let programs: std::collections::BTreeSet<&str> = asked.iter().copied().collect();
    let tasks: u32 = rounds(&bench).iter().map(|round| round.tasks).sum();
    assert_eq!((programs.len(), asked.len()), (6, tasks as usize));
    let left: Vec<_> = programs.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_answer_of_an_agent_program_belongs_to_its_question_or_is_none() {
    let says = |result: &str| format!(r#"printf '{{"id":"%s",{result}}}\n' "$i""#);
    for (does, corrupt, reason) in [
        (says(r#""ok":true,"result":{"key":"0123456789abcdef"}"#), true, "has the key of another question"),
        (says(r#""ok":true,"result":7"#), true, "has no `key`"),
        (says(r#""ok":false,"error":"out of paper","retry":false"#), false, "out of paper"),
        ("exit 3".to_owned(), false, "exited with status 3"),
        (r#"printf '{"id":"1","ok":true,"result":7}\n'"#.to_owned(), false, "and was asked for"),
    ] {
        let bench = Bench::new(&with_workload(&agent(&does)));
        let done = bench.start(&["--quiet"]).end();
        assert_eq!(done.status.code(), Some(10), "{reason}: {}{}", done.stdout, done.stderr);
        let (rounds, failures) = (rounds(&bench), failures(&bench));
        assert!(rounds.iter().all(|round| round.answered == 0), "{reason}");
        assert!(rounds.iter().all(|round| (round.corrupt == round.tasks) == corrupt), "{reason}: {rounds:?}");
        assert!(failures.iter().all(|failed| failed.reason.contains(reason)), "{reason}: {:?}", failures[0]);
        // Whatever it answers, both ends count the same.
        let judgement = verdict(&bench.latest());
        let ledger = judgement["evidence"].as_array().unwrap().iter().find(|check| check["name"] == "ledger");
        assert_eq!(ledger.unwrap()["verdict"], "PASS", "{reason}: {judgement:#}");
    }
}

#[test]
fn the_answer_of_an_agent_program_is_compared_with_what_the_scenario_says() {
    let answers =
        r#"printf '{"id":"%s","ok":true,"result":{"key":"%s","answer":%d}}\n' "$i" "$k" "$((n * 2))""#;
    let bench = Bench::new(&with_workload(&(agent(answers) + "answer = \"{}\"\n")));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    // Twice the number is the number of the first task alone.
    let answered: u32 = rounds(&bench).iter().map(|round| round.answered).sum();
    assert_eq!(answered, 1);
    let failures = failures(&bench);
    assert!(
        failures.iter().all(|failed| failed.reason.contains("the agent's answer is ")),
        "{:?}",
        failures[0]
    );
}

/// Answers with the number of its question, and writes that down in the file `$SEEN`.
const TELLS: &str = r#"echo "$((n))" >> "$SEEN"; printf '{"id":"%s","ok":true,"result":{"key":"%s","answer":%d}}\n' "$i" "$k" "$n""#;

/// Tasks of an agent program, numbered from 0 without gaps or doubles over all rounds, whatever their size; how large
/// the rounds were.
fn numbered(change: impl Fn(&str) -> String) -> std::collections::BTreeSet<u32> {
    let seen = tempfile::NamedTempFile::new().unwrap();
    let env = format!("answer = \"{{}}\"\nenv = {{ SEEN = \"{}\" }}\n", seen.path().display());
    let text = with_workload(&(agent(TELLS) + &env));
    let criteria = text.find("[[criterion]]").unwrap();
    let delivery = "[[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 100%\"\n";
    let bench = Bench::new(&change(&(text[..criteria].to_owned() + delivery)));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let rounds = rounds(&bench);
    let mut numbers: Vec<u32> =
        std::fs::read_to_string(seen.path()).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    let tasks: u32 = rounds.iter().map(|round| round.tasks).sum();
    assert_eq!(numbers, (0..tasks).collect::<Vec<_>>());
    rounds.iter().map(|round| round.tasks).collect()
}

#[test]
fn tasks_for_any_worker_are_numbered_one_after_the_other() {
    let sizes = numbered(|text| text.replace("every = \"250ms\"", "every = \"250ms\"\ntasks_per_round = 4"));
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [4]);
}

#[test]
fn tasks_are_numbered_one_after_the_other_while_the_number_of_workers_changes() {
    let stages = "[[stage]]\nname = \"fewer\"\nat = \"500ms\"\nworkers = 2\n\n\
                  [[stage]]\nname = \"more\"\nat = \"3s\"\nworkers = 8\n\n[sampling]";
    let sizes =
        numbered(|text| text.replace("duration = \"1s\"", "duration = \"6s\"").replace("[sampling]", stages));
    assert!(sizes.contains(&6) && sizes.len() > 1, "{sizes:?}");
}

#[test]
fn a_mix_of_tasks_for_any_worker_has_its_parts_and_its_proof() {
    let text = with_workload(MIX).replace("every = \"250ms\"", "every = \"250ms\"\ntasks_per_round = 9");
    let bench = Bench::new(&text);
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    for round in rounds(&bench) {
        let parts: Vec<u32> = round.workloads.iter().map(|part| part.tasks).collect();
        assert_eq!((round.tasks, parts.len(), parts.iter().sum()), (9, 2, 9), "{round:?}");
    }
    let judgement = verdict(&bench.latest());
    for name in ["work proven", "log consistent"] {
        let check = judgement["evidence"].as_array().unwrap().iter().find(|e| e["name"] == name).unwrap();
        assert_eq!(check["verdict"], "PASS", "{check}");
    }
}
