//! `x = ANY (a, b)`, `SOME` and `ALL` over a list of values: the comparisons that they stand for, with OR or AND between
//! them, so that a NULL counts as it does in any condition. `(a, b) IN (SELECT …)`: the EXISTS that it stands for.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Query, SetExpr, TableFactor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::Error;
use crate::sql::places::span_of;

/// Replaces a comparison with the values of a list. `= ANY` is `IN` and `<> ALL` is `NOT IN`, with their rules of types.
pub(super) fn spell_out(expr: &mut Expr) {
    let (left, op, right, all) = match &*expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, false),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, true),
        _ => return,
    };
    let Expr::Tuple(list) = right.as_ref() else { return };
    *expr = match (op, all) {
        (BinaryOperator::Eq, false) | (BinaryOperator::NotEq, true) => {
            Expr::InList { expr: left.clone(), list: list.clone(), negated: all }
        }
        _ => Expr::Nested(Box::new(each(left, op, list, all))),
    };
}

/// Replaces `(a, b) IN (SELECT x, y …)` by EXISTS over that subquery, whose columns get names that no query has.
///
/// # Errors
/// `Sql` for `NOT IN`, in which a NULL would count otherwise.
pub(super) fn rows_in(expr: &mut Expr) -> Option<Error> {
    let Expr::InSubquery { expr: row, subquery, negated } = &mut *expr else { return None };
    let Expr::Tuple(values) = row.as_ref() else { return None };
    if *negated {
        let error =
            Error::sql("(…) NOT IN (SELECT …) is not supported for several columns").or_at(span_of(row.as_ref()));
        return Some(error.hint("write NOT EXISTS (SELECT * … WHERE l.a = r.a AND l.b = r.b)"));
    }
    let columns: Vec<String> = (0..values.len()).map(|i| format!("$in_{i}")).collect();
    let equal = values.iter().zip(&columns).map(|(value, column)| Expr::BinaryOp {
        left: Box::new(value.clone()),
        op: BinaryOperator::Eq,
        right: Box::new(Expr::Identifier(Ident::with_quote('"', column))),
    });
    let all = equal.reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    });
    *expr = Expr::Exists { subquery: Box::new(renamed(subquery, &columns, all)?), negated: false };
    None
}

/// `SELECT 1 FROM (rows) AS "$in" (columns) WHERE condition`.
fn renamed(rows: &Query, columns: &[String], condition: Option<Expr>) -> Option<Query> {
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let text = format!("SELECT 1 FROM (SELECT 1) AS \"$in\" ({})", quoted.join(", "));
    let mut query = *Parser::new(&GenericDialect {}).try_with_sql(&text).and_then(|mut p| p.parse_query()).ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation {
        **subquery = rows.clone();
    }
    select.selection = condition;
    Some(query)
}

/// The halves of the list on both sides: a list of a thousand values is ten deep.
fn each(left: &Expr, op: &BinaryOperator, list: &[Expr], all: bool) -> Expr {
    let (one, other) = match list {
        [] => return Expr::Tuple(Vec::new()),
        [value] => {
            let (left, right) = (Box::new(left.clone()), Box::new(value.clone()));
            return Expr::BinaryOp { left, op: op.clone(), right };
        }
        more => more.split_at(more.len() / 2),
    };
    let joined = if all { BinaryOperator::And } else { BinaryOperator::Or };
    let side = |half| Box::new(each(left, op, half, all));
    Expr::BinaryOp { left: side(one), op: joined, right: side(other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::ast::Ident;

    fn spelt_out(op: BinaryOperator, all: bool) -> String {
        let left = Box::new(Expr::Identifier(Ident::new("x")));
        let values = ["a", "b", "c"].map(|name| Expr::Identifier(Ident::new(name))).to_vec();
        let right = Box::new(Expr::Tuple(values));
        let mut expr = match all {
            true => Expr::AllOp { left, compare_op: op, right },
            false => Expr::AnyOp { left, compare_op: op, right, is_some: false },
        };
        spell_out(&mut expr);
        expr.to_string()
    }

    #[test]
    fn rows_of_a_subquery_are_compared_one_by_one() {
        let of = |text: &str| Parser::new(&GenericDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
        let mut expr = of("(a, b) IN (SELECT x, y FROM t)");
        assert!(rows_in(&mut expr).is_none());
        let rows = r#"SELECT 1 FROM (SELECT x, y FROM t) AS "$in" ("$in_0", "$in_1")"#;
        assert_eq!(expr.to_string(), format!(r#"EXISTS ({rows} WHERE a = "$in_0" AND b = "$in_1")"#));
        assert!(rows_in(&mut of("(a, b) NOT IN (SELECT x, y FROM t)")).is_some());
        assert!(rows_in(&mut of("a NOT IN (SELECT x FROM t)")).is_none());
    }

    #[test]
    fn each_value_is_compared() {
        assert_eq!(spelt_out(BinaryOperator::Eq, false), "x IN (a, b, c)");
        assert_eq!(spelt_out(BinaryOperator::NotEq, true), "x NOT IN (a, b, c)");
        assert_eq!(spelt_out(BinaryOperator::NotEq, false), "(x <> a OR x <> b OR x <> c)");
        assert_eq!(spelt_out(BinaryOperator::GtEq, true), "(x >= a AND x >= b AND x >= c)");
    }
}
