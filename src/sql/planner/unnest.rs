//! `UNNEST` in `FROM`: a node of the logical plan that knows the columns of its elements.
//!
//! A table and the `UNNEST` joined to it become a nested join of their own ([`nest`]), so that the planner of relations
//! meets both at once and can read the collection out of the table's columns.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult, TableReference};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, Filter, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{self, Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins, Value};

use crate::error::{Error, Result, Span};
use crate::sql::planner::errors::{from_parser, span_of};

/// Rows of the input, once per element of a collection, with the element's columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UnnestRows {
    pub(crate) input: Arc<LogicalPlan>,
    pub(crate) collection: Expr,
    /// A row without elements stays, with NULLs.
    pub(crate) outer: bool,
    /// The number of the element is the last column.
    pub(crate) ordinality: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for UnnestRows {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.collection.partial_cmp(&other.collection)
    }
}

impl UserDefinedLogicalNodeCore for UnnestRows {
    fn name(&self) -> &str {
        "UnnestRows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.collection.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnnestRows: {}", self.collection)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        match (exprs.into_iter().next(), inputs.into_iter().next()) {
            (Some(collection), Some(input)) => Ok(Self { collection, input: Arc::new(input), ..self.clone() }),
            _ => Err(Error::internal("an UNNEST without input").into()),
        }
    }
}

/// The node, if `plan` is one.
pub(crate) fn unnest_rows(plan: &LogicalPlan) -> Option<&UnnestRows> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

fn is_unnest(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::UNNEST { .. })
}

/// Whether a table of `FROM` stands for a join with `UNNEST`, by comma.
pub(crate) fn is_comma_unnest(table: &TableWithJoins) -> bool {
    is_unnest(&table.relation)
}

/// Makes each `UNNEST` the last join of a nested join that holds all it can read.
pub(crate) fn nest(from: &mut Vec<TableWithJoins>) {
    let there =
        |table: &TableWithJoins| is_unnest(&table.relation) || table.joins.iter().any(|join| is_unnest(&join.relation));
    if !from.iter().any(there) {
        return;
    }
    let cross =
        |relation| Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) };
    let mut nested: Vec<TableWithJoins> = Vec::new();
    for TableWithJoins { relation, joins } in std::mem::take(from) {
        let mut left = TableWithJoins { relation, joins: Vec::new() };
        if is_unnest(&left.relation) && !nested.is_empty() {
            // the tables before the comma are what it reads
            let mut before = std::mem::take(&mut nested).into_iter();
            let Some(mut all) = before.next() else { continue };
            for table in before {
                all.joins.push(cross(table.relation));
                all.joins.extend(table.joins);
            }
            left = joined(all, cross(left.relation));
        }
        nested.push(joins.into_iter().fold(left, joined));
    }
    *from = nested;
}

fn joined(mut left: TableWithJoins, join: Join) -> TableWithJoins {
    let unnest = is_unnest(&join.relation);
    left.joins.push(join);
    if !unnest {
        return left;
    }
    let relation = TableFactor::NestedJoin { table_with_joins: Box::new(left), alias: None };
    TableWithJoins { relation, joins: Vec::new() }
}

/// Plans nested joins that end with `UNNEST`; everything else is DataFusion's.
#[derive(Debug)]
pub(crate) struct UnnestTables;

impl RelationPlanner for UnnestTables {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        let ends_with_unnest =
            |table: &TableWithJoins| table.joins.last().is_some_and(|join| is_unnest(&join.relation));
        match relation {
            TableFactor::NestedJoin { mut table_with_joins, alias } if ends_with_unnest(&table_with_joins) => {
                let Some(join) = table_with_joins.joins.pop() else {
                    return Err(Error::internal("a join that is gone").into());
                };
                let left = match table_with_joins.joins.is_empty() {
                    true => table_with_joins.relation,
                    false => TableFactor::NestedJoin { table_with_joins, alias: None },
                };
                let left = context.plan(left)?;
                let plan = unnest(left, join, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

/// `left JOIN UNNEST(…)`.
fn unnest(left: LogicalPlan, join: Join, context: &mut dyn RelationPlannerContext) -> DfResult<LogicalPlan> {
    let place = span_of(&join.relation);
    let (outer, condition) = kind(&join.join_operator, place)?;
    let TableFactor::UNNEST { alias, mut array_exprs, with_ordinality, .. } = join.relation else {
        return Err(Error::internal("an UNNEST that is none").into());
    };
    let (Some(collection), true) = (array_exprs.pop(), array_exprs.is_empty()) else {
        return Err(Error::sql("UNNEST takes one array or map").or_at(place).hint("write one UNNEST for each").into());
    };
    let place = span_of(&collection).or(place);
    let collection = context.sql_to_expr(collection, left.schema())?;
    let columns = element_columns(&collection.get_type(left.schema())?, alias.as_ref(), with_ordinality, place)?;
    // without an alias its columns have a table that nobody can name, so that equal names are no mistake
    let table = alias.map_or_else(|| "$unnest".to_owned(), |alias| alias.name.value);
    let table = TableReference::bare(table);
    let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
        left.schema().iter().map(|(table, field)| (table.cloned(), Arc::clone(field))).collect();
    fields.extend(columns.into_iter().map(|field| (Some(table.clone()), Arc::new(field))));
    let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
    let node = UnnestRows { input: Arc::new(left), collection, outer, ordinality: with_ordinality, schema };
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
    match condition {
        None => Ok(plan),
        Some(condition) => {
            let predicate = context.sql_to_expr(condition, plan.schema())?;
            Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?))
        }
    }
}

/// Whether rows without elements stay, and what else the join asks for.
fn kind(operator: &JoinOperator, place: Option<Span>) -> Result<(bool, Option<ast::Expr>)> {
    let (outer, constraint) = match operator {
        JoinOperator::CrossJoin(constraint) | JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (false, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (true, constraint),
        _ => {
            return Err(Error::sql("UNNEST can be joined by CROSS JOIN, JOIN and LEFT JOIN only")
                .or_at(place)
                .hint("write CROSS JOIN UNNEST(a) AS u(x), or LEFT JOIN UNNEST(a) AS u(x) ON TRUE"));
        }
    };
    match constraint {
        JoinConstraint::None => Ok((outer, None)),
        JoinConstraint::On(ast::Expr::Value(value)) if value.value == Value::Boolean(true) => Ok((outer, None)),
        JoinConstraint::On(condition) if !outer => Ok((false, Some(condition.clone()))),
        _ => Err(Error::sql("LEFT JOIN UNNEST with a condition other than TRUE is not supported")
            .or_at(place)
            .hint("write LEFT JOIN UNNEST(a) AS u(x) ON TRUE, and the condition with CASE")),
    }
}

/// The columns of an element: those of a row, key and value of a map, or one; each may be NULL.
fn element_columns(
    collection: &DataType,
    alias: Option<&ast::TableAlias>,
    ordinality: bool,
    place: Option<Span>,
) -> Result<Vec<Field>> {
    let single = || alias.map_or_else(|| "EXPR$0".to_owned(), |alias| alias.name.value.clone());
    let mut columns: Vec<(String, DataType)> = match collection {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect(),
            scalar => vec![(single(), scalar.clone())],
        },
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let names = ["KEY", "VALUE"].into_iter();
                names.zip(fields).map(|(name, f)| (name.to_owned(), f.data_type().clone())).collect()
            }
            _ => return Err(Error::internal("a map without entries")),
        },
        _ => {
            return Err(Error::sql("UNNEST takes an array or a map")
                .or_at(place)
                .hint("write UNNEST(t.a), where a is declared as ARRAY<…> or MAP<…>"));
        }
    };
    if ordinality {
        columns.push(("ORDINALITY".to_owned(), DataType::Int32));
    }
    let names = alias.map(|alias| &alias.columns[..]).unwrap_or_default();
    if !names.is_empty() && names.len() != columns.len() {
        let there: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::sql(format!("the alias names {} columns, UNNEST has {}", names.len(), columns.len()))
            .or_at(names.first().and_then(|name| from_parser(name.name.span)).or(place))
            .hint(format!("it has the columns {}", there.join(", "))));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.0 = name.name.value.clone();
    }
    Ok(columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect())
}
