//! Deadlines in order. Entries are never removed before they are due: whoever set one checks, when it fires, whether it
//! still means something.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// A queue of deadlines, earliest first; of equal ones the first set.
#[derive(Debug)]
pub(crate) struct TimerQueue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    set: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> TimerQueue<T> {
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), set: 0 }
    }

    pub fn set(&mut self, at: Instant, what: T) {
        self.set += 1;
        self.heap.push(Reverse(Entry { at, order: self.set, what }));
    }

    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The earliest deadline.
    pub fn first(&self) -> Option<(Instant, &T)> {
        self.heap.peek().map(|Reverse(entry)| (entry.at, &entry.what))
    }

    /// Takes the earliest deadline that is due at `now`, with the moment it was set for.
    pub fn due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next()? > now {
            return None;
        }
        let due = self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what));
        if self.heap.capacity() > 4_096 && self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(self.heap.len() * 2); // a storm's deadlines do not stay
        }
        due
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn earliest_first_and_equal_ones_as_they_were_set() {
        let (mut queue, t) = (TimerQueue::new(), Instant::now());
        for (after, name) in [(2, "c"), (1, "a"), (1, "b")] {
            queue.set(t + Duration::from_secs(after), name);
        }
        assert_eq!(queue.due(t), None);
        let late = t + Duration::from_secs(3);
        let order: Vec<_> = std::iter::from_fn(|| queue.due(late)).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert_eq!((queue.next(), queue.len()), (None, 0));
    }
}
