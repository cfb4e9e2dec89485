//! What Flink SQL has and this engine has not (yet), refused by name, at its place, before planning:
//! DataFusion would plan some of it with another meaning (`FOR SYSTEM_TIME AS OF` as a plain join).

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, TableAlias,
    TableFactor, TableWithJoins, Visit, Visitor, WindowType, visit_relations,
};

use crate::error::{Error, Span};
use crate::functions;
use crate::sql::parser::names;
use crate::sql::places::{from_parser, span_of};
use crate::sql::planner::calls::{self, Clause};
use crate::sql::planner::window_call::is_window_function;
use crate::sql::planner::{forms, frame};
use crate::sql::registry::Registry;

/// Nesting of one expression; far above what people write, far below what could hurt.
const EXPRESSION_DEPTH_MAX: usize = 500;

/// Words of a query that has no end: what needs all rows cannot be answered.
const ENDLESS: &str = "the rows of a stream have no end: write them to a table and query that with \"streamer sql\"";

/// All refusals of a query on streams.
pub(crate) fn query(query: &Query, registry: &Registry) -> Vec<Error> {
    let mut refusals = Refusals { registry, errors: Vec::new() };
    refusals.query(query);
    refusals.errors
}

/// All refusals of an expression (computed column, watermark).
pub(crate) fn expression(expr: &Expr, registry: &Registry) -> Vec<Error> {
    let mut refusals = Refusals { registry, errors: Vec::new() };
    refusals.expressions(expr, Clause::Other);
    refusals.errors
}

/// Unknown functions only: an ad-hoc query over bounded tables may use all of SQL.
pub(crate) fn unknown_functions<V: Visit>(syntax: &V, registry: &Registry) -> Vec<Error> {
    let mut expressions =
        Expressions { registry, clause: Clause::Other, queries: 0, depth: 0, inside_queries: true, errors: Vec::new() };
    if let ControlFlow::Break(error) = syntax.visit(&mut expressions) {
        expressions.errors.push(error);
    }
    expressions.errors
}

struct Refusals<'a> {
    registry: &'a Registry,
    errors: Vec<Error>,
}

impl Refusals<'_> {
    /// What Flink has.
    fn refuse(&mut self, what: &str, place: Option<Span>, hint: impl Into<String>) {
        self.foreign(what, place, hint);
        if let Some(error) = self.errors.pop() {
            self.errors.push(error.unsupported());
        }
    }

    /// What Flink has not.
    fn foreign(&mut self, what: &str, place: Option<Span>, hint: impl Into<String>) {
        self.errors.push(Error::sql(format!("{what} is not supported on streams")).or_at(place).hint(hint));
    }

    fn expressions<V: Visit>(&mut self, syntax: &V, clause: Clause) {
        let mut expressions = Expressions {
            registry: self.registry,
            clause,
            queries: 0,
            depth: 0,
            inside_queries: false,
            errors: Vec::new(),
        };
        if let ControlFlow::Break(error) = syntax.visit(&mut expressions) {
            expressions.errors.push(error);
        }
        self.errors.append(&mut expressions.errors);
    }

    fn query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            if with.recursive {
                self.refuse("WITH RECURSIVE", span_of(with), "write the steps as views");
            }
            for cte in &with.cte_tables {
                self.alias(Some(&cte.alias));
                self.query(&cte.query);
            }
        }
        if let Some(limit) = &query.limit_clause {
            self.refuse("LIMIT", span_of(limit), ENDLESS);
        }
        if let Some(fetch) = &query.fetch {
            self.refuse("FETCH", fetch.quantity.as_ref().and_then(span_of), ENDLESS);
        }
        if !query.locks.is_empty() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            self.foreign("this clause at the end of a query", span_of(query), "leave it out");
        }
        self.set_expr(&query.body);
    }

    fn set_expr(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let all = *set_quantifier == SetQuantifier::All;
                if *op != SetOperator::Union || !all {
                    let name = if all { format!("{op} ALL") } else { op.to_string() };
                    let hint = if *op == SetOperator::Union {
                        "use UNION ALL: removing repeated rows needs all rows ever seen"
                    } else {
                        ENDLESS
                    };
                    self.refuse(&name, span_of(right.as_ref()), hint);
                }
                self.set_expr(left);
                self.set_expr(right);
            }
            SetExpr::Values(values) => self.expressions(values, Clause::Other),
            other => self.foreign("this form of query", span_of(other), "write SELECT … FROM …"),
        }
    }

    fn select(&mut self, select: &Select) {
        if select.top.is_some() {
            let place = select.projection.first().and_then(span_of);
            self.foreign("TOP", place, ENDLESS);
        }
        self.expressions(&select.qualify, Clause::Other);
        self.names(&select.projection);
        self.foreign_clauses(select);
        if let GroupByExpr::All(_) = &select.group_by {
            self.foreign("GROUP BY ALL", None, "list the columns");
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by
            && keys.iter().any(|key| matches!(key, Expr::Tuple(members) if members.is_empty()))
        {
            let place = select.projection.first().and_then(span_of);
            let error = Error::sql("GROUP BY () is an aggregate without a window, which is not supported yet");
            self.errors.push(error.or_at(place).hint("group by window_start, window_end of TABLE(TUMBLE(…))"));
        }
        self.expressions(&select.projection, Clause::Other);
        self.expressions(&select.selection, Clause::Where);
        self.expressions(&select.group_by, Clause::GroupBy);
        self.expressions(&select.having, Clause::Other);
        for table in &select.from {
            self.table_with_joins(table);
        }
    }

    /// Clauses of other dialects, which the parser reads and nobody plans.
    fn foreign_clauses(&mut self, select: &Select) {
        let clauses = [
            ("LATERAL VIEW", !select.lateral_views.is_empty()),
            ("CONNECT BY", !select.connect_by.is_empty()),
            ("PREWHERE", select.prewhere.is_some()),
            ("SELECT … INTO", select.into.is_some()),
            ("EXCLUDE", select.exclude.is_some()),
            ("CLUSTER BY", !select.cluster_by.is_empty()),
            ("DISTRIBUTE BY", !select.distribute_by.is_empty()),
            ("SORT BY", !select.sort_by.is_empty()),
            ("SELECT AS", select.value_table_mode.is_some()),
        ];
        for (name, _) in clauses.into_iter().filter(|(_, written)| *written) {
            self.foreign(name, span_of(select), "it is no Flink SQL: write the query with FROM, WHERE and GROUP BY");
        }
    }

    /// Names of columns that are written as texts, or are words of SQL.
    fn names(&mut self, columns: &[SelectItem]) {
        for column in columns {
            let SelectItem::ExprWithAlias { expr, alias } = column else { continue };
            if alias.quote_style == Some('\'') {
                let error = Error::sql(format!("{alias} behind {expr} is a text, and a name is expected"));
                let hint = format!("a name stands in back-ticks: `{}`", alias.value);
                self.errors.push(error.or_at(from_parser(alias.span)).or_at(span_of(expr)).hint(hint));
            }
            self.errors.extend(given(alias));
        }
    }

    fn table_with_joins(&mut self, table: &TableWithJoins) {
        self.factor(&table.relation);
        for join in &table.joins {
            self.factor(&join.relation);
            self.expressions(&join.join_operator, Clause::Other);
        }
    }

    fn factor(&mut self, factor: &TableFactor) {
        let place = span_of(factor);
        self.alias(alias_of(factor));
        match factor {
            TableFactor::Table { version: Some(_), .. } => self.refuse(
                "FOR SYSTEM_TIME AS OF (a temporal or lookup join)",
                place,
                "join after the engine, in the database that has the table",
            ),
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                self.refuse("TABLESAMPLE", place, "filter with WHERE");
            }
            TableFactor::Table { with_hints, partitions, index_hints, json_path, with_ordinality, .. }
                if !with_hints.is_empty()
                    || !partitions.is_empty()
                    || !index_hints.is_empty()
                    || json_path.is_some()
                    || *with_ordinality =>
            {
                self.foreign(
                    "what stands behind the name of the table",
                    place,
                    "options are given as /*+ OPTIONS('key' = 'value') */, partitions are chosen with WHERE",
                );
            }
            TableFactor::Table { args: Some(args), .. } => self.window_args(&args.args),
            TableFactor::TableFunction { expr: Expr::Function(f), .. } => {
                if let ast::FunctionArguments::List(list) = &f.args {
                    self.window_args(&list.args);
                }
            }
            TableFactor::Derived { lateral: true, .. } | TableFactor::Function { .. } => {
                self.refuse("LATERAL", place, "call a scalar function in SELECT instead");
            }
            TableFactor::Derived { subquery, .. } => self.query(subquery),
            TableFactor::UNNEST { array_exprs, .. } => self.expressions(array_exprs, Clause::Other),
            TableFactor::MatchRecognize { .. } => {
                self.refuse("MATCH_RECOGNIZE", place, "compare a row with those before it by an OVER aggregate");
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.table_with_joins(table_with_joins),
            TableFactor::Table { .. } => {}
            _ => self.foreign("this form of table", place, "read from a table, a view or (SELECT …)"),
        }
    }

    /// The name that FROM or WITH gives to rows, and the names of their columns.
    fn alias(&mut self, alias: Option<&TableAlias>) {
        let Some(alias) = alias else { return };
        let names = std::iter::once(&alias.name).chain(alias.columns.iter().map(|column| &column.name));
        self.errors.extend(names.filter_map(given));
    }

    fn window_args(&mut self, args: &[ast::FunctionArg]) {
        for arg in args {
            let (ast::FunctionArg::Unnamed(value)
            | ast::FunctionArg::Named { arg: value, .. }
            | ast::FunctionArg::ExprNamed { arg: value, .. }) = arg;
            match value {
                ast::FunctionArgExpr::Expr(Expr::Subquery(query)) => self.query(query),
                // a group window has put it there
                ast::FunctionArgExpr::Expr(Expr::Function(table)) => {
                    if let ast::FunctionArguments::List(list) = &table.args {
                        self.window_args(&list.args);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The name that FROM gives to a table.
fn alias_of(factor: &TableFactor) -> Option<&TableAlias> {
    match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => alias.as_ref(),
        _ => None,
    }
}

/// Functions and subqueries inside expressions.
struct Expressions<'a> {
    registry: &'a Registry,
    /// Names that WINDOW declares.
    /// The clause that all expressions stand in.
    clause: Clause,
    /// Queries around the current place: what is inside is checked as a query of its own.
    queries: usize,
    depth: usize,
    inside_queries: bool,
    errors: Vec<Error>,
}

impl Visitor for Expressions<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<Error> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<Error> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            // no place: finding it would walk the same depth again
            return ControlFlow::Break(
                Error::sql(format!("an expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels"))
                    .hint("split it over several views"),
            );
        }
        if self.queries == 0 || self.inside_queries {
            self.expr(expr);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Whether a query names tables; one of constants is a list of values.
fn reads_tables(query: &Query) -> bool {
    visit_relations(query, |_| ControlFlow::Break(())).is_break()
}

/// A word of SQL where a name is given.
fn given(name: &ast::Ident) -> Option<Error> {
    let place = from_parser(name.span).filter(|_| name.quote_style.is_none() && names::is_reserved(&name.value))?;
    Some(names::reserved(&name.value).at(place))
}

/// A word of SQL where a column is named.
fn reserved(name: &ast::Ident) -> Option<Error> {
    let place = from_parser(name.span).filter(|_| name.quote_style.is_none() && names::is_no_column(&name.value))?;
    Some(names::reserved(&name.value).at(place))
}

impl Expressions<'_> {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::Identifier(name) => self.name(name),
            Expr::CompoundIdentifier(parts) => parts.iter().for_each(|part| self.name(part)),
            Expr::Subquery(_) if !self.inside_queries && !self.is_told(expr) => {
                self.subquery("a scalar subquery", expr)
            }
            Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. }
                if !self.inside_queries && self.clause != Clause::Where && reads_tables(subquery) =>
            {
                self.errors.push(
                    Error::sql("EXISTS and IN (SELECT …) are possible in WHERE only")
                        .unsupported()
                        .or_at(span_of(expr))
                        .hint("write the condition into WHERE, in a query for each of its answers"),
                );
            }
            other => self.errors.extend(forms::refused(other)),
        }
    }

    /// Whether an error stands at the place of a subquery: that of the comparison it belongs to.
    fn is_told(&self, subquery: &Expr) -> bool {
        let place = span_of(subquery);
        place.is_some() && self.errors.iter().any(|error| error.span() == place)
    }

    fn subquery<T: Spanned>(&mut self, what: &str, node: &T) {
        self.errors.push(
            Error::sql(format!("{what} is not supported on streams"))
                .unsupported()
                .or_at(span_of(node))
                .hint("write the condition with columns of the same row"),
        );
    }

    fn function(&mut self, function: &ast::Function) {
        // back-ticks around a function's name mean nothing
        let name = function.name.to_string().replace('`', "");
        let upper = name.to_uppercase();
        let place = span_of(&function.name).or_else(|| span_of(function));
        if !self.inside_queries
            && let Some(error) = calls::misplaced(function, &upper, self.clause, self.registry, place)
        {
            self.errors.push(error);
            return;
        }
        self.errors.extend(calls::wrong_arguments(function, &upper, place));
        self.errors.extend(calls::foreign_clause(function, &upper, place));
        if let Some(WindowType::WindowSpec(spec)) = &function.over
            && !self.inside_queries
        {
            // Top-N of a window may have any order
            if !matches!(upper.as_str(), "ROW_NUMBER" | "RANK" | "DENSE_RANK") {
                self.errors.extend(frame::over(spec, place));
            }
            if !self.registry.is_aggregate(&name) && !matches!(&upper[..], "PROCTIME") {
                self.over_function(&upper, place);
                return;
            }
        }
        if upper == "COUNT"
            && let ast::FunctionArguments::List(list) = &function.args
            && let (Some(ast::DuplicateTreatment::Distinct), [_, second, ..]) =
                (list.duplicate_treatment, &list.args[..])
        {
            let error = Error::sql("COUNT(DISTINCT …) takes one column").or_at(span_of(second).or(place));
            self.errors.push(error.hint("write COUNT(DISTINCT CONCAT_WS('|', a, b)) for texts"));
        }
        if ["__TABLE_ARG", "DESCRIPTOR"].contains(&upper.as_str()) || self.registry.knows(&name) {
            return;
        }
        if matches!(function.args, ast::FunctionArguments::None) {
            // USER, SESSION_USER … are functions without parentheses to the parser
            let error = Error::sql(format!("\"{name}\" is a word of SQL, and no function here")).or_at(place);
            self.errors.push(match unsupported_function(&upper, place) {
                Some(known) => known,
                None => {
                    let word = name.rsplit('.').next().unwrap_or(&name);
                    error.hint(format!("a column of that name is written in back-ticks: `{word}`"))
                }
            });
            return;
        }
        let error = Error::sql(match upper.as_str() {
            "PROCTIME" => "PROCTIME() is not supported in a query".to_owned(),
            _ if is_window_function(&upper) => format!("{upper} in GROUP BY or SELECT is not supported"),
            _ if group_window_part(&upper) => format!("{upper} is not supported"),
            _ => format!("unknown function \"{name}\""),
        })
        .or_at(place);
        self.errors.push(match upper.as_str() {
            "PROCTIME" => error
                .detail("A row is stamped where it is read.")
                .hint("declare a column in CREATE TABLE: proc AS PROCTIME()"),
            _ if is_window_function(&upper) => error.hint(format!(
                "write FROM TABLE({upper}(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) … GROUP BY window_start, window_end"
            )),
            _ if group_window_part(&upper) => {
                error.hint("use the columns window_start, window_end and window_time of FROM TABLE(TUMBLE(…))")
            }
            _ => unsupported_function(&upper, place).unwrap_or_else(|| {
                match functions::FOREIGN.iter().find(|(foreign, _)| *foreign == upper) {
                    Some((_, flink)) => error.hint(format!("Flink has for it: {flink}")),
                    None => error.missing(&name).nearest(&name, functions::names()),
                }
            }),
        });
    }

    /// A word that Flink reads as a name only in back-ticks; ad-hoc queries, which no Flink will see, may do without.
    /// What has no place was not written by anybody.
    fn name(&mut self, name: &ast::Ident) {
        if !self.inside_queries {
            self.errors.extend(reserved(name));
        }
    }

    fn over_function(&mut self, upper: &str, place: Option<Span>) {
        if let Some(error) = unsupported_function(upper, place) {
            self.errors.push(error);
            return;
        }
        let error = Error::sql(format!("{upper} with OVER is not supported on streams yet")).or_at(place);
        self.errors.push(if self.registry.knows(upper) {
            error.hint("only aggregates can be used with OVER")
        } else {
            error.hint("OVER takes aggregates: COUNT, SUM, AVG, MIN, MAX, STDDEV_POP, …")
        });
    }
}

/// The reason why a function of Flink is not supported.
fn unsupported_function(upper: &str, place: Option<Span>) -> Option<Error> {
    let (_, why) = functions::UNSUPPORTED.iter().find(|(name, _)| *name == upper)?;
    let why = if why.is_empty() { " yet".to_owned() } else { format!(": {why}") };
    Some(Error::sql(format!("function {upper} is not supported{why}")).unsupported().or_at(place))
}

/// `TUMBLE_START` and the like.
fn group_window_part(upper: &str) -> bool {
    upper.split_once('_').is_some_and(|(window, part)| {
        is_window_function(window) && ["START", "END", "ROWTIME", "PROCTIME"].contains(&part)
    })
}

/// Place of the `GROUP BY` of the select that aggregates, or of `ORDER BY`, for errors found after planning.
pub(crate) fn clause_place(query: &Query) -> Option<Span> {
    let mut found = Groups(None);
    let ControlFlow::Continue(()) = query.visit(&mut found);
    found.0.or_else(|| query.order_by.as_ref().and_then(span_of))
}

struct Groups(Option<Span>);

impl Visitor for Groups {
    type Break = Infallible;

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<Infallible> {
        if self.0.is_none()
            && let GroupByExpr::Expressions(exprs, _) = &select.group_by
            && let (Some(first), Some(last)) = (exprs.first(), exprs.last())
        {
            self.0 = span_of(first).zip(span_of(last)).map(|(first, last)| first.to(last));
        }
        ControlFlow::Continue(())
    }
}

/// Names of tables given to window functions (`TABLE t`), which are no relations to sqlparser.
pub(crate) struct TableArguments(pub(crate) Vec<ast::ObjectName>);

impl TableArguments {
    /// Adds those of a query.
    pub(crate) fn collect(&mut self, query: &Query) {
        let ControlFlow::Continue(()) = query.visit(self);
    }
}

impl Visitor for TableArguments {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        if let Expr::Function(function) = expr
            && function.name.to_string() == "__table_arg"
            && let ast::FunctionArguments::List(list) = &function.args
            && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(table))) = list.args.first()
            && matches!(table, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            self.0.extend(match table {
                Expr::Identifier(name) => Some(ast::ObjectName::from(vec![name.clone()])),
                Expr::CompoundIdentifier(parts) => Some(ast::ObjectName::from(parts.clone())),
                _ => None,
            });
        }
        ControlFlow::Continue(())
    }
}
