//! Names of the columns of a SELECT: for those without one, and where two would have the same.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{self, Ident, SelectItem, Value};

/// Gives the second `a` of `SELECT x AS a, y AS a` the name `a0`, in the outermost SELECT: only there Flink does. Returns the
/// names that were given twice.
///
/// With an ORDER BY that reads what SELECT does not give, it counts from the column's place, as Calcite does for the
/// columns it adds.
pub(crate) fn tell_apart(query: &mut ast::Query) -> Vec<Ident> {
    let hidden = orders_by_more(query);
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return Vec::new() };
    let (mut seen, mut twice) = (HashSet::new(), Vec::new());
    for (place, item) in select.projection.iter_mut().enumerate() {
        let from = if hidden { place } else { 0 };
        match item {
            SelectItem::ExprWithAlias { alias, .. } if seen.contains(&alias.value) => {
                twice.push(alias.clone());
                alias.value = unused(&alias.value, from, &mut seen);
            }
            SelectItem::UnnamedExpr(ast::Expr::Identifier(name)) if seen.contains(&name.value) => {
                twice.push(name.clone());
                let alias = Ident::new(unused(&name.value, from, &mut seen));
                let expr = ast::Expr::Identifier(name.clone());
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            SelectItem::ExprWithAlias { alias: name, .. } | SelectItem::UnnamedExpr(ast::Expr::Identifier(name)) => {
                seen.insert(name.value.clone());
            }
            _ => {}
        }
    }
    twice
}

/// Whether ORDER BY names a column that SELECT does not give.
fn orders_by_more(query: &ast::Query) -> bool {
    let (ast::SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &query.order_by) else { return false };
    let ast::OrderByKind::Expressions(keys) = &order.kind else { return false };
    let given = |key: &ast::Expr| {
        select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(expr) => expr == key,
            SelectItem::ExprWithAlias { expr, alias } => {
                expr == key || matches!(key, ast::Expr::Identifier(name) if name.value == alias.value)
            }
            _ => true,
        })
    };
    keys.iter().any(|key| !given(&key.expr))
}

/// Gives columns without a name the name Flink gives them: `EXPR$0` by place, and `a0` for a second `a`.
pub(super) fn name_columns(items: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for (i, item) in items.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                seen.insert(alias.value.clone());
                continue;
            }
            SelectItem::UnnamedExpr(expr) => match expr {
                ast::Expr::Identifier(ident) if seen.insert(ident.value.clone()) => continue,
                ast::Expr::Identifier(ident) => {
                    let name = unused(&ident.value, 0, &mut seen);
                    (expr, name)
                }
                ast::Expr::CompoundIdentifier(idents) => {
                    let last = idents.last().map(|ident| ident.value.clone()).unwrap_or_default();
                    let name = if seen.insert(last.clone()) { last } else { unused(&last, 0, &mut seen) };
                    (expr, name)
                }
                _ => (expr, format!("EXPR${i}")),
            },
            _ => continue,
        };
        let placeholder = ast::Expr::value(Value::Null);
        *item = SelectItem::ExprWithAlias { expr: std::mem::replace(expr, placeholder), alias: Ident::new(name) };
    }
}

/// The name with the first number, counted from `from`, that makes it another.
fn unused(name: &str, from: usize, seen: &mut HashSet<String>) -> String {
    let free = (from..).map(|n| format!("{name}{n}")).find(|candidate| !seen.contains(candidate));
    let free = free.unwrap_or_else(|| name.to_owned());
    seen.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// The names that Flink 2.3 shows for the columns.
    #[test]
    fn names_that_are_given_twice() {
        for (query, names) in [
            ("SELECT id AS a, k AS a FROM t", "a a0"),
            ("SELECT id AS a, k AS a, d AS a FROM t ORDER BY ts, d", "a a1 a2"),
            ("SELECT id AS b, ts AS a, d AS a FROM t ORDER BY ts", "b a a0"),
            ("SELECT id AS a, ts AS a, d AS a FROM t ORDER BY ts", "a a0 a1"),
            ("SELECT id, id FROM t ORDER BY ts", "id id1"),
            ("SELECT id, id FROM t", "id id0"),
            ("SELECT id, id, k AS id FROM t", "id id0 id1"),
            ("SELECT id, d AS id FROM t ORDER BY ts", "id id1"),
            ("SELECT id, d + 1, t.id FROM t", "id EXPR$1 id0"),
        ] {
            let mut query_syntax = Parser::new(&GenericDialect {}).try_with_sql(query).unwrap().parse_query().unwrap();
            tell_apart(&mut query_syntax);
            let ast::SetExpr::Select(select) = query_syntax.body.as_mut() else { panic!("no SELECT: {query}") };
            name_columns(&mut select.projection);
            let given = select.projection.iter().map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
                other => other.to_string(),
            });
            assert_eq!(given.collect::<Vec<_>>().join(" "), names, "{query}");
        }
    }
}
