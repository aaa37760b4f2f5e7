//! The wait for a login, as a person at a terminal sees it: a spinner, and a prompt for an address or a code.

use std::{io, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{paste, silent_input::SilentInput};
use crate::{app::signals::Signals, cli::print_error};

/// The pause between two pictures of the spinner.
const TICK_INTERVAL: Duration = Duration::from_millis(100);

/// The spinner and the prompt of one login. Without a terminal there is neither.
pub(super) struct Waiting {
    spinner: ProgressBar,
    prompt: Option<Prompt>,
}

/// The input of the person who waits.
pub(super) enum Input {
    /// An address or a code.
    Line(Zeroizing<String>),
    /// A line that cannot be read.
    Unreadable(io::Error),
    /// Ctrl-C, or another signal that ends the process.
    Interrupt,
}

struct Prompt {
    /// The read that is under way.
    line: Option<JoinHandle<io::Result<Zeroizing<String>>>>,
    /// Taken, so that the echo is on again at the end.
    signals: Signals,
    has_ended: bool,
    _silent: SilentInput,
}

impl Waiting {
    /// Whether [`Waiting::with_prompt`] would prompt.
    pub(super) fn can_prompt() -> bool {
        io::stderr().is_terminal() && SilentInput::is_possible()
    }

    /// Shows a spinner with `message`.
    pub(super) fn start(message: &'static str) -> Self {
        let spinner = match io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            spinner.set_style(style);
        }
        spinner.set_message(message);
        spinner.enable_steady_tick(TICK_INTERVAL);
        Self {
            spinner,
            prompt: None,
        }
    }

    /// Shows a spinner with `message`, and reads what the person pastes, if [`Waiting::can_prompt`].
    pub(super) fn with_prompt(message: &'static str) -> Self {
        let prompt = match Self::can_prompt() {
            true => Prompt::start(),
            false => None,
        };
        Self {
            prompt,
            ..Self::start(message)
        }
    }

    /// Waits for the next input, for ever without a prompt. Cancel-safe.
    pub(super) async fn input(&mut self) -> Input {
        match &mut self.prompt {
            Some(prompt) => prompt.input().await,
            None => std::future::pending().await,
        }
    }

    /// Prints a line, without disturbing the spinner.
    pub(super) fn remark(&self, text: &str) {
        self.spinner.suspend(|| print_error(text));
    }
}

impl Prompt {
    fn start() -> Option<Self> {
        Some(Self {
            line: None,
            signals: Signals::new().ok()?,
            has_ended: false,
            _silent: SilentInput::start()?,
        })
    }

    async fn input(&mut self) -> Input {
        if !self.has_ended {
            let line = self.line.get_or_insert_with(paste::start_reading);
            let line = tokio::select! {
                _ = self.signals.recv() => return Input::Interrupt,
                line = line => line,
            };
            self.line = None;
            match line {
                Ok(Ok(line)) => return Input::Line(line),
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Input::Unreadable(error);
                }
                // The login may still return by the browser.
                _ => self.has_ended = true,
            }
        }
        self.signals.recv().await;
        Input::Interrupt
    }
}
