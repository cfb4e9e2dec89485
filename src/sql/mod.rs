//! Flink SQL: the text of a script to [`StreamPlan`]s.
//!
//! Statements are taken in script order, as Flink takes them: `parser` reads them, `catalog` keeps what
//! they declare, `planner` makes a logical plan of each query and plan nodes of that. A mistake ends its
//! statement and no other; all mistakes of a script are shown at once.

pub mod parser;

mod bounded_unnest;
mod catalog;
mod collections;
mod group_window;
mod hints;
mod insert;
mod interval;
mod length;
mod listing;
mod mark;
mod over_window;
mod places;
mod planner;
mod planning;
mod registry;
mod rehearsal;
mod rewrite;
mod session;
mod settings;
mod show_create;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::{Error, Result, Span};
use crate::plan::{Settings, StreamPlan};
use crate::sql::catalog::Catalog;
use crate::sql::planning::Planning;
use crate::table::TableSpec;

pub use crate::sql::session::{Session, session};
pub use crate::sql::types::flink_type as type_name;

/// Value of the option `connector` of the table a final SELECT writes to: the runtime collects its rows.
pub const COLLECT: &str = "collect";

/// Stack of the planning thread. Expressions are bounded in depth; this is what that depth may take.
const STACK_BYTES: usize = 64 << 20;

/// A planned script.
#[derive(Debug, Clone)]
pub struct Script {
    /// In script order: each INSERT outside a set, each statement set, a final SELECT.
    pub jobs: Vec<Job>,
    /// All declared tables, in script order.
    pub tables: Vec<Arc<TableSpec>>,
    /// What `SET` says at the end of the script.
    pub settings: Settings,
    /// What was accepted and does nothing, for the user to read.
    pub notes: Vec<Note>,
    /// What is wrong with the options of tables that no job uses, and with views that Flink accepts and no job can be made
    /// of: as in Flink, it stops no job.
    pub unused: Vec<Error>,
    /// Constants that cannot be computed: as in Flink, they stop a job when its first row comes.
    pub failing: Vec<Error>,
    /// What `SHOW`, `DESCRIBE` and `EXPLAIN` say, in script order.
    pub answers: Vec<Answer>,
    catalog: Catalog,
}

/// What a statement that asks about the script says.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Columns as Flink names them; one named `result` for a text.
    pub rows: RecordBatch,
    /// The statement is the last of the script: its rows are the script's result.
    pub last: bool,
}

/// Something to tell that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One sentence, lowercase.
    pub message: String,
    /// Where in the script.
    pub span: Span,
}

/// What runs together, with one state and one commit.
#[derive(Debug, Clone)]
pub struct Job {
    /// What runs.
    pub plan: StreamPlan,
    /// Which statement it came from.
    pub kind: JobKind,
    /// The statement.
    pub span: Span,
}

/// The statement a job came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobKind {
    /// `INSERT INTO`.
    Insert,
    /// `EXECUTE STATEMENT SET`.
    StatementSet,
    /// A final `SELECT`: its rows go to the user.
    Select {
        /// Names of the result's columns.
        columns: Vec<String>,
    },
}

/// Plans a script; `variables` gives the values of `${NAME}` in options, and asked for `file:PATH` the text of a file.
///
/// # Errors
/// All errors of the script at once ([`Error::flatten`]), in script order, each with its place.
pub fn plan_script(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Script> {
    let variables = used_variables(text, variables);
    let planned = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("planner".into()).stack_size(STACK_BYTES);
        let planning = thread.spawn_scoped(scope, || {
            let (statements, errors) = parser::parse_script(text, &|name| variables.get(name).cloned());
            let unread = if errors.is_empty() { BTreeSet::new() } else { declared_names(text) };
            Planning::new(errors, unread).run(&statements)
        })?;
        planning.join().map_err(|_| std::io::Error::other("the planner stopped"))
    });
    planned.map_err(|e| Error::internal("planning failed").because(e))?
}

/// The values of all names in `${…}`, `file:PATH` among them: the planning thread cannot ask for them.
fn used_variables(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for piece in text.split("${").skip(1) {
        let end = match piece.starts_with(parser::FILE) {
            true => piece.find('}').map(|end| piece.get(..end).and_then(|inside| inside.find(":-")).unwrap_or(end)),
            false => piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_'),
        };
        let name = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        if let Some(value) = variables(name) {
            found.insert(name.to_owned(), value);
        }
    }
    found
}

/// Names after `TABLE`, `VIEW` and `FUNCTION`, read loosely: only consequences of other errors depend on it.
fn declared_names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_alphanumeric() || c == '_' || c == '`' || c == '.');
    let mut words = text.split(word).filter(|w| !w.is_empty()).peekable();
    let mut names = BTreeSet::new();
    while let Some(keyword) = words.next() {
        if ["TABLE", "VIEW", "FUNCTION"].iter().any(|k| k.eq_ignore_ascii_case(keyword)) {
            while words.next_if(|w| ["IF", "NOT", "EXISTS"].iter().any(|k| k.eq_ignore_ascii_case(w))).is_some() {}
            let name = words.peek().and_then(|path| path.rsplit('.').next());
            names.extend(name.map(|name| name.trim_matches('`').to_owned()));
        }
    }
    names
}

#[cfg(test)]
mod tests;
