//! `summary.json`: everything about a run that a comparison or a gate needs, without its log.

use crate::facts::Facts;
use crate::summary::Summary;
use crate::verdict::Judgement;

/// One line, with a newline at the end.
pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    let mut text = serde_json::to_string(&Summary::of(facts, judgement))
        .expect("a summary has string keys only and no map");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::judge_log;

    #[test]
    fn the_document_reads_back_as_the_summary_that_it_was_drawn_from() {
        let log = std::fs::File::open("tests/fixtures/v1/death/run.log").unwrap();
        let (judgement, facts) = judge_log(std::io::BufReader::new(log)).unwrap();
        let text = render(&judgement, &facts);
        let read: Summary = serde_json::from_str(&text).unwrap();
        assert_eq!((read.judgement.verdict, read.counts), (judgement.verdict, facts.load.counts));
        assert!(serde_json::to_string(&read).unwrap() + "\n" == text, "another text after reading");
        assert_eq!(text.lines().count(), 1);
    }
}
