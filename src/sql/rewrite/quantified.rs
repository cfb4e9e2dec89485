//! `x = ANY (a, b)`, `SOME` and `ALL` over a list of values: the comparisons that they stand for, with OR or AND between
//! them, so that a NULL counts as it does in any condition.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

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
    fn each_value_is_compared() {
        assert_eq!(spelt_out(BinaryOperator::Eq, false), "x IN (a, b, c)");
        assert_eq!(spelt_out(BinaryOperator::NotEq, true), "x NOT IN (a, b, c)");
        assert_eq!(spelt_out(BinaryOperator::NotEq, false), "(x <> a OR x <> b OR x <> c)");
        assert_eq!(spelt_out(BinaryOperator::GtEq, true), "(x >= a AND x >= b AND x >= c)");
    }
}
