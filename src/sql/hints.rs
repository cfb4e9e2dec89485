//! `/*+ OPTIONS(…) */` behind a table in a query: a relation of its own, the same table with other options.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::error::{Error, Span};
use crate::sql::catalog::{Catalog, key};
use crate::sql::parser::hints::options_of;
use crate::sql::places::span_of;
use crate::sql::planner::context::Relations;

/// The query with a relation of its own for each table that has a hint, these among `relations`.
///
/// # Errors
/// `Sql` for a hint behind a view, `Config` for wrong options.
pub(crate) fn resolve(
    query: &Query,
    catalog: &Catalog,
    relations: &mut Option<Relations>,
) -> Result<Query, Vec<Error>> {
    let mut query = query.clone();
    let mut names = Declared::default();
    let ControlFlow::Continue(()) = Visit::visit(&query, &mut names);
    if !names.hints {
        return Ok(query);
    }
    let mut resolving = Resolving { catalog, declared: names.names, relations: catalog.relations().clone(), number: 0 };
    if let ControlFlow::Break(errors) = VisitMut::visit(&mut query, &mut resolving) {
        return Err(errors);
    }
    *relations = Some(resolving.relations);
    Ok(query)
}

/// Names that `WITH` declares anywhere in the query.
#[derive(Default)]
struct Declared {
    names: BTreeSet<String>,
    hints: bool,
}

impl Visitor for Declared {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.names.extend(tables.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        self.hints |= matches!(factor, TableFactor::Table { with_hints, .. } if !with_hints.is_empty());
        ControlFlow::Continue(())
    }
}

struct Resolving<'a> {
    catalog: &'a Catalog,
    declared: BTreeSet<String>,
    relations: Relations,
    number: usize,
}

impl VisitorMut for Resolving<'_> {
    type Break = Vec<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Vec<Error>> {
        let TableFactor::Table { name, alias, with_hints, .. } = factor else { return ControlFlow::Continue(()) };
        if with_hints.is_empty() {
            return ControlFlow::Continue(());
        }
        let hints = std::mem::take(with_hints);
        let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident).cloned() else {
            return ControlFlow::Continue(());
        };
        if name.0.len() == 1 && self.declared.contains(&last.value) {
            return ControlFlow::Continue(());
        }
        let place = span_of(name).unwrap_or_else(|| Span::new(1, 1, 1));
        let found = self.catalog.key_of(name);
        if self.catalog.is_view(&found) {
            let error = Error::sql(format!("view \"{found}\" has no options")).at(place);
            return ControlFlow::Break(vec![error.hint("write the hint behind the table that the view reads")]);
        }
        // a name that does not exist is the planner's to report
        let Some(table) = self.catalog.table(&found) else { return ControlFlow::Continue(()) };
        let hinted = match table.with_options(&options_of(&hints, place)) {
            Ok(hinted) => Arc::new(hinted.named(self.number)),
            Err(errors) => return ControlFlow::Break(errors),
        };
        self.number += 1;
        let own = format!("{} /*+ {} */", last.value, self.number);
        self.relations.insert(key(&self.catalog.database, &own), Arc::new(hinted.relation()));
        *name = ObjectName::from(vec![Ident::with_span(last.span, own)]);
        if alias.is_none() {
            *alias = Some(TableAlias { explicit: true, name: last, columns: Vec::new(), at: None });
        }
        ControlFlow::Continue(())
    }
}
