//! Where output is that has no room in an answer: in files, named by the answer's body instead.
//!
//! A worker gives such a file its name only when it is complete, and the client that has written down what is in it
//! removes it.

use super::TaskId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Bytes of stderr that follow a [`Spooled`] in the body: enough for a reason.
pub const BEGINNING_MAX: usize = 1024;

/// What the parts of a task's output are called.
pub const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// The output of a task. `None` is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spooled {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Part>,
}

/// A file with a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Absolute.
    pub path: PathBuf,
    /// Bytes.
    pub len: u64,
    /// It is the user's own, and stays. Otherwise its reader removes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

impl Spooled {
    /// As it travels; `None` if a path is not UTF-8.
    pub fn to_body(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Parses what a worker has sent for the task `id`; `None` if it is none of its, or names a file to be removed that is
    /// not the task's.
    pub fn parse(body: &[u8], id: TaskId) -> Option<Self> {
        let found: Self = serde_json::from_slice(body).ok()?;
        let is_its = |part: &Part| part.path.is_absolute() && (part.stays || is_named(&part.path, id));
        let is_valid = found.parts().all(is_its);
        is_valid.then_some(found)
    }

    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.stdout.iter().chain(&self.stderr)
    }

    /// The parts, each with its name.
    pub fn streams(&self) -> impl Iterator<Item = (&'static str, &Part)> {
        let both = STREAMS.into_iter().zip([&self.stdout, &self.stderr]);
        both.filter_map(|(stream, part)| Some((stream, part.as_ref()?)))
    }

    /// The parts, to be changed, each with its name.
    pub fn streams_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Part)> {
        let both = STREAMS.into_iter().zip([&mut self.stdout, &mut self.stderr]);
        both.filter_map(|(stream, part)| Some((stream, part.as_mut()?)))
    }

    /// Removes the files that do not stay. It is no error if they are gone.
    pub fn remove(&self) {
        self.parts().for_each(Part::remove);
    }
}

impl Part {
    /// Removes the file, unless it stays.
    pub fn remove(&self) {
        if !self.stays {
            // It goes with its fleet at the latest.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Parses what a backup holds: names of files in its own directory, and no paths.
pub fn relative(body: &[u8]) -> Option<Spooled> {
    let found: Spooled = serde_json::from_slice(body).ok()?;
    let is_name = |part: &Part| part.stays && part.path.file_name() == Some(part.path.as_os_str());
    let is_valid = found.parts().all(is_name);
    is_valid.then_some(found)
}

/// The beginning of the names of a task's files.
pub fn name_of(id: TaskId) -> String {
    format!("{id}-")
}

/// The task whose file has this name.
pub fn task_of(file_name: &str) -> Option<TaskId> {
    let mut numbers = file_name.split_once('-')?.0.split('.');
    let (epoch, sender, sequence) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let id =
        TaskId { epoch: epoch.parse().ok()?, sender: sender.parse().ok()?, sequence: sequence.parse().ok()? };
    // Nothing but what was written as one.
    file_name.starts_with(&name_of(id)).then_some(id)
}

fn is_named(path: &Path, id: TaskId) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&name_of(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TaskId = TaskId { epoch: 1, sender: 2, sequence: 3 };

    fn part(path: &str, stays: bool) -> Part {
        Part { path: path.into(), len: 7, stays }
    }

    #[test]
    fn what_a_worker_sends_is_what_the_client_gets() {
        let sent =
            Spooled { stdout: Some(part("/tmp/1.2.3-1.stdout", false)), stderr: Some(part("/a", true)) };
        assert_eq!(Spooled::parse(&sent.to_body().unwrap(), ID), Some(sent));
        assert_eq!(Spooled::parse(b"{}", ID), Some(Spooled::default()));
    }

    #[test]
    fn the_name_of_a_file_says_whose_it_is() {
        assert_eq!(task_of(&format!("{}1-5f.stdout", name_of(ID))), Some(ID));
        for other in ["1.2.3", "1.2-1", "a.2.3-1", "01.2.3-1", "1.2.3.4-1", ""] {
            assert_eq!(task_of(other), None, "{other}");
        }
    }

    #[test]
    fn no_answer_can_have_the_files_of_others_removed() {
        for wrong in ["/tmp/1.2.30-1.stdout", "/etc/passwd", "1.2.3-1.stdout", "/tmp/1.2.3-/..", ""] {
            let sent = Spooled { stdout: Some(part(wrong, false)), stderr: None };
            assert_eq!(Spooled::parse(&sent.to_body().unwrap(), ID), None, "{wrong}");
        }
        for wrong in ["", "x", "{\"stdout\":1}", "{\"more\":{}}"] {
            assert_eq!(Spooled::parse(wrong.as_bytes(), ID), None, "{wrong}");
        }
    }
}
