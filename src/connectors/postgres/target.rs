//! A table as a target of whole epochs: rows and marker in one transaction of the database.
//!
//! ```text
//!  claim:    new session ─► check the table ─► marker row: our fence, unless a later one of this job is there
//!  deliver:  BEGIN ─► lock the marker, hold fence and epoch against ours ─► COPY into a temporary table
//!            ─► merge into the table ─► marker = n ─► COMMIT
//! ```
//! The marker's row is locked for the whole transaction, so a claim waits until an earlier writer's transaction is
//! decided. Rows that the database refuses are found by halving the epoch, each half under a savepoint; then all is
//! rolled back, and the epoch comes again without them.

use std::io::Cursor;
use std::pin::pin;

use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt};
use tokio_postgres::{Client, Statement};

use super::catalog::{self, Layout};
use super::connection::{self, CALL_TIME_MAX, DELIVERY_TIME_MAX, failure, of_a_row, within};
use super::encode::{self, Column, HEADER, TRAILER};
use super::options::PostgresOptions;
use crate::connectors::delivery::{EpochRows, Refused, Target, Trouble, Writer};
use crate::error::{Error, Result};
use crate::table::TableSpec;

/// Those who create tables at the same time wait for each other: `CREATE TABLE IF NOT EXISTS` alone can fail then.
/// The number is this program's own.
pub(super) const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7237118226143)";
/// Rows refused in one go: their search holds locks. The others are found when the epoch comes again.
const REFUSED_ROWS_MAX: usize = 1_000;
/// Bytes of one piece of a copy.
const COPY_BYTES: usize = 1 << 20;

/// A table as a target of whole epochs.
pub(super) struct PostgresTarget {
    // fixed at start
    table: TableSpec,
    options: PostgresOptions,
    // changes while running
    open: Option<Claimed>,
}

/// What a claim has made.
struct Claimed {
    client: Client,
    writer: Writer,
    columns: Vec<Column>,
    /// Statements that find the column a value of which the database cannot read: (column, statement).
    probes: Vec<(String, String)>,
    read_marker: Statement,
    lock_marker: Statement,
    set_marker: Statement,
    copy: Statement,
    /// Merges the rows with numbers from $1 to $2.
    merge: Statement,
}

/// A row that was refused, or an error that is none of a row.
enum Merge {
    Done,
    Refused(Refused),
    Failed(Error),
}

impl PostgresTarget {
    /// A target of the table. No I/O.
    ///
    /// # Errors
    /// `Config` for names that cannot be.
    pub(super) fn new(table: &TableSpec, options: PostgresOptions) -> Result<Self> {
        options.table.quoted()?;
        Ok(Self { table: table.clone(), options, open: None })
    }

    async fn claim_table(&mut self, writer: &Writer) -> Result<bool> {
        // the old session goes first: the server ends what it had under way
        self.open = None;
        let client = connection::connect(&self.options).await?;
        let layout = catalog::layout(&client, &self.table, &self.options).await?;
        let name = self.name();
        let markers = format!("{}.streamer_markers", layout.schema);
        create_markers(&client, &layout.schema, &markers).await?;
        let failed = |error| failure(&error, &name);
        let claim = format!(
            "INSERT INTO {markers} AS m (pipeline, sink, instance, fence, epoch) VALUES ($1, $2, $3, $4, NULL) \
             ON CONFLICT (pipeline, sink) DO UPDATE SET instance = EXCLUDED.instance, fence = EXCLUDED.fence, \
             epoch = CASE WHEN m.instance = EXCLUDED.instance THEN m.epoch END \
             WHERE m.instance <> EXCLUDED.instance OR m.fence <= EXCLUDED.fence"
        );
        let (pipeline, sink, instance) = (&writer.pipeline, &writer.sink, &writer.instance);
        let fence = number(writer.fence)?;
        if client.execute(&claim, &[pipeline, sink, instance, &fence]).await.map_err(failed)? == 0 {
            return Ok(false);
        }
        let stage = catalog::stage_columns(&layout.columns);
        let stage = format!("CREATE TEMPORARY TABLE streamer_stage ({stage}) ON COMMIT DELETE ROWS");
        client.batch_execute(&stage).await.map_err(failed)?;
        self.open = Some(Claimed::prepare(client, writer.clone(), &layout, &markers).await.map_err(failed)?);
        Ok(true)
    }

    async fn read_marker(&mut self) -> Result<Option<u64>> {
        let name = self.name();
        let Some(claimed) = &self.open else { return Err(unclaimed()) };
        let Writer { pipeline, sink, instance, .. } = &claimed.writer;
        let failed = |error| failure(&error, &name);
        let row = claimed.client.query_opt(&claimed.read_marker, &[pipeline, sink, instance]).await.map_err(failed)?;
        let epoch: Option<i64> = row.map(|row| row.try_get(0)).transpose().map_err(failed)?.flatten();
        Ok(epoch.and_then(|epoch| u64::try_from(epoch).ok()))
    }

    async fn deliver_epoch(&mut self, rows: EpochRows) -> Result<(), Trouble> {
        let name = self.name();
        // taken: after any trouble it is gone, and the next claim makes another
        let claimed = self.open.take().ok_or_else(unclaimed)?;
        within(DELIVERY_TIME_MAX, &name, claimed.deliver(rows, &name)).await?;
        self.open = Some(claimed);
        Ok(())
    }
}

impl Claimed {
    async fn prepare(
        client: Client,
        writer: Writer,
        layout: &Layout,
        markers: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let own = "pipeline = $1 AND sink = $2";
        let read_marker = format!("SELECT epoch FROM {markers} WHERE {own} AND instance = $3");
        let lock_marker = format!("SELECT instance, fence, epoch FROM {markers} WHERE {own} FOR UPDATE");
        let set_marker = format!("UPDATE {markers} SET epoch = $3 WHERE {own}");
        let places: String = (0..layout.columns.len()).map(|place| format!(", c{place}")).collect();
        let copy = format!("COPY pg_temp.streamer_stage (r{places}) FROM STDIN (FORMAT binary)");
        let probe = |(place, target): (usize, &catalog::Target)| {
            let sql = format!("SELECT c{place}::{} FROM pg_temp.streamer_stage WHERE r = ", target.type_name);
            (target.column.name.clone(), sql)
        };
        Ok(Self {
            read_marker: client.prepare(&read_marker).await?,
            lock_marker: client.prepare(&lock_marker).await?,
            set_marker: client.prepare(&set_marker).await?,
            copy: client.prepare(&copy).await?,
            merge: client.prepare(&merge_statement(layout)).await?,
            columns: layout.columns.iter().map(|target| target.column.clone()).collect(),
            probes: layout.columns.iter().enumerate().filter(|(_, target)| target.cast).map(probe).collect(),
            client,
            writer,
        })
    }

    async fn deliver(&self, rows: EpochRows, name: &str) -> Result<(), Trouble> {
        let failed = |error| Trouble::Doubt(failure(&error, name));
        let epoch = number(rows.epoch())?;
        // constraints that wait for COMMIT would refuse the epoch, and not the row
        self.client.batch_execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE").await.map_err(failed)?;
        if self.locked_marker(name).await?.is_some_and(|marker| marker >= epoch) {
            return self.client.batch_execute("ROLLBACK").await.map_err(failed);
        }
        let mut refused = Vec::new();
        if let Some((first, last)) = self.copy(rows, name, &mut refused).await? {
            self.merge(first, last, name, &mut refused).await?;
        }
        if !refused.is_empty() {
            self.client.batch_execute("ROLLBACK").await.map_err(failed)?;
            return Err(Trouble::Refused(refused));
        }
        let Writer { pipeline, sink, .. } = &self.writer;
        self.client.execute(&self.set_marker, &[pipeline, sink, &epoch]).await.map_err(failed)?;
        self.client.batch_execute("COMMIT").await.map_err(failed)
    }

    /// The marker, locked, if it is still ours.
    async fn locked_marker(&self, name: &str) -> Result<Option<i64>> {
        let failed = |error| failure(&error, name);
        let Writer { pipeline, sink, instance, fence } = &self.writer;
        let row = self.client.query_opt(&self.lock_marker, &[pipeline, sink]).await.map_err(failed)?;
        let Some(row) = row else { return Err(Error::unavailable(format!("{name} has lost the marker of this job"))) };
        let found: (String, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        if found != (instance.clone(), number(*fence)?) {
            return Err(Error::unavailable(format!("{name} is claimed by another process")));
        }
        row.try_get(2).map_err(failed)
    }

    /// Copies the rows into the temporary table; returns the first and the last number. Nothing is copied any more once
    /// a row is refused: then the transaction ends without a commit.
    async fn copy(&self, mut rows: EpochRows, name: &str, refused: &mut Vec<Refused>) -> Result<Option<(i64, i64)>> {
        let sink = self.client.copy_in::<_, Cursor<Vec<u8>>>(&self.copy).await.map_err(|e| failure(&e, name))?;
        let mut sink = pin!(sink);
        let mut buffer = HEADER.to_vec();
        let (mut sent, mut bounds) = (Sent::default(), None);
        while let Some(batch) = rows.next().await? {
            encode::encode(&batch, &self.columns, &mut buffer, refused)?;
            sent.extend(&batch.numbers);
            if let (Some(first), Some(last)) = (batch.numbers.first(), batch.numbers.last()) {
                let (start, _) = bounds.unwrap_or((number(*first)?, 0));
                bounds = Some((start, number(*last)?));
            }
            if refused.is_empty() && buffer.len() >= COPY_BYTES {
                // an error of it is told by `finish`, with its place
                if sink.send(Cursor::new(std::mem::take(&mut buffer))).await.is_err() {
                    break;
                }
            } else if !refused.is_empty() {
                buffer.clear();
            }
        }
        if !refused.is_empty() {
            return Ok(None);
        }
        buffer.extend_from_slice(TRAILER);
        drop(sink.send(Cursor::new(buffer)).await);
        match sink.finish().await {
            Ok(_) => Ok(bounds),
            Err(error) => {
                refused.push(sent.refused(&error, &self.columns).ok_or_else(|| failure(&error, name))?);
                Ok(None)
            }
        }
    }

    /// Merges the rows from `first` to `last`: all at once, or in halves and halves of halves where a row is refused.
    async fn merge(&self, first: i64, last: i64, name: &str, refused: &mut Vec<Refused>) -> Result<()> {
        let mut ranges = vec![(first, last)];
        while let Some((low, high)) = ranges.pop() {
            match self.merge_range(low, high, name).await {
                Merge::Done => {}
                Merge::Failed(error) => return Err(error),
                Merge::Refused(row) if low == high => refused.push(row),
                Merge::Refused(_) => {
                    let middle = low + (high - low) / 2;
                    ranges.extend([(middle + 1, high), (low, middle)]);
                }
            }
            if refused.len() >= REFUSED_ROWS_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn merge_range(&self, low: i64, high: i64, name: &str) -> Merge {
        if let Err(error) = self.client.batch_execute("SAVEPOINT part").await {
            return Merge::Failed(failure(&error, name));
        }
        let merged = self.client.execute(&self.merge, &[&low, &high]).await;
        let end = if merged.is_ok() { "RELEASE part" } else { "ROLLBACK TO part; RELEASE part" };
        let said = match &merged {
            Ok(_) => None,
            Err(error) => match error.as_db_error().filter(|said| of_a_row(said)) {
                Some(said) => Some(said),
                None => return Merge::Failed(failure(error, name)),
            },
        };
        if let Err(error) = self.client.batch_execute(end).await {
            return Merge::Failed(failure(&error, name));
        }
        let Some(said) = said else { return Merge::Done };
        let mut row = Refused {
            row: low.unsigned_abs(),
            code: said.code().code().to_owned(),
            column: said.column().map(str::to_owned),
            message: said.message().to_owned(),
        };
        if low == high && row.column.is_none() && row.code.starts_with("22") {
            match self.unreadable(low, name).await {
                Ok(column) => row.column = column,
                Err(error) => return Merge::Failed(error),
            }
        }
        Merge::Refused(row)
    }

    /// The column whose text the database cannot read, of one row.
    async fn unreadable(&self, row: i64, name: &str) -> Result<Option<String>> {
        for (column, sql) in &self.probes {
            self.client.batch_execute("SAVEPOINT probe").await.map_err(|e| failure(&e, name))?;
            let read = self.client.batch_execute(&format!("{sql}{row}")).await;
            let end = "ROLLBACK TO probe; RELEASE probe";
            self.client.batch_execute(end).await.map_err(|e| failure(&e, name))?;
            if read.is_err() {
                return Ok(Some(column.clone()));
            }
        }
        Ok(None)
    }
}

/// Numbers of the rows of a copy, line by line; in runs, as they have few gaps.
#[derive(Debug, Default)]
struct Sent {
    lines: u64,
    /// First line and number of each run.
    runs: Vec<(u64, u64)>,
}

impl Sent {
    fn extend(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.lines += 1;
            let follows = self.runs.last().is_some_and(|(line, first)| first + (self.lines - line) == *number);
            if !follows {
                self.runs.push((self.lines, *number));
            }
        }
    }

    fn number(&self, line: u64) -> Option<u64> {
        let run = self.runs.partition_point(|(first, _)| *first <= line).checked_sub(1)?;
        let (first, number) = self.runs.get(run)?;
        (line <= self.lines).then(|| number + (line - first))
    }

    /// The row that a copy has failed at, if it has for a value: the server tells its line
    /// (`COPY streamer_stage, line 3, column c1`).
    fn refused(&self, error: &tokio_postgres::Error, columns: &[Column]) -> Option<Refused> {
        let said = error.as_db_error().filter(|said| of_a_row(said))?;
        let (line, column) = place(said.where_()?)?;
        Some(Refused {
            row: self.number(line)?,
            code: said.code().code().to_owned(),
            column: column.and_then(|place| columns.get(place)).map(|column| column.name.clone()),
            message: said.message().to_owned(),
        })
    }
}

/// Line and column in the context of an error of `COPY`.
fn place(context: &str) -> Option<(u64, Option<usize>)> {
    let (_, rest) = context.lines().find(|line| line.starts_with("COPY "))?.split_once(", line ")?;
    let (line, column) = rest.split_once(", column ").map_or((rest, None), |(line, column)| (line, Some(column)));
    let column = column.and_then(|name| name.split(':').next()?.trim().strip_prefix('c')?.parse().ok());
    Some((line.split(':').next()?.trim().parse().ok()?, column))
}

/// Puts staged rows into the table: added, or by key, the last one of a key.
fn merge_statement(layout: &Layout) -> String {
    let value = |(place, target): (usize, &catalog::Target)| match target.cast {
        true => format!("c{place}::{}", target.type_name),
        false => format!("c{place}"),
    };
    let names: Vec<&str> = layout.columns.iter().map(|target| target.quoted.as_str()).collect();
    let values: Vec<String> = layout.columns.iter().enumerate().map(value).collect();
    let (table, names_list, values_list) = (&layout.table, names.join(", "), values.join(", "));
    let rows = "FROM pg_temp.streamer_stage WHERE r BETWEEN $1 AND $2";
    if layout.key.is_empty() {
        return format!("INSERT INTO {table} ({names_list}) SELECT {values_list} {rows} ORDER BY r");
    }
    // as the table compares them: 'a' and 'a ' are one key of type char
    let key_of = |(place, target): (usize, &catalog::Target)| {
        layout.key.contains(&target.quoted).then(|| format!("c{place}::{}", target.type_name))
    };
    let keys: Vec<String> = layout.columns.iter().enumerate().filter_map(key_of).collect();
    let keys = keys.join(", ");
    let updates: Vec<String> = names
        .iter()
        .filter(|name| !layout.key.iter().any(|key| key == *name))
        .map(|name| format!("{name} = EXCLUDED.{name}"))
        .collect();
    let action = match updates.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE SET {}", updates.join(", ")),
    };
    let places: String = (0..names.len()).map(|place| format!(", c{place}")).collect();
    format!(
        "INSERT INTO {table} ({names_list}) SELECT {values_list} FROM \
         (SELECT DISTINCT ON ({keys}) r{places} {rows} ORDER BY {keys}, r DESC) AS newest ORDER BY r \
         ON CONFLICT ({}) DO {action}",
        layout.key.join(", ")
    )
}

async fn create_markers(client: &Client, schema: &str, markers: &str) -> Result<()> {
    let failed = |error| failure(&error, "the table of markers");
    let sql = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    let there: bool = client.query_one(sql, &[&markers]).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if there {
        return Ok(());
    }
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {markers} (pipeline text NOT NULL, sink text NOT NULL, instance text NOT NULL, \
         fence bigint NOT NULL, epoch bigint, PRIMARY KEY (pipeline, sink))"
    );
    client.batch_execute(&format!("BEGIN; {LOCK}; {create}; COMMIT")).await.map_err(|error| {
        let told = failure(&error, &format!("the table of markers in schema {schema}"));
        if told.message().contains("42501") {
            return told.hint(format!("let the role CREATE in the schema once, or run: {create}"));
        }
        told
    })
}

/// Epochs and fences in the database are signed.
fn number(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::internal("an epoch is beyond the numbers of the database"))
}

fn unclaimed() -> Error {
    Error::internal("a postgres sink is used before it is claimed")
}

impl Target for PostgresTarget {
    fn claim<'a>(&'a mut self, writer: &'a Writer) -> BoxFuture<'a, Result<bool>> {
        async move {
            let (name, bound) = (self.name(), CALL_TIME_MAX + self.options.connect_timeout);
            within(bound, &name, self.claim_table(writer).boxed()).await
        }
        .boxed()
    }

    fn marker(&mut self) -> BoxFuture<'_, Result<Option<u64>>> {
        async move {
            let name = self.name();
            within(CALL_TIME_MAX, &name, self.read_marker()).await
        }
        .boxed()
    }

    fn deliver(&mut self, rows: EpochRows) -> BoxFuture<'_, Result<(), Trouble>> {
        self.deliver_epoch(rows).boxed()
    }

    fn marker_beside_rows(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        format!("postgres table {}", self.options.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::postgres::types::Wire;

    fn layout(key: &[&str]) -> Layout {
        let target = |name: &str, type_name: &str, cast| catalog::Target {
            column: Column { name: name.into(), wire: Wire::Text { characters_max: None } },
            quoted: format!("\"{name}\""),
            type_name: type_name.into(),
            cast,
        };
        Layout {
            table: "\"public\".\"t\"".into(),
            schema: "\"public\"".into(),
            columns: vec![target("id", "uuid", true), target("v", "text", false)],
            key: key.iter().map(|name| format!("\"{name}\"")).collect(),
        }
    }

    #[test]
    fn rows_are_added_or_merged_by_key() {
        assert_eq!(
            merge_statement(&layout(&[])),
            "INSERT INTO \"public\".\"t\" (\"id\", \"v\") SELECT c0::uuid, c1 FROM pg_temp.streamer_stage WHERE r BETWEEN $1 AND $2 ORDER BY r"
        );
        assert_eq!(
            merge_statement(&layout(&["id"])),
            "INSERT INTO \"public\".\"t\" (\"id\", \"v\") SELECT c0::uuid, c1 FROM \
             (SELECT DISTINCT ON (c0::uuid) r, c0, c1 FROM pg_temp.streamer_stage WHERE r BETWEEN $1 AND $2 ORDER BY c0::uuid, r DESC) \
             AS newest ORDER BY r ON CONFLICT (\"id\") DO UPDATE SET \"v\" = EXCLUDED.\"v\""
        );
        assert!(merge_statement(&layout(&["id", "v"])).ends_with("ON CONFLICT (\"id\", \"v\") DO NOTHING"));
    }

    #[test]
    fn the_line_of_a_copy_leads_to_its_row() {
        assert_eq!(place("COPY streamer_stage, line 3, column c1"), Some((3, Some(1))));
        assert_eq!(place("a trigger\nCOPY streamer_stage, line 12: \"x\""), Some((12, None)));
        assert_eq!(place("nothing"), None);
        let mut sent = Sent::default();
        sent.extend(&[0, 1, 4]);
        sent.extend(&[5, 9]);
        let numbers: Vec<_> = (0..=6).map(|line| sent.number(line)).collect();
        assert_eq!(numbers, [None, Some(0), Some(1), Some(4), Some(5), Some(9), None]);
    }
}
