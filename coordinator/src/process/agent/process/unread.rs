//! What a program has written, and what is not used yet of it: lines, each of which costs no more than its own length.

#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// So many at the beginning are used.
    used: usize,
    /// Between these and there is no line end.
    searched: usize,
}

impl Unread {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(super) fn extend(&mut self, more: &[u8]) {
        // Moved at most once for each byte that was used.
        if self.used > 0 && self.used >= self.bytes.len() / 2 {
            self.bytes.drain(..self.used);
            self.searched -= self.used;
            self.used = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// The next whole line, with its end.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        let Some(at) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + at + 1;
        if self.used == 0 && end == self.bytes.len() {
            return Some(self.take());
        }
        let line = self.bytes[self.used..end].to_vec();
        (self.used, self.searched) = (end, end);
        Some(line)
    }

    /// All of it, which is used then.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let Self { mut bytes, used, .. } = std::mem::take(self);
        bytes.drain(..used);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_lines_are_those_of_the_text_however_it_comes(
            pieces in proptest::collection::vec("[a\n]{0,9}", 0..20),
            looks in proptest::collection::vec(0..4_usize, 20),
        ) {
            let (mut unread, mut lines) = (Unread::default(), Vec::new());
            for (piece, looks) in pieces.iter().zip(looks) {
                unread.extend(piece.as_bytes());
                lines.extend((0..looks).filter_map(|_| unread.next_line()));
            }
            lines.extend(std::iter::from_fn(|| unread.next_line()));
            prop_assert!(!unread.bytes().contains(&b'\n') && unread.len() == unread.bytes().len());
            lines.extend(Some(unread.take()).filter(|rest| !rest.is_empty()));
            let text = pieces.concat();
            let wanted: Vec<_> = text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(lines, wanted);
        }
    }
}
