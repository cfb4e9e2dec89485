//! The plan as text: what `streamer explain` prints, and the fingerprint that state is bound to.

use std::fmt;

use arrow::datatypes::Schema;

use crate::plan::{
    ConstantJoin, Exchange, List, Node, NodeId, NodeKind, OverFrame, SortKey, StreamPlan, WindowKind, WindowOutput,
    WindowSpec,
};
use crate::time::zone::Zone;

impl fmt::Display for NodeKind {
    /// One line that says all that matters to results and state, and nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(s) => {
                write!(f, "Source {} columns=[{}]", s.table.name, List(&s.columns))?;
                match &s.watermark {
                    Some(w) => write!(f, " watermark=[{}]", w.expr),
                    None => Ok(()),
                }
            }
            Self::Calc(c) => {
                write!(f, "Calc [{}]", List(&c.projection))?;
                match &c.predicate {
                    Some(p) => write!(f, " where=[{p}]"),
                    None => Ok(()),
                }
            }
            Self::Unnest(u) => {
                let kept: Vec<String> = u.kept.iter().map(|place| format!("${place}")).collect();
                let outer = if u.outer { " outer" } else { "" };
                let ordinality = if u.ordinality { " with ordinality" } else { "" };
                write!(f, "Unnest{outer} [{}]{ordinality} keeps=[{}]", u.collection, List(&kept))
            }
            Self::ConstantJoin(j) => constant_join(f, j),
            Self::WindowAggregate(w) => {
                let output: Vec<String> = w
                    .output
                    .iter()
                    .map(|o| match o {
                        WindowOutput::Start => "window_start".into(),
                        WindowOutput::End => "window_end".into(),
                        WindowOutput::Time => "window_time".into(),
                        WindowOutput::Key(i) => w.keys[*i].text.clone(),
                        WindowOutput::Aggregate(i) => w.aggregates[*i].text.clone(),
                    })
                    .collect();
                write!(f, "WindowAggregate {} keys=[{}] output=[{}]", w.window, List(&w.keys), List(&output))
            }
            Self::WindowAssign(w) => write!(f, "WindowAssign {}", w.window),
            Self::WindowRank(r) => {
                write!(f, "WindowRank end=${} keys=[{}] order=[{}]", r.window_end, List(&r.keys), List(&r.order))?;
                write!(f, " rows=[{}, {}]", r.first, r.last)?;
                f.write_str(if r.latest_first { " latest first" } else { "" })?;
                clock(f, r.zone)
            }
            Self::Sort(s) => write!(f, "Sort time=${} order=[{}]", s.rowtime, List(&s.order)),
            Self::WindowJoin(j) => {
                write!(f, "WindowJoin {:?} keys={} left={}", j.kind, j.keys, j.left)?;
                if let Some(condition) = &j.condition {
                    write!(f, " on=[{condition}]")?;
                }
                clock(f, j.zone)
            }
            Self::OverAggregate(o) => write!(
                f,
                "OverAggregate keys=[{}] order=${} frame={} calls=[{}]{}",
                List(&o.keys),
                o.rowtime,
                o.frame,
                List(&o.aggregates),
                if o.keeps_first { " first row only" } else { "" }
            ),
            Self::Union => f.write_str("Union"),
            Self::Sink(s) if s.required.is_empty() => write!(f, "Sink {}", s.table.name),
            Self::Sink(s) => {
                let columns: Vec<&str> = s.table.sink_columns().map(|c| c.name.as_str()).collect();
                let required: Vec<&str> = s.required.iter().filter_map(|at| columns.get(*at).copied()).collect();
                write!(f, "Sink {} without NULL in [{}]", s.table.name, List(&required))
            }
        }
    }
}

fn constant_join(f: &mut fmt::Formatter<'_>, join: &ConstantJoin) -> fmt::Result {
    let kept: Vec<String> = join.kept.iter().map(|place| format!("${place}")).collect();
    let keys: Vec<String> = join.keys.iter().map(|(value, constant)| format!("{value} = {constant}")).collect();
    write!(f, "ConstantJoin {:?} with {} rows={}", join.kind, join.name, join.rows.num_rows())?;
    write!(f, " keys=[{}]", List(&keys))?;
    f.write_str(if join.unknown_joins { " or unknown" } else { "" })?;
    if let Some(condition) = &join.condition {
        write!(f, " on=[{condition}]")?;
    }
    write!(f, " keeps=[{}]", List(&kept))
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            WindowKind::Tumble { size_ms } => write!(f, "TUMBLE(${}, {size_ms} ms", self.rowtime)?,
            WindowKind::Hop { slide_ms, size_ms } => {
                write!(f, "HOP(${}, slide {slide_ms} ms, size {size_ms} ms", self.rowtime)?;
            }
            WindowKind::GroupHop { slide_ms, size_ms } => {
                write!(f, "GROUP HOP(${}, slide {slide_ms} ms, size {size_ms} ms", self.rowtime)?;
            }
            WindowKind::Cumulate { step_ms, size_ms } => {
                write!(f, "CUMULATE(${}, step {step_ms} ms, size {size_ms} ms", self.rowtime)?;
            }
            WindowKind::Session { gap_ms } => write!(f, "SESSION(${}, gap {gap_ms} ms", self.rowtime)?,
            WindowKind::Attached { end } => write!(f, "WINDOW(${}, end ${end}", self.rowtime)?,
        }
        if self.offset_ms != 0 {
            write!(f, ", offset {} ms", self.offset_ms)?;
        }
        clock(f, self.zone)?;
        f.write_str(")")
    }
}

fn clock(f: &mut fmt::Formatter<'_>, zone: Option<Zone>) -> fmt::Result {
    zone.map_or(Ok(()), |zone| write!(f, ", clock of {}", zone.name()))
}

impl fmt::Display for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        f.write_str(if self.descending { " DESC" } else { "" })?;
        // NULL is the lowest value unless it is said otherwise
        f.write_str(match (self.nulls_first, self.descending) {
            (true, true) => " NULLS FIRST",
            (false, false) => " NULLS LAST",
            _ => "",
        })
    }
}

impl fmt::Display for OverFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(None) => f.write_str("ROWS UNBOUNDED"),
            Self::Rows(Some(n)) => write!(f, "ROWS {n}"),
            Self::Range(None) => f.write_str("RANGE UNBOUNDED"),
            Self::Range(Some(ms)) => write!(f, "RANGE {ms} ms"),
        }
    }
}

/// A line with the names of columns for their places (`$3`), which only the fingerprint needs; texts stay as they are.
fn with_names(line: &str, columns: &Schema) -> String {
    let mut out = String::with_capacity(line.len());
    let mut in_text = false;
    let mut rest = line;
    while let Some(at) = rest.find(['$', '\'']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let digits = from.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit()).map_or(from.len(), |(end, _)| end);
        let place = from.get(1..digits).and_then(|digits| digits.parse::<usize>().ok());
        match place.and_then(|place| columns.fields().get(place)).filter(|_| !in_text && from.starts_with('$')) {
            Some(column) => {
                out.push_str(column.name());
                rest = &from[digits..];
            }
            None => {
                in_text ^= from.starts_with('\'');
                out.push_str(&from[..1]);
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

impl StreamPlan {
    /// Where rows change key, and so task, between `id` and the nodes that read it.
    pub fn exchange(&self, id: NodeId) -> Option<String> {
        let kind = &self.nodes[id].kind;
        match kind.exchange() {
            Exchange::None => None,
            Exchange::Single if matches!(kind, NodeKind::Sink(_)) => Some("to the writer".into()),
            Exchange::Single => Some("all rows to one task".into()),
            Exchange::Hash(keys) => Some(format!("hash({keys})")),
        }
    }

    /// The plan as an indented tree per sink; a shared node is written once and named after that.
    pub fn explain(&self) -> String {
        let mut tree = Tree { plan: self, named: true, seen: vec![false; self.nodes.len()], text: String::new() };
        tree.sinks();
        tree.text
    }

    /// [`StreamPlan::explain`] with columns by place where the plan has them so (`$3`): equal names stay apart.
    pub fn explain_places(&self) -> String {
        let mut tree = Tree { plan: self, named: false, seen: vec![false; self.nodes.len()], text: String::new() };
        tree.sinks();
        tree.text
    }

    /// A text that changes exactly when stored state may no longer fit. Literals of filters are in it:
    /// a state built under another filter is another state.
    pub fn fingerprint(&self) -> String {
        self.nodes
            .iter()
            .enumerate()
            .map(|(id, n)| format!("{id}<-{:?} {} {:?}", n.inputs, n.kind, n.schema.fields()))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn state_of(kind: &NodeKind) -> Option<String> {
    match kind {
        NodeKind::WindowAggregate(w) => Some(match w.window.kind {
            WindowKind::Session { .. } => "accumulators per session, until the watermark passes its end".into(),
            _ => "accumulators per window slice and key, until the watermark passes the last window".into(),
        }),
        NodeKind::Sort(_) => Some("rows ahead of the watermark".into()),
        NodeKind::WindowRank(r) => Some(format!("the first {} rows per window and key, until its end", r.last)),
        NodeKind::WindowJoin(_) => Some("the rows of both sides per window, until its end".into()),
        NodeKind::OverAggregate(o) => Some(match o.frame {
            OverFrame::Rows(Some(n)) => format!("the last {n} rows per key, and rows ahead of the watermark"),
            OverFrame::Range(Some(ms)) => format!("rows of the last {ms} ms per key, and rows ahead of the watermark"),
            _ => "accumulators per key for ever, and rows ahead of the watermark".into(),
        }),
        NodeKind::Source(_) => Some("next offset and watermark per partition".into()),
        NodeKind::Calc(_) | NodeKind::Unnest(_) | NodeKind::ConstantJoin(_) | NodeKind::WindowAssign(_) => None,
        NodeKind::Union | NodeKind::Sink(_) => None,
    }
}
/// A plan on its way to text.
struct Tree<'a> {
    plan: &'a StreamPlan,
    /// Columns have their names where the plan has places.
    named: bool,
    /// Nodes written already.
    seen: Vec<bool>,
    text: String,
}

impl Tree<'_> {
    fn sinks(&mut self) {
        let plan = self.plan;
        for (id, _) in plan.sinks() {
            self.node(id, 0);
        }
    }

    fn node(&mut self, id: NodeId, depth: usize) {
        let plan = self.plan;
        let node: &Node = &plan.nodes[id];
        let shared = self.plan.consumers(id).count() > 1;
        let indent = "  ".repeat(depth);
        if shared && self.seen[id] {
            self.text += &format!("{indent}#{id} (as above)\n");
            return;
        }
        self.seen[id] = true;
        let mark = if shared { format!("#{id} ") } else { String::new() };
        let columns = node.inputs.first().map(|input| &self.plan.nodes[*input].schema);
        let line = node.kind.to_string();
        let line = match columns.filter(|_| self.named) {
            Some(columns) => with_names(&line, columns),
            None => line,
        };
        self.text += &format!("{indent}{mark}{line}\n");
        if let Some(state) = state_of(&node.kind) {
            self.text += &format!("{indent}  · state: {state}\n");
        }
        if let NodeKind::Source(s) = &node.kind {
            let idle = s.watermark.as_ref().and_then(|w| w.idle_timeout);
            if s.watermark.is_some() {
                let idle = idle.map_or_else(|| "never idle".into(), |d| format!("idle after {d:?}"));
                self.text += &format!("{indent}  · watermark: per partition, minimum over partitions, {idle}\n");
            }
        }
        if let Some(exchange) = self.plan.exchange(id) {
            self.text += &format!("{indent}  ⇄ exchange: {exchange}\n");
        }
        for input in &node.inputs {
            self.node(*input, depth + 1);
        }
    }
}
