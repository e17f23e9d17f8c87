//! Whether files that a command writes to are different ones, under whatever names.

use super::args::Where;
use super::outputs::ENDS;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Links that lead to each other are followed this often.
const LINKS_MAX: u32 = 40;

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// Device and inode of what is there.
    There(u64, u64),
    /// The directory in which it would be made, and its name.
    New((u64, u64), OsString),
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// `None` if nothing can be made there.
fn target(path: &Path) -> Option<Target> {
    if let Ok(found) = path.metadata() {
        return Some(Target::There(found.dev(), found.ino()));
    }
    let mut path: PathBuf = path.to_owned();
    for _ in 0..LINKS_MAX {
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        // A link to what is not there yet.
        match path.read_link() {
            Ok(to) => path = dir.join(to),
            Err(_) => return Some(Target::New(id(&dir.metadata().ok()?), path.file_name()?.to_owned())),
        }
    }
    None
}

/// Whether both names lead to the same file, which need not be there yet.
pub(in crate::cli) fn is_same(one: &Path, other: &Path) -> bool {
    target(one).is_some_and(|one| target(other) == Some(one))
}

/// Whether `path` is, or may become, one of the files that tasks get in `dir`: by its own name, by that of what it leads to, or
/// by a link that stands in `dir`.
fn is_of_a_task(path: &Path, dir: &Path) -> bool {
    let Some(wanted) = target(path) else { return is_file_of(path, dir) };
    let is_new_there = |parent: (u64, u64)| dir.metadata().is_ok_and(|dir| id(&dir) == parent);
    if is_file_of(path, dir)
        || matches!(&wanted, Target::New(parent, name) if is_output(name) && is_new_there(*parent))
    {
        return true;
    }
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let mut outputs = entries.filter(|entry| is_output(&entry.file_name()));
    outputs.any(|entry| target(&entry.path()).is_some_and(|found| found == wanted))
}

/// By its own name. A directory that is not there yet is known by its path.
fn is_file_of(path: &Path, dir: &Path) -> bool {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let is_dir = match (parent.metadata(), dir.metadata()) {
        (Ok(parent), Ok(dir)) => id(&parent) == id(&dir),
        _ => {
            matches!((std::path::absolute(parent), std::path::absolute(dir)), (Ok(one), Ok(other)) if one == other)
        }
    };
    is_dir && path.file_name().is_some_and(is_output)
}

fn is_output(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ENDS.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')))
}

/// The first two outputs that are the same file, in words.
pub(super) fn clash(place: &Where) -> Option<String> {
    let results = place.results.as_deref().filter(|path| path.as_os_str() != "-");
    let named = [("--results", results), ("--journal", place.journal.as_deref())];
    if let [(_, Some(results)), (_, Some(journal))] = named
        && is_same(results, journal)
    {
        return Some(format!("--results and --journal are the same file: {}", journal.display()));
    }
    let writes_stdout =
        place.is_printed() || place.results.as_deref().is_some_and(|path| path.as_os_str() == "-");
    for (option, path) in named.into_iter().filter_map(|(option, path)| Some((option, path?))) {
        let stdout = Path::new("/dev/stdout");
        if writes_stdout && path.is_file() && is_same(path, stdout) {
            return Some(format!("{option} and standard output are the same file: {}", path.display()));
        }
        let dir = place.output_dir.as_deref();
        if dir.is_some_and(|dir| is_same(path, dir) || is_of_a_task(path, dir)) {
            return Some(format!(
                "{option} is where --output-dir puts the output of tasks: {}",
                path.display()
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_one_file_under_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("there"), "").unwrap();
        std::fs::hard_link(path("there"), path("hard")).unwrap();
        std::os::unix::fs::symlink("there", path("soft")).unwrap();
        std::os::unix::fs::symlink("new", path("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        std::fs::create_dir(path("sub")).unwrap();
        std::os::unix::fs::symlink("sub", path("also")).unwrap();
        for (one, other, same) in [
            ("there", "hard", true),
            ("there", "soft", true),
            ("there", "sub/../there", true),
            ("new", "dangling", true),
            ("new", "new", true),
            ("sub/new", "also/new", true),
            ("new", "other", false),
            ("new", "sub/new", false),
            ("there", "new", false),
            ("loop", "loop", false),
            ("nowhere/new", "nowhere/new", false),
        ] {
            assert_eq!(is_same(&path(one), &path(other)), same, "{one} and {other}");
        }
    }
}
