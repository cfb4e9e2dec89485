//! Ctrl-C and SIGTERM: the first asks the job to stop at an epoch, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::Result;

/// Set once a stop is asked for.
pub(super) struct Stop {
    /// For everyone who has to stop.
    pub(super) asked: watch::Sender<bool>,
}

impl Stop {
    pub(super) fn new() -> Self {
        Self { asked: watch::Sender::new(false) }
    }

    /// Waits for the first signal, asks for a stop, and resolves on the second one with its exit code.
    ///
    /// # Errors
    /// `Unavailable` if the system takes no handlers.
    pub(super) async fn second_signal(&self) -> Result<u8> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if self.asked.send_replace(true) {
                return Ok(code);
            }
        }
    }
}
