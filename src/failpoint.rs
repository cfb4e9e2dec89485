//! Places where a test makes the process die, hang or fail: every named step of an epoch, of a delivery and of a
//! takeover. Without the feature `failpoints` a place is nothing; with it, one place is armed by the environment:
//!
//! `STREAMER_FAILPOINT=name[:nth]=kill|stop|error|panic|sleep:MS`: the nth time (the first, if not said) the step is reached,
//! the process gets SIGKILL or SIGSTOP, the step fails or panics, or it takes that long.

/// The steps, in the order of an epoch's way; each stands in the code exactly once (kept by a test).
pub const FAILPOINTS: &[&str] = &[
    // a process takes the job over
    "takeover.begin",
    "takeover.done",
    // an epoch
    "epoch.barrier-sent",
    "epoch.reports-collected",
    "epoch.ledger-prepared",
    "epoch.state-written",
    "epoch.committed",
    "epoch.sinks-told",
    "epoch.ledger-committed",
    "epoch.visible",
    // a manifest
    "manifest.begin",
    "manifest.written",
    "manifest.created",
    "manifest.durable",
    // old manifests and objects
    "garbage.begin",
    "garbage.manifests-removed",
    "garbage.done",
    // files
    "files.sealed",
    "files.publish",
    "files.written",
    "files.marked",
    "files.emptied",
    // the outbox
    "outbox.sealed",
    "outbox.commit",
    "outbox.trimmed",
    // the courier
    "courier.confirm",
    "courier.claim",
    "courier.claimed",
    "courier.marker-read",
    "courier.deliver",
    "courier.delivered",
    // a kafka transaction
    "transaction.begun",
    "transaction.sent",
    "transaction.acknowledged",
    "transaction.offset-sent",
    "transaction.committed",
];

/// A step is reached.
///
/// # Errors
/// `Unavailable` if the environment says that it fails.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) const fn failpoint(_name: &str) -> crate::error::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::failpoint;

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::FAILPOINTS;
    use crate::error::{Error, Result};

    const VARIABLE: &str = "STREAMER_FAILPOINT";

    /// A place and what happens there.
    #[derive(Debug)]
    struct Armed {
        name: String,
        /// Times it is still reached without anything happening, and the one at which it happens.
        left: AtomicU64,
        action: Action,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Signal(&'static str),
        Fail,
        Panic,
        Sleep(Duration),
    }

    /// A step is reached.
    ///
    /// # Errors
    /// `Unavailable` if the environment says that it fails; `Config` if it says what cannot be.
    pub(crate) fn failpoint(name: &str) -> Result<()> {
        static ARMED: OnceLock<Result<Option<Armed>>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)).transpose());
        let Some(armed) = armed.as_ref().map_err(Error::clone)?.as_ref().filter(|armed| armed.name == name) else {
            return Ok(());
        };
        if armed.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)) != Ok(1) {
            return Ok(());
        }
        tracing::warn!(name, action = ?armed.action, "failpoint");
        match armed.action {
            Action::Signal(signal) => {
                let to = std::process::id().to_string();
                std::process::Command::new("kill").args([signal, &to]).status()?;
                Ok(())
            }
            Action::Fail => Err(Error::unavailable(format!("failpoint \"{name}\""))),
            #[expect(clippy::panic, reason = "a test asks for it")]
            Action::Panic => panic!("a panic was asked for"),
            Action::Sleep(time) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }

    fn parse(text: &str) -> Result<Armed> {
        let wrong = || {
            Error::config(format!("{VARIABLE}=\"{text}\" arms nothing"))
                .hint("write it as epoch.committed:2=kill; actions are kill, stop, error, panic and sleep:MS")
        };
        let (place, action) = text.split_once('=').ok_or_else(wrong)?;
        let (name, nth) = place.split_once(':').unwrap_or((place, "1"));
        if !FAILPOINTS.contains(&name) {
            return Err(
                Error::config(format!("there is no failpoint \"{name}\"")).nearest(name, FAILPOINTS.iter().copied())
            );
        }
        let action = match action.split_once(':') {
            None if action == "kill" => Action::Signal("-KILL"),
            None if action == "stop" => Action::Signal("-STOP"),
            None if action == "error" => Action::Fail,
            None if action == "panic" => Action::Panic,
            Some(("sleep", time)) => Action::Sleep(Duration::from_millis(time.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        let left = nth.parse::<u64>().ok().filter(|nth| *nth > 0).ok_or_else(wrong)?;
        Ok(Armed { name: name.to_owned(), left: left.into(), action })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed() {
            let armed = parse("epoch.committed:3=kill").unwrap();
            assert_eq!(
                (armed.name.as_str(), armed.left.into_inner(), armed.action),
                ("epoch.committed", 3, Action::Signal("-KILL"))
            );
            assert_eq!(parse("epoch.visible=sleep:20").unwrap().action, Action::Sleep(Duration::from_millis(20)));
            assert_eq!(parse("epoch.visible=error").unwrap().action, Action::Fail);
            for wrong in [
                "",
                "epoch.visible",
                "epoch.visible:0=kill",
                "epoch.visible:x=kill",
                "epoch.visible=die",
                "no.such=kill",
                "epoch.visible=sleep:",
            ] {
                assert!(parse(wrong).is_err(), "{wrong}");
            }
        }
    }
}
