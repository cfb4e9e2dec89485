//! What a script says, statement by statement: the parser's result and the planner's input.
//!
//! Statements and table definitions are our own types, because Flink's are not those of sqlparser;
//! queries and expressions are sqlparser's, because DataFusion plans those. Every name and value
//! carries the [`Span`] it was read from, so that later stages can point at it. Names are as written
//! (case-sensitive, back-ticks removed) and without the catalog, of which there is one.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, Query};

use crate::error::Span;

/// A value and the stretch of the script it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value`, read at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// `[database.]name` of a table or view. What a name without a database means is for the catalog to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The database, if one is written.
    pub database: Option<String>,
    /// The name within it.
    pub value: String,
    /// The whole path.
    pub span: Span,
}

/// Options in the order written: name and value.
pub type OptionList = Vec<(Spanned<String>, Spanned<String>)>;

/// One statement of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// The whole statement, without its `;`.
    pub span: Span,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `SET 'key' = 'value'`; quotes are optional.
    Set {
        /// Name of the setting.
        key: Spanned<String>,
        /// Its value as text; empty if nothing was written.
        value: Spanned<String>,
    },
    /// `SET` alone: shows the settings.
    SetList,
    /// `RESET 'key'`, or `RESET` alone for all settings.
    Reset {
        /// Name of the setting; `None` means all.
        key: Option<Spanned<String>>,
    },
    /// `CREATE [TEMPORARY] TABLE`.
    CreateTable(CreateTable),
    /// `CREATE [TEMPORARY] VIEW`.
    CreateView(CreateView),
    /// `INSERT INTO`.
    Insert(Insert),
    /// `EXECUTE STATEMENT SET BEGIN … END` or `BEGIN STATEMENT SET; … END`: one job, in script order.
    StatementSet(Vec<Insert>),
    /// `SELECT`, `WITH` or `VALUES` on its own.
    Query(Box<Query>),
    /// `EXPLAIN [PLAN FOR]` a query, an insert or a statement set.
    Explain {
        /// The statement to explain.
        statement: Box<Statement>,
    },
    /// `CREATE DATABASE [IF NOT EXISTS]`.
    CreateDatabase {
        /// Its name.
        name: Spanned<String>,
        /// `IF NOT EXISTS` was written.
        if_not_exists: bool,
    },
    /// `DROP DATABASE [IF EXISTS] … [CASCADE]`.
    DropDatabase {
        /// Its name.
        name: Spanned<String>,
        /// `IF EXISTS` was written.
        if_exists: bool,
        /// `CASCADE` was written: its tables go with it.
        cascade: bool,
    },
    /// `USE database`: names without a database are looked up there.
    Use(Spanned<String>),
    /// `ALTER TABLE [IF EXISTS]`.
    AlterTable {
        /// Name of the table.
        name: TableName,
        /// `IF EXISTS` was written.
        if_exists: bool,
        /// What is changed.
        change: Alteration,
    },
    /// `ALTER VIEW … RENAME TO` or `ALTER VIEW … AS`.
    AlterView {
        /// Name of the view.
        name: TableName,
        /// What is changed.
        change: ViewAlteration,
    },
    /// `DROP [TEMPORARY] TABLE | VIEW [IF EXISTS]`.
    Drop {
        /// Table or view.
        what: ObjectKind,
        /// `TEMPORARY` was written.
        temporary: bool,
        /// Its name.
        name: TableName,
        /// `IF EXISTS` was written.
        if_exists: bool,
    },
    /// `DESCRIBE` or `DESC` of a table or view.
    Describe {
        /// Its name.
        name: TableName,
    },
    /// `SHOW …`.
    Show(Show),
}

/// What a `SHOW` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// Of what.
    pub what: Shown,
    /// `[NOT] LIKE 'pattern'`: the names that match, or those that do not.
    pub like: Option<(bool, String)>,
}

/// What can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Tables and views, of the database named or the current one.
    Tables(Option<Spanned<String>>),
    /// Views, likewise.
    Views(Option<Spanned<String>>),
    /// Databases.
    Databases,
    /// The one catalog.
    Catalogs,
    /// The one catalog.
    CurrentCatalog,
    /// The database in use.
    CurrentDatabase,
    /// Functions that can be called.
    Functions,
    /// Columns of a table or view.
    Columns(TableName),
    /// The statement that would make the table or view again.
    Create(ObjectKind, TableName),
    /// Something that is never there: jars, modules, jobs, partitions.
    Nothing(String),
}

/// What an `ALTER TABLE` changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Alteration {
    /// `RENAME TO name`.
    RenameTo(TableName),
    /// `RENAME column TO name`.
    RenameColumn {
        /// The column.
        from: Spanned<String>,
        /// Its new name.
        to: Spanned<String>,
    },
    /// `ADD …`: what the table has not yet.
    Add(Elements),
    /// `MODIFY …`: what the table has.
    Modify(Elements),
    /// `DROP column` or `DROP (column, …)`.
    DropColumns(Vec<Spanned<String>>),
    /// `DROP PRIMARY KEY`, or `DROP CONSTRAINT name`: no table has another one.
    DropPrimaryKey,
    /// `DROP WATERMARK`.
    DropWatermark,
    /// `SET ('key' = 'value', …)`.
    Set(OptionList),
    /// `RESET ('key', …)`.
    Reset(Vec<Spanned<String>>),
}

/// Elements of a table in an `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// Columns, and where they go.
    pub columns: Vec<(ColumnDef, Option<Position>)>,
    /// `WATERMARK FOR`.
    pub watermark: Option<Watermark>,
    /// `PRIMARY KEY`.
    pub primary_key: Vec<Spanned<String>>,
}

/// Where a column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// `FIRST`.
    First,
    /// `AFTER column`.
    After(Spanned<String>),
}

/// What an `ALTER VIEW` changes.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewAlteration {
    /// `RENAME TO name`.
    RenameTo(TableName),
    /// `AS query`.
    Query(Box<Query>),
}

/// Kinds of objects a script can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view.
    View,
}

/// `CREATE [TEMPORARY] TABLE [IF NOT EXISTS] name (…) [COMMENT …] [PARTITIONED BY …] WITH (…) [LIKE … | AS …]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// Name of the table.
    pub name: TableName,
    /// `OR REPLACE` was written; only with a query.
    pub replace: bool,
    /// `TEMPORARY` was written.
    pub temporary: bool,
    /// `IF NOT EXISTS` was written.
    pub if_not_exists: bool,
    /// Columns in the order written.
    pub columns: Vec<ColumnDef>,
    /// `WATERMARK FOR`, at most one.
    pub watermark: Option<Watermark>,
    /// Columns of `PRIMARY KEY … NOT ENFORCED`; those of `columns` are not nullable.
    pub primary_key: Vec<Spanned<String>>,
    /// Columns of `PARTITIONED BY`.
    pub partitioned_by: Vec<Spanned<String>>,
    /// `COMMENT` of the table.
    pub comment: Option<String>,
    /// `WITH` options in the order written, variables filled in, each key once.
    pub options: OptionList,
    /// The rest of the definition, if it comes from elsewhere.
    pub from: Option<DefinedBy>,
}

/// Where the rest of a table's definition comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum DefinedBy {
    /// `LIKE table [(…)]`.
    Like(Like),
    /// `AS query`: its columns are the table's, its rows are written to it.
    Query {
        /// `(name, …)`: the query's columns in the table's order; empty if none are listed.
        order: Vec<Spanned<String>>,
        /// The query.
        query: Box<Query>,
    },
}

/// `LIKE table [({INCLUDING | EXCLUDING | OVERWRITING} feature …)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Like {
    /// The table copied.
    pub table: TableName,
    /// What was written about its features, in the order written.
    pub rules: Vec<(Feature, Merge)>,
}

/// A part of a table's definition that `LIKE` treats as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// All of them.
    All,
    /// The primary key.
    Constraints,
    /// Buckets; no table has them here.
    Distribution,
    /// Computed columns.
    Generated,
    /// Metadata columns.
    Metadata,
    /// `WITH`.
    Options,
    /// `PARTITIONED BY`.
    Partitions,
    /// `WATERMARK FOR`.
    Watermarks,
}

/// What becomes of a feature of the copied table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It is taken over; a clash with an own one is an error.
    Including,
    /// It is left out.
    Excluding,
    /// It is taken over; an own one wins.
    Overwriting,
}

/// A column of `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// Name of the column.
    pub name: Spanned<String>,
    /// Where its values come from.
    pub kind: ColumnDefKind,
    /// `COMMENT` of the column.
    pub comment: Option<String>,
    /// The whole definition.
    pub span: Span,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a table has few columns, each is made once")]
pub enum ColumnDefKind {
    /// From the record's payload.
    Physical(SqlType),
    /// From what the connector knows about the record.
    Metadata {
        /// Declared type; the connector's value is cast to it.
        data_type: SqlType,
        /// `FROM 'key'`; the column's name if absent.
        key: Option<Spanned<String>>,
        /// Read only: no part of what is written to the table.
        virtual_: bool,
    },
    /// Computed from other columns of the row: `name AS expr`.
    Computed(Expr),
}

/// `WATERMARK FOR column AS expr`.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    /// The column that is the row's time.
    pub column: Spanned<String>,
    /// The watermark that a row stands for.
    pub expr: Expr,
    /// The whole clause.
    pub span: Span,
}

/// A Flink type and the Arrow type that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlType {
    /// Arrow type of the column.
    pub data_type: DataType,
    /// Flink's canonical name, upper case, without `NOT NULL` of its own: `TIMESTAMP(3)`, `ROW<a INT>`.
    pub text: String,
    /// `NOT NULL` was not written.
    pub nullable: bool,
}

/// `CREATE [TEMPORARY] VIEW [IF NOT EXISTS] name [(columns)] AS query`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// Name of the view.
    pub name: TableName,
    /// New names of the query's columns; empty if none are written.
    pub columns: Vec<Spanned<String>>,
    /// What the view stands for.
    pub query: Box<Query>,
    /// `TEMPORARY` was written.
    pub temporary: bool,
    /// `IF NOT EXISTS` was written.
    pub if_not_exists: bool,
}

/// `INSERT INTO table [/*+ OPTIONS(…) */] [PARTITION (…)] [(columns)] query`.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// The sink table.
    pub table: TableName,
    /// Options of a hint: for this insert only.
    pub options: OptionList,
    /// `PARTITION (column = literal, …)`: values that are not part of the query.
    pub partition: Vec<(Spanned<String>, Expr)>,
    /// Columns that are written, in the query's order; empty if none are listed.
    pub columns: Vec<Spanned<String>>,
    /// What is written.
    pub query: Box<Query>,
    /// The whole insert, without its `;`.
    pub span: Span,
}

/// The script's [`Span`] of a span in a query's AST; `None` where sqlparser knows none.
pub fn script_span(span: datafusion::sql::sqlparser::tokenizer::Span) -> Option<Span> {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (span.start.line > 0).then(|| Span {
        line: number(span.start.line),
        column: number(span.start.column),
        end_line: number(span.end.line),
        end_column: number(span.end.column),
    })
}
