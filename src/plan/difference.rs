//! What changed between two plans, in the words of the script: for a state that no longer fits.
//!
//! Both plans come as fingerprints ([`StreamPlan::fingerprint`](super::StreamPlan::fingerprint)), because a stored
//! one is nothing else. Only the message depends on this reading of them, never whether state fits. A statement goes by
//! the table it writes; of several that write one table, those that are alike belong together.

mod step;

use std::collections::BTreeSet;

use self::step::{Column, Statement, Step, statements};

/// Sentences shown of all that changed.
const SENTENCES_MAX: usize = 3;

/// Sentences with their weights: the weightiest, which come first, have the lowest.
type Changes = Vec<(u8, String)>;

/// What differs between two plans, as one or a few sentences without full stop at the end.
pub fn difference(stored: &str, now: &str) -> String {
    let (before, after) = (statements(stored), statements(now));
    let earlier = counterparts(&before, &after);
    // each once, though statements may share steps
    let mut found: BTreeSet<(u8, String)> = BTreeSet::new();
    for (place, _) in before.iter().enumerate().filter(|(place, _)| !earlier.contains(&Some(*place))) {
        found.insert((0, format!("{} is gone", title(&before, place))));
    }
    for (place, statement) in after.iter().enumerate() {
        let title = title(&after, place);
        match earlier.get(place).copied().flatten().and_then(|place| before.get(place)) {
            None => drop(found.insert((0, format!("{title} is new")))),
            Some(earlier) => found.extend(changes(&title, &earlier.steps, &statement.steps)),
        }
    }
    if found.is_empty() {
        return order(&after, &earlier);
    }
    let count = found.len();
    let shown: Vec<String> = found.into_iter().take(SENTENCES_MAX).map(|(_, sentence)| sentence).collect();
    let more = if count > SENTENCES_MAX { format!("; and {} more", count - SENTENCES_MAX) } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

/// For each statement of `after` the place of the one in `before` that it was: an equal one, else the most alike.
fn counterparts(before: &[Statement<'_>], after: &[Statement<'_>]) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; after.len()];
    for equal in [true, false] {
        for (place, statement) in after.iter().enumerate().filter(|(_, s)| !s.table.is_empty()) {
            if found.get(place).is_none_or(Option::is_some) {
                continue;
            }
            let free = before.iter().enumerate().filter(|(at, earlier)| {
                earlier.table == statement.table
                    && !found.contains(&Some(*at))
                    && (!equal || earlier.steps == statement.steps)
            });
            // of equally alike ones the first
            let best =
                free.max_by_key(|(at, earlier)| (alike(&earlier.steps, &statement.steps), std::cmp::Reverse(*at)));
            if let (Some((at, _)), Some(slot)) = (best, found.get_mut(place)) {
                *slot = Some(at);
            }
        }
    }
    found
}

/// How many steps two statements have in common.
fn alike(before: &[Step<'_>], after: &[Step<'_>]) -> usize {
    after.iter().filter(|step| before.iter().any(|b| (b.name, b.text) == (step.name, step.text))).count()
}

/// Two plans of the same statements: what is left is their order.
fn order(after: &[Statement<'_>], earlier: &[Option<usize>]) -> String {
    for (place, pair) in earlier.windows(2).enumerate() {
        if pair.first() > pair.get(1) {
            let (first, second) = (title(after, place), title(after, place + 1));
            return format!("the order of its statements: {first} now stands before {second}");
        }
    }
    "its statements share their steps in another way".to_owned()
}

/// The statement at `place`: `INSERT INTO o`, or `INSERT INTO o (2 of 3)`; a final SELECT writes a table "result".
fn title(statements: &[Statement<'_>], place: usize) -> String {
    let Some(statement) = statements.get(place) else { return String::new() };
    if statement.table == "result" {
        return "the SELECT".to_owned();
    }
    let same = |all: &[Statement<'_>]| all.iter().filter(|other| other.table == statement.table).count();
    let number = match same(statements) {
        1 => String::new(),
        all => format!(" ({} of {all})", same(statements.get(..=place).unwrap_or_default())),
    };
    format!("INSERT INTO {}{number}", statement.table)
}

fn changes(statement: &str, before: &[Step<'_>], after: &[Step<'_>]) -> Changes {
    let told = |steps: &[Step<'_>]| -> Vec<String> {
        steps.iter().filter(|s| !matches!(s.name, "Calc" | "Sink")).map(what).collect()
    };
    let (earlier, later) = (told(before), told(after));
    if earlier != later {
        let list = |mut steps: Vec<String>| {
            steps.reverse();
            steps.join(", ")
        };
        return vec![(1, format!("{statement} was made of {}, now of {}", list(earlier), list(later)))];
    }
    // the same steps besides filters and columns, and so as many
    let kept = |steps: &'_ [Step<'_>]| -> Vec<usize> {
        steps.iter().enumerate().filter(|(_, s)| s.name != "Calc").map(|(at, _)| at).collect()
    };
    let mut found = Changes::new();
    for (b, a) in kept(before).into_iter().zip(kept(after)) {
        if let (Some(earlier), Some(later)) = (before.get(b), after.get(a)) {
            let rowtimes = (rowtime(before, earlier), rowtime(after, later));
            found.extend(step_changes(statement, (earlier, later), &rowtimes));
        }
    }
    found.extend(filter_changes(statement, before, after));
    if found.is_empty() {
        found.extend(column_changes(statement, before, after));
    }
    if found.is_empty() && before != after {
        found.push((5, format!("how the steps of {statement} feed each other changed")));
    }
    found
}

fn filter_changes(statement: &str, before: &[Step<'_>], after: &[Step<'_>]) -> Option<(u8, String)> {
    let filters = |steps: &[Step<'_>]| -> Vec<String> {
        let calcs = steps.iter().filter(|s| s.name == "Calc");
        calcs.map(|calc| calc.list("where").to_owned()).filter(|filter| !filter.is_empty()).collect()
    };
    let shown = |filters: &[String]| match filters {
        [] => "no filter".to_owned(),
        all => format!("\"{}\"", all.join("\" and \"")),
    };
    let (from, to) = (filters(before), filters(after));
    (from != to).then(|| (3, format!("the filter of {statement} changed from {} to {}", shown(&from), shown(&to))))
}

/// The expressions that differ, where the rest is the same.
fn column_changes(statement: &str, before: &[Step<'_>], after: &[Step<'_>]) -> Option<(u8, String)> {
    let all = |steps: &[Step<'_>]| -> Vec<String> {
        let calcs = steps.iter().filter(|s| s.name == "Calc");
        calcs.flat_map(Step::projection).map(str::to_owned).collect()
    };
    let (from, to) = (all(before), all(after));
    if from == to {
        return None;
    }
    if from.len() != to.len() {
        return Some((4, format!("the columns that {statement} computes changed")));
    }
    let (from, to): (Vec<_>, Vec<_>) = from.into_iter().zip(to).filter(|(from, to)| from != to).unzip();
    let (from, to) = (from.join(", "), to.join(", "));
    Some((4, format!("what {statement} computes changed from \"{from}\" to \"{to}\"")))
}

/// The name of the column of event time that a step goes by.
fn rowtime(steps: &[Step<'_>], step: &Step<'_>) -> String {
    let place = step.rowtime();
    let columns = step.inputs.first().and_then(|at| steps.get(*at)).map(Step::columns).unwrap_or_default();
    let number = place.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
    number.and_then(|at| columns.get(at)).map_or(place, |column| column.name).to_owned()
}

/// A step as a noun.
fn what(step: &Step<'_>) -> String {
    match step.name {
        "Source" => format!("table {}", step.table()),
        "WindowAggregate" => "a window".to_owned(),
        "WindowAssign" => "the rows of a window".to_owned(),
        "WindowRank" => "a Top-N of windows".to_owned(),
        "WindowJoin" => "a join of windows".to_owned(),
        "OverAggregate" => "an OVER window".to_owned(),
        "Unnest" => "an UNNEST".to_owned(),
        "ConstantJoin" => "a join with constants".to_owned(),
        "Sort" => "an ORDER BY".to_owned(),
        "Union" => "a union".to_owned(),
        other => other.to_owned(),
    }
}

/// What changed in a step that stands in both plans; `rowtimes`: the columns of event time it goes by.
fn step_changes(
    statement: &str,
    (before, after): (&Step<'_>, &Step<'_>),
    (time, time_now): &(String, String),
) -> Changes {
    let mut found = Changes::new();
    let mut tell = |weight: u8, what: String, (from, to): (String, String)| {
        if from != to {
            found.push((weight, format!("{what} changed from {from} to {to}")));
        }
    };
    let list = |name: &str| (quoted(before.list(name)), quoted(after.list(name)));
    let windows = || (before.window(), after.window());
    let times = || (quoted(time), quoted(time_now));
    match before.name {
        "WindowAggregate" | "WindowAssign" => {
            tell(1, format!("the window of {statement}"), windows());
            tell(1, format!("the time of the window of {statement}"), times());
            tell(2, format!("the GROUP BY of {statement}"), list("keys"));
            tell(3, format!("what {statement} computes per window"), list("output"));
        }
        "OverAggregate" => {
            tell(1, format!("the frame of the OVER window of {statement}"), windows());
            tell(1, format!("the ORDER BY of the OVER window of {statement}"), times());
            tell(2, format!("the PARTITION BY of {statement}"), list("keys"));
            tell(3, format!("what {statement} computes with OVER"), list("calls"));
        }
        "WindowRank" => {
            tell(1, format!("the PARTITION BY of the Top-N of {statement}"), list("keys"));
            tell(1, format!("the ORDER BY of the Top-N of {statement}"), list("order"));
            let numbers = |step: &Step<'_>| step.list("rows").replace(", ", " to ");
            tell(1, format!("the rows that the Top-N of {statement} keeps"), (numbers(before), numbers(after)));
        }
        "WindowJoin" => {
            let kind = |step: &Step<'_>| step.text.split(' ').next().unwrap_or_default().to_uppercase();
            tell(1, format!("the join of {statement}"), (kind(before), kind(after)));
            tell(2, format!("the condition of the join of {statement}"), list("on"));
        }
        "ConstantJoin" => {
            let rows = |step: &Step<'_>| step.text.split(" keys=[").next().unwrap_or_default().to_owned();
            tell(1, format!("the join of {statement} with constants"), (rows(before), rows(after)));
            tell(2, format!("the keys of the join of {statement}"), list("keys"));
            tell(2, format!("the condition of the join of {statement}"), list("on"));
        }
        "Sort" => tell(1, format!("the ORDER BY of {statement}"), list("order")),
        "Source" => {
            let table = what(before);
            tell(1, format!("the watermark of {table}"), list("watermark"));
            tell(2, format!("the columns of {table}"), list("columns"));
        }
        "Sink" => {
            let refused = |step: &Step<'_>| {
                quoted(step.text.split_once(" without NULL in [").map_or("", |(_, rest)| rest.trim_end_matches(']')))
            };
            tell(
                2,
                format!("the columns of table {} that take no NULL", before.table()),
                (refused(before), refused(after)),
            );
        }
        _ => {}
    }
    if found.is_empty() {
        found.extend(schema_changes(statement, before, after));
    }
    found
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("\"{text}\"") }
}

/// What else may differ: names and types of columns, and what no sentence of its own is for.
fn schema_changes(statement: &str, before: &Step<'_>, after: &Step<'_>) -> Changes {
    let holder = match before.name {
        "Source" | "Sink" => format!("table {}", before.table()),
        _ => statement.to_owned(),
    };
    let (from, to) = (before.columns(), after.columns());
    let mut found = Changes::new();
    let names = |columns: &[Column<'_>]| columns.iter().map(|c| c.name.to_owned()).collect::<Vec<_>>().join(", ");
    if from.len() != to.len() || from.iter().zip(&to).any(|(b, a)| b.name != a.name) {
        found.push((3, format!("the columns of {holder} changed from \"{}\" to \"{}\"", names(&from), names(&to))));
        return found;
    }
    for (b, a) in from.iter().zip(&to) {
        if b.data_type != a.data_type {
            found.push((3, format!("column \"{}\" of {holder} has another type", b.name)));
        } else if b.nullable != a.nullable {
            let may = if a.nullable { "may be NULL now" } else { "may no longer be NULL" };
            found.push((3, format!("column \"{}\" of {holder} {may}", b.name)));
        }
    }
    if found.is_empty() && before.text != after.text {
        let shown = |step: &Step<'_>| quoted(step.text);
        found.push((4, format!("{} of {statement} changed from {} to {}", what(before), shown(before), shown(after))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = "0<-[] Source t columns=[a, ts, k] watermark=[ts - INTERVAL '5' SECOND] [Field { name: \"a\" }]\n\
        1<-[0] Calc [ts, k] where=[a > 3] [Field { name: \"ts\" }]\n\
        2<-[1] WindowAggregate TUMBLE($0, 30000 ms) keys=[k] output=[k, COUNT(*)] [Field { name: \"k\" }]\n\
        3<-[2] Sink o [Field { name: \"k\" }]\n\
        4<-[0] OverAggregate keys=[k] order=$1 frame=ROWS 99 calls=[AVG(a), arr[1]] [Field { name: \"k\" }]\n\
        5<-[4] Sink p [Field { name: \"k\" }]";

    #[test]
    fn changes_are_told_in_the_words_of_the_script() {
        let cases = [
            ("30000 ms", "60000 ms", "the window of INSERT INTO o changed from TUMBLE 30 s to TUMBLE 1 min"),
            (
                "TUMBLE($0, 30000 ms)",
                "HOP($0, slide 1500 ms, size 30000 ms)",
                "the window of INSERT INTO o changed from TUMBLE 30 s to HOP slide 1500 ms, size 30 s",
            ),
            (
                "TUMBLE($0, 30000 ms) keys=[k]",
                "TUMBLE($0, 30000 ms) keys=[k, a]",
                "the GROUP BY of INSERT INTO o changed from \"k\" to \"k, a\"",
            ),
            (
                "COUNT(*)",
                "SUM(a)",
                "what INSERT INTO o computes per window changed from \"k, COUNT(*)\" to \"k, SUM(a)\"",
            ),
            ("ROWS 99", "ROWS 49", "the frame of the OVER window of INSERT INTO p changed from ROWS 99 to ROWS 49"),
            (
                "arr[1]",
                "arr[2]",
                "what INSERT INTO p computes with OVER changed from \"AVG(a), arr[1]\" to \"AVG(a), arr[2]\"",
            ),
            ("a > 3", "a > 4", "the filter of INSERT INTO o changed from \"a > 3\" to \"a > 4\""),
            (" where=[a > 3]", "", "the filter of INSERT INTO o changed from \"a > 3\" to no filter"),
            (
                "'5' SECOND",
                "'9' SECOND",
                "the watermark of table t changed from \"ts - INTERVAL '5' SECOND\" to \"ts - INTERVAL '9' SECOND\"",
            ),
            ("Sink p", "Sink q", "INSERT INTO p is gone; INSERT INTO q is new"),
            (
                "4<-[0] OverAggregate keys=[k] order=$1 frame=ROWS 99 calls=[AVG(a), arr[1]]",
                "4<-[0] Union",
                "INSERT INTO p was made of table t, an OVER window, now of table t, a union",
            ),
            ("[ts, k]", "[ts, UPPER(k)]", "what INSERT INTO o computes changed from \"k\" to \"UPPER(k)\""),
            (
                "Sink o [Field { name: \"k\" }]",
                "Sink o [Field { name: \"l\" }]",
                "the columns of table o changed from \"k\" to \"l\"",
            ),
        ];
        for (from, to, expected) in cases {
            let now = STORED.replacen(from, to, 1);
            assert_ne!(now, STORED, "{from}");
            assert_eq!(difference(STORED, &now), expected);
        }
    }

    /// A set of three INSERTs into one table.
    const SET: &str = "0<-[] Source t columns=[a, ts] watermark=[ts] [Field { name: \"a\", data_type: Int32 }, Field { name: \"ts\", data_type: Utf8 }]\n\
        1<-[0] WindowAggregate TUMBLE($1, 60000 ms) keys=[] output=[COUNT(*)] [Field { name: \"n\" }]\n\
        2<-[1] Sink o [Field { name: \"n\", data_type: Int64 }]\n\
        3<-[0] WindowAggregate TUMBLE($1, 300000 ms) keys=[] output=[COUNT(*)] [Field { name: \"n\" }]\n\
        4<-[3] Sink o [Field { name: \"n\", data_type: Int64 }]\n\
        5<-[0] WindowRank end=$1 keys=[a] order=[ts DESC] rows=[1, 3] [Field { name: \"n\" }]\n\
        6<-[5] Sink o [Field { name: \"n\", data_type: Int64 }]\n\
        7<-[0] WindowJoin Inner keys=1 left=2, clock of Europe/Rome [Field { name: \"n\" }]\n\
        8<-[7] Sort time=$1 order=[a] [Field { name: \"n\" }]\n\
        9<-[8] Sink p without NULL in [n] [Field { name: \"n\", data_type: Int64 }]";

    #[test]
    fn statements_that_write_one_table_are_told_apart() {
        for (from, to, expected) in [
            ("60000 ms", "30000 ms", "the window of INSERT INTO o (1 of 3) changed from TUMBLE 1 min to TUMBLE 30 s"),
            ("300000 ms", "30000 ms", "the window of INSERT INTO o (2 of 3) changed from TUMBLE 5 min to TUMBLE 30 s"),
            (
                "TUMBLE($1, 3",
                "TUMBLE($0, 3",
                "the time of the window of INSERT INTO o (2 of 3) changed from \"ts\" to \"a\"",
            ),
            (
                "[1, 3]",
                "[1, 5]",
                "the rows that the Top-N of INSERT INTO o (3 of 3) keeps changed from 1 to 3 to 1 to 5",
            ),
            ("ts DESC", "a", "the ORDER BY of the Top-N of INSERT INTO o (3 of 3) changed from \"ts DESC\" to \"a\""),
            ("Join Inner", "Join Left", "the join of INSERT INTO p changed from INNER to LEFT"),
            (
                "left=2,",
                "left=2 on=[a > 1],",
                "the condition of the join of INSERT INTO p changed from nothing to \"a > 1\"",
            ),
            ("order=[a]", "order=[ts]", "the ORDER BY of INSERT INTO p changed from \"a\" to \"ts\""),
            (" without NULL in [n]", "", "the columns of table p that take no NULL changed from \"n\" to nothing"),
            ("data_type: Utf8", "data_type: Int8", "column \"ts\" of table t has another type"),
            (
                "6<-[5] Sink o [Field { name: \"n\", data_type: Int64 }]",
                "6<-[5] Sink o [Field { name: \"n\", data_type: Int64, nullable: true }]",
                "column \"n\" of table o may be NULL now",
            ),
            ("4<-[3] Sink o", "4<-[3] Sink q", "INSERT INTO o (2 of 3) is gone; INSERT INTO q is new"),
            (
                ", clock of Europe/Rome",
                "",
                "a join of windows of INSERT INTO p changed from \"Inner keys=1 left=2, clock of Europe/Rome\" to \"Inner keys=1 left=2\"",
            ),
        ] {
            let now = SET.replacen(from, to, 1);
            assert_ne!(now, SET, "{from}");
            assert_eq!(difference(SET, &now), expected);
        }
    }

    #[test]
    fn an_insert_that_goes_or_comes_is_not_taken_for_its_neighbour() {
        let without_first: String =
            SET.lines().filter(|line| !line.starts_with(['1', '2'])).fold(String::new(), |text, line| {
                let number = text.lines().count();
                let (old, rest) = line.split_once("<-").unwrap();
                let moved = rest.replacen(
                    &format!("[{}]", old.parse::<usize>().unwrap().saturating_sub(1)),
                    &format!("[{}]", number.saturating_sub(1)),
                    1,
                );
                text + &format!("{number}<-{moved}\n")
            });
        assert_eq!(difference(SET, &without_first), "INSERT INTO o (1 of 3) is gone");
        assert_eq!(difference(&without_first, SET), "INSERT INTO o (1 of 3) is new");
        let exchanged = SET.replace("60000 ms", "x").replace("300000 ms", "60000 ms").replace("$1, x", "$1, 300000 ms");
        assert!(
            difference(SET, &exchanged).contains("INSERT INTO o (1 of 3) now stands before INSERT INTO o (2 of 3)"),
            "{}",
            difference(SET, &exchanged)
        );
    }

    #[test]
    fn any_text_has_an_answer() {
        for text in ["", "x", "0<-[] ", "0<-[9] Sink a", "0<-[] Sink", "zero<-[0] Calc [", "1<-[a] Sink b"] {
            assert!(!difference(text, STORED).is_empty() && !difference(STORED, text).is_empty(), "{text}");
        }
        assert!(difference(STORED, STORED).contains("share their steps"));
    }
}
