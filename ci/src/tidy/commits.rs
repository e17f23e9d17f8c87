//! Commit subjects that fit in a line of a log.

use crate::workspace::Workspace;

pub(super) const LONGEST: usize = 72;

/// Commits after `base` whose subject is too long, as `hash subject`; `None` where the history does not go back so far.
pub(super) fn long_subjects(workspace: &Workspace, base: &str) -> Option<Vec<String>> {
    let is_known = workspace.answers(&["git", "merge-base", "--is-ancestor", base, "HEAD"]);
    let range = format!("{base}..HEAD");
    let log = is_known.then(|| workspace.read(&["git", "log", "--no-merges", "--format=%h %s", &range]));
    log.and_then(Result::ok).map(|log| long(&log))
}

fn long(log: &str) -> Vec<String> {
    let is_long =
        |line: &&str| line.split_once(' ').is_some_and(|(_, subject)| subject.chars().count() > LONGEST);
    log.lines().filter(is_long).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_may_have_seventy_two_characters() {
        let log = format!("a1b2c3d {}\nb2c3d4e {}\nc3d4e5f short", "é".repeat(72), "e".repeat(73));
        assert_eq!(long(&log), [format!("b2c3d4e {}", "e".repeat(73))]);
    }
}
