//! Directories whose disk is slow, failing or full: each fault is proven, the run ends as it has to, and nothing outlives it.

use super::*;
use crate::skips::has_or_skips;
use std::os::unix::fs::PermissionsExt as _;

const EXAMPLE: &str = include_str!("../../../../scenarios/examples/disk.toml");

/// Whether file systems can be served and mounted here.
pub(super) fn has_disks() -> bool {
    let doctor = Command::new(HARNESS).args(["doctor", "--json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let all = found["capabilities"].as_array().unwrap();
    let disks = all.iter().find(|capability| capability["name"] == "disk faults (FUSE)").unwrap();
    has_or_skips("/dev/fuse that can be opened, and mounts", disks["status"] == "ok")
}

/// The example, with a directory of the test's own.
fn example() -> Bench {
    let bench = Bench::new("");
    let dir = bench.dir.path().join("work");
    let text = EXAMPLE.replace("name = \"disk\"", "name = \"small\"");
    std::fs::write(bench.file(), text.replace("/tmp/harness-disk-example", dir.to_str().unwrap())).unwrap();
    bench
}

/// A fault on the directory of the run.
fn on_run(fault: &str) -> Bench {
    let fault = format!("[[fault]]\nname = \"planned\"\n{fault}\nat = \"1s\"\nfor = \"2s\"\n");
    Bench::new(&(scenario(9) + &fault))
}

fn assert_not_mounted(bench: &Bench) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(bench.dir.path().to_str().unwrap()), "{mounts}");
}

/// The processes that serve a directory of this bench, by what they were started with and where they work.
fn servers(bench: &Bench) -> Vec<i32> {
    let processes = pids();
    processes
        .into_iter()
        .filter(|pid| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            words.split(|byte| *byte == 0).nth(1) == Some(b"disk") && place.starts_with(bench.dir.path())
        })
        .collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn failures(bench: &Bench) -> Vec<String> {
    let records = codec::open(&bench.latest().join("run.log")).unwrap().map_while(Result::ok);
    let reason = |event| if let Event::TaskFailed(failed) = event { Some(failed.reason) } else { None };
    records.filter_map(|record| reason(record.event)).collect()
}

#[test]
fn a_fleet_answers_on_slow_disks_and_again_after_errors_and_want_of_space() {
    if !has_disks() {
        return;
    }
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    assert_not_mounted(&bench);
    assert_eq!(servers(&bench).len(), 2);
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let found: Vec<_> = bench.fault_steps().iter().map(|step| (step.firing, step.step)).collect();
    let wanted: Vec<_> = (0..4).flat_map(|firing| WHOLE.map(|step| (firing, step))).collect();
    assert_eq!(found, wanted);
    let proof = |firing| {
        let is_proof = |step: &&FaultStep| step.firing == firing && step.step == FaultStepKind::Proven;
        bench.fault_steps().iter().find(is_proof).unwrap().how.clone()
    };
    assert!(proof(0).contains("a write to a probe took 1"), "{}", proof(0));
    assert!(proof(1).contains("a write to a probe took"), "{}", proof(1));
    assert!(proof(2).contains("EIO"), "{}", proof(2));
    assert!(proof(3).contains("No space left"), "{}", proof(3));
    // The command says why, and the task fails with it.
    let failures = failures(&bench);
    let is_error = |reason: &&String| reason.contains("Input/output error") || reason.contains("I/O error");
    assert!(failures.iter().any(|reason| reason.contains("No space left on device")), "{failures:?}");
    assert!(failures.iter().any(|reason| is_error(&reason)), "{failures:?}");
    assert_eq!(servers(&bench), [0; 0]);
    assert!(!bench.dir.path().join("work").exists());
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_run_whose_own_disk_is_full_or_fails_is_inconclusive_with_the_reason() {
    if !has_disks() {
        return;
    }
    for (fault, reason) in [
        ("kind = \"disk-full\"", "No space left on device"),
        ("kind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"100%\"", "Input/output error"),
        ("kind = \"disk-fail\"\nerror = \"EMFILE\"\nnth = 2", "Too many open files"),
    ] {
        let bench = on_run(fault);
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let done = run.end();
        assert_eq!(done.status.code(), Some(12), "{fault}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(reason), "{fault}: {}", done.stderr);
        assert!(!done.stdout.contains("PASS"), "{fault}: {}", done.stdout);
        bench.assert_nothing_left(&agents);
        assert_eq!(servers(&bench), [0; 0], "{fault}");
        assert_not_mounted(&bench);
    }
}

#[test]
fn a_slow_disk_of_the_run_makes_no_round_late_and_other_runs_see_nothing_of_it() {
    if !has_disks() {
        return;
    }
    let bench = on_run("kind = \"disk-slow\"\ndelay = \"1s\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("slow", || bench.log_so_far().contains("\"step\":\"proven\""));
    // The directory beneath, which is all that this process sees, is as fast as ever.
    let begun = Instant::now();
    let other = bench.latest().join("other");
    std::fs::write(&other, "x").unwrap();
    std::fs::remove_file(&other).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let found: Vec<_> = bench.fault_steps().iter().map(|step| step.step).collect();
    assert_eq!(found, WHOLE);
    for record in codec::open(&bench.latest().join("run.log")).unwrap() {
        if let Event::Round(round) = record.unwrap().event {
            let late = Duration::from_nanos(round.started_ns.saturating_sub(round.scheduled_ns));
            assert!(late < Duration::from_secs(1), "a round waited for the disk: {late:?}");
        }
    }
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_harness_that_is_killed_at_any_step_leaves_no_mount_process_or_file() {
    if !has_disks() {
        return;
    }
    for fault in [
        "kind = \"disk-slow\"\ndelay = \"50ms\"",
        "kind = \"disk-fail\"\ndir = \"work\"\nerror = \"EIO\"\nnth = 3",
        "kind = \"disk-full\"\ndir = \"work\"",
    ] {
        for step in ["injected", "proven", "healed", "heal-proven"] {
            let text = format!("[[fault]]\nname = \"x\"\n{fault}\nat = \"100ms\"\nfor = \"500ms\"\n");
            let bench = Bench::new(&(scenario(9) + &text));
            let work = bench.dir.path().join("work");
            std::fs::create_dir(&work).unwrap();
            let run = bench.start(&["--quiet"]);
            let agents = run.agents_under_load();
            wait_until(step, || bench.log_so_far().contains(&format!("\"firing\":0,\"step\":\"{step}\"")));
            assert_eq!(servers(&bench).len(), 1);
            run.signal(nix::sys::signal::Signal::SIGKILL);
            drop(run.end());
            let is_gone =
                |agent: &AgentInfo| !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive();
            wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
            wait_until("so has the process that serves the directory", || servers(&bench).is_empty());
            bench.assert_nothing_left(&agents);
            assert_not_mounted(&bench);
            let names = |dir: &Path| {
                let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
                entries.collect::<std::collections::BTreeSet<_>>()
            };
            // It may have been killed as it looked whether a file can be created: the next run there removes it.
            let left = names(&work);
            let is_probe = |name: &std::ffi::OsString| {
                let size = std::fs::metadata(work.join(name)).unwrap().len();
                size == 0 && name.to_string_lossy().starts_with(".harness-probe-")
            };
            let may_be = fault.contains("disk-full") && step == "healed";
            assert!(
                left.len() <= usize::from(may_be) && left.iter().all(is_probe),
                "{fault} {step}: {left:?}"
            );
            let own = ["run.log", "fleet.stderr"].map(std::ffi::OsString::from);
            assert_eq!(names(&bench.latest()), own.into(), "{fault} {step}");
        }
    }
}

/// Calls as programs make them, each with what has to come of it.
const CALLS: &str = r##"
import fcntl, mmap, os, socket, stat, sys
os.chdir(sys.argv[1])
base = "t" + sys.argv[2]
os.mkdir(base); os.chdir(base)
data = os.urandom(3_000_000)
with open("a", "wb") as f: f.write(data)
assert open("a", "rb").read() == data and os.stat("a").st_size == len(data)
os.link("a", "b")
assert os.stat("a").st_ino == os.stat("b").st_ino and os.stat("b").st_nlink == 2
os.rename("b", "c"); os.unlink("a")
assert open("c", "rb").read() == data and os.listdir(".") == ["c"]
f = open("c", "r+b"); os.unlink("c")
f.seek(10); f.write(b"x"); f.flush(); f.seek(0)
assert f.read(12) == data[:10] + b"x" + data[11:12] and os.fstat(f.fileno()).st_nlink == 0
os.ftruncate(f.fileno(), 5); assert os.fstat(f.fileno()).st_size == 5; f.close()
os.symlink("nowhere", "l"); assert os.readlink("l") == "nowhere" and not os.path.exists("l")
os.makedirs("d/e/f"); open("d/e/f/g", "w").write("g"); os.rename("d", "h"); assert open("h/e/f/g").read() == "g"
try: os.rmdir("h"); assert False
except OSError as e: assert e.errno == 39, e
os.chmod("h/e/f/g", 0o400); assert stat.S_IMODE(os.stat("h/e/f/g").st_mode) == 0o400
os.utime("h/e/f/g", ns=(1_500_000_001, 2_500_000_002)); s = os.stat("h/e/f/g")
assert (s.st_atime_ns, s.st_mtime_ns) == (1_500_000_001, 2_500_000_002)
os.utime("h/e/f/g", ns=(-1_000_000_000, -2_000_000_000)); assert os.stat("h/e/f/g").st_mtime_ns == -2_000_000_000
for i in range(500): open(f"h/{i}", "w").close()
assert sorted(os.listdir("h")) == sorted([str(i) for i in range(500)] + ["e"])
with open("m", "w+b") as f:
    f.truncate(8192); m = mmap.mmap(f.fileno(), 8192); m[4096:4099] = b"map"; m.flush(); m.close()
assert open("m", "rb").read()[4096:4099] == b"map"
one, two = open("m", "a"), open("m", "a")
one.write("1"); one.flush(); two.write("2"); two.flush(); one.write("3"); one.flush()
assert open("m", "rb").read()[8192:] == b"123"
fcntl.flock(one, fcntl.LOCK_EX)
try: fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB); assert False
except BlockingIOError: pass
os.posix_fallocate(two.fileno(), 0, 20000); assert os.stat("m").st_size == 20000
os.fsync(one.fileno()); fd = os.open(".", os.O_RDONLY); os.fsync(fd); os.close(fd)
os.mkfifo("p"); assert stat.S_ISFIFO(os.stat("p").st_mode)
s = socket.socket(socket.AF_UNIX); s.bind("s"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect("s")
open("x", "w").write("#!/bin/sh\necho ran\n"); os.chmod("x", 0o755)
assert os.popen("./x").read() == "ran\n"
try: os.open("m", os.O_CREAT | os.O_EXCL); assert False
except FileExistsError: pass
try: open("none"); assert False
except FileNotFoundError: pass
assert os.statvfs(".").f_bavail > 0
"##;

#[test]
fn a_directory_that_is_not_disturbed_yet_is_as_any_other() {
    if !has_disks() {
        return;
    }
    let bench = Bench::new("");
    let work = bench.dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let calls = bench.dir.path().join("calls.py");
    std::fs::write(&calls, CALLS).unwrap();
    let exec = format!(
        "kind = \"exec\"\ncommand = [\"python3\", {calls:?}, {work:?}, \"{{}}\"]\ncwd = \"/\"\n",
        work = work.to_str().unwrap(),
        calls = calls.to_str().unwrap()
    );
    let fault = format!(
        "[[fault]]\nname = \"later\"\nkind = \"disk-full\"\ndir = {:?}\nat = \"12s\"\nfor = \"500ms\"\n\
         may_meet_nothing = true\n",
        work.to_str().unwrap()
    );
    // On a busy host, a task of so many calls takes seconds: some end before the fault.
    let text = scenario(13)
        .replace("kind = \"echo\"\npayload = \"256B\"\n", &exec)
        .replace("every = \"50ms\"", "every = \"3s\"")
        .replace("task_timeout = \"3s\"", "task_timeout = \"30s\"\nrounds_in_flight_max = 64")
        .replace("coordination.time max < 3s", "coordination.time max < 60s")
        .replace("delivery.rate >= 100%", "delivery.rate >= 100% before later");
    std::fs::write(bench.file(), text + &fault).unwrap();
    let done = bench.start(&["--quiet"]).end();
    let failed = failures(&bench);
    let before: Vec<_> = failed.iter().filter(|reason| !reason.contains("No space left")).collect();
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    // What was written is in the directory beneath, with what it was given.
    let first = work.join("t0/h/e/f/g");
    assert_eq!(std::fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o400);
    assert_eq!(std::fs::read_to_string(work.join("t0/x")).unwrap(), "#!/bin/sh\necho ran\n");
}

#[test]
fn others_find_the_harness_of_a_run_whose_directory_is_covered_and_stop_it() {
    if !has_disks() {
        return;
    }
    let bench = on_run("kind = \"disk-slow\"\ndelay = \"50ms\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let pid = run.child.id();
    let status = bench.command().args(["status", "runs"]).output().unwrap();
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(shown.contains(&format!("(pid {pid})")), "{shown}{}", String::from_utf8_lossy(&status.stderr));
    let latest = bench.latest();
    let stop = bench.command().arg("stop").arg(&latest).output().unwrap();
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    assert!(latest.join("verdict.json").exists());
    bench.assert_nothing_left(&agents);
    assert_eq!(servers(&bench), [0; 0]);
}

#[test]
fn a_server_that_is_killed_costs_the_verdict_and_hangs_nothing() {
    if !has_disks() {
        return;
    }
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let is_of_work = |pid: &i32| {
        let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        place == bench.dir.path().join("work")
    };
    let server = servers(&bench).into_iter().find(is_of_work).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    let done = run.end();
    assert!(matches!(done.status.code(), Some(10 | 12)), "{}{}", done.stdout, done.stderr);
    let kinds: Vec<_> = bench.fault_steps().iter().map(|step| (step.firing, step.step)).collect();
    assert!(kinds.contains(&(1, FaultStepKind::NotInjected)), "{kinds:?}");
    bench.assert_nothing_left(&agents);
    assert_not_mounted(&bench);
}

#[test]
fn a_server_that_is_killed_while_its_disk_is_slow_leaves_the_fault_unhealed() {
    if !has_disks() {
        return;
    }
    let bench = on_run("kind = \"disk-slow\"\ndelay = \"50ms\"\ndir = \"work\"");
    std::fs::create_dir(bench.dir.path().join("work")).unwrap();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("proven", || bench.log_so_far().contains("\"firing\":0,\"step\":\"proven\""));
    let server = servers(&bench)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    let done = run.end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    assert_eq!(bench.fault_steps().last().unwrap().step, FaultStepKind::Unhealed);
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_disk_on_which_nothing_is_called_is_not_effective() {
    if !has_disks() {
        return;
    }
    let fault = "kind = \"disk-slow\"\ndelay = \"50ms\"\ndir = \"work\"";
    for (keys, code) in [("", 12), ("\nmay_meet_nothing = true", 0)] {
        let bench = on_run(&format!("{fault}{keys}"));
        std::fs::create_dir(bench.dir.path().join("work")).unwrap();
        let done = bench.start(&["--quiet"]).end();
        assert_eq!(done.status.code(), Some(code), "{}{}", done.stdout, done.stderr);
        let healed = bench.fault_steps().pop().unwrap();
        assert_eq!((healed.step, healed.met.map(|met| met.hit)), (FaultStepKind::HealProven, Some(0)));
        assert!(healed.how.contains("not effective: 0 of 0 calls in the directory"), "{}", healed.how);
    }
}

#[test]
fn a_directory_that_cannot_be_disturbed_is_refused_before_anything_starts() {
    if !has_disks() {
        return;
    }
    for (dir, words) in [
        ("/nowhere/at/all", "directory of a fault"),
        (".", "lies in it, which the run needs as it is"),
        ("/", "lies in it, which the run needs as it is"),
        ("/dev", "lies in it, which the run needs as it is"),
        ("/usr", "lies in it, which the run needs as it is"),
        ("/proc", "is made by the kernel"),
        ("/sys/fs", "is made by the kernel"),
    ] {
        let bench = on_run(&format!("kind = \"disk-full\"\ndir = {dir:?}"));
        let done = bench.start(&["--quiet"]).end();
        assert_eq!(done.status.code(), Some(20), "{dir}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(words), "{dir}: {}", done.stderr);
        assert_eq!(std::fs::read_dir(bench.out().join("small")).map_or(0, Iterator::count), 0, "{dir}");
    }
}

#[test]
fn it_needs_no_root_and_says_what_it_needs_where_it_is_refused() {
    for mode in ["666", "600"] {
        as_another_user(mode);
    }
}

/// As another user whose /dev/fuse has this mode, if this one may make such a device; as this one otherwise.
fn as_another_user(mode: &str) {
    const OTHER: &str = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" \"$@\"";
    let bench = on_run("kind = \"disk-slow\"\ndelay = \"50ms\"");
    let program = bench.dir.path().join("harness");
    std::fs::copy(HARNESS, &program).unwrap();
    let command = |verb: &[&str]| {
        let mut command = if nix::unistd::geteuid().is_root() {
            // In a namespace of its own: no other process sees that device.
            let device =
                format!("mknod device c 10 229 && chmod {mode} device && mount --bind device /dev/fuse");
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", &format!("{device}; rm -f device; {OTHER}")]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        bench.within(command.args(verb));
        command
    };
    for directory in [bench.dir.path(), bench.shm.path()] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let doctor = command(&["doctor", "small.toml"]).output().unwrap();
    let done = bench.start_by(&mut command(&["run", "small.toml", "--out", "runs", "--quiet"])).end();
    if doctor.status.success() && done.status.code() != Some(20) {
        assert_eq!(done.status.code(), Some(0), "{mode}: {}{}", done.stdout, done.stderr);
        assert_eq!(bench.fault_steps().iter().map(|step| step.step).collect::<Vec<_>>(), WHOLE);
    } else {
        assert_eq!(done.status.code(), Some(20), "{mode}: {}{}", done.stdout, done.stderr);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned() + &done.stderr;
        assert!(said.contains("disk faults (FUSE)"), "{said}");
        assert!(
            done.stderr.contains("install fuse3") || done.stderr.contains("max_user_namespaces"),
            "{said}"
        );
    }
    assert_not_mounted(&bench);
}
