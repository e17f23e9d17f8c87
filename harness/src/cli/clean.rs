//! `harness clean`: removes old runs, and what faults of killed harnesses have left.
//!
//! That is in the journals of [`crate::fault::undo`], wherever their runs were.
//!
//! What is removed is a directory below that of a scenario whose `run.log` begins with the header of a run. It is left
//! alone if its log is locked (the run goes on), if `latest` points to it, or if it is one of the newest that are to be
//! kept. Without `--yes` nothing is removed.

mod found;

use super::args::CleanArgs;
use super::{load, output};
use crate::exit::ExitCode;
use crate::fault::undo::{self, Replayed};
use found::{Run, Scenario};
use jiff::{SignedDuration, Timestamp};
use reports::units;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Why a run is not removed, in the order in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spared {
    /// What is wrong with it, in words.
    NotARun(String),
    Latest,
    InProgress,
    Newest,
    Young,
}

impl Spared {
    /// As `--json` spells it.
    fn name(&self) -> &'static str {
        match self {
            Self::NotARun(_) => "not-a-run",
            Self::Latest => "latest",
            Self::InProgress => "in-progress",
            Self::Newest => "newest",
            Self::Young => "young",
        }
    }
}

/// What becomes of the runs of a directory.
#[derive(Debug, Default)]
struct Decided {
    /// The oldest first.
    remove: Vec<Run>,
    spared: Vec<(PathBuf, Spared)>,
}

pub(super) fn clean(args: &CleanArgs) -> ExitCode {
    let replayed = undo::replay(&load::undo_dir(), args.yes);
    let scenarios = match found::scenarios(&args.directory) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            // What has been undone is told, whatever became of the runs.
            let shown = if args.json {
                let nothing = Decided::default();
                output::data(&as_json(&nothing, &[], &replayed, args.yes))
            } else {
                output::data(&as_text_undone(&replayed, args.yes))
            };
            let left = show_left(&replayed);
            let message = format!("cannot read `{}`: {error}", args.directory.display());
            output::error(&message, Some("name the directory of your runs: harness clean DIR --keep 10"));
            return ExitCode::worst([Some(ExitCode::Usage), shown.err(), left].into_iter().flatten());
        }
    };
    let oldest =
        args.older_than.map(|age| SignedDuration::from_nanos(i64::try_from(age).unwrap_or(i64::MAX)));
    let now = Timestamp::now();
    let is_old = |run: &Run| oldest.is_none_or(|age| run.started.duration_until(now) > age);
    let decided = decide(scenarios, args.keep.unwrap_or(0), is_old);
    let failed: Vec<Option<String>> = decided
        .remove
        .iter()
        .map(|run| if args.yes { remove(run).err().map(|error| error.to_string()) } else { None })
        .collect();
    let shown = if args.json {
        output::data(&as_json(&decided, &failed, &replayed, args.yes))
    } else {
        output::data(&(as_text_undone(&replayed, args.yes) + &as_text(&decided, &failed, args.yes)))
    };
    let left = show_left(&replayed);
    for (run, why) in decided.remove.iter().zip(&failed) {
        if let Some(why) = why {
            let message = format!("{} cannot be removed: {why}", run.path.display());
            output::error(&message, Some("change the permissions, or remove it as the user who made it"));
        }
    }
    let kept = failed.iter().any(Option::is_some).then_some(ExitCode::HostUnfit);
    ExitCode::worst([Some(ExitCode::Pass), shown.err(), left, kept].into_iter().flatten())
}

/// What the journals still hold; nothing if that is nothing.
fn show_left(replayed: &Replayed) -> Option<ExitCode> {
    for (journal, why) in &replayed.left {
        let message = format!("what a fault has left stays, by {}: {why}", journal.display());
        output::error(&message, Some("remove it as the user who made it, and then the journal"));
    }
    (!replayed.left.is_empty()).then_some(ExitCode::HostUnfit)
}

fn decide(scenarios: Vec<Scenario>, keep: usize, is_old: impl Fn(&Run) -> bool) -> Decided {
    let mut decided = Decided::default();
    for Scenario { runs, others } in scenarios {
        decided.spared.extend(others.into_iter().map(|(path, what)| (path, Spared::NotARun(what))));
        // The newest first.
        for (at, run) in runs.into_iter().enumerate() {
            let spared = if run.latest {
                Some(Spared::Latest)
            } else if run.lock.is_none() {
                Some(Spared::InProgress)
            } else if at < keep {
                Some(Spared::Newest)
            } else if !is_old(&run) {
                Some(Spared::Young)
            } else {
                None
            };
            match spared {
                Some(why) => decided.spared.push((run.path, why)),
                None => decided.remove.push(run),
            }
        }
    }
    decided.remove.sort_by(|a, b| a.started.cmp(&b.started).then(a.path.cmp(&b.path)));
    decided
}

/// The log goes last: what is left by an interruption is still a run, and the next `clean` removes it.
fn remove(run: &Run) -> io::Result<()> {
    let log = found::log(&run.path);
    for entry in fs::read_dir(&run.path)? {
        let entry = entry?;
        let path = entry.path();
        if path == log {
            continue;
        }
        // A link is removed, and not what it points to.
        if entry.file_type()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    fs::remove_file(log)?;
    fs::remove_dir(&run.path)
}

fn as_json(decided: &Decided, failed: &[Option<String>], replayed: &Replayed, yes: bool) -> String {
    let runs = decided.remove.iter().zip(failed).map(|(run, why)| {
        serde_json::json!({
            "run": run.path,
            "scenario": run.scenario,
            "started_utc": run.started.to_string(),
            "bytes": run.bytes,
            "removed": yes && why.is_none(),
            "error": why,
        })
    });
    let spared = decided.spared.iter().map(|(path, why)| {
        let message = if let Spared::NotARun(what) = why { Some(what) } else { None };
        serde_json::json!({ "run": path, "reason": why.name(), "message": message })
    });
    let all = serde_json::json!({
        "dry_run": !yes,
        "runs": runs.collect::<Vec<_>>(),
        "spared": spared.collect::<Vec<_>>(),
        "groups": replayed.undone.iter().map(|group| json!({ "group": group, "removed": yes })).collect::<Vec<_>>(),
        "journals_left":
            replayed.left.iter().map(|(path, why)| json!({ "journal": path, "message": why })).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

fn as_text_undone(replayed: &Replayed, yes: bool) -> String {
    let what = if yes { "removed" } else { "would remove" };
    let one =
        |group: &PathBuf| format!("{what}  the control group of a killed harness: {}\n", group.display());
    replayed.undone.iter().map(one).collect()
}

fn as_text(decided: &Decided, failed: &[Option<String>], yes: bool) -> String {
    let mut text = String::new();
    let size = |bytes: u64| units::bytes(bytes as f64);
    let (mut count, mut bytes) = (0_u64, 0);
    for (run, _) in decided.remove.iter().zip(failed).filter(|(_, why)| why.is_none()) {
        let what = if yes { "removed" } else { "would remove" };
        let started = run.started.strftime("%Y-%m-%dT%H:%M:%SZ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what}  {started}  {:>10}  {}", size(run.bytes), run.path.display());
        (count, bytes) = (count + 1, bytes + run.bytes);
    }
    let of_kind =
        |why: &Spared| decided.spared.iter().filter(|(_, spared)| spared.name() == why.name()).count();
    let mut kept = Vec::new();
    for (why, words) in [
        (Spared::Newest, "among the newest"),
        (Spared::Young, "not old enough"),
        (Spared::Latest, "latest of their scenario"),
        (Spared::InProgress, "in progress"),
        (Spared::NotARun(String::new()), "not runs"),
    ] {
        match of_kind(&why) {
            0 => {}
            n => kept.push(format!("{n} {words}")),
        }
    }
    let runs = units::things(count, "run");
    let left = if kept.is_empty() { String::new() } else { format!("; left: {}", kept.join(", ")) };
    let _ = match (yes, count) {
        (_, 0) => writeln!(text, "nothing to remove{left}"),
        (true, _) => writeln!(text, "{runs} removed, {}{left}", size(bytes)),
        (false, _) => writeln!(text, "{runs}, {}; nothing was removed: `--yes` does it{left}", size(bytes)),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn run(directory: &Path, name: &str, day: i64, latest: bool, free: bool) -> Run {
        let path = directory.join(name);
        fs::create_dir(&path).unwrap();
        let lock = fs::File::create(found::log(&path)).unwrap();
        let started = Timestamp::from_second(day * 86_400).unwrap();
        Run { path, scenario: "s".into(), started, bytes: 1, latest, lock: free.then_some(lock) }
    }

    fn names(decided: &Decided) -> (Vec<String>, Vec<(String, &'static str)>) {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let removed = decided.remove.iter().map(|run| name(&run.path)).collect();
        (removed, decided.spared.iter().map(|(path, why)| (name(path), why.name())).collect())
    }

    #[test]
    fn only_what_is_old_and_not_among_the_newest_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str, day, latest, free| run(directory.path(), name, day, latest, free);
        let runs = vec![
            at("e", 9, true, true),
            at("d", 8, false, true),
            at("c", 7, false, false),
            at("b", 6, false, true),
            at("a", 1, false, true),
        ];
        let scenario = Scenario { runs, others: vec![(directory.path().join("notes"), "no log".into())] };
        let decided =
            decide(vec![scenario], 2, |run| run.started < Timestamp::from_second(5 * 86_400).unwrap());
        let (removed, spared) = names(&decided);
        assert_eq!(removed, ["a"]);
        let wanted =
            [("notes", "not-a-run"), ("e", "latest"), ("d", "newest"), ("c", "in-progress"), ("b", "young")];
        assert_eq!(spared, wanted.map(|(name, why)| (name.to_owned(), why)));
    }

    #[test]
    fn a_link_in_a_run_is_removed_and_not_what_it_points_to() {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "x").unwrap();
        let run = run(directory.path(), "a", 1, false, true);
        std::os::unix::fs::symlink(&precious, run.path.join("link")).unwrap();
        fs::create_dir(run.path.join("plots")).unwrap();
        std::os::unix::fs::symlink(precious.join("file"), run.path.join("plots/link")).unwrap();
        remove(&run).unwrap();
        assert!(!run.path.exists());
        assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "x");
    }
}
