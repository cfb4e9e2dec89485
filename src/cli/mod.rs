//! The command line: arguments, dispatch by verb, errors and exit codes. Only this module prints.
//!
//! Standard output is for data; everything for people (banner, status, summary, log) goes to standard error.

mod check;
mod embedded;
mod health;
mod masked;
mod replay;
mod report;
mod run;
mod score;
mod script;
mod show;
mod signals;
mod simulate;
mod sql;
mod standby;
mod state;
mod status;
mod tables;
pub mod test;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use clap::{CommandFactory, Parser, Subcommand};

use crate::error::{Error, ErrorKind, Result};

/// Runs Flink SQL over Kafka, without Flink.
#[derive(Debug, Parser)]
#[command(name = "streamer", version, about, after_help = EXAMPLES, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  streamer run queries/anomaly.sql                      run the main job; without KAFKA_BOOTSTRAP_SERVERS on an
                                                        embedded cluster with 2400 simulated devices
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 streamer run queries/anomaly.sql
  streamer check queries/anomaly.sql                    all errors of a script, without running it
  streamer sql -f queries/anomaly.sql -c 'SELECT severity, COUNT(*) FROM anomalies_archive GROUP BY severity'
  streamer simulate --bootstrap localhost:9092 --rate 24000

Exit codes: 0 done or stopped · 1 the job failed · 2 wrong usage · 3 wrong script or option ·
            4 a system is not reachable · 5 a test or bound failed · 130/143 left at once on a second signal";

const RUN_EXAMPLES: &str = "\
Examples:
  streamer run queries/anomaly.sql --duration 30s           half a minute of the demonstration
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 streamer run queries/anomaly.sql
  streamer run q.sql --set TOPIC=readings                   fill in ${TOPIC} of the script
  streamer run q.sql --format csv > rows.csv                rows of a final SELECT
  streamer run q.sql --fresh                                forget the state and read everything again";

const CHECK_EXAMPLES: &str = "\
Examples:
  streamer check queries/anomaly.sql
  echo 'SELECT 1' | streamer check -                        exit code 3 if anything is wrong";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  streamer explain queries/anomaly.sql                      where rows change task, and what is kept per key";

const SQL_EXAMPLES: &str = "\
Examples:
  streamer sql -f queries/anomaly.sql                       a session; \\? shows its commands
  streamer sql -f queries/anomaly.sql -c 'SELECT * FROM ledger.late LIMIT 10'
  streamer sql -f queries/anomaly.sql -c 'SELECT * FROM device_windows' --format parquet > windows.parquet";

const STATE_EXAMPLES: &str = "\
Examples:
  streamer state ls queries/anomaly.sql                     every epoch that is kept
  streamer state show queries/anomaly.sql 41 --format json  one of them, whole
  streamer state verify --state data/state/anomaly          exit code 5 if anything is damaged
  streamer state export queries/anomaly.sql copy            then: streamer run queries/anomaly.sql --state copy";

const LEDGER_EXAMPLES: &str = "\
Examples:
  streamer ledger replay late -f queries/anomaly.sql --to readings.again --where \"`partition` = 3\"
  streamer ledger replay bad -f q.sql --to readings.mended --where \"reason LIKE 'JSON%'\"

Columns of the ledger: source topic partition offset record_time event_time watermark reason field message raw";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  streamer simulate --bootstrap localhost:9092 --rate 24000 --labels labels.jsonl
  streamer simulate --bootstrap localhost:9092 --rows 1000000 --rate 0
  streamer simulate --bootstrap localhost:9092 --rate 0 --replay data/nab/*/*.csv";

const SCORE_EXAMPLES: &str = "\
Examples:
  streamer score                                            after a run of queries/anomaly.sql
  streamer score --min-recall 0.95 --min-precision 0.9";

const TEST_EXAMPLES: &str = "\
Examples:
  streamer test tests/parity/cases           every case of a directory, counted by area
  streamer test my_case --differences 20     one case
  streamer test cases --filter window

A case is a directory:
  query.sql             the script; {{dir}} in it is where it runs, beside a copy of input/
  expected/TABLE.jsonl  rows of the sink {{dir}}/out/TABLE, or \"result\" of a final SELECT
  case.json             {\"area\": \"mine\", \"outputs\":
                         [{\"table\": \"o\", \"kind\": \"json\", \"columns\": [[\"n\", \"BIGINT\"]]}]}
                        kind: json, csv or query; or {\"compare\": \"error\"}: must be refused";

const HEALTHCHECK_EXAMPLES: &str = "\
Examples:
  streamer healthcheck                                  exit 0 if the job on this machine is ready
  streamer healthcheck --metrics-addr 127.0.0.1:9465";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(streamer completions bash)                       for this shell
  streamer completions zsh > ~/.zfunc/_streamer             for every shell to come";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a script until its input ends or Ctrl-C; run it again and it goes on where it was.
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::RunArguments),
    /// Report all errors of a script without running it.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::CheckArguments),
    /// Show what a script becomes: logical plan and stream plan with exchanges, state and watermarks.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(check::CheckArguments),
    /// Query a script's tables: Parquet output, bounded topic ranges, the ledger (`ledger.late`, `ledger.bad`).
    #[command(after_help = SQL_EXAMPLES)]
    Sql(sql::SqlArguments),
    /// Write records of the ledger to a topic once more.
    #[command(after_help = LEDGER_EXAMPLES)]
    Ledger(replay::LedgerArguments),
    /// Look at the state a job keeps: list, show, verify or copy its epochs; the job may be running.
    #[command(after_help = STATE_EXAMPLES)]
    State(state::StateArguments),
    /// Send the readings of 2400 devices, with labelled anomalies, to a Kafka cluster.
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(simulate::SimulateArguments),
    /// Compare alerts with the labels of the simulator or of the Numenta Anomaly Benchmark.
    #[command(after_help = SCORE_EXAMPLES)]
    Score(score::ScoreArguments),
    /// Run test cases: scripts with inputs and the rows they must give.
    #[command(after_help = TEST_EXAMPLES)]
    Test(test::TestArguments),
    /// Ask a running job whether it is ready (exit 0), for container health checks.
    #[command(after_help = HEALTHCHECK_EXAMPLES)]
    Healthcheck(health::HealthArguments),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What a script's text is made of besides the file.
#[derive(Debug, Clone, clap::Args)]
struct ScriptArguments {
    /// The script; `-` reads standard input.
    file: PathBuf,
    /// A variable of the script, before the environment's; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

/// Runs the command line and returns the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap knows whether it is help (standard output, 0) or a mistake (standard error, 2).
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { code } else { 1 };
        }
    };
    start_log();
    let (ends, end) = sync_channel(ENDS_MAX);
    let Ok(()) = LEAVE.set(ends.clone()) else { return dispatch(arguments.verb) };
    let verb = std::thread::Builder::new().name("verb".into()).stack_size(STACK_BYTES).spawn(move || {
        // Dropped last, and so told last: counts only if the verb panicked.
        let _panicked = Ended(ends.clone());
        tell(&ends, dispatch(arguments.verb));
    });
    match verb {
        Ok(_) => end.recv().unwrap_or(PANICKED),
        Err(error) => {
            Failure::from(Error::from(error)).report();
            ErrorKind::Unavailable.exit_code()
        }
    }
}

/// Exit code of a process that panicked, as Rust's own.
const PANICKED: u8 = 101;
/// What a main thread has.
const STACK_BYTES: usize = 8 << 20;
/// The verb's code, a panic's, and one per signal until the process has ended.
const ENDS_MAX: usize = 8;

/// How the process ends before its verb does.
static LEAVE: OnceLock<SyncSender<u8>> = OnceLock::new();

/// Ends the process with `code`, whatever its threads do.
fn leave(code: u8) {
    if let Some(ends) = LEAVE.get() {
        tell(ends, code);
    }
}

/// The first code told is the one that counts: for a later one there need be no room.
fn tell(ends: &SyncSender<u8>, code: u8) {
    let told = ends.try_send(code).is_ok();
    tracing::debug!(code, told, "the process ends");
}

struct Ended(SyncSender<u8>);

impl Drop for Ended {
    fn drop(&mut self) {
        tell(&self.0, PANICKED);
    }
}

/// Runs a verb and returns its exit code.
fn dispatch(verb: Verb) -> u8 {
    let done = match verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Check(arguments) => check::check(&arguments),
        Verb::Explain(arguments) => check::explain(&arguments),
        Verb::Sql(arguments) => sql::sql(&arguments),
        Verb::Ledger(arguments) => replay::ledger(&arguments),
        Verb::State(arguments) => state::state(&arguments),
        Verb::Simulate(arguments) => simulate::simulate(&arguments),
        Verb::Score(arguments) => score::score(&arguments),
        Verb::Test(arguments) => test::test(&arguments),
        Verb::Healthcheck(arguments) => health::healthcheck(&arguments),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "streamer", &mut std::io::stdout());
            Ok(0)
        }
    };
    done.unwrap_or_else(|failure| {
        failure.report();
        failure.error.kind().exit_code()
    })
}

/// How the report of an internal error begins.
const BUG: &str = "This is a bug of streamer";

/// An error on its way to the user, with the script it is about.
struct Failure {
    error: Error,
    script: Option<(String, String)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, script: None }
    }
}

impl Failure {
    fn report(&self) {
        let script = self.script.as_ref().map(|(path, text)| (path.as_str(), masked::masked(text)));
        let script = script.as_ref().map(|(path, text)| (*path, text.as_str()));
        let mut text = self.error.render(script, show::color(show::Stream::Error));
        let errors = self.error.clone().flatten().len();
        if errors > 1 {
            text.push_str(&format!("\n\n{errors} errors"));
        }
        if self.error.kind() == ErrorKind::Internal {
            text.push_str(&format!("\n\n{BUG}: please report it with the command and the script."));
        }
        show::error_line(&text);
    }
}

/// Log to standard error: `RUST_LOG` decides, warnings by default; JSON lines if `STREAMER_LOG_FORMAT=json`.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let json = std::env::var("STREAMER_LOG_FORMAT").is_ok_and(|format| format == "json");
    if json { log.json().init() } else { log.with_ansi(show::color(show::Stream::Error)).init() }
}

/// A runtime for the verbs that wait for other systems.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("streamer").build()?)
}

/// Whoever read standard output has gone away.
static OUTPUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes data to standard output. A reader that has gone away is no error: the output ends there.
fn write_out(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            OUTPUT_CLOSED.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => Err(Error::new(ErrorKind::Data, format!("cannot write to standard output: {error}"))),
    }
}
