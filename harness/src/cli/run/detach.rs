//! `harness run --detach`: the run goes on without its terminal.

use crate::cli::args::RunArgs;
use crate::cli::output;
use crate::exit::ExitCode;
use jiff::Timestamp;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often it is looked whether the run has begun.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a run says when it begins, in front of its directory.
pub(super) const BEGUN: &str = "run log in ";

/// Starts this command line again, in a session of its own, and waits until its first run has begun.
pub(super) fn detach(args: &RunArgs) -> ExitCode {
    let (mut child, path) = match start(args) {
        Ok(started) => started,
        Err(error) => {
            output::error(
                &format!("cannot detach the run: {error}"),
                Some("choose a directory that you may write to with --out"),
            );
            return ExitCode::HostUnfit;
        }
    };
    loop {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if let Some(directory) = begun(&text) {
            let pid = child.id();
            output::report(&format!(
                "pid {pid} goes on with it; `harness status {directory}` shows how far it is, `harness stop {directory}` ends it, and what it prints is in {}",
                path.display()
            ));
            return output::data(&format!("{directory}\n")).err().unwrap_or(ExitCode::Pass);
        }
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK_EVERY),
            Ok(Some(status)) => {
                output::report(fs::read_to_string(&path).unwrap_or_default().trim_end());
                let _ = fs::remove_file(&path);
                return status.code().map_or(ExitCode::Bug, |code| ExitCode::of_reports(code as u8));
            }
            Err(error) => {
                output::error(&format!("cannot wait for the run: {error}"), None);
                return ExitCode::Bug;
            }
        }
    }
}

/// The directory of the first run, once a line says it.
fn begun(text: &str) -> Option<&str> {
    let whole = &text[..=text.rfind('\n')?];
    whole.lines().find_map(|line| line.split_once(BEGUN)).map(|(_, directory)| directory)
}

fn start(args: &RunArgs) -> io::Result<(Child, PathBuf)> {
    fs::create_dir_all(&args.out)?;
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let path = args.out.join(format!("detached-{stamp}-{}.txt", std::process::id()));
    let text = File::options().append(true).create_new(true).open(&path)?;
    let words: Vec<OsString> = std::env::args_os()
        .skip(1)
        .map(|word| if word == "--detach" { "--detached".into() } else { word })
        .collect();
    let child = Command::new(std::env::current_exe()?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(text.try_clone()?)
        .stderr(text)
        .spawn()?;
    Ok((child, path))
}

/// Leaves the session of the terminal: its end is not that of the run.
pub(super) fn leave_terminal() {
    if let Err(error) = rustix::process::setsid() {
        output::warn(&format!("the run ends with its terminal: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_begun_when_a_whole_line_says_where() {
        assert_eq!(begun("warning: x\n3 processes, seed 1; run log in runs/a"), None);
        assert_eq!(begun("3 processes, seed 1; run log in runs/a b/1\nmore"), Some("runs/a b/1"));
        assert_eq!(begun(""), None);
    }
}
