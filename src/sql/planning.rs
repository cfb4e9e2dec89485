//! Statements, one after the other: what they declare goes into the catalog, what they run becomes jobs. A mistake ends
//! its statement and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Query, visit_relations};

use crate::connectors::{self, Usage};
use crate::error::{Error, Result, Span};
use crate::plan::{NodeKind, PlanBuilder, Settings, StreamPlan};
use crate::sql::catalog::{Catalog, Table};
use crate::sql::insert::written;
use crate::sql::listing::Listing;
use crate::sql::parser::ast::{
    CreateTable, CreateView, DefinedBy, Insert, ObjectKind, Spanned, Statement, StatementKind, TableName,
};
use crate::sql::places::span_of;
use crate::sql::planner::context::Relations;
use crate::sql::planner::lower::Lowering;
use crate::sql::planner::{Planner, digits, locate, refuse};
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;
use crate::sql::{Answer, COLLECT, Job, JobKind, Note, Script, catalog, hints, insert, listing, rehearsal, settings};
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options, TableSpec};

/// A view that is a mistake only where it is read.
struct Deferred {
    errors: Vec<Error>,
    /// Views of the same kind that it reads.
    reads: Vec<String>,
}

/// A script while it is planned.
pub(super) struct Planning {
    settings: Settings,
    registry: Registry,
    catalog: Catalog,
    jobs: Vec<Job>,
    notes: Vec<Note>,
    errors: Vec<Error>,
    /// Constants that cannot be computed.
    failing: Vec<Error>,
    answers: Vec<Answer>,
    /// Views that Flink accepts and no job can be made of.
    deferred: BTreeMap<String, Deferred>,
    /// Names that statements declare, where some statement could not be read.
    unread: BTreeSet<String>,
    /// Tables validated already, per usage.
    validated: Vec<(Arc<TableSpec>, Usage)>,
}

impl Planning {
    pub(super) fn new(errors: Vec<Error>, unread: BTreeSet<String>) -> Self {
        let settings = Settings::default();
        Self {
            registry: Registry::new(&settings.time_zone),
            settings,
            catalog: Catalog::default(),
            jobs: Vec::new(),
            notes: Vec::new(),
            errors,
            failing: Vec::new(),
            answers: Vec::new(),
            deferred: BTreeMap::new(),
            unread,
            validated: Vec::new(),
        }
    }

    pub(super) fn run(mut self, statements: &[Statement]) -> Result<Script> {
        for (i, statement) in statements.iter().enumerate() {
            let last = i + 1 == statements.len();
            if let Err(errors) = self.statement(statement, last) {
                self.errors.extend(errors.into_iter().map(|e| e.or_at(Some(statement.span))));
            }
        }
        self.drop_consequences();
        let unused = self.unused();
        if !self.errors.is_empty() {
            self.errors.extend(unused.iter().cloned());
        }
        if let Some(error) = Error::collect(std::mem::take(&mut self.errors)) {
            return Err(error);
        }
        Ok(Script {
            tables: self.catalog.tables().map(|table| Arc::clone(&table.spec)).collect(),
            jobs: self.jobs,
            settings: self.settings,
            notes: self.notes,
            unused,
            failing: self.failing,
            answers: self.answers,
            catalog: self.catalog,
        })
    }

    /// What is wrong with views that no job reads, and with the options of tables that none was planned with.
    fn unused(&self) -> Vec<Error> {
        let planned = |name: &str| self.validated.iter().any(|(table, _)| table.name == name);
        let tables = self.catalog.tables().filter(|table| !planned(&table.spec.name));
        let views = self.deferred.values().flat_map(|view| &view.errors).cloned();
        tables.flat_map(|table| table.option_errors()).chain(views).collect()
    }

    /// What a statement that could not be read would have declared is missed by others: that is no mistake of theirs.
    fn drop_consequences(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        self.errors.retain(|error| error.missing_name().is_none_or(|name| !unread.contains(name)));
    }

    fn statement(&mut self, statement: &Statement, last: bool) -> Result<(), Vec<Error>> {
        for query in read_by(&statement.kind) {
            self.use_deferred(query);
        }
        match &statement.kind {
            StatementKind::Set { key, value } => self.set(key, value, statement.span).map_err(|e| vec![e]),
            StatementKind::Reset { key } => {
                let place = key.as_ref().map_or(statement.span, |k| k.span);
                settings::reset(&mut self.settings, key.as_ref().map(|k| k.value.as_str()))
                    .map_err(|e| vec![e.or_at(Some(place))])?;
                self.time_zone_may_have_changed();
                Ok(())
            }
            StatementKind::CreateTable(create) => match &create.from {
                Some(DefinedBy::Query { order, query }) => self.create_from(create, order, query, statement.span),
                _ => self.catalog.create_table(create, &self.registry),
            },
            StatementKind::CreateView(create) => self.create_view(create),
            StatementKind::CreateDatabase { name, if_not_exists } => {
                self.catalog.create_database(name, *if_not_exists).map_err(|e| vec![e])
            }
            StatementKind::DropDatabase { name, if_exists, cascade } => {
                self.catalog.drop_database(name, *if_exists, *cascade).map_err(|e| vec![e])
            }
            StatementKind::Use(name) => self.catalog.use_database(name).map_err(|e| vec![e]),
            StatementKind::AlterTable { name, if_exists, change } => {
                self.catalog.alter_table(name, *if_exists, change, &self.registry)
            }
            StatementKind::AlterView { name, change } => self.catalog.alter_view(name, change, &self.registry),
            StatementKind::Insert(insert) => {
                self.insert_job(std::slice::from_ref(insert), JobKind::Insert, statement.span)
            }
            StatementKind::StatementSet(inserts) => self.insert_job(inserts, JobKind::StatementSet, statement.span),
            StatementKind::Query(query) if last => self.select_job(query, statement.span),
            StatementKind::Query(_) => Err(vec![
                Error::sql("a SELECT must be the last statement of a script")
                    .hint("put it at the end, or write its rows to a table with INSERT INTO"),
            ]),
            StatementKind::Drop { what, temporary, name, if_exists } => {
                let what = if *what == ObjectKind::View { "view" } else { "table" };
                let key = self.catalog.key(name);
                self.catalog.drop(what, name, *temporary, *if_exists, &self.registry).map_err(|e| vec![e])?;
                self.deferred.remove(&key);
                Ok(())
            }
            StatementKind::Explain { statement } => self.explain(statement, last),
            StatementKind::Describe { name } => self.answer(|listing| listing.describe(name), last),
            StatementKind::Show(show) => self.answer(|listing| listing.show(show), last),
            StatementKind::SetList => {
                self.note(
                    "SET alone shows nothing: what holds is what the script sets, else Flink's default",
                    statement.span,
                );
                Ok(())
            }
        }
    }

    fn answer(&mut self, of: impl FnOnce(Listing<'_>) -> Result<RecordBatch>, last: bool) -> Result<(), Vec<Error>> {
        let none = BTreeMap::new();
        let listing = Listing { catalog: &self.catalog, relations: self.catalog.relations(), hidden: &none };
        let rows = of(listing).map_err(|e| vec![e])?;
        self.answers.push(Answer { rows, last });
        Ok(())
    }

    /// The plan of what would run, which does not.
    fn explain(&mut self, statement: &Statement, last: bool) -> Result<(), Vec<Error>> {
        let known = self.jobs.len();
        self.statement(statement, true)?;
        let plans = self.jobs.drain(known..).map(|job| job.plan.explain()).collect::<Vec<_>>();
        self.answer(|_| listing::texts("result", plans), last)
    }

    fn note(&mut self, message: impl Into<String>, span: Span) {
        self.notes.push(Note { message: message.into(), span });
    }

    fn set(&mut self, key: &Spanned<String>, value: &Spanned<String>, span: Span) -> Result<()> {
        let known = settings::set(&mut self.settings, &key.value, &value.value);
        let place = |e: Error| if e.missing_name().is_some() { e.at(key.span) } else { e.at(value.span) };
        if let Some(note) = known.map_err(place)? {
            self.note(note, span);
        }
        self.time_zone_may_have_changed();
        Ok(())
    }

    /// Functions depend on the time zone.
    fn time_zone_may_have_changed(&mut self) {
        self.registry = Registry::new(&self.settings.time_zone);
    }

    fn lowering(&self) -> Lowering<'_> {
        Lowering::new(&self.settings, &self.registry)
    }

    /// The analysed plan of a query, hints and all.
    fn plan(&self, query: &Query) -> Result<LogicalPlan, Vec<Error>> {
        if let Err(missing) = self.catalog.check_relations(query) {
            let mut errors = missing.flatten();
            errors.extend(self.catalog.planner(&self.registry).accepted(query).1);
            return Err(errors);
        }
        let mut hinted: Option<Relations> = None;
        let query = hints::resolve(query, &self.catalog, &mut hinted)?;
        let relations = hinted.as_ref().unwrap_or_else(|| self.catalog.relations());
        Planner { registry: &self.registry, relations, database: &self.catalog.database }.stream(&query)
    }

    /// What streams cannot do with a query that was planned, at the expression without which they could; else at its
    /// GROUP BY, or the whole of it.
    fn placed(&self, error: Error, query: &Query) -> Error {
        if error.span().is_some() {
            return error;
        }
        let mut hinted: Option<Relations> = None;
        let resolved = hints::resolve(query, &self.catalog, &mut hinted).ok();
        let relations = hinted.as_ref().unwrap_or_else(|| self.catalog.relations());
        let planner = Planner { registry: &self.registry, relations, database: &self.catalog.database };
        let found = resolved.and_then(|query| {
            locate::only(&query, &error.clone().into(), |query: &Query| {
                self.lowering().lower(&planner.attempt(query)?).map(drop).map_err(Into::into)
            })
        });
        let place = found.and_then(|expr| span_of(&expr));
        error.or_at(place).or_at(refuse::clause_place(query)).or_at(span_of(query))
    }

    /// A view that a job reads must be one that it can be made of.
    fn use_deferred(&mut self, query: &Query) {
        let mut read = self.broken(query);
        while let Some(key) = read.pop() {
            if let Some(view) = self.deferred.remove(&key) {
                self.errors.extend(view.errors);
                read.extend(view.reads);
            }
        }
    }

    /// What Flink accepts in a view stops no script that does not read it.
    fn create_view(&mut self, create: &CreateView) -> Result<(), Vec<Error>> {
        let key = self.catalog.key(&create.name);
        let reads = self.broken(&create.query);
        let checked = match reads.is_empty() || self.catalog.has(&create.name, create.if_not_exists) {
            true => self.checked_view(create),
            // what is wrong with what it reads is known
            false => {
                self.catalog.declare_broken(&create.name);
                Err(self.catalog.planner(&self.registry).accepted(&create.query).1)
            }
        };
        match checked {
            Err(errors) if self.catalog.is_broken(&key) && errors.iter().all(Error::is_unsupported) => {
                self.deferred.insert(key, Deferred { errors, reads });
                Ok(())
            }
            other => other,
        }
    }

    fn checked_view(&mut self, create: &CreateView) -> Result<(), Vec<Error>> {
        let (settings, registry) = (self.settings.clone(), self.registry.clone());
        let mut failing = Vec::new();
        let created = self.catalog.create_view(create, &self.registry, |plan| {
            let mut lowering = Lowering::new(&settings, &registry);
            lowering.whole(plan).map_err(|e| vec![e.unsupported()])?;
            let rehearsed = rehearsal::of(&lowering.builder.finish(settings.clone()));
            failing = rehearsed.failing;
            if rehearsed.impossible.is_empty() { Ok(()) } else { Err(rehearsed.impossible) }
        });
        self.failing.append(&mut failing);
        created.map_err(|errors| errors.into_iter().map(|error| self.placed(error, &create.query)).collect())
    }

    /// `CREATE TABLE … AS`: the table with the query's columns, and a job that fills it.
    fn create_from(
        &mut self,
        create: &CreateTable,
        order: &[Spanned<String>],
        query: &Query,
        span: Span,
    ) -> Result<(), Vec<Error>> {
        if self.catalog.has(&create.name, create.if_not_exists) || self.uses_broken(query) {
            return Ok(());
        }
        if create.temporary {
            let error = Error::sql("a temporary table cannot be created from a query").at(create.name.span);
            return Err(vec![error.hint("leave TEMPORARY out: no table outlives the script")]);
        }
        let plan = self.plan(query)?;
        let unwritable = insert::unwritable(&plan, &insert::column_places(query));
        if !unwritable.is_empty() {
            return Err(unwritable);
        }
        let whole = catalog::of_query(create, order, &plan)?;
        self.catalog.create_table(&whole, &self.registry)?;
        let key = self.catalog.key(&create.name);
        let Some(table) = self.catalog.table(&key).cloned() else { return Ok(()) };
        let place = |name: &str| plan.schema().fields().iter().position(|field| field.name() == name);
        let from: Vec<Option<usize>> = table.spec.sink_columns().map(|column| place(&column.name)).collect();
        let mut lowering = self.lowering();
        lowering.sink(&plan, &table.spec, &from, &[]).map_err(|e| vec![self.placed(e, query)])?;
        let builder = lowering.builder;
        self.job(builder, JobKind::Insert, span)
    }

    /// Whether the statement reads or writes what was declared wrongly: then its errors are known already.
    fn uses_broken(&self, query: &Query) -> bool {
        !self.broken(query).is_empty()
    }

    /// What a query reads that was declared wrongly.
    fn broken(&self, query: &Query) -> Vec<String> {
        let mut named = refuse::TableArguments(Vec::new());
        named.collect(query);
        let ControlFlow::Continue(()) = visit_relations(query, |name| {
            named.0.push(name.clone());
            ControlFlow::<Infallible>::Continue(())
        });
        let keys = named.0.iter().map(|name| self.catalog.key_of(name));
        keys.filter(|key| self.catalog.is_broken(key)).collect()
    }

    fn insert_job(&mut self, inserts: &[Insert], kind: JobKind, span: Span) -> Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        let mut planned = Vec::new();
        for insert in inserts {
            match self.insert(insert) {
                Ok(found) => planned.extend(found),
                Err(found) => errors.extend(found.into_iter().map(|e| e.or_at(Some(insert.span)))),
            }
        }
        let mut lowering = self.lowering();
        for (insert, planned) in &planned {
            if let Err(error) =
                lowering.sink(&planned.plan, &planned.table.spec, &planned.from, &insert.column_places())
            {
                errors.push(self.placed(error, &insert.query));
            }
        }
        let builder = lowering.builder;
        if !errors.is_empty() {
            return Err(errors);
        }
        if planned.is_empty() {
            return Ok(());
        }
        self.job(builder, kind, span)
    }

    fn job(&mut self, builder: PlanBuilder, kind: JobKind, span: Span) -> Result<(), Vec<Error>> {
        let mut plan = builder.finish(self.settings.clone());
        let mut errors = self.validate(&plan);
        let rehearsed = rehearsal::of(&plan);
        errors.extend(rehearsed.impossible);
        if !errors.is_empty() {
            return Err(errors);
        }
        self.failing.extend(rehearsed.failing);
        digits::keep(&mut plan);
        self.jobs.push(Job { plan, kind, span });
        Ok(())
    }

    /// Options of the tables a job uses, each table and usage once per script.
    fn validate(&mut self, plan: &StreamPlan) -> Vec<Error> {
        let mut errors = Vec::new();
        for node in &plan.nodes {
            let (table, usage) = match &node.kind {
                NodeKind::Source(source) => (&source.table, Usage::Source),
                NodeKind::Sink(sink) if sink.table.connector() != COLLECT => (&sink.table, Usage::Sink),
                _ => continue,
            };
            let known = self.validated.iter().any(|(other, used)| *used == usage && other == table);
            if !known && table.connector() != connectors::values::CONNECTOR {
                self.validated.push((Arc::clone(table), usage));
                let declared = self.catalog.table(&table.name);
                let place = |e: Error| {
                    let column = declared.and_then(|declared| declared.column_place(&e));
                    e.or_at(column).or_at(table.span)
                };
                errors.extend(connectors::validate(table, usage).into_iter().map(place));
            }
        }
        errors
    }

    /// One INSERT; `None` if its errors are known already.
    fn insert<'a>(&self, insert: &'a Insert) -> Result<Option<(&'a Insert, PlannedInsert)>, Vec<Error>> {
        if self.catalog.is_broken(&self.catalog.key(&insert.table)) {
            // the query may have mistakes of its own
            if !self.uses_broken(&insert.query) {
                self.plan(&insert.query)?;
            }
            return Ok(None);
        }
        let table = self.sink_table(&insert.table).and_then(|table| match insert.options.is_empty() {
            true => Ok(Arc::clone(table)),
            false => table.with_options(&insert.options).map(Arc::new),
        });
        if self.uses_broken(&insert.query) {
            return table.map(|_| None);
        }
        let plan = self.plan(&insert.query);
        match (table, plan) {
            (Ok(table), Ok(plan)) => {
                let (plan, constants) = self.with_partition(insert, &table, plan)?;
                let from = written(insert, &table, &plan, &constants).map_err(|e| vec![e])?;
                Ok(Some((insert, PlannedInsert { table, plan, from })))
            }
            (table, plan) => {
                let mut errors = plan.err().unwrap_or_default();
                errors.extend(table.err().unwrap_or_default());
                Err(errors)
            }
        }
    }

    /// The query with the values of `PARTITION (…)` behind its columns, and the names of these.
    fn with_partition(
        &self,
        insert: &Insert,
        table: &Table,
        plan: LogicalPlan,
    ) -> Result<(LogicalPlan, Vec<String>), Vec<Error>> {
        let mut names = Vec::new();
        let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        for (column, value) in &insert.partition {
            let spec = &table.spec;
            let Some(declared) = spec
                .columns
                .iter()
                .find(|c| c.name == column.value && spec.partitioned_by.contains(&c.name) && !names.contains(&c.name))
            else {
                let error = Error::sql(format!("table \"{}\" is not partitioned by \"{}\"", spec.name, column.value));
                let error = error.at(column.span);
                return Err(vec![match spec.partitioned_by.join(", ") {
                    none if none.is_empty() => error.hint("leave PARTITION (…) out, and select the value as a column"),
                    known => error.hint(format!("partitioned by: {known}")),
                }]);
            };
            let value = self.catalog.planner(&self.registry).constant(value, &declared.data_type)?;
            columns.push(value.alias(format!("PARTITION {}", declared.name)));
            names.push(declared.name.clone());
        }
        if names.is_empty() {
            return Ok((plan, names));
        }
        let built = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
        built.map(|plan| (plan, names)).map_err(|e| vec![e.into()])
    }

    fn sink_table(&self, name: &TableName) -> Result<&Arc<Table>, Vec<Error>> {
        let key = self.catalog.key(name);
        if self.catalog.is_view(&key) {
            let error = Error::sql(format!("\"{key}\" is a view and cannot be written")).at(name.span);
            return Err(vec![error.hint("INSERT INTO a table")]);
        }
        self.catalog.table(&key).ok_or_else(|| {
            let error = Error::sql(format!("table \"{key}\" not found")).at(name.span).missing(&key);
            vec![error.nearest(&key, self.catalog.table_names())]
        })
    }

    fn select_job(&mut self, query: &Query, span: Span) -> Result<(), Vec<Error>> {
        if self.uses_broken(query) {
            return Ok(());
        }
        let plan = self.plan(query)?;
        let unwritable = insert::unwritable(&plan, &insert::column_places(query));
        if !unwritable.is_empty() {
            return Err(unwritable);
        }
        let table = Arc::new(collected(&plan));
        let from: Vec<Option<usize>> = (0..table.columns.len()).map(Some).collect();
        let mut lowering = self.lowering();
        lowering.sink(&plan, &table, &from, &[]).map_err(|e| vec![self.placed(e, query)])?;
        let builder = lowering.builder;
        let columns = table.columns.iter().map(|c| c.name.clone()).collect();
        self.job(builder, JobKind::Select { columns }, span)
    }
}

/// The queries whose rows a statement asks for.
fn read_by(statement: &StatementKind) -> Vec<&Query> {
    match statement {
        StatementKind::CreateTable(create) => match &create.from {
            Some(DefinedBy::Query { query, .. }) => vec![query],
            _ => Vec::new(),
        },
        StatementKind::Insert(insert) => vec![&insert.query],
        StatementKind::StatementSet(inserts) => inserts.iter().map(|insert| insert.query.as_ref()).collect(),
        StatementKind::Query(query) => vec![query],
        _ => Vec::new(),
    }
}

/// An INSERT, resolved.
struct PlannedInsert {
    table: Arc<Table>,
    plan: LogicalPlan,
    /// For each column of the table's `sink_schema()`, the query's column; `None`: NULL.
    from: Vec<Option<usize>>,
}

/// The table a final SELECT writes to.
fn collected(plan: &LogicalPlan) -> TableSpec {
    let mut names = BTreeSet::new();
    let columns = plan.schema().fields().iter().map(|field| {
        let free = (0..).map(|n| if n == 0 { field.name().clone() } else { format!("{}{}", field.name(), n - 1) });
        let name = free.into_iter().find(|n| names.insert(n.clone())).unwrap_or_else(|| field.name().clone());
        ColumnSpec {
            name,
            data_type: field.data_type().clone(),
            sql_type: flink_type(field.data_type()),
            nullable: true,
            kind: ColumnKind::Physical,
        }
    });
    let connector = OptionValue { value: COLLECT.into(), span: None };
    TableSpec {
        name: "result".into(),
        columns: columns.collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(BTreeMap::from([("connector".to_owned(), connector)])),
        span: None,
    }
}
