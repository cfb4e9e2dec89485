//! Aggregates with Flink's result types. The idea: a function is a [`Fold`] (add, merge, finish) over one state
//! per group, and everything DataFusion wants — accumulator, groups accumulator, state columns — follows from it.
//!
//! Invariants: `merge` into an empty state copies the other bit for bit, so state may be stored and taken back
//! any number of times without changing a result; state columns are plain Arrow types; NULL input is skipped;
//! no state retracts, because taking a floating point value back out does not undo putting it in.

mod average;
mod collect;
mod extreme;
mod fold;
mod grouping;
mod ordinal;
mod pick;
mod sliding;
mod squares;
mod sum;
mod together;
mod variance;

#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use crate::error::Error;

/// One aggregate function: its contract and how to make its accumulators.
pub(super) struct Entry {
    /// Lower-case Flink name.
    pub(super) name: &'static str,
    /// Other names of the same function.
    pub(super) aliases: &'static [&'static str],
    /// The function.
    make: Making,
    /// Whether `DISTINCT` changes nothing.
    distinct_is_same: bool,
    /// What it returns, for people.
    pub(super) doc: &'static str,
}

/// How a function is made of the types of its arguments; `None`: Flink refuses them.
enum Making {
    /// Of its only argument.
    Value(fn(&DataType) -> Option<Box<dyn Make>>),
    /// As [`Making::Value`]; in OVER, where Flink computes it otherwise, by the second.
    ValueOrOver(fn(&DataType) -> Option<Box<dyn Make>>, fn(&DataType) -> Option<Box<dyn Make>>),
    /// Of what it is called with. The text is how it is written.
    Call(&'static str, fn(&Given<'_>) -> Option<Box<dyn Make>>),
}

impl Entry {
    /// How the function is written.
    pub(super) fn usage(&self) -> String {
        match self.make {
            Making::Value(make) | Making::ValueOrOver(make, _) => {
                let takes = if make(&DataType::Utf8).is_some() { "value" } else { "number" };
                format!("{}({takes})", self.name.to_uppercase())
            }
            Making::Call(usage, _) => usage.to_owned(),
        }
    }
}

/// What an aggregate is called with.
struct Given<'a> {
    types: &'a [DataType],
    /// Texts written out as arguments, by place; unknown while only the types are.
    constants: Vec<Option<String>>,
    distinct: bool,
    ignore_nulls: bool,
}

impl Given<'_> {
    fn constant(&self, index: usize) -> Option<&str> {
        self.constants.get(index)?.as_deref()
    }
}

/// An aggregate function over known arguments.
trait Make: Send + Sync {
    /// Type of the result.
    fn result_type(&self) -> DataType;
    /// Names and types of the state columns.
    fn state_types(&self) -> Vec<(&'static str, DataType)>;
    /// One group.
    fn accumulator(&self) -> Box<dyn Accumulator>;
    /// Many groups; `None`: one accumulator per group will do.
    fn groups(&self) -> Option<Box<dyn GroupsAccumulator>>;
}

/// Every aggregate of ours. `COUNT` is DataFusion's: its type, NULL rule and integer state are Flink's.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "sum",
        aliases: &[],
        make: Making::Value(sum::make),
        distinct_is_same: false,
        doc: "Sum in the type of the argument: integers wrap, DECIMAL(p, s) gives DECIMAL(38, s) and NULL beyond it. \
              NULL if there is no value.",
    },
    Entry {
        name: "avg",
        aliases: &[],
        make: Making::ValueOrOver(average::make, average::make_over),
        distinct_is_same: false,
        doc: "Mean in the type of the argument: integers are truncated, DECIMAL(p, s) gives DECIMAL(38, max(6, s)). \
              NULL if there is no value.",
    },
    Entry {
        name: "min",
        aliases: &[],
        make: Making::ValueOrOver(extreme::make_min, extreme::make_min_over),
        distinct_is_same: true,
        doc: "Smallest value; text by its UTF-8 bytes. NaN counts only as the first value, in OVER it is above every number. NULL if there is no value.",
    },
    Entry {
        name: "max",
        aliases: &[],
        make: Making::ValueOrOver(extreme::make_max, extreme::make_max_over),
        distinct_is_same: true,
        doc: "Largest value; text by its UTF-8 bytes. NaN counts only as the first value, in OVER it is above every number. NULL if there is no value.",
    },
    Entry {
        name: "var_pop",
        aliases: &[],
        make: Making::ValueOrOver(variance::make_var_pop, variance::make_var_pop_over),
        distinct_is_same: false,
        doc: "Population variance in the type of the argument (integers truncated, DECIMAL(38, max(6, s))); \
              exactly 0 for equal values, NULL if there is no value.",
    },
    Entry {
        name: "var_samp",
        aliases: &["variance"],
        make: Making::ValueOrOver(variance::make_var_samp, variance::make_var_samp_over),
        distinct_is_same: false,
        doc: "Sample variance, typed as VAR_POP; NULL for fewer than two values.",
    },
    Entry {
        name: "stddev_pop",
        aliases: &[],
        make: Making::ValueOrOver(variance::make_stddev_pop, variance::make_stddev_pop_over),
        distinct_is_same: false,
        doc: "Population standard deviation, the root of VAR_POP, in the same type.",
    },
    Entry {
        name: "stddev_samp",
        aliases: &["stddev"],
        make: Making::ValueOrOver(variance::make_stddev_samp, variance::make_stddev_samp_over),
        distinct_is_same: false,
        doc: "Sample standard deviation, the root of VAR_SAMP, in the same type; NULL for fewer than two values.",
    },
    Entry {
        name: "first_value",
        aliases: &[],
        make: Making::Value(pick::make_first),
        distinct_is_same: true,
        doc: "The first value that is not NULL, in order of arrival.",
    },
    Entry {
        name: "last_value",
        aliases: &[],
        make: Making::Value(pick::make_last),
        distinct_is_same: true,
        doc: "The last value that is not NULL, in order of arrival.",
    },
    Entry {
        name: "listagg",
        aliases: &[],
        make: Making::Call("LISTAGG([DISTINCT] text [, separator])", together::make_text),
        distinct_is_same: false,
        doc: "The texts with a separator between (a comma if none is given), in order of arrival; NULLs are skipped.",
    },
    Entry {
        name: "array_agg",
        aliases: &[],
        make: Making::Call("ARRAY_AGG([DISTINCT] value) [IGNORE NULLS]", together::make_array),
        distinct_is_same: false,
        doc: "The values as an array, in order of arrival; NULL if there is none.",
    },
    Entry {
        name: "collect",
        aliases: &[],
        make: Making::Call("COLLECT([DISTINCT] value)", together::make_multiset),
        distinct_is_same: false,
        doc: "The values as a multiset, which JSON writes as {\"value\": count}; NULLs are skipped.",
    },
    Entry {
        name: "json_objectagg",
        aliases: &[],
        make: Making::Call(
            "JSON_OBJECTAGG([KEY] name VALUE value [NULL | ABSENT ON NULL])",
            together::make_json_object,
        ),
        distinct_is_same: false,
        doc: "An object of names and values as text, with names in alphabetical order; a name that occurs twice is an \
              error.",
    },
    Entry {
        name: "json_arrayagg",
        aliases: &[],
        make: Making::Call("JSON_ARRAYAGG(value [NULL | ABSENT ON NULL])", together::make_json_array),
        distinct_is_same: false,
        doc: "An array of the values as text, in order of arrival; NULLs are left out unless NULL ON NULL is written.",
    },
];

/// The aggregate functions, by their lower-case names.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let own = ENTRIES.iter().map(|entry| Arc::new(AggregateUDF::new_from_impl(Aggregate::new(entry, false))));
    let others = [count_udaf(), Arc::new(grouping::function())];
    others.into_iter().chain(own).chain(ordinal::functions()).collect()
}

/// The function as OVER computes it, if that is another one.
pub(super) fn in_over(function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
    let aggregate = function.inner().downcast_ref::<Aggregate>()?;
    let differs = !aggregate.over && matches!(aggregate.entry.make, Making::ValueOrOver(..));
    differs.then(|| Arc::new(AggregateUDF::new_from_impl(Aggregate::new(aggregate.entry, true))))
}

/// Whether an aggregate is a variance or a standard deviation.
pub(super) fn is_variance(name: &str) -> bool {
    matches!(name, "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp")
}

/// How functions that are no [`Entry`] are written, and what they return.
pub(super) fn other_docs() -> impl Iterator<Item = (&'static str, &'static str)> {
    ordinal::DOCS.iter().copied().chain([grouping::DOC])
}

/// An [`Entry`] as DataFusion sees it.
struct Aggregate {
    entry: &'static Entry,
    /// As OVER computes it.
    over: bool,
    aliases: Vec<String>,
    signature: Signature,
}

impl Aggregate {
    fn new(entry: &'static Entry, over: bool) -> Self {
        Self {
            entry,
            over,
            aliases: entry.aliases.iter().map(|a| (*a).to_owned()).collect(),
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn make(&self, given: &Given<'_>) -> Result<Box<dyn Make>> {
        let name = self.entry.name.to_uppercase();
        let refused = || {
            let types: Vec<_> = given.types.iter().map(ToString::to_string).collect();
            Error::sql(format!("function \"{name}\" does not take ({})", types.join(", ")))
                .hint(format!("write {}", self.entry.usage()))
        };
        match (&self.entry.make, given.types) {
            (Making::Value(make) | Making::ValueOrOver(make, _), [one]) => {
                let make = match self.entry.make {
                    Making::ValueOrOver(_, over) if self.over => over,
                    _ => *make,
                };
                let plain = make(one).ok_or_else(|| {
                    Error::sql(format!("function \"{name}\" does not take an argument of type \"{one}\""))
                })?;
                let distinct = given.distinct && !self.entry.distinct_is_same;
                Ok(if distinct { together::distinct(plain, one) } else { plain })
            }
            (Making::Value(_) | Making::ValueOrOver(..), types) => {
                Err(Error::sql(format!("function \"{name}\" takes one argument, not {}", types.len())).into())
            }
            (Making::Call(_, make), _) => Ok(make(given).ok_or_else(refused)?),
        }
    }

    fn make_of_types(&self, types: &[DataType], distinct: bool) -> Result<Box<dyn Make>> {
        self.make(&Given { types, constants: Vec::new(), distinct, ignore_nulls: false })
    }

    fn make_for(&self, args: &AccumulatorArgs<'_>) -> Result<Box<dyn Make>> {
        let types: Vec<DataType> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        let text = |expr: &Arc<dyn PhysicalExpr>| {
            let literal = expr.downcast_ref::<Literal>()?;
            literal.value().try_as_str().flatten().map(str::to_owned)
        };
        let constants = args.exprs.iter().map(text).collect();
        self.make(&Given { types: &types, constants, distinct: args.is_distinct, ignore_nulls: args.ignore_nulls })
    }
}

impl std::fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.entry.name)
    }
}

/// A function is its name, and how it is computed: there is one entry per name.
impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        (self.entry.name, self.over) == (other.entry.name, other.over)
    }
}

impl Eq for Aggregate {}

impl Hash for Aggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.entry.name, self.over).hash(state);
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.entry.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether pieces must be merged in the order of their rows. What collects takes them in any.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.entry.name {
            "first_value" | "last_value" => AggregateOrderSensitivity::HardRequirement,
            _ => AggregateOrderSensitivity::Insensitive,
        }
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.entry.name == "array_agg"
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.make_of_types(types, false)?;
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.make_of_types(types, false)?.result_type())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types: Vec<DataType> = args.input_fields.iter().map(|field| field.data_type().clone()).collect();
        let make = self.make_of_types(&types, args.is_distinct)?;
        let field = |(part, data_type)| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        Ok(make.state_types().into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(self.make_for(&args)?.accumulator())
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(sliding::Sliding::new(self.make_for(&args)?)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.make_for(&args).is_ok_and(|make| make.groups().is_some())
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.make_for(&args)?.groups().ok_or_else(|| {
            Error::internal(format!("\"{}\" has no accumulator for many groups", self.entry.name)).into()
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }
}
