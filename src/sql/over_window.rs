//! Named windows of OVER spelt out, on syntax: `OVER w`, `OVER (w ORDER BY ts)` and `WINDOW w2 AS (w ORDER BY ts)` become the
//! windows they stand for, so that nothing behind knows of names.
//!
//! # Source
//! SQL:2016, "window clause": a window that refines another adds an order or a frame, and has no `PARTITION BY`. Flink 2.3
//! forgets such a frame: it is refused.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, NamedWindowExpr, VisitMut, VisitorMut, WindowSpec, WindowType,
};

use crate::error::Error;
use crate::sql::places::from_parser;

/// Spells out every named window of a query. A second time it finds nothing to do.
///
/// # Errors
/// `Sql` for a window that is not declared, or that repeats what the one it refines has.
pub(crate) fn spell_out(query: &mut ast::Query) -> Vec<Error> {
    let mut selects = Selects(Vec::new());
    let ControlFlow::Continue(()) = query.visit(&mut selects);
    selects.0
}

struct Selects(Vec<Error>);

impl VisitorMut for Selects {
    type Break = Infallible;

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Infallible> {
        let mut windows = Windows { declared: BTreeMap::new(), depth: 0, errors: &mut self.0 };
        for window in std::mem::take(&mut select.named_window) {
            windows.declare(window);
        }
        select.projection.visit(&mut windows)?;
        select.qualify.visit(&mut windows)
    }
}

/// The windows of one SELECT, and what is wrong with them.
struct Windows<'a> {
    declared: BTreeMap<String, Option<WindowSpec>>,
    /// Queries around the expression, which have windows of their own.
    depth: usize,
    errors: &'a mut Vec<Error>,
}

impl Windows<'_> {
    fn declare(&mut self, ast::NamedWindowDefinition(name, window): ast::NamedWindowDefinition) {
        let spec = match window {
            NamedWindowExpr::NamedWindow(base) => self.named(&base),
            NamedWindowExpr::WindowSpec(spec) => self.full(spec),
        };
        // `None` is what refines nothing there is: told, and not told again where it is used
        self.declared.insert(name.value, spec);
    }

    /// The window of a name, if there is one.
    fn named(&mut self, name: &Ident) -> Option<WindowSpec> {
        if let Some(spec) = self.declared.get(&name.value) {
            return spec.clone();
        }
        let names = self.declared.keys().map(String::as_str);
        let hint = format!("write WINDOW {} AS (PARTITION BY k ORDER BY ts) at the end of the SELECT", name.value);
        let error = Error::sql(format!("window \"{}\" is not declared", name.value)).or_at(from_parser(name.span));
        let error = error.hint(hint).nearest(&name.value, names);
        self.errors.push(error);
        None
    }

    /// A window with what the one it refines has.
    fn full(&mut self, mut spec: WindowSpec) -> Option<WindowSpec> {
        let Some(name) = spec.window_name.take() else { return Some(spec) };
        let base = self.named(&name)?;
        let place = from_parser(name.span);
        let mut refuse = |what: &str, hint: &str| {
            let error = Error::sql(format!("a window that refines \"{}\" {what}", name.value)).or_at(place);
            self.errors.push(error.hint(hint));
        };
        if !spec.partition_by.is_empty() {
            refuse("has no PARTITION BY of its own", "leave it out, or write the whole window");
        }
        if !spec.order_by.is_empty() && !base.order_by.is_empty() {
            refuse("has no second ORDER BY", "leave it out, or write the whole window");
        }
        if base.window_frame.is_some() {
            refuse(
                "cannot do so, for that has a frame",
                "write OVER and the name without parentheses, or the whole window",
            );
        }
        if spec.window_frame.is_some() {
            refuse("can have no frame: Flink would forget it", "write the whole window, or declare it with the frame");
        }
        spec.partition_by = base.partition_by;
        if spec.order_by.is_empty() {
            spec.order_by = base.order_by;
        }
        Some(spec)
    }
}

impl VisitorMut for Windows<'_> {
    type Break = Infallible;

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<Infallible> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<Infallible> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::Function(function) = expr
            && self.depth == 0
        {
            let spec = match function.over.take() {
                Some(WindowType::NamedWindow(name)) => self.named(&name),
                Some(WindowType::WindowSpec(spec)) => self.full(spec),
                None => None,
            };
            function.over = spec.map(WindowType::WindowSpec);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parser::{ast::StatementKind, parse_script};

    fn spelt(sql: &str) -> (String, Vec<String>) {
        let (statements, errors) = parse_script(&format!("{sql};"), &|_| None);
        let [statement] = &statements[..] else { panic!("{sql}: {errors:?}") };
        let StatementKind::Query(query) = &statement.kind else { panic!("{sql}") };
        let mut query = query.clone();
        let errors = spell_out(&mut query);
        (query.to_string(), errors.iter().map(|error| error.message().to_owned()).collect())
    }

    #[test]
    fn a_window_has_what_the_one_it_refines_has() {
        let sql = "SELECT SUM(n) OVER (w ORDER BY ts), LAG(n) OVER v, 1 + COUNT(*) OVER (v) FROM r \
                   WINDOW w AS (PARTITION BY k), v AS (w ORDER BY t2) QUALIFY ROW_NUMBER() OVER v = 1";
        let (query, errors) = spelt(sql);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(
            query,
            "SELECT SUM(n) OVER (PARTITION BY k ORDER BY ts), LAG(n) OVER (PARTITION BY k ORDER BY t2), \
             1 + COUNT(*) OVER (PARTITION BY k ORDER BY t2) FROM r \
             QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY t2) = 1"
        );
    }

    #[test]
    fn a_subquery_has_windows_of_its_own() {
        let (query, errors) =
            spelt("SELECT n FROM (SELECT LAG(n) OVER w AS n FROM r WINDOW w AS (ORDER BY a)) WINDOW w AS (ORDER BY b)");
        assert!(query.contains("LAG(n) OVER (ORDER BY a)") && errors.is_empty(), "{query} {errors:?}");
    }

    #[test]
    fn what_is_not_declared_or_said_twice_is_told_once() {
        assert_eq!(
            spelt("SELECT LAG(n) OVER v, LAG(m) OVER u FROM r WINDOW v AS (w ORDER BY ts), u AS (v)").1,
            ["window \"w\" is not declared"]
        );
        let refined = |window: &str| {
            spelt(&format!(
                "SELECT LAG(n) OVER ({window}) FROM r WINDOW w AS (PARTITION BY k ORDER BY ts ROWS 1 PRECEDING)"
            ))
            .1
        };
        assert_eq!(refined("w PARTITION BY a ORDER BY b").len(), 3);
        assert_eq!(spelt("SELECT LAG(n) OVER (w ROWS 2 PRECEDING) FROM r WINDOW w AS (ORDER BY ts)").1.len(), 1);
        assert_eq!(refined("w"), ["a window that refines \"w\" cannot do so, for that has a frame"]);
    }
}
