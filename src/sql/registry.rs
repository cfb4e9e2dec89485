//! The functions that scripts can call, as they behave in the session's time zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::functions_window::nth_value::{first_value_udwf, last_value_udwf};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use crate::functions::{self, FunctionContext};

/// The functions a script can call, by lower-case name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    pub(super) scalar: BTreeMap<String, Arc<ScalarUDF>>,
    pub(super) aggregate: BTreeMap<String, Arc<AggregateUDF>>,
    pub(super) window: BTreeMap<String, Arc<WindowUDF>>,
    /// EXTRACT, POSITION, SUBSTRING … FROM, `ARRAY[…]`, `a[i]`, `r.f`.
    pub(super) syntax: Option<Arc<dyn ExprPlanner>>,
}

impl Registry {
    /// All functions, as they behave in `time_zone`.
    pub(crate) fn new(time_zone: &str) -> Self {
        let context = FunctionContext { time_zone: time_zone.to_owned() };
        let mut registry = Self { syntax: Some(functions::syntax_planner(&context)), ..Self::default() };
        for function in functions::scalar_functions(&context) {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                registry.scalar.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        // DataFusion's planner takes no aggregates of these names with OVER; ours stand in for them afterwards
        for function in [first_value_udwf(), last_value_udwf()] {
            registry.window.insert(function.name().to_owned(), function);
        }
        for function in functions::aggregate_functions() {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                registry.aggregate.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        registry
    }

    /// Also the ranking functions of DataFusion, which need the whole input: for ad-hoc queries.
    pub(crate) fn with_window_functions(mut self, functions: impl IntoIterator<Item = Arc<WindowUDF>>) -> Self {
        for function in functions {
            // DataFusion's planner would take ours, which are for streams
            self.aggregate.remove(function.name());
            self.window.insert(function.name().to_owned(), function);
        }
        self
    }

    /// Whether `name` (any case) can be called.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.scalar.contains_key(&name) || self.aggregate.contains_key(&name) || self.window.contains_key(&name)
    }

    /// Whether `name` (any case) is an aggregate.
    pub(crate) fn is_aggregate(&self, name: &str) -> bool {
        self.aggregate.contains_key(&name.to_lowercase())
    }

    /// An aggregate.
    pub(crate) fn aggregate(&self, name: &str) -> Option<&Arc<AggregateUDF>> {
        self.aggregate.get(name)
    }

    /// A scalar function.
    pub(crate) fn scalar(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.scalar.get(name)
    }
}
