//! Functions with Flink's names, types and results. The lists of entries are the functions; a name not on them is
//! refused, with the nearest one, even if DataFusion has a function of that name.
//!
//! To add a function, add its entry (contract, signature, kernel over whole columns, doc) to the file of its theme.

mod aggregate;
mod cast;
mod collection;
mod condition;
mod decimal;
mod json;
mod math;
mod regex;
mod scalar;
mod text;
mod time;
mod watermark;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, TableReference};
use datafusion::functions::core::{coalesce, nullif};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF};

use crate::error::Result;
use crate::time::zone::Zone;

/// What functions depend on besides their arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionContext {
    /// The session's zone, `table.local-time-zone`: `UTC`, `Europe/Berlin` or `GMT+02:00`.
    pub time_zone: String,
}

/// The lists of scalar functions, by theme.
const SCALARS: &[&[scalar::Entry]] =
    &[math::ENTRIES, decimal::ENTRIES, text::ENTRIES, time::ENTRIES, cast::ENTRIES, cast::length::ENTRIES, json::ENTRIES, watermark::ENTRIES];

/// The lists of themes with files of their own.
const FOLDERS: &[&[&[scalar::Entry]]] = &[collection::ENTRIES];

/// All entries of scalar functions.
fn scalar_entries() -> impl Iterator<Item = &'static scalar::Entry> {
    let folders = FOLDERS.iter().copied().flatten();
    SCALARS.iter().chain(folders).copied().flatten()
}

/// Functions of Flink that are not supported yet, and what to do instead.
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
    ("PROCTIME", "processing time is not supported; use an event time with a watermark"),
    ("CONVERT_TZ", "not yet"),
    ("MD5", "not yet"),
    ("SHA1", "not yet"),
    ("SHA224", "not yet"),
    ("SHA256", "not yet"),
    ("SHA384", "not yet"),
    ("SHA512", "not yet"),
    ("SHA2", "not yet"),
    ("TO_BASE64", "not yet"),
    ("FROM_BASE64", "not yet"),
    ("ENCODE", "not yet"),
    ("DECODE", "not yet"),
    ("HEX", "not yet"),
    ("UNHEX", "not yet"),
    ("BIN", "not yet"),
    ("OVERLAY", "use SUBSTRING and ||"),
    ("TRANSLATE", "use REPLACE"),
    ("REGEXP_COUNT", "not yet"),
    ("REGEXP_EXTRACT_ALL", "use REGEXP_EXTRACT"),
    ("REGEXP_INSTR", "not yet"),
    ("REGEXP_SUBSTR", "use REGEXP_EXTRACT"),
    ("SPLIT", "use SPLIT_INDEX"),
    ("STR_TO_MAP", "use SPLIT_INDEX or REGEXP_EXTRACT"),
    ("PARSE_URL", "use REGEXP_EXTRACT"),
    ("URL_ENCODE", "not yet"),
    ("URL_DECODE", "not yet"),
    ("TYPEOF", "\"streamer explain\" prints the types"),
    ("APPROX_COUNT_DISTINCT", "use COUNT(DISTINCT …)"),
    ("PERCENTILE", "not yet"),
    ("GROUP_ID", "GROUPING SETS are not supported yet"),
    ("LEAD", "rows to come are not known on streams; use LAG"),
    ("PERCENT_RANK", "not yet"),
    ("CUME_DIST", "not yet"),
    ("NTILE", "not yet"),
    ("NTH_VALUE", "not yet"),
];

/// The scalar functions, under their lower-case Flink names; and what the planner writes for syntax of its own:
/// `date_part` (EXTRACT), `floor_to`, `ceil_to`, `decimal_divide`, `flink_cast`, `flink_try_cast`, `flink_cast_string`,
/// `flink_trim`, `flink_trim_pad`, `flink_check_length`.
///
/// COALESCE and NULLIF are DataFusion's: they have Flink's results. A zone that does not exist counts as UTC:
/// check it with [`check_time_zone`] where it is set.
pub fn scalar_functions(context: &FunctionContext) -> Vec<Arc<ScalarUDF>> {
    let zone = Arc::new(Zone::parse(&context.time_zone).unwrap_or(Zone::UTC));
    let own = scalar_entries().map(|entry| scalar::function(entry, &zone));
    own.chain(condition::functions()).chain([coalesce(), nullif()]).collect()
}

/// Whether a session zone exists.
///
/// # Errors
/// `Config` if it does not, with how zones are written.
pub fn check_time_zone(name: &str) -> Result<()> {
    Zone::parse(name).map(drop)
}

/// The aggregate functions, under their lower-case Flink names.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    aggregate::functions()
}

/// What the planner writes for syntax; no name of Flink.
const INTERNAL: &[&str] = &[
    "date_part",
    "decimal_divide",
    "floor_to",
    "ceil_to",
    "flink_cast",
    "flink_try_cast",
    "flink_cast_string",
    "flink_trim",
    "flink_trim_pad",
    "flink_check_length",
    "btrim",
    "strpos",
    "__array",
    "__map",
    "__item",
    "__field",
    "__equal",
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
    let all = scalars.chain(aggregates).chain(&others).filter(|name| !INTERNAL.contains(name));
    let mut all: Vec<String> = all.map(|name| name.to_uppercase()).collect();
    all.sort_unstable();
    all.dedup();
    all
});

/// One function of the reference: how it is written, and what it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDoc {
    /// `SUBSTRING(text, start [, length])`.
    pub usage: String,
    /// A sentence.
    pub doc: &'static str,
}

/// The reference of the functions that have entries, by theme.
pub fn reference() -> Vec<FunctionDoc> {
    let scalars = scalar_entries().map(|entry| (entry.usage.to_owned(), entry.doc));
    let aggregates = aggregate::ENTRIES.iter().map(|entry| (entry.usage(), entry.doc));
    let others = aggregate::other_docs().map(|(usage, doc)| (usage.to_owned(), doc));
    scalars.chain(aggregates).chain(others).map(|(usage, doc)| FunctionDoc { usage, doc }).collect()
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
