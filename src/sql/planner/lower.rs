//! Logical plan to plan nodes.
//!
//! A logical node becomes a [`Stream`]: a plan node and a filter and projection over it that are not a
//! node yet, so that neighbouring projections and filters become one `Calc`. Expressions in a stream name
//! the columns of its node by place. Between a window function and its aggregate the window's columns
//! are stand-ins ([`window_mark`]) that only the aggregate can take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, Projection, TableScan, Union, Values, Volatility, Window, lit,
};

use crate::error::{Error, Result, Span};
use crate::plan::{
    Calc, Node, NodeId, NodeKind, NotNullRule, OverAggregate, PlanBuilder, Settings, Sink, Source, WatermarkSpec,
    WindowAggregate, WindowOutput, WindowSpec,
};
use crate::sql::catalog::Table;
use crate::sql::planner::context::{Registry, Relation};
use crate::sql::planner::expr::{Call, Compiler, place, place_of, places, renumber, resolve};
use crate::sql::planner::over::{OverSpec, aggregate_over, different_windows};
use crate::sql::planner::sink::{self, Given};
use crate::sql::planner::values;
use crate::sql::planner::window::{WINDOW_COLUMNS, WindowTvf, unaliased, window_tvf};
use crate::time::zone::Zone;

/// Adds the nodes of one job to a plan.
pub(crate) struct Lowering<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Registry,
    pub(crate) builder: PlanBuilder,
}

/// What a logical node became.
pub(crate) struct Stream {
    node: NodeId,
    /// Rows kept, over the node's columns; all must be true.
    predicate: Vec<Expr>,
    /// One per column of the logical node, over the node's columns.
    columns: Vec<Expr>,
    /// The window the rows are to be put into, if there was a window function and no aggregate yet.
    window: Option<WindowSpec>,
}

/// The stand-in for column `which` of [`WINDOW_COLUMNS`].
fn window_mark(which: usize) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare("#window")), WINDOW_COLUMNS[which]))
}

fn marked(expr: &Expr) -> Option<usize> {
    (0..WINDOW_COLUMNS.len()).find(|which| *expr == window_mark(*which))
}

fn contains_mark(expr: &Expr) -> bool {
    expr.exists(|e| Ok(marked(e).is_some())).unwrap_or(true)
}

/// How a table is read: its declared columns and watermark, compiled.
///
/// # Errors
/// `Internal` if an expression that was planned does not compile.
pub(crate) fn source(table: &Table, settings: &Settings) -> Result<Source> {
    let read = Compiler::new(&table.spec.source_schema())?;
    let columns = table.columns.iter().map(|e| read.expr(e)).collect::<Result<Vec<_>>>()?;
    let declared = Compiler::new(&table.spec.schema())?;
    let watermark = match &table.watermark {
        Some((rowtime, expr)) => Some(WatermarkSpec {
            rowtime: *rowtime,
            expr: declared.expr(expr)?,
            idle_timeout: table.idle_timeout.unwrap_or(settings.idle_timeout),
            max_future_skew: table.max_future_skew.unwrap_or(settings.max_future_skew),
        }),
        None => None,
    };
    Ok(Source { table: Arc::clone(&table.spec), columns, watermark })
}

impl Lowering<'_> {
    /// The stream of a logical plan.
    ///
    /// # Errors
    /// `Sql` for what streams cannot do.
    pub(crate) fn lower(&mut self, plan: &LogicalPlan) -> Result<Stream> {
        match plan {
            LogicalPlan::TableScan(scan) => self.source(scan),
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let stream = self.lower(&filter.input)?;
                self.filter(stream, &filter.predicate, &filter.input)
            }
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.over(window, None),
            LogicalPlan::Distinct(_) => Err(unsupported("SELECT DISTINCT")),
            LogicalPlan::Sort(_) => Err(unsupported("ORDER BY")),
            LogicalPlan::Limit(_) => Err(unsupported("LIMIT")),
            LogicalPlan::Join(_) => Err(unsupported("JOIN")),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => self.without_table(empty.produce_one_row),
            LogicalPlan::Unnest(_) => Err(unsupported("UNNEST")),
            other => match window_tvf(other) {
                Some(tvf) => self.window(tvf),
                None => Err(unsupported("this form of query")),
            },
        }
    }

    fn source(&mut self, scan: &TableScan) -> Result<Stream> {
        let relation = scan.source.downcast_ref::<Relation>();
        let table = relation
            .and_then(|relation| relation.table.as_ref())
            .ok_or_else(|| Error::internal(format!("\"{}\" was planned and is no table", scan.table_name)))?;
        let kind = NodeKind::Source(source(table, self.settings)?);
        Ok(self.node(kind, Vec::new(), table.spec.schema()))
    }

    fn values(&mut self, values: &Values) -> Result<Stream> {
        if let Some(rows) = values::constant_rows(values)? {
            let kind = NodeKind::Source(values::source(&rows)?);
            return Ok(self.node(kind, Vec::new(), rows.schema()));
        }
        let fields = values.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut inputs = Vec::new();
        for row in values::computed_rows(values)? {
            let one = self.without_table(true)?;
            inputs.push(self.fitted(Stream { columns: row.clone(), ..one }, &schema)?);
        }
        Ok(self.node(NodeKind::Union, inputs, schema))
    }

    /// One row without columns, or none.
    fn without_table(&mut self, row: bool) -> Result<Stream> {
        let rows = values::one_row()?.slice(0, usize::from(row));
        let kind = NodeKind::Source(values::source(&rows)?);
        let node = self.node(kind, Vec::new(), rows.schema());
        Ok(Stream { columns: Vec::new(), ..node })
    }

    /// A new node, all its columns as they are.
    fn node(&mut self, kind: NodeKind, inputs: Vec<NodeId>, schema: SchemaRef) -> Stream {
        let columns = (0..schema.fields().len()).map(place).collect();
        let node = self.builder.add(Node { kind, inputs, schema });
        Stream { node, predicate: Vec::new(), columns, window: None }
    }

    fn schema(&self, stream: &Stream) -> SchemaRef {
        Arc::clone(&self.builder.node(stream.node).schema)
    }

    fn projection(&mut self, projection: &Projection) -> Result<Stream> {
        let input = projection.input.as_ref();
        let mut stream = match input {
            LogicalPlan::Window(window) => {
                let used = used_columns(&projection.expr, input.schema());
                self.over(window, Some(&used))?
            }
            other => self.lower(other)?,
        };
        if !can_fuse(&projection.expr, input.schema(), &stream.columns) {
            stream = self.materialize(stream, input.schema())?;
        }
        let columns =
            projection.expr.iter().map(|e| resolve(e, input.schema(), &stream.columns)).collect::<Result<_>>()?;
        Ok(Stream { columns, ..stream })
    }

    fn filter(&mut self, mut stream: Stream, predicate: &Expr, input: &LogicalPlan) -> Result<Stream> {
        let simple = used_columns(std::slice::from_ref(predicate), input.schema())
            .into_iter()
            .all(|i| stream.columns.get(i).is_some_and(is_simple));
        if !simple {
            stream = self.materialize(stream, input.schema())?;
        }
        let predicate = resolve(predicate, input.schema(), &stream.columns)?;
        if contains_mark(&predicate) {
            return Err(Error::sql("WHERE on the columns of a window, before it is aggregated, is not supported")
                .hint("filter the result: move the condition to HAVING or to an outer query"));
        }
        stream.predicate.push(predicate);
        Ok(stream)
    }

    /// Makes the pending filter and projection a node, unless there is nothing to do.
    fn materialize(&mut self, stream: Stream, names: &DFSchema) -> Result<Stream> {
        if stream.window.is_some() {
            return Err(window_without_aggregate());
        }
        let schema = self.schema(&stream);
        let same = |(i, e): (usize, &Expr)| {
            place_of(e) == Some(i) && schema.fields().get(i).is_some_and(|f| f.name() == names.field(i).name())
        };
        let identity = stream.columns.len() == schema.fields().len() && stream.columns.iter().enumerate().all(same);
        if identity && stream.predicate.is_empty() {
            return Ok(stream);
        }
        let names: Vec<&str> = names.fields().iter().map(|f| f.name().as_str()).collect();
        self.calc(stream, &names)
    }

    /// Makes the pending filter and projection a node with these column names.
    fn calc(&mut self, stream: Stream, names: &[&str]) -> Result<Stream> {
        let compiler = Compiler::new(&self.schema(&stream))?;
        let mut fields = Vec::new();
        let mut projection = Vec::new();
        for (expr, name) in stream.columns.iter().zip(names) {
            let compiled = compiler.expr(expr)?;
            fields.push(compiler.field(name, &compiled)?);
            projection.push(compiled);
        }
        let predicate = conjunction(stream.predicate).map(|p| compiler.expr(&p)).transpose()?;
        let kind = NodeKind::Calc(Calc { predicate, projection });
        Ok(self.node(kind, vec![stream.node], Arc::new(Schema::new(fields))))
    }

    fn union(&mut self, union: &Union) -> Result<Stream> {
        let mut inputs = Vec::new();
        let mut streams = Vec::new();
        for input in &union.inputs {
            let stream = self.lower(input)?;
            if stream.window.is_some() {
                return Err(window_without_aggregate());
            }
            streams.push(stream);
        }
        // the union's own types, nullable if one input is
        let mut fields: Vec<Field> = Vec::new();
        for (i, field) in union.schema.fields().iter().enumerate() {
            let mut nullable = false;
            for stream in &streams {
                let compiler = Compiler::new(&self.schema(stream))?;
                let column = stream.columns.get(i).ok_or_else(|| Error::internal("inputs of a union differ"))?;
                nullable |= compiler.field(field.name(), &compiler.expr(column)?)?.is_nullable();
            }
            fields.push(Field::new(field.name(), field.data_type().clone(), nullable));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        for stream in streams {
            inputs.push(self.fitted(stream, &schema)?);
        }
        Ok(self.node(NodeKind::Union, inputs, schema))
    }

    /// A node with exactly this schema; types are equal already.
    fn fitted(&mut self, stream: Stream, schema: &SchemaRef) -> Result<NodeId> {
        let here = self.schema(&stream);
        let identity = stream.columns.iter().enumerate().all(|(i, e)| place_of(e) == Some(i));
        if identity && stream.predicate.is_empty() && here == *schema {
            return Ok(stream.node);
        }
        let compiler = Compiler::new(&here)?;
        let projection = stream.columns.iter().map(|e| compiler.expr(e)).collect::<Result<Vec<_>>>()?;
        let predicate = conjunction(stream.predicate).map(|p| compiler.expr(&p)).transpose()?;
        let kind = NodeKind::Calc(Calc { predicate, projection });
        Ok(self.builder.add(Node { kind, inputs: vec![stream.node], schema: Arc::clone(schema) }))
    }

    fn window(&mut self, tvf: &WindowTvf) -> Result<Stream> {
        let mut stream = self.lower(&tvf.input)?;
        if stream.window.is_some() {
            return Err(Error::sql("a window function over the rows of another is not supported")
                .hint("aggregate the inner window first: GROUP BY window_start, window_end, window_time"));
        }
        let rowtime = match stream.columns.get(tvf.spec.rowtime).and_then(place_of) {
            Some(rowtime) => rowtime,
            None => return Err(Error::internal("an event-time column became an expression")),
        };
        stream.columns.extend((0..WINDOW_COLUMNS.len()).map(window_mark));
        let zoned = matches!(self.schema(&stream).field(rowtime).data_type(), DataType::Timestamp(_, Some(_)));
        let zone = if zoned { Some(Zone::parse(&self.settings.time_zone)?) } else { None };
        stream.window = Some(WindowSpec { rowtime, zone: zone.filter(|zone| *zone != Zone::UTC), ..tvf.spec });
        Ok(stream)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Stream> {
        let names = aggregate.input.schema();
        let stream = self.lower(&aggregate.input)?;
        let groups =
            aggregate.group_expr.iter().map(|e| resolve(e, names, &stream.columns)).collect::<Result<Vec<_>>>()?;
        let has = |which| groups.iter().any(|e| marked(e) == Some(which));
        let window = match stream.window {
            Some(window) if has(0) && has(1) => window,
            found => return Err(updating(found.is_some(), has(0) || has(1))),
        };
        let calls =
            aggregate.aggr_expr.iter().map(|e| resolve(e, names, &stream.columns)).collect::<Result<Vec<_>>>()?;
        if let Some(group) = groups.iter().find(|e| marked(e).is_none() && contains_mark(e)) {
            return Err(Error::sql(format!("the group key {group} is made of a window column"))
                .hint("group by window_start and window_end as they are, and compute in an outer query"));
        }
        if calls.iter().any(contains_mark) {
            return Err(Error::sql("an aggregate over window_start, window_end or window_time is not supported")
                .hint("every row of a group has the same window: use the column itself"));
        }
        let (stream, window, groups, calls) = self.narrow(stream, window, groups, calls)?;
        self.window_aggregate(&stream, window, &groups, &calls, aggregate)
    }

    /// Before a window aggregate a pending filter becomes a node, with the columns that are needed.
    fn narrow(
        &mut self,
        mut stream: Stream,
        window: WindowSpec,
        groups: Vec<Expr>,
        calls: Vec<Expr>,
    ) -> Result<(Stream, WindowSpec, Vec<Expr>, Vec<Expr>)> {
        stream.window = None;
        if stream.predicate.is_empty() {
            return Ok((stream, window, groups, calls));
        }
        let mut kept: BTreeSet<usize> = groups.iter().chain(&calls).flat_map(places).collect();
        kept.insert(window.rowtime);
        let (stream, to) = self.pruned(stream, &kept)?;
        let to = |i: usize| to.get(&i).copied();
        let groups = groups.iter().map(|e| renumber(e, to)).collect::<Result<_>>()?;
        let calls = calls.iter().map(|e| renumber(e, to)).collect::<Result<_>>()?;
        let rowtime = to(window.rowtime).ok_or_else(|| Error::internal("the event time was left out"))?;
        Ok((stream, WindowSpec { rowtime, ..window }, groups, calls))
    }

    /// The node's columns `kept` only, and where each went.
    fn pruned(&mut self, stream: Stream, kept: &BTreeSet<usize>) -> Result<(Stream, BTreeMap<usize, usize>)> {
        let schema = self.schema(&stream);
        let to: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        if kept.len() == schema.fields().len() && stream.predicate.is_empty() {
            return Ok((stream, to));
        }
        let names: Vec<&str> = kept.iter().filter_map(|i| schema.fields().get(*i)).map(|f| f.name().as_str()).collect();
        let columns = kept.iter().map(|i| place(*i)).collect();
        Ok((self.calc(Stream { columns, ..stream }, &names)?, to))
    }

    fn window_aggregate(
        &mut self,
        stream: &Stream,
        window: WindowSpec,
        groups: &[Expr],
        calls: &[Expr],
        aggregate: &Aggregate,
    ) -> Result<Stream> {
        let input = self.schema(stream);
        let compiler = Compiler::new(&input)?;
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        let rowtime = input.field(window.rowtime).data_type().clone();
        let (mut keys, mut aggregates, mut output, mut fields) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, group) in groups.iter().enumerate() {
            let name = aggregate.schema.field(i).name();
            match marked(group) {
                Some(0) => output.push(WindowOutput::Start),
                Some(1) => output.push(WindowOutput::End),
                Some(_) => output.push(WindowOutput::Time),
                None => output.push(WindowOutput::Key(keys.len())),
            }
            fields.push(match marked(group) {
                Some(0 | 1) => Field::new(name, wall_clock.clone(), false),
                Some(_) => Field::new(name, rowtime.clone(), false),
                None => {
                    let key = compiler.expr(group)?;
                    let field = compiler.field(name, &key)?;
                    keys.push(key);
                    field
                }
            });
        }
        for call in calls {
            let Expr::AggregateFunction(function) = unaliased(call) else {
                return Err(Error::internal("an aggregate that is no call"));
            };
            let compiled = compiler.aggregate(&Call::grouped(&function.func, &function.params))?;
            output.push(WindowOutput::Aggregate(aggregates.len()));
            fields.push(compiled.call.field().as_ref().clone().with_name(&compiled.text));
            aggregates.push(compiled);
        }
        let kind = NodeKind::WindowAggregate(WindowAggregate { window, keys, aggregates, output });
        Ok(self.node(kind, vec![stream.node], Arc::new(Schema::new(fields))))
    }

    /// `used`: the columns that are read of the result, if that is known.
    fn over(&mut self, window: &Window, used: Option<&BTreeSet<usize>>) -> Result<Stream> {
        if matches!(window.input.as_ref(), LogicalPlan::Window(_)) {
            return Err(different_windows());
        }
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
            let (aggregate, params) = aggregate_over(&function)?;
            let compiled = compiler.aggregate(&Call::over(aggregate, params))?;
            fields.push(compiled.call.field().as_ref().clone().with_name(&compiled.text));
            aggregates.push(compiled);
        }
        let kept_width = input.fields().len();
        let kind = NodeKind::OverAggregate(OverAggregate { keys, rowtime, frame: spec.frame, aggregates });
        let mut result = self.node(kind, vec![stream.node], Arc::new(Schema::new(fields)));
        // a column that was left out is never read
        let passed = (0..width).map(|i| at(i).map_or_else(|| lit(ScalarValue::Null), place));
        result.columns = passed.chain((0..functions.len()).map(|i| place(kept_width + i))).collect();
        Ok(result)
    }

    /// Writes the rows of a query to a table. `from`: for each written column, the query's column;
    /// `places`: where the query's columns stand, as far as known.
    ///
    /// # Errors
    /// `Sql` for types without an implicit cast.
    pub(crate) fn sink(
        &mut self,
        plan: &LogicalPlan,
        spec: &Arc<crate::table::TableSpec>,
        from: &[Option<usize>],
        places: &[Option<Span>],
    ) -> Result<NodeId> {
        let stream = self.lower(plan)?;
        if stream.window.is_some() {
            return Err(window_without_aggregate());
        }
        let here = self.schema(&stream);
        let compiler = Compiler::new(&here)?;
        let (mut columns, mut fields, mut required) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (column, from)) in spec.sink_columns().zip(from).enumerate() {
            let (value, nullable) = match from.and_then(|i| stream.columns.get(i).map(|e| (i, e))) {
                Some((i, expr)) => {
                    let name = plan.schema().field(i).name();
                    let given = compiler.field(name, &compiler.expr(expr)?)?;
                    let declared = sink::declared_type(plan, i);
                    let given_column = Given { expr: expr.clone(), data_type: given.data_type(), declared, name };
                    let value = sink::coerce(given_column, column, &spec.name, self.registry, self.settings.lengths)
                        .map_err(|e| e.or_at(places.get(i).copied().flatten()))?;
                    // a cast may give NULL
                    let nullable = given.is_nullable() || *given.data_type() != column.data_type;
                    (value, nullable)
                }
                None => (sink::missing(column), true),
            };
            let guarded = nullable && !column.nullable;
            let dropped = guarded && self.settings.not_null == NotNullRule::Drop;
            fields.push(Field::new(&column.name, column.data_type.clone(), column.nullable || dropped));
            required.extend(dropped.then_some(at));
            let checked = guarded && !dropped;
            columns.push(if checked { sink::not_null(value, &spec.name, &column.name) } else { value });
        }
        let input = self.fitted(Stream { columns, ..stream }, &Arc::new(Schema::new(fields)))?;
        let kind = NodeKind::Sink(Sink { table: Arc::clone(spec), required });
        Ok(self.builder.add(Node { kind, inputs: vec![input], schema: spec.sink_schema() }))
    }
}

/// Whether expressions can be evaluated in one step with what they read: nothing is computed twice.
fn can_fuse(exprs: &[Expr], names: &DFSchema, columns: &[Expr]) -> bool {
    let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
    for expr in exprs {
        for_each_column(expr, |column| {
            if let Ok(index) = names.index_of_column(column) {
                *uses.entry(index).or_default() += 1;
            }
        });
    }
    uses.into_iter().all(|(index, count)| {
        columns.get(index).is_some_and(|column| is_simple(column) || (count == 1 && !is_volatile(column)))
    })
}

fn used_columns(exprs: &[Expr], names: &DFSchema) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for expr in exprs {
        for_each_column(expr, |column| used.extend(names.index_of_column(column)));
    }
    used
}

fn for_each_column(expr: &Expr, mut visit: impl FnMut(&Column)) {
    // the closure never fails, so neither does the walk
    drop(expr.apply(|e| {
        if let Expr::Column(column) = e {
            visit(column);
        }
        Ok(TreeNodeRecursion::Continue)
    }));
}

fn is_simple(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_) | Expr::Literal(..))
}

fn is_volatile(expr: &Expr) -> bool {
    let volatile =
        |e: &Expr| matches!(e, Expr::ScalarFunction(f) if f.func.signature().volatility == Volatility::Volatile);
    expr.exists(|e| Ok(volatile(e))).unwrap_or(true)
}

pub(super) fn unsupported(what: &str) -> Error {
    Error::sql(format!("{what} is not supported on streams")).hint("see the list of supported SQL in the README")
}

fn window_without_aggregate() -> Error {
    Error::sql("a window function without GROUP BY window_start, window_end is not supported yet")
        .hint("aggregate: SELECT window_start, window_end, COUNT(*) FROM TABLE(…) GROUP BY window_start, window_end")
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
