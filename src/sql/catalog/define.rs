//! Definitions that take over something: `CREATE TABLE … LIKE` and `CREATE TABLE … AS`, to a whole `CREATE TABLE`.
//!
//! # Source
//! Flink 2.3, `MergeTableLikeUtil` and `MergeTableAsUtil`: the rules were tried on Flink, see `tests/parity/cases`.

use datafusion::logical_expr::LogicalPlan;

use crate::error::{Error, Result};
use crate::sql::parser::ast::{ColumnDef, ColumnDefKind, CreateTable, Feature, Merge, Spanned, SqlType};
use crate::sql::planner::sink;
use crate::sql::types::flink_type;

/// `create` with what `source` has and the rules let pass: own columns come behind the copied ones.
///
/// # Errors
/// What both have, where the rules do not say that the own one wins.
pub(super) fn like(
    create: &CreateTable,
    source: &CreateTable,
    rules: &[(Feature, Merge)],
) -> Result<CreateTable, Vec<Error>> {
    let rule = |feature| merge_of(feature, rules);
    let mut errors = Vec::new();
    let columns = columns(create, source, &rule, &mut errors);
    let watermark = match (&create.watermark, &source.watermark) {
        (Some(own), Some(copied)) if rule(Feature::Watermarks) == Merge::Including => {
            let hint = "write LIKE t (OVERWRITING WATERMARKS), or EXCLUDING WATERMARKS";
            let column = &copied.column.value;
            errors.push(clash(&format!("a watermark (for column \"{column}\")"), source).at(own.span).hint(hint));
            None
        }
        (Some(own), _) => Some(own.clone()),
        (None, copied) => copied.clone().filter(|_| rule(Feature::Watermarks) != Merge::Excluding),
    };
    let primary_key =
        list(&create.primary_key, &source.primary_key, rule(Feature::Constraints)).unwrap_or_else(|own| {
            errors.push(clash("a primary key", source).at(own).hint("write LIKE t (EXCLUDING CONSTRAINTS)"));
            Vec::new()
        });
    for key in &create.primary_key {
        let copied = source.columns.iter().find(|column| column.name.value == key.value);
        if let Some(ColumnDefKind::Physical(data_type)) = copied.map(|column| &column.kind)
            && data_type.nullable
        {
            let error =
                Error::sql(format!("column \"{}\" of the primary key may be NULL in the copied table", key.value));
            errors.push(error.at(key.span).hint("declare it NOT NULL there"));
        }
    }
    let partitions = list(&create.partitioned_by, &source.partitioned_by, rule(Feature::Partitions));
    let partitioned_by = partitions.unwrap_or_else(|own| {
        errors.push(clash("partitions", source).at(own).hint("write LIKE t (EXCLUDING PARTITIONS)"));
        Vec::new()
    });
    let mut options = match rule(Feature::Options) {
        Merge::Excluding => Vec::new(),
        Merge::Including | Merge::Overwriting => source.options.clone(),
    };
    for (key, value) in &create.options {
        match options.iter_mut().find(|(copied, _)| copied.value == key.value) {
            Some(_) if rule(Feature::Options) == Merge::Including => {
                let hint = "write LIKE t (OVERWRITING OPTIONS), which is the default, or EXCLUDING OPTIONS";
                errors.push(clash(&format!("the option \"{}\"", key.value), source).at(key.span).hint(hint));
            }
            Some(copied) => *copied = (key.clone(), value.clone()),
            None => options.push((key.clone(), value.clone())),
        }
    }
    match errors.is_empty() {
        true => {
            Ok(CreateTable { columns, watermark, primary_key, partitioned_by, options, from: None, ..create.clone() })
        }
        false => Err(errors),
    }
}

/// What the rules say about a feature: its own rule, else that of ALL, else the default.
fn merge_of(feature: Feature, rules: &[(Feature, Merge)]) -> Merge {
    let said = |wanted| rules.iter().find(|(named, _)| *named == wanted).map(|(_, merge)| *merge);
    said(feature).or_else(|| said(Feature::All)).unwrap_or(match feature {
        Feature::Options => Merge::Overwriting,
        _ => Merge::Including,
    })
}

/// The own list or the copied one; both only if the copied one is left out. The error is the place of the own.
fn list(
    own: &[Spanned<String>],
    copied: &[Spanned<String>],
    merge: Merge,
) -> Result<Vec<Spanned<String>>, crate::error::Span> {
    match (own, copied) {
        (own, _) if merge == Merge::Excluding => Ok(own.to_vec()),
        ([], copied) => Ok(copied.to_vec()),
        (own, []) => Ok(own.to_vec()),
        ([first, ..], _) => Err(first.span),
    }
}

fn clash(what: &str, source: &CreateTable) -> Error {
    Error::sql(format!("table \"{}\" has {what} already", source.name.value))
}

fn columns(
    create: &CreateTable,
    source: &CreateTable,
    rule: &dyn Fn(Feature) -> Merge,
    errors: &mut Vec<Error>,
) -> Vec<ColumnDef> {
    let taken = |column: &&ColumnDef| match column.kind {
        ColumnDefKind::Physical(_) => true,
        ColumnDefKind::Computed(_) => rule(Feature::Generated) != Merge::Excluding,
        ColumnDefKind::Metadata { .. } => rule(Feature::Metadata) != Merge::Excluding,
    };
    let mut columns: Vec<ColumnDef> = source.columns.iter().filter(taken).cloned().collect();
    for own in &create.columns {
        let Some(copied) = columns.iter_mut().find(|copied| copied.name.value == own.name.value) else {
            columns.push(own.clone());
            continue;
        };
        let feature = match (&own.kind, &copied.kind) {
            (ColumnDefKind::Computed(_), ColumnDefKind::Computed(_)) => Some(("GENERATED", Feature::Generated)),
            (ColumnDefKind::Metadata { .. }, ColumnDefKind::Metadata { .. }) => Some(("METADATA", Feature::Metadata)),
            _ => None,
        };
        match feature {
            Some((_, feature)) if rule(feature) == Merge::Overwriting => *copied = own.clone(),
            _ => {
                let error = clash(&format!("a column \"{}\"", own.name.value), source).at(own.name.span);
                errors.push(match feature {
                    Some((word, _)) => error.hint(format!("write LIKE t (OVERWRITING {word}), or EXCLUDING {word}")),
                    None => error.hint("choose another name"),
                });
            }
        }
    }
    columns
}

/// `create` with the columns of its query. Own columns come first; one that the query has, too, gives it its type.
/// `order`: the names of the query's columns in the order of the table.
///
/// # Errors
/// A computed column that the query has, a wrong order.
pub(crate) fn of_query(
    create: &CreateTable,
    order: &[Spanned<String>],
    plan: &LogicalPlan,
) -> Result<CreateTable, Vec<Error>> {
    let mut errors = Vec::new();
    let mut given: Vec<ColumnDef> = (0..plan.schema().fields().len()).map(|i| column_of(create, plan, i)).collect();
    if !order.is_empty() {
        given = reordered(given, order).map_err(|e| vec![e])?;
    }
    let mut columns = Vec::new();
    for own in &create.columns {
        match given.iter_mut().find(|column| column.name.value == own.name.value) {
            None => columns.push(own.clone()),
            Some(_) if matches!(own.kind, ColumnDefKind::Computed(_)) => errors.push(
                Error::sql(format!("the query has a column \"{}\", it cannot be computed", own.name.value))
                    .at(own.name.span)
                    .hint("choose another name, or leave the column out of the query"),
            ),
            Some(column) => *column = own.clone(),
        }
    }
    columns.append(&mut given);
    match errors.is_empty() {
        true => Ok(CreateTable { columns, from: None, ..create.clone() }),
        false => Err(errors),
    }
}

fn column_of(create: &CreateTable, plan: &LogicalPlan, index: usize) -> ColumnDef {
    let field = plan.schema().field(index);
    let text = sink::declared_type(plan, index).unwrap_or_else(|| flink_type(field.data_type()));
    let data_type = SqlType { data_type: field.data_type().clone(), text, nullable: true };
    let (name, kind) = (Spanned::new(field.name().clone(), create.name.span), ColumnDefKind::Physical(data_type));
    ColumnDef { name, kind, comment: None, span: create.name.span }
}

fn reordered(mut given: Vec<ColumnDef>, order: &[Spanned<String>]) -> Result<Vec<ColumnDef>> {
    if order.len() != given.len() {
        let (columns, width) = (order.len(), given.len());
        let error = Error::sql(format!("{columns} columns are listed, the query has {width}"));
        return Err(error
            .or_at(order.first().map(|name| name.span))
            .hint("list all columns of the query, in any order, or none"));
    }
    let mut columns = Vec::new();
    for name in order {
        match given.iter().position(|column| column.name.value == name.value) {
            Some(at) => columns.push(given.remove(at)),
            None => {
                let left = given.iter().map(|column| column.name.value.as_str());
                return Err(Error::sql(format!("the query has no column \"{}\"", name.value))
                    .at(name.span)
                    .nearest(&name.value, left));
            }
        }
    }
    Ok(columns)
}
