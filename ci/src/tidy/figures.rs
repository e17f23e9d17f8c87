//! `cargo xtask figures`: the size and shape of the tree, to be held against an earlier commit.
//!
//! Runs in whatever checkout it is started in, so that one build of it measures two commits.

use super::measures;
use super::source::{Kind, Source, Token, inside};
use super::{has_extension, read, sources};
use crate::workspace::{Outcome, Workspace};

pub(crate) fn figures(workspace: &Workspace) -> Outcome {
    for (name, figure) in rows(workspace)? {
        eprintln!("{name:<48} {figure}");
    }
    Ok(())
}

/// What is measured, and how much it is.
fn rows(workspace: &Workspace) -> Outcome<Vec<(String, String)>> {
    let files = workspace.files()?;
    let (sources, _) = sources(workspace, &files)?;
    let production = |source: &&Source| source.tokens.iter().any(|token| !token.test);
    let lines = |source: &Source| source.text.lines().count();
    let mut rows = vec![
        ("lines of Rust".to_owned(), sources.iter().map(lines).sum::<usize>().to_string()),
        (
            "files over 400 lines".to_owned(),
            sources.iter().filter(|source| lines(source) > 400).count().to_string(),
        ),
        ("largest impl block".to_owned(), largest_impl(sources.iter().filter(production))),
        ("locked packages".to_owned(), locked(&read(workspace, "Cargo.lock")?).to_string()),
    ];
    rows.extend(measures::of(&sources).into_iter().map(|measure| (measure.name, measure.count.to_string())));
    let documents = files.iter().filter(|file| has_extension(file, "md")).count();
    rows.push(("documents".to_owned(), documents.to_string()));
    Ok(rows)
}

fn locked(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

fn largest_impl<'a>(sources: impl Iterator<Item = &'a Source>) -> String {
    let largest = sources
        .flat_map(|source| impls(&source.tokens).map(move |(line, lines)| (lines, &source.path, line)))
        .max();
    largest.map_or_else(String::new, |(lines, path, line)| format!("{lines} lines ({path}:{line})"))
}

/// First line and number of lines of each `impl` that is an item, and not a type.
fn impls(tokens: &[Token]) -> impl Iterator<Item = (usize, usize)> {
    let begins_item = |at: usize| match at.checked_sub(1).map(|before| &tokens[before].kind) {
        None | Some(Kind::Close('}' | ']') | Kind::Open('{') | Kind::Sign(';')) => true,
        Some(Kind::Word(word)) => word == "unsafe",
        Some(_) => false,
    };
    let is_item = move |(at, token): (usize, &Token)| {
        (token.is_word("impl") && !token.test && begins_item(at)).then_some(at)
    };
    tokens.iter().enumerate().filter_map(is_item).filter_map(|at| {
        let open = at + tokens[at..].iter().position(|token| token.kind == Kind::Open('{'))?;
        let last = tokens.get(open + inside(&tokens[open..]).len() + 1)?;
        Some((tokens[at].line, last.line - tokens[at].line + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn an_impl_that_is_an_item_is_measured_and_a_type_is_not() {
        let text = "fn f() -> impl Fn() {\n    g()\n}\nimpl A {\n    fn b() {}\n}\nunsafe impl Send for A {}\n\
                    #[cfg(test)]\nmod tests {\n    impl B {\n    }\n}";
        let source = Source::parse("a/src/b.rs", text).expect("the fixture is Rust");
        assert_eq!(impls(&source.tokens).collect::<Vec<_>>(), [(4, 3), (7, 1)]);
    }

    #[test]
    fn a_tree_is_measured_by_what_it_has_outside_its_tests() {
        let long = format!("fn f() {{\n{}}}\n", "a();\n".repeat(420));
        let tree = Tree::new(&[
            ("Cargo.lock", "[[package]]\n[[package]]\n"),
            ("README.md", ""),
            ("a/src/lib.rs", "mod b;\nmod c;\nimpl A {\n}\n"),
            ("a/src/b.rs", "use crate::c::C;\n"),
            ("a/src/c.rs", &(long + "use crate::b::B;\n")),
            ("a/tests/d.rs", "impl A {\n\n\n\n}\n"),
        ]);
        let rows = rows(&tree.workspace).unwrap();
        let figure = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
        assert_eq!(figure("lines of Rust"), Some("433"));
        assert_eq!(figure("files over 400 lines"), Some("1"));
        assert_eq!(figure("largest impl block"), Some("2 lines (a/src/lib.rs:3)"));
        assert_eq!(figure("locked packages"), Some("2"));
        assert_eq!(figure("functions-over-60-lines"), Some("1"));
        assert_eq!(figure("a: files in cycles"), Some("2"));
        assert_eq!(figure("documents"), Some("1"));
        assert_eq!(figures(&tree.workspace), Ok(()));
    }

    #[test]
    fn a_lock_file_has_a_header_a_package() {
        assert_eq!(locked("version = 4\n\n[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n"), 2);
    }
}
