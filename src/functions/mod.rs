//! Functions with Flink's names, types and results. The lists of entries are the functions; a name not on them is
//! refused, with the nearest one, even if DataFusion has a function of that name.
//!
//! To add a function, add its entry (contract, signature, kernel over whole columns, doc) to the file of its theme.

mod aggregate;
mod bounded;
mod cast;
mod collection;
mod compare;
mod condition;
mod decimal;
mod encoding;
mod hash;
mod json;
mod math;
mod printf;
mod regex;
mod scalar;
mod text;
mod time;
mod url;
mod watermark;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, TableReference};
use datafusion::functions::core::nullif;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF};

use crate::error::{Result, Span};
use crate::time::zone::Zone;

/// What functions depend on besides their arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionContext {
    /// The session's zone, `table.local-time-zone`: `UTC`, `Europe/Berlin` or `GMT+02:00`.
    pub time_zone: String,
}

/// The lists of scalar functions, by theme as the reference shows them.
const SCALARS: &[(&str, &[scalar::Entry])] = &[
    ("Numbers", math::ENTRIES),
    ("Operators of DECIMAL", decimal::ENTRIES),
    ("Operators of DOUBLE", compare::ENTRIES),
    ("Text", text::ENTRIES),
    ("Text", printf::ENTRIES),
    ("Patterns", regex::ENTRIES),
    ("Encodings", encoding::ENTRIES),
    ("Hashes", hash::ENTRIES),
    ("URLs", url::ENTRIES),
    ("Time", time::ENTRIES),
    ("Time", time::ARITHMETIC),
    ("Time", watermark::ENTRIES),
    ("JSON", json::ENTRIES),
    ("Casts", cast::ENTRIES),
    ("Casts", cast::length::ENTRIES),
];

/// All lists of scalar functions, by theme.
fn scalar_lists() -> impl Iterator<Item = (&'static str, &'static [scalar::Entry])> {
    let collections = collection::ENTRIES.iter().map(|entries| ("Arrays, maps and rows", *entries));
    SCALARS.iter().copied().chain(collections)
}

/// All entries of scalar functions.
fn scalar_entries() -> impl Iterator<Item = &'static scalar::Entry> {
    scalar_lists().flat_map(|(_, entries)| entries.iter())
}

/// Functions of Flink that are not supported yet: why, or what to do instead, where there is something to say.
pub const UNSUPPORTED: &[(&str, &str)] = &[
    ("RAND", "its result changes with every run, which a restart could not repeat"),
    ("RAND_INTEGER", "its result changes with every run, which a restart could not repeat"),
    ("UUID", "its result changes with every run; make an id of columns with CONCAT_WS"),
    ("NOW", "use a time of the record, such as the metadata column \"timestamp\""),
    ("CURRENT_TIMESTAMP", "use a time of the record, such as the metadata column \"timestamp\""),
    ("CURRENT_ROW_TIMESTAMP", "use a time of the record, such as the metadata column \"timestamp\""),
    ("CURRENT_DATE", "use a time of the record, such as the metadata column \"timestamp\""),
    ("CURRENT_TIME", "use a time of the record, such as the metadata column \"timestamp\""),
    ("LOCALTIME", "use a time of the record, such as the metadata column \"timestamp\""),
    ("LOCALTIMESTAMP", "use a time of the record, such as the metadata column \"timestamp\""),
    ("APPROX_COUNT_DISTINCT", "use COUNT(DISTINCT …)"),
    ("PERCENTILE", "take the n-th value as ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("GROUP_ID", "use GROUPING_ID of the columns of GROUP BY"),
    ("LEAD", "rows to come are not known on streams; use LAG"),
    ("PERCENT_RANK", "how many rows come is not known on streams"),
    ("CUME_DIST", "how many rows come is not known on streams"),
    ("NTILE", "how many rows come is not known on streams"),
    ("NTH_VALUE", "take the n-th value as ARRAY_AGG(v)[n], or FIRST_VALUE and LAST_VALUE"),
];

/// Functions that other databases have under names of their own, and what Flink has for them.
pub const FOREIGN: &[(&str, &str)] = &[
    ("ANY_VALUE", "FIRST_VALUE(v)"),
    ("APPROX_PERCENTILE", "ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("ARRAY_LENGTH", "CARDINALITY(array)"),
    ("CHARINDEX", "LOCATE(search, text)"),
    ("CONTAINS", "text LIKE '%…%', or POSITION(search IN text) > 0"),
    ("COUNTIF", "COUNT(*) FILTER (WHERE condition)"),
    ("COUNT_IF", "COUNT(*) FILTER (WHERE condition)"),
    ("DATEADD", "TIMESTAMPADD(HOUR, n, time), or time + INTERVAL '1' HOUR"),
    ("DATEDIFF", "TIMESTAMPDIFF(HOUR, from, to)"),
    ("DATE_ADD", "TIMESTAMPADD(DAY, n, time), or time + INTERVAL '1' DAY"),
    ("DATE_DIFF", "TIMESTAMPDIFF(HOUR, from, to)"),
    ("DATE_SUB", "TIMESTAMPADD(DAY, -n, time), or time - INTERVAL '1' DAY"),
    ("DATE_TRUNC", "FLOOR(time TO HOUR)"),
    ("FORMAT", "PRINTF(format, …)"),
    ("GET_JSON_OBJECT", "JSON_VALUE(text, '$.path')"),
    ("GROUP_CONCAT", "LISTAGG(v, ', ')"),
    ("JSON_EXTRACT", "JSON_VALUE(text, '$.path')"),
    ("LEN", "CHAR_LENGTH(text)"),
    ("LENGTH", "CHAR_LENGTH(text)"),
    ("MEDIAN", "ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("NVL", "COALESCE(value, instead)"),
    ("PERCENTILE_CONT", "ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("PERCENTILE_DISC", "ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("QUANTILE", "ARRAY_SORT(ARRAY_AGG(v))[n]"),
    ("REGEXP_LIKE", "REGEXP(text, pattern)"),
    ("ROW_TO_JSON", "JSON_OBJECT('name' VALUE value, …)"),
    ("SIZE", "CARDINALITY(array)"),
    ("STD", "STDDEV_POP(v), or STDDEV_SAMP(v)"),
    ("STRING_AGG", "LISTAGG(v, ', ')"),
    ("SYSDATE", "a time of the record, such as the metadata column \"timestamp\""),
    ("GETDATE", "a time of the record, such as the metadata column \"timestamp\""),
    ("TIME_BUCKET", "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE))"),
    ("TO_CHAR", "DATE_FORMAT(time, 'yyyy-MM-dd')"),
    ("TO_JSON", "JSON_OBJECT('name' VALUE value, …)"),
    ("TO_NUMBER", "CAST(text AS DOUBLE)"),
    ("TO_VARCHAR", "CAST(value AS STRING)"),
];

/// The scalar functions, under their lower-case Flink names; and what the planner writes for syntax of its own: the
/// names of [`INTERNAL`] and those that [`operator_of`] knows.
///
/// NULLIF is DataFusion's, and so are the results of COALESCE: they are Flink's. A zone that does not exist counts as UTC:
/// check it with [`check_time_zone`] where it is set.
pub fn scalar_functions(context: &FunctionContext) -> Vec<Arc<ScalarUDF>> {
    let zone = Arc::new(Zone::parse(&context.time_zone).unwrap_or(Zone::UTC));
    let own = scalar_entries().map(|entry| scalar::function(entry, &zone));
    own.chain(condition::functions()).chain([condition::coalesce(), nullif()]).collect()
}

/// Whether a session zone exists.
///
/// # Errors
/// `Config` if it does not, with how zones are written.
pub fn check_time_zone(name: &str) -> Result<()> {
    Zone::parse(name).map(drop)
}

/// Whether EXTRACT, FLOOR and CEIL know a unit of time, in any case.
///
/// # Errors
/// `Sql` if not, with the nearest unit or all of them.
pub fn check_unit(name: &str) -> Result<()> {
    time::check_unit(name)
}

/// How a function is written, by its upper-case name.
pub fn usage(name: &str) -> Option<String> {
    let of = |known: &str| known.eq_ignore_ascii_case(name);
    let scalar = scalar_entries().find(|entry| of(entry.name) || entry.aliases.iter().any(|alias| of(alias)));
    let aggregate =
        || aggregate::ENTRIES.iter().find(|entry| of(entry.name) || entry.aliases.iter().any(|alias| of(alias)));
    scalar.map(|entry| entry.usage.to_owned()).or_else(|| aggregate().map(aggregate::Entry::usage)).or_else(|| {
        let others = condition::DOCS.iter().copied().chain(aggregate::other_docs());
        let mut usages = others.map(|(usage, _)| usage);
        usages.find(|usage| usage.split('(').next().is_some_and(of)).map(str::to_owned)
    })
}

/// The same function, told where it is called: what it says of a value has that place. `None` for functions that no
/// value can make fail.
pub fn placed(function: &ScalarUDF, place: Span) -> Option<Arc<ScalarUDF>> {
    scalar::placed(function, place)
}

/// The nature of a scalar function, by its own name.
fn nature_of(name: &str) -> scalar::Nature {
    scalar_entries().find(|entry| entry.name == name).map_or(scalar::Nature::Usual, |entry| entry.nature)
}

/// Whether what a function says of a wrong argument is about the row, and no mistake of the script.
pub fn fails_by_row(name: &str) -> bool {
    nature_of(name) == scalar::Nature::FailsByRow
}

/// The operator a function stands for that the planner wrote for it: to show it as it was written.
pub fn operator_of(name: &str) -> Option<&'static str> {
    compare::operator_of(name)
}

/// The aggregate functions, under their lower-case Flink names.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    aggregate::functions()
}

/// An aggregate function as OVER computes it, if that is another one.
pub fn in_over(function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
    aggregate::in_over(function)
}

/// Whether an aggregate is a variance or a standard deviation.
pub fn is_variance(name: &str) -> bool {
    aggregate::is_variance(name)
}

/// What the planner writes for syntax besides operators; no name of Flink.
const INTERNAL: &[&str] = &[
    "date_part",
    "floor_to",
    "ceil_to",
    "flink_cast",
    "flink_try_cast",
    "flink_cast_string",
    "flink_trim",
    "flink_trim_pad",
    "flink_check_length",
    "flink_cast_digits",
    "flink_digits",
    "strpos",
    "time_difference",
    "interval_add",
    "interval_subtract",
    "__array",
    "__map",
    "__multiset_items",
    "__item",
    "__field",
    "__equal",
    "__equal_fields",
    "__not_equal",
    "__is_json",
];

/// Whether the engine can follow a JSON path.
///
/// # Errors
/// `Sql` for a filter or a function in it.
pub fn check_json_path(path: &str) -> Result<()> {
    json::check_path(path)
}

/// Flink's names of all functions, in upper case: for "did you mean".
pub fn names() -> Vec<&'static str> {
    NAMES.iter().map(String::as_str).collect()
}

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let scalars = scalar_entries().flat_map(|entry| entry.aliases.iter().chain([&entry.name]));
    let aggregates = aggregate::ENTRIES.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.name]));
    let others = [
        "count",
        "if",
        "ifnull",
        "coalesce",
        "nullif",
        "grouping",
        "grouping_id",
        "lag",
        "rank",
        "dense_rank",
        "row_number",
    ];
    let flinks = |name: &&&str| !INTERNAL.contains(*name) && operator_of(name).is_none();
    let all = scalars.chain(aggregates).chain(&others).filter(flinks);
    let mut all: Vec<String> = all.map(|name| name.to_uppercase()).collect();
    all.sort_unstable();
    all.dedup();
    all
});

/// One function of the reference: how it is written, and what it returns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionDoc {
    /// What it is about.
    pub theme: &'static str,
    /// `SUBSTRING(text, start [, length])`.
    pub usage: String,
    /// A sentence.
    pub doc: &'static str,
}

/// The reference of the functions, by theme and usage; each usage once.
pub fn reference() -> Vec<FunctionDoc> {
    let scalars = scalar_lists().flat_map(|(theme, entries)| {
        let flinks = entries.iter().filter(|entry| !INTERNAL.contains(&entry.name));
        flinks.map(move |entry| FunctionDoc { theme, usage: entry.usage.to_owned(), doc: entry.doc })
    });
    let conditions =
        condition::DOCS.iter().map(|(usage, doc)| FunctionDoc { theme: "Conditions", usage: (*usage).to_owned(), doc });
    let aggregates = aggregate::ENTRIES.iter().map(|entry| FunctionDoc {
        theme: "Aggregates",
        usage: entry.usage(),
        doc: entry.doc,
    });
    let others =
        aggregate::other_docs().map(|(usage, doc)| FunctionDoc { theme: "Aggregates", usage: usage.to_owned(), doc });
    let mut all: Vec<FunctionDoc> = scalars.chain(conditions).chain(aggregates).chain(others).collect();
    // the first entry of a usage tells it; the sort keeps their order
    all.sort_by(|one, other| (one.theme, &one.usage).cmp(&(other.theme, &other.usage)));
    all.dedup_by(|one, other| one.theme == other.theme && one.usage == other.usage);
    all
}

/// Plans EXTRACT, POSITION, SUBSTRING … FROM, `ARRAY[…]`, `a[i]` and `r.f` to our functions: DataFusion's planners write its own ones,
/// whatever is registered under their names.
pub fn syntax_planner(context: &FunctionContext) -> Arc<dyn ExprPlanner> {
    let named = |name: &str| scalar_functions(context).into_iter().find(|function| function.name() == name);
    let collections = collection::syntax::Collections::new(named);
    Arc::new(Syntax {
        extract: named("date_part"),
        position: named("strpos"),
        substring: named("substring"),
        collections,
    })
}

#[derive(Debug)]
struct Syntax {
    extract: Option<Arc<ScalarUDF>>,
    position: Option<Arc<ScalarUDF>>,
    substring: Option<Arc<ScalarUDF>>,
    collections: collection::syntax::Collections,
}

fn planned(function: Option<&Arc<ScalarUDF>>, args: Vec<Expr>) -> PlannerResult<Vec<Expr>> {
    match function {
        Some(function) => PlannerResult::Planned(function.call(args)),
        None => PlannerResult::Original(args),
    }
}

impl ExprPlanner for Syntax {
    fn plan_extract(&self, args: Vec<Expr>) -> datafusion::error::Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(self.extract.as_ref(), args))
    }

    fn plan_position(&self, args: Vec<Expr>) -> datafusion::error::Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(self.position.as_ref(), args))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> datafusion::error::Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(self.substring.as_ref(), args))
    }

    fn plan_array_literal(&self, args: Vec<Expr>, _: &DFSchema) -> datafusion::error::Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(self.collections.array.as_ref(), args))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> datafusion::error::Result<PlannerResult<RawFieldAccessExpr>> {
        self.collections.access(access, schema)
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested: &[String],
    ) -> datafusion::error::Result<PlannerResult<Vec<Expr>>> {
        self.collections.compound(field, qualifier, nested)
    }
}
