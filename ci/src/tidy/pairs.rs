//! Comments that name the other end of an acquire or a release.

use super::Finding;
use super::source::{Function, Kind, Source, Token};

/// Begins a sentence, or stands in one.
const WORDS: &str = "airs with ";
/// What an end is made of.
const ORDERINGS: [&str; 5] = ["Acquire", "Release", "AcqRel", "SeqCst", "fence"];

/// What a comment says that names the other end.
#[derive(Debug)]
struct Pairing {
    line: usize,
    ordering: Option<&'static str>,
    /// Of the function at the other end: `Type::name` or `name`.
    end: Option<String>,
}

/// Each pairing comment of `source` whose other end is not in the same crate, or has not that ordering any more.
pub(super) fn pairs_have_two_ends(source: &Source, all: &[Source]) -> Vec<Finding> {
    pairings(&source.text)
        .iter()
        .filter_map(|pairing| Some((pairing.line, wrong(source, pairing, all)?)))
        .map(|(line, what)| Finding::error(&source.path, line, what))
        .collect()
}

fn pairings(text: &str) -> Vec<Pairing> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(at) = line.starts_with("//").then(|| line.find(WORDS)).flatten() else { continue };
        let mut said = line[at + WORDS.len()..].to_owned();
        for next in lines[index + 1..].iter().map_while(|line| line.strip_prefix("// ")) {
            said.push(' ');
            said.push_str(next);
        }
        let sentence = said.split([':', ';']).next().unwrap_or_default();
        let sentence = sentence.split(". ").next().unwrap_or_default();
        found.push(pairing(index + 1, &said, sentence));
    }
    found
}

fn pairing(line: usize, said: &str, sentence: &str) -> Pairing {
    // A name has colons of its own.
    let end = said.split('`').nth(1).filter(|_| sentence.contains('`')).map(str::to_owned);
    let is_named =
        |ordering: &&&str| sentence.split(|c: char| !c.is_alphanumeric()).any(|word| word == **ordering);
    Pairing { line, ordering: ORDERINGS.iter().find(is_named).copied(), end }
}

fn wrong(source: &Source, pairing: &Pairing, all: &[Source]) -> Option<String> {
    let Some(end) = &pairing.end else {
        return Some(
            "pairs with an end that has no name; write: Pairs with the Release in `Type::function`".into(),
        );
    };
    let (of, name) = end.rsplit_once("::").map_or((None, end.as_str()), |(of, name)| (Some(of), name));
    let room = source.path.split_once("/src/").map_or(source.path.as_str(), |(room, _)| room);
    let ends: Vec<Function> = all
        .iter()
        .filter(|other| other.path.strip_prefix(room).is_some_and(|rest| rest.starts_with("/src/")))
        .filter(|other| of.is_none_or(|of| other.tokens.iter().any(|token| token.is_word(of))))
        .flat_map(Source::functions)
        .filter(|function| function.name == name)
        .collect();
    if ends.is_empty() {
        return Some(format!(
            "pairs with `{end}`, and there is no such function; name the end that it has now"
        ));
    }
    let orderings = pairing.ordering.as_ref().map_or(&ORDERINGS[..], std::slice::from_ref);
    let has = |function: &Function| function.body.iter().any(|token| is_any(token, orderings));
    let ordering = pairing.ordering.unwrap_or("ordering");
    (!ends.iter().any(has)).then(|| format!("pairs with `{end}`, which has no {ordering} any more"))
}

/// `Release` is there in an `AcqRel` too, and a fence has an ordering of its own.
fn is_any(token: &Token, orderings: &[&str]) -> bool {
    let Kind::Word(word) = &token.kind else { return false };
    orderings.iter().any(|ordering| match *ordering {
        "Acquire" | "Release" => word == ordering || word == "AcqRel" || word.ends_with("fence"),
        "fence" => word.ends_with("fence"),
        ordering => word == ordering,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str =
        "impl Ring { fn head(&self) { self.a.load(Ordering::Acquire) } fn tail(&self) { b() } }";

    fn found(comment: &str) -> Vec<usize> {
        let text = format!("fn f() {{\n    {comment}\n    g.store(1, Ordering::Release);\n}}");
        let all = [
            ("a/src/f.rs", text.as_str()),
            ("a/src/ring.rs", OTHER),
            ("b/src/x.rs", "fn elsewhere() { Acquire }"),
        ]
        .map(|(path, text)| Source::parse(path, text).expect("Rust"));
        pairs_have_two_ends(&all[0], &all).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_end_that_is_there_is_fine() {
        for comment in [
            "// Pairs with the Acquire in `Ring::head`: the slot is whole.",
            "// Pairs with the Acquire\n    // in `head`. Whole.",
            "// This pairs with that in `Ring::head`, and so on.",
            "let pairs = \"Pairs with nothing\";",
        ] {
            assert_eq!(found(comment), Vec::<usize>::new(), "{comment}");
        }
    }

    #[test]
    fn an_end_that_is_gone_or_has_no_name_is_caught() {
        for comment in [
            "// Pairs with the Acquire in `Ring::gone`.",
            "// Pairs with the Acquire in `Ring::tail`.",
            "// Pairs with the Acquire in `Other::head`.",
            "// Pairs with the Acquire in `elsewhere`.",
            "// Pairs with the Acquire of the other side: see `Ring::head`.",
        ] {
            assert_eq!(found(comment), [2], "{comment}");
        }
    }
}
