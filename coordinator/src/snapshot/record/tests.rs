use super::super::file::Snapshot;
use super::*;
use proptest::prelude::*;

pub(in super::super) fn task(sequence: u64, body: &[u8]) -> OpenTask {
    OpenTask {
        id: TaskId { epoch: 1, sender: 2, sequence },
        coordinator: 1,
        worker: (!sequence.is_multiple_of(2)).then_some(3),
        kind: TaskKind::Exec,
        parameter: 7,
        timeout_ns: 30_000_000_000,
        lifetime_ns: 90_000_000_000,
        attempts: 1,
        attempts_max: 3,
        retry_failures: true,
        deaths_only: false,
        whole: true,
        state: Progress::Leased,
        name: Some("\"a\" \n".into()),
        listed: (sequence > 1).then(|| Listed {
            number: 3,
            input: Some(Body(vec![0xff])),
            task_hash: "00ff".into(),
            results_before: 1,
        }),
        body: Body(body.to_vec()),
    }
}

/// One record of each kind.
pub(in super::super) fn sample() -> Snapshot {
    let shape = FleetShape::new(3, 20, 4096, 2).unwrap();
    let answer = AnswerRecord {
        worker: 4,
        status: AnswerStatus::WorkerDied,
        failed: true,
        code: -9,
        attempt: 3,
        took_ns: 5,
        stdout_len: 0,
        truncated: false,
        spooled: false,
        usage: Some(Used { user_us: 1, system_us: 2, max_rss: 3 }),
        body: Body(vec![0xff, 0xfe]),
    };
    Snapshot {
        header: Header::new(Kind::Backup, "demo", &shape, &["--depth".into(), "2".into()], 1, 1_700_000_000),
        counters: vec![Counters {
            coordinator: 0,
            epoch: 2,
            accepted: 9,
            answered: 4,
            failed: 2,
            returned: 0,
            in_flight: 3,
            late: 1,
            duplicates: 0,
        }],
        tasks: vec![task(1, b"echo\0hello\0"), task(2, &[])],
        untold: vec![Untold {
            id: TaskId { epoch: 1, sender: 2, sequence: 3 },
            coordinator: 2,
            kind: Some(TaskKind::Exec),
            name: Some("b".into()),
            listed: None,
            answer: answer.clone(),
        }],
        dead: vec![DeadLetter { task: task(4, b"x\0"), reason: "it died".into(), answer: Some(answer) }],
    }
}

#[test]
fn the_header_begins_with_the_magic() {
    let shape = FleetShape::new(1, 1, 1, 1).unwrap();
    let header = Header::new(Kind::Backup, "a", &shape, &[], 1, 0);
    let text = serde_json::to_string(&Record::Header(header)).unwrap();
    assert!(text.starts_with(MAGIC), "{text}");
}

#[test]
fn a_command_is_readable_in_the_file() {
    let body = Body(crate::wire::command_body(&["echo", "a b"]).unwrap());
    assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"text":"echo\u0000a b\u0000"}"#);
    assert_eq!(serde_json::to_string(&Body(vec![0xff, 0])).unwrap(), r#"{"hex":"ff00"}"#);
    assert!(serde_json::from_str::<Body>(r#"{"hex":"ff0"}"#).is_err());
}

proptest! {
    #[test]
    fn every_body_survives(bytes: Vec<u8>) {
        let text = serde_json::to_string(&Body(bytes.clone())).unwrap();
        prop_assert!(text.len() <= 6 * bytes.len() + 16);
        prop_assert_eq!(serde_json::from_str::<Body>(&text).unwrap().0, bytes);
    }

    #[test]
    fn every_id_survives(epoch: u32, sender: u32, sequence: u64) {
        let id = TaskId { epoch, sender, sequence };
        prop_assert_eq!(parse_id(&id.to_string()), Some(id));
    }
}
