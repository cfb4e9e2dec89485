//! Ad-hoc queries over a script's tables: plain DataFusion with our dialect and functions.
//!
//! The tables are bounded here (files, ranges of topics, ledgers), so all of SQL can be asked: ORDER BY,
//! joins, any GROUP BY.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
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
use crate::sql::catalog::{Catalog, renamed};
use crate::sql::listing::Listing;
use crate::sql::parser::ast::{Statement, StatementKind};
use crate::sql::parser::parse_script;
use crate::sql::places::{from_parser, span_of};
use crate::sql::planner::Planner;
use crate::sql::planner::context::{Relation, Relations};
use crate::sql::planner::lower;
use crate::sql::planner::refuse;
use crate::sql::registry::Registry;
use crate::sql::{Script, hints};
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
            StatementKind::Show(show) => self.rows(self.listing().show(show)),
            StatementKind::Describe { name } => self.rows(self.listing().describe(name)),
            _ => Err(Error::sql("only a query can be run here")
                .at(statement.span)
                .hint("write SELECT …, SHOW TABLES or DESCRIBE table")),
        }
    }

    fn listing(&self) -> Listing<'_> {
        Listing { catalog: &self.catalog, relations: &self.relations, hidden: &self.refused }
    }

    fn rows(&self, rows: Result<RecordBatch>) -> Result<DataFrame> {
        Ok(self.context.read_batch(rows?)?)
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

#[cfg(test)]
mod tests;
