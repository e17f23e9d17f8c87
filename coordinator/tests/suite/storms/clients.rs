//! One list, whose run is killed again and again and goes on each time: every result is there, and once.

use super::Ground;
use crate::support::random::{Random, number};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Tasks between two kills, on the average, so that the list lasts as long as the storm.
const TASKS_EACH: u64 = 4;

#[test]
fn a_list_whose_client_is_killed_again_and_again_has_each_result_once() {
    let (kills, seed) = (number("STORM_EPISODES", 6), number("STORM_SEED", 1));
    let mut choice = Random(seed);
    let ground = Ground::new();
    let tasks = kills * TASKS_EACH;
    let inputs: Vec<String> = (1..=tasks).map(|number| number.to_string()).collect();
    std::fs::write(ground.dir.path().join("inputs"), inputs.join("\n")).unwrap();
    let script = "./sleep 0.0$(($0 % 4)); echo answer $(($0 * 7))";
    let arguments =
        ["--agents", "3", "--inputs", "inputs", "--results", "out", "--resume", "--", "sh", "-c", script];
    let begun = Instant::now();
    for _ in 0..kills {
        let mut client = ground.run(&arguments);
        std::thread::park_timeout(Duration::from_micros(choice.below(250_000)));
        client.kill().unwrap();
        client.wait().unwrap();
        ground.must_be_empty(&format!("seed {seed}"));
    }
    assert!(ground.run(&arguments).wait().unwrap().success(), "seed {seed}");
    let rows = std::fs::read_to_string(ground.dir.path().join("out")).unwrap();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let id: u64 = row["id"].as_str().unwrap().parse().unwrap();
        assert_eq!((&row["status"], &row["stdout"]), (&"ok".into(), &format!("answer {}\n", id * 7).into()));
        *counts.entry(id).or_default() += 1;
    }
    assert!((1..=tasks).all(|id| counts.get(&id) == Some(&1)), "seed {seed}: {counts:?}");
    println!("{kills} kills from seed {seed}, {tasks} tasks, each with one result, in {:?}", begun.elapsed());
}
