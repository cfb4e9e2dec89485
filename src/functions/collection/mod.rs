//! Arrays, maps and rows: constructors, access, and Flink's functions over them.
//!
//! Arguments come as they are; a kernel first casts them to the type its result says ([`types::common`]), so that
//! `ARRAY[1, 2.5]` is an array of decimals. Items are compared in arrow's row form, where NULL equals NULL.

mod access;
mod array;
mod compare;
mod construct;
pub(in crate::functions) mod lists;
mod map;
mod order;
pub(super) mod syntax;
pub(in crate::functions) mod types;

use super::scalar::Entry;

/// The functions of this folder, by file.
pub(super) const ENTRIES: &[&[Entry]] =
    &[construct::ENTRIES, access::ENTRIES, compare::ENTRIES, array::ENTRIES, order::ENTRIES, map::ENTRIES];

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::types::{list_of, map_of, row_of};
    use crate::functions::tests::{check, check_error, check_type};

    #[test]
    fn constructors_share_a_type_and_access_counts_from_one() {
        check(
            "UTC",
            &[
                ("ARRAY[n, NULL, 3]", "[-2, NULL, 3]"),
                ("ARRAY[ARRAY[n], ARRAY[b, NULL]]", "[[-2], [7, NULL]]"),
                ("__map('a', n, 'b', NULL, 'a', 5)", "{a=-2, b=NULL, a=5}"),
                ("row(n, s, NULL, ARRAY[1])", "(-2, Pump-Station 7, NULL, [1])"),
                ("__item(ARRAY['x', 'y'], 2)", "y"),
                ("__item(ARRAY['x', 'y'], 3)", "NULL"),
                ("__item(ARRAY['x', 'y'], n)", "NULL"),
                ("__item(__map('k', 1), 'k')", "1"),
                ("__item(__map('k', 1), s)", "NULL"),
                ("__item(__map(1, 'x'), n + 3)", "x"),
                ("__field(row(n, s), 'EXPR$1')", "Pump-Station 7"),
                ("CARDINALITY(ARRAY[1, NULL])", "2"),
                ("CARDINALITY(__map('a', NULL, 'b', 1))", "2"),
                ("ELEMENT(ARRAY[n])", "-2"),
            ],
        );
        check_type("ARRAY[n, b]", &list_of(DataType::Int64));
        check_type("__map(COALESCE(s, ''), n)", &map_of(DataType::Utf8, DataType::Int32));
        check_type(
            "row(n, s)",
            &row_of([("EXPR$0".to_owned(), DataType::Int32), ("EXPR$1".to_owned(), DataType::Utf8)]),
        );
        check_error("ARRAY[n, s]", "does not take");
        check_error("__map(s, n, s)", "does not take");
        check_error("ELEMENT(ARRAY[1, 2])", "with 2 elements");
        check_error("ARRAY[n][0]", "there is no [0]");
    }

    #[test]
    fn arrays_as_sets_and_sequences() {
        check(
            "UTC",
            &[
                ("ARRAY_CONTAINS(ARRAY[1, NULL], NULL)", "TRUE"),
                ("ARRAY_CONTAINS(ARRAY['a'], s)", "FALSE"),
                ("ARRAY_POSITION(ARRAY[1, 3, 3], 3)", "2"),
                ("ARRAY_POSITION(ARRAY[1], 5)", "0"),
                ("ARRAY_POSITION(ARRAY[1, NULL], NULL)", "NULL"),
                ("ARRAY_REMOVE(ARRAY[1, NULL, 3, 1], 1)", "[NULL, 3]"),
                ("ARRAY_REMOVE(ARRAY[1, NULL], NULL)", "[1]"),
                ("ARRAY_APPEND(ARRAY[n], NULL)", "[-2, NULL]"),
                ("ARRAY_PREPEND(ARRAY[n], 0)", "[0, -2]"),
                ("ARRAY_DISTINCT(ARRAY[1, 2, 1, NULL, NULL, 3])", "[1, 2, NULL, 3]"),
                ("ARRAY_DISTINCT(ARRAY[row(1, 2), row(1, 2)])", "[(1, 2)]"),
                ("ARRAY_REVERSE(ARRAY[1, NULL, 3])", "[3, NULL, 1]"),
                ("ARRAY_UNION(ARRAY[1, 2, 2, NULL], ARRAY[2, 3, NULL])", "[1, 2, NULL, 3]"),
                ("ARRAY_EXCEPT(ARRAY[3, 1, 2, 2, 1], ARRAY[2])", "[3, 1]"),
                ("ARRAY_INTERSECT(ARRAY[1, 1, 2, NULL], ARRAY[NULL, 2, 1, 1])", "[1, 2, NULL]"),
                ("ARRAY_CONCAT(ARRAY[1], ARRAY[2, NULL], ARRAY[n])", "[1, 2, NULL, -2]"),
                ("ARRAY_CONCAT(ARRAY[1], NULL)", "NULL"),
            ],
        );
        check_error("ARRAY_CONTAINS(ARRAY[1], 'a')", "does not take");
        check_error("ARRAY_UNION(ARRAY[1], 5)", "does not take");
    }

    #[test]
    fn slices_count_from_both_ends() {
        for (bounds, want) in [
            ("2, 4", "[2, 3, 4]"),
            ("-3, -1", "[3, 4, 5]"),
            ("3", "[3, 4, 5]"),
            ("0, 2", "[1, 2]"),
            ("3, 2", "[]"),
            ("6, 9", "[]"),
            ("-9, 2", "[1, 2]"),
            ("2, 9", "[2, 3, 4, 5]"),
            ("0, 0", "[1]"),
            ("NULL, 2", "NULL"),
        ] {
            check("UTC", &[(&format!("ARRAY_SLICE(ARRAY[1, 2, 3, 4, 5], {bounds})"), want)]);
        }
    }

    #[test]
    fn order_and_text_of_arrays() {
        check(
            "UTC",
            &[
                ("ARRAY_SORT(ARRAY[3, NULL, 1])", "[NULL, 1, 3]"),
                ("ARRAY_SORT(ARRAY[3, NULL, 1], FALSE)", "[3, 1, NULL]"),
                ("ARRAY_SORT(ARRAY[3, NULL, 1], TRUE, FALSE)", "[1, 3, NULL]"),
                ("ARRAY_SORT(ARRAY[3, NULL, 1], FALSE, TRUE)", "[NULL, 3, 1]"),
                ("ARRAY_SORT(ARRAY[3, 1], NULL)", "NULL"),
                ("ARRAY_SORT(ARRAY['b', 'B', 'ä', 'a'])", "[B, a, b, ä]"),
                ("ARRAY_MAX(ARRAY[n, NULL, 3])", "3"),
                ("ARRAY_MIN(ARRAY['b', s])", "Pump-Station 7"),
                ("ARRAY_JOIN(ARRAY['a', NULL, 'c'], ',')", "a,c"),
                ("ARRAY_JOIN(ARRAY['a', NULL, 'c'], ',', '?')", "a,?,c"),
                ("ARRAY_JOIN(ARRAY['a', NULL], ',', NULL)", "NULL"),
            ],
        );
        check_error("ARRAY_MAX(ARRAY[ARRAY[1]])", "does not take");
    }

    #[test]
    fn casts_go_inside_and_a_part_that_fails_makes_the_whole_null() {
        let to = |from: &str, to: &str| format!("flink_cast({from}, arrow_cast(NULL, '{to}'))");
        let try_to = |from: &str, to: &str| format!("flink_try_cast({from}, arrow_cast(NULL, '{to}'))");
        check(
            "UTC",
            &[
                (&to("ARRAY[n, NULL]", "List(nullable Utf8)"), "[-2, NULL]"),
                (&to("row(n, s)", "Struct(\"a\": nullable Utf8, \"b\": nullable Utf8)"), "(-2, Pump-Station 7)"),
                (&try_to("ARRAY['1', 'x']", "List(nullable Int32)"), "NULL"),
                (&try_to("ARRAY['1', NULL]", "List(nullable Int32)"), "[1, NULL]"),
            ],
        );
        check_error(&to("ARRAY['1', 'x']", "List(nullable Int32)"), "\"x\" cannot be cast");
        check_error(&to("row(1)", "Struct(\"a\": nullable Utf8, \"b\": nullable Utf8)"), "1 fields");
    }

    #[test]
    fn maps_and_equality() {
        check(
            "UTC",
            &[
                ("MAP_KEYS(__map('b', 1, 'a', 2))", "[b, a]"),
                ("MAP_KEYS(__map(NULL, 1, 'a', 2))", "[NULL, a]"),
                ("MAP_ENTRIES(__map(NULL, 1, 'a', 2))", "[(NULL, 1), (a, 2)]"),
                ("flink_cast_string(__map(NULLIF('a', 'a'), 1, 'b', 2))", "{NULL=1, b=2}"),
                ("__item(__map(NULLIF('a', 'a'), 1), NULLIF('a', 'a'))", "NULL"),
                ("CARDINALITY(__map(NULLIF('a', 'a'), 1, NULLIF('b', 'b'), 2))", "2"),
                ("__equal(__map(NULLIF('a', 'a'), 1, 'a', 2), __map('a', 2, NULLIF('a', 'a'), 1))", "TRUE"),
                ("MAP_UNION(__map(NULLIF('a', 'a'), 1), __map(NULLIF('a', 'a'), 2))", "{NULL=2}"),
                ("MAP_VALUES(__map('b', 1, 'a', NULL))", "[1, NULL]"),
                ("MAP_ENTRIES(__map('b', 1, 'a', NULL))", "[(b, 1), (a, NULL)]"),
                ("MAP_FROM_ARRAYS(ARRAY['a', 'b', 'a'], ARRAY[1, NULL, 3])", "{a=1, b=NULL, a=3}"),
                ("MAP_UNION(__map('a', 1, 'b', 2), __map('b', 3, 'c', 4))", "{b=3, c=4, a=1}"),
                ("__equal(ARRAY[1, NULL], ARRAY[1, NULL])", "TRUE"),
                ("__not_equal(ARRAY[n, 2], ARRAY[b, 2])", "TRUE"),
                ("__equal(__map('a', 1, 'b', 2), __map('b', 2, 'a', 1))", "TRUE"),
                ("__equal(ARRAY[__map('a', 1, 'b', 2)], ARRAY[__map('b', 2, 'a', 1)])", "TRUE"),
                ("__equal(ARRAY[__map('a', 1, 'b', 2)], ARRAY[__map('b', 1, 'a', 2)])", "FALSE"),
                (
                    "__equal(__map('x', row(1, __map(1, 'a', 2, NULL))), __map('x', row(1, __map(2, NULL, 1, 'a'))))",
                    "TRUE",
                ),
                ("ARRAY_DISTINCT(ARRAY[__map('b', 1, 'a', 2), __map('a', 2, 'b', 1)])", "[{b=1, a=2}]"),
                ("ARRAY_POSITION(ARRAY[__map('c', 3), __map('b', 1, 'a', 2)], __map('a', 2, 'b', 1))", "2"),
                ("__equal(row(1, NULL), row(1, NULL))", "TRUE"),
                ("__equal(row(1, NULL), row(1, 2))", "FALSE"),
                ("__equal_fields(row(1, s), row(1, 'x'))", "FALSE"),
                ("__equal_fields(row(1, NULL, 'x'), row(1, 2, 'x'))", "NULL"),
                ("__equal_fields(row(1, NULL), row(2, 2))", "FALSE"),
            ],
        );
        check_error("MAP_FROM_ARRAYS(ARRAY['a'], ARRAY[1, 2])", "1 keys and 2 values");
    }
}
