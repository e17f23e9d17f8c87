//! Whether the runs of several sides can be held against each other at all.

use std::collections::BTreeSet;

use super::side::{Side, SideError};
use super::terms::Across;

/// Whether runs of all sides can be compared; what differs all the same, because the caller allows it.
pub fn agree(sides: &[Side], across: Across) -> Result<Vec<String>, SideError> {
    let mut runs = sides.iter().flat_map(|side| side.runs.iter().map(move |run| (side, run)));
    let Some((first_side, (terms, _))) = runs.next() else { return Ok(Vec::new()) };
    let mut warnings = BTreeSet::new();
    for (side, (other, run)) in runs {
        let found = terms.differences(other);
        let refused: Vec<_> = found.iter().filter(|difference| !across.allows(difference)).collect();
        if !refused.is_empty() {
            return Err(SideError::Different {
                first: first_side.label.clone(),
                second: if side.label == first_side.label {
                    format!("run {}", run.run_id)
                } else {
                    side.label.clone()
                },
                what: refused.iter().map(|difference| difference.what.clone()).collect(),
                options: refused.iter().map(|d| d.option).collect::<BTreeSet<_>>().into_iter().collect(),
            });
        }
        warnings.extend(
            found
                .into_iter()
                .map(|difference| format!("compared although they differ in {}", difference.what)),
        );
    }
    for (at, side) in sides.iter().enumerate() {
        for other in &sides[at + 1..] {
            let shared =
                side.runs.iter().find(|run| other.runs.iter().any(|other| other.1.is_that_of(&run.1)));
            if let Some((_, run)) = shared {
                let (first, second) = (side.label.clone(), other.label.clone());
                return Err(SideError::Shared { run: run.run_id.clone(), first, second });
            }
        }
    }
    Ok(warnings.into_iter().collect())
}
