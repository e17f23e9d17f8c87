//! The rows of a sweep, packed: what keeps the log of a month small.
//!
//! A sweep is a table: a row a process, named by its place, and a column a figure. It is written column by
//! column, each value as the difference to the last one of the same place and column in this file (0 before
//! the first, so that a first row is absolute). Figures of a process change little from sweep to sweep, so
//! most differences are 0 or short. The bytes are deflated and written as base64. In order:
//!
//! - the number of rows;
//! - for each row its place, as the difference to the place of the row above (0 above the first);
//! - for each column, for each row: 0 where there is no value, and otherwise the difference and 1.
//!
//! All are varints (seven bits a byte, the lowest first); differences are zig-zag coded (0, -1, 1, -2, …) and
//! wrap around at 64 bits. Deflate is raw, without a header: the line has a checksum of its own.
//!
//! Pure. What comes from a file is bounded before anything is allocated for it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// The most rows of a sweep, and the most places of a file.
pub const ROWS_MAX: usize = 100_000;
/// The most columns of a file.
pub const COLUMNS_MAX: usize = 64;
/// What a sweep may unpack to: each value of the largest one in its ten bytes.
const PACKED_BYTES_MAX: u64 = 10 * (1 + ROWS_MAX as u64 * (1 + COLUMNS_MAX as u64));

/// What a column holds, as the header lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// `KiB`, `us`, `count`, …
    pub unit: String,
}

/// A table of figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// A place a row.
    pub places: Vec<u32>,
    /// The values of each column, from the first row to the last; `None` where nothing was read.
    pub columns: Vec<Vec<Option<u64>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    #[error("the rows are not base64")]
    NotBase64,
    #[error("the rows cannot be inflated")]
    NotDeflated,
    #[error("the rows end before their last value")]
    Short,
    #[error("bytes follow the last value of the rows")]
    Long,
    #[error("the rows have a number that is out of range")]
    OutOfRange,
    #[error("the sweep has {rows} rows; the maximum is {ROWS_MAX}")]
    TooManyRows { rows: u64 },
    #[error("more than {ROWS_MAX} places")]
    TooManyPlaces,
    #[error("the file has {columns} columns; the maximum is {COLUMNS_MAX}")]
    TooManyColumns { columns: usize },
}

/// The last values of every place, for both directions.
#[derive(Debug)]
struct Last {
    columns: usize,
    slots: HashMap<u32, usize>,
    values: Vec<u64>,
}

impl Last {
    fn new(columns: usize) -> Self {
        Self { columns, slots: HashMap::new(), values: Vec::new() }
    }

    /// Where the values of a place begin. `None` if it would be one place too many.
    fn slot(&mut self, place: u32) -> Option<usize> {
        if let Some(at) = self.slots.get(&place) {
            return Some(*at);
        }
        if self.slots.len() == ROWS_MAX {
            return None;
        }
        let at = self.values.len();
        self.values.resize(at + self.columns, 0);
        self.slots.insert(place, at);
        Some(at)
    }
}

/// Packs the sweeps of one file, in order.
#[derive(Debug)]
pub struct Encoder {
    last: Last,
    packed: Vec<u8>,
}

impl Encoder {
    /// # Panics
    /// With more than [`COLUMNS_MAX`] columns.
    pub fn new(columns: usize) -> Self {
        assert!(columns <= COLUMNS_MAX, "the file has {columns} columns; the maximum is {COLUMNS_MAX}");
        Self { last: Last::new(columns), packed: Vec::new() }
    }

    /// Base64, for one JSON string.
    ///
    /// # Panics
    /// If the sweep has other columns than the file, columns of unequal length, or more than
    /// [`ROWS_MAX`] rows or places: the sampler watches fewer.
    pub fn encode(&mut self, sweep: &Sweep) -> String {
        assert_eq!(sweep.columns.len(), self.last.columns, "a sweep has the columns of its file");
        assert!(sweep.places.len() <= ROWS_MAX, "a sweep that no reader would accept");
        self.packed.clear();
        push(&mut self.packed, sweep.places.len() as u128);
        let mut above = 0;
        let mut slots = Vec::with_capacity(sweep.places.len());
        for place in &sweep.places {
            push_difference(&mut self.packed, u64::from(*place), above, 0);
            above = u64::from(*place);
            slots.push(self.last.slot(*place).expect("a file has no more places than a reader accepts"));
        }
        for (number, column) in sweep.columns.iter().enumerate() {
            assert_eq!(column.len(), slots.len(), "a column has a value, or none, in each row");
            for (value, slot) in column.iter().zip(&slots) {
                let last = &mut self.last.values[slot + number];
                match value {
                    None => push(&mut self.packed, 0),
                    Some(value) => {
                        push_difference(&mut self.packed, *value, *last, 1);
                        *last = *value;
                    }
                }
            }
        }
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&self.packed).expect("memory takes all bytes");
        STANDARD.encode(deflate.finish().expect("memory takes all bytes"))
    }
}

/// Unpacks the sweeps of one file, in order. Of no use after an error.
#[derive(Debug)]
pub struct Decoder {
    last: Last,
    packed: Vec<u8>,
}

impl Decoder {
    pub fn new(columns: usize) -> Result<Self, SweepError> {
        if columns > COLUMNS_MAX {
            return Err(SweepError::TooManyColumns { columns });
        }
        Ok(Self { last: Last::new(columns), packed: Vec::new() })
    }

    pub fn decode(&mut self, text: &str) -> Result<Sweep, SweepError> {
        let deflated = STANDARD.decode(text).map_err(|_| SweepError::NotBase64)?;
        self.packed.clear();
        DeflateDecoder::new(deflated.as_slice())
            .take(PACKED_BYTES_MAX + 1)
            .read_to_end(&mut self.packed)
            .map_err(|_| SweepError::NotDeflated)?;
        let mut rest = self.packed.as_slice();
        let rows = u64::try_from(pull(&mut rest)?).map_err(|_| SweepError::OutOfRange)?;
        if rows > ROWS_MAX as u64 {
            return Err(SweepError::TooManyRows { rows });
        }
        // A value has a byte at least.
        let values = rows * (1 + self.last.columns as u64);
        if values > rest.len() as u64 {
            return Err(SweepError::Short);
        }
        let mut sweep = Sweep { places: Vec::with_capacity(rows as usize), columns: Vec::new() };
        let mut slots = Vec::with_capacity(rows as usize);
        let mut above = 0;
        for _ in 0..rows {
            above = difference(pull(&mut rest)?, above)?;
            let place = u32::try_from(above).map_err(|_| SweepError::OutOfRange)?;
            slots.push(self.last.slot(place).ok_or(SweepError::TooManyPlaces)?);
            sweep.places.push(place);
        }
        for number in 0..self.last.columns {
            let mut column = Vec::with_capacity(rows as usize);
            for slot in &slots {
                let last = &mut self.last.values[slot + number];
                let value = match pull(&mut rest)? {
                    0 => None,
                    code => Some(difference(code - 1, *last)?),
                };
                *last = value.unwrap_or(*last);
                column.push(value);
            }
            sweep.columns.push(column);
        }
        if rest.is_empty() { Ok(sweep) } else { Err(SweepError::Long) }
    }
}

/// Seven bits a byte, the lowest first; each byte but the last has its highest bit set.
fn push(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pull(rest: &mut &[u8]) -> Result<u128, SweepError> {
    let mut number = 0;
    // Ten bytes hold 64 bits and the one that makes room for "no value".
    for at in 0..10 {
        let (byte, after) = rest.split_first().ok_or(SweepError::Short)?;
        *rest = after;
        number |= u128::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(SweepError::OutOfRange)
}

fn push_difference(out: &mut Vec<u8>, value: u64, last: u64, more: u128) {
    let difference = value.wrapping_sub(last) as i64;
    let zigzag = (difference << 1) ^ (difference >> 63);
    push(out, u128::from(zigzag as u64) + more);
}

fn difference(zigzag: u128, last: u64) -> Result<u64, SweepError> {
    let zigzag = u64::try_from(zigzag).map_err(|_| SweepError::OutOfRange)?;
    let difference = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
    Ok(last.wrapping_add(difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: usize = 3;

    fn value() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![
            Just(None),
            (0u64..100).prop_map(Some),
            any::<u64>().prop_map(Some),
            prop::sample::select(vec![0, 1, u64::MAX, u64::MAX / 2, u64::MAX / 2 + 1]).prop_map(Some),
        ]
    }

    fn sweep() -> impl Strategy<Value = Sweep> {
        let place = prop_oneof![0u32..6, any::<u32>()];
        prop::collection::vec((place, prop::collection::vec(value(), COLUMNS)), 0..12).prop_map(|rows| {
            let places = rows.iter().map(|row| row.0).collect();
            let columns = (0..COLUMNS).map(|at| rows.iter().map(|row| row.1[at]).collect()).collect();
            Sweep { places, columns }
        })
    }

    fn packed(bytes: &[u8]) -> String {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(bytes).unwrap();
        STANDARD.encode(deflate.finish().unwrap())
    }

    #[track_caller]
    fn refuses(bytes: &[u8], error: &SweepError) {
        assert_eq!(Decoder::new(1).unwrap().decode(&packed(bytes)).as_ref(), Err(error));
    }

    #[test]
    fn counts_are_bounded_before_anything_is_allocated() {
        refuses(&[], &SweepError::Short);
        // A hundred million rows in five bytes.
        refuses(&[0x80, 0xc2, 0xd7, 0x2f], &SweepError::TooManyRows { rows: 100_000_000 });
        // A thousand rows, and bytes for one.
        refuses(&[0xe8, 0x07, 0, 0], &SweepError::Short);
        refuses(&[0xff; 32], &SweepError::OutOfRange);
        refuses(&[1, 2, 1, 0], &SweepError::Long);
        // A place below 0 wraps around to no u32.
        refuses(&[1, 1, 1], &SweepError::OutOfRange);
        assert!(matches!(Decoder::new(65), Err(SweepError::TooManyColumns { columns: 65 })));
        let mut decoder = Decoder::new(1).unwrap();
        assert_eq!(decoder.decode("?"), Err(SweepError::NotBase64));
    }

    #[test]
    fn what_does_not_change_costs_next_to_nothing() {
        let mut encoder = Encoder::new(1);
        let column = (0..700).map(|n| Some(n * 1_000_003)).collect();
        let sweep = Sweep { places: (1..=700).collect(), columns: vec![column] };
        let first = encoder.encode(&sweep).len();
        let second = encoder.encode(&sweep).len();
        assert!(first > 1_000 && second < 64, "{first} bytes, then {second}");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(sweeps in prop::collection::vec(sweep(), 0..12)) {
            let (mut encoder, mut decoder) = (Encoder::new(COLUMNS), Decoder::new(COLUMNS).unwrap());
            for sweep in sweeps {
                prop_assert_eq!(decoder.decode(&encoder.encode(&sweep)), Ok(sweep));
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = Decoder::new(COLUMNS).unwrap();
            let _ = decoder.decode(&packed(&bytes));
            let _ = decoder.decode(&STANDARD.encode(&bytes));
        }
    }
}
