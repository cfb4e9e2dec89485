//! A table and the `UNNEST` joined to it become a nested join of their own, so that the planner of relations meets both at
//! once and can read the collection out of the table's columns.

use datafusion::sql::sqlparser::ast::{Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

/// Makes each `UNNEST` the last join of a nested join that holds all it can read.
pub(super) fn nest(from: &mut Vec<TableWithJoins>) {
    let there =
        |table: &TableWithJoins| is_unnest(&table.relation) || table.joins.iter().any(|join| is_unnest(&join.relation));
    if !from.iter().any(there) {
        return;
    }
    let cross =
        |relation| Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) };
    let mut nested: Vec<TableWithJoins> = Vec::new();
    for TableWithJoins { relation, joins } in std::mem::take(from) {
        let mut left = TableWithJoins { relation, joins: Vec::new() };
        if is_unnest(&left.relation) && !nested.is_empty() {
            // the tables before the comma are what it reads
            let mut before = std::mem::take(&mut nested).into_iter();
            let Some(mut all) = before.next() else { continue };
            for table in before {
                all.joins.push(cross(table.relation));
                all.joins.extend(table.joins);
            }
            left = joined(all, cross(left.relation));
        }
        nested.push(joins.into_iter().fold(left, joined));
    }
    *from = nested;
}

fn joined(mut left: TableWithJoins, join: Join) -> TableWithJoins {
    let unnest = is_unnest(&join.relation);
    left.joins.push(join);
    if !unnest {
        return left;
    }
    let relation = TableFactor::NestedJoin { table_with_joins: Box::new(left), alias: None };
    TableWithJoins { relation, joins: Vec::new() }
}

fn is_unnest(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::UNNEST { .. })
}
