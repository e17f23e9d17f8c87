//! Those who only look, at words that cannot be: a process that may write a fleet's files may write anything.

use super::{PROGRAM, Up, shm};
use coordinator::client::{Address, Client, Identity, Task, Terms};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

/// Where the stamp ends, which is read when a process attaches.
const STAMP: u64 = 128;

/// xorshift: a seed is a test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self) -> u64 {
        match self.next() % 6 {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (self.next() % 64),
            3 => self.next() % 300,
            // Two small ones, as states and kinds are.
            4 => ((self.next() % 24) << 32) | (self.next() % 24),
            _ => self.next(),
        }
    }
}

#[test]
fn whoever_looks_at_nonsense_says_something_and_ends() {
    let shm = shm();
    let mut up = Up::start(shm.path(), 2, 2, &["--payload-max", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    for number in 0..8 {
        let terms = Terms::within(Duration::from_secs(600));
        client.submit(Address::Any, Task::Sleep(Duration::from_secs(600)), &terms, number).unwrap();
    }
    client.flush();
    drop(client);
    // No process works in it any more: what is read is what was scribbled.
    let everyone = up.identities();
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    super::wait_until("all have gone", || everyone.iter().all(Identity::is_gone));
    let files: Vec<_> = ["control", "c0", "c1"]
        .map(|name| File::options().read(true).write(true).open(up.dir.join(name)).unwrap())
        .into_iter()
        .map(|file| (file.metadata().unwrap().len(), file))
        .collect();
    for seed in 1..=40_u64 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        for (bytes, file) in &files {
            // All of it, or a word here and there.
            let every = if seed % 4 == 0 { 1 } else { 1 + random.next() % 64 };
            for at in STAMP / 8..bytes / 8 {
                if random.next().is_multiple_of(every) {
                    file.write_all_at(&random.word().to_ne_bytes(), at * 8).unwrap();
                }
            }
        }
        let status = coordinator::client::status::of(&up.dir).unwrap();
        assert_eq!(status.coordinators.len(), 2);
        serde_json::to_string(&status).unwrap();
        for verb in [
            &["status", "test", "--json"][..],
            &["top", "test", "--once", "--interval", "1ms"],
            &["events", "test"],
            &["events", "test", "--json"],
            &["dead-letters", "test"],
            &["dead-letters", "test", "--json"],
            &["cancel", "test", "all", "--patience", "1ms"],
            &["dead-letters", "test", "--requeue", "all", "--patience", "1ms"],
        ] {
            let output = Command::new(PROGRAM).args(verb).arg("--shm-dir").arg(shm.path()).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            let is_order = verb.contains(&"--patience");
            // Every look has something to say, and every order ends.
            assert!(is_order || output.status.code() == Some(0), "seed {seed}: {verb:?}: {error}");
            assert!(matches!(output.status.code(), Some(0 | 10)), "seed {seed}: {verb:?}: {error}");
            if verb.contains(&"--json") {
                for value in
                    serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>()
                {
                    value.unwrap();
                }
            }
        }
    }
}
