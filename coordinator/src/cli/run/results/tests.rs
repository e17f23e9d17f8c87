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
