//! Which module uses which, and where they go round in circles.
//!
//! Looks at what production code names, in `use` and in expressions, at two scales: a *file*, and a *room*, which is
//! a top module of a crate with all that lies in it. What a part takes from the module around it is no edge.

use super::source::{Path, Source};
use std::collections::{BTreeMap, BTreeSet};

/// A crate's modules by their paths (`bus/ring`), the root being the empty one.
type Modules<'a> = BTreeMap<&'a str, &'a Source>;

/// What uses what.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The cycles of a crate: each a list of what can all be reached from each other, the largest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cycles {
    pub(super) files: Vec<Vec<String>>,
    pub(super) rooms: Vec<Vec<String>>,
}

/// Of each crate with a `src/`, by its folder.
pub(super) fn cycles(sources: &[Source]) -> BTreeMap<String, Cycles> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        if let Some((name, _)) = source.path.split_once("/src/") {
            crates.entry(name).or_default().push(source);
        }
    }
    crates.into_iter().map(|(name, sources)| (name.to_owned(), of_crate(name, &sources))).collect()
}

fn of_crate(name: &str, sources: &[&Source]) -> Cycles {
    let modules = modules(name, sources);
    let edges: Edges =
        modules.iter().map(|(module, source)| (*module, uses(module, source, &modules))).collect();
    let mut rooms = Edges::new();
    for (from, all) in &edges {
        let others = all.iter().map(|to| room(to)).filter(|to| !to.is_empty() && *to != room(from));
        rooms.entry(room(from)).or_default().extend(others);
    }
    Cycles {
        files: circles(&edges, |module| modules[module].path.clone()),
        rooms: circles(&rooms, str::to_owned),
    }
}

fn room(module: &str) -> &str {
    module.split('/').next().unwrap_or_default()
}

fn circles(edges: &Edges, name: impl Fn(&str) -> String) -> Vec<Vec<String>> {
    let names: Vec<&str> = edges.keys().copied().collect();
    let numbers: Vec<Vec<usize>> = edges
        .values()
        .map(|all| all.iter().filter_map(|to| names.binary_search(to).ok()).collect())
        .collect();
    let mut found: Vec<Vec<String>> = components(&numbers)
        .into_iter()
        .filter(|members| members.len() > 1)
        .map(|members| {
            let mut members: Vec<String> = members.iter().map(|member| name(names[*member])).collect();
            members.sort();
            members
        })
        .collect();
    found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    found
}

fn modules<'a>(name: &str, sources: &[&'a Source]) -> Modules<'a> {
    let prefix = format!("{name}/src/");
    let relative = |source: &&'a Source| source.path.strip_prefix(&prefix).map(|rest| (rest, *source));
    let files: Vec<(&str, &Source)> = sources.iter().filter_map(relative).collect();
    let has_library = files.iter().any(|(file, _)| *file == "lib.rs");
    files
        .into_iter()
        // A program beside a library is a crate of its own, and a short one.
        .filter(|(file, _)| !(file.starts_with("bin/") || has_library && *file == "main.rs"))
        .map(|(file, source)| match file {
            "lib.rs" | "main.rs" => ("", source),
            file => (file.trim_end_matches(".rs"), source),
        })
        .collect()
}

/// The modules that this one names.
fn uses<'a>(module: &str, source: &Source, modules: &Modules<'a>) -> BTreeSet<&'a str> {
    source
        .paths
        .iter()
        .filter(|path| !path.test)
        .filter_map(|path| resolve(module, path, modules))
        .filter(|to| *to != module && !(to.is_empty() || module.starts_with(&format!("{to}/"))))
        .collect()
}

/// The module that a path leads into: the longest part of it that has a file.
fn resolve<'a>(module: &str, path: &Path, modules: &Modules<'a>) -> Option<&'a str> {
    let mut whole: Vec<&str> = module.split_terminator('/').collect();
    let mut rest = path.parts.as_slice();
    match rest.first()?.as_str() {
        "crate" => {
            whole.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                whole.pop();
                rest = &rest[1..];
            }
        }
        child => {
            whole.push(child);
            modules.get(whole.join("/").as_str())?;
            whole.pop();
        }
    }
    whole.extend(rest.iter().map(String::as_str));
    loop {
        if let Some((name, _)) = modules.get_key_value(whole.join("/").as_str()) {
            return Some(name);
        }
        whole.pop()?;
    }
}

/// Strongly connected components (Tarjan 1972).
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search {
        edges,
        order: vec![None; edges.len()],
        low: vec![0; edges.len()],
        stack: Vec::new(),
        next: 0,
        found: Vec::new(),
    };
    for node in 0..edges.len() {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    search.found
}

struct Search<'a> {
    edges: &'a [Vec<usize>],
    order: Vec<Option<usize>>,
    low: Vec<usize>,
    stack: Vec<usize>,
    next: usize,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// As deep as there are modules, which is hundreds.
    fn visit(&mut self, node: usize) {
        let own = self.next;
        self.next += 1;
        self.order[node] = Some(own);
        self.low[node] = own;
        self.stack.push(node);
        for index in 0..self.edges[node].len() {
            let to = self.edges[node][index];
            match self.order[to] {
                None => {
                    self.visit(to);
                    self.low[node] = self.low[node].min(self.low[to]);
                }
                Some(order) if self.stack.contains(&to) => self.low[node] = self.low[node].min(order),
                Some(_) => {}
            }
        }
        if self.low[node] == own {
            let at = self.stack.iter().rposition(|found| *found == node).unwrap_or_default();
            self.found.push(self.stack.split_off(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Cycles {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::parse(path, text).expect("Rust")).collect();
        cycles(&sources).remove("a").expect("the crate")
    }

    #[test]
    fn modules_that_name_each_other_are_a_cycle() {
        let files = [
            ("a/src/lib.rs", "mod b;\nmod c;\nmod d;"),
            ("a/src/b.rs", "use crate::{c::C, d};"),
            ("a/src/c.rs", "fn f() { super::d::g() }"),
            ("a/src/d.rs", "use crate::b::B;"),
            ("a/src/e.rs", "use crate::b::B;"),
        ];
        let found = found(&files);
        assert_eq!(found.files, [["a/src/b.rs", "a/src/c.rs", "a/src/d.rs"]]);
        assert_eq!(found.rooms, [["b", "c", "d"]]);
    }

    #[test]
    fn what_a_part_takes_from_its_parent_is_none_and_what_tests_name_is_none() {
        let files = [
            ("a/src/lib.rs", "mod b;"),
            ("a/src/b.rs", "mod c;\nmod d;\npub use c::C;\nfn f() { d::g() }"),
            ("a/src/b/c.rs", "use super::B;\nuse super::d::D;"),
            ("a/src/b/d.rs", "use super::B;\n#[cfg(test)]\nmod tests { use crate::b::c::C; }"),
        ];
        assert_eq!(found(&files), Cycles { files: Vec::new(), rooms: Vec::new() });
    }

    #[test]
    fn rooms_may_be_a_cycle_whose_files_are_none() {
        let files = [
            ("a/src/main.rs", "mod b;\nmod e;"),
            ("a/src/b.rs", "mod c;\nmod d;"),
            ("a/src/b/c.rs", "use crate::e::E;"),
            ("a/src/b/d.rs", ""),
            ("a/src/e.rs", "fn f() { crate::b::d::g::<u8>() }"),
        ];
        let found = found(&files);
        assert_eq!(found.files, Vec::<Vec<String>>::new());
        assert_eq!(found.rooms, [["b", "e"]]);
    }

    #[test]
    fn a_module_that_hands_on_what_its_parts_have_is_in_their_cycle() {
        let files = [
            ("a/src/lib.rs", "mod b;\nmod e;"),
            ("a/src/b.rs", "mod c;\npub use c::C;"),
            ("a/src/b/c.rs", "use crate::e::E;"),
            ("a/src/e.rs", "use crate::b::C;"),
        ];
        assert_eq!(found(&files).files, [["a/src/b.rs", "a/src/b/c.rs", "a/src/e.rs"]]);
    }
}
