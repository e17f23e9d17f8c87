use super::*;

#[test]
fn a_result_names_a_worker_only_if_one_had_the_task() {
    let end = End { status: Status::TimedOut, output: Output::default(), error: None };
    for (worker, shown) in [
        (Some(WorkerRef { coordinator: 0, worker: 3 }), serde_json::json!("0.3")),
        (Some(WorkerRef::none(0)), serde_json::Value::Null),
        (None, serde_json::Value::Null),
    ] {
        let whose = Whose {
            id: "a",
            number: None,
            hash: None,
            input: None,
            worker,
            sent_ns: 0,
            attempts_before: 0,
            before: false,
        };
        let mut written = Vec::new();
        line(&mut written, &whose, &end, 0).unwrap();
        let row: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(row["worker"], shown);
    }
}

#[test]
fn new_results_are_locked_as_those_that_are_continued() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let new = Results::create(Some(&path)).unwrap();
    let error = Results::open(&path, Resume::Add, |_| ()).unwrap_err();
    assert!(error.usage && error.what.contains("another run is writing to"), "{}", error.what);
    drop(new);
    Results::open(&path, Resume::Add, |_| ()).unwrap();
}

#[test]
fn what_is_torn_is_cut_off_wherever_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let (whole, torn) = ("{\"id\":\"1\",\"status\":\"ok\"}\n", "{\"id\":\"2\",\"stat");
    for before in ["", whole] {
        std::fs::write(&path, format!("{before}{torn}")).unwrap();
        let (looked, _) = Results::open(&path, Resume::LookOnly, |_| ()).unwrap();
        drop(looked);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{before}{torn}"));
        let (mut results, _) = Results::open(&path, Resume::Add, |_| ()).unwrap();
        results.write(whole.as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{before}{whole}"));
    }
}
