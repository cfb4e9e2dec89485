//! `streamer score`: how good the alerts of a job are, against the ground truth.

use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use crate::cli::script::{StateLayout, load};
use crate::cli::{Failure, ScriptArguments, embedded, runtime, sql, tables, write_out};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::checkpoint;
use crate::simulator::score::{Alert, score as compare};
use crate::simulator::{AnomalyKind, Label};

/// Arguments of `score`.
#[derive(Debug, clap::Args)]
pub(super) struct ScoreArguments {
    /// The script that made the alerts.
    #[arg(default_value = "queries/anomaly.sql")]
    file: PathBuf,
    /// Its table of alerts, with the columns device_id and timestamp.
    #[arg(long, default_value = "anomalies_archive", value_name = "TABLE")]
    alerts: String,
    /// The labels that the simulator wrote.
    #[arg(long, default_value = embedded::LABELS_FILE, value_name = "FILE")]
    labels: PathBuf,
    /// Where the job keeps its state: anomalies that end after its watermark need not be found [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Also a line per device (per file of a replay).
    #[arg(long)]
    devices: bool,
    /// Fail (exit 5) if fewer of the spikes are recalled.
    #[arg(long, value_name = "SHARE")]
    min_recall: Option<f64>,
    /// Fail (exit 5) if fewer of the alerts are true.
    #[arg(long, value_name = "SHARE")]
    min_precision: Option<f64>,
}

const PATIENCE: Duration = Duration::from_secs(300);

/// Prints the score; fails if a bound is not reached.
pub(super) fn score(arguments: &ScoreArguments) -> Result<u8, Failure> {
    let loaded = load(&ScriptArguments { file: arguments.file.clone(), variables: Vec::new() })?;
    let layout = StateLayout::new(arguments.state.as_deref(), &loaded.name, 0, 1);
    let session = tables::open(&loaded.script, &layout)?;
    let text = format!("SELECT `device_id`, `timestamp` FROM `{}`", arguments.alerts.replace('`', "``"));
    let batches = runtime()?.block_on(sql::rows(&session, &text, PATIENCE))?;
    let alerts = batches.iter().map(alerts_of).collect::<Result<Vec<_>>>()?.concat();
    let labels = std::fs::read_to_string(&arguments.labels).map_err(|e| {
        Error::config(format!("cannot read the labels in \"{}\": {e}", arguments.labels.display()))
            .hint("give the file that \"streamer run\" or \"streamer simulate --labels FILE\" wrote with --labels")
    })?;
    let labels = Label::parse_lines(&labels)?;
    // A bounded or finished job has seen everything.
    let watermark = checkpoint::positions(&layout.checkpoint())?.iter().map(|p| p.watermark).min();
    let until = watermark.filter(|w| *w > i64::MIN && *w < i64::MAX).map(|w| w.saturating_mul(1000));
    let report = compare(&alerts, &labels, until);
    write_out(report.to_string().as_bytes())?;
    if arguments.devices {
        write_out(report.device_table().as_bytes())?;
    }
    let bounds = [
        ("recall of spikes", report.recall(AnomalyKind::Spike), arguments.min_recall),
        ("precision", report.precision(), arguments.min_precision),
    ];
    for (name, reached, bound) in bounds {
        if let Some(bound) = bound
            && reached.unwrap_or(0.0) < bound
        {
            let message = format!("{name} is {:.4}, below the bound {bound}", reached.unwrap_or(0.0));
            return Err(Error::new(ErrorKind::Failed, message).into());
        }
    }
    Ok(0)
}

fn alerts_of(batch: &RecordBatch) -> Result<Vec<Alert>> {
    let devices = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
    let times = arrow::compute::cast(batch.column(1), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let (devices, times) = (devices.as_string::<i32>(), times.as_primitive::<TimestampMicrosecondType>());
    Ok((0..batch.num_rows())
        .filter(|row| devices.is_valid(*row) && times.is_valid(*row))
        .map(|row| Alert { device_id: devices.value(row).to_owned(), event_time_us: times.value(row) })
        .collect())
}
