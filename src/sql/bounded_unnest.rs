//! `UNNEST` in ad-hoc queries: over rows that have an end DataFusion does it, so the node of [`UnnestRows`] becomes a
//! projection that makes an array, DataFusion's unnest, and a projection that names what is in its elements.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullHandling, Result as DfResult, ScalarValue, UnnestOptions};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarUDF, UserDefinedLogicalNodeCore, ident, lit,
};

use crate::error::{Error, Result};
use crate::sql::planner::unnest::{UnnestRows, unnest_rows};
use crate::sql::registry::Registry;

/// The array between the two projections, which no query can name.
const ELEMENTS: &str = "$elements";

/// The plan with `UNNEST` as DataFusion runs it.
///
/// # Errors
/// `Sql` for WITH ORDINALITY.
pub(super) fn bounded_unnest(plan: LogicalPlan, registry: &Registry) -> Result<LogicalPlan> {
    let replaced = plan.transform_up(|node| match unnest_rows(&node) {
        Some(unnest) => Ok(Transformed::yes(expanded(unnest, registry)?)),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

fn expanded(unnest: &UnnestRows, registry: &Registry) -> DfResult<LogicalPlan> {
    if unnest.ordinality {
        return Err(Error::sql("UNNEST … WITH ORDINALITY is not supported in an ad-hoc query")
            .hint("run it as the SELECT of a script: \"streamer run FILE\"")
            .into());
    }
    let function = |name: &str| -> DfResult<&Arc<ScalarUDF>> {
        registry.scalar(name).ok_or_else(|| Error::internal(format!("function \"{name}\" is not registered")).into())
    };
    let collection_type = unnest.collection.get_type(unnest.input.schema())?;
    let rows = match &collection_type {
        DataType::List(item) => matches!(item.data_type(), DataType::Struct(_)),
        _ => true,
    };
    let array = match &collection_type {
        DataType::Map(..) => function("map_entries")?.call(vec![unnest.collection.clone()]),
        // a NULL among rows makes no row
        _ if rows => function("array_remove")?.call(vec![unnest.collection.clone(), lit(ScalarValue::Null)]),
        _ => unnest.collection.clone(),
    };
    let element_type = match array.get_type(unnest.input.schema())? {
        DataType::List(item) => item.data_type().clone(),
        other => return Err(Error::internal(format!("the elements of {other}")).into()),
    };
    let input = unnest.input.schema().columns();
    let width = input.len();
    let kept = || input.iter().cloned().map(Expr::Column);
    let null_handling = if unnest.outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
    let options = UnnestOptions { null_handling, ..UnnestOptions::default() };
    let element = |field: Option<&str>| -> DfResult<Expr> {
        Ok(match field {
            Some(field) => function("__field")?.call(vec![ident(ELEMENTS), lit(field)]),
            None => ident(ELEMENTS),
        })
    };
    let fields: Vec<Option<&str>> = match &element_type {
        DataType::Struct(fields) => fields.iter().map(|field| Some(field.name().as_str())).collect(),
        _ => vec![None],
    };
    let named = unnest
        .schema()
        .iter()
        .skip(width)
        .zip(fields)
        .map(|((table, column), field)| Ok(element(field)?.alias_qualified(table.cloned(), column.name())));
    let named = named.collect::<DfResult<Vec<_>>>()?;
    LogicalPlanBuilder::from(unnest.input.as_ref().clone())
        .project(kept().chain([array.alias(ELEMENTS)]))?
        .unnest_column_with_options(Column::new_unqualified(ELEMENTS), options)?
        .project(kept().chain(named))?
        .build()
}
