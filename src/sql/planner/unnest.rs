//! `UNNEST` in `FROM`: a node of the logical plan that knows the columns of its elements.
//!
//! A table and the `UNNEST` joined to it are a nested join of their own (`rewrite::unnest`), so that the planner of relations
//! meets both at once and can read the collection out of the table's columns.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult, TableReference};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, Filter, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{self, Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins, Value};

use crate::error::{Error, Result, Span};
use crate::plan::{NodeKind, Unnest};
use crate::sql::places::{from_parser, span_of};
use crate::sql::planner::expr::{Compiler, place, place_of, resolve};
use crate::sql::planner::lower::{Lowering, Stream, Used, stand_in};
use crate::table::map::{entry_fields, multiset_element};

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
            (Some(collection), Some(input)) => {
                // the types of literals are known only now
                let names = self.schema.iter().skip(self.input.schema().fields().len());
                let types = element_types(&collection.get_type(input.schema())?, self.ordinality);
                let elements = names.zip(types).map(|((table, field), data_type)| {
                    (table.cloned(), Arc::new(field.as_ref().clone().with_data_type(data_type)))
                });
                let schema = Arc::new(schema_of(&input, elements)?);
                Ok(Self { collection, input: Arc::new(input), schema, ..self.clone() })
            }
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
    let collection = match multiset_element(&collection.get_type(left.schema())?) {
        Some(_) => {
            let items = context.context_provider().get_function_meta("__multiset_items");
            items.ok_or_else(|| Error::internal("no function for the items of a multiset"))?.call(vec![collection])
        }
        None => collection,
    };
    let columns = element_columns(&collection.get_type(left.schema())?, alias.as_ref(), with_ordinality, place)?;
    // without an alias its columns have a table that nobody can name, so that equal names are no mistake
    let table = alias.map_or_else(|| "$unnest".to_owned(), |alias| alias.name.value);
    let table = TableReference::bare(table);
    let elements = columns.into_iter().map(|field| (Some(table.clone()), Arc::new(field)));
    let schema = Arc::new(schema_of(&left, elements)?);
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

/// The columns of the input, then those of the elements.
fn schema_of(
    input: &LogicalPlan,
    elements: impl Iterator<Item = (Option<TableReference>, Arc<Field>)>,
) -> DfResult<DFSchema> {
    let fields = input.schema().iter().map(|(table, field)| (table.cloned(), Arc::clone(field)));
    DFSchema::new_with_metadata(fields.chain(elements).collect(), Default::default())
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

/// The types of the columns of an element, as [`element_columns`] names them; none for what has no elements.
fn element_types(collection: &DataType, ordinality: bool) -> Vec<DataType> {
    let mut types: Vec<DataType> = match collection {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.iter().map(|f| f.data_type().clone()).collect(),
            scalar => vec![scalar.clone()],
        },
        map => {
            let entry = entry_fields(map).into_iter();
            entry.flat_map(|(key, value)| [key.data_type().clone(), value.data_type().clone()]).collect()
        }
    };
    types.extend(ordinality.then_some(DataType::Int32));
    types
}

/// The columns of an element: those of a row, key and value of a map, or one; each may be NULL.
fn element_columns(
    collection: &DataType,
    alias: Option<&ast::TableAlias>,
    ordinality: bool,
    place: Option<Span>,
) -> Result<Vec<Field>> {
    let types = element_types(collection, ordinality);
    let single = || alias.map_or_else(|| "EXPR$0".to_owned(), |alias| alias.name.value.clone());
    let mut there: Vec<String> = match collection {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.iter().map(|f| f.name().clone()).collect(),
            _ => vec![single()],
        },
        DataType::Map(..) => vec!["KEY".to_owned(), "VALUE".to_owned()],
        _ => {
            return Err(Error::sql("UNNEST takes an array or a map")
                .or_at(place)
                .hint("write UNNEST(t.a), where a is declared as ARRAY<…> or MAP<…>"));
        }
    };
    there.extend(ordinality.then(|| "ORDINALITY".to_owned()));
    let named = alias.map(|alias| &alias.columns[..]).unwrap_or_default();
    if !named.is_empty() && named.len() != there.len() {
        return Err(Error::sql(format!("the alias names {} columns, UNNEST has {}", named.len(), there.len()))
            .or_at(named.first().and_then(|name| from_parser(name.name.span)).or(place))
            .hint(format!("it has the columns {}", there.join(", "))));
    }
    for (column, name) in there.iter_mut().zip(named) {
        column.clone_from(&name.name.value);
    }
    Ok(there.into_iter().zip(types).map(|(name, data_type)| Field::new(name, data_type, true)).collect())
}

impl Lowering<'_> {
    /// A collection that is read no more is not copied.
    pub(super) fn unnest(&mut self, unnest: &UnnestRows, used: &Used) -> Result<Stream> {
        let names = unnest.input.schema();
        let width = names.fields().len();
        let kept: Vec<usize> = (0..width).filter(|column| used.has(*column)).collect();
        let read = Used::Some(kept.iter().copied().collect()).and(names, [&unnest.collection]);
        let stream = self.lower_used(&unnest.input, &read)?;
        let stream = self.keep(stream, names, &read)?;
        let input = self.schema(&stream);
        let collection = Compiler::new(&input)?.expr(&resolve(&unnest.collection, names, &stream.columns)?)?;
        let at = |i: usize| stream.columns.get(i).and_then(place_of).filter(|_| kept.contains(&i));
        let left: Vec<usize> = (0..width).filter(|i| at(*i).is_some()).collect();
        let places: Vec<usize> = left.iter().filter_map(|i| at(*i)).collect();
        let mut fields: Vec<Field> = places.iter().map(|i| input.field(*i).clone()).collect();
        fields.extend(unnest.schema().fields().iter().skip(width).map(|f| f.as_ref().clone()));
        let elements = unnest.schema().fields().len() - width;
        let (outer, ordinality) = (unnest.outer, unnest.ordinality);
        let kind = NodeKind::Unnest(Unnest { collection, kept: places, outer, ordinality });
        let mut result = self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields)));
        // a column that was left out is never read
        let passed = |i: usize| left.binary_search(&i).map_or_else(|_| stand_in(), place);
        result.columns = (0..width).map(passed).chain((0..elements).map(|i| place(left.len() + i))).collect();
        Ok(result)
    }
}
