//! Logical plan to plan nodes.
//!
//! A logical node becomes a [`Stream`]: a plan node and a filter and projection over it that are not a
//! node yet, so that neighbouring projections and filters become one `Calc`. Expressions in a stream name
//! the columns of its node by place. Between a window function and its aggregate the window's columns
//! are stand-ins ([`window_mark`]) that only the aggregate can take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Projection, TableScan, Union, Values, Volatility, lit};

use crate::error::{Error, Result, Span};
use crate::plan::{
    Calc, Node, NodeId, NodeKind, NotNullRule, PlanBuilder, Settings, Sink, Source, WatermarkSpec, WindowAssign,
    WindowKind, WindowSpec,
};
use crate::sql::catalog::Table;
use crate::sql::planner::constants;
use crate::sql::planner::context::Relation;
use crate::sql::planner::expr::{Compiler, place, place_of, places, resolve};
use crate::sql::planner::rank;
use crate::sql::planner::sink::{self, Given};
use crate::sql::planner::unnest::unnest_rows;
use crate::sql::planner::values;
use crate::sql::planner::window::{WINDOW_COLUMNS, WindowTvf, window_tvf};
use crate::sql::registry::Registry;
use crate::time::zone::Zone;

/// Adds the nodes of one job to a plan.
pub(crate) struct Lowering<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Registry,
    pub(crate) builder: PlanBuilder,
    /// The OVER below the filter at hand numbers rows of which the first is wanted.
    pub(super) keeps_first: bool,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(settings: &'a Settings, registry: &'a Registry) -> Self {
        Self { settings, registry, builder: PlanBuilder::default(), keeps_first: false }
    }
}

/// What a logical node became.
pub(crate) struct Stream {
    pub(super) node: NodeId,
    /// Rows kept, over the node's columns; all must be true.
    pub(super) predicate: Vec<Expr>,
    /// One per column of the logical node, over the node's columns.
    pub(super) columns: Vec<Expr>,
    /// The window the rows are to be put into, if there was a window function and no aggregate yet.
    pub(super) window: Option<PendingWindow>,
    /// Place of the event time in the node, if its rows have windows of that time and may be late for them.
    pub(super) rowtime: Option<usize>,
}

/// Which columns of a logical node are read.
#[derive(Debug, Clone)]
pub(super) enum Used {
    All,
    Some(BTreeSet<usize>),
}

impl Used {
    pub(super) fn has(&self, column: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(used) => used.contains(&column),
        }
    }

    /// Those of the input of a projection.
    pub(super) fn below(&self, projection: &Projection) -> Self {
        let read = projection.expr.iter().enumerate().filter(|(i, _)| self.has(*i));
        let read: Vec<Expr> = read.map(|(_, expr)| expr.clone()).collect();
        Self::Some(used_columns(&read, projection.input.schema()))
    }

    /// These, and the columns of `schema` that expressions read.
    pub(super) fn and<'a>(&self, schema: &DFSchema, exprs: impl IntoIterator<Item = &'a Expr>) -> Self {
        let Self::Some(used) = self else { return Self::All };
        let mut used = used.clone();
        for expr in exprs {
            used.extend(used_columns(std::slice::from_ref(expr), schema));
        }
        Self::Some(used)
    }
}

/// Takes the place of a column that is never read.
pub(super) fn stand_in() -> Expr {
    lit(ScalarValue::Null)
}

/// A window function that is not a node yet.
pub(super) struct PendingWindow {
    pub(super) spec: WindowSpec,
    /// Keys of sessions; `None`: those of the `GROUP BY` over it.
    pub(super) partition: Option<Vec<Expr>>,
    /// How many conditions the rows meet before they come to it.
    pub(super) conditions: usize,
}

impl Stream {
    /// A node with all its columns as they are.
    pub(super) fn of(node: NodeId, schema: &Schema) -> Self {
        let columns = (0..schema.fields().len()).map(place).collect();
        Self { node, predicate: Vec::new(), columns, window: None, rowtime: None }
    }
}

/// Name of a column that no query sees: the event time of rows in windows.
const ROWTIME: &str = "$rowtime";

/// The stand-in for column `which` of [`WINDOW_COLUMNS`].
fn window_mark(which: usize) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare("#window")), WINDOW_COLUMNS[which]))
}

pub(super) fn marked(expr: &Expr) -> Option<usize> {
    (0..WINDOW_COLUMNS.len()).find(|which| *expr == window_mark(*which))
}

pub(super) fn contains_mark(expr: &Expr) -> bool {
    expr.exists(|e| Ok(marked(e).is_some())).unwrap_or(true)
}

/// How a table is read: its declared columns and watermark, compiled.
///
/// # Errors
/// `Internal` if an expression that was planned does not compile.
pub(crate) fn source(table: &Table, settings: &Settings) -> Result<Source> {
    let read = Compiler::bare(&table.spec.source_schema())?;
    let mut columns = table.columns.iter().map(|e| read.expr(e)).collect::<Result<Vec<_>>>()?;
    let declared = Compiler::bare(&table.spec.schema())?;
    let watermark = match &table.watermark {
        Some((rowtime, expr)) => Some(WatermarkSpec {
            rowtime: *rowtime,
            expr: declared.expr(expr)?,
            // the clock goes on without rows, and is ahead of them all
            idle_timeout: table
                .idle_timeout
                .unwrap_or(settings.idle_timeout)
                .filter(|_| table.proctime != Some(*rowtime)),
            max_future_skew: table
                .max_future_skew
                .unwrap_or(settings.max_future_skew)
                .filter(|_| table.proctime != Some(*rowtime)),
        }),
        None => None,
    };
    if let Some(column) = table.proctime.and_then(|place| columns.get_mut(place)) {
        column.text = "PROCTIME()".into();
    }
    Ok(Source { table: Arc::clone(&table.spec), columns, watermark, proctime: table.proctime })
}

impl Lowering<'_> {
    /// The stream of a logical plan.
    ///
    /// # Errors
    /// `Sql` for what streams cannot do.
    pub(crate) fn lower(&mut self, plan: &LogicalPlan) -> Result<Stream> {
        self.lower_used(plan, &Used::All)
    }

    /// All that a query computes as nodes, for a look at them.
    pub(crate) fn whole(&mut self, plan: &LogicalPlan) -> Result<()> {
        let stream = self.lower(plan)?;
        self.materialize(stream, plan.schema()).map(drop)
    }

    /// [`Lowering::lower`], of which only some columns are read: the others are stand-ins.
    pub(super) fn lower_used(&mut self, plan: &LogicalPlan, used: &Used) -> Result<Stream> {
        match plan {
            LogicalPlan::TableScan(scan) => self.source(scan, used),
            LogicalPlan::SubqueryAlias(alias) => self.lower_used(&alias.input, used),
            LogicalPlan::Projection(projection) => self.projection(projection, used),
            LogicalPlan::Filter(filter) => match rank::numbered(&filter.input) {
                Some(number) => self.rank(filter, number, used),
                None => {
                    let below = used.and(filter.input.schema(), [&filter.predicate]);
                    self.keeps_first |= rank::keeps_first(filter);
                    let stream = self.lower_used(&filter.input, &below)?;
                    self.filter(stream, &filter.predicate, &filter.input)
                }
            },
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Aggregate(aggregate) => match self.constant_groups(plan)? {
                Some(rows) => Ok(rows),
                None => self.aggregate(aggregate),
            },
            LogicalPlan::Window(window) => self.over(window, None),
            LogicalPlan::Distinct(Distinct::All(input)) => match self.constant_groups(plan)? {
                Some(rows) => Ok(rows),
                None => self.distinct(input),
            },
            LogicalPlan::Distinct(_) => Err(unsupported("DISTINCT ON")),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(_) => Err(unsupported("LIMIT")),
            LogicalPlan::Join(join) => self.join(join, used),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => self.without_table(empty.produce_one_row),
            LogicalPlan::Unnest(_) => Err(unsupported("UNNEST")),
            other => match (window_tvf(other), unnest_rows(other)) {
                (Some(tvf), _) => self.window(tvf, used),
                (_, Some(unnest)) => self.unnest(unnest, used),
                _ => Err(unsupported("this form of query")),
            },
        }
    }

    fn source(&mut self, scan: &TableScan, used: &Used) -> Result<Stream> {
        let relation = scan.source.downcast_ref::<Relation>();
        let table = relation
            .and_then(|relation| relation.table.as_ref())
            .ok_or_else(|| Error::internal(format!("\"{}\" was planned and is no table", scan.table_name)))?;
        let kind = NodeKind::Source(source(table, self.settings)?);
        let mut stream = self.node(kind, Vec::new(), &table.spec.schema());
        for (_, column) in stream.columns.iter_mut().enumerate().filter(|(i, _)| !used.has(*i)) {
            *column = stand_in();
        }
        Ok(stream)
    }

    fn values(&mut self, values: &Values) -> Result<Stream> {
        if let Some(rows) = values::constant_rows(values)? {
            let kind = NodeKind::Source(values::source(&rows)?);
            return Ok(self.node(kind, Vec::new(), &rows.schema()));
        }
        let fields = values.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut inputs = Vec::new();
        for row in values::computed_rows(values)? {
            let one = self.without_table(true)?;
            inputs.push(self.fitted(Stream { columns: row.clone(), ..one }, &schema)?);
        }
        Ok(self.node(NodeKind::Union, inputs, &schema))
    }

    /// One row without columns, or none.
    fn without_table(&mut self, row: bool) -> Result<Stream> {
        let rows = values::one_row()?.slice(0, usize::from(row));
        let kind = NodeKind::Source(values::source(&rows)?);
        let node = self.node(kind, Vec::new(), &rows.schema());
        Ok(Stream { columns: Vec::new(), ..node })
    }

    /// A new node, all its columns as they are.
    pub(super) fn node(&mut self, kind: NodeKind, inputs: Vec<NodeId>, schema: &SchemaRef) -> Stream {
        let node = self.builder.add(Node { kind, inputs, schema: Arc::clone(schema) });
        Stream::of(node, schema)
    }

    pub(super) fn schema(&self, stream: &Stream) -> SchemaRef {
        Arc::clone(&self.builder.node(stream.node).schema)
    }

    fn projection(&mut self, projection: &Projection, used: &Used) -> Result<Stream> {
        let input = projection.input.as_ref();
        let stream = match input {
            // by all of the projection, used or not: so that statements of a set share the OVER of a view
            LogicalPlan::Window(window) => {
                let used = used_columns(&projection.expr, input.schema());
                self.over(window, Some(&used))?
            }
            other => self.lower_used(other, &used.below(projection))?,
        };
        self.project(stream, projection, used)
    }

    /// A projection over the rows of its input.
    pub(super) fn project(&mut self, mut stream: Stream, projection: &Projection, used: &Used) -> Result<Stream> {
        let names = projection.input.schema();
        let exprs: Vec<(usize, &Expr)> = projection.expr.iter().enumerate().filter(|(i, _)| used.has(*i)).collect();
        let read: Vec<Expr> = exprs.iter().map(|(_, e)| (*e).clone()).collect();
        constants::check_values(&read)?;
        if !can_fuse(&read, names, &stream.columns) {
            stream = self.keep(stream, names, &Used::Some(used_columns(&read, names)))?;
        }
        let mut columns = vec![stand_in(); projection.expr.len()];
        for (i, expr) in exprs {
            columns[i] = resolve(expr, names, &stream.columns)?;
        }
        Ok(Stream { columns, ..stream })
    }

    /// Makes the columns that are read a node, the pending filter and projection done.
    pub(super) fn keep(&mut self, stream: Stream, names: &DFSchema, used: &Used) -> Result<Stream> {
        let Used::Some(used) = used else { return self.materialize(stream, names) };
        let stream = self.attach(stream)?;
        let width = stream.columns.len();
        let schema = self.schema(&stream);
        let all: Vec<Expr> = used.iter().filter_map(|i| stream.columns.get(*i).cloned()).collect();
        let in_place = stream.predicate.is_empty() && all.iter().all(|column| place_of(column).is_some());
        // one more column (the time of a window, which few read) costs less than another step
        let spare = 1 + usize::from(stream.rowtime.is_some());
        if in_place && schema.fields().len() <= all.len() + spare {
            return Ok(stream);
        }
        let names: Vec<&str> = used.iter().map(|i| names.field(*i).name().as_str()).collect();
        let mut made = self.calc(Stream { columns: all, ..stream }, &names)?;
        let mut columns = vec![stand_in(); width];
        for (at, i) in used.iter().enumerate() {
            columns[*i] = place(at);
        }
        made.columns = columns;
        Ok(made)
    }

    pub(super) fn filter(&mut self, mut stream: Stream, predicate: &Expr, input: &LogicalPlan) -> Result<Stream> {
        let simple = used_columns(std::slice::from_ref(predicate), input.schema())
            .into_iter()
            .all(|i| stream.columns.get(i).is_some_and(is_simple));
        if !simple {
            let read = (0..stream.columns.len()).filter(|i| stream.columns[*i] != stand_in()).collect();
            stream = self.keep(stream, input.schema(), &Used::Some(read))?;
        }
        let resolved = resolve(predicate, input.schema(), &stream.columns)?;
        let predicate = if contains_mark(&resolved) {
            stream = self.attach(stream)?;
            resolve(predicate, input.schema(), &stream.columns)?
        } else {
            resolved
        };
        stream.predicate.push(predicate);
        Ok(stream)
    }

    /// Makes the pending filter and projection a node, unless there is nothing to do.
    pub(super) fn materialize(&mut self, stream: Stream, names: &DFSchema) -> Result<Stream> {
        let stream = self.attach(stream)?;
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
    pub(super) fn calc(&mut self, mut stream: Stream, names: &[&str]) -> Result<Stream> {
        let width = stream.columns.len();
        let kept = stream.rowtime.map(|rowtime| {
            let found = stream.columns.iter().position(|column| place_of(column) == Some(rowtime));
            found.unwrap_or_else(|| {
                stream.columns.push(place(rowtime));
                width
            })
        });
        let names: Vec<&str> = names.iter().copied().chain([ROWTIME]).collect();
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
        let mut made = self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields)));
        made.columns.truncate(width);
        Ok(Stream { rowtime: kept, ..made })
    }

    /// Puts the rows into the windows of a pending window function.
    pub(super) fn attach(&mut self, mut stream: Stream) -> Result<Stream> {
        let Some(mut window) = stream.window.take() else { return Ok(stream) };
        if let WindowKind::Session { .. } = window.spec.kind {
            return self.session_rows(stream, window);
        }
        let of_columns = stream.columns.iter().flat_map(places);
        let kept: BTreeSet<usize> = of_columns.chain([window.spec.rowtime]).collect();
        let columns = std::mem::take(&mut stream.columns);
        let (stream, to) = self.pruned(stream, &kept)?;
        let at = |i: usize| to.get(&i).copied();
        window.spec.rowtime = at(window.spec.rowtime).ok_or_else(|| Error::internal("the event time was left out"))?;
        let input = self.schema(&stream);
        let width = input.fields().len();
        let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        let rowtime = input.field(window.spec.rowtime).data_type().clone();
        let types = [wall_clock.clone(), wall_clock, rowtime];
        fields.extend(WINDOW_COLUMNS.into_iter().zip(types).map(|(name, t)| Field::new(name, t, false)));
        let kind = NodeKind::WindowAssign(WindowAssign { window: window.spec });
        let assigned = self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields)));
        let columns = columns.into_iter().map(|column| {
            let placed = column.transform_up(|e| match marked(&e) {
                Some(which) => Ok(Transformed::yes(place(width + which))),
                None => match place_of(&e) {
                    Some(i) => match at(i) {
                        Some(i) => Ok(Transformed::yes(place(i))),
                        None => Err(Error::internal("a column that was left out is used").into()),
                    },
                    None => Ok(Transformed::no(e)),
                },
            })?;
            Ok(placed.data)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Stream { columns, rowtime: Some(window.spec.rowtime), ..assigned })
    }

    /// By whose clock the windows of a function begin and end.
    pub(super) fn zone(&self, tvf: &WindowTvf) -> Result<Option<Zone>> {
        let zoned = matches!(tvf.rowtime_type(), DataType::Timestamp(_, Some(_)));
        let zone = if zoned { Some(Zone::parse(&self.settings.time_zone)?) } else { None };
        Ok(zone.filter(|zone| *zone != Zone::UTC))
    }

    fn union(&mut self, union: &Union) -> Result<Stream> {
        let mut inputs = Vec::new();
        let mut streams = Vec::new();
        for input in &union.inputs {
            let stream = self.lower(input)?;
            streams.push(self.attach(stream)?);
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
        Ok(self.node(NodeKind::Union, inputs, &schema))
    }

    /// A node with exactly this schema; types are equal already.
    pub(super) fn fitted(&mut self, stream: Stream, schema: &SchemaRef) -> Result<NodeId> {
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

    fn window(&mut self, tvf: &WindowTvf, used: &Used) -> Result<Stream> {
        let width = tvf.input.schema().fields().len();
        let below = match used {
            Used::All => Used::All,
            Used::Some(used) => {
                let own = tvf.partition.iter().flatten().copied().chain([tvf.spec.rowtime]);
                Used::Some(used.iter().copied().filter(|i| *i < width).chain(own).collect())
            }
        };
        let mut stream = self.lower_used(&tvf.input, &below)?;
        if stream.window.is_some() {
            return Err(Error::sql("a window function over the rows of another is not supported")
                .hint("aggregate the inner window first: GROUP BY window_start, window_end, window_time"));
        }
        let rowtime = match stream.columns.get(tvf.spec.rowtime).and_then(place_of) {
            Some(rowtime) => rowtime,
            None => return Err(Error::internal("an event-time column became an expression")),
        };
        let partition = tvf
            .partition
            .as_ref()
            .map(|places| places.iter().filter_map(|place| stream.columns.get(*place).cloned()).collect());
        stream.columns.extend((0..WINDOW_COLUMNS.len()).map(window_mark));
        let spec = WindowSpec { rowtime, zone: self.zone(tvf)?, ..tvf.spec };
        stream.window = Some(PendingWindow { spec, partition, conditions: stream.predicate.len() });
        Ok(stream)
    }

    /// The node's columns `kept` only, and where each went.
    pub(super) fn pruned(
        &mut self,
        stream: Stream,
        kept: &BTreeSet<usize>,
    ) -> Result<(Stream, BTreeMap<usize, usize>)> {
        let schema = self.schema(&stream);
        let to: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        if kept.len() == schema.fields().len() && stream.predicate.is_empty() {
            return Ok((stream, to));
        }
        let names: Vec<&str> = kept.iter().filter_map(|i| schema.fields().get(*i)).map(|f| f.name().as_str()).collect();
        let columns = kept.iter().map(|i| place(*i)).collect();
        Ok((self.calc(Stream { columns, ..stream }, &names)?, to))
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
        let stream = self.attach(stream)?;
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

pub(super) fn used_columns(exprs: &[Expr], names: &DFSchema) -> BTreeSet<usize> {
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

pub(super) fn is_volatile(expr: &Expr) -> bool {
    let volatile =
        |e: &Expr| matches!(e, Expr::ScalarFunction(f) if f.func.signature().volatility == Volatility::Volatile);
    expr.exists(|e| Ok(volatile(e))).unwrap_or(true)
}

pub(super) fn unsupported(what: &str) -> Error {
    Error::sql(format!("{what} is not supported on streams")).hint("see the list of supported SQL in the README")
}
