//! The rows of sessions, where they are not aggregated: the bounds of a session are known when it ends, so its rows are
//! collected until then and leave together.
//!
//! It is an aggregate like any other, `ARRAY_AGG` of whole rows per session, and an `UNNEST` of what it has collected.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunctionParams, ScalarFunction};

use crate::error::{Error, Result};
use crate::plan::{NodeKind, Unnest, WindowAggregate, WindowOutput};
use crate::sql::planner::expr::{Call, Compiler, place, place_of, places, renumber};
use crate::sql::planner::lower::{Lowering, PendingWindow, Stream, marked};
use crate::sql::planner::window::WINDOW_COLUMNS;

impl Lowering<'_> {
    /// The rows of a pending SESSION with the window's columns.
    pub(super) fn session_rows(&mut self, mut stream: Stream, window: PendingWindow) -> Result<Stream> {
        let PendingWindow { spec: mut window, partition: Some(partition), conditions } = window else {
            return Err(Error::sql("SESSION in GROUP BY cannot be read by an aggregate or by WHERE")
                .hint("write SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE) in FROM"));
        };
        // what WHERE leaves out has made its session longer
        let conditions = stream.predicate.split_off(conditions);
        let read = stream.columns.iter().chain(&partition).chain(&conditions).flat_map(places);
        let kept: BTreeSet<usize> = read.chain([window.rowtime]).collect();
        let columns = std::mem::take(&mut stream.columns);
        let (stream, to) = self.pruned(stream, &kept)?;
        let at = |i: usize| to.get(&i).copied();
        window.rowtime = at(window.rowtime).ok_or_else(|| Error::internal("the event time was left out"))?;
        let input = self.schema(&stream);
        let compiler = Compiler::new(&input)?;
        let keys = partition.iter().map(|key| compiler.expr(&renumber(key, at)?)).collect::<Result<Vec<_>>>()?;

        let (Some(row), Some(collect)) = (self.registry.scalar("row"), self.registry.aggregate("array_agg")) else {
            return Err(Error::internal("no function collects rows"));
        };
        let row = ScalarFunction::new_udf(Arc::clone(row), (0..input.fields().len()).map(place).collect());
        let params = AggregateFunctionParams {
            args: vec![Expr::ScalarFunction(row)],
            distinct: false,
            filter: None,
            order_by: Vec::new(),
            null_treatment: None,
        };
        let rows = compiler.aggregate(&Call::grouped(collect, &params))?;
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        let types = [wall_clock.clone(), wall_clock, input.field(window.rowtime).data_type().clone()];
        let mut fields: Vec<Field> =
            WINDOW_COLUMNS.into_iter().zip(types).map(|(n, t)| Field::new(n, t, false)).collect();
        let mut session = fields.clone();
        session.push(rows.call.field().as_ref().clone().with_name("$rows"));
        let output = vec![WindowOutput::Start, WindowOutput::End, WindowOutput::Time, WindowOutput::Aggregate(0)];
        let kind = NodeKind::WindowAggregate(WindowAggregate { window, keys, aggregates: vec![rows], output });
        let sessions = self.node(kind, vec![stream.node], &Arc::new(Schema::new(session)));

        let collection = Compiler::new(&self.schema(&sessions))?.expr(&place(WINDOW_COLUMNS.len()))?;
        let kept = (0..WINDOW_COLUMNS.len()).collect();
        fields.extend(input.fields().iter().map(|field| field.as_ref().clone()));
        let kind = NodeKind::Unnest(Unnest { collection, kept, outer: false, ordinality: false });
        let rows = self.node(kind, vec![sessions.node], &Arc::new(Schema::new(fields)));
        let placed = |expr: Expr| {
            let placed = expr.transform_up(|e| match (marked(&e), place_of(&e)) {
                (Some(which), _) => Ok(Transformed::yes(place(which))),
                (_, Some(i)) => match at(i) {
                    Some(i) => Ok(Transformed::yes(place(WINDOW_COLUMNS.len() + i))),
                    None => Err(Error::internal("a column that was left out is used").into()),
                },
                _ => Ok(Transformed::no(e)),
            })?;
            Ok(placed.data)
        };
        let columns = columns.into_iter().map(placed).collect::<Result<Vec<_>>>()?;
        let predicate = conditions.into_iter().map(placed).collect::<Result<Vec<_>>>()?;
        Ok(Stream { columns, predicate, ..rows })
    }
}
