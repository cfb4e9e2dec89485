//! `INSERT`: which column of the query goes where, and where the query's columns stand.

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result, Span};
use crate::sql::catalog::Table;
use crate::sql::parser::ast::Insert;
use crate::sql::places::span_of;
use crate::table::ColumnSpec;

/// Which column of the query goes to which column of the table: by position. The last columns of the query are
/// `constants` for the columns of these names.
pub(super) fn written(
    insert: &Insert,
    table: &Table,
    plan: &LogicalPlan,
    constants: &[String],
) -> Result<Vec<Option<usize>>> {
    let spec = &table.spec;
    let sink: Vec<&ColumnSpec> = spec.sink_columns().collect();
    let width = plan.schema().fields().len() - constants.len();
    let constant = |name: &str| constants.iter().position(|c| c == name).map(|at| width + at);
    let mut from: Vec<Option<usize>> = sink.iter().map(|column| constant(&column.name)).collect();
    let place = insert.query_place();
    if insert.columns.is_empty() {
        let open = from.iter().filter(|from| from.is_none()).count();
        if width == open {
            for (i, from) in from.iter_mut().filter(|from| from.is_none()).enumerate() {
                *from = Some(i);
            }
            return Ok(from);
        }
        let types: Vec<String> = sink.iter().map(|c| format!("{} {}", c.name, c.sql_type)).collect();
        return Err(Error::sql(format!(
            "the query has {width} column{}, table \"{}\" takes {open}",
            if width == 1 { "" } else { "s" },
            spec.name
        ))
        .detail(format!("It takes {}.", types.join(", ")))
        .or_at(place)
        .hint("list the columns: INSERT INTO t (a, b) SELECT …"));
    }
    if insert.columns.len() != width {
        let last = insert.columns.last().map(|c| c.span);
        return Err(Error::sql(format!("{} columns are listed, the query has {width}", insert.columns.len()))
            .or_at(insert.columns.first().map(|c| c.span).zip(last).map(|(a, b)| a.to(b)))
            .hint("list one column for each of the query"));
    }
    for (i, column) in insert.columns.iter().enumerate() {
        let name = &column.value;
        match sink.iter().position(|c| c.name == *name) {
            Some(at) if from[at].is_none() => from[at] = Some(i),
            Some(_) => {
                return Err(Error::sql(format!("column \"{name}\" is listed twice"))
                    .at(column.span)
                    .hint("list it once"));
            }
            None => {
                let error = Error::sql(if spec.columns.iter().any(|c| c.name == *name) {
                    format!("column \"{name}\" of table \"{}\" is read-only", spec.name)
                } else {
                    format!("column \"{name}\" not found in table \"{}\"", spec.name)
                });
                return Err(error.at(column.span).nearest(name, sink.iter().map(|c| c.name.as_str())));
            }
        }
    }
    Ok(from)
}

/// Places of a query's columns; none where `*` hides how many there are.
pub(super) fn column_places(query: &ast::Query) -> Vec<Option<Span>> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return Vec::new() };
    let listed = |item: &ast::SelectItem| {
        matches!(item, ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. })
    };
    if !select.projection.iter().all(listed) {
        return Vec::new();
    }
    select.projection.iter().map(span_of).collect()
}

impl Insert {
    /// Places of the query's columns; none where `*` hides how many there are.
    pub(super) fn column_places(&self) -> Vec<Option<Span>> {
        column_places(&self.query)
    }

    /// Place of the first column of the query.
    fn query_place(&self) -> Option<Span> {
        match self.query.body.as_ref() {
            ast::SetExpr::Select(select) => {
                let (first, last) = (select.projection.first()?, select.projection.last()?);
                span_of(first).zip(span_of(last)).map(|(a, b)| a.to(b))
            }
            other => span_of(other),
        }
    }
}

/// Columns of a result, or of a table made of it, whose types no row can be written with.
pub(super) fn unwritable(plan: &LogicalPlan, places: &[Option<Span>]) -> Vec<Error> {
    let fields = plan.schema().fields().iter().enumerate();
    let place = |i: usize| places.get(i).copied().flatten();
    fields.filter_map(|(i, field)| Some(unwritable_type(field.data_type())?.or_at(place(i)))).collect()
}

fn unwritable_type(data_type: &DataType) -> Option<Error> {
    match data_type {
        DataType::Duration(_) | DataType::Interval(_) => Some(
            Error::sql("a column of a result cannot be an INTERVAL")
                .hint("take a number: TIMESTAMPDIFF(SECOND, from, to); or a text: CAST(… AS STRING)"),
        ),
        DataType::Decimal256(..) => Some(
            Error::sql("a number has more than 38 digits")
                .hint("a DECIMAL has at most 38 digits: use a DOUBLE, as in 1e40"),
        ),
        DataType::Null => {
            Some(Error::sql("a column of a result is NULL, and so has no type").hint("write CAST(NULL AS type)"))
        }
        DataType::Struct(fields) if fields.iter().any(|field| field.data_type().is_null()) => Some(
            Error::sql("a field of a ROW is NULL, and so has no type").hint("write CAST(NULL AS type) for the field"),
        ),
        DataType::Struct(fields) => fields.iter().find_map(|field| unwritable_type(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            unwritable_item(item, "the elements of ARRAY")
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) => {
                let whats = ["the keys of MAP", "the values of MAP"];
                entry.iter().zip(whats).find_map(|(field, what)| unwritable_item(field, what))
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a collection holds; `items` is what it is called.
fn unwritable_item(item: &Field, items: &str) -> Option<Error> {
    match item.data_type() {
        DataType::Null => {
            Some(Error::sql(format!("{items} are NULL, and so have no type")).hint("write CAST(NULL AS type)"))
        }
        inner => unwritable_type(inner),
    }
}
