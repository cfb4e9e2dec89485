//! Joins of rows of the same window.
//!
//! Both sides become one stream: which side a row is of, its window and event time, the keys, the columns of the left
//! and of the right side. The operator is then one like any other, with one input.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, JoinType, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator, cast, lit};

use crate::error::{Error, Result};
use crate::plan::{JoinKind, NodeId, NodeKind, WindowJoin, WindowKind};
use crate::sql::places::span_of_columns;
use crate::sql::planner::constants;
use crate::sql::planner::expr::{Compiler, place, resolve};
use crate::sql::planner::lower::{Lowering, Stream, Used, stand_in};
use crate::sql::planner::window::{WindowTvf, window_column_of};

/// The condition of a join, taken apart.
struct Condition<'a> {
    /// Start and end of the windows of both sides, as far as they are compared.
    bounds: [Option<(Expr, Expr)>; 2],
    /// The window function of the left side.
    tvf: Option<&'a WindowTvf>,
    /// Equal expressions of both sides.
    keys: Vec<(Expr, Expr)>,
    rest: Vec<Expr>,
}

impl<'a> Condition<'a> {
    fn of(join: &'a Join) -> Result<Self> {
        let mut condition = Self { bounds: [None, None], tvf: None, keys: Vec::new(), rest: Vec::new() };
        for (left, right) in &join.on {
            condition.pair(join, left.clone(), right.clone())?;
        }
        for (at, part) in join.filter.iter().flat_map(split_conjunction).enumerate() {
            if join.null_aware && at == 0 {
                // NOT IN: a comparison that is neither true nor false rules a row out, too
                condition.rest.push(Expr::IsNotFalse(Box::new(part.clone())));
                continue;
            }
            let pair = match equality(part) {
                Some((one, other)) => {
                    find_valid_equijoin_key_pair(one, other, join.left.schema(), join.right.schema())?
                }
                None => None,
            };
            match pair {
                Some((left, right)) => condition.pair(join, left, right)?,
                None => condition.rest.push(part.clone()),
            }
        }
        Ok(condition)
    }

    fn pair(&mut self, join: &'a Join, left: Expr, right: Expr) -> Result<()> {
        let of = (window_column_of(&join.left, &left), window_column_of(&join.right, &right));
        match of {
            (Some((a, of_left)), Some((b, of_right))) if a == b => {
                if !of_left.same_windows(of_right) {
                    return Err(Error::sql("both sides of a join in windows must have the same windows")
                        .or_at(span_of_columns([&left, &right]))
                        .detail(format!("They are {} and {}.", of_left.spec, of_right.spec))
                        .hint("give both the same window function, size and offset"));
                }
                self.tvf = Some(of_left);
                if a < 2 {
                    self.bounds[a] = Some((left, right));
                }
            }
            _ => self.keys.push((left, right)),
        }
        Ok(())
    }

    /// Start and end of the window on both sides, if they make sure that rows are of the same window.
    fn window(&self) -> Option<(&'a WindowTvf, [&(Expr, Expr); 2])> {
        let tvf = self.tvf?;
        let (start, end) = (self.bounds[0].as_ref(), self.bounds[1].as_ref());
        match tvf.spec.kind {
            WindowKind::Session { .. } => Some((tvf, [start?, end?])),
            _ => Some((tvf, [start.or(end)?, end?])),
        }
    }
}

/// The sides of a comparison with `=`.
pub(super) fn equality(part: &Expr) -> Option<(&Expr, &Expr)> {
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => Some((left, right)),
        _ => None,
    }
}

fn kind(join: &Join) -> Result<JoinKind> {
    Ok(match join.join_type {
        JoinType::Inner => JoinKind::Inner,
        JoinType::Left => JoinKind::Left,
        JoinType::Right => JoinKind::Right,
        JoinType::Full => JoinKind::Full,
        JoinType::LeftSemi => JoinKind::Semi,
        JoinType::LeftAnti => JoinKind::Anti,
        JoinType::LeftMark => {
            return Err(Error::sql("IN or EXISTS with a subquery beside OR is not supported on streams")
                .hint("write it as a condition of its own, with AND; or list the values, k IN ('a', 'b')"));
        }
        _ => return Err(Error::sql("this form of join is not supported on streams").hint("write JOIN … ON …")),
    })
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join, used: &Used) -> Result<Stream> {
        let kind = kind(join)?;
        let condition = Condition::of(join)?;
        let Some((tvf, bounds)) = condition.window() else {
            let compared = join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter);
            let place = span_of_columns(compared);
            return match self.constant_join(join, used).map_err(|error| error.or_at(place))? {
                Some(joined) => Ok(joined),
                None => Err(without_window(join, &condition).or_at(place)),
            };
        };
        let zone = self.zone(tvf)?;
        let names = join.left.schema().join(join.right.schema())?;
        let both: BTreeSet<usize> = (0..names.fields().len()).filter(|column| used.has(*column)).collect();
        let read = Used::Some(both).and(&names, &condition.rest);
        let compared = bounds.into_iter().chain(&condition.keys).flat_map(|(left, right)| [left, right]);
        let below = read.and(&names, compared);
        let middle = join.left.schema().fields().len();
        let sides = |used: &Used| -> [Vec<usize>; 2] {
            let left = (0..middle).filter(|column| used.has(*column));
            let right = (middle..names.fields().len()).filter(|column| used.has(*column));
            [left.collect(), right.map(|column| column - middle).collect()]
        };
        let [left, right] = sides(&read);
        let [left_below, right_below] = sides(&below).map(|columns| Used::Some(columns.into_iter().collect()));
        let of_left = self.lower_used(&join.left, &left_below)?;
        let of_left = self.attach(of_left)?;
        let of_right = self.lower_used(&join.right, &right_below)?;
        let of_right = self.attach(of_right)?;
        let keys = bounds.into_iter().chain(&condition.keys).cloned().unzip();
        let union = self.sides(join, [(of_left, &left), (of_right, &right)], keys)?;
        let first = WindowJoin::KEYS + condition.keys.len();
        let pair: Vec<Field> = self.schema(&union).fields().iter().skip(first).map(|f| f.as_ref().clone()).collect();
        // where the columns of both sides are behind the keys
        let mut columns = vec![stand_in(); names.fields().len()];
        for (at, column) in left.iter().copied().chain(right.iter().map(|column| column + middle)).enumerate() {
            columns[column] = place(at);
        }
        let compiler = Compiler::bare(&(Arc::new(Schema::new(pair.clone())) as SchemaRef))?;
        let rest =
            conjunction(condition.rest).map(|rest| compiler.expr(&resolve(&rest, &names, &columns)?)).transpose()?;
        let one_side = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        let fields: Vec<Field> = if one_side { pair.into_iter().take(left.len()).collect() } else { pair };
        let node = NodeKind::WindowJoin(WindowJoin {
            kind,
            zone,
            keys: condition.keys.len(),
            left: left.len(),
            condition: rest,
        });
        let mut joined = self.node(node, vec![union.node], &Arc::new(Schema::new(fields)));
        columns.truncate(if one_side { middle } else { columns.len() });
        joined.columns = columns;
        Ok(joined)
    }

    /// Both sides as one stream, of each the columns that are read. `keys` of each side: start and end of the window, then those of the join.
    fn sides(
        &mut self,
        join: &Join,
        sides: [(Stream, &Vec<usize>); 2],
        keys: (Vec<Expr>, Vec<Expr>),
    ) -> Result<Stream> {
        let inputs: [&LogicalPlan; 2] = [&join.left, &join.right];
        let names: [&DFSchema; 2] = [join.left.schema(), join.right.schema()];
        let mut fields = vec![Field::new("$left", DataType::Boolean, false)];
        for (i, key) in keys.0.iter().enumerate() {
            let resolved = resolve(key, names[0], &sides[0].0.columns)?;
            let compiler = Compiler::new(&self.schema(&sides[0].0))?;
            let data_type = compiler.field("", &compiler.expr(&resolved)?)?.data_type().clone();
            fields.push(match i {
                0 => Field::new("window_start", data_type, true),
                1 => Field::new("window_end", data_type, true),
                _ => Field::new(format!("$key{}", i - 2), data_type, true),
            });
        }
        let mut types =
            sides.iter().filter_map(|(side, _)| Some(self.schema(side).field(side.rowtime?).data_type().clone()));
        let time_type = types.next().unwrap_or(DataType::Timestamp(TimeUnit::Millisecond, None));
        fields.insert(WindowJoin::ROWTIME, Field::new("$rowtime", time_type.clone(), true));
        let read = [sides[0].1, sides[1].1];
        for (input, read) in inputs.into_iter().zip(read) {
            fields.extend(read.iter().map(|column| input.schema().field(*column).as_ref().clone().with_nullable(true)));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut nodes: Vec<NodeId> = Vec::new();
        for (side, ((stream, own), keys)) in sides.into_iter().zip([keys.0, keys.1]).enumerate() {
            let rowtime = match stream.rowtime {
                Some(rowtime) if *self.schema(&stream).field(rowtime).data_type() == time_type => place(rowtime),
                Some(rowtime) => cast(place(rowtime), time_type.clone()),
                None => Expr::Literal(ScalarValue::try_from(&time_type)?, None),
            };
            let mut columns = vec![lit(side == 0)];
            for key in &keys {
                columns.push(resolve(key, names[side], &stream.columns)?);
            }
            columns.insert(WindowJoin::ROWTIME, rowtime);
            for (other, (input, read)) in inputs.into_iter().zip(read).enumerate() {
                if other == side {
                    columns.extend(own.iter().map(|column| stream.columns[*column].clone()));
                } else {
                    for column in read {
                        let nothing = ScalarValue::try_from(input.schema().field(*column).data_type())?;
                        columns.push(Expr::Literal(nothing, None));
                    }
                }
            }
            nodes.push(self.fitted(Stream { columns, ..stream }, &schema)?);
        }
        Ok(self.node(NodeKind::Union, nodes, &schema))
    }
}

/// A join that would have to keep all rows for ever.
fn without_window(join: &Join, condition: &Condition<'_>) -> Error {
    if condition.tvf.is_some() {
        return Error::sql("a join in windows must compare window_start and window_end of both sides")
            .hint("ON l.window_start = r.window_start AND l.window_end = r.window_end AND …");
    }
    let name = match join.join_type {
        JoinType::Left => "LEFT JOIN",
        JoinType::Right => "RIGHT JOIN",
        JoinType::Full => "FULL JOIN",
        JoinType::LeftSemi => "IN or EXISTS with a subquery",
        JoinType::LeftAnti => "NOT IN or NOT EXISTS with a subquery",
        _ if condition.keys.is_empty() && condition.rest.is_empty() => "CROSS JOIN",
        _ => "JOIN",
    };
    if constants::has_constant_side(join) {
        return Error::sql(format!("{name} that keeps rows of constants without a partner is not supported"))
            .detail("A constant would be written first, and taken back when its partner comes.")
            .hint("write JOIN, or a LEFT JOIN with the constants on its right side");
    }
    if [&join.left, &join.right].into_iter().any(|side| constants::reads_no_table(side)) {
        return Error::sql(format!("{name} with constants that are aggregated, ordered or joined is not supported"))
            .detail("Only rows as VALUES and SELECT give them can stand in a join.")
            .hint("write the result itself into VALUES");
    }
    let error = Error::sql(format!("{name} of streams is not supported yet, but within windows"))
        .detail("Without a window all rows of both sides would have to be kept for ever.");
    if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) {
        return error.hint("list the values, k IN ('a', 'b'); or put both sides into windows: SELECT … FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) l WHERE EXISTS (SELECT * FROM TABLE(TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) r WHERE l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k)");
    }
    error.hint("join windows: FROM (SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) l JOIN (…) r ON l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k")
}
