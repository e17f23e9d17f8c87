//! What a review should not have to say.

use super::source::{Kind, Source, inside};
use super::{Finding, has_extension};

/// How many are longer than 500 lines is a ratchet; none is longer than this.
const LONGEST_LINES: usize = 600;

pub(super) fn no_test_is_ignored(source: &Source) -> Vec<Finding> {
    source
        .attributes()
        .filter_map(|attribute| {
            let first = attribute.first()?;
            let is_conditional = first.is_word("cfg_attr");
            let ignored = attribute
                .iter()
                .take(if is_conditional { usize::MAX } else { 1 })
                .find(|t| t.is_word("ignore"));
            Some(Finding::error(
                &source.path,
                ignored?.line,
                "a test that is ignored proves nothing; mend it or delete it",
            ))
        })
        .collect()
}

/// Macros that stand for code that is not there, or is there for an afternoon.
pub(super) fn nothing_is_left_to_do(source: &Source) -> Vec<Finding> {
    source
        .macros()
        .filter(|(name, _)| ["todo", "unimplemented", "dbg"].contains(name))
        .map(|(name, token)| {
            let what = format!(
                "`{name}!` is for the desk; write the code, or return an error that says what is missing"
            );
            Finding::error(&source.path, token.line, what)
        })
        .collect()
}

/// In two parts, or this file would find itself.
const PROMISES: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn is_script(path: &str) -> bool {
    has_extension(path, "toml") || has_extension(path, "sh") || path.starts_with(".ci/")
}

pub(super) fn no_comment_is_a_promise(source: &Source) -> Vec<Finding> {
    no_comment_in_a_script_is_a_promise(&source.path, &source.text)
}

pub(super) fn no_comment_in_a_script_is_a_promise(path: &str, text: &str) -> Vec<Finding> {
    let is_promise = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| PROMISES.contains(&word))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_promise(line))
        .map(|(index, _)| {
            Finding::error(path, index + 1, "a promise in a comment is not kept; do it now or file an issue")
        })
        .collect()
}

/// `#[allow]` and `#[expect]` say why.
pub(super) fn exceptions_have_reasons(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for attribute in source.attributes() {
        for (index, token) in attribute.iter().enumerate() {
            let is_exception = token.is_word("allow") || token.is_word("expect");
            let opens = attribute.get(index + 1).is_some_and(|next| next.kind == Kind::Open('('));
            if !is_exception || !opens {
                continue;
            }
            let arguments = inside(&attribute[index + 1..]);
            let has_reason =
                arguments.windows(2).any(|two| two[0].is_word("reason") && two[1].kind == Kind::Sign('='));
            if !has_reason {
                findings.push(Finding::error(
                    &source.path,
                    token.line,
                    "a lint is switched off without a reason; write #[expect(lint, reason = \"why\")]",
                ));
            }
        }
    }
    findings
}

/// A sleep in a test is a bet on the machine's speed.
pub(super) fn tests_do_not_sleep(source: &Source) -> Vec<Finding> {
    source
        .paths
        .iter()
        .filter(|path| {
            path.test && (path.ends_with(&["thread", "sleep"]) || path.ends_with(&["time", "sleep"]))
        })
        .map(|path| {
            let what = format!("`{}` in a test; wait for the condition itself, with a watchdog", path.text());
            Finding::error(&source.path, path.line, what)
        })
        .collect()
}

pub(super) fn files_are_short(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let what = format!(
        "{lines} lines; split it where its parts have names of their own ({LONGEST_LINES} is the limit)"
    );
    (lines > LONGEST_LINES).then(|| Finding::error(&source.path, lines, what)).into_iter().collect()
}

/// `foo.rs` beside `foo/`, and names that say what is inside.
pub(super) fn modules_have_names(source: &Source) -> Vec<Finding> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let is_in_crate = source.path.contains("/src/");
    match name {
        "mod.rs" if is_in_crate => {
            vec![Finding::error(
                &source.path,
                1,
                "a `mod.rs`; name it after its folder and put it beside that",
            )]
        }
        "utils.rs" | "util.rs" | "helpers.rs" | "helper.rs" | "common.rs" | "manager.rs" | "misc.rs" => {
            let what =
                "a name that says nothing; call it what it holds, or move its parts to where they are used";
            vec![Finding::error(&source.path, 1, what)]
        }
        _ => Vec::new(),
    }
}

/// An example in the documentation that is not compiled is wrong one day.
pub(super) fn docs_are_tested(source: &Source) -> Vec<Finding> {
    source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| {
            let line = line.trim_start();
            (line.starts_with("///") || line.starts_with("//!")) && line.contains("```ignore")
        })
        .map(|(index, _)| {
            Finding::error(
                &source.path,
                index + 1,
                "an example that is ignored; use `no_run`, or `text` if it is not code",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    const FILE: &str = "a/src/b.rs";

    #[test]
    fn an_ignored_test_is_caught() {
        let text = "#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n\
                    #[cfg_attr(target_os = \"linux\", ignore)]\nfn c() {}\n#[serde(ignore)]\nstruct D;\n// #[ignore]";
        assert_eq!(lines(no_test_is_ignored, FILE, text), [2, 5, 7]);
    }

    #[test]
    fn code_that_is_not_there_is_caught() {
        let text = "fn f() {\n    todo!();\n    unimplemented!(\"later\");\n    dbg!(x);\n    unreachable!();\n}\n// todo!()";
        assert_eq!(lines(nothing_is_left_to_do, FILE, text), [2, 3, 4]);
    }

    #[test]
    fn a_promise_is_caught_and_a_template_is_not() {
        let text =
            format!("// {}: later\nfn f() {{}} // {}\n// a.XXXXXX and fix me", PROMISES[0], PROMISES[1]);
        assert_eq!(lines(no_comment_is_a_promise, FILE, &text), [1, 2]);
        assert!(is_script(".ci/run") && is_script("deny.toml") && !is_script("README.md"));
    }

    #[test]
    fn an_exception_without_a_reason_is_caught() {
        let text = "#![allow(a)]\n#[expect(b)]\nfn f() {}\n#[cfg_attr(test, allow(c, d))]\nfn g() {}\n\
                    #[expect(e, reason = \"f\")]\nfn h() { i.expect(\"j\"); }\n#[deny(k)]\nfn l() {}";
        assert_eq!(lines(exceptions_have_reasons, FILE, text), [1, 2, 4]);
    }

    #[test]
    fn a_test_that_sleeps_is_caught_and_a_program_that_does_is_not() {
        let text = "fn f() { std::thread::sleep(a); }\n#[cfg(test)]\nmod tests {\n    use std::thread;\n    \
                    fn g() { thread::sleep(b); tokio::time::sleep(c); Task::Sleep(d); }\n}";
        assert_eq!(lines(tests_do_not_sleep, FILE, text), [5, 5]);
        assert_eq!(lines(tests_do_not_sleep, "a/tests/b.rs", text), [1, 5, 5]);
    }

    #[test]
    fn a_file_has_a_longest_length() {
        assert!(lines(files_are_short, FILE, &"// a\n".repeat(600)).is_empty());
        assert_eq!(lines(files_are_short, FILE, &"// a\n".repeat(601)), [601]);
    }

    #[test]
    fn a_module_without_a_name_is_caught() {
        assert_eq!(lines(modules_have_names, "a/src/bus/mod.rs", ""), [1]);
        assert_eq!(lines(modules_have_names, "a/src/utils.rs", ""), [1]);
        assert!(lines(modules_have_names, "a/tests/fleet/mod.rs", "").is_empty());
        assert!(lines(modules_have_names, "a/src/bus.rs", "").is_empty());
    }

    #[test]
    fn an_example_that_is_not_compiled_is_caught() {
        assert_eq!(lines(docs_are_tested, FILE, "/// ```ignore\n/// ```\n/// ```no_run\nfn f() {}"), [1]);
    }
}
