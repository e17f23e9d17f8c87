//! Criteria that are right by themselves, and do not fit the scenario that they stand in.

use crate::bad_input::{GOOD, said};
use harness::scenario::Selection;

#[test]
fn a_part_of_the_load_lies_beside_a_fault_of_the_scenario() {
    let with = |name: &str, criterion: &str| {
        let text = GOOD.replacen("delivery.rate >= 100%", criterion, 1);
        let fault =
            format!("\n[[fault]]\nname = \"{name}\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"10%\"\n");
        said(&(text + &fault), &Selection::default())
    };
    for criterion in ["delivery.rate >= 100% after kill-1", "delivery.rate >= 100% outside faults"] {
        assert_eq!(with("kill-1", criterion), "no mistake\n");
    }
    let says = |said: String, words: &[&str]| {
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    };
    says(
        with("kill-1", "delivery.rate >= 100% after kil-1"),
        &["the scenario has no fault `kil-1`", "did you mean `kill-1`?"],
    );
    says(with("faults", "delivery.rate >= 100%"), &["`faults` means all faults of a scenario together"]);
    let none = GOOD.replacen("delivery.rate >= 100%", "delivery.rate >= 100% outside faults", 1);
    says(
        said(&none, &Selection::default()),
        &["the scenario declares no fault", "leave `outside faults` out"],
    );
    says(
        with("kill-1", "delivery.rate >= 100% after kill-1\"\nabort = true\n# \""),
        &["has no effect on a criterion of a part of the load"],
    );
}
