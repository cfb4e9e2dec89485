//! Ctrl-C and SIGTERM: the first asks the job to stop at an epoch, the second leaves at once.
//!
//! A thread of its own listens and tells `cli::main`, which waits beside the verb: a job whose every thread waits
//! for a terminal or a disk must still be left.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::leave;
use crate::error::{Error, Result};

/// Set once a stop is asked for.
pub(super) struct Stop {
    /// For everyone who has to stop.
    pub(super) asked: watch::Sender<bool>,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// `Unavailable` if the system takes no handlers.
    pub(super) fn listen() -> Result<Self> {
        let asked = watch::Sender::new(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let ask = asked.clone();
        let listening = move || {
            runtime.block_on(async {
                loop {
                    let code = tokio::select! {
                        Some(()) = interrupt.recv() => 130,
                        Some(()) = terminate.recv() => 143,
                    };
                    if ask.send_replace(true) {
                        return leave(code);
                    }
                }
            });
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(listening)
            .map_err(|e| Error::unavailable("no thread for signals").because(e))?;
        Ok(Self { asked })
    }
}
