//! Which words of a coordinator's region a firing overwrites, and with what: drawn before anything starts.

use super::Part;
use coordinator::client::fields::{Field, of_region};
use coordinator::config::FleetShape;
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fmt;

/// A word, and what is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overwrite {
    pub coordinator: u32,
    /// As the layout calls it: `table[3].task[0]`.
    pub name: String,
    /// Where it begins in the file, in bytes.
    pub at: u64,
    /// 4 or 8 of them, in the order of this host.
    pub value: Vec<u8>,
}

impl Overwrite {
    /// What is written, as a number.
    pub fn number(&self) -> u64 {
        match *self.value {
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
            _ => self.value[..].try_into().map_or(0, u64::from_ne_bytes),
        }
    }
}

impl fmt::Display for Overwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = 2 * self.value.len();
        write!(f, "c{} {} := 0x{:0digits$x}", self.coordinator, self.name, self.number())
    }
}

/// The same word of every element of an array, of which the layout lists the first and the last.
#[derive(Debug)]
struct Place {
    first: Field,
    /// From one element to the next, in bytes; 0 if there is one.
    stride: u64,
    count: u64,
}

/// The number in the first pair of brackets of a name, and the name with 0 there.
fn numbered(name: &str) -> Option<(u64, String)> {
    let (before, rest) = name.split_once('[')?;
    let (number, after) = rest.split_once(']')?;
    Some((number.parse().ok()?, format!("{before}[0]{after}")))
}

fn places(shape: &FleetShape, part: Part) -> Vec<Place> {
    let mut of_name: BTreeMap<String, Place> = BTreeMap::new();
    for field in of_region(shape).into_iter().filter(|field| part.has(&field.name)) {
        let (number, first) = numbered(&field.name).unwrap_or_else(|| (0, field.name.clone()));
        match of_name.get_mut(&first) {
            Some(place) if number > 0 => {
                (place.stride, place.count) = ((field.at - place.first.at) / number, number + 1);
            }
            Some(_) => {}
            None => {
                of_name.insert(first, Place { first: field, stride: 0, count: 1 });
            }
        }
    }
    of_name.into_values().collect()
}

/// What tempts a reader, or anything.
fn value(random: &mut ChaCha8Rng) -> u64 {
    match random.random_range(0..6) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => u64::MAX / 2,
        _ => random.next_u64(),
    }
}

/// `words` of a part of the region of each of `coordinators`.
pub(super) fn draw(
    shape: &FleetShape,
    coordinators: impl Iterator<Item = u32>,
    (part, words): (Part, u32),
    random: &mut ChaCha8Rng,
) -> Vec<Overwrite> {
    let places = places(shape, part);
    let mut drawn = Vec::new();
    for coordinator in coordinators {
        for _ in 0..words {
            let Place { first, stride, count } = &places[random.random_range(0..places.len())];
            let number = random.random_range(0..*count);
            let value = value(random).to_ne_bytes()[..first.bytes as usize].to_vec();
            let name = match numbered(&first.name) {
                Some(_) if *count > 1 => first.name.replacen("[0]", &format!("[{number}]"), 1),
                _ => first.name.clone(),
            };
            drawn.push(Overwrite { coordinator, name, at: first.at + number * stride, value });
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use std::collections::BTreeSet;

    fn shape() -> FleetShape {
        FleetShape::new(2, 5, 64, 3).unwrap()
    }

    #[test]
    fn every_word_lies_in_its_part_and_at_the_place_that_the_layout_gives_it() {
        let listed: BTreeMap<String, u64> =
            of_region(&shape()).into_iter().map(|field| (field.name, field.at)).collect();
        for part in [Part::Table, Part::State, Part::Rings, Part::Any] {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            let drawn = draw(&shape(), [0, 1].into_iter(), (part, 500), &mut random);
            assert_eq!(drawn.len(), 1000);
            assert!(drawn.iter().all(|word| part.has(&word.name)), "{part:?}");
            let known = drawn.iter().filter_map(|word| Some((listed.get(&word.name)?, word.at)));
            assert!(
                known.clone().count() > 50 && known.into_iter().all(|(at, drawn)| *at == drawn),
                "{part:?}"
            );
        }
    }

    #[test]
    fn entries_between_the_first_and_the_last_are_drawn_too() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let drawn = draw(&shape(), std::iter::once(0), (Part::Table, 500), &mut random);
        let entries: BTreeSet<u64> = drawn.iter().filter_map(|word| Some(numbered(&word.name)?.0)).collect();
        assert_eq!(entries, (0..15).collect());
    }

    #[test]
    fn a_word_is_shown_as_a_number() {
        let value = 0xab_u32.to_ne_bytes().to_vec();
        let word = Overwrite { coordinator: 3, name: "state.epoch".to_owned(), at: 4, value };
        assert_eq!(word.to_string(), "c3 state.epoch := 0x000000ab");
    }
}
