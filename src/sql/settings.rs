//! `SET`: one table of the keys that mean something here, and what is done with all others.
//!
//! A key that could change results and is not known is an error with the nearest known one. Keys that
//! tune Flink's own machinery (JVM, RocksDB, mini-batches, restarts) change no result: they are
//! accepted and noted, so that a file written for Flink runs unchanged.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::functions;
use crate::limits::PARALLELISM_MAX;
use crate::plan::{LengthRule, NotNullRule, Settings};
use crate::time::parse_duration;

/// A key with an effect: how its value becomes part of [`Settings`].
struct Key {
    name: &'static str,
    apply: fn(&mut Settings, &str) -> Result<()>,
    reset: fn(&mut Settings, Settings),
}

/// Keys with an effect.
const KEYS: &[Key] = &[
    Key {
        name: "pipeline.name",
        apply: |s, v| {
            s.pipeline_name = Some(v.to_owned());
            Ok(())
        },
        reset: |s, d| s.pipeline_name = d.pipeline_name,
    },
    Key {
        name: "execution.checkpointing.interval",
        apply: |s, v| {
            s.checkpoint_interval = some_time(v)?.ok_or_else(|| {
                Error::sql("a checkpoint interval of zero is not possible").hint("write a time such as '1 s'")
            })?;
            Ok(())
        },
        reset: |s, d| s.checkpoint_interval = d.checkpoint_interval,
    },
    Key {
        name: "parallelism.default",
        apply: |s, v| {
            s.parallelism = parallelism(v)?;
            Ok(())
        },
        reset: |s, d| s.parallelism = d.parallelism,
    },
    Key {
        name: "table.exec.resource.default-parallelism",
        apply: |s, v| {
            s.parallelism = parallelism(v)?;
            Ok(())
        },
        reset: |s, d| s.parallelism = d.parallelism,
    },
    Key {
        name: "table.local-time-zone",
        apply: |s, v| {
            s.time_zone = time_zone(v)?;
            Ok(())
        },
        reset: |s, d| s.time_zone = d.time_zone,
    },
    Key {
        name: "table.exec.source.idle-timeout",
        apply: |s, v| {
            s.idle_timeout = some_time(v)?;
            Ok(())
        },
        reset: |s, d| s.idle_timeout = d.idle_timeout,
    },
    Key {
        name: "streamer.max-future-skew",
        apply: |s, v| {
            s.max_future_skew = some_time(v)?;
            Ok(())
        },
        reset: |s, d| s.max_future_skew = d.max_future_skew,
    },
    Key {
        name: "execution.runtime-mode",
        apply: |_, v| {
            match v.to_ascii_lowercase().as_str() {
            "streaming" | "automatic" => Ok(()),
            "batch" => Err(Error::sql("'execution.runtime-mode' = 'batch' is not supported")
                .hint("bounded sources end by themselves in 'streaming', with the same rows; for ad-hoc queries use \"streamer sql\"")),
            _ => Err(one_of(v, &["streaming", "automatic"])),
        }
        },
        reset: |_, _| (),
    },
    Key {
        name: "table.exec.sink.not-null-enforcer",
        apply: |s, v| {
            s.not_null = match v.to_ascii_uppercase().as_str() {
                "ERROR" => NotNullRule::Error,
                "DROP" => NotNullRule::Drop,
                _ => return Err(one_of(v, &["ERROR", "DROP"])),
            };
            Ok(())
        },
        reset: |s, d| s.not_null = d.not_null,
    },
    Key {
        name: "table.exec.sink.type-length-enforcer",
        apply: |s, v| {
            s.lengths = match v.to_ascii_uppercase().as_str() {
                "IGNORE" => LengthRule::Ignore,
                "TRIM_PAD" => LengthRule::TrimPad,
                "ERROR" => LengthRule::Error,
                _ => return Err(one_of(v, &["IGNORE", "TRIM_PAD", "ERROR"])),
            };
            Ok(())
        },
        reset: |s, d| s.lengths = d.lengths,
    },
    Key {
        name: "table.exec.legacy-cast-behaviour",
        apply: |_, v| fixed(v, "DISABLED", "a failing CAST stops the job; TRY_CAST gives NULL"),
        reset: |_, _| (),
    },
    Key {
        name: "table.sql-dialect",
        apply: |_, v| fixed(v, "default", "only Flink's own dialect is supported"),
        reset: |_, _| (),
    },
];

/// Keys below the prefixes of [`STRICT`] that change no result here.
const NEUTRAL: &[&str] = &[
    "execution.attached",
    "execution.buffer-timeout",
    "execution.buffer-timeout.enabled",
    "execution.buffer-timeout.interval",
    "execution.checkpointing.aligned-checkpoint-timeout",
    "execution.checkpointing.checkpoints-after-tasks-finish.enabled",
    "execution.checkpointing.cleaner.parallel-mode",
    "execution.checkpointing.dir",
    "execution.checkpointing.externalized-checkpoint-retention",
    "execution.checkpointing.file-merging.enabled",
    "execution.checkpointing.incremental",
    "execution.checkpointing.local-backup.enabled",
    "execution.checkpointing.max-concurrent-checkpoints",
    "execution.checkpointing.min-pause",
    "execution.checkpointing.mode",
    "execution.checkpointing.num-retained",
    "execution.checkpointing.savepoint-dir",
    "execution.checkpointing.storage",
    "execution.checkpointing.timeout",
    "execution.checkpointing.tolerable-failed-checkpoints",
    "execution.checkpointing.unaligned",
    "execution.checkpointing.unaligned.enabled",
    "execution.target",
    "execution.shutdown-on-attached-exit",
    "table.dml-sync",
    "table.exec.async-lookup.buffer-capacity",
    "table.exec.async-lookup.timeout",
    "table.exec.deduplicate.mini-batch.compact-changes-enabled",
    "table.exec.disabled-operators",
    "table.exec.mini-batch.allow-latency",
    "table.exec.mini-batch.enabled",
    "table.exec.mini-batch.size",
    "table.exec.operator-fusion-codegen.enabled",
    "table.exec.sink.keyed-shuffle",
    "table.exec.sink.rowtime-inserter",
    "table.exec.sink.upsert-materialize",
    "table.exec.sort.async-merge-enabled",
    "table.exec.sort.default-limit",
    "table.exec.source.cdc-events-duplicate",
    "table.exec.spill-compression.enabled",
    "table.exec.state.ttl",
    "table.exec.uid.format",
    "table.exec.uid.generation",
    "table.exec.unbounded-over.version",
    "table.exec.window-agg.buffer-size-limit",
    "table.optimizer.agg-phase-strategy",
    "table.optimizer.distinct-agg.split.bucket-num",
    "table.optimizer.distinct-agg.split.enabled",
    "table.optimizer.incremental-agg-enabled",
    "table.optimizer.join-reorder-enabled",
    "table.optimizer.multiple-input-enabled",
    "table.optimizer.reuse-source-enabled",
    "table.optimizer.reuse-sub-plan-enabled",
    "table.optimizer.source.aggregate-pushdown-enabled",
    "table.optimizer.source.predicate-pushdown-enabled",
    "table.optimizer.source.report-statistics-enabled",
];

/// Below these an unknown key may change results, so it is an error.
const STRICT: &[&str] = &["table.exec.", "table.optimizer.", "execution.", "streamer."];

/// Takes one `SET`; `Some` is a note for the user: the key was accepted and does nothing.
///
/// # Errors
/// `Sql` for a wrong value, a value that is not supported, or an unknown key that could change results.
pub(crate) fn set(settings: &mut Settings, key: &str, value: &str) -> Result<Option<String>> {
    if let Some(known) = KEYS.iter().find(|k| k.name == key) {
        return (known.apply)(settings, value.trim()).map(|()| None);
    }
    check(key)?;
    Ok(Some(format!("setting \"{key}\" is accepted and has no effect")))
}

/// Takes one `RESET`; `None` resets all.
///
/// # Errors
/// `Sql` for an unknown key.
pub(crate) fn reset(settings: &mut Settings, key: Option<&str>) -> Result<()> {
    let Some(key) = key else {
        *settings = Settings::default();
        return Ok(());
    };
    match KEYS.iter().find(|k| k.name == key) {
        Some(known) => {
            (known.reset)(settings, Settings::default());
            Ok(())
        }
        None => check(key),
    }
}

/// Whether an unknown key can be let pass.
fn check(key: &str) -> Result<()> {
    if NEUTRAL.contains(&key) {
        return Ok(());
    }
    if !STRICT.iter().any(|prefix| key.starts_with(prefix)) {
        return match KEYS.iter().find(|known| slip(key, known.name)) {
            Some(known) => Err(unknown(key).hint(format!("did you mean \"{}\"?", known.name))),
            None => Ok(()),
        };
    }
    let names = KEYS.iter().map(|k| k.name).chain(NEUTRAL.iter().copied());
    Err(unknown(key).detail("It could change results, so it is not ignored.").nearest(key, names))
}

fn unknown(key: &str) -> Error {
    Error::sql(format!("unknown setting \"{key}\"")).missing(key)
}

/// Whether a key that may be any of Flink's many is one of ours with a slip of the pen: stricter than [`nearest`].
///
/// [`nearest`]: crate::error::nearest
fn slip(key: &str, known: &str) -> bool {
    let letters = |key: &str| key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    letters(key) == letters(known) || strsim::damerau_levenshtein(key, known) <= 2
}

/// A duration where zero means "off".
fn some_time(value: &str) -> Result<Option<Duration>> {
    Ok(Some(parse_duration(value).map_err(|e| as_sql(&e))?).filter(|d| !d.is_zero()))
}

fn parallelism(value: &str) -> Result<Option<usize>> {
    if value == "-1" {
        return Ok(None);
    }
    match value.parse() {
        Ok(n @ 1..=PARALLELISM_MAX) => Ok(Some(n)),
        _ => Err(Error::sql(format!("\"{value}\" is not a degree of parallelism"))
            .hint(format!("write a number from 1 to {PARALLELISM_MAX}"))),
    }
}

fn time_zone(value: &str) -> Result<String> {
    let wrong = || {
        let near = crate::error::nearest(value, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let error = Error::sql(format!("unknown time zone \"{value}\""));
        match near {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint("write a region such as 'Europe/Berlin', or 'UTC'"),
        }
    };
    functions::check_time_zone(value).map(|()| value.to_owned()).map_err(|_| wrong())
}

fn one_of(value: &str, values: &[&str]) -> Error {
    Error::sql(format!("\"{value}\" is not a valid value")).hint(format!("valid values: {}", values.join(", ")))
}

/// A key whose default is the only value there is.
fn fixed(value: &str, only: &str, why: &str) -> Result<()> {
    if value.eq_ignore_ascii_case(only) {
        return Ok(());
    }
    Err(Error::sql(format!("the value \"{value}\" is not supported here")).hint(format!("only '{only}': {why}")))
}

/// The same error as one about the script.
fn as_sql(error: &Error) -> Error {
    let mapped = Error::sql(error.message());
    match error.hint_text() {
        Some(hint) => mapped.hint(hint),
        None => mapped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaningful_keys_are_typed() -> Result<()> {
        let mut settings = Settings::default();
        for (key, value) in [
            ("pipeline.name", "anomaly"),
            ("execution.checkpointing.interval", "10s"),
            ("parallelism.default", "4"),
            ("table.local-time-zone", "Europe/Berlin"),
            ("table.exec.source.idle-timeout", "5 s"),
            ("streamer.max-future-skew", "0"),
            ("execution.runtime-mode", "streaming"),
            ("table.exec.sink.not-null-enforcer", "DROP"),
            ("table.exec.sink.type-length-enforcer", "trim_pad"),
        ] {
            assert_eq!(set(&mut settings, key, value)?, None, "{key}");
        }
        assert_eq!(
            settings,
            Settings {
                pipeline_name: Some("anomaly".into()),
                checkpoint_interval: Duration::from_secs(10),
                parallelism: Some(4),
                time_zone: "Europe/Berlin".into(),
                idle_timeout: Some(Duration::from_secs(5)),
                max_future_skew: None,
                not_null: NotNullRule::Drop,
                lengths: LengthRule::TrimPad,
            }
        );
        reset(&mut settings, Some("parallelism.default"))?;
        assert_eq!(settings.parallelism, None);
        reset(&mut settings, None)?;
        assert_eq!(settings, Settings::default());
        Ok(())
    }

    #[test]
    fn neutral_and_foreign_keys_are_noted() -> Result<()> {
        let mut settings = Settings::default();
        for key in [
            "table.exec.mini-batch.enabled",
            "state.backend",
            "pipeline.jars",
            "pipeline.max-parallelism",
            "taskmanager.numberOfTaskSlots",
            "my.own.key",
        ] {
            assert!(set(&mut settings, key, "x")?.is_some(), "{key}");
        }
        assert_eq!(settings, Settings::default());
        Ok(())
    }

    #[test]
    fn what_could_change_results_is_refused() {
        let mut settings = Settings::default();
        for (key, value, message, hint) in [
            ("table.exec.source.idle-timout", "1 s", "unknown setting", "table.exec.source.idle-timeout"),
            ("table.local-timezone", "UTC", "unknown setting", "table.local-time-zone"),
            ("pipeline.nme", "x", "unknown setting", "pipeline.name"),
            ("Parallelism.Default", "2", "unknown setting", "parallelism.default"),
            ("streamer.max-future-skw", "1 s", "unknown setting", "streamer.max-future-skew"),
            ("execution.runtime-mode", "batch", "'batch' is not supported", "streaming"),
            ("execution.checkpointing.interval", "soon", "\"soon\" is not a duration", "10 s"),
            ("table.local-time-zone", "Europe/Berlim", "unknown time zone", "Europe/Berlin"),
            ("parallelism.default", "0", "not a degree of parallelism", "from 1 to"),
            ("table.exec.sink.not-null-enforcer", "SKIP", "not a valid value", "ERROR, DROP"),
            ("table.exec.legacy-cast-behaviour", "ENABLED", "not supported", "DISABLED"),
        ] {
            let error = set(&mut settings, key, value).unwrap_err();
            assert!(error.message().contains(message), "{key}: {error}");
            assert!(error.hint_text().is_some_and(|h| h.contains(hint)), "{key}: {error}");
        }
    }
}
