//! Clients and runs that are killed at any instant, by the hundred: each answer is written once, and no task that was
//! answered is done again. `CLIENTS` and `RUNS` are the numbers of kills, `SEED` chooses their instants.

use super::{Desk, Ended, PROGRAM, is_empty, wait_until};
use crate::support::random::{Random, number};
use crate::support::up::Up;
use coordinator::snapshot::journal::replay;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LISTS: [&str; 2] = ["a", "b"];
/// Of each list; both lists have the same ids, as lists without ids of their own do.
const TASKS: u64 = 150;
/// Up to here lies the instant of a kill, from the start of the process.
const LIFE_MAX: Duration = Duration::from_millis(120);

struct Storm {
    desk: Desk,
    random: Random,
    kills: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        Self { desk: Desk::new(), random: Random(seed), kills: 0 }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let out = || std::fs::File::options().append(true).create(true).open(self.desk.path("said")).unwrap();
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.desk.dir.path())
            .env("COORDINATOR_SHM_DIR", self.desk.shm.path())
            .stdin(Stdio::null())
            .stdout(out())
            .stderr(out())
            .spawn()
            .unwrap()
    }

    /// Kills the process at some instant of its life; true if it came to its end before.
    fn kill(&mut self, arguments: &[&str]) -> bool {
        let mut child = self.start(arguments);
        // Not a wait for anything: its length is the input of the storm.
        let ends = Instant::now() + Duration::from_micros(self.random.below(LIFE_MAX.as_micros() as u64));
        while let Some(left) = ends.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0), "{}", self.desk.read("said"));
            return true;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += 1;
        false
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.desk.dir.path())
            .env("COORDINATOR_SHM_DIR", self.desk.shm.path())
            .output()
            .unwrap();
        Ended::of(&output).with(0)
    }

    /// Holds that the results have one line, a good one, for each task.
    fn is_complete(&self, results: &str) {
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for row in self.desk.rows(results) {
            assert_eq!(row["status"], "ok", "{row}");
            let (id, said) = (row["id"].as_str().unwrap(), row["stdout"].as_str().unwrap());
            assert_eq!(said, format!("{} {id}\n", &results[..1]), "{row}");
            *found.entry(id.to_owned()).or_default() += 1;
        }
        let wanted: BTreeMap<String, u32> = (1..=TASKS).map(|id| (id.to_string(), 1)).collect();
        assert_eq!(found, wanted, "{results}");
    }
}

fn script(list: &str) -> String {
    format!("echo $0 >> {list}.begun; sleep 0.00$(($0 % 10)); echo {list} $0")
}

#[test]
fn each_answer_is_written_once_however_many_clients_are_killed() {
    let (kills, seed) = (number("CLIENTS", 200), number("SEED", 1));
    let mut storm = Storm::new(seed);
    let up = Up::start(storm.desk.shm.path(), 2, 4, &[]);
    let inputs: Vec<String> = (1..=TASKS).map(|id| id.to_string()).collect();
    storm.desk.write("inputs", inputs.join("\n"));
    for round in 0.. {
        let results = LISTS.map(|list| format!("{list}.{round}"));
        let scripts = LISTS.map(script);
        let arguments = |of: usize| {
            let options = ["submit", "test", "--inputs", "inputs", "--resume", "--results"];
            [&options[..], &[&results[of], "--", "sh", "-c", &scripts[of]]].concat()
        };
        let mut done = [false; 2];
        while storm.kills < kills && done != [true; 2] {
            let of = storm.random.below(2) as usize;
            done[of] = storm.kill(&arguments(of));
        }
        for (of, list) in LISTS.iter().enumerate() {
            storm.run(&arguments(of));
            storm.is_complete(&results[of]);
            let mut begun = storm.desk.lines(&format!("{list}.begun"));
            begun.sort_unstable();
            let once = begun.len() as u64 == TASKS && begun.windows(2).all(|two| two[0] != two[1]);
            assert!(once, "round {round}: a task of {list} was done again: {begun:?}");
            std::fs::remove_file(storm.desk.path(&format!("{list}.begun"))).unwrap();
        }
        if storm.kills >= kills {
            println!("{} clients killed, {} answers", storm.kills, 2 * TASKS * (round + 1));
            break;
        }
    }
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(storm.desk.shm.path()));
}

#[test]
fn one_result_counts_however_often_a_run_with_a_journal_is_killed() {
    let (kills, seed) = (number("RUNS", 100), number("SEED", 1));
    let mut storm = Storm::new(seed);
    let inputs: Vec<String> = (1..=TASKS).map(|id| id.to_string()).collect();
    storm.desk.write("inputs", inputs.join("\n"));
    let script = script("a");
    let begin = ["run", "--agents", "4", "--inputs", "inputs", "--journal", "journal", "--results", "a"];
    let run = [&begin[..], &["--resume", "--", "sh", "-c", &script]].concat();
    while storm.kills < kills {
        let restores = storm.random.below(2) == 1 && storm.desk.path("journal").exists();
        // Its supervisor may still be about to make its directory when that is looked for.
        let name = format!("again-{}", storm.kills);
        let restore = ["restore", "journal", "--name", &name, "--resume", "--results", "a"];
        let is_done = storm.kill(if restores { &restore } else { &run });
        wait_until("the fleet is gone", || is_empty(storm.desk.shm.path()));
        if is_done && !restores {
            storm.is_complete("a");
            for file in ["a", "journal"] {
                std::fs::remove_file(storm.desk.path(file)).unwrap();
            }
        }
    }
    storm.run(&run);
    storm.is_complete("a");
    assert_eq!(replay(&storm.desk.path("journal")).unwrap().open.len(), 0);
    println!("{} runs killed", storm.kills);
}
