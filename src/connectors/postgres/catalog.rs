//! The table as the database has it, held against the table of the script: all that does not fit is found at once,
//! before the first row. Also makes the table, if asked.

use tokio_postgres::Client;

use super::connection::failure;
use super::encode::Column;
use super::identifier::{TableName, literal, quote};
use super::options::PostgresOptions;
use super::types::{self, Passage, PgType};
use crate::error::{Error, Result, nearest};
use crate::table::TableSpec;

/// Where a sink's rows go, column by column, in the order of its rows.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// `"schema"."table"`.
    pub(super) table: String,
    pub(super) schema: String,
    pub(super) columns: Vec<Target>,
    /// Names of the key's columns in the database, quoted; empty: rows are only added.
    pub(super) key: Vec<String>,
}

/// A column of the database.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) column: Column,
    /// Its name there, quoted.
    pub(super) quoted: String,
    /// Its type there, without lengths.
    pub(super) type_name: String,
    /// The database makes the value from its text.
    pub(super) cast: bool,
}

/// A column as the catalog describes it.
struct Described {
    name: String,
    /// As people read it: `character varying(5)`.
    shown: String,
    type_name: String,
    pg_type: PgType,
    required: bool,
    generated: bool,
    /// May the role insert, update and select?
    rights: [bool; 3],
}

/// Why a table does not fit, with the hint.
type Problem = Error;

/// Reads the table and checks every column.
///
/// # Errors
/// `Config`: all that does not fit.
pub(super) async fn layout(client: &Client, table: &TableSpec, options: &PostgresOptions) -> Result<Layout> {
    let (relation, name) = match find(client, &options.table).await? {
        Some(found) => found,
        None if options.create_table => {
            create(client, table, options).await?;
            find(client, &options.table).await?.ok_or_else(|| missing(&options.table, None))?
        }
        None => return Err(missing(&options.table, similar(client, &options.table).await?)),
    };
    let shown = format!("postgres table {name}");
    let described = columns(client, relation).await?;
    let mut problems = kind_problems(client, relation, &shown).await?;
    let mut targets = Vec::new();
    for column in table.sink_columns() {
        match target(table, column, &described, &shown) {
            Ok(target) => targets.push(target),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(lacking(table, &described, &shown));
    problems.extend(rights_problems(table, &described, &shown));
    let key = if problems.is_empty() { key(client, relation, table, &described, &shown).await? } else { Vec::new() };
    match Error::collect(problems) {
        Some(error) => Err(error),
        None => Ok(Layout { table: name.quoted()?, schema: quote(&name.schema)?, columns: targets, key }),
    }
}

fn who(name: &TableName) -> String {
    format!("postgres table {name}")
}

/// The relation of that name, or of that name in lower case: what PostgreSQL makes of a name without quotes.
async fn find(client: &Client, name: &TableName) -> Result<Option<(u32, TableName)>> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = ANY($1) AND c.relname = ANY($2) AND c.relkind <> ALL('{i,I,S,c,t}') \
               ORDER BY (n.nspname = $3)::int4 + (c.relname = $4)::int4 DESC, 2, 3 LIMIT 1";
    let schemas = [name.schema.clone(), name.schema.to_lowercase()];
    let tables = [name.table.clone(), name.table.to_lowercase()];
    let failed = |error| failure(&error, &who(name));
    let row = client.query_opt(sql, &[&&schemas[..], &&tables[..], &name.schema, &name.table]).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let found = TableName { schema: row.try_get(1).map_err(failed)?, table: row.try_get(2).map_err(failed)? };
    Ok(Some((row.try_get(0).map_err(failed)?, found)))
}

/// The table that was perhaps meant.
async fn similar(client: &Client, name: &TableName) -> Result<Option<String>> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema') LIMIT 10000";
    let rows = client.query(sql, &[]).await.map_err(|error| failure(&error, &who(name)))?;
    let names: Vec<(String, String)> =
        rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect();
    let same = names.iter().find(|(schema, table)| *table == name.table && *schema != name.schema);
    let full: Vec<String> = names.iter().map(|(schema, table)| format!("{schema}.{table}")).collect();
    let near = nearest(&name.to_string(), full.iter().map(String::as_str)).map(str::to_owned);
    Ok(same.map(|(schema, table)| format!("{schema}.{table}")).or(near))
}

fn missing(name: &TableName, near: Option<String>) -> Error {
    let error = Error::config(format!("{} is not there", who(name)));
    match near {
        Some(near) => error.hint(format!("did you mean \"{near}\"? 'sink.create-table' = 'true' creates the table")),
        None => error.hint("create it, or add 'sink.create-table' = 'true'"),
    }
}

async fn columns(client: &Client, relation: u32) -> Result<Vec<Described>> {
    let sql = "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.format_type(a.atttypid, -1), \
               b.typname::text, b.typtype::text, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
               e.typname::text, e.typtype::text, a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '', \
               a.attgenerated <> '' OR a.attidentity = 'a', \
               pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT'), \
               pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE'), \
               pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') \
               FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
               LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typcategory = 'A' \
               WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let read = async || {
        let rows = client.query(sql, &[&relation]).await?;
        rows.iter()
            .map(|row| {
                let element: (Option<String>, Option<String>) = (row.try_get(6)?, row.try_get(7)?);
                let (not_null, default): (bool, bool) = (row.try_get(8)?, row.try_get(9)?);
                Ok(Described {
                    name: row.try_get(0)?,
                    shown: row.try_get(1)?,
                    type_name: row.try_get(2)?,
                    pg_type: PgType {
                        name: row.try_get(3)?,
                        kind: row.try_get(4)?,
                        modifier: row.try_get(5)?,
                        element: element.0.zip(element.1),
                    },
                    required: not_null && !default,
                    generated: row.try_get(10)?,
                    rights: [row.try_get(11)?, row.try_get(12)?, row.try_get(13)?],
                })
            })
            .collect::<Result<Vec<_>, tokio_postgres::Error>>()
    };
    read().await.map_err(|error| failure(&error, "the catalog of the database"))
}

/// Whether rows and marker can be one transaction there.
async fn kind_problems(client: &Client, relation: u32, shown: &str) -> Result<Vec<Problem>> {
    let sql = "SELECT relkind::text, relpersistence::text FROM pg_catalog.pg_class WHERE oid = $1";
    let failed = |error| failure(&error, shown);
    let row = client.query_one(sql, &[&relation]).await.map_err(failed)?;
    let (kind, persistence): (String, String) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    Ok(match (kind.as_str(), persistence.as_str()) {
        ("r" | "p" | "v", "u") => vec![
            Error::config(format!("{shown} is UNLOGGED: a crash of the database empties it, and nobody would notice"))
                .hint("ALTER TABLE … SET LOGGED"),
        ],
        ("r" | "p" | "v", _) => Vec::new(),
        ("f", _) => vec![
            Error::config(format!(
                "{shown} is a foreign table: its rows cannot be committed together with their marker"
            ))
            .hint("write to the database that has the table"),
        ],
        _ => vec![Error::config(format!("{shown} is not a table that rows can be inserted into"))],
    })
}

/// The column of that name, or of that name in lower case.
fn described<'a>(name: &str, columns: &'a [Described]) -> Option<&'a Described> {
    let lower = name.to_lowercase();
    columns.iter().find(|column| column.name == name).or_else(|| columns.iter().find(|column| column.name == lower))
}

fn target(
    table: &TableSpec,
    column: &crate::table::ColumnSpec,
    columns: &[Described],
    shown: &str,
) -> Result<Target, Problem> {
    let problem = |message: String| Error::config(message).or_at(table.options.span("table-name").or(table.span));
    let Some(found) = described(&column.name, columns) else {
        let error = problem(format!("{shown} has no column \"{}\"", column.name));
        return Err(match nearest(&column.name, columns.iter().map(|c| c.name.as_str())) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint(match types::created(&column.data_type, &column.sql_type) {
                Some(made) => format!("ALTER TABLE … ADD COLUMN {} {made}", quote(&column.name)?),
                None => "remove the column".to_owned(),
            }),
        });
    };
    if found.generated {
        return Err(problem(format!("column \"{}\" of {shown} is filled by the database itself", found.name))
            .hint("leave the column out of the table in the script"));
    }
    let Passage { wire, cast } = types::passage(&column.data_type, &found.pg_type).map_err(|hint| {
        problem(format!(
            "column \"{}\" is {} in the script and {} in {shown}",
            column.name, column.sql_type, found.shown
        ))
        .hint(hint)
    })?;
    Ok(Target {
        column: Column { name: column.name.clone(), wire },
        quoted: quote(&found.name)?,
        type_name: found.type_name.clone(),
        cast,
    })
}

/// Columns that must have a value, and would get none.
fn lacking(table: &TableSpec, columns: &[Described], shown: &str) -> Vec<Problem> {
    let written: Vec<&str> =
        table.sink_columns().filter_map(|c| described(&c.name, columns)).map(|c| c.name.as_str()).collect();
    columns
        .iter()
        .filter(|column| column.required && !column.generated && !written.contains(&column.name.as_str()))
        .map(|column| {
            let message = format!(
                "column \"{}\" of {shown} is NOT NULL without a default, and the script has no such column",
                column.name
            );
            Error::config(message).or_at(table.options.span("table-name").or(table.span)).hint(format!(
                "add \"{}\" to the table in the script, or give it a DEFAULT in the database",
                column.name
            ))
        })
        .collect()
}

fn rights_problems(table: &TableSpec, columns: &[Described], shown: &str) -> Option<Problem> {
    let upsert = !table.primary_key.is_empty();
    let wanted = [("INSERT", true), ("UPDATE", upsert), ("SELECT", upsert)];
    let written: Vec<&Described> = table.sink_columns().filter_map(|c| described(&c.name, columns)).collect();
    let lacks: Vec<&str> = wanted
        .iter()
        .enumerate()
        .filter(|(place, (_, needed))| {
            *needed && written.iter().any(|column| column.rights.get(*place) == Some(&false))
        })
        .map(|(_, (right, _))| *right)
        .collect();
    (!lacks.is_empty()).then(|| {
        let lacks = lacks.join(", ");
        Error::config(format!("the role lacks {lacks} on {shown}")).hint(format!("GRANT {lacks} ON … TO the role"))
    })
}

/// The columns of the primary key, if the database keeps just these unique.
async fn key(
    client: &Client,
    relation: u32,
    table: &TableSpec,
    columns: &[Described],
    shown: &str,
) -> Result<Vec<String>> {
    if table.primary_key.is_empty() {
        return Ok(Vec::new());
    }
    let names = || table.primary_key.iter().filter_map(|name| described(name, columns)).map(|c| c.name.clone());
    let mut wanted: Vec<String> = names().collect();
    wanted.sort();
    let sql = "SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid \
               AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])) FROM pg_catalog.pg_index i \
               WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid \
               AND i.indpred IS NULL AND i.indexprs IS NULL";
    let failed = |error| failure(&error, shown);
    for row in client.query(sql, &[&relation]).await.map_err(failed)? {
        let mut unique: Vec<String> = row.try_get(0).map_err(failed)?;
        unique.sort();
        if unique == wanted {
            return names().map(|name| quote(&name)).collect();
        }
    }
    let list = names().map(|name| quote(&name)).collect::<Result<Vec<_>>>()?.join(", ");
    Err(Error::config(format!(
        "{shown} does not keep ({}) unique, the PRIMARY KEY of table \"{}\"",
        table.primary_key.join(", "),
        table.name
    ))
    .or_at(table.options.span("table-name").or(table.span))
    .hint(format!(
        "ALTER TABLE … ADD PRIMARY KEY ({list}), or leave PRIMARY KEY out of the script: rows are then added"
    )))
}

/// The statement that makes a table as the script has it.
///
/// # Errors
/// `Config` if a name or a type cannot be.
pub(super) fn create_statement(table: &TableSpec, name: &TableName) -> Result<String> {
    let mut parts = table
        .sink_columns()
        .map(|column| {
            let made = types::created(&column.data_type, &column.sql_type)
                .ok_or_else(|| Error::config(format!("column \"{}\" has no type in PostgreSQL", column.name)))?;
            let null = if column.nullable { "" } else { " NOT NULL" };
            Ok(format!("{} {made}{null}", quote(&column.name)?))
        })
        .collect::<Result<Vec<_>>>()?;
    if !table.primary_key.is_empty() {
        let key = table.primary_key.iter().map(|name| quote(name)).collect::<Result<Vec<_>>>()?;
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    Ok(format!("CREATE TABLE IF NOT EXISTS {} ({})", name.quoted()?, parts.join(", ")))
}

/// The column that cuts the table into stretches of time: the one named, or the first time stamp that the key allows.
pub(super) fn time_column<'a>(table: &'a TableSpec, named: Option<&'a str>) -> Option<&'a str> {
    use arrow::datatypes::DataType::Timestamp;
    let fits = |name: &str| table.primary_key.is_empty() || table.primary_key.iter().any(|key| key == name);
    named.or_else(|| {
        let mut times = table.sink_columns().filter(|column| matches!(column.data_type, Timestamp(..)));
        times.find(|column| fits(&column.name)).map(|column| column.name.as_str())
    })
}

/// The statement that makes a hypertable of it, by the function in the extension's schema.
///
/// # Errors
/// `Config` if a name cannot be.
pub(super) fn hypertable_statement(extension_schema: &str, name: &TableName, column: &str) -> Result<String> {
    Ok(format!(
        "SELECT {}.create_hypertable({}::pg_catalog.regclass, {}::pg_catalog.name, if_not_exists => true)",
        quote(extension_schema)?,
        literal(&name.quoted()?),
        literal(column)
    ))
}

async fn create(client: &Client, table: &TableSpec, options: &PostgresOptions) -> Result<()> {
    let failed = |error| failure(&error, &who(&options.table));
    let sql = "SELECT n.nspname::text FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'";
    let extension: Option<String> = match client.query_opt(sql, &[]).await.map_err(failed)? {
        Some(row) => Some(row.try_get(0).map_err(failed)?),
        None => None,
    };
    let mut statements =
        vec!["BEGIN".to_owned(), super::target::LOCK.to_owned(), create_statement(table, &options.table)?];
    if let (Some(schema), Some(column)) = (extension, time_column(table, options.hypertable.as_deref())) {
        statements.push(hypertable_statement(&schema, &options.table, column)?);
    }
    statements.push("COMMIT".to_owned());
    client.batch_execute(&statements.join("; ")).await.map_err(failed)?;
    tracing::info!(table = %options.table, "created in the database");
    Ok(())
}

/// The temporary table: the row's number, then the columns by their places.
pub(super) fn stage_columns(columns: &[Target]) -> String {
    let each =
        columns.iter().enumerate().map(|(place, target)| format!(", c{place} {}", target.column.wire.staged_type()));
    format!("r pg_catalog.int8{}", each.collect::<String>())
}
