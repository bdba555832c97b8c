//! Where the unfinished entries of one segment are, in little room: millions may wait.

use super::record::Lsn;

/// The entries of one segment, in order.
#[derive(Debug, Default)]
pub struct Places {
    /// LSN and record of the first entry; the others are counted from there.
    first: Option<(Lsn, u64)>,
    slots: Vec<Slot>,
    unfinished: usize,
    /// No slot before this one is unfinished.
    cursor: usize,
}

#[derive(Debug)]
struct Slot {
    lsn_offset: u32,
    seq_offset: u32,
    /// [`FINISHED`] once the entry is.
    body_bytes: u32,
    memory_bytes: u32,
}

/// What an entry costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Length of its body.
    pub body_bytes: u64,
    /// Memory that it takes, about.
    pub memory_bytes: u64,
}

const FINISHED: u32 = u32::MAX;

impl Places {
    /// Adds the next entry. Gives its cost as it is counted here.
    pub fn push(&mut self, lsn: Lsn, seq: u64, cost: Cost) -> Cost {
        let (first_lsn, first_seq) = *self.first.get_or_insert((lsn, seq));
        // No segment holds so many records, and no body is so long.
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).min(FINISHED - 1);
        let slot = Slot {
            lsn_offset: small(lsn.0 - first_lsn.0),
            seq_offset: small(seq - first_seq),
            body_bytes: small(cost.body_bytes),
            memory_bytes: small(cost.memory_bytes),
        };
        let counted = slot.cost();
        self.slots.push(slot);
        self.unfinished += 1;
        counted
    }

    /// Takes an entry out; gives its cost. `None` where it is unknown, or finished already.
    pub fn finish(&mut self, lsn: Lsn) -> Option<Cost> {
        let index = self.index(lsn)?;
        let cost = self.slots[index].cost();
        self.slots[index].body_bytes = FINISHED;
        self.unfinished -= 1;
        while self.slots.get(self.cursor).is_some_and(|slot| slot.body_bytes == FINISHED) {
            self.cursor += 1;
        }
        Some(cost)
    }

    /// The record that holds an unfinished entry.
    #[must_use]
    pub fn seq(&self, lsn: Lsn) -> Option<u64> {
        let index = self.index(lsn)?;
        Some(self.first?.1 + u64::from(self.slots[index].seq_offset))
    }

    /// The first entry, finished or not.
    #[must_use]
    pub fn first_lsn(&self) -> Option<Lsn> {
        Some(self.first?.0)
    }

    /// The first unfinished entry.
    #[must_use]
    pub fn oldest(&self) -> Option<Lsn> {
        let slot = self.slots.get(self.cursor)?;
        Some(Lsn(self.first?.0.0 + u64::from(slot.lsn_offset)))
    }

    /// Number of unfinished entries.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// No entry can come any more: gives back the memory that was kept for more, and all of it when all are finished.
    pub fn seal(&mut self) {
        if self.unfinished == 0 {
            (self.slots, self.cursor) = (Vec::new(), 0);
        }
        self.slots.shrink_to_fit();
    }

    fn index(&self, lsn: Lsn) -> Option<usize> {
        let offset = u32::try_from(lsn.0.checked_sub(self.first?.0.0)?).ok()?;
        let index = self.slots.binary_search_by_key(&offset, |slot| slot.lsn_offset).ok()?;
        (self.slots[index].body_bytes != FINISHED).then_some(index)
    }
}

impl Slot {
    fn cost(&self) -> Cost {
        Cost { body_bytes: u64::from(self.body_bytes), memory_bytes: u64::from(self.memory_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_they_finish_in_any_order() {
        assert_eq!(size_of::<Slot>(), 16);
        let cost = |body_bytes| Cost { body_bytes, memory_bytes: body_bytes + 1 };
        let mut places = Places::default();
        assert_eq!((places.oldest(), places.seq(Lsn(10))), (None, None));
        for (lsn, seq) in [(10, 100), (11, 103), (12, 104), (20, 120)] {
            assert_eq!(places.push(Lsn(lsn), seq, cost(lsn)), cost(lsn));
        }
        assert_eq!((places.seq(Lsn(11)), places.seq(Lsn(13)), places.seq(Lsn(9))), (Some(103), None, None));
        assert_eq!((places.finish(Lsn(11)), places.finish(Lsn(11))), (Some(cost(11)), None));
        assert_eq!((places.oldest(), places.unfinished()), (Some(Lsn(10)), 3));
        assert_eq!(places.finish(Lsn(10)), Some(cost(10)));
        assert_eq!(places.oldest(), Some(Lsn(12)), "what finished early is passed over");
        places.seal();
        assert_eq!(
            (places.slots.capacity(), places.oldest()),
            (4, Some(Lsn(12))),
            "nothing is kept for more"
        );
        places.finish(Lsn(20));
        places.finish(Lsn(12));
        assert_eq!((places.oldest(), places.unfinished(), places.first_lsn()), (None, 0, Some(Lsn(10))));
        places.seal();
        assert_eq!((places.first_lsn(), places.seq(Lsn(12))), (Some(Lsn(10)), None));
    }
}
