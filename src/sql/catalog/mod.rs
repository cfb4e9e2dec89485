//! What a script has declared so far: databases, tables compiled to expressions over what their connector delivers,
//! and views, planned once and filled in where they are used.
//!
//! Everything is found by its [`key`]. A temporary table or view stands before a permanent one of the same name and
//! gives way to it when dropped. A view is text to Flink: when a table it may read is changed, it is planned again.

mod alter;
mod database;
mod define;
mod missing;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, visit_relations};

use crate::error::{Error, Result};
use crate::sql::parser::ast::{CreateTable, CreateView, DefinedBy, Spanned, TableName, ViewAlteration};
use crate::sql::parser::names::{DATABASE, LEDGER};
use crate::sql::places::span_of;
use crate::sql::planner::Planner;
use crate::sql::planner::context::{Relation, Relations};
use crate::sql::registry::Registry;

pub(crate) use define::of_query;
pub(crate) use table::Table;

/// What a table or view is found by: its name, behind its database if that is not the default one.
pub(crate) fn key(database: &str, name: &str) -> String {
    let part = |part: &str| match part.contains(['.', '`']) {
        true => format!("`{}`", part.replace('`', "``")),
        false => part.to_owned(),
    };
    if database == DATABASE { part(name) } else { format!("{}.{}", part(database), part(name)) }
}

/// Databases, tables and views.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    databases: BTreeSet<String>,
    /// Where names without a database are looked up.
    pub(crate) database: String,
    /// What names stand for.
    objects: BTreeMap<String, Object>,
    /// Permanent objects that a temporary one stands before.
    hidden: BTreeMap<String, Object>,
    /// Keys of the objects in the order of the script.
    order: Vec<String>,
    relations: RelationMap,
    /// Keys whose declaration was wrong: their uses are not reported again.
    broken: BTreeSet<String>,
    /// Views that cannot be planned any more, and why.
    stale: BTreeMap<String, String>,
}

/// A table or view.
#[derive(Debug, Clone)]
struct Object {
    database: String,
    name: String,
    temporary: bool,
    kind: ObjectKind,
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a script has few objects, each is made once")]
enum ObjectKind {
    Table {
        /// Its whole definition.
        create: CreateTable,
        table: Arc<Table>,
    },
    View {
        create: CreateView,
        /// Where it was declared: names without a database are looked up there.
        database: String,
        /// Names of its columns: `*` stands for those there were.
        columns: Vec<String>,
        plan: LogicalPlan,
    },
}

/// [`Relations`] that can be printed.
#[derive(Clone, Default)]
struct RelationMap(Relations);

impl std::fmt::Debug for RelationMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            databases: BTreeSet::from([DATABASE.to_owned()]),
            database: DATABASE.to_owned(),
            objects: BTreeMap::new(),
            hidden: BTreeMap::new(),
            order: Vec::new(),
            relations: RelationMap::default(),
            broken: BTreeSet::new(),
            stale: BTreeMap::new(),
        }
    }
}

impl Object {
    fn key(&self) -> String {
        key(&self.database, &self.name)
    }

    fn what(&self) -> &'static str {
        match self.kind {
            ObjectKind::Table { .. } => "table",
            ObjectKind::View { .. } => "view",
        }
    }

    fn relation(&self) -> Relation {
        match &self.kind {
            ObjectKind::Table { table, .. } => table.relation(),
            ObjectKind::View { plan, .. } => {
                let schema = Arc::clone(plan.schema().inner());
                Relation { schema, rowtime: None, view: Some(plan.clone()), table: None }
            }
        }
    }
}

/// What is found by a name.
impl Catalog {
    /// The key a name means here.
    pub(crate) fn key(&self, name: &TableName) -> String {
        key(self.database_of(name), &name.value)
    }

    fn database_of<'a>(&'a self, name: &'a TableName) -> &'a str {
        name.database.as_deref().unwrap_or(&self.database)
    }

    /// The key of a relation in a query.
    pub(crate) fn key_of(&self, name: &ObjectName) -> String {
        let parts: Vec<&str> =
            name.0.iter().filter_map(ObjectNamePart::as_ident).map(|part| part.value.as_str()).collect();
        match parts[..] {
            [.., database, name] => key(database, name),
            [name] => key(&self.database, name),
            [] => String::new(),
        }
    }

    /// Relations by key, as a planner sees them.
    pub(crate) fn relations(&self) -> &Relations {
        &self.relations.0
    }

    /// The table of a key.
    pub(crate) fn table(&self, key: &str) -> Option<&Arc<Table>> {
        match &self.objects.get(key)?.kind {
            ObjectKind::Table { table, .. } => Some(table),
            ObjectKind::View { .. } => None,
        }
    }

    /// The tables, in the order of the script.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.order.iter().filter_map(|key| self.table(key))
    }

    /// Keys and declarations of the views, in the order of the script, and the databases they were declared in.
    pub(crate) fn views(&self) -> impl Iterator<Item = (&str, &CreateView, &str)> {
        self.order.iter().filter_map(|key| match &self.objects.get(key)?.kind {
            ObjectKind::View { create, database, .. } => Some((key.as_str(), create, database.as_str())),
            ObjectKind::Table { .. } => None,
        })
    }

    /// The statement that declared the table of a key, with what it copied.
    pub(crate) fn definition(&self, key: &str) -> Option<&CreateTable> {
        match &self.objects.get(key)?.kind {
            ObjectKind::Table { create, .. } => Some(create),
            ObjectKind::View { .. } => None,
        }
    }

    /// Whether `key` is a view.
    pub(crate) fn is_view(&self, key: &str) -> bool {
        self.objects.get(key).is_some_and(|object| matches!(object.kind, ObjectKind::View { .. }))
    }

    /// A declaration that reads what was declared wrongly is no better.
    pub(crate) fn declare_broken(&mut self, name: &TableName) {
        self.broken.insert(self.key(name));
    }

    /// Whether the declaration of `key` was wrong.
    pub(crate) fn is_broken(&self, key: &str) -> bool {
        self.broken.contains(key)
    }

    /// Whether the databases that a query names exist, and its views still fit their tables.
    ///
    /// # Errors
    /// `Sql` for the first that does not.
    pub(crate) fn check_relations(&self, query: &Query) -> Result<()> {
        let mut errors = Vec::new();
        let ControlFlow::Continue(()) = visit_relations(query, |name| {
            errors.extend(self.check_relation(name).err().map(|error| error.or_at(span_of(name))));
            ControlFlow::<std::convert::Infallible>::Continue(())
        });
        errors.extend(self.missing(query));
        Error::collect(errors).map_or(Ok(()), Err)
    }

    fn check_relation(&self, name: &ObjectName) -> Result<()> {
        if let [.., database, _] = &name.0[..]
            && let Some(database) = database.as_ident().map(|ident| ident.value.as_str())
            && database != LEDGER
            && !self.databases.contains(database)
        {
            return Err(self.no_database(database));
        }
        match self.stale.get(&self.key_of(name)) {
            Some(reason) => {
                let view = self.key_of(name);
                Err(Error::sql(format!("view \"{view}\" does not fit its tables any more: {reason}"))
                    .hint("drop the view, and create it again"))
            }
            None => Ok(()),
        }
    }

    /// Keys of the tables.
    pub(crate) fn table_names(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str).filter(|key| self.table(key).is_some())
    }

    /// Names of the databases.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &str> {
        self.databases.iter().map(String::as_str)
    }

    /// Names of the objects of a database, and whether each is a view.
    pub(crate) fn names_in(&self, database: &str) -> impl Iterator<Item = (&str, bool)> {
        let here = self.objects.values().filter(move |object| object.database == database);
        here.map(|object| (object.name.as_str(), matches!(object.kind, ObjectKind::View { .. })))
    }

    /// A planner of queries in the database in use.
    pub(crate) fn planner<'a>(&'a self, registry: &'a Registry) -> Planner<'a> {
        Planner { registry, relations: &self.relations.0, database: &self.database }
    }

    /// Whether something of that name was declared, rightly or not.
    fn taken(&self, key: &str) -> bool {
        self.objects.contains_key(key) || self.broken.contains(key)
    }

    fn check_new(&self, name: &TableName, temporary: bool) -> Result<()> {
        let key = self.key(name);
        let before = self.objects.get(&key).is_some_and(|object| temporary && !object.temporary);
        if self.taken(&key) && !before {
            return Err(Error::sql(format!("table or view \"{key}\" exists already"))
                .at(name.span)
                .hint("choose another name, or write IF NOT EXISTS"));
        }
        Ok(())
    }

    /// The database of a name must exist.
    ///
    /// # Errors
    /// `Sql` if it does not.
    pub(crate) fn check_database(&self, name: &TableName) -> Result<()> {
        let database = self.database_of(name);
        if self.databases.contains(database) {
            return Ok(());
        }
        Err(self.no_database(database).at(name.span))
    }

    fn no_database(&self, name: &str) -> Error {
        let error = Error::sql(format!("database \"{name}\" does not exist"));
        match crate::error::nearest(name, self.databases()) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint(format!("CREATE DATABASE {name} makes it")),
        }
    }

    fn not_found(&self, what: &str, name: &TableName) -> Error {
        let view = what == "view";
        let names = self.objects.iter().filter(|(_, object)| (object.what() == "view") == view);
        Error::sql(format!("{what} \"{}\" not found", self.key(name)))
            .at(name.span)
            .missing(self.key(name))
            .nearest(&name.value, names.map(|(key, _)| key.as_str()))
    }
}

/// Tables and views.
impl Catalog {
    /// Whether `CREATE … IF NOT EXISTS` of that name has nothing to do.
    pub(crate) fn has(&self, name: &TableName, if_not_exists: bool) -> bool {
        if_not_exists && self.taken(&self.key(name))
    }

    /// Declares a table.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn create_table(&mut self, create: &CreateTable, registry: &Registry) -> Result<(), Vec<Error>> {
        if self.has(&create.name, create.if_not_exists) {
            return Ok(());
        }
        let key = self.key(&create.name);
        self.check_database(&create.name).map_err(|e| vec![e])?;
        if create.replace && self.table(&key).is_some() {
            self.forget(&key);
        }
        self.check_new(&create.name, create.temporary).map_err(|e| vec![e])?;
        let compiled = self.complete(create).and_then(|create| {
            table::compile(&key, &create, &self.planner(registry)).map(|table| (create, Arc::new(table)))
        });
        match compiled {
            Ok((create, table)) => {
                self.insert(&create.name.clone(), create.temporary, ObjectKind::Table { create, table });
                self.replan(registry);
                Ok(())
            }
            Err(errors) => {
                self.broken.insert(key);
                Err(errors)
            }
        }
    }

    /// The definition with what it copies by `LIKE`.
    fn complete(&self, create: &CreateTable) -> Result<CreateTable, Vec<Error>> {
        let Some(DefinedBy::Like(like)) = &create.from else { return Ok(create.clone()) };
        let key = self.key(&like.table);
        match self.objects.get(&key).map(|object| &object.kind) {
            Some(ObjectKind::Table { create: source, .. }) => define::like(create, source, &like.rules),
            Some(ObjectKind::View { .. }) => Err(vec![
                Error::sql(format!("\"{key}\" is a view and cannot be copied"))
                    .at(like.table.span)
                    .hint("LIKE copies a table; CREATE TABLE … AS SELECT takes the columns of a query"),
            ]),
            // its own errors are known
            None if self.broken.contains(&key) => Err(Vec::new()),
            None => Err(vec![self.not_found("table", &like.table)]),
        }
    }

    /// Declares a view; `check` looks at its plan.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn create_view(
        &mut self,
        create: &CreateView,
        registry: &Registry,
        check: impl FnOnce(&LogicalPlan) -> Result<(), Vec<Error>>,
    ) -> Result<(), Vec<Error>> {
        if self.has(&create.name, create.if_not_exists) {
            return Ok(());
        }
        self.check_database(&create.name).map_err(|e| vec![e])?;
        self.check_new(&create.name, create.temporary).map_err(|e| vec![e])?;
        let planned = match self.reads_itself(create) {
            Some(error) => Err(vec![error]),
            None => self.planner(registry).view(create).and_then(|plan| check(&plan).map(|()| plan)),
        };
        match planned {
            Ok(plan) => {
                let columns = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
                let (create, database) = (create.clone(), self.database.clone());
                let (name, temporary) = (create.name.clone(), create.temporary);
                self.insert(&name, temporary, ObjectKind::View { create, database, columns, plan });
                self.replan(registry);
                Ok(())
            }
            Err(errors) => {
                self.broken.insert(self.key(&create.name));
                Err(errors)
            }
        }
    }

    /// Forgets a table or view.
    ///
    /// # Errors
    /// `Sql` if there is none of that name and kind.
    pub(crate) fn drop(
        &mut self,
        what: &'static str,
        name: &TableName,
        temporary: bool,
        if_exists: bool,
        registry: &Registry,
    ) -> Result<()> {
        let key = self.key(name);
        match self.objects.get(&key) {
            Some(object) if object.what() == what && object.temporary && !temporary => {
                Err(Error::sql(format!("{what} \"{key}\" is temporary"))
                    .at(name.span)
                    .hint(format!("write DROP TEMPORARY {} {key}", what.to_uppercase())))
            }
            Some(object) if object.what() == what && object.temporary == temporary => {
                self.forget(&key);
                self.replan(registry);
                Ok(())
            }
            _ if if_exists || self.broken.remove(&key) => Ok(()),
            _ => Err(self.not_found(what, name)),
        }
    }

    /// `ALTER VIEW`.
    ///
    /// # Errors
    /// `Sql` if there is no such view, the new name is taken, or the new query is wrong.
    pub(crate) fn alter_view(
        &mut self,
        name: &TableName,
        change: &ViewAlteration,
        registry: &Registry,
    ) -> Result<(), Vec<Error>> {
        let key = self.key(name);
        if !self.is_view(&key) {
            return if self.broken.contains(&key) { Ok(()) } else { Err(vec![self.not_found("view", name)]) };
        }
        match change {
            ViewAlteration::RenameTo(new) => self.rename(name, new).map_err(|e| vec![e])?,
            ViewAlteration::Query(query) => {
                let plan = self.planner(registry).stream(query)?;
                let new = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
                if let Some(Object { kind: ObjectKind::View { create, columns, .. }, .. }) = self.objects.get_mut(&key)
                {
                    create.query = query.clone();
                    create.columns = Vec::new();
                    *columns = new;
                }
            }
        }
        self.replan(registry);
        Ok(())
    }

    /// Gives a permanent table or view another name in its database.
    fn rename(&mut self, name: &TableName, new: &TableName) -> Result<()> {
        let (old_key, database) = (self.key(name), self.database_of(name).to_owned());
        let new = TableName { database: Some(new.database.clone().unwrap_or_else(|| database.clone())), ..new.clone() };
        if new.database.as_deref() != Some(&database) {
            return Err(Error::sql("a table cannot be moved to another database")
                .at(new.span)
                .hint("give the new name alone"));
        }
        self.check_new(&new, false)?;
        let Some(mut object) = self.objects.remove(&old_key) else { return Ok(()) };
        self.relations.0.remove(&old_key);
        object.name.clone_from(&new.value);
        let new_key = object.key();
        if let ObjectKind::Table { create, table } = &mut object.kind {
            create.name = new;
            let spec = crate::table::TableSpec { name: new_key.clone(), ..(*table.spec).clone() };
            *table = Arc::new(Table { spec: Arc::new(spec), ..(**table).clone() });
        }
        for place in self.order.iter_mut().filter(|place| **place == old_key) {
            place.clone_from(&new_key);
        }
        self.relations.0.insert(new_key.clone(), Arc::new(object.relation()));
        self.objects.insert(new_key, object);
        Ok(())
    }

    fn insert(&mut self, name: &TableName, temporary: bool, kind: ObjectKind) {
        let database = self.database_of(name).to_owned();
        let object = Object { database, name: name.value.clone(), temporary, kind };
        let key = object.key();
        self.relations.0.insert(key.clone(), Arc::new(object.relation()));
        self.stale.remove(&key);
        match self.objects.insert(key.clone(), object) {
            Some(before) => drop(self.hidden.insert(key, before)),
            None => self.order.push(key),
        }
    }

    /// Removes an object; one that it stood before comes back.
    fn forget(&mut self, key: &str) {
        self.objects.remove(key);
        self.relations.0.remove(key);
        self.stale.remove(key);
        match self.hidden.remove(key) {
            Some(before) => {
                self.relations.0.insert(key.to_owned(), Arc::new(before.relation()));
                self.objects.insert(key.to_owned(), before);
            }
            None => self.order.retain(|other| other != key),
        }
    }

    /// Plans every view again: what it reads may be another table now.
    fn replan(&mut self, registry: &Registry) {
        for key in self.order.clone() {
            let Some(Object { kind: ObjectKind::View { create, database, columns, .. }, .. }) = self.objects.get(&key)
            else {
                continue;
            };
            let planner = Planner { registry, relations: &self.relations.0, database };
            let planned = planner.view(create).and_then(|plan| kept(plan, columns).map_err(|e| vec![e]));
            match planned {
                Ok(new) => {
                    if let Some(object) = self.objects.get_mut(&key)
                        && let ObjectKind::View { plan, .. } = &mut object.kind
                    {
                        *plan = new;
                        self.relations.0.insert(key.clone(), Arc::new(object.relation()));
                        self.stale.remove(&key);
                    }
                }
                Err(errors) => {
                    self.relations.0.remove(&key);
                    let reason = errors.first().map_or("", |error| error.message()).to_owned();
                    self.stale.insert(key, reason);
                }
            }
        }
    }
}

/// The columns the view had when it was declared.
fn kept(plan: LogicalPlan, columns: &[String]) -> Result<LogicalPlan> {
    let fields = plan.schema().fields();
    if fields.len() == columns.len() && fields.iter().zip(columns).all(|(field, column)| field.name() == column) {
        return Ok(plan);
    }
    let named = columns.iter().map(|column| {
        let found = plan.schema().columns().into_iter().find(|c| c.name == *column);
        found.map(Expr::Column).ok_or_else(|| Error::sql(format!("column \"{column}\" not found")))
    });
    let named = named.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(named)?.build()?)
}

/// The view's plan with the column names of the view.
pub(crate) fn renamed(plan: LogicalPlan, columns: &[Spanned<String>], name: &TableName) -> Result<LogicalPlan> {
    if columns.is_empty() {
        return Ok(plan);
    }
    let width = plan.schema().fields().len();
    if columns.len() != width {
        return Err(Error::sql(format!(
            "view \"{}\" names {} columns, its query has {width}",
            name.value,
            columns.len()
        ))
        .at(columns.first().map_or(name.span, |c| c.span))
        .hint("name every column of the query, or none"));
    }
    let exprs: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .zip(columns)
        .map(|(column, new)| Expr::Column(column).alias(&new.value))
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}
