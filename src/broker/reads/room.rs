//! How many lines of reads may be held, over all parts.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Room {
    held: AtomicUsize,
    most: usize,
}

impl Room {
    pub(super) fn for_lines(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most }
    }

    /// Takes the room of one line, if there is any.
    pub(super) fn take(&self) -> bool {
        let one_more = |held| (held < self.most).then_some(held + 1);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives back the room of lines that were let go.
    pub(super) fn give_back(&self, lines: usize) {
        self.held.fetch_sub(lines, Ordering::Relaxed);
    }

    /// Whether so many are held that there should be none which can be done without.
    pub(super) fn is_scarce(&self) -> bool {
        self.held() > self.most / 2
    }

    /// How many are held.
    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}
