//! Ad-hoc queries over a script's tables: plain DataFusion with our dialect and functions.
//!
//! The tables are bounded here (files, ranges of topics, ledgers), so all of SQL can be asked: ORDER BY,
//! joins, any GROUP BY.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, visit_relations};

use crate::error::{Error, Result};
use crate::plan::Source;
use crate::sql::bounded_unnest::bounded_unnest;
use crate::sql::catalog::{Catalog, key, renamed};
use crate::sql::parser::ast::{ObjectKind, Show, Shown, Spanned, Statement, StatementKind, TableName};
use crate::sql::parser::names::{CATALOG, LEDGER};
use crate::sql::parser::parse_script;
use crate::sql::planner::Planner;
use crate::sql::planner::context::{Registry, Relation, Relations};
use crate::sql::planner::errors::{from_parser, span_of};
use crate::sql::planner::expr::flink_type;
use crate::sql::planner::lower;
use crate::sql::planner::refuse;
use crate::sql::{Script, hints, show_create};
use crate::table::TableSpec;

/// Plans and runs ad-hoc queries.
pub struct Session {
    context: SessionContext,
    registry: Registry,
    relations: Relations,
    /// What the script declares.
    catalog: Catalog,
    /// Views that cannot be asked here, and why.
    refused: BTreeMap<String, String>,
}

/// A session over the tables of `script`. `register` gives the rows of a table, told how it is read.
///
/// # Errors
/// What `register` says.
pub fn session(
    script: &Script,
    mut register: impl FnMut(&TableSpec, Source) -> Result<Arc<dyn TableProvider>>,
) -> Result<Session> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(false));
    let registry = Registry::new(&script.settings.time_zone).with_window_functions(all_default_window_functions());
    let (relations, catalog) = (Relations::new(), script.catalog.clone());
    let mut session = Session { context, registry, relations, catalog, refused: BTreeMap::new() };
    for table in script.catalog.tables() {
        let provider = register(&table.spec, lower::source(table, &script.settings)?)?;
        session.register(&table.spec.name, provider);
    }
    for (key, view, database) in script.catalog.views() {
        let planned = session
            .plan(&view.query, database)
            .map_err(|error| error.flatten().first().map_or_else(String::new, |first| first.message().to_owned()))
            .and_then(|plan| renamed(plan, &view.columns, &view.name).map_err(|error| error.message().to_owned()));
        match planned {
            Ok(plan) => {
                let schema = Arc::clone(plan.schema().inner());
                let relation = Relation { schema, rowtime: None, view: Some(plan), table: None };
                session.relations.insert(key.to_owned(), Arc::new(relation));
            }
            Err(reason) => {
                session.refused.insert(key.to_owned(), reason);
            }
        }
    }
    Ok(session)
}

impl Session {
    /// Adds a table under `name`, or replaces it.
    pub fn register(&mut self, name: &str, provider: Arc<dyn TableProvider>) {
        let source: Arc<dyn TableSource> = provider_as_source(provider);
        self.relations.insert(name.to_owned(), source);
    }

    /// Names of the tables and views, sorted.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.relations.keys().map(String::as_str)
    }

    /// Names of all columns, for completion.
    pub fn columns(&self) -> Vec<String> {
        self.relations
            .values()
            .flat_map(|r| r.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Names of the functions, for completion.
    pub fn functions(&self) -> Vec<&'static str> {
        crate::functions::names()
    }

    /// The query as a data frame, ready to run.
    ///
    /// # Errors
    /// `Sql` with places in `text`, also if there is no query or more than one.
    pub fn query(&self, text: &str) -> Result<DataFrame> {
        let mut frames = self.queries(text)?;
        match (frames.pop(), frames.is_empty()) {
            (Some(frame), true) => Ok(frame),
            (None, _) => Err(Error::sql("there is no query").hint("write SELECT …")),
            (Some(_), false) => Err(Error::sql("one query at a time")),
        }
    }

    /// What each statement of `text` shows, ready to run: queries, `SHOW …`, `DESCRIBE`.
    ///
    /// # Errors
    /// `Sql` with places in `text`: all mistakes of the syntax, or those of the first wrong statement.
    pub fn queries(&self, text: &str) -> Result<Vec<DataFrame>> {
        let (statements, errors) = parse_script(text, &|_| None);
        match Error::collect(errors) {
            Some(error) => Err(error),
            None => statements.iter().map(|statement| self.statement(statement)).collect(),
        }
    }

    fn statement(&self, statement: &Statement) -> Result<DataFrame> {
        match &statement.kind {
            StatementKind::Query(query) => {
                let plan = self.plan(query, &self.catalog.database)?;
                Ok(DataFrame::new(self.context.state(), plan))
            }
            StatementKind::Show(shown) => self.show(shown),
            StatementKind::Describe { name } => self.describe(name),
            _ => Err(Error::sql("only a query can be run here")
                .at(statement.span)
                .hint("write SELECT …, SHOW TABLES or DESCRIBE table")),
        }
    }

    /// One column of names, or the columns of a table.
    fn show(&self, show: &Show) -> Result<DataFrame> {
        let texts = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<String>>();
        let (title, names) = match &show.what {
            Shown::Tables(database) => ("table name", self.names(database.as_ref(), false)?),
            Shown::Views(database) => ("view name", self.names(database.as_ref(), true)?),
            Shown::Databases => ("database name", texts(self.catalog.databases().collect())),
            Shown::CurrentDatabase => ("current database name", texts(vec![&self.catalog.database])),
            Shown::Catalogs => ("catalog name", texts(vec![CATALOG])),
            Shown::CurrentCatalog => ("current catalog name", texts(vec![CATALOG])),
            Shown::Functions => ("function name", texts(self.functions())),
            Shown::Nothing(title) => (title.as_str(), Vec::new()),
            Shown::Create(kind, name) => ("result", vec![self.definition(*kind, name)?]),
            Shown::Columns(name) => return self.describe_like(name, show.like.as_ref()),
        };
        let names = names.into_iter().filter(|name| matches(name, show.like.as_ref()));
        self.rows([(title, Arc::new(names.map(Some).collect::<StringArray>()) as ArrayRef)])
    }

    /// Names in a database, as Flink shows them: views are tables, too. The ledger is a database of its own.
    fn names(&self, database: Option<&Spanned<String>>, views: bool) -> Result<Vec<String>> {
        let here = database.map_or(self.catalog.database.as_str(), |name| name.value.as_str());
        let ledger = self.relations.keys().filter_map(|key| key.strip_prefix("ledger.")).map(str::to_owned);
        if here == LEDGER {
            return Ok(if views { Vec::new() } else { ledger.collect() });
        }
        if let Some(name) = database.filter(|name| self.catalog.databases().all(|known| known != name.value)) {
            return Err(Error::sql(format!("database \"{}\" does not exist", name.value))
                .at(name.span)
                .nearest(&name.value, self.catalog.databases()));
        }
        let known = |name: &str| !self.refused.contains_key(&key(here, name));
        let all = self.catalog.names_in(here).filter(|(name, view)| (*view || !views) && known(name));
        let mut names: Vec<String> = all.map(|(name, _)| name.to_owned()).collect();
        if database.is_none() && !views {
            names.extend(ledger.map(|name| format!("ledger.{name}")));
            names.sort();
        }
        Ok(names)
    }

    /// The statement that declares a table or view.
    fn definition(&self, kind: ObjectKind, name: &TableName) -> Result<String> {
        let key = self.catalog.key(name);
        let found = match kind {
            ObjectKind::Table => self.catalog.definition(&key).map(show_create::table),
            ObjectKind::View => {
                let view = self.catalog.views().find(|(view, ..)| *view == key);
                view.map(|(_, create, _)| show_create::view(create))
            }
        };
        let what = if kind == ObjectKind::View { "view" } else { "table" };
        found.ok_or_else(|| {
            let error = Error::sql(format!("{what} \"{key}\" not found")).at(name.span);
            error.nearest(&key, self.tables())
        })
    }

    fn describe(&self, name: &TableName) -> Result<DataFrame> {
        self.describe_like(name, None)
    }

    fn describe_like(&self, name: &TableName, like: Option<&(bool, String)>) -> Result<DataFrame> {
        let key = self.catalog.key(name);
        let relation = self.relations.get(&key).ok_or_else(|| {
            let error = Error::sql(format!("table or view \"{key}\" not found")).at(name.span);
            error.nearest(&key, self.tables())
        })?;
        let declared = self.catalog.table(&key);
        let sql_type = |at: usize, data_type: &arrow::datatypes::DataType| {
            let column = declared.and_then(|table| table.spec.columns.get(at));
            column.map_or_else(|| flink_type(data_type), |column| column.sql_type.clone())
        };
        let schema = relation.schema();
        let fields = || schema.fields().iter().enumerate().filter(|(_, field)| matches(field.name(), like));
        let names: StringArray = fields().map(|(_, f)| Some(f.name().as_str())).collect();
        let types: StringArray = fields().map(|(at, f)| Some(sql_type(at, f.data_type()))).collect();
        let nullable: BooleanArray = fields().map(|(_, f)| Some(f.is_nullable())).collect();
        self.rows([
            ("name", Arc::new(names) as ArrayRef),
            ("type", Arc::new(types) as ArrayRef),
            ("null", Arc::new(nullable) as ArrayRef),
        ])
    }

    fn rows<const N: usize>(&self, columns: [(&str, ArrayRef); N]) -> Result<DataFrame> {
        Ok(self.context.read_batch(RecordBatch::try_from_iter(columns)?)?)
    }

    /// The logical plan of a query: one `SELECT`, `WITH` or `VALUES`.
    fn plan(&self, query: &Query, database: &str) -> Result<LogicalPlan> {
        let mut windows = refuse::TableArguments(Vec::new());
        windows.collect(query);
        if !windows.0.is_empty() {
            return Err(Error::sql("TUMBLE, HOP and CUMULATE are computed by jobs, not by an ad-hoc query")
                .or_at(span_of(query))
                .hint("GROUP BY FLOOR(ts TO MINUTE), or run it as the SELECT of a script: \"streamer run FILE\""));
        }
        if let ControlFlow::Break(error) = visit_relations(query, |name| self.check_view(name)) {
            return Err(error);
        }
        self.catalog.check_relations(query)?;
        let mut hinted = None;
        let errors =
            |errors| Error::collect(errors).unwrap_or_else(|| Error::internal("a query failed without an error"));
        let query = hints::resolve(query, &self.catalog, &mut hinted).map_err(errors)?;
        if hinted.is_some() {
            return Err(Error::sql("OPTIONS hints are for jobs, not for an ad-hoc query")
                .or_at(span_of(&query))
                .hint("write the options into the WITH (…) of a table"));
        }
        let unknown = refuse::unknown_functions(&query, &self.registry);
        if let Some(error) = Error::collect(unknown) {
            return Err(error);
        }
        let planner = Planner { registry: &self.registry, relations: &self.relations, database };
        bounded_unnest(planner.query(&query).map_err(errors)?, &self.registry)
    }

    /// Breaks with an error if `name` is a view that only jobs can compute.
    fn check_view(&self, name: &ObjectName) -> ControlFlow<Error> {
        let ident = name.0.last().and_then(ObjectNamePart::as_ident);
        let reason = self.refused.get(&self.catalog.key_of(name));
        let Some((ident, reason)) = ident.zip(reason) else { return ControlFlow::Continue(()) };
        ControlFlow::Break(
            Error::sql(format!("view \"{}\" cannot be computed by an ad-hoc query: {reason}", ident.value))
                .or_at(from_parser(ident.span))
                .hint("GROUP BY FLOOR(ts TO MINUTE), or run it as the SELECT of a script: \"streamer run FILE\""),
        )
    }
}

/// Whether `name` is to be shown: `[NOT] LIKE` with `%` and `_`, in any case.
fn matches(name: &str, like: Option<&(bool, String)>) -> bool {
    fn at(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skipped| at(&name[skipped..], rest)),
            ['_', rest @ ..] => !name.is_empty() && at(&name[1..], rest),
            [c, rest @ ..] => name.first() == Some(c) && at(&name[1..], rest),
        }
    }
    let Some((not, pattern)) = like else { return true };
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    // consecutive `%` say the same as one, and would only cost
    let mut pattern = chars(pattern);
    pattern.dedup_by(|a, b| *a == '%' && *b == '%');
    at(&chars(name), &pattern) != *not
}

#[cfg(test)]
mod tests;
