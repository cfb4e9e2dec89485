//! What DataFusion's planner may see of a script: its tables and views, our functions and nothing else,
//! Flink's types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult, TableReference, plan_err};
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawWindowExpr, RelationPlanner,
    TypePlanner,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowFunctionDefinition,
    WindowUDF, lit,
};
use datafusion::sql::planner::{NullOrdering, ParserOptions};
use datafusion::sql::sqlparser::ast;

use crate::sql::catalog::{Table, key};
use crate::sql::mark::marker;
use crate::sql::parser::types::arrow_type_of;
use crate::sql::planner::locate::asked;
use crate::sql::planner::unnest::UnnestTables;
use crate::sql::planner::window_call::WindowTables;
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;

/// A table or view as DataFusion sees it.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) schema: SchemaRef,
    /// Place of the `WATERMARK FOR` column.
    pub(crate) rowtime: Option<usize>,
    /// What a view stands for.
    pub(crate) view: Option<LogicalPlan>,
    /// The table it is, if it is one.
    pub(crate) table: Option<Arc<Table>>,
}

impl TableSource for Relation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.view.as_ref().map(Cow::Borrowed)
    }
}

/// Relations by name.
pub(crate) type Relations = BTreeMap<String, Arc<dyn TableSource>>;

/// What one query is planned with.
pub(crate) struct Context<'a> {
    registry: &'a Registry,
    relations: &'a Relations,
    /// Where names without a database are looked up.
    database: &'a str,
    options: ConfigOptions,
    expressions: Vec<Arc<dyn ExprPlanner>>,
    tables: Vec<Arc<dyn RelationPlanner>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(registry: &'a Registry, relations: &'a Relations, database: &'a str) -> Self {
        Self {
            registry,
            relations,
            database,
            options: ConfigOptions::default(),
            expressions: registry
                .syntax
                .iter()
                .cloned()
                .chain([
                    Arc::new(Operators { times: registry.scalar("interval_times").cloned() }) as Arc<dyn ExprPlanner>
                ])
                .collect(),
            tables: vec![Arc::new(WindowTables), Arc::new(UnnestTables)],
        }
    }
}

/// How text is read: names as written, decimals exact, NULLs lowest.
pub(crate) fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_parse_float_as_decimal(true)
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(false)
        .with_collect_spans(true)
        .with_default_null_ordering(NullOrdering::NullsMin)
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        match self.relations.get(&key(name.schema().unwrap_or(self.database), name.table())) {
            Some(relation) => Ok(Arc::clone(relation)),
            None => plan_err!("table '{name}' not found"),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expressions
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.tables
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.registry.scalar.get(name).cloned().or_else(|| marker(name)).or_else(|| asked(name))
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.registry.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.registry.window.get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.registry.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.registry.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.registry.window.keys().cloned().collect()
    }
}

/// `COUNT(*)` as the count of a constant, casts inside aggregates with names, and a number times an interval, which
/// DataFusion has no type for.
#[derive(Debug)]
struct Operators {
    times: Option<Arc<ScalarUDF>>,
}

/// Arguments in which casts have a name with their type: DataFusion calls `SUM(x)` and `SUM(CAST(x AS INT))` the same,
/// and would take the second for the first.
fn named_casts(args: Vec<Expr>) -> DfResult<Vec<Expr>> {
    let name = |expr: Expr| match &expr {
        Expr::Cast(cast) => {
            let name = format!("CAST({} AS {})", cast.expr.schema_name(), flink_type(cast.field.data_type()));
            Ok(Transformed::yes(expr.alias(name)))
        }
        Expr::TryCast(cast) => {
            let name = format!("TRY_CAST({} AS {})", cast.expr.schema_name(), flink_type(cast.field.data_type()));
            Ok(Transformed::yes(expr.alias(name)))
        }
        _ => Ok(Transformed::no(expr)),
    };
    args.into_iter().map(|arg| Ok(arg.transform_up(name)?.data)).collect()
}

/// The arguments of `COUNT(*)`, and of functions that count rows, too.
fn counted(function: &str, args: Vec<Expr>) -> Vec<Expr> {
    #[expect(deprecated, reason = "DataFusion still plans the star of COUNT(*) as this expression")]
    let star = args.is_empty() || matches!(args[..], [Expr::Wildcard { .. }]);
    match function {
        "count" if star => vec![lit(1i64)],
        "row_number" | "rank" | "dense_rank" if star => vec![lit(true)],
        _ => args,
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> DfResult<PlannerResult<RawBinaryExpr>> {
        let (true, Some(times)) = (expr.op == ast::BinaryOperator::Multiply, &self.times) else {
            return Ok(PlannerResult::Original(expr));
        };
        let interval = |side: &Expr| Ok::<_, DataFusionError>(matches!(side.get_type(schema)?, DataType::Interval(_)));
        let RawBinaryExpr { left, right, .. } = &expr;
        let arguments = match (interval(left)?, interval(right)?) {
            (true, false) => vec![left.clone(), right.clone()],
            (false, true) => vec![right.clone(), left.clone()],
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(times.call(arguments)))
    }

    fn plan_aggregate(&self, expr: RawAggregateExpr) -> DfResult<PlannerResult<RawAggregateExpr>> {
        let args = named_casts(counted(expr.func.name(), expr.args))?;
        Ok(PlannerResult::Original(RawAggregateExpr { args, ..expr }))
    }

    fn plan_window(&self, expr: RawWindowExpr) -> DfResult<PlannerResult<RawWindowExpr>> {
        let ours = matches!(expr.func_def, WindowFunctionDefinition::AggregateUDF(_));
        let args = if ours { named_casts(counted(expr.func_def.name(), expr.args))? } else { expr.args };
        Ok(PlannerResult::Original(RawWindowExpr { args, ..expr }))
    }
}

/// Flink's types where they differ from DataFusion's.
#[derive(Debug)]
struct FlinkTypes;

impl TypePlanner for FlinkTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> DfResult<Option<FieldRef>> {
        let data_type = arrow_type_of(sql_type)?.data_type;
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
