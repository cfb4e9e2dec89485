//! The operator alone: every kind of join, in batches of 1, of 3, and at once.

use super::*;
use crate::operators::testing::text;
use arrow::array::{Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};

/// A row of the stream `(id, k, x)`.
type Row = (i64, Option<i32>, Option<f64>);

const STREAM: [Row; 5] = [
    (1, Some(1), Some(0.0)),
    (2, Some(2), Some(-0.0)),
    (3, None, None),
    (4, Some(4), Some(f64::NAN)),
    (5, Some(1), Some(2.5)),
];

fn input(rows: &[Row]) -> RecordBatch {
    let schema = with_origin(&Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k", DataType::Int32, true),
        Field::new("x", DataType::Float64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(Int32Array::from_value(0, rows.len())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| 100 + row.0))),
        Arc::new(Int64Array::from_value(0, rows.len())),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

/// The constants `(c, n)`, or `(y, n)` with numbers that have a point.
fn constants(keys: ArrayRef, names: Vec<&str>) -> RecordBatch {
    let names: ArrayRef = Arc::new(StringArray::from(names));
    RecordBatch::try_from_iter_with_nullable([("c", keys, true), ("n", names, true)]).unwrap()
}

fn numbers() -> RecordBatch {
    constants(Arc::new(Int32Array::from(vec![Some(4), Some(1), None, Some(1)])), vec!["four", "one", "null", "uno"])
}

fn expr(name: &str, place: usize) -> PlanExpr {
    PlanExpr { expr: Arc::new(Column::new(name, place)), text: name.into() }
}

/// A join of the stream's column `value` with the first of the constants, keeping `id`.
fn plan(kind: JoinKind, value: Option<usize>, rows: RecordBatch) -> ConstantJoin {
    ConstantJoin {
        kind,
        rows,
        name: "constants".into(),
        kept: vec![0],
        keys: value.map(|place| (expr("value", place), expr("c", 0))).into_iter().collect(),
        unknown_joins: false,
        condition: None,
    }
}

#[test]
fn one_row_becomes_as_many_as_the_constants_of_one_key() {
    let rows =
        || constants(Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(1), None])), vec!["a", "b", "c", "d"]);
    let most = |kind, value| {
        let plan = plan(kind, value, rows());
        let schema = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
        let operator = ConstantJoinOperator::new(&plan, &schema).unwrap();
        operator.copies_max(&input(&STREAM))
    };
    assert_eq!(most(JoinKind::Inner, Some(1)), 2);
    assert_eq!(most(JoinKind::Left, None), 4);
    assert_eq!(most(JoinKind::Semi, None), 1);
}

/// What leaves, as `id constants`, in batches of these sizes; all of them agree.
fn run(plan: &ConstantJoin) -> Vec<String> {
    let mut fields = vec![Field::new("id", DataType::Int64, false)];
    if matches!(plan.kind, JoinKind::Inner | JoinKind::Left) {
        let constants = plan.rows.schema();
        fields.extend(constants.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)));
    }
    let schema = Schema::new(fields);
    let driven = |size: usize| {
        let mut operator = ConstantJoinOperator::new(plan, &schema).unwrap();
        let mut output = Output::default();
        for rows in STREAM.chunks(size) {
            operator.process(input(rows), &mut output).unwrap();
        }
        assert!(output.batches.iter().all(|batch| batch.num_rows() > 0), "an empty batch goes no further");
        for batch in &output.batches {
            let origin = crate::stream::Origin::of(batch).unwrap();
            let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            assert!(ids.iter().flatten().zip(origin.offset.values()).all(|(id, offset)| id + 100 == *offset));
        }
        let shown = output.batches.iter().flat_map(|batch| text(&crate::stream::without_origin(batch).unwrap()));
        shown.collect::<Vec<_>>()
    };
    let found = driven(STREAM.len());
    for size in [1, 3] {
        assert_eq!(driven(size), found, "in batches of {size}");
    }
    found
}

#[test]
fn rows_leave_with_their_partners_in_the_order_of_the_script() {
    let inner = ["1 1 one", "1 1 uno", "4 4 four", "5 1 one", "5 1 uno"];
    assert_eq!(run(&plan(JoinKind::Inner, Some(1), numbers())), inner);
    let left = ["1 1 one", "1 1 uno", "2 NULL NULL", "3 NULL NULL", "4 4 four", "5 1 one", "5 1 uno"];
    assert_eq!(run(&plan(JoinKind::Left, Some(1), numbers())), left);
    assert_eq!(run(&plan(JoinKind::Semi, Some(1), numbers())), ["1", "4", "5"]);
    assert_eq!(run(&plan(JoinKind::Anti, Some(1), numbers())), ["2", "3"]);
}

#[test]
fn without_keys_each_row_meets_all() {
    let two = || numbers().slice(1, 2);
    let crossed = run(&plan(JoinKind::Inner, None, two()));
    assert_eq!(crossed.len(), 2 * STREAM.len());
    assert_eq!(crossed[..3], ["1 1 one", "1 NULL null", "2 1 one"]);
    assert_eq!(run(&plan(JoinKind::Semi, None, two())).len(), STREAM.len());
    assert!(run(&plan(JoinKind::Anti, None, two())).is_empty());
}

#[test]
fn no_constants_join_nothing() {
    let none = || numbers().slice(0, 0);
    for value in [None, Some(1)] {
        assert!(run(&plan(JoinKind::Inner, value, none())).is_empty());
        assert!(run(&plan(JoinKind::Semi, value, none())).is_empty());
        assert_eq!(run(&plan(JoinKind::Left, value, none())).len(), STREAM.len());
        assert_eq!(run(&plan(JoinKind::Anti, value, none())).len(), STREAM.len());
    }
    let not_in = ConstantJoin { unknown_joins: true, ..plan(JoinKind::Anti, Some(1), none()) };
    assert_eq!(run(&not_in).len(), STREAM.len(), "NOT IN of nothing is true, for NULL, too");
}

#[test]
fn not_in_leaves_out_what_may_be_in() {
    let not_in = |rows| run(&ConstantJoin { unknown_joins: true, ..plan(JoinKind::Anti, Some(1), rows) });
    assert_eq!(not_in(numbers().slice(0, 2)), ["2"], "a NULL of the stream may be any of them");
    assert!(not_in(numbers()).is_empty(), "a NULL among them may be any row");
}

#[test]
fn a_condition_decides_on_pairs() {
    // id < c, over (id, c, n)
    let less = || -> Option<PlanExpr> {
        let casted = datafusion::physical_expr::expressions::cast(
            Arc::new(Column::new("c", 1)),
            &Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("c", DataType::Int32, true)]),
            DataType::Int64,
        );
        let less = BinaryExpr::new(Arc::new(Column::new("id", 0)), Op::Lt, casted.unwrap());
        Some(PlanExpr { expr: Arc::new(less), text: "id < c".into() })
    };
    let of = |kind, value| run(&ConstantJoin { condition: less(), ..plan(kind, value, numbers()) });
    assert_eq!(of(JoinKind::Inner, None), ["1 4 four", "2 4 four", "3 4 four"]);
    assert_eq!(of(JoinKind::Semi, None), ["1", "2", "3"]);
    assert_eq!(of(JoinKind::Anti, None), ["4", "5"]);
    assert_eq!(of(JoinKind::Left, None), ["1 4 four", "2 4 four", "3 4 four", "4 NULL NULL", "5 NULL NULL"]);
    assert!(of(JoinKind::Inner, Some(1)).is_empty(), "key and condition");
    assert_eq!(of(JoinKind::Anti, Some(1)).len(), STREAM.len());
    let not_in = ConstantJoin { condition: less(), unknown_joins: true, ..plan(JoinKind::Anti, Some(1), numbers()) };
    assert_eq!(run(&not_in), ["1", "2", "4", "5"], "the NULL of the stream may be 4, of which its id is less");
}

#[test]
fn keys_are_equal_if_their_bits_are() {
    let constants = || constants(Arc::new(Float64Array::from(vec![0.0, f64::NAN])), vec!["zero", "nan"]);
    assert_eq!(run(&plan(JoinKind::Inner, Some(2), constants())), ["1 0.0 zero", "4 NaN nan"]);
    assert_eq!(run(&plan(JoinKind::Anti, Some(2), constants())), ["2", "3", "5"]);
}

#[test]
fn many_pairs_leave_in_several_batches() {
    let many: ArrayRef = Arc::new(Int32Array::from_iter_values(0..5_000));
    let rows = constants(many, vec!["x"; 5_000]);
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("c", DataType::Int32, true),
        Field::new("n", DataType::Utf8, true),
    ]);
    let mut output = Output::default();
    let mut operator = ConstantJoinOperator::new(&plan(JoinKind::Left, None, rows), &schema).unwrap();
    operator.process(input(&STREAM), &mut output).unwrap();
    assert_eq!(output.rows(), 25_000);
    assert!(output.batches.len() > 2 && output.batches.iter().all(|batch| batch.num_rows() < BATCH_ROWS_MAX + 5_000));
}
