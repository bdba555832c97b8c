//! A queue that takes no more memory than what it holds: it may hold millions, and it grows and shrinks by pieces.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

/// A queue of pieces of up to `PIECE` elements. Every piece but the first and the last is full.
#[derive(Clone, Debug)]
pub struct Queue<T, const PIECE: usize = 1024> {
    pieces: VecDeque<VecDeque<T>>,
}

impl<T, const PIECE: usize> Default for Queue<T, PIECE> {
    fn default() -> Self {
        Self { pieces: VecDeque::new() }
    }
}

impl<T, const PIECE: usize> Queue<T, PIECE> {
    /// Adds an element at the end.
    pub fn push_back(&mut self, element: T) {
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE => last.push_back(element),
            _ => self.pieces.push_back(VecDeque::from([element])),
        }
    }

    /// Takes the first element.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let element = first.pop_front();
        if first.is_empty() {
            self.pieces.pop_front();
        }
        element
    }

    /// The first element.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    /// The last element.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.pieces.back()?.back()
    }

    /// The last element.
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.pieces.back_mut()?.back_mut()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        let last = self.pieces.back().map_or(0, VecDeque::len);
        match self.pieces.len() {
            0 | 1 => last,
            pieces => self.first_len() + (pieces - 2) * PIECE + last,
        }
    }

    /// True without any element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The element at a place, counted from the first.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (piece, index) = self.place(index);
        self.pieces.get(piece)?.get(index)
    }

    /// The element at a place, counted from the first.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (piece, index) = self.place(index);
        self.pieces.get_mut(piece)?.get_mut(index)
    }

    /// The elements at these places, in order.
    pub fn range(&self, places: impl RangeBounds<usize>) -> impl Iterator<Item = &T> {
        let start = match places.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match places.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => usize::MAX,
        };
        (start..end.min(self.len())).filter_map(|index| self.get(index))
    }

    /// The first place whose element does not fulfil `before`, which all earlier ones must and no later one may.
    #[must_use]
    pub fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&mut before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn first_len(&self) -> usize {
        self.pieces.front().map_or(0, VecDeque::len)
    }

    /// The piece that holds an index, and the place in it.
    fn place(&self, index: usize) -> (usize, usize) {
        match index.checked_sub(self.first_len()) {
            None => (0, index),
            Some(beyond) => (1 + beyond / PIECE, beyond % PIECE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::print_stdout, reason = "a failing run must show its seed")]
    fn it_is_a_queue_whatever_comes_and_goes() {
        let seed = std::env::var("ISOCHROME_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("ISOCHROME_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut queue, mut model) = (Queue::<u64, 4>::default(), VecDeque::new());
        for number in 0..20_000 {
            // Times of growing and of shrinking.
            if random.u64(..10) < 3 + number / 1_000 % 5 {
                queue.push_back(number);
                model.push_back(number);
            } else {
                assert_eq!(queue.pop_front(), model.pop_front());
            }
            assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            assert_eq!((queue.front(), queue.back()), (model.front(), model.back()));
            let (index, wanted) = (random.usize(..model.len() + 2), random.u64(..=number));
            assert_eq!(queue.get(index), model.get(index));
            let start = index.min(model.len());
            assert!(queue.range(start..).eq(model.range(start..)));
            let point = queue.partition_point(|known| *known < wanted);
            assert_eq!(point, model.partition_point(|known| *known < wanted));
        }
    }

    #[test]
    fn what_is_taken_out_takes_no_memory() {
        let mut queue = Queue::<u64>::default();
        (0..10_240).for_each(|number| queue.push_back(number));
        assert!(queue.pieces.iter().all(|piece| piece.capacity() == 1024));
        (0..10_239).for_each(|_| _ = queue.pop_front());
        assert_eq!(queue.pieces.len(), 1);
    }
}
