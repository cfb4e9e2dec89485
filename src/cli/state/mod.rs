//! `streamer state`: what a job keeps, for people. Nothing is locked or changed, so the job may run meanwhile; what
//! it removes while it is looked at is no damage.

mod export;
mod survey;

use std::path::{Path, PathBuf};

use crate::cli::script::StateLayout;
use crate::cli::state::survey::{Epoch, survey};
use crate::cli::status::{clock_time, ledger_table, thousands};
use crate::cli::{Failure, write_out};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::restart;
use crate::time::{Clock, WATERMARK_MAX, WATERMARK_MIN, system_clock};

/// Arguments of `state`.
#[derive(Debug, clap::Args)]
pub(super) struct StateArguments {
    #[command(subcommand)]
    verb: StateVerb,
}

#[derive(Debug, clap::Subcommand)]
enum StateVerb {
    /// One line per epoch that is kept: age, rows read, bytes of state, what sinks still lack, whether it is intact.
    Ls(Place),
    /// One epoch: positions, watermarks, row ledger, sinks [default: the newest that can be read].
    Show {
        /// The script and the number of an epoch, either may be left out.
        #[arg(value_name = "FILE|EPOCH", num_args = 0..=2)]
        what: Vec<String>,
        /// Where the job keeps its state [default: data/state/<script>].
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How the epoch is written.
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
    },
    /// Read every manifest, every object and every outbox segment; exit code 5 if anything is wrong.
    Verify(Place),
    /// Copy the newest intact epoch with all it needs to a new directory that --state takes.
    Export {
        /// The script, unless --state is given, and the new directory.
        #[arg(value_name = "FILE> <DIR", required = true, num_args = 1..=2)]
        what: Vec<PathBuf>,
        /// Where the job keeps its state [default: data/state/<script>].
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
    },
}

/// Whose state.
#[derive(Debug, clap::Args)]
struct Place {
    /// The script.
    file: Option<PathBuf>,
    /// Where the job keeps its state [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// How `show` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Something is wrong with the state.
const WRONG: u8 = 5;

/// Runs a verb about state.
pub(super) fn state(arguments: &StateArguments) -> Result<u8, Failure> {
    let clock = system_clock();
    match &arguments.verb {
        StateVerb::Ls(place) => ls(&place.jobs()?, &clock)?,
        StateVerb::Verify(place) => return Ok(verify(&place.jobs()?)?),
        StateVerb::Export { what, state } => {
            let (to, file) = match what.as_slice() {
                [file, to] => (to, Some(file.clone())),
                [to] if state.is_some() => (to, None),
                _ => {
                    let error = Error::new(ErrorKind::Usage, "whose state is to be copied, or where, is not said");
                    return Err(error.hint("streamer state export SCRIPT DIR, or --state STATE DIR").into());
                }
            };
            export::export(&Place { file, state: state.clone() }.jobs()?, to)?;
        }
        StateVerb::Show { what, state, format } => {
            let number = |text: &&String| text.parse::<u64>().ok();
            let epoch = what.iter().find_map(|text| number(&text));
            let file = what.iter().find(|text| number(text).is_none()).map(PathBuf::from);
            show(&Place { file, state: state.clone() }.jobs()?, epoch, *format)?;
        }
    }
    Ok(0)
}

impl Place {
    /// The jobs that have state there.
    fn jobs(&self) -> Result<Vec<StateLayout>> {
        let root = match (&self.state, &self.file) {
            (Some(state), _) => state.clone(),
            (None, Some(file)) => {
                if !file.is_file() {
                    return Err(Error::config(format!("there is no script \"{}\"", file.display()))
                        .hint("name the script, or the directory of the state with --state DIR"));
                }
                let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("script");
                StateLayout::new(None, stem, 0, 1).root
            }
            (None, None) => {
                return Err(Error::new(ErrorKind::Usage, "whose state is not said")
                    .hint("streamer state ls SCRIPT, or --state DIR"));
            }
        };
        let jobs = jobs_in(&root);
        if jobs.is_empty() {
            return Err(Error::config(format!("there is no state in \"{}\"", root.display()))
                .hint("a job with unbounded input keeps one, or one that is run with --state DIR"));
        }
        Ok(jobs)
    }
}

/// The state of a script with one job, or those of each of several.
fn jobs_in(root: &Path) -> Vec<StateLayout> {
    let one = StateLayout { root: root.to_path_buf() };
    if one.checkpoint().is_dir() {
        return vec![one];
    }
    let numbered = (1..).map(|number| StateLayout { root: root.join(format!("job-{number}")) });
    numbered.take_while(|job| job.root.is_dir()).filter(|job| job.checkpoint().is_dir()).collect()
}

fn ls(jobs: &[StateLayout], clock: &Clock) -> Result<()> {
    let mut text = String::new();
    for job in jobs {
        text += &format!("{}\n", job.root.display());
        text += &format!(
            "  {:>8} {:>6} {:>9} {:>15} {:>15}  {}\n",
            "epoch", "fence", "age", "rows read", "bytes of state", "undelivered epochs · condition"
        );
        for epoch in survey(job)? {
            let condition = epoch.condition();
            text += &match &epoch.manifest {
                None => format!("  {:>8} {:>6} {:>9} {:>15} {:>15}  {condition}\n", epoch.number, "?", "?", "?", "?"),
                Some(manifest) => format!(
                    "  {:>8} {:>6} {:>9} {:>15} {:>15}  {}{condition}\n",
                    epoch.number,
                    manifest.fence,
                    age(clock.now_ms().saturating_sub(manifest.created_ms)),
                    thousands(manifest.ledger.read),
                    thousands(epoch.bytes()),
                    undelivered(&epoch),
                ),
            };
        }
    }
    write_out(text.as_bytes())
}

/// `2 for 3.alerts · `; nothing if no sink has an outbox.
fn undelivered(epoch: &Epoch) -> String {
    let sinks = epoch.outbox.iter().map(|(sink, waiting)| {
        let count = waiting.iter().filter(|waiting| waiting.undelivered).count();
        format!("{count} for {sink}")
    });
    let sinks: Vec<String> = sinks.collect();
    if sinks.is_empty() { String::new() } else { format!("{} · ", sinks.join(", ")) }
}

/// A time that has passed, in two figures or so.
fn age(ms: i64) -> String {
    match ms.max(0) / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

fn show(jobs: &[StateLayout], number: Option<u64>, format: Form) -> Result<()> {
    for job in jobs {
        let epochs = survey(job)?;
        let found = match number {
            Some(number) => epochs.iter().find(|epoch| epoch.number == number),
            None => epochs.iter().rev().find(|epoch| epoch.manifest.is_some()),
        };
        let Some(epoch) = found else {
            let kept: Vec<String> = epochs.iter().map(|epoch| epoch.number.to_string()).collect();
            let what = number.map_or_else(|| "no epoch can be read".to_owned(), |n| format!("epoch {n} is not kept"));
            return Err(Error::config(format!("{what} in \"{}\"", job.root.display()))
                .hint(format!("there are: {}", kept.join(", "))));
        };
        let text = match format {
            Form::Text => described(job, epoch),
            Form::Json => epoch.json()? + "\n",
        };
        write_out(text.as_bytes())?;
    }
    Ok(())
}

fn described(job: &StateLayout, epoch: &Epoch) -> String {
    let mut text = format!("{} · epoch {} · {}\n", job.root.display(), epoch.number, epoch.condition());
    let Some(manifest) = &epoch.manifest else { return text };
    text += &format!(
        "  job         {} · fence {} · committed at {} UTC\n",
        manifest.pipeline,
        manifest.fence,
        clock_time(manifest.created_ms)
    );
    for p in &manifest.sources {
        let watermark = match p.watermark {
            WATERMARK_MIN => "none yet".to_owned(),
            WATERMARK_MAX => "the end".to_owned(),
            ms => format!("{} UTC ({ms})", clock_time(ms)),
        };
        let finished = if p.finished { " · read to its end" } else { "" };
        text += &format!(
            "  position    {} ← {}-{} · next offset {} · watermark {watermark}{finished}\n",
            p.table, p.topic, p.partition, p.next_offset
        );
    }
    text += &ledger_table(manifest.sources.iter().map(|p| (p.topic.as_str(), p.partition, p.counts)));
    for (operator, chain) in &manifest.operators {
        let objects = chain.iter().map(|snapshot| snapshot.objects.len()).sum::<usize>();
        text += &format!("\n  state       {operator} · {objects} objects · {} bytes", thousands(epoch.bytes()));
    }
    for sink in manifest.sinks.keys() {
        text += &match epoch.outbox.get(sink) {
            None => format!("\n  sink        {sink}"),
            Some(waiting) => {
                let undelivered: Vec<_> = waiting.iter().filter(|waiting| waiting.undelivered).collect();
                let rows = undelivered.iter().map(|waiting| waiting.rows).sum();
                format!(
                    "\n  sink        {sink} · {} epochs with {} rows to deliver",
                    undelivered.len(),
                    thousands(rows)
                )
            }
        };
    }
    text.trim_end().to_owned() + "\n"
}

fn verify(jobs: &[StateLayout]) -> Result<u8> {
    let (mut text, mut wrong) = (String::new(), false);
    for job in jobs {
        text += &format!("{}\n", job.root.display());
        for epoch in survey(job)? {
            let objects = epoch.manifest.as_ref().map_or(0, |manifest| manifest.objects().count());
            let segments: usize = epoch.outbox.values().map(Vec::len).sum();
            wrong |= !epoch.flaws.is_empty();
            text += &format!(
                "  epoch {}: {} · {objects} objects, {segments} outbox segments read\n",
                epoch.number,
                if epoch.flaws.is_empty() { "intact" } else { "damaged" }
            );
            for flaw in &epoch.flaws {
                text += &format!("    {flaw}\n");
            }
        }
        text += &match restart::newest_intact(&job.checkpoint()) {
            Ok(None) => "  a restart would start anew: there is no epoch\n".to_owned(),
            Ok(Some(found)) => match found.fallback {
                None => format!("  a restart would use epoch {}\n", found.manifest.epoch),
                Some(left_out) => format!(
                    "  a restart would use epoch {} if no sink has anything of epoch {}, else it would stop\n",
                    left_out.used, left_out.damaged
                ),
            },
            Err(error) => {
                wrong = true;
                format!("  a restart would stop: {}\n", error.message())
            }
        };
    }
    write_out(text.as_bytes())?;
    Ok(if wrong { WRONG } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let shown: Vec<String> = [-5, 999, 119_999, 120_000, 7_199_999, 7_200_000, 172_800_000].map(age).into();
        assert_eq!(shown, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }

    #[test]
    fn several_jobs_are_found_beside_each_other() {
        let root = tempfile::tempdir().unwrap();
        assert!(jobs_in(root.path()).is_empty());
        for job in ["job-1", "job-2", "job-10"] {
            std::fs::create_dir_all(root.path().join(job).join("checkpoint")).unwrap();
        }
        let names: Vec<PathBuf> = jobs_in(root.path()).into_iter().map(|job| job.root).collect();
        assert_eq!(names, [root.path().join("job-1"), root.path().join("job-2")]);
        std::fs::create_dir(root.path().join("checkpoint")).unwrap();
        assert_eq!(jobs_in(root.path()).len(), 1);
    }
}
