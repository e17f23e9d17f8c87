//! What is counted, and may only become less: see `ratchets`.

use super::Finding;
use super::modules::{Cycles, cycles};
use super::pairs::pairs_have_two_ends;
use super::ratchets::Measure;
use super::source::{Kind, Source, Token};

const FUNCTION_LINES: usize = 60;
const FILE_LINES: usize = 500;
/// Of the text of an `expect`: "the table is whole" says why, "bad" says nothing.
const REASON_WORDS: usize = 3;

/// What is counted of a tree's sources.
pub(super) fn of(sources: &[Source]) -> Vec<Measure> {
    let each = |rule: fn(&Source) -> Vec<Finding>| sources.iter().flat_map(rule).collect();
    let mut measures = vec![
        Measure::rule("functions-over-60-lines", each(long_functions)),
        Measure::rule("files-over-500-lines", each(long_files)),
        Measure::rule("expects-without-a-reason", each(expects_without_a_reason)),
        Measure::rule("plans-without-assertions", each(plans_without_assertions)),
        Measure::rule(
            "pairings-without-another-end",
            sources.iter().flat_map(|source| pairs_have_two_ends(source, sources)).collect(),
        ),
    ];
    for (name, found) in cycles(sources) {
        measures.extend(in_cycles(&name, &found));
    }
    measures
}

fn long_functions(source: &Source) -> Vec<Finding> {
    source
        .functions()
        .filter(|function| function.lines() > FUNCTION_LINES)
        .map(|function| {
            let what =
                format!("`{}` has {} lines; a screen has {FUNCTION_LINES}", function.name, function.lines());
            Finding::error(&source.path, function.first_line, what)
        })
        .collect()
}

fn long_files(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let what = format!("{lines} lines; split it where its parts have names of their own");
    (lines > FILE_LINES).then(|| Finding::error(&source.path, lines, what)).into_iter().collect()
}

/// `.expect("…")` in production code.
fn expects_without_a_reason(source: &Source) -> Vec<Finding> {
    source
        .tokens
        .windows(4)
        .filter_map(|four| match four {
            [dot, word, open, Token { kind: Kind::Literal(text), line, test: false }]
                if dot.kind == Kind::Sign('.') && word.is_word("expect") && open.kind == Kind::Open('(') =>
            {
                let words = text.split_whitespace().count();
                let what = format!(
                    "expect({text}) gives no reason; say in {REASON_WORDS} words or more why it holds"
                );
                (words < REASON_WORDS).then(|| Finding::error(&source.path, *line, what))
            }
            _ => None,
        })
        .collect()
}

/// Where decisions are made, what must hold is asserted.
fn plans_without_assertions(source: &Source) -> Vec<Finding> {
    let is_plan = source.path.contains("/src/plan/") && source.tokens.iter().any(|token| !token.test);
    let asserts = |(name, token): (&str, &Token)| {
        !token.test && (name.starts_with("assert") || name.starts_with("debug_assert"))
    };
    if !is_plan || source.macros().any(asserts) {
        return Vec::new();
    }
    vec![Finding::error(
        &source.path,
        1,
        "a plan that asserts nothing; assert what its callers and its results must keep",
    )]
}

/// Three numbers, so that a cycle cannot grow where another shrinks.
fn in_cycles(name: &str, Cycles { files, rooms }: &Cycles) -> [Measure; 3] {
    let site = |cycle: &Vec<String>, path: &str| {
        Finding::error(path, 1, format!("{} that all use each other: {}", cycle.len(), cycle.join(", ")))
    };
    let all = |cycles: &[Vec<String>]| cycles.iter().map(Vec::len).sum();
    let of_files: Vec<Finding> = files.iter().map(|cycle| site(cycle, &cycle[0])).collect();
    let of_rooms = rooms.iter().map(|cycle| site(cycle, &format!("{name}/src"))).collect();
    let largest = of_files.iter().take(1).cloned().collect();
    [
        Measure { count: all(files), ..Measure::rule(format!("{name}: files in cycles"), of_files) },
        Measure {
            count: files.first().map_or(0, Vec::len),
            ..Measure::rule(format!("{name}: files in the largest cycle"), largest)
        },
        Measure { count: all(rooms), ..Measure::rule(format!("{name}: rooms in cycles"), of_rooms) },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    const FILE: &str = "a/src/b.rs";

    #[test]
    fn a_function_of_a_screen_is_fine_and_a_longer_one_is_counted() {
        let function = |lines: usize| format!("fn f() {{\n{}}}", "a();\n".repeat(lines - 2));
        assert!(lines(long_functions, FILE, &function(60)).is_empty());
        assert_eq!(lines(long_functions, FILE, &function(61)), [1]);
    }

    #[test]
    fn a_long_file_is_counted() {
        assert!(lines(long_files, FILE, &"// a\n".repeat(500)).is_empty());
        assert_eq!(lines(long_files, FILE, &"// a\n".repeat(501)), [501]);
    }

    #[test]
    fn an_expect_of_a_word_gives_no_reason() {
        let text = "fn f() {\n a.expect(\"set\");\n a.expect(\"it is set above\");\n a.expect(WHY);\n}\n\
                    #[cfg(test)]\nmod tests { fn g() { a.expect(\"Rust\"); } }";
        assert_eq!(lines(expects_without_a_reason, FILE, text), [2]);
    }

    #[test]
    fn a_plan_asserts_something_outside_its_tests() {
        let tests = "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { assert!(true); } }";
        assert_eq!(lines(plans_without_assertions, "a/src/plan/b.rs", tests), [1]);
        assert!(lines(plans_without_assertions, FILE, tests).is_empty());
        for assertion in ["debug_assert_eq!(a, b);", "assert!(a);"] {
            let text = format!("fn f() {{ {assertion} }}");
            assert!(lines(plans_without_assertions, "a/src/plan/b.rs", &text).is_empty());
        }
        assert!(
            lines(plans_without_assertions, "a/src/plan/b.rs", "const _: () = assert!(A < B);").is_empty()
        );
    }

    #[test]
    fn cycles_are_counted_in_three_ways() {
        let cycle = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = Cycles {
            files: vec![cycle(&["a", "b", "c"]), cycle(&["d", "e"])],
            rooms: vec![cycle(&["a", "b"])],
        };
        assert_eq!(in_cycles("x", &found).map(|measure| measure.count), [5, 3, 2]);
    }
}
