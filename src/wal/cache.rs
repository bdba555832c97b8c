//! Bodies of recent entries, in memory, up to a number of bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::record::Lsn;

/// Bodies by LSN; the oldest go first when there is no room.
#[derive(Debug)]
pub struct BodyCache {
    bodies: BTreeMap<Lsn, Bytes>,
    bytes: usize,
    max_bytes: usize,
}

impl BodyCache {
    /// An empty cache that holds up to `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { bodies: BTreeMap::new(), bytes: 0, max_bytes }
    }

    /// Keeps a body, unless it is larger than the cache.
    pub fn insert(&mut self, lsn: Lsn, body: Bytes) {
        if body.len() > self.max_bytes {
            return;
        }
        self.remove(lsn);
        self.bytes += body.len();
        self.bodies.insert(lsn, body);
        while self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.bodies.pop_first() else {
                break;
            };
            self.bytes -= oldest.len();
        }
    }

    /// Drops a body.
    pub fn remove(&mut self, lsn: Lsn) {
        if let Some(body) = self.bodies.remove(&lsn) {
            self.bytes -= body.len();
        }
    }

    /// The body, if it is still here.
    #[must_use]
    pub fn get(&self, lsn: Lsn) -> Option<Bytes> {
        self.bodies.get(&lsn).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_bodies_make_room_and_one_too_large_is_not_kept() {
        let mut cache = BodyCache::new(100);
        for n in 1..=3 {
            cache.insert(Lsn(n), vec![0; 40].into());
        }
        assert_eq!(cache.get(Lsn(1)), None);
        assert!(cache.get(Lsn(2)).is_some() && cache.get(Lsn(3)).is_some());
        cache.insert(Lsn(4), vec![0; 101].into());
        assert!(cache.get(Lsn(4)).is_none() && cache.get(Lsn(3)).is_some());
        cache.remove(Lsn(2));
        cache.insert(Lsn(5), vec![0; 60].into());
        assert!(cache.get(Lsn(3)).is_some(), "the room of a removed body is free again");
    }
}
