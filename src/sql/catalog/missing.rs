//! Tables of a query that are not there: all at once, before it is planned.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, TableFactor, Visit, Visitor};

use super::Catalog;
use crate::error::Error;
use crate::sql::parser::ast::CreateView;
use crate::sql::parser::names::LEDGER;
use crate::sql::places::span_of;
use crate::sql::planner::errors::unknown_table;
use crate::sql::planner::refuse::TableArguments;
use crate::sql::planner::scope::recursive;

impl Catalog {
    /// The refusal of a view that reads a table of its own name, which is not there yet.
    pub(super) fn reads_itself(&self, create: &CreateView) -> Option<Error> {
        let own = self.key(&create.name);
        if self.taken(&own) {
            return None;
        }
        let mut named = Named::default();
        let ControlFlow::Continue(()) = create.query.visit(&mut named);
        let mut arguments = TableArguments(Vec::new());
        arguments.collect(&create.query);
        named.tables.append(&mut arguments.0);
        let is_local = |name: &ObjectName| matches!(&name.0[..], [only] if only.as_ident().is_some_and(|ident| named.local.contains(&ident.value)));
        let found = named.tables.iter().find(|name| !is_local(name) && self.key_of(name) == own)?;
        Some(recursive(&format!("view \"{own}\""), &own).or_at(span_of(found)))
    }

    /// Tables and views that the query names and nobody has declared.
    pub(super) fn missing(&self, query: &Query) -> Vec<Error> {
        let mut named = Named::default();
        let ControlFlow::Continue(()) = query.visit(&mut named);
        let mut arguments = TableArguments(Vec::new());
        arguments.collect(query);
        named.tables.append(&mut arguments.0);
        let known = |name: &ObjectName| {
            let local =
                matches!(&name.0[..], [only] if only.as_ident().is_some_and(|i| named.local.contains(&i.value)));
            let ledger =
                name.0.len() > 1 && name.0.iter().any(|part| part.as_ident().is_some_and(|i| i.value == LEDGER));
            // a database that is not there is one mistake
            let at = match &name.0[..] {
                [.., database, _] => database.as_ident().map_or("", |ident| ident.value.as_str()),
                _ => self.database.as_str(),
            };
            local || ledger || !self.databases.contains(at) || self.taken(&self.key_of(name))
        };
        let missing = named.tables.iter().filter(|name| !known(name));
        let names = || self.objects.keys().map(String::as_str);
        missing
            .map(|name| {
                let key = self.key_of(name);
                unknown_table(&key, &key, names()).or_at(span_of(name))
            })
            .collect()
    }
}

/// Tables that a query reads, and names that it declares itself.
#[derive(Default)]
struct Named {
    tables: Vec<ObjectName>,
    local: BTreeSet<String>,
}

impl Visitor for Named {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.local.extend(tables.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.tables.push(name.clone());
        }
        ControlFlow::Continue(())
    }
}
