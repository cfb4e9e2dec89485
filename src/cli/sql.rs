//! `streamer sql`: ad-hoc queries over a script's tables, once (`-c`) or in a session with history.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};

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
    let layout = StateLayout::new(arguments.state.as_deref(), &name, 0, 1);
    let session = tables::open(&script, &layout)?;
    let automatic = if show::terminal(Stream::Output) { Format::Table } else { Format::Csv };
    let format = arguments.format.unwrap_or(automatic);
    let runtime = runtime()?;
    if arguments.command.is_empty() {
        let mut shell = Shell { session, format, timing: false, runtime };
        return if std::io::stdin().is_terminal() { shell.interactive() } else { shell.piped() };
    }
    for command in &arguments.command {
        runtime.block_on(query(&session, command, format)).map_err(|error| at_command(error, command))?;
    }
    Ok(0)
}

fn at_command(error: Error, text: &str) -> Failure {
    Failure { error, script: Some(("-c".to_owned(), text.to_owned())) }
}

/// Runs one query and writes its rows.
async fn query(session: &Session, text: &str, format: Format) -> Result<()> {
    let frame = session.query(text.trim().trim_end_matches(';'))?;
    match format {
        Format::Table => {
            let schema = frame.schema().as_arrow().clone();
            let batches = frame.collect().await?;
            let all = arrow::compute::concat_batches(&schema.into(), &batches)?;
            let rows = all.num_rows();
            ResultWriter::new(format).write(&all)?;
            super::write_out(format!("({rows} row{})\n", if rows == 1 { "" } else { "s" }).as_bytes())
        }
        Format::Parquet => write_parquet(frame.execute_stream().await?).await,
        Format::Jsonl | Format::Csv => {
            let mut stream = frame.execute_stream().await?;
            let mut writer = ResultWriter::new(format);
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
    timing: bool,
    runtime: tokio::runtime::Runtime,
}

const HELP: &str = "\
  SELECT …;          run a query; it may go over several lines
  \\d  .tables        tables          \\d NAME   columns of a table
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
        let names =
            self.session.tables().map(str::to_owned).chain(self.session.functions().into_iter().map(str::to_owned));
        let words: Vec<String> = names.chain(KEYWORDS.iter().map(|k| (*k).to_owned())).collect();
        let mut editor: Editor<Words, FileHistory> = Editor::new().map_err(failed)?;
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
                    drop(editor.add_history_entry(line.as_str()));
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

    /// Statements from a pipe, each ended by `;`; the first that fails ends the session.
    fn piped(&mut self) -> Result<u8, Failure> {
        let mut statement = String::new();
        for line in std::io::stdin().lock().lines() {
            statement.push_str(&line.map_err(Error::from)?);
            statement.push('\n');
            if statement.trim_end().ends_with(';') {
                let text = std::mem::take(&mut statement);
                self.runtime.block_on(query(&self.session, &text, self.format)).map_err(|e| at_command(e, &text))?;
            }
        }
        if !statement.trim().is_empty() {
            self.runtime
                .block_on(query(&self.session, &statement, self.format))
                .map_err(|e| at_command(e, &statement))?;
        }
        Ok(0)
    }

    fn line(&mut self, line: &str) -> Asked {
        let text = line.trim();
        let mut words = text.split_whitespace();
        let outcome = match (words.next().unwrap_or(""), words.next()) {
            ("", _) => Ok(()),
            ("\\q" | "exit" | "quit" | ".exit" | ".quit", _) => return Asked::Leave,
            ("\\?" | "\\h" | "help" | ".help", _) => super::write_out(format!("{HELP}\n").as_bytes()),
            ("\\timing" | ".timer", _) => {
                self.timing = !self.timing;
                super::write_out(if self.timing { b"timing is on\n" } else { b"timing is off\n" })
            }
            ("\\f" | ".mode", Some(name)) => self.set_format(name),
            ("\\d" | "\\dt" | ".tables", None) => self.tables(),
            ("\\d" | ".schema", Some(name)) => self.columns(name.trim_end_matches(';')),
            (word, _) if word.starts_with(['\\', '.']) => {
                Err(Error::config(format!("\"{word}\" is no command")).hint("\\? shows the commands"))
            }
            _ => self.run(text),
        };
        if let Err(error) = outcome {
            at_command(error, text).report();
        }
        Asked::Done
    }

    fn run(&self, text: &str) -> Result<()> {
        let clock = system_clock();
        self.runtime.block_on(query(&self.session, text, self.format))?;
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

    fn tables(&self) -> Result<()> {
        let names: Vec<&str> = self.session.tables().collect();
        super::write_out(format!("{}\n", names.join("\n")).as_bytes())
    }

    fn columns(&self, name: &str) -> Result<()> {
        let quoted: Vec<String> = name.split('.').map(|part| format!("`{}`", part.trim_matches('`'))).collect();
        let frame = self.session.query(&format!("SELECT * FROM {}", quoted.join(".")))?;
        let mut text = String::new();
        for field in frame.schema().fields() {
            text.push_str(&format!("{}  {}\n", field.name(), sql::type_name(field.data_type())));
        }
        super::write_out(text.as_bytes())
    }
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
pub(super) async fn rows(session: &Session, text: &str, patience: Duration) -> Result<Vec<arrow::array::RecordBatch>> {
    let collecting = async { Ok(session.query(text)?.collect().await?) };
    tokio::time::timeout(patience, collecting)
        .await
        .map_err(|_| Error::unavailable("the table could not be read in time"))?
}
