//! A Rust file as rules see it: tokens with lines, so that words in comments and strings are not
//! taken for code; paths with `use` trees spelled out; and what is only there for tests.

use super::Finding;
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    /// `::`
    Separator,
    Sign(char),
    /// A number, a character or a string, as written.
    Literal(String),
    Open(char),
    Close(char),
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Counted from 1.
    pub(super) line: usize,
    /// In an item that only tests have.
    pub(super) test: bool,
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(found) if found == word)
    }
}

/// `a::b::c`, as written or as a `use` tree means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) parts: Vec<String>,
    pub(super) line: usize,
    pub(super) test: bool,
    /// Named in a `use`.
    pub(super) imported: bool,
}

impl Path {
    pub(super) fn starts_with(&self, parts: &[&str]) -> bool {
        self.parts.len() >= parts.len() && self.parts.iter().zip(parts).all(|(a, b)| a == b)
    }

    /// Ends in these parts, one behind the other.
    pub(super) fn ends_with(&self, parts: &[&str]) -> bool {
        self.parts.len() >= parts.len()
            && self.parts.iter().rev().zip(parts.iter().rev()).all(|(a, b)| a == b)
    }

    pub(super) fn text(&self) -> String {
        self.parts.join("::")
    }
}

#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) tokens: Vec<Token>,
    pub(super) paths: Vec<Path>,
    /// `#[cfg(test)] mod NAME;`
    outlined_tests: Vec<String>,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            let line = error.span().start().line;
            Finding::error(path, line, "cannot be read as Rust; `cargo check` says why")
        })?;
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            paths: Vec::new(),
            outlined_tests: Vec::new(),
        };
        let test = is_test_file(path);
        source.flatten(stream, test);
        source.paths = paths(&source.tokens);
        Ok(source)
    }

    fn flatten(&mut self, stream: TokenStream, test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        // Behind `#[cfg(test)]`, up to the end of the item.
        let mut item = false;
        let mut index = 0;
        while let Some(tree) = trees.get(index) {
            match tree {
                TokenTree::Group(group) => {
                    let is_attribute = matches!(trees.get(index.wrapping_sub(1)), Some(TokenTree::Punct(p)) if p.as_char() == '#');
                    if is_attribute && is_for_tests(group) {
                        item = true;
                    }
                    self.group(group, test || item);
                    if group.delimiter() == Delimiter::Brace {
                        item = false;
                    }
                }
                TokenTree::Punct(sign) => {
                    let pair = sign.as_char() == ':'
                        && sign.spacing() == Spacing::Joint
                        && matches!(trees.get(index + 1), Some(TokenTree::Punct(next)) if next.as_char() == ':');
                    let kind = if pair { Kind::Separator } else { Kind::Sign(sign.as_char()) };
                    index += usize::from(pair);
                    self.push(kind, tree, test || item);
                    if sign.as_char() == ';' {
                        item = false;
                    }
                }
                TokenTree::Ident(word) => {
                    if item
                        && word == "mod"
                        && let Some(TokenTree::Ident(name)) = trees.get(index + 1)
                        && matches!(trees.get(index + 2), Some(TokenTree::Punct(end)) if end.as_char() == ';')
                    {
                        self.outlined_tests.push(name.to_string());
                    }
                    self.push(Kind::Word(word.to_string()), tree, test || item);
                }
                TokenTree::Literal(literal) => {
                    self.push(Kind::Literal(literal.to_string()), tree, test || item);
                }
            }
            index += 1;
        }
    }

    fn group(&mut self, group: &Group, test: bool) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ('(', ')'),
            Delimiter::Brace => ('{', '}'),
            Delimiter::Bracket => ('[', ']'),
            Delimiter::None => return self.flatten(group.stream(), test),
        };
        let line = group.span_open().start().line;
        self.tokens.push(Token { kind: Kind::Open(open), line, test });
        self.flatten(group.stream(), test);
        let line = group.span_close().start().line;
        self.tokens.push(Token { kind: Kind::Close(close), line, test });
    }

    fn push(&mut self, kind: Kind, tree: &TokenTree, test: bool) {
        self.tokens.push(Token { kind, line: tree.span().start().line, test });
    }

    /// Calls of macros: `name!(..)`.
    pub(super) fn macros(&self) -> impl Iterator<Item = (&str, &Token)> {
        self.tokens.windows(3).filter_map(|three| match three {
            [token @ Token { kind: Kind::Word(name), .. }, sign, open]
                if sign.kind == Kind::Sign('!') && matches!(open.kind, Kind::Open(_)) =>
            {
                Some((name.as_str(), token))
            }
            _ => None,
        })
    }

    /// Functions with a body, also those inside others.
    pub(super) fn functions(&self) -> impl Iterator<Item = Function<'_>> {
        let is_fn = |(index, token): (usize, &Token)| token.is_word("fn").then_some(index);
        self.tokens.iter().enumerate().filter_map(is_fn).filter_map(|at| function(&self.tokens, at))
    }

    /// What stands between the brackets of each attribute.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &[Token]> {
        self.tokens.iter().enumerate().filter_map(|(index, token)| {
            if token.kind != Kind::Sign('#') {
                return None;
            }
            let inner = self.tokens.get(index + 1)?.kind == Kind::Sign('!');
            let open = index + 1 + usize::from(inner);
            (self.tokens.get(open)?.kind == Kind::Open('[')).then(|| inside(&self.tokens[open..]))
        })
    }
}

/// A function with a body, from `fn` to its closing brace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) first_line: usize,
    pub(super) last_line: usize,
    pub(super) body: &'a [Token],
}

impl Function<'_> {
    pub(super) fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

/// The function whose `fn` stands at `at`; `None` where that is a type, or a signature alone.
fn function(tokens: &[Token], at: usize) -> Option<Function<'_>> {
    let Kind::Word(name) = &tokens.get(at + 1)?.kind else { return None };
    let mut next = at + 2;
    loop {
        let token = tokens.get(next)?;
        match token.kind {
            Kind::Sign(';') | Kind::Close(_) => return None,
            Kind::Open('{') => break,
            Kind::Open(_) => next += inside(&tokens[next..]).len() + 2,
            _ => next += 1,
        }
    }
    let body = inside(&tokens[next..]);
    let last_line = tokens.get(next + body.len() + 1)?.line;
    Some(Function { name, first_line: tokens[at].line, last_line, body })
}

/// What stands between `tokens[0]`, which opens a group, and its other end.
pub(super) fn inside(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return tokens.get(1..index).unwrap_or(&[]);
        }
    }
    unreachable!("groups are balanced: a tree of tokens was flattened");
}

fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// `#[test]`, or a `#[cfg(..)]` that holds in tests alone.
fn is_for_tests(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// `#[cfg(test)] mod NAME;` makes the file of that name one for tests, wherever it is declared.
pub(super) fn mark_outlined_tests(sources: &mut [Source]) {
    let mut files = Vec::new();
    for source in sources.iter() {
        let stem = source.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main" | "mod")) => folder,
            _ => stem,
        };
        files.extend(source.outlined_tests.iter().map(|name| format!("{folder}/{name}")));
    }
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        let is_test = |file: &String| {
            stem == file || stem.strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if files.iter().any(is_test) {
            source.tokens.iter_mut().for_each(|token| token.test = true);
            source.paths.iter_mut().for_each(|path| path.test = true);
        }
    }
}

fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let Kind::Word(word) = &token.kind else {
            at += 1;
            continue;
        };
        if word == "use" {
            at = tree(tokens, at + 1, &[], &mut found);
            continue;
        }
        let mut parts = vec![word.clone()];
        at += 1;
        while let [Token { kind: Kind::Separator, .. }, Token { kind: Kind::Word(next), .. }, ..] =
            &tokens[at..]
        {
            parts.push(next.clone());
            at += 2;
        }
        found.push(Path { parts, line: token.line, test: token.test, imported: false });
    }
    found
}

/// One branch of a `use`; gives where it ends.
fn tree(tokens: &[Token], mut at: usize, stem: &[String], found: &mut Vec<Path>) -> usize {
    let mut parts = stem.to_vec();
    while let Some(token) = tokens.get(at) {
        let end = |parts| Path { parts, line: token.line, test: token.test, imported: true };
        at += 1;
        match &token.kind {
            Kind::Separator => {}
            Kind::Sign('*') => {
                parts.push("*".to_owned());
                found.push(end(parts));
                return at;
            }
            Kind::Open('{') => {
                while let Some(next) = tokens.get(at) {
                    at = match next.kind {
                        Kind::Close(_) => return at + 1,
                        Kind::Sign(',') => at + 1,
                        _ => tree(tokens, at, &parts, found),
                    };
                }
            }
            Kind::Word(word) => {
                // `use a::{self}` means `a`.
                if word != "self" || parts.is_empty() {
                    parts.push(word.clone());
                }
                if tokens.get(at).is_none_or(|next| next.kind != Kind::Separator) {
                    found.push(end(parts));
                    let renamed = tokens.get(at).is_some_and(|next| next.is_word("as"));
                    return if renamed { at + 2 } else { at };
                }
            }
            // `use<'a>` of a return type, or the end: not ours.
            _ => return at,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("a/src/b.rs", text).expect("the fixture is Rust")
    }

    fn texts(source: &Source) -> Vec<String> {
        source.paths.iter().map(Path::text).collect()
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let source = source("use std::{fs, io::{self, Read as _}, sync::atomic::*};\nuse a;");
        assert_eq!(texts(&source), ["std::fs", "std::io", "std::io::Read", "std::sync::atomic::*", "a"]);
        assert!(source.paths.iter().all(|path| path.imported));
    }

    #[test]
    fn paths_in_expressions_and_types_are_found_with_their_lines() {
        let source = source("fn f() -> Vec<a::B> {\n    c::d::<u8>(x.e)\n}");
        assert_eq!(texts(&source), ["fn", "f", "Vec", "a::B", "c::d", "u8", "x", "e"]);
        assert_eq!(source.paths[4].line, 2);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let source = source("/// std::fs\n// std::env\n/* a::b */\nconst A: &str = r#\"std::thread\"#;");
        assert!(texts(&source).iter().all(|text| !text.contains("::")), "{:?}", source.paths);
    }

    #[test]
    fn items_for_tests_are_told_apart() {
        let source = source(
            "#[cfg(test)]\nuse a::b;\nfn c() {}\n#[cfg(test)]\nmod tests { fn d() {} }\nfn e() {}\n\
             #[test]\n#[should_panic]\nfn g() { h() }\nfn i() {}\n#[cfg(not(test))]\nfn j() {}",
        );
        let tests: Vec<_> = source.paths.iter().filter(|path| path.test).map(Path::text).collect();
        for name in ["a::b", "d", "g", "h"] {
            assert!(tests.iter().any(|text| text == name), "{name} is for tests: {tests:?}");
        }
        for name in ["c", "e", "i", "j"] {
            assert!(tests.iter().all(|text| text != name), "{name} is not for tests: {tests:?}");
        }
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_one_too() {
        let mut sources = vec![
            Source::parse("a/src/lib.rs", "#[cfg(test)]\nmod proofs;\nmod code;").expect("Rust"),
            Source::parse("a/src/proofs.rs", "fn f() {}").expect("Rust"),
            Source::parse("a/src/proofs/more.rs", "fn f() {}").expect("Rust"),
            Source::parse("a/src/code.rs", "#[cfg(test)]\nmod inner;").expect("Rust"),
            Source::parse("a/src/code/inner.rs", "fn f() {}").expect("Rust"),
            Source::parse("a/src/proofs_of_code.rs", "fn f() {}").expect("Rust"),
        ];
        mark_outlined_tests(&mut sources);
        let is_test = |source: &Source| source.tokens.iter().all(|token| token.test);
        assert_eq!(sources.iter().map(is_test).collect::<Vec<_>>(), [false, true, true, false, true, false]);
    }

    #[test]
    fn macros_and_attributes_are_found() {
        let source = source("#![allow(a)]\n#[b]\nfn f() -> bool { c!(); d != e }");
        assert_eq!(source.macros().map(|(name, _)| name).collect::<Vec<_>>(), ["c"]);
        assert_eq!(source.attributes().map(<[Token]>::len).collect::<Vec<_>>(), [4, 1]);
    }

    #[test]
    fn functions_are_measured_from_their_first_word_to_their_last_brace() {
        let source = source(
            "trait A { fn a(&self); }\nfn b<T>(c: fn(u8) -> [u8; { 2 }])\nwhere\n    T: D,\n{\n    fn e() {}\n}",
        );
        let found: Vec<_> = source.functions().map(|found| (found.name, found.lines())).collect();
        assert_eq!(found, [("b", 6), ("e", 1)]);
    }

    #[test]
    fn what_is_not_rust_is_a_finding() {
        assert!(Source::parse("a.rs", "fn f( {").is_err());
    }
}
