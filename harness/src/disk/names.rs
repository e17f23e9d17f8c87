//! Which node of the mount is which file beneath it: by its names, of which a file may have several, or none any more.
//!
//! A node is one file, known by device and inode; the kernel knows it by a number for as long as it has looked it up more often than
//! it has forgotten it. Pure.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The number of the directory itself, which is never forgotten.
pub(super) const ROOT: u64 = 1;
/// Of nodes whose inode number cannot be theirs here: from another device, or in use.
const OTHERS: u64 = 1 << 62;

/// Device and inode of a file.
pub(super) type Key = (u64, u64);

#[derive(Debug)]
struct Node {
    key: Key,
    /// The directories that it is in, and what it is called there.
    names: Vec<(u64, OsString)>,
    lookups: u64,
}

#[derive(Debug)]
pub(super) struct Names {
    /// The device of the directory itself.
    device: u64,
    nodes: HashMap<u64, Node>,
    by_key: HashMap<Key, u64>,
    by_name: HashMap<(u64, OsString), u64>,
    next: u64,
}

impl Names {
    pub(super) fn new(root: Key) -> Self {
        let node = Node { key: root, names: Vec::new(), lookups: 1 };
        Self {
            device: root.0,
            nodes: HashMap::from([(ROOT, node)]),
            by_key: HashMap::from([(root, ROOT)]),
            by_name: HashMap::new(),
            next: OTHERS,
        }
    }

    /// Where it is, relative to the directory; `None` if it has no name any more.
    pub(super) fn path(&self, node: u64) -> Option<PathBuf> {
        let mut parts: Vec<&OsStr> = Vec::new();
        let mut at = node;
        while at != ROOT {
            let (parent, name) = self.nodes.get(&at)?.names.last()?;
            parts.push(name);
            at = *parent;
        }
        Some(if parts.is_empty() { PathBuf::from(".") } else { parts.iter().rev().collect() })
    }

    /// Where something is, or would be, in a directory.
    pub(super) fn path_in(&self, parent: u64, name: &OsStr) -> Option<PathBuf> {
        let mut path = if parent == ROOT { PathBuf::new() } else { self.path(parent)? };
        path.push(name);
        Some(path)
    }

    /// The node of the file that was found there. The kernel knows it from now on.
    pub(super) fn found(&mut self, parent: u64, name: &OsStr, key: Key) -> u64 {
        let at = (parent, name.to_owned());
        if let Some(node) = self.by_name.get(&at).copied() {
            if let Some(known) = self.nodes.get_mut(&node).filter(|known| known.key == key) {
                known.lookups += 1;
                return node;
            }
            // Another file has its name.
            self.gone(parent, name);
        }
        let node = match self.by_key.get(&key) {
            Some(node) => *node,
            None => self.add(key),
        };
        if let Some(known) = self.nodes.get_mut(&node) {
            known.lookups += 1;
            if node != ROOT {
                known.names.push(at.clone());
                self.by_name.insert(at, node);
            }
        }
        node
    }

    fn add(&mut self, key: Key) -> u64 {
        let own = key.0 == self.device && key.1 > ROOT && key.1 < OTHERS && !self.nodes.contains_key(&key.1);
        let node = if own {
            key.1
        } else {
            self.next += 1;
            self.next
        };
        self.nodes.insert(node, Node { key, names: Vec::new(), lookups: 0 });
        self.by_key.insert(key, node);
        node
    }

    /// The kernel does not know it any more so many times.
    pub(super) fn forget(&mut self, node: u64, times: u64) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        known.lookups = known.lookups.saturating_sub(times);
        if known.lookups > 0 || node == ROOT {
            return;
        }
        if let Some(known) = self.nodes.remove(&node) {
            self.by_key.retain_one(known.key, node);
            for name in known.names {
                self.by_name.remove(&name);
            }
        }
    }

    /// Nothing has that name any more. A file without any name is another one than what gets its inode next.
    pub(super) fn gone(&mut self, parent: u64, name: &OsStr) {
        let at = (parent, name.to_owned());
        let Some(node) = self.by_name.remove(&at) else { return };
        let Some(known) = self.nodes.get_mut(&node) else { return };
        known.names.retain(|own| *own != at);
        if known.names.is_empty() {
            let key = known.key;
            self.by_key.retain_one(key, node);
        }
    }

    /// What had the first name has the second.
    pub(super) fn moved(&mut self, (from, name): (u64, &OsStr), (to, new): (u64, &OsStr)) {
        let before = (from, name.to_owned());
        let after = (to, new.to_owned());
        if before == after {
            return;
        }
        let Some(node) = self.by_name.get(&before).copied() else {
            return self.gone(to, new);
        };
        if self.by_name.get(&after) == Some(&node) {
            // Two names of one file: rename does nothing then.
            return;
        }
        self.gone(to, new);
        self.by_name.remove(&before);
        self.by_name.insert(after.clone(), node);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.names.retain(|own| *own != before);
            known.names.push(after);
        }
    }

    /// What has these names has each other's.
    pub(super) fn exchanged(&mut self, one: (u64, &OsStr), other: (u64, &OsStr)) {
        let ends = [(one.0, one.1.to_owned()), (other.0, other.1.to_owned())];
        let nodes = ends.clone().map(|end| self.by_name.remove(&end));
        for (node, (before, after)) in nodes.into_iter().zip([(&ends[0], &ends[1]), (&ends[1], &ends[0])]) {
            let Some(node) = node else { continue };
            self.by_name.insert(after.clone(), node);
            if let Some(known) = self.nodes.get_mut(&node) {
                known.names.retain(|own| own != before);
                known.names.push(after.clone());
            }
        }
    }
}

trait RetainOne {
    fn retain_one(&mut self, key: Key, node: u64);
}

impl RetainOne for HashMap<Key, u64> {
    /// Takes the key away from this node, and from no other.
    fn retain_one(&mut self, key: Key, node: u64) {
        if self.get(&key) == Some(&node) {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    fn of(names: &Names, node: u64) -> Option<String> {
        names.path(node).map(|path| path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_node_has_the_path_of_its_directories_and_follows_a_rename_of_one() {
        let mut names = Names::new((9, 100));
        let sub = names.found(ROOT, name("sub"), (9, 7));
        let file = names.found(sub, name("file"), (9, 8));
        assert_eq!((sub, file), (7, 8), "they keep their inode numbers");
        assert_eq!(of(&names, ROOT).as_deref(), Some("."));
        assert_eq!(of(&names, file).as_deref(), Some("sub/file"));
        names.moved((ROOT, name("sub")), (ROOT, name("other")));
        assert_eq!(of(&names, file).as_deref(), Some("other/file"));
        assert_eq!(names.path_in(ROOT, name("x")).as_deref(), Some(Path::new("x")));
    }

    #[test]
    fn a_removed_file_has_no_path_and_is_not_what_gets_its_inode_or_its_name() {
        let mut names = Names::new((9, 100));
        let first = names.found(ROOT, name("a"), (9, 8));
        names.gone(ROOT, name("a"));
        assert_eq!(of(&names, first), None);
        let again = names.found(ROOT, name("a"), (9, 8));
        assert_ne!(again, first);
        // Replaced from outside, without a word.
        let other = names.found(ROOT, name("a"), (9, 11));
        assert_eq!((of(&names, again), of(&names, other).as_deref()), (None, Some("a")));
        // Of another device, a number may be taken.
        let elsewhere = names.found(ROOT, name("b"), (10, 11));
        assert_ne!(elsewhere, other);
    }

    #[test]
    fn two_names_are_one_node_until_both_are_gone() {
        let mut names = Names::new((9, 100));
        let node = names.found(ROOT, name("a"), (9, 8));
        assert_eq!(names.found(ROOT, name("b"), (9, 8)), node);
        names.moved((ROOT, name("a")), (ROOT, name("b")));
        names.gone(ROOT, name("b"));
        assert_eq!(of(&names, node).as_deref(), Some("a"));
        names.gone(ROOT, name("a"));
        assert_eq!(of(&names, node), None);
    }

    #[test]
    fn a_rename_over_a_file_leaves_that_without_a_name_and_an_exchange_swaps() {
        let mut names = Names::new((9, 100));
        let (a, b) = (names.found(ROOT, name("a"), (9, 8)), names.found(ROOT, name("b"), (9, 9)));
        names.exchanged((ROOT, name("a")), (ROOT, name("b")));
        assert_eq!((of(&names, a).as_deref(), of(&names, b).as_deref()), (Some("b"), Some("a")));
        names.moved((ROOT, name("a")), (ROOT, name("b")));
        assert_eq!((of(&names, a), of(&names, b).as_deref()), (None, Some("b")));
    }

    #[test]
    fn what_the_kernel_has_forgotten_as_often_as_it_looked_it_up_is_gone() {
        let mut names = Names::new((9, 100));
        let node = names.found(ROOT, name("a"), (9, 8));
        names.found(ROOT, name("a"), (9, 8));
        names.forget(node, 1);
        assert_eq!(of(&names, node).as_deref(), Some("a"));
        names.forget(node, 1);
        assert_eq!((of(&names, node), names.nodes.len(), names.by_name.len()), (None, 1, 0));
        names.forget(ROOT, 5);
        assert_eq!(of(&names, ROOT).as_deref(), Some("."));
    }
}
