//! What a row costs, step by step: `cargo bench`, or `cargo bench -- over` for the subjects named so.
//!
//! The one idea: a figure of a shared machine says nothing, a ratio of one run does. The subjects take turns,
//! pass by pass, over the same simulated readings; each is told by its best pass, as rows per second, as CPU
//! time per row and as a multiple of two others of the run: fetching those bytes from Kafka without reading
//! them, and decoding them without fetching.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod decode;
mod drain;
mod measure;
mod operators;
mod readings;

use std::process::ExitCode;

use streamer::error::{Error, Result};

use crate::drain::Cluster;
use crate::measure::{Cost, Subject};
use crate::readings::Readings;

/// What every other subject is a multiple of: always part of a run.
const FETCH: &str = "fetch only";
const DECODE: &str = "decode only, ours";

/// What the command line says.
struct Arguments {
    /// Parts of the names of the subjects wanted; none: all.
    names: Vec<String>,
    /// How often every subject takes its turn.
    passes: usize,
    /// Readings per partition; fewer than fit are for profilers that slow everything down.
    rows: usize,
    /// Nothing but the subjects named, for a profiler.
    alone: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut parsed = Self { names: Vec::new(), passes: 5, rows: usize::MAX, alone: false };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let next = arguments.next().and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
                next.ok_or_else(|| Error::config(format!("\"{argument}\" needs a number above 0")))
            };
            match argument.as_str() {
                // What cargo itself says.
                "--bench" => {}
                "--passes" => parsed.passes = number()?,
                "--rows" => parsed.rows = number()?,
                "--alone" => parsed.alone = true,
                flag if flag.starts_with('-') => {
                    return Err(Error::config(format!("there is no option \"{flag}\""))
                        .hint("cargo bench -- [NAME …] [--passes N] [--rows N] [--alone]"));
                }
                name => parsed.names.push(name.to_owned()),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, name: &str) -> bool {
        let base = !self.alone && (name == FETCH || name == DECODE);
        base || self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.render(None, false));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let readings = Readings::simulated(arguments.rows)?;
    println!("{}", readings.description());
    let wants = |name: &str| arguments.wants(name);
    let cluster = if wants(FETCH) || wants(drain::DRAIN) { Some(Cluster::filled(&readings, &runtime)?) } else { None };
    let mut subjects: Vec<Box<dyn Subject + '_>> = Vec::new();
    if let Some(cluster) = &cluster {
        subjects.push(Box::new(drain::Fetch { cluster, runtime: &runtime }));
    }
    subjects.extend(decode::subjects(&readings, wants)?);
    subjects.extend(operators::subjects(&readings, wants)?);
    if let Some(cluster) = &cluster {
        subjects.push(Box::new(drain::Drain { cluster, runtime: &runtime }));
    }
    subjects.retain(|subject| wants(&subject.name()));
    if subjects.is_empty() {
        return Err(Error::config(format!("no subject has a name like \"{}\"", arguments.names.join("\" or \""))));
    }
    let costs = measure::interleaved(&mut subjects, arguments.passes)?;
    report(&subjects, &costs);
    // The brokers end with the process: clients still closing must not complain about them.
    drop(subjects);
    std::mem::forget(cluster);
    runtime.shutdown_background();
    Ok(())
}

/// The table: the best pass of each subject, its multiples of the two bases and of the peer on the same bytes.
fn report(subjects: &[Box<dyn Subject + '_>], costs: &[Cost]) {
    let cost_of = |name: &str| subjects.iter().position(|s| s.name() == name).and_then(|at| costs.get(at));
    let times = |cost: &Cost, base: Option<&Cost>| {
        base.map_or_else(|| "-".to_owned(), |base| format!("{:.2} ×", cost.cpu_per_row() / base.cpu_per_row()))
    };
    println!(
        "\n{:<36} {:>12} {:>12} {:>9} {:>9} {:>9} {:>9}",
        "CPU time, best pass", "rows/s", "rows/s·core", "ns/row", "÷ decode", "÷ fetch", "÷ peer"
    );
    for (subject, cost) in subjects.iter().zip(costs) {
        println!(
            "{:<36} {:>12.0} {:>12.0} {:>9.0} {:>9} {:>9} {:>9}",
            subject.name(),
            cost.rows_per_second(),
            1e9 / cost.cpu_per_row(),
            cost.cpu_per_row(),
            times(cost, cost_of(DECODE)),
            times(cost, cost_of(FETCH)),
            times(cost, subject.peer().and_then(|peer| cost_of(&peer))),
        );
    }
    println!(
        "rows/s: by the wall clock, on as many cores as the subject takes; everything else: CPU time of its threads"
    );
    if let Some(peak) = measure::peak_bytes() {
        println!("peak memory of the whole bench, input and brokers included: {} MiB", peak >> 20);
    }
}
