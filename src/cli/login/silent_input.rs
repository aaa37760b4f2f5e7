//! The terminal at standard input without its echo: a code that is pasted does not stay on the screen.

use std::io::{self, IsTerminal};

use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};

/// The terminal at standard input, whose echo is off until this is dropped.
pub(super) struct SilentInput {
    earlier: Termios,
}

impl SilentInput {
    /// Whether this process may read from a terminal at standard input: a job in the background is stopped when it does.
    pub(super) fn is_possible() -> bool {
        let input = io::stdin();
        let may_read = match tcgetpgrp(&input) {
            Ok(foreground) => foreground == getpgrp(),
            // The terminal does not control this process, and stops none.
            Err(_) => true,
        };
        input.is_terminal() && may_read
    }

    /// Switches the echo off. `None` where there is no terminal to read from.
    pub(super) fn start() -> Option<Self> {
        if !Self::is_possible() {
            return None;
        }
        let earlier = tcgetattr(io::stdin()).ok()?;
        let mut silent = earlier.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).ok()?;
        Some(Self { earlier })
    }
}

impl Drop for SilentInput {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.earlier);
    }
}
