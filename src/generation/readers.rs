//! Who reads a log, and who of them waits for news.

use std::task::Waker;

/// Who waits for news: a slot per reader.
#[derive(Default)]
pub(crate) struct Readers {
    slots: Vec<Slot>,
    count: usize,
    waiting: usize,
}

#[derive(Default)]
enum Slot {
    #[default]
    Free,
    Reading,
    Waiting(Waker),
}

impl Readers {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A slot for a new reader.
    pub fn add(&mut self) -> usize {
        self.count += 1;
        match self.slots.iter().position(|slot| matches!(slot, Slot::Free)) {
            Some(free) => {
                self.slots[free] = Slot::Reading;
                free
            }
            None => {
                self.slots.push(Slot::Reading);
                self.slots.len() - 1
            }
        }
    }

    /// The reader of this slot is gone.
    pub fn remove(&mut self, slot: usize) {
        self.count -= 1;
        if matches!(std::mem::take(&mut self.slots[slot]), Slot::Waiting(_)) {
            self.waiting -= 1;
        }
    }

    /// The reader of this slot found nothing, and wants to be woken.
    pub fn wait(&mut self, slot: usize, waker: &Waker) {
        match &mut self.slots[slot] {
            Slot::Waiting(old) => old.clone_from(waker),
            slot => {
                *slot = Slot::Waiting(waker.clone());
                self.waiting += 1;
            }
        }
    }

    /// Everybody who waits; from now on nobody does.
    pub fn take_waiting(&mut self) -> Wakers {
        match self.waiting {
            0 => Wakers::None,
            // Nearly always there is one reader, and no list is needed for it.
            1 => {
                self.waiting = 0;
                let slot = self.slots.iter_mut().find(|slot| matches!(slot, Slot::Waiting(_)));
                slot.and_then(Slot::take_waker).map_or(Wakers::None, Wakers::One)
            }
            _ => {
                self.waiting = 0;
                Wakers::Many(self.slots.iter_mut().filter_map(Slot::take_waker).collect())
            }
        }
    }
}

impl Slot {
    fn take_waker(&mut self) -> Option<Waker> {
        match std::mem::replace(self, Self::Reading) {
            Self::Waiting(waker) => Some(waker),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Wakers taken out under the lock, to be woken without it.
pub(crate) enum Wakers {
    None,
    One(Waker),
    Many(Vec<Waker>),
}

impl Wakers {
    pub fn wake(self) {
        match self {
            Self::None => {}
            Self::One(waker) => waker.wake(),
            Self::Many(wakers) => wakers.into_iter().for_each(Waker::wake),
        }
    }
}
