//! Queries: syntax to an analysed logical plan ([`Planner`]), and that to plan nodes ([`lower`]).
//!
//! DataFusion plans and types; an explicit, short list of its rules runs afterwards. Nothing is pushed
//! down but the bounds of a Top-N ([`pushed`]): a filter below the watermark would change which rows are late.

mod aggregate;
mod calls;
mod constants;
pub(crate) mod context;
pub(crate) mod digits;
pub(crate) mod errors;
pub(crate) mod expr;
pub(crate) mod forms;
mod frame;
mod join;
mod join_keys;
pub(crate) mod locate;
pub(crate) mod lower;
mod over;
mod pushed;
mod rank;
pub(crate) mod refuse;
mod relabel;
pub(crate) mod scope;
mod session_rows;
pub(crate) mod sink;
pub(crate) mod unnest;
pub(crate) mod values;
pub(crate) mod window;
pub(crate) mod window_call;
pub(crate) mod wording;

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, lit};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Analyzer, Optimizer, OptimizerContext, OptimizerRule};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit};

use crate::error::{Error, Result};
use crate::sql::catalog::renamed;
use crate::sql::parser::ast::CreateView;
use crate::sql::planner::context::{Context, Relation, Relations, parser_options};
use crate::sql::planner::errors::translate;
use crate::sql::planner::locate::Piece;
use crate::sql::registry::Registry;
use crate::sql::{group_window, length, over_window, places, rewrite};

/// Steps of one query, views filled in; bounds the time of planning.
const QUERY_STEPS_MAX: usize = 1_000;

/// Plans queries over known relations.
pub(crate) struct Planner<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) relations: &'a Relations,
    /// Where names without a database are looked up.
    pub(crate) database: &'a str,
}

/// What is wrong with a query, and where.
type Mistakes = Vec<(DataFusionError, Option<Piece>)>;

impl Planner<'_> {
    /// The analysed plan of a query on streams.
    ///
    /// # Errors
    /// All refusals of the query, or the first thing that does not resolve.
    pub(crate) fn stream(&self, query: &ast::Query) -> Result<LogicalPlan, Vec<Error>> {
        let (query, refused) = self.accepted(query);
        if !refused.is_empty() {
            return Err(refused);
        }
        self.query(&query)
    }

    /// The query with named windows spelt out and group windows as table functions, and what streams cannot do in it.
    pub(crate) fn accepted(&self, query: &ast::Query) -> (ast::Query, Vec<Error>) {
        let mut query = query.clone();
        let mut refused = over_window::spell_out(&mut query);
        refused.extend(group_window::to_table_functions(&mut query));
        refused.extend(refuse::query(&query, self.registry));
        (query, refused)
    }

    /// [`Planner::stream`] of a query that was planned before, with some pieces left out: its first error, unexplained.
    ///
    /// # Errors
    /// Whatever is wrong without these pieces.
    pub(crate) fn attempt(&self, query: &ast::Query) -> Result<LogicalPlan, DataFusionError> {
        let (query, refused) = self.accepted(query);
        match refused.into_iter().next() {
            Some(error) => Err(error.into()),
            None => self.planned(self.prepared(&query).0),
        }
    }

    /// The analysed plan of a view, with the names of its columns.
    ///
    /// # Errors
    /// As [`Planner::stream`], or another number of names than columns.
    pub(crate) fn view(&self, create: &CreateView) -> Result<LogicalPlan, Vec<Error>> {
        let twice = rewrite::tell_apart(&mut create.query.clone());
        if let Some(name) = twice.first().filter(|_| create.columns.is_empty()) {
            return Err(vec![errors::duplicate(&name.value).or_at(places::from_parser(name.span))]);
        }
        let plan = self.stream(&create.query)?;
        renamed(plan, &create.columns, &create.name).map_err(|e| vec![e])
    }

    /// The analysed plan of any query.
    ///
    /// # Errors
    /// The first thing that does not resolve.
    pub(crate) fn query(&self, query: &ast::Query) -> Result<LogicalPlan, Vec<Error>> {
        let (prepared, errors) = self.prepared(query);
        if !errors.is_empty() {
            return Err(errors);
        }
        let plan = self.planned(prepared).map_err(|error| {
            let found = locate::all(query, error, |query: &ast::Query| self.planned(self.prepared(query).0).map(drop));
            self.told(&found, query)
        })?;
        window::check_references(&plan).map_err(|e| vec![e.or_at(places::span_of(query))])?;
        match steps(&plan) {
            n if n <= QUERY_STEPS_MAX => Ok(plan),
            n => Err(vec![
                Error::sql(format!("the query has {n} steps, views filled in; {QUERY_STEPS_MAX} are possible"))
                    .or_at(places::span_of(query))
                    .hint("write intermediate results into a table"),
            ]),
        }
    }

    /// The query as DataFusion can plan it, and what cannot be read in it.
    fn prepared(&self, query: &ast::Query) -> (ast::Query, Vec<Error>) {
        let mut prepared = query.clone();
        // queries of a session are not looked at before
        let mut errors = over_window::spell_out(&mut prepared);
        errors.extend(values::name_columns(&mut prepared));
        rewrite::tell_apart(&mut prepared);
        length::split_casts(&mut prepared);
        errors.extend(rewrite::prepare(&mut prepared, self.registry));
        (prepared, errors)
    }

    fn planned(&self, prepared: ast::Query) -> Result<LogicalPlan, DataFusionError> {
        let context = Context::new(self.registry, self.relations, self.database);
        SqlToRel::new_with_options(&context, parser_options())
            .sql_statement_to_plan(ast::Statement::Query(Box::new(prepared)))
            .and_then(|plan| self.analyze(plan))
    }

    fn told<V: Visit + Spanned>(&self, found: &Mistakes, syntax: &V) -> Vec<Error> {
        let tables = self.table_names();
        found.iter().map(|(error, piece)| translate(error, &tables, piece.as_ref(), syntax)).collect()
    }

    /// Expressions over the columns of `source`, analysed: computed columns and watermarks.
    ///
    /// # Errors
    /// The first thing that does not resolve.
    pub(crate) fn expressions(
        &self,
        name: &str,
        source: Arc<dyn TableSource>,
        exprs: &[(String, ast::Expr)],
    ) -> Result<LogicalPlan, Vec<Error>> {
        let mut errors = Vec::new();
        for (_, expr) in exprs {
            errors.extend(refuse::expression(expr, self.registry));
            errors.extend(self.prepared_expression(expr).1);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let scan = LogicalPlanBuilder::scan(name, source, None).and_then(LogicalPlanBuilder::build);
        let scan = scan.map_err(|e| vec![e.into()])?;
        let (names, exprs): (Vec<&str>, Vec<ast::Expr>) =
            exprs.iter().map(|(name, expr)| (name.as_str(), expr.clone())).unzip();
        self.computed(&scan, &names, &exprs).map_err(|error| {
            let again = |exprs: &Vec<ast::Expr>| self.computed(&scan, &names, exprs).map(drop);
            let found = locate::all(&exprs, error, again);
            self.told(&found, &ast::Expr::Tuple(exprs))
        })
    }

    /// Expressions over the rows of a scan, as columns of these names.
    fn computed(
        &self,
        scan: &LogicalPlan,
        names: &[&str],
        exprs: &[ast::Expr],
    ) -> Result<LogicalPlan, DataFusionError> {
        let context = Context::new(self.registry, self.relations, self.database);
        let planner = SqlToRel::new_with_options(&context, parser_options());
        let mut planned = Vec::with_capacity(exprs.len());
        for (name, expr) in names.iter().zip(exprs) {
            let prepared = self.prepared_expression(expr).0;
            let expr = planner.sql_to_expr(prepared, scan.schema(), &mut PlannerContext::new())?;
            planned.push(expr.alias(*name));
        }
        let plan = LogicalPlanBuilder::from(scan.clone()).project(planned)?.build()?;
        self.analyze(plan)
    }

    /// A constant as a value of a type.
    ///
    /// # Errors
    /// `Sql` if it is no constant, or cannot be cast.
    pub(crate) fn constant(&self, expr: &ast::Expr, to: &DataType) -> Result<Expr, Vec<Error>> {
        let one = Relation { schema: Arc::new(Schema::empty()), rowtime: None, view: None, table: None };
        let plan = self.expressions("constant", Arc::new(one), &[("value".to_owned(), expr.clone())])?;
        let LogicalPlan::Projection(projection) = &plan else { return Err(vec![Error::internal("no projection")]) };
        let (Some(value), field) = (projection.expr.first(), plan.schema().field(0)) else { return Ok(lit(0)) };
        let value = window::unaliased(value).clone();
        match rewrite::cast(&value, field.data_type(), to, self.registry) {
            Some(cast) => cast.map_err(|e| vec![e.into()]),
            None if field.data_type() == to => Ok(value),
            None => Ok(Expr::Cast(Cast::new(Box::new(value), to.clone()))),
        }
    }

    /// As [`Planner::prepared`], of an expression.
    fn prepared_expression(&self, expr: &ast::Expr) -> (ast::Expr, Vec<Error>) {
        let mut prepared = expr.clone();
        length::split_casts(&mut prepared);
        let errors = rewrite::prepare(&mut prepared, self.registry);
        (prepared, errors)
    }

    /// Flink's literals and casts, types that fit, constants folded.
    fn analyze(&self, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let plan = rewrite::rewrite_plan(plan, self.registry)?;
        let options = ConfigOptions::default();
        let plan =
            Analyzer::with_rules(vec![Arc::new(TypeCoercion::new())]).execute_and_check(plan, &options, |_, _| {})?;
        // without a start time `now()` is not frozen
        let config = OptimizerContext::new_with_config_options(Arc::new(options)).without_query_execution_start_time();
        let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
            Arc::new(SimplifyExpressions::new()),
            Arc::new(constants::ConstantsAsValues::new(self.registry)),
            // what joins windows: IN and EXISTS, and FROM a, b WHERE …
            Arc::new(DecorrelatePredicateSubquery::new()),
            Arc::new(join_keys::PlainJoinKeys),
            Arc::new(EliminateCrossJoin::new()),
        ];
        let plan = Optimizer::with_rules(rules).optimize(plan, &config, |_, _| {})?;
        pushed::to_numbers(plan)
    }

    fn table_names(&self) -> Vec<&str> {
        self.relations.keys().map(String::as_str).collect()
    }
}

fn steps(plan: &LogicalPlan) -> usize {
    let mut count = 0usize;
    // the closure never fails, so neither does the walk
    drop(plan.apply(|_| {
        count += 1;
        Ok(if count > QUERY_STEPS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    }));
    count
}

#[cfg(test)]
mod tests;
