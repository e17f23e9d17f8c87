//! Lists in bounded memory.

/// Of each list that a person reads; the rest is counted.
const LISTED_MAX: usize = 100;

/// A list that stops growing, and how much was left out.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub total: u64,
}

impl<T> Listed<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), total: 0 }
    }

    pub(super) fn push(&mut self, item: T) {
        self.total += 1;
        if self.items.len() < LISTED_MAX {
            self.items.push(item);
        }
    }

    pub fn left_out(&self) -> u64 {
        self.total - self.items.len() as u64
    }
}
