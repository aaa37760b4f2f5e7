//! A store in the memory of the process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Lock, Record, Store, StoreError};

/// A store in memory. Its records are lost with the process.
#[derive(Default)]
pub(super) struct MemoryStore {
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

#[derive(Default)]
struct Slot {
    record: Option<Record>,
    locked: bool,
}

impl Store for MemoryStore {
    fn load(&self, provider: &str) -> Result<Option<Record>, StoreError> {
        Ok(lock(&self.slots)
            .get(provider)
            .and_then(|slot| slot.record.clone()))
    }

    fn try_lock(&self, provider: &str) -> Result<Option<Box<dyn Lock>>, StoreError> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(provider.to_owned()).or_default();
        if std::mem::replace(&mut slot.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock {
            slots: self.slots.clone(),
            provider: provider.to_owned(),
        })))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

struct MemoryLock {
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    provider: String,
}

impl Lock for MemoryLock {
    fn reserve(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn save(&mut self, record: &Record) -> Result<(), StoreError> {
        lock(&self.slots)
            .entry(self.provider.clone())
            .or_default()
            .record = Some(record.clone());
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if let Some(slot) = lock(&self.slots).get_mut(&self.provider) {
            slot.locked = false;
        }
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLock")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// Locks the slots, even after a panic: every change is one assignment, so the slots are consistent.
fn lock(slots: &Mutex<HashMap<String, Slot>>) -> MutexGuard<'_, HashMap<String, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_record_stays_while_the_process_lives_and_has_one_writer() {
        let store = MemoryStore::default();
        assert_eq!(store.load("a").unwrap(), None);
        let mut lock = store.try_lock("a").unwrap().unwrap();
        assert!(store.try_lock("a").unwrap().is_none());
        assert!(store.try_lock("b").unwrap().is_some());
        let record = Record {
            refresh_token: Some(Secret::new("r")),
            ..Record::default()
        };
        lock.save(&record).unwrap();
        drop(lock);
        assert!(store.try_lock("a").unwrap().is_some());
        assert_eq!(store.load("a").unwrap(), Some(record));
        assert_eq!(store.load("b").unwrap(), None);
    }
}
