//! Flow control (RFC 9113 §5.2): how much may be sent, and how much may come.

use super::frame::MOST;

/// What every window is until a setting or an update says otherwise (§6.9.2).
pub(super) const DEFAULT: u32 = 65_535;

/// How much may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

/// A window that would not fit into 31 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl SendWindow {
    pub(super) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// How many bytes may be sent now. A changed setting may have left less than nothing (§6.9.2).
    pub(super) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(super) fn take(&mut self, count: usize) {
        self.0 -= count as i64;
    }

    /// An update, or a changed setting.
    ///
    /// # Errors
    /// It is larger than any window may be.
    pub(super) fn widen(&mut self, by: i64) -> Result<(), Overflow> {
        self.0 += by;
        if self.0 > i64::from(MOST) {
            Err(Overflow)
        } else {
            Ok(())
        }
    }
}

/// How much may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    left: u32,
    /// What was taken out and not announced yet.
    freed: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> Self {
        Self {
            size,
            left: size,
            freed: 0,
        }
    }

    /// `count` bytes came.
    ///
    /// # Errors
    /// They were not allowed to.
    pub(super) fn fill(&mut self, count: u32) -> Result<(), Overflow> {
        self.left = self.left.checked_sub(count).ok_or(Overflow)?;
        Ok(())
    }

    /// `count` bytes were taken out. Gives what is to be announced, once that is worth a frame.
    pub(super) fn free(&mut self, count: u32) -> Option<u32> {
        self.freed += count;
        self.due()
    }

    /// What is to be announced. What others hold unread is not to keep back what is free: where hardly anything may come any
    /// more, less is worth a frame, and where nothing may, anything.
    pub(super) fn due(&mut self) -> Option<u32> {
        let is_scarce = self.left == 0 || (self.freed >= self.left && self.freed >= self.size / 16);
        if self.freed == 0 || (self.freed < self.size / 2 && !is_scarce) {
            return None;
        }
        let freed = std::mem::take(&mut self.freed);
        self.left += freed;
        Some(freed)
    }

    /// How much came and was not taken out.
    #[cfg(test)]
    pub(super) fn held(self) -> i64 {
        i64::from(self.size) - i64::from(self.left) - i64::from(self.freed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_shrink_below_nothing_and_comes_back() {
        let mut window = SendWindow::new(10);
        window.take(10);
        assert_eq!(window.widen(-5), Ok(()));
        assert_eq!(window.room(), 0);
        assert_eq!(window.widen(8), Ok(()));
        assert_eq!(window.room(), 3);
        assert_eq!(window.widen(i64::from(MOST)), Err(Overflow));
    }

    #[test]
    fn what_was_taken_out_is_announced_by_halves() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.fill(101), Err(Overflow));
        assert_eq!(window.fill(60), Ok(()));
        assert_eq!(window.free(30), None);
        assert_eq!(window.free(20), Some(50));
        assert_eq!(window.fill(90), Ok(()));
        assert_eq!(window.fill(1), Err(Overflow));
    }

    #[test]
    fn what_is_held_unread_does_not_keep_back_what_is_free() {
        let mut window = ReceiveWindow::new(1000);
        assert_eq!(window.fill(990), Ok(()));
        assert_eq!(window.free(9), None);
        assert_eq!(window.free(61), Some(70), "little is left");
        assert_eq!(window.fill(75), Ok(()));
        assert_eq!(window.free(4), None);
        assert_eq!(window.fill(5), Ok(()));
        assert_eq!(window.due(), Some(4), "nothing is left");
    }
}
