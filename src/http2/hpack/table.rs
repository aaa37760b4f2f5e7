//! The fields that an index stands for: the static table of RFC 7541 appendix A, and behind it what a peer has added.

use std::collections::VecDeque;

use super::decode::Malformed;

#[cfg(test)]
mod tests;

/// What an entry counts beyond its bytes (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

/// The dynamic table, newest entry first.
#[derive(Debug)]
pub(super) struct Table {
    /// The bytes of the entries, oldest first, each in one piece. In front lie those of entries that are gone.
    bytes: Vec<u8>,
    entries: VecDeque<Entry>,
    /// What the entries count, and the most that they may.
    size: usize,
    bound: usize,
}

/// Where an entry lies: its name up to `middle`, its value from there on.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    middle: usize,
    end: usize,
}

impl Table {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            bound,
        }
    }

    /// The name and the value at an index of both tables.
    #[inline]
    pub(super) fn field(&self, index: usize) -> Result<(&[u8], &[u8]), Malformed> {
        // Index 0 wraps, and is in neither table.
        if let Some(field) = STATIC.get(index.wrapping_sub(1)) {
            return Ok(*field);
        }
        let entry = self.dynamic(index).ok_or(Malformed)?;
        Ok((
            &self.bytes[entry.start..entry.middle],
            &self.bytes[entry.middle..entry.end],
        ))
    }

    /// Adds an entry, for which older ones go.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        if self.make_room(name.len() + value.len()) {
            self.bytes.extend_from_slice(name);
            self.complete(name.len(), value);
        }
    }

    /// Adds an entry that has the name of the one at `index`, which may be among those that go for it (RFC 7541 §4.4).
    pub(super) fn insert_named(&mut self, index: usize, value: &[u8]) -> Result<(), Malformed> {
        if let Some((name, _)) = STATIC.get(index.wrapping_sub(1)) {
            self.insert(name, value);
            return Ok(());
        }
        let entry = self.dynamic(index).ok_or(Malformed)?;
        let length = entry.middle - entry.start;
        if self.make_room(length + value.len()) {
            // It may just have been moved.
            let entry = self.dynamic(index).ok_or(Malformed)?;
            self.bytes.extend_from_within(entry.start..entry.middle);
            self.complete(length, value);
        }
        Ok(())
    }

    /// Sets the bound anew, and keeps of the newest entries what is within it.
    pub(super) fn resize(&mut self, bound: usize) {
        self.bound = bound;
        self.evict();
    }

    fn dynamic(&self, index: usize) -> Option<Entry> {
        self.entries
            .get(index.checked_sub(STATIC.len() + 1)?)
            .copied()
    }

    /// Whether an entry of that many bytes can be there at all. If not, the table is empty now; else nothing goes yet.
    fn make_room(&mut self, length: usize) -> bool {
        if length + OVERHEAD > self.bound {
            self.entries.clear();
            self.bytes.clear();
            self.size = 0;
            return false;
        }
        // Twice the bound, because then each byte that is moved was paid for by one that was added since the last time.
        if self.bytes.len() + length > 2 * self.bound {
            self.compact();
        }
        true
    }

    /// The name of a new entry lies at the end of the bytes; its value goes behind.
    fn complete(&mut self, name: usize, value: &[u8]) {
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push_front(Entry {
            start: middle - name,
            middle,
            end: self.bytes.len(),
        });
        self.size += name + value.len() + OVERHEAD;
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.bound {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.end - oldest.start + OVERHEAD;
        }
    }

    /// Moves the entries to the front of the bytes.
    fn compact(&mut self) {
        let gone = self
            .entries
            .back()
            .map_or(self.bytes.len(), |oldest| oldest.start);
        self.bytes.drain(..gone);
        for entry in &mut self.entries {
            entry.start -= gone;
            entry.middle -= gone;
            entry.end -= gone;
        }
    }
}

/// The index of the first static entry of that name, which may be in any case.
#[inline]
pub(super) fn static_name(name: &[u8]) -> Option<usize> {
    let index = usize::from(SLOTS[slot(name)?]);
    let (known, _) = STATIC.get(index.wrapping_sub(1))?;
    name.eq_ignore_ascii_case(known).then_some(index)
}

/// The index of the static entry that has the name of the one at `index`, the first of its name, and this value.
#[inline]
pub(super) fn static_value(index: usize, value: &[u8]) -> Option<usize> {
    let alike = match index {
        METHOD | PATH | SCHEME => 2,
        STATUS => 7,
        _ => 1,
    };
    (index..index + alike).find(|index| STATIC[*index - 1].1 == value)
}

/// Where a name is to be looked for: no two static names have the same place.
#[inline]
const fn slot(name: &[u8]) -> Option<usize> {
    let [first, ..] = name else { return None };
    let last = name[name.len() - 1];
    // The bit makes small letters of capital ones, and changes nothing else that a static name has at its ends.
    Some(
        (15 * name.len() + 14 * (*first | 0x20) as usize + 39 * (last | 0x20) as usize)
            % SLOT_COUNT,
    )
}

const SLOT_COUNT: usize = 128;

/// The index of the static name whose place it is, or 0.
static SLOTS: [u8; SLOT_COUNT] = slots();

const fn slots() -> [u8; SLOT_COUNT] {
    let mut slots = [0; SLOT_COUNT];
    let mut names = 0;
    let mut index = 1;
    while index <= STATIC.len() {
        let Some(slot) = slot(STATIC[index - 1].0) else {
            panic!("a static name is empty")
        };
        if !matches!(index, 3 | 5 | 7 | 9..=14) {
            assert!(slots[slot] == 0, "two static names have one place");
            slots[slot] = index as u8;
            names += 1;
        }
        index += 1;
    }
    assert!(names == 52, "a name is missing");
    slots
}

/// The first entries of the names that have several.
const METHOD: usize = 2;
const PATH: usize = 4;
const SCHEME: usize = 6;
pub(super) const STATUS: usize = 8;

/// Index 1 and on.
pub(super) const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];
