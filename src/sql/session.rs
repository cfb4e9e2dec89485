//! Ad-hoc queries over a script's tables: plain DataFusion with our dialect and functions.
//!
//! The tables are bounded here (files, ranges of topics, ledgers), so all of SQL can be asked: ORDER BY,
//! joins, any GROUP BY.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, visit_relations};

use crate::error::{Error, Result};
use crate::plan::Source;
use crate::sql::Script;
use crate::sql::bounded_unnest::bounded_unnest;
use crate::sql::catalog::renamed;
use crate::sql::parser;
use crate::sql::parser::ast::{ObjectKind, Spanned, Statement, StatementKind};
use crate::sql::planner::Planner;
use crate::sql::planner::context::{Registry, Relation, Relations};
use crate::sql::planner::errors::{from_parser, span_of};
use crate::sql::planner::expr::flink_type;
use crate::sql::planner::lower;
use crate::sql::planner::refuse;
use crate::table::TableSpec;

/// Plans and runs ad-hoc queries.
pub struct Session {
    context: SessionContext,
    registry: Registry,
    relations: Relations,
    /// Names of the views among the relations.
    views: BTreeSet<String>,
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
    let mut session =
        Session { context, registry, relations: Relations::new(), views: BTreeSet::new(), refused: BTreeMap::new() };
    for table in &script.tables {
        if let Some(declared) = script.catalog.tables.get(&table.name) {
            let provider = register(table, lower::source(declared, &script.settings)?)?;
            session.register(&table.name, provider);
        }
    }
    for view in &script.catalog.views {
        let planned = session
            .plan(&view.query)
            .map_err(|error| error.flatten().first().map_or_else(String::new, |first| first.message().to_owned()))
            .and_then(|plan| renamed(plan, &view.columns, &view.name).map_err(|error| error.message().to_owned()));
        match planned {
            Ok(plan) => {
                let relation = Relation { schema: Arc::clone(plan.schema().inner()), rowtime: None, view: Some(plan) };
                session.relations.insert(view.name.value.clone(), Arc::new(relation));
                session.views.insert(view.name.value.clone());
            }
            Err(reason) => {
                session.refused.insert(view.name.value.clone(), reason);
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

    /// What each statement of `text` shows, ready to run: queries, `SHOW TABLES`, `SHOW VIEWS`, `DESCRIBE`.
    ///
    /// # Errors
    /// `Sql` with places in `text`: all mistakes of the syntax, or those of the first wrong statement.
    pub fn queries(&self, text: &str) -> Result<Vec<DataFrame>> {
        let (statements, errors) = parser::parse_script(text, &|_| None);
        match Error::collect(errors) {
            Some(error) => Err(error),
            None => statements.iter().map(|statement| self.statement(statement)).collect(),
        }
    }

    fn statement(&self, statement: &Statement) -> Result<DataFrame> {
        match &statement.kind {
            StatementKind::Query(query) => Ok(DataFrame::new(self.context.state(), self.plan(query)?)),
            StatementKind::Show(kind) => self.show(*kind),
            StatementKind::Describe { name } => self.describe(name),
            _ => Err(Error::sql("only a query can be run here")
                .at(statement.span)
                .hint("write SELECT …, SHOW TABLES or DESCRIBE table")),
        }
    }

    /// Names, as Flink shows them: views are tables, too.
    fn show(&self, kind: ObjectKind) -> Result<DataFrame> {
        let (title, names): (_, Vec<&str>) = match kind {
            ObjectKind::Table => ("table name", self.tables().collect()),
            ObjectKind::View => ("view name", self.views.iter().map(String::as_str).collect()),
        };
        self.rows([(title, Arc::new(StringArray::from(names)) as ArrayRef)])
    }

    fn describe(&self, name: &Spanned<String>) -> Result<DataFrame> {
        let relation = self.relations.get(&name.value).ok_or_else(|| {
            Error::sql(format!("table or view \"{}\" not found", name.value))
                .at(name.span)
                .nearest(&name.value, self.tables())
        })?;
        let schema = relation.schema();
        let fields = schema.fields();
        let names: StringArray = fields.iter().map(|f| Some(f.name().as_str())).collect();
        let types: StringArray = fields.iter().map(|f| Some(flink_type(f.data_type()))).collect();
        let nullable: BooleanArray = fields.iter().map(|f| Some(f.is_nullable())).collect();
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
    fn plan(&self, query: &Query) -> Result<LogicalPlan> {
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
        let unknown = refuse::unknown_functions(query, &self.registry);
        if let Some(error) = Error::collect(unknown) {
            return Err(error);
        }
        let planner = Planner { registry: &self.registry, relations: &self.relations };
        let plan = planner.query(query).map_err(|errors| {
            Error::collect(errors).unwrap_or_else(|| Error::internal("a query failed without an error"))
        })?;
        typed_values(bounded_unnest(plan, &self.registry)?)
    }

    /// Breaks with an error if `name` is a view that only jobs can compute.
    fn check_view(&self, name: &ObjectName) -> ControlFlow<Error> {
        let ident = name.0.last().and_then(ObjectNamePart::as_ident);
        let Some((ident, reason)) = ident.and_then(|ident| Some((ident, self.refused.get(&ident.value)?))) else {
            return ControlFlow::Continue(());
        };
        ControlFlow::Break(
            Error::sql(format!("view \"{}\" cannot be computed by an ad-hoc query: {reason}", ident.value))
                .or_at(from_parser(ident.span))
                .hint("GROUP BY FLOOR(ts TO MINUTE), or run it as the SELECT of a script: \"streamer run FILE\""),
        )
    }
}

/// `VALUES` with the types that its literals have in Flink: those of the plan were made before.
fn typed_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.exists(|node| Ok(matches!(node, LogicalPlan::Values(_))))? {
        return Ok(plan);
    }
    let typed = plan.transform_up(|node| match node {
        LogicalPlan::Values(values) => {
            Ok(Transformed::yes(LogicalPlanBuilder::values(values.values).and_then(LogicalPlanBuilder::build)?))
        }
        other => other.recompute_schema().map(Transformed::yes),
    })?;
    Ok(typed.data)
}

#[cfg(test)]
mod tests;
