//! The windows of `OVER`: what the calls of one node share.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::error::{Error, Result};
use crate::plan::{NodeKind, OverAggregate, OverFrame};
use crate::sql::planner::expr::{Call, Compiler, place, place_of, places, renumber, resolve};
use crate::sql::planner::lower::{Lowering, Stream, stand_in, unsupported};
use crate::sql::planner::window::{is_time_attribute, unaliased};
use crate::sql::registry::Registry;

/// What the calls of one `OVER` node share, over the columns of its input.
pub(super) struct OverSpec {
    pub(super) keys: Vec<Expr>,
    pub(super) rowtime: usize,
    pub(super) frame: OverFrame,
}

impl OverSpec {
    /// `input` is the logical input; its columns stand at the same places in the node.
    pub(super) fn of(functions: &[Expr], input: &LogicalPlan) -> Result<Self> {
        let mut shared: Option<Self> = None;
        for function in functions {
            let params = parameters(function)?;
            let [order] = &params.order_by[..] else {
                return Err(Error::sql("OVER needs ORDER BY an event-time column").hint("write ORDER BY ts"));
            };
            let rowtime = match place_of(&order.expr) {
                Some(rowtime) if is_time_attribute(input, rowtime) => rowtime,
                found => {
                    let name = found.map_or_else(
                        || "the expression".into(),
                        |i| format!("column \"{}\"", input.schema().field(i).name()),
                    );
                    if let Some(error) = top_n(function_name(function)) {
                        return Err(error);
                    }
                    return Err(Error::sql(format!("OVER must be ordered by an event-time column, {name} is none"))
                        .detail("An event-time column is the one of WATERMARK FOR, or window_time, passed on as it is.")
                        .hint("ORDER BY the column of WATERMARK FOR"));
                }
            };
            if let Some(error) = top_n(function_name(function)).filter(|_| !order.asc) {
                return Err(error);
            }
            if !order.asc {
                return Err(
                    Error::sql("OVER with ORDER BY … DESC is not supported on streams").hint("write ORDER BY ts")
                );
            }
            let frame = match (function_name(function), frame(&params.window_frame)?) {
                ("row_number", _) => OverFrame::Rows(None),
                (name @ ("lag" | "rank" | "dense_rank"), OverFrame::Rows(Some(_)) | OverFrame::Range(Some(_))) => {
                    return Err(Error::sql(format!("{} takes no frame", name.to_uppercase()))
                        .hint("write OVER (PARTITION BY k ORDER BY ts)"));
                }
                (_, frame) => frame,
            };
            let spec = Self { keys: params.partition_by.clone(), rowtime, frame };
            match &shared {
                Some(first) if first.keys != spec.keys || first.rowtime != rowtime || first.frame != spec.frame => {
                    return Err(different_windows());
                }
                _ => shared = Some(spec),
            }
        }
        shared.ok_or_else(|| Error::internal("an OVER without a call"))
    }
}

impl Lowering<'_> {
    /// `used`: the columns that are read of the result, if that is known.
    pub(super) fn over(&mut self, window: &Window, used: Option<&BTreeSet<usize>>) -> Result<Stream> {
        if matches!(window.input.as_ref(), LogicalPlan::Window(_)) {
            return Err(different_windows());
        }
        let keeps_first = std::mem::take(&mut self.keeps_first);
        let names = window.input.schema();
        let width = names.fields().len();
        let stream = self.lower(&window.input)?;
        let stream = self.materialize(stream, names)?;
        let functions = window
            .window_expr
            .iter()
            .map(|e| resolve(unaliased(e), names, &stream.columns))
            .collect::<Result<Vec<_>>>()?;
        let mut kept: BTreeSet<usize> = functions.iter().flat_map(places).collect();
        match used {
            Some(used) => kept.extend(used.iter().filter(|i| **i < width)),
            None => kept.extend(0..width),
        }
        let spec = OverSpec::of(&functions, &window.input)?;
        let (stream, to) = self.pruned(stream, &kept)?;
        let at = |i: usize| to.get(&i).copied();
        let input = self.schema(&stream);
        let compiler = Compiler::new(&input)?;
        let keys = spec.keys.iter().map(|e| compiler.expr(&renumber(e, at)?)).collect::<Result<Vec<_>>>()?;
        let rowtime = at(spec.rowtime).ok_or_else(|| Error::internal("the event time was left out"))?;
        let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut aggregates = Vec::new();
        for function in &functions {
            let function = renumber(function, at)?;
            let (aggregate, params) = aggregate_over(&function, self.registry)?;
            let compiled = compiler.aggregate(&Call::over(aggregate, params))?;
            fields.push(compiled.call.field().as_ref().clone().with_name(&compiled.text));
            aggregates.push(compiled);
        }
        let kept_width = input.fields().len();
        let kind = NodeKind::OverAggregate(OverAggregate { keys, rowtime, frame: spec.frame, keeps_first, aggregates });
        let mut result = self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields)));
        // a column that was left out is never read
        let passed = (0..width).map(|i| at(i).map_or_else(stand_in, place));
        result.columns = passed.chain((0..functions.len()).map(|i| place(kept_width + i))).collect();
        Ok(result)
    }
}

fn frame(frame: &WindowFrame) -> Result<OverFrame> {
    let wrong = || {
        Error::sql("the frame of OVER must start before the current row and end with it")
            .hint("write ROWS BETWEEN 99 PRECEDING AND CURRENT ROW, or RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW")
    };
    let (WindowFrameBound::Preceding(start), WindowFrameBound::CurrentRow) = (&frame.start_bound, &frame.end_bound)
    else {
        return Err(wrong());
    };
    match (frame.units, start) {
        (WindowFrameUnits::Rows, start) if start.is_null() => Ok(OverFrame::Rows(None)),
        (WindowFrameUnits::Range, start) if start.is_null() => Ok(OverFrame::Range(None)),
        (WindowFrameUnits::Rows, ScalarValue::UInt64(Some(n))) => Ok(OverFrame::Rows(Some(*n))),
        (WindowFrameUnits::Range, ScalarValue::IntervalMonthDayNano(Some(i))) if i.months == 0 => {
            let ms = i64::from(i.days).checked_mul(86_400_000).and_then(|d| d.checked_add(i.nanoseconds / 1_000_000));
            ms.filter(|ms| *ms >= 0).map(|ms| OverFrame::Range(Some(ms))).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn function_name(function: &Expr) -> &str {
    match function {
        Expr::WindowFunction(function) => function.fun.name(),
        _ => "",
    }
}

/// Parameters of a call with `OVER`.
fn parameters(function: &Expr) -> Result<&WindowFunctionParams> {
    match function {
        Expr::WindowFunction(function) => Ok(&function.params),
        _ => Err(Error::internal("an OVER that is no call")),
    }
}

/// Function and parameters of a call with `OVER`.
pub(super) fn aggregate_over<'a>(
    function: &'a Expr,
    registry: &'a Registry,
) -> Result<(&'a Arc<AggregateUDF>, &'a WindowFunctionParams)> {
    let Expr::WindowFunction(function) = function else {
        return Err(Error::internal("an OVER that is no call"));
    };
    let WindowFunction { fun, params } = function.as_ref();
    let aggregate = match fun {
        WindowFunctionDefinition::AggregateUDF(aggregate) => Some(aggregate),
        WindowFunctionDefinition::WindowUDF(other) => registry.aggregate(other.name()),
    };
    match aggregate {
        Some(aggregate) => Ok((aggregate, params)),
        None => Err(unsupported(&format!("{} with OVER", fun.name().to_uppercase()))),
    }
}

/// What a ranking function in another order than that of time is meant for.
fn top_n(name: &str) -> Option<Error> {
    match name {
        "row_number" => Some(
            Error::sql("ROW_NUMBER in another order than that of event time is for a Top-N")
                .hint("number the rows of windows (PARTITION BY window_start, window_end) and add WHERE rn <= N"),
        ),
        "rank" | "dense_rank" => Some(
            Error::sql(format!("{} is not supported for a Top-N", name.to_uppercase()))
                .hint("a Top-N takes ROW_NUMBER, as in Flink"),
        ),
        _ => None,
    }
}

pub(super) fn different_windows() -> Error {
    Error::sql("all OVER windows of one SELECT must be the same")
        .detail("ROW_NUMBER counts ROWS; a window without a frame is RANGE for all other functions.")
        .hint("write ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW into the window, or compute the second window in a view over the first, or name one: WINDOW w AS (…) and OVER w")
}
