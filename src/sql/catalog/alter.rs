//! `ALTER TABLE`: a changed definition, compiled again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, visit_expressions};

use super::{Catalog, Object, ObjectKind, table};
use crate::error::{Error, Result};
use crate::sql::parser::ast::{
    Alteration, ColumnDef, ColumnDefKind, CreateTable, Elements, Position, Spanned, TableName,
};
use crate::sql::registry::Registry;

impl Catalog {
    /// `ALTER TABLE`.
    ///
    /// # Errors
    /// `Sql` if there is no such table, or the change does not fit it.
    pub(crate) fn alter_table(
        &mut self,
        name: &TableName,
        if_exists: bool,
        change: &Alteration,
        registry: &Registry,
    ) -> Result<(), Vec<Error>> {
        let key = self.key(name);
        let created = match self.objects.get(&key) {
            Some(Object { kind: ObjectKind::View { .. }, .. }) => {
                let error = Error::sql(format!("\"{key}\" is a view")).at(name.span);
                return Err(vec![error.hint(format!("write ALTER VIEW {key}"))]);
            }
            Some(Object { temporary: true, .. }) => {
                let error = Error::sql(format!("table \"{key}\" is temporary and cannot be changed")).at(name.span);
                return Err(vec![error.hint("drop it, and create it again")]);
            }
            Some(Object { kind: ObjectKind::Table { create, .. }, .. }) => create,
            None if if_exists || self.is_broken(&key) => return Ok(()),
            None => return Err(vec![self.not_found("table", name)]),
        };
        if let Alteration::RenameTo(new) = change {
            self.rename(name, new).map_err(|e| vec![e])?;
        } else {
            let mut create = created.clone();
            apply(&mut create, change).map_err(|e| vec![e])?;
            let table = Arc::new(table::compile(&key, &create, &self.planner(registry))?);
            if let Some(object) = self.objects.get_mut(&key) {
                object.kind = ObjectKind::Table { create, table };
                let relation = object.relation();
                self.relations.0.insert(key, Arc::new(relation));
            }
        }
        self.replan(registry);
        Ok(())
    }
}

fn apply(create: &mut CreateTable, change: &Alteration) -> Result<()> {
    match change {
        Alteration::RenameTo(_) => Ok(()),
        Alteration::RenameColumn { from, to } => rename_column(create, from, to),
        Alteration::Add(elements) => add(create, elements),
        Alteration::Modify(elements) => modify(create, elements),
        Alteration::DropColumns(columns) => drop_columns(create, columns),
        Alteration::DropPrimaryKey if create.primary_key.is_empty() => Err(missing("a primary key", create)),
        Alteration::DropPrimaryKey => {
            create.primary_key.clear();
            Ok(())
        }
        Alteration::DropWatermark => match create.watermark.take() {
            Some(_) => Ok(()),
            None => Err(missing("a watermark", create)),
        },
        Alteration::Set(options) => {
            for (key, value) in options {
                match create.options.iter_mut().find(|(old, _)| old.value == key.value) {
                    Some(old) => *old = (key.clone(), value.clone()),
                    None => create.options.push((key.clone(), value.clone())),
                }
            }
            Ok(())
        }
        Alteration::Reset(keys) => {
            if let Some(connector) = keys.iter().find(|key| key.value == "connector") {
                return Err(Error::sql("the option \"connector\" cannot be reset")
                    .at(connector.span)
                    .hint("SET another one"));
            }
            create.options.retain(|(option, _)| !keys.iter().any(|key| key.value == option.value));
            Ok(())
        }
    }
}

fn missing(what: &str, create: &CreateTable) -> Error {
    Error::sql(format!("table \"{}\" has not {what}", create.name.value))
}

fn place(create: &CreateTable, name: &Spanned<String>) -> Result<usize> {
    create.columns.iter().position(|column| column.name.value == name.value).ok_or_else(|| {
        Error::sql(format!("column \"{}\" not found in table \"{}\"", name.value, create.name.value))
            .at(name.span)
            .nearest(&name.value, create.columns.iter().map(|column| column.name.value.as_str()))
    })
}

/// Nothing but the columns `gone` may depend on the column.
fn check_unused(create: &CreateTable, column: &Spanned<String>, gone: &[Spanned<String>]) -> Result<()> {
    let by = |user: String| {
        Err(Error::sql(format!("column \"{}\" is used by {user}", column.value))
            .at(column.span)
            .hint("change or drop what uses it first"))
    };
    for other in &create.columns {
        let goes = gone.iter().any(|name| name.value == other.name.value);
        if let ColumnDefKind::Computed(expr) = &other.kind
            && !goes
            && columns_of(expr).contains(&column.value)
        {
            return by(format!("the computed column \"{}\"", other.name.value));
        }
    }
    if let Some(watermark) = &create.watermark
        && (watermark.column.value == column.value || columns_of(&watermark.expr).contains(&column.value))
    {
        return by("the watermark".to_owned());
    }
    if create.partitioned_by.iter().any(|key| key.value == column.value) {
        return by("PARTITIONED BY".to_owned());
    }
    Ok(())
}

fn columns_of(expr: &ast::Expr) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    let flow: ControlFlow<()> = visit_expressions(expr, |expr| {
        match expr {
            ast::Expr::Identifier(ident) => drop(columns.insert(ident.value.clone())),
            ast::Expr::CompoundIdentifier(parts) => columns.extend(parts.first().map(|part| part.value.clone())),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    debug_assert!(flow.is_continue(), "the walk never breaks");
    columns
}

fn rename_column(create: &mut CreateTable, from: &Spanned<String>, to: &Spanned<String>) -> Result<()> {
    let at = place(create, from)?;
    check_unused(create, from, &[])?;
    if create.columns.iter().any(|column| column.name.value == to.value) {
        return Err(Error::sql(format!("column \"{}\" exists already", to.value))
            .at(to.span)
            .hint("choose another name"));
    }
    create.columns[at].name = to.clone();
    for key in create.primary_key.iter_mut().filter(|key| key.value == from.value) {
        *key = to.clone();
    }
    Ok(())
}

fn drop_columns(create: &mut CreateTable, columns: &[Spanned<String>]) -> Result<()> {
    for column in columns {
        place(create, column)?;
        check_unused(create, column, columns)?;
        if create.primary_key.iter().any(|key| key.value == column.value) {
            return Err(Error::sql(format!("column \"{}\" is used by the primary key", column.value))
                .at(column.span)
                .hint("ALTER TABLE … DROP PRIMARY KEY first"));
        }
    }
    create.columns.retain(|kept| !columns.iter().any(|column| column.value == kept.name.value));
    if create.columns.is_empty() {
        return Err(Error::sql(format!("table \"{}\" would have no columns left", create.name.value)));
    }
    Ok(())
}

fn add(create: &mut CreateTable, elements: &Elements) -> Result<()> {
    for (column, position) in &elements.columns {
        if create.columns.iter().any(|other| other.name.value == column.name.value) {
            return Err(Error::sql(format!("column \"{}\" exists already", column.name.value))
                .at(column.name.span)
                .hint("choose another name, or write MODIFY"));
        }
        put(create, column.clone(), position.as_ref())?;
    }
    let exists = |what: &str, span| {
        Err(Error::sql(format!("the table has {what} already")).at(span).hint("write MODIFY, or drop it first"))
    };
    if let Some(watermark) = &elements.watermark {
        if create.watermark.is_some() {
            return exists("a watermark", watermark.span);
        }
        create.watermark = Some(watermark.clone());
    }
    if let [first, ..] = &elements.primary_key[..] {
        if !create.primary_key.is_empty() {
            return exists("a primary key", first.span);
        }
        create.primary_key.clone_from(&elements.primary_key);
    }
    Ok(())
}

fn modify(create: &mut CreateTable, elements: &Elements) -> Result<()> {
    for (column, position) in &elements.columns {
        let at = place(create, &column.name)?;
        let old = create.columns.remove(at);
        let new = ColumnDef { comment: column.comment.clone().or(old.comment), ..column.clone() };
        match position {
            None => create.columns.insert(at, new),
            Some(position) => put(create, new, Some(position))?,
        }
    }
    if let Some(watermark) = &elements.watermark {
        if create.watermark.is_none() {
            return Err(missing("a watermark", create).at(watermark.span).hint("write ADD"));
        }
        create.watermark = Some(watermark.clone());
    }
    if let [first, ..] = &elements.primary_key[..] {
        if create.primary_key.is_empty() {
            return Err(missing("a primary key", create).at(first.span).hint("write ADD"));
        }
        create.primary_key.clone_from(&elements.primary_key);
    }
    Ok(())
}

fn put(create: &mut CreateTable, column: ColumnDef, position: Option<&Position>) -> Result<()> {
    let at = match position {
        None => create.columns.len(),
        Some(Position::First) => 0,
        Some(Position::After(other)) => place(create, other)? + 1,
    };
    create.columns.insert(at, column);
    Ok(())
}
