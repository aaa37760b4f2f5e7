//! Byte buffers that are taken from a pool of the thread and given back when a connection idles.

use std::{cell::RefCell, mem};

/// Bytes of a buffer for heads and small bodies, while they are read and written.
pub const SMALL: usize = 16 * 1024;
/// Bytes of a buffer for bodies that flow: fewer, larger reads are what makes them cheap.
pub const LARGE: usize = 64 * 1024;

/// The sizes of the blocks, the smallest first, and how many of each a thread keeps for later at the most. The two
/// smallest are what [`Buffer::shrink`] is for: a thousand requests that wait hold few pages then.
///
/// To allocate a block anew costs more than it seems: all of it is cleared, and so all of it becomes resident, where a
/// pooled one has just the pages that are used.
const BLOCKS: [(usize, usize); 4] = [(1024, 4096), (4 * 1024, 4096), (SMALL, 4096), (LARGE, 256)];

/// A window of filled bytes in a block of memory: `filled` grows by `advance` and shrinks by `consume`.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds no memory yet.
    pub const fn new() -> Self {
        Self {
            block: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// An empty buffer of `size` bytes at the least, from the thread's pool where it has one.
    pub fn with_size(size: usize) -> Self {
        Self {
            block: take(size),
            start: 0,
            end: 0,
        }
    }

    /// The bytes that were put in and not yet consumed.
    pub fn filled(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// The whole block up to the end of what is filled, consumed bytes included.
    pub fn all(&self) -> &[u8] {
        &self.block[..self.end]
    }

    /// The same, to be changed in place.
    pub fn all_mut(&mut self) -> &mut [u8] {
        &mut self.block[..self.end]
    }

    /// Whether nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// The memory behind the filled bytes, to be read into.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.block[self.end..]
    }

    /// `count` bytes of the spare memory are filled now.
    pub fn advance(&mut self, count: usize) {
        self.end += count;
        assert!(
            self.end <= self.block.len(),
            "more was filled than there is room"
        );
    }

    /// The first `count` filled bytes are done with.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "more was consumed than was filled");
    }

    /// Forgets the content, keeps the memory, and leaves `gap` bytes free in front.
    pub fn reset(&mut self, gap: usize) {
        self.start = gap.min(self.block.len());
        self.end = self.start;
    }

    /// Puts back what was consumed: the block from `offset` on is filled again.
    pub fn rewind(&mut self, offset: usize) {
        self.start = offset.min(self.end);
    }

    /// Writes `bytes` right in front of the filled ones; the gap there has to be large enough.
    pub fn prepend(&mut self, bytes: &[u8]) {
        let start = self.start - bytes.len();
        self.block[start..self.start].copy_from_slice(bytes);
        self.start = start;
    }

    /// Adds `bytes` at the end, growing where needed.
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if end > self.block.len() {
            self.grow(end);
        }
        self.block[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    /// Adds `bytes` at the end. Consumed bytes give way where room is short, so that what flows through does not grow.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.spare().len() < bytes.len() {
            self.compact();
        }
        self.extend(bytes);
    }

    /// Adds all of `parts`, one behind the other; room is made once.
    pub fn extend_all<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let end = self.end + parts.iter().map(|part| part.len()).sum::<usize>();
        if end > self.block.len() {
            self.grow(end);
        }
        let mut rest = &mut self.block[self.end..end];
        for part in parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
        self.end = end;
    }

    /// Makes room for at least `size` bytes in all.
    pub fn grow(&mut self, size: usize) {
        if self.block.len() < size {
            self.move_to(take(size));
        }
    }

    /// Moves what it holds, consumed bytes included, to the smallest block that takes it: for content that waits.
    pub fn shrink(&mut self) {
        if BLOCKS
            .iter()
            .any(|(size, _)| self.end <= *size && *size < self.block.len())
        {
            self.move_to(take(self.end));
        }
    }

    fn move_to(&mut self, mut block: Vec<u8>) {
        block[..self.end].copy_from_slice(&self.block[..self.end]);
        give(mem::replace(&mut self.block, block));
    }

    /// Moves the filled bytes to the front of the block.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// The whole size of its memory.
    pub fn size(&self) -> usize {
        self.block.len()
    }

    /// The filled bytes, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.block[self.start..self.end]
    }

    /// Keeps the first `count` filled bytes alone.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Gives the memory back to the pool; what was filled is lost.
    pub fn release(&mut self) {
        give(mem::take(&mut self.block));
        self.start = 0;
        self.end = 0;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.block.is_empty() {
            self.release();
        }
    }
}

/// Buffers of one size.
struct Shelf {
    blocks: Vec<Vec<u8>>,
    size: usize,
    most: usize,
    /// The fewest that lay here since the last [`trim`]: so many were not needed.
    unneeded: usize,
}

impl Shelf {
    const fn new((size, most): (usize, usize)) -> Self {
        Self {
            blocks: Vec::new(),
            size,
            most,
            unneeded: 0,
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let block = self.blocks.pop();
        self.unneeded = self.unneeded.min(self.blocks.len());
        block
    }

    fn give(&mut self, block: Vec<u8>) {
        if self.blocks.len() < self.most {
            self.blocks.push(block);
        }
    }

    fn trim(&mut self) {
        // The oldest lie at the bottom.
        self.blocks.drain(..self.unneeded);
        self.unneeded = self.blocks.len();
    }
}

thread_local! {
    static POOL: RefCell<[Shelf; BLOCKS.len()]> =
        const { RefCell::new([Shelf::new(BLOCKS[0]), Shelf::new(BLOCKS[1]), Shelf::new(BLOCKS[2]), Shelf::new(BLOCKS[3])]) };
}

/// Frees the thread's pooled buffers that nobody has needed since the last time.
pub fn trim() {
    POOL.with_borrow_mut(|shelves| shelves.iter_mut().for_each(Shelf::trim));
}

fn take(size: usize) -> Vec<u8> {
    POOL.with_borrow_mut(
        |shelves| match shelves.iter_mut().find(|shelf| size <= shelf.size) {
            Some(shelf) => shelf.take().unwrap_or_else(|| vec![0; shelf.size]),
            None => vec![0; size.next_power_of_two()],
        },
    )
}

fn give(block: Vec<u8>) {
    // The pool is gone when its thread ends; then the memory is simply freed.
    let _ = POOL.try_with(|shelves| {
        if let Some(shelf) = shelves
            .borrow_mut()
            .iter_mut()
            .find(|shelf| shelf.size == block.len())
        {
            shelf.give(block);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_and_consumes() {
        let mut buffer = Buffer::with_size(SMALL);
        buffer.extend(b"hello world");
        buffer.consume(6);
        assert_eq!(buffer.filled(), b"world");
        buffer.compact();
        assert_eq!(buffer.all(), b"world");
    }

    #[test]
    fn grows_beyond_its_first_size() {
        let mut buffer = Buffer::with_size(SMALL);
        buffer.extend(&[1; SMALL]);
        buffer.extend(&[2; 1]);
        assert_eq!(buffer.len(), SMALL + 1);
        assert_eq!(buffer.filled()[SMALL], 2);
    }

    #[test]
    fn what_waits_holds_no_more_than_it_needs() {
        let mut buffer = Buffer::with_size(SMALL);
        buffer.extend(&[1; 1000]);
        buffer.consume(990);
        buffer.shrink();
        assert_eq!(
            (buffer.size(), buffer.all(), buffer.len()),
            (1024, &[1; 1000][..], 10)
        );
        buffer.extend(&[2; 25]);
        assert_eq!(
            (buffer.size(), buffer.filled()),
            (4096, [&[1; 10][..], &[2; 25]].concat().as_slice())
        );
        buffer.extend(&[3; SMALL]);
        buffer.shrink();
        assert_eq!(buffer.size(), LARGE, "nothing smaller takes it");
    }

    #[test]
    fn prepends_into_the_gap() {
        let mut buffer = Buffer::with_size(SMALL);
        buffer.reset(8);
        buffer.extend(b"data");
        buffer.prepend(b"4\r\n");
        assert_eq!(buffer.filled(), b"4\r\ndata");
    }

    #[test]
    fn what_nobody_needed_for_a_while_is_freed() {
        let pooled = || POOL.with_borrow(|shelves| shelves[2].blocks.len());
        drop([(); 4].map(|()| Buffer::with_size(SMALL)));
        trim();
        assert_eq!(pooled(), 4, "they were needed a moment ago");
        drop(Buffer::with_size(SMALL));
        trim();
        assert_eq!(pooled(), 1, "three were not needed since");
    }

    #[test]
    fn a_released_buffer_holds_no_memory() {
        let mut buffer = Buffer::with_size(LARGE);
        buffer.release();
        assert_eq!(buffer.size(), 0);
        assert!(buffer.is_empty());
    }
}
