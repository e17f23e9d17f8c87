//! A worker does one task after another, and none finds anything of the one before.

use super::{Up, kill, shm, wait_until};
use coordinator::client::{Client, Event, Failure, Task, WorkerRef};
use coordinator::process::reset::canary::{Canary, Order};
use coordinator::wire::command::Command;
use nix::sys::signal::Signal;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(50);
const WORKER: WorkerRef = WorkerRef { coordinator: 0, worker: 0 };
const SH_AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/agent.sh");

struct Done {
    body: Vec<u8>,
    code: i32,
    stdout_len: usize,
    usage: Option<coordinator::wire::Usage>,
}

/// One task for the one worker, and what came of it.
fn outcome(client: &mut Client, task: Task<'_>, within: Duration) -> Result<Done, Failure> {
    wait_until("there is room", || client.send(WORKER, task, within, 7).is_ok());
    client.flush();
    let mut come = None;
    wait_until("the task has its outcome", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                come = Some(outcome.result.map(|answer| Done {
                    body: answer.body.to_vec(),
                    code: answer.code,
                    stdout_len: answer.stdout_len,
                    usage: answer.usage,
                }));
            }
        });
        come.is_some()
    });
    come.unwrap()
}

fn body(client: &mut Client, task: Task<'_>) -> String {
    String::from_utf8(outcome(client, task, LONG).unwrap().body).unwrap()
}

fn order(client: &mut Client, order: &Order) -> Vec<Canary> {
    let answer = body(client, Task::Canary(&serde_json::to_vec(order).unwrap()));
    serde_json::from_str(&answer).unwrap()
}

fn sh(client: &mut Client, script: &str) -> String {
    let command = Command::new(["sh", "-c", script]).to_body().unwrap();
    body(client, Task::Command(&command))
}

fn pid(client: &Client) -> u32 {
    client.status().coordinators[0].workers[0].process.identity().pid
}

#[test]
fn what_one_task_plants_the_next_on_the_same_worker_does_not_find() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let worker = pid(&client);
    for _ in 0..3 {
        assert_eq!(order(&mut client, &Order::Plant(Canary::CURABLE.to_vec())), Canary::CURABLE);
        assert_eq!(order(&mut client, &Order::Look), []);
        assert_eq!(body(&mut client, Task::Echo(b"x")), "x");
    }
    assert_eq!(pid(&client), worker, "it was reused");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_worker_that_cannot_be_made_clean_again_answers_and_is_thrown_away() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let worker = pid(&client);
    assert_eq!(order(&mut client, &Order::Plant(vec![Canary::Thread])), [Canary::Thread]);
    wait_until("another one has its place", || pid(&client) != worker);
    assert_eq!(order(&mut client, &Order::Look), []);
    let poisoned = client.ledger();
    assert_eq!((poisoned.answered, poisoned.failed), (2, 0));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_commands_daemons_and_files_are_gone_when_its_answer_is_there() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let script = "setsid sleep 98765 >&- 2>&- & echo $! $TMPDIR; mkdir $TMPDIR/d; echo x > $TMPDIR/d/f; chmod 0 $TMPDIR/d";
    let said = sh(&mut client, script);
    let (daemon, temporary) = said.trim().split_once(' ').unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{daemon}")).exists());
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
    // The same directory for the next, and nothing in it; nothing at all when the fleet is gone.
    assert_eq!(sh(&mut client, "ls -A $TMPDIR; echo $TMPDIR"), format!("{temporary}\n"));
    assert_eq!(up.stop(), Some(0));
    assert!(!std::path::Path::new(temporary).parent().unwrap().exists());
}

#[test]
fn a_killed_workers_temporary_directory_goes_with_the_fleet() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let temporary = sh(&mut client, "printf %s $TMPDIR");
    std::fs::write(std::path::Path::new(&temporary).join("left"), "").unwrap();
    let worker = client.status().coordinators[0].workers[0].process.identity();
    kill(worker, Signal::SIGKILL);
    wait_until("another one has its place", || pid(&client) != worker.pid);
    assert_eq!(up.stop(), Some(0));
    assert!(!std::path::Path::new(&temporary).parent().unwrap().exists());
}

#[test]
fn the_temporary_directories_of_a_killed_fleet_are_cleaned_away_with_it() {
    let shm = shm();
    let mut up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let temporary = sh(&mut client, "printf %s $TMPDIR");
    let everyone = up.identities();
    // None of them is to see the death of another and tidy up after it.
    for process in &everyone {
        kill(*process, Signal::SIGSTOP);
    }
    for process in &everyone {
        // Gone with its parent, maybe.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid as i32), Signal::SIGKILL);
    }
    up.child.wait().unwrap();
    wait_until("everyone is gone", || everyone.iter().all(|process| !process.is_alive()));
    assert!(std::path::Path::new(&temporary).exists());
    let mut clean = std::process::Command::new(super::PROGRAM);
    clean.args(["clean", "--shm-dir"]).arg(shm.path()).env("TMPDIR", shm.path());
    assert!(clean.output().unwrap().status.success());
    assert!(super::is_empty(shm.path()));
}

#[test]
fn a_command_has_its_surroundings_and_tells_what_it_took() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let command = Command {
        env: [("WHO".to_owned(), "me".to_owned())].into(),
        cwd: Some(dir.path().to_str().unwrap().to_owned()),
        stdin: Some("from the task\n".to_owned()),
        stdout_file: Some("out".to_owned()),
        ..Command::new(["sh", "-c", "cat; echo $WHO >&2; exit 3"])
    };
    let done = outcome(&mut client, Task::Command(&command.to_body().unwrap()), LONG).unwrap();
    assert_eq!((done.code, done.stdout_len, &done.body[..]), (3, 14, &b"from the task\nme\n"[..]));
    assert!(done.usage.unwrap().max_rss > 0);
    assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), b"from the task\n");
    let Err(Failure::Refused(_, why)) = outcome(&mut client, Task::Command(b"{\"argv\":[]}"), LONG) else {
        panic!("it was accepted");
    };
    assert!(why.contains("has no program"), "{why}");
}

#[test]
fn an_agent_serves_one_task_after_another_and_is_replaced_when_it_fails() {
    let shm = shm();
    let agent = format!("[\"sh\",{SH_AGENT:?}]");
    let up = Up::start(shm.path(), 1, 1, &["--agent", &agent]);
    let mut client = Client::attach(&up.dir).unwrap();
    for n in 0..20 {
        let task = format!("{{\"n\":{n}}}");
        assert_eq!(body(&mut client, Task::Agent(task.as_bytes())), task);
        // What else the worker does is nothing to its agent.
        sh(&mut client, "true");
    }
    let Err(Failure::AgentFailed(_, why)) = outcome(&mut client, Task::Agent(br#"{"fail":"no"}"#), LONG)
    else {
        panic!("it was done");
    };
    assert_eq!(why, "no");
    let Err(Failure::Refused(_, why)) = outcome(&mut client, Task::Agent(b"{"), LONG) else {
        panic!("it was done");
    };
    assert!(why.contains("not one value of JSON"), "{why}");
    assert_eq!(order(&mut client, &Order::Look), []);
    // One that dies between two tasks costs none.
    let worker = pid(&client);
    let agents = || {
        let children = std::fs::read_to_string(format!("/proc/{worker}/task/{worker}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()).collect::<Vec<_>>()
    };
    let before = agents();
    assert_eq!(before.len(), 1, "one agent, twenty tasks");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(before[0]), Signal::SIGKILL).unwrap();
    wait_until("it is dead", || {
        let stat = procfs::process::Process::new(before[0]).and_then(|process| process.stat());
        stat.map_or(true, |stat| stat.state == 'Z')
    });
    assert_eq!(body(&mut client, Task::Agent(b"[1]")), "[1]");
    let after = agents();
    assert!(after.len() == 1 && after != before);
    // And it goes with its worker.
    assert_eq!(up.stop(), Some(0));
    assert!(!std::path::Path::new(&format!("/proc/{}", after[0])).exists());
}

#[test]
fn a_fleet_without_agents_says_so() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let Err(Failure::Refused(_, why)) = outcome(&mut client, Task::Agent(b"1"), LONG) else {
        panic!("it was done");
    };
    assert!(why.contains("has no agent program"), "{why}");
}
