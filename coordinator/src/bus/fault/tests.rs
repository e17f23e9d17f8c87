//! What the handler does, in processes of their own.

use super::*;
use crate::bus::error::MAP;
use rustix::io::Errno;

#[test]
fn numbers_and_text_without_an_allocation_read_as_usual() {
    let mut line = Line::new();
    for number in [0, 7, 10, u64::MAX] {
        line.number(number);
        line.text(b" ");
    }
    assert_eq!(&line.bytes[..line.len], b"0 7 10 18446744073709551615 ");
    line.text(&[b'x'; 1000]);
    assert_eq!(line.len, line.bytes.len());
}

#[test]
fn an_address_is_found_within_its_file_only_while_it_is_watched() {
    let bytes = [0_u8; 64];
    let start = bytes.as_ptr() as u64;
    let watch = watch(bytes.as_ptr(), bytes.len(), Path::new("/dev/shm/x/c0"));
    assert!(find(start - 1).is_none());
    assert_eq!(until_nul(&find(start).unwrap().name()), b"/dev/shm/x/c0");
    assert!(find(start + 63).is_some());
    assert!(find(start + 64).is_none());
    drop(watch);
    assert!(find(start).is_none());
}

#[test]
fn of_a_path_that_is_too_long_the_end_is_kept() {
    let file = File::new();
    file.set_name(Path::new(&format!("{}/c0", "d".repeat(1000))));
    let name = file.name();
    assert_eq!(until_nul(&name).len(), NAME - 1);
    assert!(until_nul(&name).ends_with(b"d/c0"));
}

#[test]
fn only_the_file_of_a_coordinator_is_a_region() {
    for (name, wanted) in [
        ("/dev/shm/coord-a/c0", true),
        ("/dev/shm/coord-a/c12", true),
        ("/dev/shm/coord-a/control", false),
        ("/dev/shm/coord-a/c", false),
        ("/dev/shm/c1/clients", false),
    ] {
        assert_eq!(is_region(name.as_bytes()), wanted, "{name}");
    }
}

/// A page behind the end of its file, in a mapping that is registered or not.
fn touch(registered: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("region");
    let map = crate::bus::mapping::Mapping::create(&path, 4096).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    if !registered {
        for file in &FILES {
            file.start.store(FREE, Ordering::Release);
        }
    }
    map.at::<AtomicU64>(0).load(Ordering::Relaxed);
}

extern "C" fn another_handler(_: libc::c_int) {
    // SAFETY: async-signal-safe.
    unsafe { libc::_exit(5) }
}

fn handle_first() {
    // SAFETY: zero is a valid `sigaction`, and the pointers are valid for the call.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = another_handler as extern "C" fn(_) as usize;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Not a test by itself: the test below runs it in processes of their own.
#[test]
fn child_that_is_sent_or_meets_a_sigbus() {
    match std::env::var("MEET").as_deref() {
        Ok("ours") => touch(true),
        Ok("unregistered") => touch(false),
        Ok(outlived @ ("outlived" | "outlived-control")) => {
            outlive_regions();
            let name = if outlived == "outlived" { "c3" } else { "control" };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let map = crate::bus::mapping::Mapping::create(&path, 8192).unwrap();
            map.at::<AtomicU64>(4096).store(7, Ordering::Relaxed);
            std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
            let read = map.at::<AtomicU64>(4096).load(Ordering::Relaxed);
            map.at::<AtomicU64>(8).store(1, Ordering::Relaxed);
            assert_eq!(read, 0, "zeros are there now, and can be written to");
            drop(map);
            // SAFETY: ends this process.
            unsafe { libc::_exit(6) }
        }
        Ok("ours-after-another") => {
            handle_first();
            touch(true);
        }
        Ok("anothers") => {
            handle_first();
            touch(false);
        }
        Ok(sent @ ("sent" | "sent-without-us")) => {
            let _watch = (sent == "sent").then(|| watch(std::ptr::null(), 0, Path::new("x")));
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGBUS).unwrap();
        }
        _ => {}
    }
}

#[test]
fn a_fault_of_ours_is_reported_and_any_other_goes_to_the_previous_handler() {
    use std::os::unix::process::ExitStatusExt;
    let meet = |what| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bus::fault::tests::child_that_is_sent_or_meets_a_sigbus", "--nocapture"])
            .env("MEET", what)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).contains("/region: was truncated to 0 of 4096");
        (output.status.code(), output.status.signal(), said)
    };
    assert_eq!(meet("ours"), (Some(STATUS), None, true));
    assert_eq!(meet("ours-after-another"), (Some(STATUS), None, true));
    assert_eq!(meet("unregistered"), (None, Some(libc::SIGBUS), false));
    assert_eq!(meet("anothers"), (Some(5), None, false));
    assert_eq!(meet("outlived"), (Some(6), None, false));
    assert_eq!(meet("outlived-control").0, Some(STATUS));
    assert_eq!(meet("sent"), meet("sent-without-us"));
}

#[test]
fn an_error_that_may_pass_keeps_a_process_out_and_one_that_does_not_ends_its_place() {
    let path = Path::new("/nowhere/c0");
    for errno in [Errno::NOSPC, Errno::IO, Errno::MFILE, Errno::NOMEM, Errno::ROFS] {
        for what in ["open it", MAP] {
            assert_eq!(status_of(&BusError::kernel(path, what, 0, errno)), KEPT_OUT, "{errno}: {what}");
        }
    }
    assert_eq!(status_of(&BusError::io(path, "open it", Errno::NOENT)), STATUS);
    assert_eq!(status_of(&BusError::io(path, "open it", Errno::ACCESS)), 20);
}
