//! Where syntax and columns stand in the script.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::Spanned;
use datafusion::sql::sqlparser::tokenizer;

use crate::error::Span;

/// Where a piece of syntax stands, if the parser kept it.
pub(crate) fn span_of<T: Spanned>(node: &T) -> Option<Span> {
    from_parser(node.span())
}

/// The place of the columns in expressions, from the first to the last.
pub(crate) fn span_of_columns<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Span> {
    let mut found: Option<Span> = None;
    for expr in exprs {
        // the closure never fails, so neither does the walk
        drop(expr.apply(|e| {
            if let Expr::Column(column) = e
                && let Some(span) = column.spans.first()
            {
                let (from, to) = (span.start, span.end);
                let span = from_lines(from.line, from.column, to.line, to.column);
                found = match (found, span) {
                    (Some(a), Some(b)) => {
                        Some(if (a.line, a.column) <= (b.line, b.column) { a.to(b) } else { b.to(a) })
                    }
                    (a, b) => a.or(b),
                };
            }
            Ok(TreeNodeRecursion::Continue)
        }));
    }
    found
}

/// A place of sqlparser's as ours; its empty span is `None`.
pub(crate) fn from_parser(span: tokenizer::Span) -> Option<Span> {
    from_lines(span.start.line, span.start.column, span.end.line, span.end.column)
}

/// A place by its lines and columns; line 0 is none.
pub(crate) fn from_lines(line: u64, column: u64, end_line: u64, end_column: u64) -> Option<Span> {
    if line == 0 {
        return None;
    }
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Some(Span { line: small(line), column: small(column), end_line: small(end_line), end_column: small(end_column) })
}
