//! Ad-hoc queries over a script's tables: plain DataFusion with our dialect and functions.
//!
//! The tables are bounded here (files, ranges of topics, ledgers), so all of SQL can be asked: ORDER BY,
//! joins, any GROUP BY.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};
use crate::plan::Source;
use crate::sql::Script;
use crate::sql::catalog::renamed;
use crate::sql::parser::{self, ast::StatementKind};
use crate::sql::planner::Planner;
use crate::sql::planner::context::{Registry, Relation, Relations};
use crate::sql::planner::lower;
use crate::sql::planner::refuse;
use crate::table::TableSpec;

/// Plans and runs ad-hoc queries.
pub struct Session {
    context: SessionContext,
    registry: Registry,
    relations: Relations,
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
    let mut session = Session { context, registry, relations: Relations::new() };
    for table in &script.tables {
        if let Some(declared) = script.catalog.tables.get(&table.name) {
            let provider = register(table, lower::source(declared, &script.settings)?)?;
            session.register(&table.name, provider);
        }
    }
    for view in &script.catalog.views {
        // a view over a table that cannot be read, or with a window function, cannot be asked here
        let planner = Planner { registry: &session.registry, relations: &session.relations };
        if let Ok(plan) = planner.query(&view.query)
            && let Ok(plan) = renamed(plan, &view.columns, &view.name)
        {
            let relation = Relation { schema: Arc::clone(plan.schema().inner()), rowtime: None, view: Some(plan) };
            session.relations.insert(view.name.value.clone(), Arc::new(relation));
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

    /// Names of the tables, sorted.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.relations.keys().map(String::as_str)
    }

    /// Names of the functions, for completion.
    pub fn functions(&self) -> Vec<&'static str> {
        crate::functions::names()
    }

    /// The query as a data frame, ready to run.
    ///
    /// # Errors
    /// `Sql` with places in `text`.
    pub fn query(&self, text: &str) -> Result<DataFrame> {
        Ok(DataFrame::new(self.context.state(), self.plan(text)?))
    }

    /// The logical plan of a query: one `SELECT`, `WITH` or `VALUES`.
    fn plan(&self, text: &str) -> Result<LogicalPlan> {
        let (statements, errors) = parser::parse_script(text, &|_| None);
        if let Some(error) = Error::collect(errors) {
            return Err(error);
        }
        let query = match &statements[..] {
            [one] => match &one.kind {
                StatementKind::Query(query) => query,
                _ => return Err(Error::sql("only a query can be run here").at(one.span).hint("write SELECT …")),
            },
            [] => return Err(Error::sql("there is no query").hint("write SELECT …")),
            [_, second, ..] => return Err(Error::sql("one query at a time").at(second.span)),
        };
        let unknown = refuse::unknown_functions(query.as_ref(), &self.registry);
        if let Some(error) = Error::collect(unknown) {
            return Err(error);
        }
        let planner = Planner { registry: &self.registry, relations: &self.relations };
        planner.query(query).map_err(|errors| {
            Error::collect(errors).unwrap_or_else(|| Error::internal("a query failed without an error"))
        })
    }
}
