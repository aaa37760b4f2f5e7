//! Who serves the streams that the other side opens: those who have served one wait for the next.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{Ending, State};

/// Where somebody who has served a stream waits for another.
#[derive(Debug, Default)]
pub(in crate::http2) struct Seat {
    next: Cell<Option<u32>>,
    waker: RefCell<Option<Waker>>,
}

impl Seat {
    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn next_arrived(&mut self) -> Option<u32> {
        while let Some(stream) = self.arrived.pop_front() {
            if self
                .entry(stream)
                .is_some_and(|entry| entry.fault.is_none())
            {
                return Some(stream);
            }
            // It was given up before anybody could take it.
            self.leave(stream);
        }
        None
    }

    /// Gives streams that have arrived to those who wait for one. Gives the first for which there is nobody.
    pub(in crate::http2) fn seat(&mut self) -> Option<u32> {
        while let Some(stream) = self.next_arrived() {
            let Some(seat) = self.seats.pop() else {
                return Some(stream);
            };
            seat.next.set(Some(stream));
            self.hold();
            seat.wake();
        }
        None
    }

    /// Waits for a stream to serve; none when there will be no more.
    pub(in crate::http2) fn poll_seat(
        &mut self,
        seat: &Rc<Seat>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<u32>> {
        if let Some(stream) = seat.next.take() {
            return Poll::Ready(Some(stream));
        }
        if let Some(stream) = self.next_arrived() {
            self.leave_seat(seat);
            self.hold();
            return Poll::Ready(Some(stream));
        }
        if !matches!(self.ending, Ending::Open | Ending::Announced) {
            return Poll::Ready(None);
        }
        *seat.waker.borrow_mut() = Some(cx.waker().clone());
        if !self.seats.iter().any(|other| Rc::ptr_eq(other, seat)) {
            self.seats.push(seat.clone());
        }
        Poll::Pending
    }

    /// Nobody waits there any more. What was put there is put back.
    pub(in crate::http2) fn leave_seat(&mut self, seat: &Rc<Seat>) {
        self.seats.retain(|other| !Rc::ptr_eq(other, seat));
        if let Some(stream) = seat.next.take() {
            self.arrived.push_front(stream);
            self.let_go();
            self.wake_driver();
        }
    }

    pub(super) fn empty_seats(&mut self) {
        self.seats.drain(..).for_each(|seat| seat.wake());
    }
}
