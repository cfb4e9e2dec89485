//! `GROUP BY` over windows: which columns are the window, which are keys, and the sets of `GROUPING SETS`.
//!
//! | rows come from | node |
//! |---|---|
//! | a window function, grouped by what tells its windows apart | `WindowAggregate` over that function |
//! | anything that kept the columns of a window (a Top-N, a join, an aggregate) | `WindowAggregate` over attached windows |
//! | several grouping sets | one `Calc` per set, with NULL for the keys it leaves out, a `Union`, and one of these |

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan, lit};

use crate::error::{Error, Result};
use crate::plan::{Calc, Node, NodeKind, WindowAggregate, WindowKind, WindowOutput, WindowSpec};
use crate::sql::places::span_of_columns;
use crate::sql::planner::expr::{Call, Compiler, place, place_of, places, renumber, resolve};
use crate::sql::planner::lower::{Lowering, PendingWindow, Stream, Used, contains_mark, marked, unsupported};
use crate::sql::planner::window::{WindowTvf, unaliased, window_column, window_column_of};

/// What is grouped, over the columns of a node: one per output column of the aggregate.
struct Grouped {
    stream: Stream,
    window: WindowSpec,
    /// For each key: which column of the window it is, or its expression.
    keys: Vec<Key>,
    /// Calls of aggregates; a `GROUPING` is a column by now.
    calls: Vec<Expr>,
}

enum Key {
    Window(WindowOutput),
    Expr(Expr),
}

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Stream> {
        let names = aggregate.input.schema();
        let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
        let read = Used::Some(BTreeSet::new()).and(names, groups.iter().copied().chain(&aggregate.aggr_expr));
        let mut stream = self.lower_used(&aggregate.input, &read)?;
        let found: Vec<Option<(usize, &WindowTvf)>> =
            groups.iter().map(|group| window_column_of(&aggregate.input, group)).collect();
        let which: Vec<Option<usize>> = found.iter().map(|found| found.map(|(which, _)| which)).collect();
        let Some(tvf) = found.iter().flatten().map(|(_, tvf)| *tvf).next() else {
            return Err(updating(stream.window.is_some(), false));
        };
        let resolved = |exprs: &[&Expr], stream: &Stream| {
            exprs.iter().map(|e| resolve(e, names, &stream.columns)).collect::<Result<Vec<_>>>()
        };
        let calls: Vec<&Expr> = aggregate.aggr_expr.iter().collect();
        let computes = |e: &Expr| contains_mark(e) && marked(e).is_none();
        let uses_marks =
            resolved(&groups, &stream)?.iter().any(computes) || resolved(&calls, &stream)?.iter().any(contains_mark);
        if stream.window.is_some() && uses_marks {
            stream = self.attach(stream)?;
        }
        let (groups, calls) = (resolved(&groups, &stream)?, resolved(&calls, &stream)?);
        let grouped = match stream.window.take() {
            Some(window) => {
                tvf.check_aggregated()?;
                self.over_function(stream, &window, &which, groups, calls)?
            }
            None => self.over_attached(stream, tvf, &which, groups, calls)?,
        };
        let grouped = match &aggregate.group_expr[..] {
            [Expr::GroupingSet(sets)] => self.expanded(grouped, sets, aggregate)?,
            _ => grouped,
        };
        self.window_aggregate(grouped, aggregate)
    }

    /// `SELECT DISTINCT` of columns among which a window is: what a `GROUP BY` of them all would give.
    pub(super) fn distinct(&mut self, input: &Arc<LogicalPlan>) -> Result<Stream> {
        let schema = input.schema();
        let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        if !(0..columns.len()).any(|column| window_column(input, column).is_some()) {
            let listed = match input.as_ref() {
                LogicalPlan::Projection(projection) => span_of_columns(projection.expr.first()),
                _ => None,
            };
            return Err(unsupported("SELECT DISTINCT").or_at(listed).hint("group in a window: SELECT window_start, window_end, k FROM TABLE(TUMBLE(…)) GROUP BY window_start, window_end, k"));
        }
        self.aggregate(&Aggregate::try_new(Arc::clone(input), columns, Vec::new())?)
    }

    /// Rows that a window function puts into windows.
    fn over_function(
        &mut self,
        stream: Stream,
        window: &PendingWindow,
        which: &[Option<usize>],
        groups: Vec<Expr>,
        calls: Vec<Expr>,
    ) -> Result<Grouped> {
        let has = |column| which.contains(&Some(column));
        let told_apart = match window.spec.kind {
            // one end for each start
            WindowKind::Tumble { .. } | WindowKind::Hop { .. } | WindowKind::GroupHop { .. } => {
                has(0) || has(1) || has(2)
            }
            WindowKind::Cumulate { .. } => has(1) || has(2),
            WindowKind::Session { .. } | WindowKind::Attached { .. } => has(0) && (has(1) || has(2)),
        };
        if !told_apart {
            return Err(updating(true, has(0) || has(1)));
        }
        let keys: Vec<Key> = groups
            .into_iter()
            .zip(which)
            .map(|(group, which)| match which {
                Some(0) => Key::Window(WindowOutput::Start),
                Some(1) => Key::Window(WindowOutput::End),
                Some(_) => Key::Window(WindowOutput::Time),
                None => Key::Expr(group),
            })
            .collect();
        if let (WindowKind::Session { .. }, Some(partition)) = (window.spec.kind, &window.partition) {
            sessions_of_keys(&keys, partition)?;
        }
        self.narrow(Grouped { stream, window: window.spec, keys, calls })
    }

    /// Rows that have a window already, of the function `tvf`.
    fn over_attached(
        &mut self,
        stream: Stream,
        tvf: &WindowTvf,
        which: &[Option<usize>],
        groups: Vec<Expr>,
        calls: Vec<Expr>,
    ) -> Result<Grouped> {
        let has = |column| which.contains(&Some(column));
        let told_apart = match tvf.spec.kind {
            WindowKind::Session { .. } => has(0) && has(1),
            _ => has(1),
        };
        let end = groups.iter().zip(which).find(|(_, which)| **which == Some(1)).and_then(|(group, _)| place_of(group));
        let (true, Some(end)) = (told_apart, end) else { return Err(updating(true, has(0) || has(1))) };
        let keys = groups.into_iter().zip(which).map(|(group, which)| match which {
            Some(1) => Key::Window(WindowOutput::End),
            Some(2) => Key::Window(WindowOutput::Time),
            _ => Key::Expr(group),
        });
        let keys = keys.collect();
        let window = WindowSpec {
            kind: WindowKind::Attached { end },
            offset_ms: 0,
            // rows that a window has made are never late
            rowtime: stream.rowtime.unwrap_or(end),
            zone: self.zone(tvf)?,
        };
        self.narrow(Grouped { stream, window, keys, calls })
    }

    /// Before a window aggregate a pending filter becomes a node, with the columns that are needed.
    fn narrow(&mut self, grouped: Grouped) -> Result<Grouped> {
        if grouped.stream.predicate.is_empty() {
            return Ok(grouped);
        }
        let Grouped { stream, mut window, keys, calls } = grouped;
        let of_keys = keys.iter().filter_map(|key| match key {
            Key::Expr(expr) => Some(expr),
            Key::Window(_) => None,
        });
        let mut kept: BTreeSet<usize> = of_keys.chain(&calls).flat_map(places).collect();
        kept.insert(window.rowtime);
        if let WindowKind::Attached { end } = window.kind {
            kept.insert(end);
        }
        let (stream, to) = self.pruned(stream, &kept)?;
        let to = |i: usize| to.get(&i).copied();
        let lost = || Error::internal("the event time was left out");
        window.rowtime = to(window.rowtime).ok_or_else(lost)?;
        if let WindowKind::Attached { end } = &mut window.kind {
            *end = to(*end).ok_or_else(lost)?;
        }
        let key = |key: Key| match key {
            Key::Expr(expr) => Ok(Key::Expr(renumber(&expr, to)?)),
            Key::Window(_) => Ok(key),
        };
        let keys = keys.into_iter().map(key).collect::<Result<_>>()?;
        let calls = calls.iter().map(|e| renumber(e, to)).collect::<Result<_>>()?;
        Ok(Grouped { stream, window, keys, calls })
    }

    /// The rows once per grouping set: behind their columns the keys, NULL where the set leaves them out, the number
    /// of the set, and the value of each `GROUPING` call.
    fn expanded(&mut self, grouped: Grouped, sets: &GroupingSet, aggregate: &Aggregate) -> Result<Grouped> {
        let Grouped { stream, window, keys, calls } = grouped;
        let all = sets.distinct_expr();
        let sets = members(sets)?;
        let input = self.schema(&stream);
        let width = input.fields().len();
        let numbers = grouping_calls(aggregate)?;
        let id = aggregate.schema.field(all.len()).data_type().clone();
        let mut inputs = Vec::new();
        let mut schema = None;
        for (number, set) in (0u64..).zip(&sets) {
            let mut columns: Vec<Expr> = (0..width).map(place).collect();
            for (key, expr) in keys.iter().zip(&all) {
                match key {
                    Key::Expr(value) if set.contains(expr) => columns.push(value.clone()),
                    Key::Expr(_) => columns.push(lit(ScalarValue::Null)),
                    Key::Window(_) if set.contains(expr) => {}
                    Key::Window(_) => {
                        return Err(Error::sql("window_start and window_end must be in every grouping set")
                            .hint("GROUP BY window_start, window_end, GROUPING SETS (…)"));
                    }
                }
            }
            columns.push(Expr::Literal(ScalarValue::UInt64(Some(number)).cast_to(&id)?, None));
            for arguments in numbers.iter().flatten() {
                let bit = |value: i64, argument: &Expr| value << 1 | i64::from(!set.contains(&argument));
                columns.push(lit(arguments.iter().fold(0i64, bit)));
            }
            let compiler = Compiler::new(&input)?;
            let schema = schema.get_or_insert(self.expanded_schema(&compiler, &input, &keys, &columns, &id)?);
            let types = schema.fields().iter().map(|field| field.data_type().clone());
            let columns = columns.into_iter().zip(types).map(|(column, data_type)| match column {
                Expr::Literal(ScalarValue::Null, _) => Ok(Expr::Literal(ScalarValue::try_from(&data_type)?, None)),
                other => Ok(other),
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let projection = columns.iter().map(|e| compiler.expr(e)).collect::<Result<Vec<_>>>()?;
            let kind = NodeKind::Calc(Calc { predicate: None, projection });
            inputs.push(self.builder.add(Node { kind, inputs: vec![stream.node], schema: Arc::clone(schema) }));
        }
        let schema = schema.ok_or_else(|| Error::sql("GROUPING SETS without a set").hint("name at least one"))?;
        let stream = match inputs[..] {
            [one] => Stream::of(one, &schema),
            _ => self.node(NodeKind::Union, inputs, &schema),
        };
        let mut next = width..;
        let mut column = || place(next.next().unwrap_or(usize::MAX));
        let mut expanded: Vec<Key> = keys
            .into_iter()
            .map(|key| match key {
                Key::Expr(_) => Key::Expr(column()),
                window @ Key::Window(_) => window,
            })
            .collect();
        expanded.push(Key::Expr(column()));
        let calls = calls.into_iter().zip(&numbers);
        let calls = calls.map(|(call, arguments)| if arguments.is_some() { column() } else { call }).collect();
        Ok(Grouped { stream, window, keys: expanded, calls })
    }

    /// Types of the columns of an expanded row, by the set that has all keys.
    fn expanded_schema(
        &self,
        compiler: &Compiler,
        input: &Schema,
        keys: &[Key],
        columns: &[Expr],
        id: &DataType,
    ) -> Result<Arc<Schema>> {
        let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
        let width = fields.len();
        for (i, key) in keys.iter().filter_map(|key| if let Key::Expr(e) = key { Some(e) } else { None }).enumerate() {
            fields.push(compiler.field(&format!("$key{i}"), &compiler.expr(key)?)?.with_nullable(true));
        }
        fields.push(Field::new("$set", id.clone(), false));
        for i in fields.len()..columns.len() {
            fields.push(Field::new(format!("$grouping{}", i - width), DataType::Int64, false));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    fn window_aggregate(&mut self, grouped: Grouped, aggregate: &Aggregate) -> Result<Stream> {
        let Grouped { stream, window, keys: groups, calls } = grouped;
        let input = self.schema(&stream);
        let compiler = Compiler::new(&input)?;
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        let (mut keys, mut aggregates, mut output, mut fields) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, group) in groups.iter().enumerate() {
            let field = aggregate.schema.field(i);
            match group {
                Key::Window(window) => {
                    output.push(*window);
                    let is_time = *window == WindowOutput::Time;
                    let data_type = if is_time { field.data_type().clone() } else { wall_clock.clone() };
                    fields.push(Field::new(field.name(), data_type, false));
                }
                Key::Expr(group) => {
                    output.push(WindowOutput::Key(keys.len()));
                    let key = compiler.expr(group)?;
                    fields.push(compiler.field(field.name(), &key)?);
                    keys.push(key);
                }
            }
        }
        for call in &calls {
            if place_of(call).is_some() {
                output.push(WindowOutput::Key(keys.len()));
                let key = compiler.expr(call)?;
                fields.push(compiler.field(&key.text, &key)?);
                keys.push(key);
                continue;
            }
            let Expr::AggregateFunction(function) = unaliased(call) else {
                return Err(Error::internal("an aggregate that is no call"));
            };
            let compiled = compiler.aggregate(&Call::grouped(&function.func, &function.params))?;
            output.push(WindowOutput::Aggregate(aggregates.len()));
            fields.push(compiled.call.field().as_ref().clone().with_name(&compiled.text));
            aggregates.push(compiled);
        }
        let kind = NodeKind::WindowAggregate(WindowAggregate { window, keys, aggregates, output });
        Ok(self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields))))
    }
}

/// Sessions are of the keys of their `PARTITION BY`; a `GROUP BY` of others would be updated as sessions merge.
fn sessions_of_keys(keys: &[Key], partition: &[Expr]) -> Result<()> {
    let keys: Vec<&Expr> = keys.iter().filter_map(|key| if let Key::Expr(e) = key { Some(e) } else { None }).collect();
    if keys.iter().all(|key| partition.contains(key)) && partition.iter().all(|key| keys.contains(&key)) {
        return Ok(());
    }
    Err(Error::sql("GROUP BY must have the keys that SESSION is partitioned by, and no others")
        .detail("Otherwise the result would be updated with every row, which is not supported yet.")
        .hint("write SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE) … GROUP BY k, window_start, window_end"))
}

/// The sets, each with its expressions.
fn members(sets: &GroupingSet) -> Result<Vec<Vec<&Expr>>> {
    Ok(match sets {
        GroupingSet::GroupingSets(sets) => sets.iter().map(|set| set.iter().collect()).collect(),
        // alone in GROUP BY: the window is in some sets only
        GroupingSet::Rollup(_) | GroupingSet::Cube(_) => {
            return Err(Error::sql("window_start and window_end must be outside ROLLUP and CUBE")
                .hint("GROUP BY window_start, window_end, ROLLUP (…)"));
        }
    })
}

/// For each call of the aggregate: the arguments, if it is `GROUPING`, `GROUPING_ID` or `GROUP_ID`.
fn grouping_calls(aggregate: &Aggregate) -> Result<Vec<Option<Vec<Expr>>>> {
    let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
    let call = |call: &Expr| match unaliased(call) {
        Expr::AggregateFunction(function) if function.func.name() == "grouping" => {
            // a key that the rewrite has changed goes by an alias
            let key = |argument: &Expr| {
                let key = keys.iter().find(|key| unaliased(key) == unaliased(argument));
                key.map(|key| (*key).clone()).ok_or_else(|| {
                    Error::sql("an argument of GROUPING is not in GROUP BY").hint("give it columns of GROUP BY")
                })
            };
            Ok(Some(function.params.args.iter().map(key).collect::<Result<_>>()?))
        }
        _ => Ok(None),
    };
    aggregate.aggr_expr.iter().map(call).collect()
}

/// An aggregate whose result would change with every row.
fn updating(window: bool, half: bool) -> Error {
    let hint = "group by the window: SELECT window_start, window_end, … FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, …";
    if window {
        let message = if half {
            "GROUP BY needs both window_start and window_end"
        } else {
            "GROUP BY misses window_start and window_end"
        };
        return Error::sql(message)
            .detail("Without both the result would be updated with every row, which is not supported yet.")
            .hint("GROUP BY window_start, window_end, …");
    }
    Error::sql("an aggregate without a window is not supported yet")
        .detail("Its result would be updated with every row.")
        .hint(hint)
}
