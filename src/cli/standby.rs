//! `run --standby`: waits until the process that has the job is gone, or says nothing any more, then takes its place.
//!
//! A process that dies gives its lock back at once. One that hangs keeps it, so a job that has committed nothing for
//! a while is taken from it; if it wakes up, the protocol stops it at its next commit ([`crate::protocol`]).

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::script::StateLayout;
use crate::cli::show;
use crate::cli::signals::Stop;
use crate::error::Result;
use crate::runtime::checkpoint;
use crate::time::Clock;

/// How often the other process is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a process may commit nothing before it counts as hanging, at least.
const SILENCE: Duration = Duration::from_secs(10);
/// As many checkpoint intervals may pass without one.
const SILENT_INTERVALS: u32 = 3;

/// Another process's job.
pub(super) struct Standby<'a> {
    pub(super) layout: &'a StateLayout,
    /// Time between its commits.
    pub(super) interval: Duration,
    pub(super) clock: &'a Clock,
    pub(super) stop: &'a Stop,
}

impl Standby<'_> {
    /// Waits until the job can be opened; `false`: a stop was asked for.
    ///
    /// # Errors
    /// `Unavailable` if the state cannot be looked at.
    pub(super) async fn wait(&self) -> Result<bool> {
        let directory: PathBuf = self.layout.checkpoint();
        let silence = SILENCE.max(self.interval * SILENT_INTERVALS);
        let (mut told, mut newest, mut since) = (false, None, self.clock.elapsed());
        loop {
            let (held, epoch) = checkpoint::holder(&directory)?;
            if !held {
                return Ok(true);
            }
            let now = self.clock.elapsed();
            if epoch != newest {
                (newest, since) = (epoch, now);
            }
            if !told {
                show::error_line(&format!("standby · another streamer has the job in {}", self.layout.root.display()));
                told = true;
            }
            if now.saturating_sub(since) >= silence {
                show::error_line(&format!(
                    "standby · it has committed nothing for {} s: the job is taken over",
                    silence.as_secs()
                ));
                checkpoint::seize(&directory)?;
                return Ok(true);
            }
            if *self.stop.asked.borrow() {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
