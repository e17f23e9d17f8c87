//! The one "did you mean" of all programs.

/// The known word that is nearest to `word`, if any is near enough to be what was meant.
///
/// Near is at most one edit and a quarter of the word's letters (Damerau–Levenshtein: a swapped pair is
/// one edit), or the same beginning (Jaro–Winkler of 0.85 and more), whatever the case of the letters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let edits_max = 1 + word.chars().count() / 4;
    known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let likeness = strsim::jaro_winkler(&word, &lower);
            let edits = strsim::damerau_levenshtein(&word, &lower);
            // One edit of two letters is another word.
            let is_near = likeness >= 0.85 || (edits <= edits_max && edits < word.chars().count());
            is_near.then_some((edits, likeness, candidate))
        })
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(.., candidate)| candidate)
}

/// `did you mean …?`; or the words that there are, where none is near.
pub fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => {
            let list: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            format!("known here: {}", list.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let keys = ["duration", "every", "workers", "rounds_in_flight_max"];
        assert_eq!(nearest("duratoin", keys), Some("duration"));
        assert_eq!(nearest("DURATION", keys), Some("duration"));
        assert_eq!(nearest("worker", keys), Some("workers"));
        assert_eq!(nearest("rounds_in_flight", keys), Some("rounds_in_flight_max"));
        assert_eq!(nearest("zzz", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn where_nothing_is_near_the_known_words_are_listed() {
        assert_eq!(hint("zzz", &["a", "b"]), "known here: `a`, `b`");
        assert_eq!(hint("zzz", &[]), "");
    }
}
