//! Runs whose scenario changes the size of the fleet.

use super::*;

/// Six workers, ten from 200 ms of the load on, four in its last second.
fn staged() -> String {
    let stages = "[[stage]]\nname = \"more\"\nat = \"200ms\"\nworkers = 10\n\n\
                  [[stage]]\nname = \"fewer\"\nat = \"5s\"\nworkers = 4\n\n[sampling]";
    let text = scenario(6).replace("[sampling]", stages).replace("every = \"50ms\"", "every = \"500ms\"");
    let criteria = text.find("[[criterion]]").unwrap();
    format!("{}[[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 100%\"\n", &text[..criteria])
}

fn evidence(verdict: &serde_json::Value, name: &str) -> String {
    let checks = verdict["evidence"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    check["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn what_an_operator_orders_during_a_run_with_stages_is_an_incident_and_its_own_orders_are_not() {
    let bench = Bench::new(&staged());
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let log = bench.out().join("small/latest/run.log");
    let read = || std::fs::read_to_string(&log).unwrap();
    wait_until("the fleet has ten workers", || {
        read().contains("\"processes\":13,\"ordered_ns\":") && {
            read()
                .lines()
                .any(|line| line.contains("\"ev\":\"scaled\"") && !line.contains("\"reached_ns\":null"))
        }
    });
    assert!(!read().contains("by hand"), "{}", read());
    let header = read();
    let run_id = header.split("\"run_id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let scale = ["coordinator", "scale", run_id, "--workers", "2"];
    assert!(bench.command().args(scale).status().unwrap().success());
    let done = run.end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    let log = read();
    assert_eq!(log.matches("\"ev\":\"incident\"").count(), 1, "{log}");
    assert!(log.contains("was scaled by hand: supervisor from 5 to 2"), "{log}");
    assert!(!log.contains("\"expected\":false"), "{log}");
    let verdict = verdict(&bench.latest());
    assert_eq!(evidence(&verdict, "log consistent"), "PASS", "{verdict:#}");
    assert_eq!(evidence(&verdict, "no undeclared incident"), "INCONCLUSIVE");
    bench.assert_nothing_left(&agents);
}
