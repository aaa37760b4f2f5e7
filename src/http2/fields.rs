//! The fields of one block, unpacked.

/// Bytes that a field counts for beside its name and value (RFC 9113 §6.5.2).
const OVERHEAD: usize = 32;

/// The fields of one block, in their order; the memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    /// Where each name and value ends.
    ends: Vec<(u32, u32)>,
    size: usize,
    most: usize,
}

impl Fields {
    /// For fields of `most` bytes in all, as HTTP/2 counts them.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.size = 0;
    }

    /// Adds a field. Those that are too many are counted, and no more.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.size = self
            .size
            .saturating_add(name.len() + value.len() + OVERHEAD);
        if self.size > self.most {
            return;
        }
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len() as u32));
    }

    /// How many bytes are kept, as HTTP/2 counts them.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether there were more than are kept.
    pub(super) fn is_too_large(&self) -> bool {
        self.size > self.most
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, value_end)| {
            let (name, value) = (
                start..*name_end as usize,
                *name_end as usize..*value_end as usize,
            );
            start = value.end;
            (&self.bytes[name], &self.bytes[value])
        })
    }
}
