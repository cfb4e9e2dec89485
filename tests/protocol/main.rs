//! A longer search of protocol R than the tests have time for.
//!
//! `cargo run --release --example protocol -- [--records N] [--starts N] [--crashes N] [--faults N] [--held N] [--states MAX]`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a command that talks to people; its world is its own"
)]

#[path = "mod.rs"]
mod protocol;

use protocol::explorer::explore;
use protocol::world::Bounds;

fn main() -> std::process::ExitCode {
    let mut bounds = Bounds { records: 2, starts: 2, crashes: 2, faults: 1, held: 1 };
    let mut states_max = 50_000_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next().and_then(|value| value.parse::<usize>().ok()) else {
            eprintln!("{name} needs a number");
            return std::process::ExitCode::from(2);
        };
        let small = u8::try_from(value).unwrap_or(u8::MAX);
        match name.as_str() {
            "--records" => bounds.records = small,
            "--starts" => bounds.starts = small,
            "--crashes" => bounds.crashes = small,
            "--faults" => bounds.faults = small,
            "--held" => bounds.held = small,
            "--states" => states_max = value,
            _ => {
                eprintln!("no such option: {name}; there are --records --starts --crashes --faults --held --states");
                return std::process::ExitCode::from(2);
            }
        }
    }
    let report = explore(&streamer::protocol::Protocol, bounds, states_max);
    println!("{bounds:?}");
    println!("{} worlds, {} of them with everything delivered", report.states, report.complete);
    match report.violation {
        None => {
            println!(
                "{}",
                if report.states < states_max { "searched whole: 0 violations" } else { "0 violations so far" }
            );
            std::process::ExitCode::SUCCESS
        }
        Some((violation, path)) => {
            println!("{violation:?} after");
            path.iter().for_each(|(process, step)| println!("  process {process} {step}"));
            std::process::ExitCode::from(5)
        }
    }
}
