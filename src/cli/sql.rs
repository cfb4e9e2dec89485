//! `streamer sql`: ad-hoc queries over a script's tables, once (`-c`) or in a session with history.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor, Helper};

use crate::cli::script::{StateLayout, load};
use crate::cli::show::{self, Format, ResultWriter, Stream};
use crate::cli::{Failure, ScriptArguments, runtime, tables};
use crate::error::{Error, Result};
use crate::sql::{self, Session};
use crate::time::system_clock;

/// Arguments of `sql`.
#[derive(Debug, clap::Args)]
pub(super) struct SqlArguments {
    /// The script whose tables are asked.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A query to run; may be repeated. Without it: a session.
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// How rows are written [default: table on a terminal, csv elsewhere].
    #[arg(long)]
    format: Option<Format>,
    /// Where the job keeps its state and ledger [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A variable of the script, before the environment's; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

/// Runs queries.
pub(super) fn sql(arguments: &SqlArguments) -> Result<u8, Failure> {
    let (script, name) = match &arguments.file {
        Some(file) => {
            let loaded = load(&ScriptArguments { file: file.clone(), variables: arguments.variables.clone() })?;
            (loaded.script, loaded.name)
        }
        None => (sql::plan_script("", &|_| None)?, "sql".to_owned()),
    };
    let zone = script.settings.time_zone.clone();
    let layout = StateLayout::new(arguments.state.as_deref(), &name, 0, 1);
    let session = tables::open(&script, &layout)?;
    let automatic = if show::terminal(Stream::Output) { Format::Table } else { Format::Csv };
    let format = arguments.format.unwrap_or(automatic);
    let runtime = runtime()?;
    if arguments.command.is_empty() {
        let interactive = std::io::stdin().is_terminal();
        let mut shell = Shell { session, format, zone, timing: false, interactive, runtime };
        return if interactive { shell.interactive() } else { shell.piped() };
    }
    if format == Format::Parquet && arguments.command.len() > 1 {
        return Err(one_result().into());
    }
    for command in &arguments.command {
        runtime.block_on(answer(&session, command, format, &zone)).map_err(|error| at_command(error, command))?;
    }
    Ok(0)
}

fn at_command(error: Error, text: &str) -> Failure {
    Failure { error, script: Some(("-c".to_owned(), text.to_owned())) }
}

/// An error in statements read from standard input, `lines` below its first.
fn at_input(error: Error, text: &str, lines: usize) -> Failure {
    let above = u32::try_from(lines).unwrap_or(u32::MAX);
    Failure { error: error.moved_down(above), script: Some(("stdin".to_owned(), "\n".repeat(lines) + text)) }
}

fn one_result() -> Error {
    Error::config("a Parquet file holds the rows of one query").hint("run one query at a time")
}

/// Runs the statements of `text` and writes their rows.
async fn answer(session: &Session, text: &str, format: Format, zone: &str) -> Result<()> {
    let frames = session.queries(text)?;
    if format == Format::Parquet && frames.len() > 1 {
        return Err(one_result());
    }
    for frame in frames {
        write_rows(frame, format, zone).await?;
    }
    Ok(())
}

async fn write_rows(frame: DataFrame, format: Format, zone: &str) -> Result<()> {
    match format {
        Format::Table => {
            let schema = frame.schema().as_arrow().clone();
            let batches = frame.collect().await?;
            let all = arrow::compute::concat_batches(&schema.into(), &batches)?;
            let rows = all.num_rows();
            ResultWriter::new(format, zone.to_owned()).write(&all)?;
            super::write_out(format!("({rows} row{})\n", if rows == 1 { "" } else { "s" }).as_bytes())
        }
        Format::Parquet => write_parquet(frame.execute_stream().await?).await,
        Format::Jsonl | Format::Csv => {
            let mut stream = frame.execute_stream().await?;
            let mut writer = ResultWriter::new(format, zone.to_owned());
            // no rows have a header, too
            writer.write(&RecordBatch::new_empty(stream.schema()))?;
            while let Some(batch) = stream.next().await {
                writer.write(&batch?)?;
            }
            Ok(())
        }
    }
}

/// Writes a Parquet file to standard output, which must not be a terminal.
async fn write_parquet(mut rows: SendableRecordBatchStream) -> Result<()> {
    if show::terminal(Stream::Output) {
        return Err(
            Error::config("Parquet is not for a terminal").hint("redirect it: … --format parquet > rows.parquet")
        );
    }
    let failed = |e: parquet::errors::ParquetError| Error::internal(format!("cannot write Parquet: {e}"));
    let mut writer = ArrowWriter::try_new(std::io::stdout(), rows.schema(), None).map_err(failed)?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.close().map(drop).map_err(failed)
}

/// A session that reads statements from a person or a pipe.
struct Shell {
    session: Session,
    format: Format,
    zone: String,
    timing: bool,
    interactive: bool,
    runtime: tokio::runtime::Runtime,
}

const HELP: &str = "\
  SELECT …;          run a query; it may go over several lines
  SHOW TABLES;       tables and views (also \\d); SHOW VIEWS;
  DESCRIBE NAME;     columns of a table (also \\d NAME)
  \\f FORMAT          table, jsonl or csv
  \\timing            show how long queries take
  \\? help            this text        \\q exit   leave";

/// What a line asks for.
enum Asked {
    Leave,
    Done,
}

impl Shell {
    fn interactive(&mut self) -> Result<u8, Failure> {
        let failed = |e: ReadlineError| Error::unavailable(format!("cannot read the terminal: {e}"));
        let names = self.session.tables().chain(self.session.functions()).chain(KEYWORDS.iter().copied());
        let words: Vec<String> = names.map(str::to_owned).chain(self.session.columns()).collect();
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Words(words)));
        let history = history_file();
        if let Some(path) = &history {
            // No history yet, or an unreadable one: a session is possible without.
            drop(editor.load_history(path));
        }
        show::error_line("streamer sql · \\? for help, \\q to leave");
        loop {
            match editor.readline("streamer> ") {
                Ok(line) => {
                    drop(editor.add_history_entry(line.trim()));
                    if matches!(self.line(&line), Asked::Leave) {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(failed(error).into()),
            }
        }
        if let Some(path) = history {
            let kept = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            if kept.is_err() || editor.save_history(&path).is_err() {
                show::error_line(&format!("the history cannot be kept in {}", path.display()));
            }
        }
        Ok(0)
    }

    /// Statements from a pipe, run as soon as a line ends with `;`, and commands, each on a line of its own; the
    /// first that fails ends the session.
    fn piped(&mut self) -> Result<u8, Failure> {
        let mut statement = String::new();
        let mut above = 0;
        for (number, line) in std::io::stdin().lock().lines().enumerate() {
            let line = line.map_err(Error::from)?;
            if statement.is_empty() {
                above = number;
            }
            if statement.trim().is_empty() && line.trim_start().starts_with(['\\', '.']) {
                match self.command(&line) {
                    Ok(Asked::Leave) => return Ok(0),
                    Ok(Asked::Done) => continue,
                    Err(failure) => return Err(failure),
                }
            }
            statement.push_str(&line);
            statement.push('\n');
            if line.trim_end().ends_with(';') {
                self.run(&std::mem::take(&mut statement), above)?;
            }
        }
        self.run(&statement, above).map(|()| 0)
    }

    /// A line of a person, who is told what is wrong and goes on.
    fn line(&mut self, line: &str) -> Asked {
        self.command(line).unwrap_or_else(|failure| {
            failure.report();
            Asked::Done
        })
    }

    /// A command, or statements of SQL.
    fn command(&mut self, line: &str) -> Result<Asked, Failure> {
        let text = line.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let mut words = text.split_whitespace();
        match (words.next().unwrap_or(""), words.next()) {
            ("", _) => {}
            ("\\q" | "exit" | "quit" | ".exit" | ".quit", None) => return Ok(Asked::Leave),
            ("\\?" | "\\h" | "help" | ".help", None) => super::write_out(format!("{HELP}\n").as_bytes())?,
            ("\\timing" | ".timer", _) => {
                self.timing = !self.timing;
                super::write_out(if self.timing { b"timing is on\n" } else { b"timing is off\n" })?;
            }
            ("\\f" | ".mode", Some(name)) => self.set_format(name)?,
            ("\\d" | "\\dt" | ".tables", None) => self.run("SHOW TABLES", 0)?,
            ("\\d" | ".schema", Some(name)) => self.run(&format!("DESCRIBE {}", quoted(name)), 0)?,
            (word, _) if word.starts_with(['\\', '.']) => {
                let error = Error::config(format!("\"{word}\" is no command, or lacks its argument"));
                return Err(error.hint("\\? shows the commands").into());
            }
            _ => self.run(line, 0)?,
        }
        Ok(Asked::Done)
    }

    /// Runs statements that stand `above` lines below the first; Ctrl-C ends them and not the session.
    fn run(&self, text: &str, above: usize) -> Result<(), Failure> {
        let clock = system_clock();
        let outcome = self.runtime.block_on(async {
            tokio::select! {
                done = answer(&self.session, text, self.format, &self.zone) => done,
                _ = tokio::signal::ctrl_c(), if self.interactive => Err(Error::unavailable("the query was cancelled")),
            }
        });
        outcome.map_err(|error| at_input(error, text, above))?;
        if self.timing {
            super::write_out(format!("{} ms\n", clock.elapsed().as_millis()).as_bytes())?;
        }
        Ok(())
    }

    fn set_format(&mut self, name: &str) -> Result<()> {
        let format =
            <Format as clap::ValueEnum>::from_str(name, true).ok().filter(|f| *f != Format::Parquet).ok_or_else(
                || Error::config(format!("\"{name}\" is no format of a session")).hint("table, jsonl or csv"),
            )?;
        self.format = format;
        Ok(())
    }
}

/// A table's name in back-ticks, part by part.
fn quoted(name: &str) -> String {
    let parts: Vec<String> = name.split('.').map(|part| format!("`{}`", part.replace('`', ""))).collect();
    parts.join(".")
}

const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "AS",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "BETWEEN",
    "LIKE",
    "IN",
    "JOIN",
    "LEFT",
    "ON",
    "UNION ALL",
    "DISTINCT",
    "DESC",
    "INTERVAL",
    "SHOW TABLES",
    "SHOW VIEWS",
    "DESCRIBE",
];

/// Completes names and keywords, and waits for the `;` of a statement.
struct Words(Vec<String>);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or(line);
        let start = typed.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
        let prefix = typed.get(start..).unwrap_or("").to_lowercase();
        if prefix.is_empty() {
            return Ok((start, Vec::new()));
        }
        let mut found: Vec<String> = self.0.iter().filter(|w| w.to_lowercase().starts_with(&prefix)).cloned().collect();
        found.sort();
        found.dedup();
        Ok((start, found))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let command = text.is_empty() || text.starts_with(['\\', '.']) || matches!(text, "exit" | "quit" | "help");
        Ok(if command || text.ends_with(';') { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Helper for Words {}

/// `$XDG_STATE_HOME/streamer/history`, or below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(state.join("streamer/history"))
}

/// Rows of a query, for verbs that look at tables themselves.
pub(super) async fn rows(session: &Session, text: &str, patience: Duration) -> Result<Vec<RecordBatch>> {
    let collecting = async { Ok(session.query(text)?.collect().await?) };
    tokio::time::timeout(patience, collecting)
        .await
        .map_err(|_| Error::unavailable("the table could not be read in time"))?
}
