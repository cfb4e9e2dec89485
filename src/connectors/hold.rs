//! Waiting for space: a disk that is full makes nobody fail who can write the same once more. The job stands still
//! meanwhile, since no barrier passes whoever waits, and goes on where it was.
//!
//! Only what has had no effect is tried again. A sync that failed has: the kernel may have dropped the pages, so that
//! error is never one that passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// First pause; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause: how long a disk that has space again may wait for us.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a job waits for, shared by all that write.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    reason: Option<Error>,
}

impl Hold {
    /// Why the job stands still; `None`: it does not.
    pub fn reason(&self) -> Option<Error> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.reason.clone().filter(|_| waiting.count > 0)
    }

    /// For one piece of work that is tried until there is space.
    pub fn attempts(&self) -> Attempts {
        self.attempts_every(PAUSE_MIN)
    }

    fn attempts_every(&self, pause: Duration) -> Attempts {
        Attempts { hold: self.clone(), pause, waiting: false }
    }

    fn add(&self, error: &Error) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.count == 0 {
            tracing::warn!(
                "{}; the job waits, keeps what it has, and goes on by itself: {}",
                error.message(),
                error.hint_text().unwrap_or("make room")
            );
            waiting.reason = Some(error.clone());
        }
        waiting.count = waiting.count.saturating_add(1);
    }

    fn remove(&self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.count = waiting.count.saturating_sub(1);
        if waiting.count == 0 {
            waiting.reason = None;
        }
    }
}

/// The tries of one piece of work.
#[derive(Debug)]
pub struct Attempts {
    hold: Hold,
    pause: Duration,
    waiting: bool,
}

impl Attempts {
    /// What a try came to: `Some` is the end of it, `None` asks for the next one, after a pause.
    ///
    /// # Errors
    /// Every error that does not pass by itself.
    pub async fn take<T>(&mut self, done: Result<T>) -> Result<Option<T>> {
        match done {
            Err(error) if error.passes() => {
                if !std::mem::replace(&mut self.waiting, true) {
                    self.hold.add(&error);
                }
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                Ok(None)
            }
            done => done.map(Some),
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        if self.waiting {
            self.hold.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_passes_is_tried_again_and_the_job_says_so_meanwhile() {
        let hold = Hold::default();
        let hurried = || hold.attempts_every(Duration::from_micros(1));
        let (mut attempts, mut other) = (hurried(), hurried());
        for _ in 0..9 {
            let full: Result<u8> = Err(Error::unavailable("the disk is full").passing());
            assert_eq!(attempts.take(full.clone()).await.unwrap(), None);
            assert_eq!(other.take(full).await.unwrap(), None);
            assert!(hold.reason().unwrap().message().contains("full"));
        }
        assert_eq!(attempts.take(Ok(7)).await.unwrap(), Some(7));
        drop(attempts);
        assert!(hold.reason().is_some(), "another still waits");
        assert!(other.take(Err::<u8, _>(Error::unavailable("the sync failed"))).await.is_err());
        drop(other);
        assert!(hold.reason().is_none());
    }
}
