//! What is wrong with the window of an `OVER`, on syntax: its order and its frame. Each at the word it is about.

use datafusion::sql::sqlparser::ast::{
    Expr, UnaryOperator, Value, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec,
};

use crate::error::{Error, Span};
use crate::sql::interval::{self, Length};
use crate::sql::places::span_of;

const ROWS: &str = "write ROWS BETWEEN 99 PRECEDING AND CURRENT ROW";
const RANGE: &str = "write RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW";

/// What is wrong with an `OVER` window.
pub(super) fn over(spec: &WindowSpec, place: Option<Span>) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut wrong = |message: &str, place: Option<Span>, hint: &str| {
        errors.push(Error::sql(message).or_at(place).hint(hint));
    };
    match &spec.order_by[..] {
        [] => wrong(
            "OVER needs ORDER BY an event-time column",
            place,
            "write OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 99 PRECEDING AND CURRENT ROW)",
        ),
        [one] => {
            if one.options.asc == Some(false) {
                wrong(
                    "OVER with ORDER BY … DESC is not supported on streams",
                    span_of(one),
                    "rows come in ascending time: write ORDER BY ts",
                );
            }
        }
        [_, second, ..] => {
            wrong("OVER orders by one column only, the event time", span_of(second), "leave the other columns out")
        }
    }
    errors.extend(spec.window_frame.as_ref().and_then(|frame| of_frame(frame, place)));
    errors
}

fn of_frame(frame: &WindowFrame, place: Option<Span>) -> Option<Error> {
    let bound = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(Some(expr)) | WindowFrameBound::Following(Some(expr)) => span_of(expr.as_ref()),
        _ => None,
    };
    let start = bound(&frame.start_bound);
    let at = start.or_else(|| frame.end_bound.as_ref().and_then(bound)).or(place);
    if frame.units == WindowFrameUnits::Groups {
        let error = Error::sql("OVER counts ROWS, or takes a RANGE of time: GROUPS is not supported");
        return Some(error.or_at(at).hint(format!("{ROWS}; or {RANGE}")));
    }
    let ends_here = matches!(frame.end_bound, None | Some(WindowFrameBound::CurrentRow));
    match &frame.start_bound {
        WindowFrameBound::Preceding(length) if ends_here => {
            let length = length.as_deref()?;
            let error = match frame.units {
                WindowFrameUnits::Rows => rows(length),
                _ => range(length),
            };
            error.map(|error| error.or_at(span_of(length)).or_at(place))
        }
        _ => Some(
            Error::sql("the frame of OVER must start before the current row and end with it")
                .or_at(at)
                .hint("write BETWEEN … PRECEDING AND CURRENT ROW"),
        ),
    }
}

/// What is wrong with the number before `PRECEDING` in a frame of ROWS.
fn rows(length: &Expr) -> Option<Error> {
    match length {
        Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n.parse::<u64>().is_ok()) => None,
        Expr::Interval(_) => Some(Error::sql("ROWS counts rows, and a length of time stands behind it").hint(RANGE)),
        _ => Some(
            Error::sql(format!("the number of ROWS must be a whole number from 0, and \"{length}\" is none"))
                .hint(ROWS),
        ),
    }
}

/// What is wrong with the length before `PRECEDING` in a frame of RANGE.
fn range(length: &Expr) -> Option<Error> {
    let (interval, negated) = match length {
        Expr::Interval(interval) => (interval, false),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Interval(interval) => (interval, true),
            _ => return Some(no_interval(length)),
        },
        _ => return Some(no_interval(length)),
    };
    match interval::parse(interval) {
        Ok(Length::Millis(ms)) if ms == 0 || (ms > 0) != negated => None,
        Ok(Length::Millis(_)) => {
            Some(Error::sql("the RANGE of OVER must reach back, and its length is negative").hint(RANGE))
        }
        Ok(Length::Months(_)) => Some(
            Error::sql("the RANGE of OVER cannot be months or years long, because these differ in length")
                .hint("write a number of days: RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND CURRENT ROW"),
        ),
        Err(error) => Some(error),
    }
}

fn no_interval(length: &Expr) -> Error {
    Error::sql(format!("a RANGE is a length of time, and \"{length}\" is no INTERVAL"))
        .hint(format!("{RANGE}; or {ROWS}"))
}
