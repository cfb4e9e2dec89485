//! A `CREATE TABLE`, compiled: expressions over what the connector delivers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource};
use datafusion::sql::sqlparser::ast;

use crate::connectors;
use crate::error::{Error, Result, Span};
use crate::sql::parser::ast::{ColumnDef, ColumnDefKind, CreateTable, OptionList};
use crate::sql::places::span_of;
use crate::sql::planner::Planner;
use crate::sql::planner::context::Relation;
use crate::sql::planner::expr::{place, resolve};
use crate::sql::planner::window::unaliased;
use crate::sql::types::flink_type;
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options, TableSpec};
use crate::time::parse_duration;

/// A declared table, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) spec: Arc<TableSpec>,
    /// One per declared column, over the columns of `source_schema()` by place.
    pub(crate) columns: Vec<Expr>,
    /// Event-time column, and the watermark over the declared columns by place.
    pub(crate) watermark: Option<(usize, Expr)>,
    /// Place of the column `AS PROCTIME()`.
    pub(crate) proctime: Option<usize>,
    /// `scan.watermark.idle-timeout`, if written; `Some(None)`: off.
    pub(crate) idle_timeout: Option<Option<Duration>>,
    /// `scan.watermark.max-future-skew`, if written.
    pub(crate) max_future_skew: Option<Option<Duration>>,
    /// Where its columns are declared.
    pub(crate) places: BTreeMap<String, Span>,
}

impl Table {
    /// As a planner sees it.
    pub(crate) fn relation(self: &Arc<Self>) -> Relation {
        Relation {
            schema: self.spec.typed_schema(),
            rowtime: self.watermark.as_ref().map(|(rowtime, _)| *rowtime),
            view: None,
            table: Some(Arc::clone(self)),
        }
    }

    /// What is wrong with its options, however it is used.
    pub(crate) fn option_errors(&self) -> Vec<Error> {
        option_errors(&self.spec, &self.places)
    }

    /// Where the column is declared that an error is about.
    pub(crate) fn column_place(&self, error: &Error) -> Option<Span> {
        column_place(error, &self.places)
    }

    /// The same table under a name of its own, so that a plan keeps it apart from the table without the hint.
    pub(crate) fn named(self, number: usize) -> Self {
        let name = format!("{} /*+ {number} */", self.spec.name);
        Self { spec: Arc::new(TableSpec { name, ..(*self.spec).clone() }), ..self }
    }

    /// The same table with the options of a hint.
    ///
    /// # Errors
    /// `Config` for a wrong duration.
    pub(crate) fn with_options(&self, hint: &OptionList) -> Result<Self, Vec<Error>> {
        let mut spec = (*self.spec).clone();
        spec.options.0.extend(option_values(hint));
        let mut errors = Vec::new();
        let (idle_timeout, max_future_skew) = durations(&spec.options, &mut errors);
        match errors.is_empty() {
            true => Ok(Self { spec: Arc::new(spec), idle_timeout, max_future_skew, ..self.clone() }),
            false => Err(errors),
        }
    }
}

/// `scan.watermark.idle-timeout` and `scan.watermark.max-future-skew`.
type Durations = (Option<Option<Duration>>, Option<Option<Duration>>);

fn durations(options: &Options, errors: &mut Vec<Error>) -> Durations {
    (
        duration_option(options, "scan.watermark.idle-timeout", errors),
        duration_option(options, "scan.watermark.max-future-skew", errors),
    )
}

fn option_values(options: &OptionList) -> impl Iterator<Item = (String, OptionValue)> {
    options.iter().map(|(key, value)| {
        (key.value.clone(), OptionValue { value: value.value.clone(), span: Some(key.span.to(value.span)) })
    })
}

/// A complete `CREATE TABLE` as a compiled table of that name.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn compile(name: &str, create: &CreateTable, planner: &Planner<'_>) -> Result<Table, Vec<Error>> {
    let mut errors = check_columns(create);
    let places = create.columns.iter().map(|c| (c.name.value.clone(), c.name.span)).collect();
    let mut spec = TableSpec {
        name: name.to_owned(),
        columns: Vec::new(),
        primary_key: create.primary_key.iter().map(|c| c.value.clone()).collect(),
        partitioned_by: create.partitioned_by.iter().map(|c| c.value.clone()).collect(),
        options: Options(option_values(&create.options).collect()),
        span: Some(create.name.span),
    };
    spec.columns = create.columns.iter().filter_map(declared).collect();
    for column in spec.columns.iter_mut().filter(|column| create.primary_key.iter().any(|key| key.value == column.name))
    {
        column.nullable = false;
    }
    errors.extend(check_metadata(create, &spec));
    let (idle_timeout, max_future_skew) = durations(&spec.options, &mut errors);
    let proctime = create.columns.iter().position(is_proctime);
    let columns = match compute(create, &mut spec, planner) {
        Ok(columns) => columns,
        Err(found) => {
            errors.extend(found);
            errors.extend(option_errors(&spec, &places));
            return Err(errors);
        }
    };
    let watermark = match watermark(create, &spec, planner) {
        Ok(watermark) => watermark.or_else(|| proctime.map(|place| (place, before_now(place)))),
        Err(found) => {
            errors.extend(found);
            None
        }
    };
    if !errors.is_empty() {
        errors.extend(option_errors(&spec, &places));
        return Err(errors);
    }
    Ok(Table { spec: Arc::new(spec), columns, watermark, proctime, idle_timeout, max_future_skew, places })
}

/// What is wrong with the options of a table, however it is used.
fn option_errors(spec: &TableSpec, places: &BTreeMap<String, Span>) -> Vec<Error> {
    let errors = connectors::validate_unused(spec).into_iter();
    errors
        .map(|e| {
            let column = column_place(&e, places);
            e.or_at(column).or_at(spec.span)
        })
        .collect()
}

/// Where the column is declared that an error begins with; formats know columns by their names only.
fn column_place(error: &Error, places: &BTreeMap<String, Span>) -> Option<Span> {
    let (name, _) = error.message().strip_prefix("column \"")?.split_once('"')?;
    places.get(name).copied()
}

/// Names that occur twice, or that keys and partitions name and the table has not.
fn check_columns(create: &CreateTable) -> Vec<Error> {
    let mut errors = Vec::new();
    let names: Vec<&str> = create.columns.iter().map(|c| c.name.value.as_str()).collect();
    for (i, column) in create.columns.iter().enumerate() {
        if names[..i].contains(&column.name.value.as_str()) {
            errors.push(
                Error::sql(format!("column \"{}\" is declared twice", column.name.value))
                    .at(column.name.span)
                    .hint("choose another name"),
            );
        }
    }
    let computed = create.columns.iter().filter_map(|column| match &column.kind {
        ColumnDefKind::Computed(expr) => Some(expr),
        _ => None,
    });
    for expr in computed.chain(create.watermark.iter().map(|watermark| &watermark.expr)) {
        let mut over = None;
        let ControlFlow::Continue(()) = ast::visit_expressions(expr, |part| {
            over = over
                .or_else(|| matches!(part, ast::Expr::Function(call) if call.over.is_some()).then(|| span_of(part))?);
            ControlFlow::<Infallible>::Continue(())
        });
        if let Some(place) = over {
            let error = Error::sql("OVER cannot stand in a column or watermark of a table").at(place);
            errors.push(error.hint("write it in a query"));
        }
    }
    for (what, used) in [("PRIMARY KEY", &create.primary_key), ("PARTITIONED BY", &create.partitioned_by)] {
        for name in used {
            match create.columns.iter().find(|c| c.name.value == name.value) {
                None => errors.push(
                    Error::sql(format!("column \"{}\" of {what} is not declared", name.value))
                        .at(name.span)
                        .nearest(&name.value, names.iter().copied()),
                ),
                Some(column) if !matches!(column.kind, ColumnDefKind::Physical(_)) => errors.push(
                    Error::sql(format!("column \"{}\" of {what} is not a physical column", name.value))
                        .at(name.span)
                        .hint("declare it with a type"),
                ),
                Some(_) => {}
            }
        }
    }
    errors
}

/// Physical and metadata columns; computed ones get their type later.
fn declared(column: &ColumnDef) -> Option<ColumnSpec> {
    let (sql_type, kind) = match &column.kind {
        ColumnDefKind::Physical(sql_type) => (sql_type, ColumnKind::Physical),
        ColumnDefKind::Metadata { data_type, key, virtual_ } => {
            let key = key.as_ref().map_or_else(|| column.name.value.clone(), |key| key.value.clone());
            (data_type, ColumnKind::Metadata { key, virtual_: *virtual_ })
        }
        ColumnDefKind::Computed(_) => return None,
    };
    Some(ColumnSpec {
        name: column.name.value.clone(),
        data_type: sql_type.data_type.clone(),
        sql_type: sql_type.text.clone(),
        nullable: sql_type.nullable,
        kind,
    })
}

fn check_metadata(create: &CreateTable, spec: &TableSpec) -> Vec<Error> {
    let known = connectors::metadata(spec.connector());
    let mut errors = Vec::new();
    for column in &create.columns {
        let ColumnDefKind::Metadata { key, .. } = &column.kind else { continue };
        let name = key.as_ref().unwrap_or(&column.name);
        if known.iter().any(|(key, ..)| *key == name.value) || name.value.starts_with("value.") {
            continue;
        }
        let connector = spec.connector();
        let error = Error::sql(format!("connector \"{connector}\" has no metadata \"{}\"", name.value)).at(name.span);
        let keys: Vec<&str> = known.iter().map(|(key, ..)| *key).collect();
        errors.push(match crate::error::nearest(&name.value, keys.iter().copied()) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None if keys.is_empty() => error.hint("declare it as a physical column: leave METADATA out"),
            None => error.hint(format!("metadata: {}", keys.join(", "))),
        });
    }
    errors
}

/// A duration where zero means off; `None`: not written.
fn duration_option(options: &Options, key: &str, errors: &mut Vec<Error>) -> Option<Option<Duration>> {
    options.get(key)?;
    match options.parsed(key, Duration::ZERO, parse_duration) {
        Ok(duration) => Some(Some(duration).filter(|d| !d.is_zero())),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

/// Expressions of all declared columns over what the connector delivers; `spec` gets the computed columns.
fn compute(create: &CreateTable, spec: &mut TableSpec, planner: &Planner<'_>) -> Result<Vec<Expr>, Vec<Error>> {
    let delivered = spec.source_schema();
    let places: Vec<Expr> = (0..delivered.fields().len()).map(place).collect();
    let mut computed = Vec::new();
    for column in &create.columns {
        match &column.kind {
            ColumnDefKind::Computed(expr) if !is_proctime(column) => {
                computed.push((column.name.value.clone(), expr.clone()));
            }
            _ => {}
        }
    }
    let mut compiled = BTreeMap::new();
    if !computed.is_empty() {
        let source = Arc::new(Relation { schema: delivered, rowtime: None, view: None, table: None });
        let plan = planner.expressions(&spec.name, source, &computed)?;
        compiled = projected(&plan, &places).map_err(|e| vec![e])?;
    }
    let mut stamped = create.columns.iter().filter(|column| is_proctime(column));
    if let Some(column) = stamped.next() {
        // stamped by the source; of this only the type counts
        let stamp = Expr::Literal(ScalarValue::TimestampMillisecond(None, Some("UTC".into())), None);
        compiled.insert(column.name.value.clone(), (stamp, proctime_type(), false));
    }
    if let Some(second) = stamped.next() {
        let error = Error::sql("a table can have one PROCTIME() column").at(second.name.span);
        return Err(vec![error.hint("leave this one out: it would have the same values")]);
    }
    let mut columns = Vec::new();
    let mut delivered = places.into_iter();
    let mut declared_columns = std::mem::take(&mut spec.columns).into_iter();
    for column in &create.columns {
        let name = &column.name.value;
        if let Some((expr, data_type, nullable)) = compiled.remove(name) {
            columns.push(expr);
            spec.columns.push(ColumnSpec {
                name: name.clone(),
                sql_type: flink_type(&data_type),
                data_type,
                nullable,
                kind: ColumnKind::Computed,
            });
        } else {
            columns.extend(delivered.next());
            spec.columns.extend(declared_columns.next());
        }
    }
    Ok(columns)
}

/// Whether a column is declared `AS PROCTIME()`.
fn is_proctime(column: &ColumnDef) -> bool {
    match &column.kind {
        ColumnDefKind::Computed(ast::Expr::Function(function)) => {
            function.name.to_string().eq_ignore_ascii_case("PROCTIME")
        }
        _ => false,
    }
}

/// The type of `PROCTIME()`: `TIMESTAMP_LTZ(3)`.
fn proctime_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn is_zoned(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(_)))
}

/// The watermark of rows stamped with the time they were taken: more of the same ms may come.
fn before_now(proctime: usize) -> Expr {
    let ms = ScalarValue::new_interval_mdn(0, 0, 1_000_000);
    place(proctime) - Expr::Literal(ms, None)
}

/// Name → expression over places, type, nullability of a projection over a scan.
fn projected(plan: &LogicalPlan, places: &[Expr]) -> Result<BTreeMap<String, (Expr, DataType, bool)>> {
    let LogicalPlan::Projection(projection) = plan else {
        return Err(Error::internal("computed columns are no projection"));
    };
    let mut compiled = BTreeMap::new();
    for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
        let resolved = resolve(unaliased(expr), projection.input.schema(), places)?;
        compiled.insert(field.name().clone(), (resolved, field.data_type().clone(), field.is_nullable()));
    }
    Ok(compiled)
}

fn watermark(
    create: &CreateTable,
    spec: &TableSpec,
    planner: &Planner<'_>,
) -> Result<Option<(usize, Expr)>, Vec<Error>> {
    let Some(watermark) = &create.watermark else { return Ok(None) };
    let name = &watermark.column;
    let Some(rowtime) = spec.columns.iter().position(|c| c.name == name.value) else {
        return Err(vec![
            Error::sql(format!("column \"{}\" of WATERMARK FOR is not declared", name.value))
                .at(name.span)
                .nearest(&name.value, spec.columns.iter().map(|c| c.name.as_str())),
        ]);
    };
    let column = &spec.columns[rowtime];
    if !matches!(column.data_type, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _)) {
        let error = Error::sql(format!("column \"{}\" of WATERMARK FOR has the type {}", name.value, column.sql_type))
            .detail("Event time has the type TIMESTAMP(3) or TIMESTAMP_LTZ(3).")
            .at(name.span);
        return Err(vec![match column.data_type {
            DataType::Timestamp(..) => error.hint(format!("declare \"{} TIMESTAMP(3)\"", name.value)),
            DataType::Utf8 => error.hint(format!(
                "add a computed column, event_time AS TO_TIMESTAMP({}), and write WATERMARK FOR event_time",
                name.value
            )),
            _ => error.hint(format!(
                "add a computed column, event_time AS TO_TIMESTAMP_LTZ({}, 3), and write WATERMARK FOR event_time",
                name.value
            )),
        }]);
    }
    let schema = spec.schema();
    let places: Vec<Expr> = (0..schema.fields().len()).map(place).collect();
    let source: Arc<dyn TableSource> = Arc::new(Relation { schema, rowtime: None, view: None, table: None });
    let exprs = [("watermark".to_owned(), watermark.expr.clone())];
    let plan = planner.expressions(&spec.name, source, &exprs)?;
    let compiled = projected(&plan, &places).map_err(|e| vec![e])?;
    match compiled.into_values().next() {
        Some((expr, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone), _))
            if zone.is_some() == is_zoned(&column.data_type) =>
        {
            Ok(Some((rowtime, expr)))
        }
        Some((_, other, _)) => Err(vec![
            Error::sql(format!(
                "a watermark must be a time stamp like its column, this expression has the type {}",
                flink_type(&other)
            ))
            .at(span_of(&watermark.expr).unwrap_or(watermark.span))
            .hint(format!("write {0} - INTERVAL '5' SECOND", name.value)),
        ]),
        None => Err(vec![Error::internal("a watermark without an expression")]),
    }
}
