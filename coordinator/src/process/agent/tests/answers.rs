//! What is an answer, and what is none.

use super::*;

#[test]
fn what_is_no_answer_ends_the_agent_and_the_next_task_has_another() {
    use Blame::{Died, Failed};
    for (script, blame, words) in [
        (r#"id; printf '{"id":"%s"}\n' "$i"; cat"#, Failed, "neither `ok` nor `progress`"),
        (r#"id; printf '{"id":"%s","ok":1}\n' "$i"; cat"#, Failed, "`ok` must be true or false"),
        (r#"id; printf 'so: {"id":"%s","ok":true}\n' "$i"; cat"#, Failed, "other text stands before it"),
        (r#"id; printf '{"id":"%s","ok":true} so\n' "$i"; cat"#, Failed, "other text stands behind it"),
        (r#"id; printf '{"id":"%s","ok":true,"result":NaN}\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; printf '{"id":"%s","ok":true,"result":"\377"}\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; printf '{"id":"%s","ok":true,"result":"\000"}\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; printf '\000{"id":"%s","ok":true}\n' "$i"; cat"#, Failed, "other text stands before it"),
        (r#"id; printf '{"id":"%s","ok":true,"ok":true}\n' "$i"; cat"#, Failed, "duplicate field `ok`"),
        (r#"id; printf '{"id":"1","id":"%s","ok":true}\n' "$i"; cat"#, Failed, "duplicate field `id`"),
        (r#"id; printf '{"id":"%s",ok:true}\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; printf '{"id":"%s","ok":true\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; printf 'so: {"id":"%s","ok":tru}\n' "$i"; cat"#, Failed, "it is not valid JSON"),
        (r#"id; echo '{"ok":true}'; cat"#, Failed, "it has no `id`"),
        (r#"id; echo '{"id":7,"ok":true}'; cat"#, Failed, "it has no `id`"),
        (
            r#"id; echo '{"id":"1.1.1","ok":true}'; cat"#,
            Failed,
            r#"answered task "1.1.1" and was asked for "1.1.1-"#,
        ),
        ("id; printf '{'; yes | head -c 100000 | tr -d '\\n'; cat", Failed, "a line of more than 4096 bytes"),
        ("id; printf '{'; yes | tr -d '\\n'", Failed, "a line of more than 4096 bytes"),
        (
            r#"id; ok "\"$(yes | head -c 10000 | tr -d '\n')\""; cat"#,
            Failed,
            "a line of more than 4096 bytes",
        ),
        (
            "id; echo out of luck >&2; exit 3",
            Died(HowEnded::Exited(3)),
            "exited with status 3 with the task in hand; its log: out of luck",
        ),
        ("id; kill -9 $$", Died(HowEnded::Signaled(9)), "killed by SIGKILL with the task in hand"),
        ("id; exec >&-; exec sleep 1000", Died(HowEnded::Unseen), "closed its standard output"),
    ] {
        hold_to(script, blame, words);
    }
}

/// Such a program is at fault, which is said, and the next task has another one.
fn hold_to(script: &str, blame: Blame, words: &str) {
    let mut agent = speaker(script);
    let fault = ask(&mut agent, "1.1.1", "1", &mut Ear::default()).unwrap_err();
    let said = fault.to_string();
    assert!(said.contains(words), "{script}: {said}");
    assert_eq!(fault.blame(), blame, "{script}");
    assert!(agent.identity().is_none(), "{said}");
    fault_of(&mut agent);
    assert_eq!(agent.started(), 2, "{script}");
}

#[test]
fn an_answer_that_stands_in_something_else_or_that_few_can_read_is_none() {
    use Blame::Failed;
    for (script, blame, words) in [
        (r#"id; printf '{"x":{"id":"%s","ok":true}}\n' "$i"; cat"#, Failed, "it stands inside another value"),
        (r#"id; printf '{"x":{"id":"%s"}}\n' "$i"; cat"#, Failed, "it stands inside another value"),
        (r#"id; printf '[{"id":"%s","result":1}]\n' "$i"; cat"#, Failed, "other text stands before it"),
        (r"id; yes | head -c 100000 | tr -d '\n'; ok 7; cat", Failed, "other text stands before it"),
        (
            r#"id; yes | head -c 70000 | tr -d '\n'; ok "\"$(yes | head -c 70000 | tr -d '\n')\""; cat"#,
            Failed,
            "other text stands before it",
        ),
        (r#"id; ok '{"a":1,"b":[{"c":1,"c":2}]}'; cat"#, Failed, "the same key twice"),
        (
            r#"id; printf '{"id":"%s","ok":true,"result":1,"error":"no"}\n' "$i"; cat"#,
            Failed,
            "it has an `error`, although its `ok` is true",
        ),
        (
            r#"id; printf '{"id":"%s","ok":false,"result":1,"error":"no"}\n' "$i"; cat"#,
            Failed,
            "it has a `result`, although its `ok` is false",
        ),
        (r#"id; ok '"\ud83d"'; cat"#, Failed, "half of a surrogate pair"),
        (r#"id; ok '"\ude00"'; cat"#, Failed, "half of a surrogate pair"),
        ("id; ok 1e999; cat", Failed, "no double can hold"),
        ("id; ok '[7, -1e400]'; cat", Failed, "no double can hold"),
        (
            r#"id; ok "$(yes '[' | head -n 501)$(yes ']' | head -n 501)" | tr -d '\n'; echo; cat"#,
            Failed,
            "500 levels",
        ),
    ] {
        hold_to(script, blame, words);
    }
}

#[test]
fn a_last_answer_needs_no_line_end_and_half_of_one_is_none() {
    for end in ["", "; exit 3", "; kill -9 $$"] {
        let mut agent = speaker(&format!(r#"id; printf '{{"id":"%s","ok":true,"result":7}}' "$i"{end}"#));
        for started in 1..3 {
            assert_eq!((done(&mut agent, "1.1.1", "1").as_str(), agent.started()), ("7", started), "{end}");
        }
    }
    hold_to(
        r#"id; printf '{"id":"%s","ok":true,"result":7' "$i"; exit 3"#,
        Blame::Died(HowEnded::Exited(3)),
        "exited with status 3 with the task in hand",
    );
}

/// Looks when the agent has ended, and not before.
struct Late(Option<Identity>);

impl Watcher for Late {
    fn started(&mut self, identity: Identity) {
        self.0 = Some(identity);
    }

    fn stop(&mut self) -> Option<StopReason> {
        while self.0.is_some_and(|agent| agent.is_alive()) {
            std::thread::yield_now();
        }
        None
    }
}

#[test]
fn an_answer_behind_a_long_log_counts_though_its_agent_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("said").display().to_string();
    for last in ["", "; echo more log"] {
        let script = format!("id; {{ yes log | head -c 40000; ok 7{last}; }} > {file}; exec cat {file}");
        let mut agent = speaker(&script);
        for started in 1..3 {
            let answered =
                agent.ask(&Request { id: "1.1.1", attempt: 1, task: b"1" }, &FOREVER, &mut Late(None));
            assert_eq!(answered.unwrap().reply, Reply::Done(b"7".to_vec()));
            assert_eq!(agent.started(), started);
        }
    }
    // Without its line's end, too.
    let script = format!("id; {{ yes log | head -c 40000; ok 7 | tr -d '\\n'; }} > {file}; exec cat {file}");
    let answered =
        speaker(&script).ask(&Request { id: "1.1.1", attempt: 1, task: b"1" }, &FOREVER, &mut Late(None));
    assert_eq!(answered.unwrap().reply, Reply::Done(b"7".to_vec()));
}
