//! What the log counts, what the files are, and where the two differ.

use crate::workspace::Outcome;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Of the run, from its log. The sums are over all rounds, those of the warm-up too.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) tasks: u64,
    pub(super) answered: u64,
    pub(super) retried: u64,
    /// Injections by the kind of their fault, and how many of them were shown.
    pub(super) injected: BTreeMap<String, u64>,
    pub(super) proven: u64,
}

impl Log {
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
        let file = fs::File::open(path).map_err(failed)?;
        let (mut log, mut kinds) = (Self::default(), BTreeMap::new());
        for line in std::io::BufReader::new(file).lines() {
            let line = line.map_err(failed)?;
            let event: Value =
                serde_json::from_str(&line).map_err(|error| format!("`{}`: {error}", path.display()))?;
            log.take(&event, &mut kinds);
        }
        Ok(log)
    }

    fn take(&mut self, event: &Value, kinds: &mut BTreeMap<u64, String>) {
        let number = |name: &str| event[name].as_u64().unwrap_or(0);
        match event["ev"].as_str() {
            Some("header") => {
                for fault in event["plan"]["faults"].as_array().into_iter().flatten() {
                    let kind = fault["kind"].as_str().unwrap_or("?");
                    let firings = fault["firings"].as_array().into_iter().flatten();
                    let numbers = firings.filter_map(|firing| firing["firing"].as_u64());
                    kinds.extend(numbers.map(|firing| (firing, kind.to_owned())));
                }
            }
            Some("round") => {
                self.tasks += number("tasks");
                self.answered += number("answered");
                self.retried += number("retried");
            }
            Some("fault") if event["step"] == "injected" => {
                let kind = kinds.get(&number("firing")).map_or("?", String::as_str);
                *self.injected.entry(kind.to_owned()).or_default() += 1;
            }
            Some("fault") if event["step"] == "proven" => self.proven += 1,
            _ => {}
        }
    }
}

/// What the tasks have written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// Inode and content of each file that has the name of a task.
    pub(super) out: BTreeMap<String, (u64, String)>,
    /// Inodes of the files of all attempts, by task.
    pub(super) tries: BTreeMap<String, Vec<u64>>,
}

impl Files {
    pub(super) fn read(dir: &Path) -> Outcome<Self> {
        let mut files = Self::default();
        for (name, path) in entries(&dir.join("out"))? {
            let failed = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
            let inode = fs::metadata(&path).map_err(failed)?.ino();
            files.out.insert(name, (inode, fs::read_to_string(&path).map_err(failed)?));
        }
        for (name, path) in entries(&dir.join("tries"))? {
            let inode = fs::metadata(&path)
                .map_err(|error| format!("cannot look at `{}`: {error}", path.display()))?
                .ino();
            let task = name.split('.').next().unwrap_or_default().to_owned();
            files.tries.entry(task).or_default().push(inode);
        }
        Ok(files)
    }

    fn attempts(&self) -> u64 {
        self.tries.values().map(|tries| tries.len() as u64).sum()
    }

    /// Tasks that more than one attempt has begun to write for.
    fn again(&self) -> u64 {
        self.tries.values().filter(|tries| tries.len() > 1).count() as u64
    }
}

fn entries(dir: &Path) -> Outcome<Vec<(String, std::path::PathBuf)>> {
    let failed = |error: std::io::Error| format!("cannot list `{}`: {error}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(found)
}

/// Everything that does not agree, a sentence each.
pub(super) fn wrong(log: &Log, files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    if log.answered != log.tasks {
        wrong.push(format!("{} of {} tasks were answered", log.answered, log.tasks));
    }
    for task in 0..log.tasks {
        let name = task.to_string();
        let Some((inode, content)) = files.out.get(&name) else {
            wrong.push(format!("task {task} was counted, and has no file"));
            continue;
        };
        if *content != format!("{task}\n") {
            wrong.push(format!("the file of task {task} has {content:?} in it"));
        }
        let makers = files.tries.get(&name).into_iter().flatten().filter(|made| *made == inode).count();
        if makers != 1 {
            wrong.push(format!("the file of task {task} was written by {makers} attempts"));
        }
    }
    let counted = |name: &&String| name.parse::<u64>().is_ok_and(|task| task < log.tasks);
    wrong.extend(
        files.out.keys().filter(|name| !counted(name)).map(|name| format!("`{name}` is of no counted task")),
    );
    wrong.extend(
        files
            .tries
            .keys()
            .filter(|name| !counted(name))
            .map(|name| format!("an attempt was at `{name}`, no counted task")),
    );
    if files.again() > log.retried {
        wrong.push(format!(
            "{} tasks were attempted more than once, and {} are counted so",
            files.again(),
            log.retried
        ));
    }
    wrong
}

/// Processes that are still at work in the directory, a sentence each.
pub(super) fn survivors(dir: &Path) -> Vec<String> {
    let of = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok()?;
        let cwd = fs::read_link(entry.path().join("cwd")).ok()?;
        cwd.starts_with(dir).then(|| format!("process {pid} is left at work in `{}`", cwd.display()))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// What the storm was, in a line or two.
pub(super) fn figures(log: &Log, files: &Files) -> String {
    let injected: Vec<String> = log.injected.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    format!(
        "faults: {} ({} shown)\ntasks: {} of {} answered, {} by a second or later attempt\n\
         files: {} with a task's name, of {} attempts; {} tasks were attempted more than once",
        injected.join(", "),
        log.proven,
        log.answered,
        log.tasks,
        log.retried,
        files.out.len(),
        files.attempts(),
        files.again(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tasks, the second of which took two attempts.
    fn right() -> (Log, Files) {
        let log = Log { tasks: 2, answered: 2, retried: 1, ..Log::default() };
        let out = [("0", 10, "0\n"), ("1", 12, "1\n")];
        let files = Files {
            out: out.map(|(name, inode, text)| (name.to_owned(), (inode, text.to_owned()))).into(),
            tries: [("0".to_owned(), vec![10]), ("1".to_owned(), vec![11, 12])].into(),
        };
        (log, files)
    }

    #[test]
    fn each_counted_task_has_one_file_that_one_attempt_has_written() {
        let (log, files) = right();
        assert_eq!(wrong(&log, &files), [] as [String; 0]);
        let broken = |change: &dyn Fn(&mut Log, &mut Files)| {
            let (mut log, mut files) = right();
            change(&mut log, &mut files);
            wrong(&log, &files).join("; ")
        };
        for (change, said) in [
            (
                &(|_: &mut Log, f: &mut Files| drop(f.out.remove("1"))) as &dyn Fn(&mut Log, &mut Files),
                "no file",
            ),
            (&|_, f| drop(f.out.insert("1".into(), (12, String::new()))), "has \"\" in it"),
            (&|_, f| drop(f.out.insert("1".into(), (13, "1\n".into()))), "by 0 attempts"),
            (&|_, f| drop(f.out.insert("2".into(), (14, "2\n".into()))), "`2` is of no counted task"),
            (&|_, f| drop(f.tries.insert("7".into(), vec![15])), "an attempt was at `7`"),
            (&|l, _| l.retried = 0, "attempted more than once, and 0"),
            (&|l, _| l.answered = 1, "1 of 2 tasks"),
        ] {
            assert!(broken(change).contains(said), "{said}: {}", broken(change));
        }
    }

    #[test]
    fn a_process_that_is_left_at_work_in_the_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .current_dir(&dir)
            .spawn()
            .unwrap();
        let found = survivors(dir.path());
        drop(child.stdin.take());
        child.wait().unwrap();
        let said = format!("process {} is left at work in `{}`", child.id(), dir.path().display());
        assert_eq!(found, [said]);
        assert_eq!(survivors(dir.path()), [] as [String; 0]);
    }

    #[test]
    fn figures_are_those_of_log_and_files() {
        let (mut log, files) = right();
        log.injected = [("kill".to_owned(), 5), ("pause".to_owned(), 1)].into();
        log.proven = 6;
        let wanted = "faults: 5 kill, 1 pause (6 shown)\ntasks: 2 of 2 answered, 1 by a second or later attempt\n\
                      files: 2 with a task's name, of 3 attempts; 1 tasks were attempted more than once";
        assert_eq!(figures(&log, &files), wanted);
    }

    #[test]
    fn a_log_is_counted_by_its_events() {
        let (mut log, mut kinds) = (Log::default(), BTreeMap::new());
        for line in [
            r#"{"ev":"header","plan":{"faults":[{"kind":"kill","firings":[{"firing":0},{"firing":1}]}]}}"#,
            r#"{"ev":"round","tasks":500,"answered":499,"retried":3}"#,
            r#"{"ev":"round","tasks":500,"answered":500}"#,
            r#"{"ev":"fault","step":"injected","firing":1}"#,
            r#"{"ev":"fault","step":"proven","firing":1}"#,
        ] {
            log.take(&serde_json::from_str(line).unwrap(), &mut kinds);
        }
        let injected = [("kill".to_owned(), 1)].into();
        assert_eq!(log, Log { tasks: 1000, answered: 999, retried: 3, injected, proven: 1 });
    }
}
