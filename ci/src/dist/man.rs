//! Man pages out of `--help`: one for the program, one for each verb.

use crate::workspace::{Outcome, Workspace};
use std::fmt::Write as _;

/// Names of files, and what is in them.
pub(super) fn pages(
    workspace: &Workspace,
    path: &str,
    program: &str,
    version: &str,
) -> Outcome<Vec<(String, String)>> {
    let help = workspace.read(&[path, "--help"])?;
    let verbs = verbs(&help);
    let mut pages = vec![(format!("{program}.1"), page(program, &help, version, &see_also(program, &verbs)))];
    // `help` is clap's, and a page about it says nothing. What hands its arguments on has a page of its own.
    for verb in verbs.iter().filter(|verb| !["help", "coordinator"].contains(&verb.as_str())) {
        let help = workspace.read(&[path, verb, "--help"])?;
        let name = format!("{program}-{verb}");
        pages.push((format!("{name}.1"), page(&name, &help, version, &format!("{program}(1)"))));
    }
    Ok(pages)
}

fn see_also(program: &str, verbs: &[String]) -> String {
    let page = |verb: &String| match verb.as_str() {
        "help" => None,
        "coordinator" => Some("coordinator(1)".to_owned()),
        verb => Some(format!("{program}-{verb}(1)")),
    };
    verbs.iter().filter_map(page).collect::<Vec<_>>().join(", ")
}

/// The first words of the lines under `Commands:`.
fn verbs(help: &str) -> Vec<String> {
    let is_verb = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with(' ') || line.is_empty())
        .filter(is_verb)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Lines stay as `--help` has broken and indented them; its headings become sections.
fn page(name: &str, help: &str, version: &str, see_also: &str) -> String {
    let about = help
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with("Example") && !line.starts_with(' '))
        .unwrap_or_default();
    let mut roff = format!(
        ".TH {} 1 \"\" \"{} {version}\"\n.SH NAME\n{} \\- {}\n.SH DESCRIPTION\n{}\n.nf\n",
        name.to_uppercase(),
        escaped(name.split('-').next().unwrap_or(name)),
        escaped(name),
        escaped(about.trim_end_matches('.')),
        escaped(about)
    );
    for line in help.lines().filter(|line| *line != about) {
        match heading(line) {
            Some((heading, rest)) => {
                let _ = writeln!(roff, ".fi\n.SH {}\n.nf", heading.to_uppercase());
                if !rest.is_empty() {
                    let _ = writeln!(roff, "{}", escaped(rest));
                }
            }
            None => {
                let _ = writeln!(roff, "{}", escaped(line));
            }
        }
    }
    let _ = writeln!(roff, ".fi\n.SH \"SEE ALSO\"\n{}", escaped(see_also));
    roff
}

/// `Options:` alone, or `Usage: harness run FILE`.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once(':')?;
    let is_word = word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphabetic);
    let is_heading = is_word && (rest.is_empty() || ["Usage", "Example"].contains(&word));
    is_heading.then_some((word, rest.trim()))
}

/// A hyphen is a hyphen, a backslash is one, and no line is taken for a request.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Example: a run FILE\n\nDoes a thing.\n\nUsage: a [OPTIONS] <COMMAND>\n\nCommands:\n  run   Runs\n        \
        and more\n  help  Helps\n\nOptions:\n  -h, --help  Says this\n";

    #[test]
    fn verbs_are_the_commands_of_the_help() {
        assert_eq!(verbs(HELP), ["run", "help"]);
        assert!(verbs("Usage: a\n").is_empty());
        assert_eq!(see_also("a", &verbs(HELP)), "a-run(1)");
    }

    #[test]
    fn a_page_has_the_sections_of_the_help() {
        let page = page("a", HELP, "1.0", "a-run(1)");
        assert!(
            page.starts_with(
                ".TH A 1 \"\" \"a 1.0\"\n.SH NAME\na \\- Does a thing\n.SH DESCRIPTION\nDoes a thing.\n"
            ),
            "{page}"
        );
        for section in [
            ".SH EXAMPLE\n.nf\na run FILE\n",
            ".SH COMMANDS\n.nf\n  run",
            ".SH OPTIONS\n.nf\n  \\-h, \\-\\-help",
        ] {
            assert!(page.contains(section), "{section} in {page}");
        }
        assert!(page.ends_with(".SH \"SEE ALSO\"\na\\-run(1)\n"), "{page}");
    }

    #[test]
    fn no_line_is_a_request() {
        assert_eq!(escaped(".TH"), "\\&.TH");
        assert_eq!(escaped("'a\\n'"), "\\&'a\\en'");
    }
}
