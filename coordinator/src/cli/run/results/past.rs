//! The results of earlier runs, read back: which tasks need not be done again.

use super::super::task::first_8;
use super::{Status, Unusable};
use crate::snapshot::record::Listed;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;

/// What earlier runs have written about their tasks, by the digest of the id.
#[derive(Debug, Default)]
pub(in crate::cli) struct Done(HashMap<u128, Past>);

/// The results of a task so far.
#[derive(Debug, Default, Clone, Copy)]
struct Past {
    /// Whether the task succeeded, and the hash of what was run, if that is known; `None` if it is to be done again.
    last: Option<(bool, Option<u64>)>,
    /// How often it has ended.
    ends: u64,
}

impl Done {
    /// Of a task of a list: whether it succeeded, and the hash of what was run.
    pub(in crate::cli) fn get(&self, id: &str) -> Option<(bool, u64)> {
        let (ok, hash) = self.0.get(&digest(id))?.last?;
        Some((ok, hash?))
    }

    /// How many results there are of the task, apart from those of runs that ended before it did.
    pub(in crate::cli) fn ends(&self, id: &str) -> u64 {
        self.0.get(&digest(id)).map_or(0, |past| past.ends)
    }

    /// Tasks of lists that are done.
    pub(in crate::cli) fn len(&self) -> usize {
        self.0.values().filter(|past| matches!(past.last, Some((_, Some(_))))).count()
    }

    /// Whether there is a result of a task that runs what `listed` has the hash of, beside the `listed.results_before` that
    /// there were when it was submitted.
    pub(in crate::cli) fn has(&self, id: &str, listed: &Listed) -> bool {
        Self::have(std::slice::from_ref(self), id, listed)
    }

    /// As [`Done::has`], of several files together.
    pub(in crate::cli) fn have(all: &[Self], id: &str, listed: &Listed) -> bool {
        let hash = u64::from_str_radix(&listed.task_hash, 16).ok();
        let is_it = |done: &&Self| done.get(id).is_some_and(|(_, found)| Some(found) == hash);
        all.iter().filter(is_it).map(|done| done.ends(id)).sum::<u64>() > listed.results_before
    }

    fn add(&mut self, id: u128, status: Status, hash: Option<u64>) {
        let past = self.0.entry(id).or_default();
        past.last = status.is_final().then_some((status == Status::Ok, hash));
        past.ends += u64::from(status.is_final());
    }
}

/// Stands for an id: two ids of a list do not have the same digest.
pub(in crate::cli) fn digest(id: &str) -> u128 {
    let digest = Sha256::digest(id.as_bytes());
    u128::from(first_8(&digest)) << 64 | u128::from(first_8(&digest[8..]))
}

/// The keys of an earlier result that are read.
#[derive(Deserialize)]
struct Old<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    status: Status,
    /// Absent if a restore did not know what was run.
    #[serde(default, borrow)]
    task_hash: Option<std::borrow::Cow<'a, str>>,
}

/// Reads earlier results; returns how many bytes of the file are complete lines.
pub(super) fn read(
    file: &File,
    path: &Path,
    done: &mut Done,
    warn: &mut impl FnMut(String),
) -> Result<u64, Unusable> {
    let wrong = |what: String, hint| Unusable { what, hint, usage: true };
    let mut from = BufReader::with_capacity(1 << 16, file);
    let mut text = Vec::new();
    let (mut number, mut len) = (0_u64, 0_u64);
    let unread = |error: io::Error| wrong(format!("cannot read {}: {error}", path.display()), "");
    from.rewind().map_err(unread)?;
    loop {
        text.clear();
        let bytes = from.read_until(b'\n', &mut text).map_err(unread)?;
        if bytes == 0 {
            return Ok(len);
        }
        number += 1;
        let old = serde_json::from_slice::<Old<'_>>(&text).ok().and_then(|old| {
            let hash = old.task_hash.map(|hash| u64::from_str_radix(&hash, 16)).transpose().ok()?;
            Some((digest(&old.id), old.status, hash))
        });
        let Some((id, status, hash)) = old else {
            if text.last() != Some(&b'\n') {
                warn(format!(
                    "{}:{number}: the last line is incomplete, as after a killed run; it is removed, and its task is done again",
                    path.display()
                ));
                return Ok(len);
            }
            return Err(wrong(
                format!("{}:{number}: this line is not a result", path.display()),
                "check that `--results` names a file of results; it was not changed",
            ));
        };
        done.add(id, status, hash);
        len += bytes as u64;
    }
}
