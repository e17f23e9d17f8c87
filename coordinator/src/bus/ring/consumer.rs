//! The reading end of a ring.

use super::super::copy::{copy_out, prefetch};
use super::super::sync::{AtomicU64, Bug, Ordering, full_fence, planted, spin_loop};
use super::pace::{CLOSE_LIMIT, Pace};
use super::{CLOSED, HEADER, HOLDERS, LINE, Ring, RingError, SEALED, WORDS_PER_LINE, Word, pack_head};

/// While many records come, they are acknowledged in batches of this many.
const ACKNOWLEDGE_EVERY: u64 = 64;

/// A record, copied out of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u32,
    pub header: [u8; HEADER],
    pub body: Vec<u8>,
}

impl Record {
    pub fn empty() -> Self {
        Self { kind: 0, header: [0; HEADER], body: Vec::new() }
    }
}

/// A record in its slot. A producer that breaks the protocol could still write there: what must be trusted
/// is copied out first, once.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    kind: u32,
    len: usize,
    words: &'a [AtomicU64],
}

impl Message<'_> {
    #[inline]
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Bytes of the payload.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words that hold the payload; bytes after its end are undefined.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        &self.words[..self.len.div_ceil(8)]
    }

    /// Copies the payload into the beginning of `bytes`, and returns that.
    #[inline]
    pub fn copy_to<'b>(&self, bytes: &'b mut [u8]) -> &'b [u8] {
        let bytes = &mut bytes[..self.len];
        copy_out(self.words, bytes);
        bytes
    }
}

/// Reads records. The producer gets their slots back at [`Consumer::acknowledge`].
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    /// The index of the next record.
    next: u64,
    epoch: u8,
    acknowledged: u64,
    /// The head as this process has written it, or has found it.
    written: u64,
    /// The producer's hint when we last looked; meaningful while streaming.
    tail: u64,
    pace: Pace,
    /// Write a word into each line that was read, where that makes the next transfer cheaper.
    touch: bool,
    /// `spin_loop` hints of a step of pause.
    step: u32,
    /// The holder's word as we sealed it; 0 while the producer is not sealed off.
    sealed: u32,
    /// Nothing is taken until the producing end has another holder.
    closed: bool,
}

impl Consumer {
    /// At the head; continues what its predecessor had begun.
    pub(super) fn new(ring: Ring) -> Self {
        let (head, epoch) = ring.head();
        let holder = ring.header.tail.holder.load(Ordering::Acquire);
        Self {
            ring,
            next: head,
            epoch,
            acknowledged: head,
            written: ring.header.head.position.load(Ordering::Relaxed),
            tail: head,
            pace: Pace::new(),
            touch: false,
            step: 1,
            sealed: if holder & SEALED == 0 { 0 } else { holder & !CLOSED },
            closed: holder & CLOSED != 0,
        }
    }

    /// As measured on this machine by [`super::super::tune`].
    #[must_use]
    pub fn tuned(mut self, touch: bool, step: u32) -> Self {
        self.touch = touch;
        self.step = step;
        self
    }

    /// Hands the next record to `each`, and does not acknowledge it; false if there is none.
    #[inline]
    pub fn take(&mut self, each: &mut impl FnMut(Message<'_>)) -> Result<bool, RingError> {
        if self.closed && !self.reopens() {
            return Ok(false);
        }
        let words = self.ring.words(self.next);
        // Pairs with the Release in `Producer::publish`. Copied once; what is checked is what is used.
        let word = Word(words[0].load(Ordering::Acquire));
        if !word.is(Word::tag(self.next, self.epoch)) {
            if !word.is_of_successor(self.next, self.epoch) {
                return Ok(false);
            }
            self.epoch = word.epoch();
        }
        let (len, max) = (word.len(), self.ring.geometry.payload_max());
        if len > max {
            return Err(RingError::Length { position: self.next, len, max });
        }
        if word.kind() == 0 {
            return Err(RingError::Kind { position: self.next });
        }
        if planted(Bug::AcknowledgeFirst) {
            let head = pack_head(self.next + 1, self.epoch);
            self.ring.header.head.position.store(head, Ordering::Release);
        }
        each(Message { kind: word.kind(), len, words: &words[1..] });
        if self.touch {
            // The slot is ours until it is acknowledged. The word goes back as it was: any other
            // value could be taken for a record.
            words[0].store(word.0, Ordering::Relaxed);
            for line in words.chunks(WORDS_PER_LINE).take((8 + len).div_ceil(LINE)).skip(1) {
                line[0].store(line[0].load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        self.next += 1;
        Ok(true)
    }

    /// Copies the next record of header and body into `record`; false if there is none. It is not
    /// acknowledged.
    pub fn pop(&mut self, record: &mut Record) -> Result<bool, RingError> {
        let mut short = None;
        let taken = self.take(&mut |message| {
            let Some(body) = message.len.checked_sub(HEADER) else {
                short = Some(message.len);
                return;
            };
            record.kind = message.kind;
            copy_out(&message.words[..WORDS_PER_LINE - 1], &mut record.header);
            record.body.resize(body, 0);
            copy_out(&message.words[WORDS_PER_LINE - 1..], &mut record.body);
        })?;
        match short {
            Some(len) => {
                Err(RingError::Length { position: self.next - 1, len, max: self.ring.geometry.payload_max() })
            }
            None => Ok(taken),
        }
    }

    /// Hands what there is, at most `limit` records, to `each`, and acknowledges what `each` has
    /// returned from: by then it must be recorded. Never sleeps; under load it pauses for less than half
    /// a microsecond, so that the next look finds more.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut each: impl FnMut(Message<'_>)) -> Result<usize, RingError> {
        if self.pace.is_streaming() {
            return self.stream(limit, &mut each);
        }
        let mut taken = 0;
        while taken < limit.min(CLOSE_LIMIT) && self.take(&mut each)? {
            taken += 1;
        }
        if taken == 0 {
            self.found_nothing();
            // It is written before the first, and can be on its way while we look at that.
            if let Some(second) = self.ring.words(self.next).get(WORDS_PER_LINE) {
                prefetch(second);
            }
            return Ok(0);
        }
        self.pace.looked_closely(taken);
        if self.pace.is_streaming() {
            self.tail = self.next;
        }
        if self.next - self.acknowledged >= ACKNOWLEDGE_EVERY {
            self.acknowledge();
        }
        Ok(taken)
    }

    fn stream(&mut self, limit: usize, each: &mut impl FnMut(Message<'_>)) -> Result<usize, RingError> {
        for _ in 0..self.pace.pause() * self.step {
            spin_loop();
        }
        if self.tail == self.next {
            self.look()?;
        }
        let mut taken = 0;
        while taken < limit && self.next < self.tail {
            if !self.take(each)? {
                return Err(RingError::Unwritten { position: self.next, tail: self.tail });
            }
            taken += 1;
            if self.next - self.acknowledged >= ACKNOWLEDGE_EVERY {
                self.acknowledge();
            }
        }
        if taken == 0 {
            self.found_nothing();
        }
        self.pace.streamed(taken, limit);
        Ok(taken)
    }

    /// Reads the producer's hint.
    fn look(&mut self) -> Result<(), RingError> {
        // Pairs with the Release in `Producer::publish`: what it counts is in the slots.
        let tail = self.ring.header.tail.position.load(Ordering::Acquire);
        let capacity = self.ring.geometry.capacity();
        // It lags if its writer was killed before it stored it; then the slots are right.
        let hint = tail.max(self.next);
        if hint - self.acknowledged > capacity {
            return Err(RingError::Positions { head: self.acknowledged, tail, capacity });
        }
        self.tail = hint;
        Ok(())
    }

    /// True if something is published that has not been taken. Looks at the slot, not at the hint.
    #[inline]
    pub fn is_ready(&mut self) -> bool {
        if self.closed && !self.reopens() {
            return false;
        }
        let word = Word(self.ring.words(self.next)[0].load(Ordering::Acquire));
        word.is(Word::tag(self.next, self.epoch)) || word.is_of_successor(self.next, self.epoch)
    }

    /// Gives the slots of everything taken back to the producer: call it when the work is recorded.
    #[inline]
    pub fn acknowledge(&mut self) {
        if self.acknowledged != self.next {
            let head = pack_head(self.next, self.epoch);
            // Pairs with the Acquire in `Ring::head`.
            self.ring.header.head.position.store(head, Ordering::Release);
            (self.acknowledged, self.written) = (self.next, head);
        }
    }

    /// No producer waits for slots that are already read; and a producer that was sealed off is now closed.
    fn found_nothing(&mut self) {
        self.acknowledge();
        if self.sealed != 0 && !self.closed {
            self.close();
        }
    }

    /// The first look that finds nothing behind a seal is the last.
    #[cold]
    fn close(&mut self) {
        // Pairs with the AcqRel in `Ring::take_over_producer`: either the successor sees that it must count
        // from the head, or it has counted what the dead holder published, and we see the successor.
        let (order, holder) = (Ordering::AcqRel, &self.ring.header.tail.holder);
        self.closed =
            holder.compare_exchange(self.sealed, self.sealed | CLOSED, order, Ordering::Acquire).is_ok();
        if !self.closed {
            self.sealed = 0;
        }
    }

    #[cold]
    fn reopens(&mut self) -> bool {
        // Pairs with the AcqRel in `Ring::take_over_producer`: the slots are wiped.
        let holder = self.ring.header.tail.holder.load(Ordering::Acquire);
        if holder & HOLDERS != self.sealed & HOLDERS {
            (self.sealed, self.closed) = (0, false);
        }
        !self.closed
    }

    /// Puts the head back if another program has overwritten it, and returns whether it had: a producer that waits for room
    /// believes no impossible head, and this end writes the next one only when a record comes. For the living holder.
    pub fn reassert(&self) -> bool {
        let head = &self.ring.header.head.position;
        let wrong = head.load(Ordering::Relaxed) != self.written;
        if wrong {
            head.store(self.written, Ordering::Release);
        }
        wrong
    }

    /// How many records have ever been acknowledged on this ring.
    #[inline]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Seals the producer off: it need not be dead, and may be stopped in the middle of a record. Records
    /// that it knows to be published are found by the next calls of [`Consumer::poll`]; after the first
    /// call that finds nothing, nothing is taken until the producer has a successor. What it writes later is
    /// neither taken here nor counted by that successor, and it finds out with
    /// [`super::Producer::is_fenced`]. Has no effect on a ring that never had a producer.
    pub fn seal(&mut self) {
        let holder = &self.ring.header.tail.holder;
        let mut before = holder.load(Ordering::Acquire);
        while before & HOLDERS != 0 {
            let sealed = before | SEALED;
            match holder.compare_exchange(before, sealed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.sealed = sealed & !CLOSED;
                    break;
                }
                Err(now) => before = now,
            }
        }
        // Pairs with the fence in `Doorbell::ring`, behind a publication: either the producer sees the seal, or we see what it
        // published.
        if !planted(Bug::NoFence) {
            full_fence();
        }
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed != 0
    }
}
