//! What changed between two plans, in the words of the script: for a state that no longer fits.
//!
//! Both plans come as fingerprints ([`StreamPlan::fingerprint`](super::StreamPlan::fingerprint)), because a stored
//! one is nothing else. Only the message depends on this reading of them, never whether state fits.

use std::collections::{BTreeMap, BTreeSet};

/// Sentences shown of all that changed.
const SENTENCES_MAX: usize = 3;

/// One node of a fingerprint.
struct Step<'a> {
    inputs: Vec<usize>,
    /// `Source`, `Calc`, `WindowAggregate`, …
    name: &'a str,
    /// What follows the name, without the schema.
    text: &'a str,
    schema: &'a str,
}

impl<'a> Step<'a> {
    /// `3<-[1, 2] Calc [a, b] where=[c] [Field {…}]`.
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once("<-[")?;
        let (inputs, rest) = rest.split_once("] ")?;
        let inputs = inputs.split(", ").filter(|i| !i.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
        let at = rest.find(" [Field {").unwrap_or(rest.len());
        let (kind, schema) = rest.split_at(at);
        let (name, text) = kind.split_once(' ').unwrap_or((kind, ""));
        Some(Self { inputs, name, text, schema })
    }

    /// What stands between `name=[` and the bracket that closes it.
    fn list(&self, name: &str) -> &'a str {
        let Some((_, rest)) = self.text.split_once(&format!("{name}=[")) else { return "" };
        let mut depth = 0i32;
        for (at, c) in rest.char_indices() {
            match c {
                '[' => depth += 1,
                ']' if depth == 0 => return rest.get(..at).unwrap_or(rest),
                ']' => depth -= 1,
                _ => {}
            }
        }
        rest
    }

    /// `TUMBLE 30 s` of `TUMBLE($6, 30000 ms) …`, or `ROWS 99` of a frame; empty for steps without window.
    fn window(&self) -> String {
        match self.name {
            "WindowAggregate" => {
                let spec = self.text.split(')').next().unwrap_or_default();
                let (kind, arguments) = spec.split_once('(').unwrap_or((spec, ""));
                let lengths: Vec<String> = arguments.split(", ").skip(1).map(length).collect();
                format!("{kind} {}", lengths.join(", "))
            }
            "OverAggregate" => {
                let frame = self.text.split_once("frame=").map_or("", |(_, rest)| rest);
                length(frame.split(" calls=").next().unwrap_or_default())
            }
            _ => String::new(),
        }
    }
}

/// A text that ends with milliseconds, with a unit people use: `slide 5000 ms` → `slide 5 s`.
fn length(text: &str) -> String {
    let Some(rest) = text.strip_suffix(" ms") else { return text.to_owned() };
    let (before, number) = rest.rsplit_once(' ').map_or(("", rest), |(before, number)| (before, number));
    let Ok(ms) = number.parse::<i64>() else { return text.to_owned() };
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let (size, unit) = units.into_iter().find(|(size, _)| ms != 0 && ms % size == 0).unwrap_or((1, "ms"));
    format!("{before} {} {unit}", ms / size).trim_start().to_owned()
}

/// The steps of each sink's statement, from the sink up.
fn statements(fingerprint: &str) -> BTreeMap<&str, Vec<Step<'_>>> {
    let lines: Vec<&str> = fingerprint.lines().collect();
    let mut found = BTreeMap::new();
    for line in &lines {
        let Some(sink) = Step::parse(line).filter(|step| step.name == "Sink") else { continue };
        let name = sink.text;
        let mut seen = BTreeSet::new();
        let mut waiting = sink.inputs.clone();
        let mut steps = vec![sink];
        while let Some(id) = waiting.pop() {
            let Some(step) = lines.get(id).and_then(|line| Step::parse(line)).filter(|_| seen.insert(id)) else {
                continue;
            };
            waiting.extend(step.inputs.iter().rev());
            steps.push(step);
        }
        found.insert(name, steps);
    }
    found
}

/// What differs between two plans, as one or a few sentences without full stop at the end.
pub fn difference(stored: &str, now: &str) -> String {
    let (before, after) = (statements(stored), statements(now));
    // The weightiest first; each once, though statements may share steps.
    let mut found: BTreeSet<(u8, String)> = BTreeSet::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        found.insert((0, format!("{} is gone", statement(name))));
    }
    for (name, steps) in &after {
        match before.get(name) {
            None => drop(found.insert((0, format!("{} is new", statement(name))))),
            Some(earlier) => found.extend(changes(&statement(name), earlier, steps)),
        }
    }
    if found.is_empty() {
        return "its statements stand in another order, or share their steps in another way".to_owned();
    }
    let count = found.len();
    let shown: Vec<String> = found.into_iter().take(SENTENCES_MAX).map(|(_, sentence)| sentence).collect();
    let more = if count > SENTENCES_MAX { format!("; and {} more", count - SENTENCES_MAX) } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

/// The statement that writes a table; a final SELECT writes one called "result".
fn statement(sink: &str) -> String {
    if sink == "result" { "the SELECT".to_owned() } else { format!("INSERT INTO {sink}") }
}

fn changes(statement: &str, before: &[Step<'_>], after: &[Step<'_>]) -> Vec<(u8, String)> {
    let names = |steps: &[Step<'_>]| {
        steps.iter().filter(|s| !matches!(s.name, "Calc" | "Sink")).map(|s| what(s)).collect::<Vec<_>>()
    };
    let (earlier, later) = (names(before), names(after));
    if earlier != later {
        let list = |mut steps: Vec<String>| {
            steps.reverse();
            steps.join(", ")
        };
        return vec![(1, format!("{statement} was made of {}, now of {}", list(earlier), list(later)))];
    }
    let mut found = Vec::new();
    let kept = |steps: &'_ [Step<'_>]| steps.iter().filter(|s| s.name != "Calc").count();
    if kept(before) == kept(after) {
        let pairs = before.iter().filter(|s| s.name != "Calc").zip(after.iter().filter(|s| s.name != "Calc"));
        for (b, a) in pairs {
            found.extend(step_changes(statement, b, a));
        }
    }
    let calcs = |steps: &[Step<'_>]| -> Vec<(String, String)> {
        let calcs = steps.iter().filter(|s| s.name == "Calc");
        calcs
            .map(|s| (s.text.split(" where=[").next().unwrap_or_default().to_owned(), s.list("where").to_owned()))
            .collect()
    };
    let ((columns, filters), (columns_now, filters_now)): ((Vec<_>, Vec<_>), (Vec<_>, Vec<_>)) =
        (calcs(before).into_iter().unzip(), calcs(after).into_iter().unzip());
    let without_blanks = |filters: Vec<String>| filters.into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>();
    let (filters, filters_now) = (without_blanks(filters), without_blanks(filters_now));
    if filters != filters_now {
        let shown = |filters: &[String]| match filters {
            [] => "no filter".to_owned(),
            all => format!("\"{}\"", all.join("\" and \"")),
        };
        found.push((
            3,
            format!("the filter of {statement} changed from {} to {}", shown(&filters), shown(&filters_now)),
        ));
    }
    if found.is_empty() && columns != columns_now {
        found.push((4, format!("the columns that {statement} computes changed")));
    }
    found
}

/// A step as a noun.
fn what(step: &Step<'_>) -> String {
    match step.name {
        "Source" => format!("table {}", step.text.split(' ').next().unwrap_or_default()),
        "WindowAggregate" => "a window".to_owned(),
        "OverAggregate" => "an OVER window".to_owned(),
        "Union" => "a union".to_owned(),
        other => other.to_owned(),
    }
}

/// What changed in a step that stands in both plans.
fn step_changes(statement: &str, before: &Step<'_>, after: &Step<'_>) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    let mut tell = |weight: u8, what: String, from: &str, to: &str| {
        if from != to {
            found.push((weight, format!("{what} changed from {from} to {to}")));
        }
    };
    let quoted = |text: &str| format!("\"{text}\"");
    match before.name {
        "WindowAggregate" => {
            tell(1, format!("the window of {statement}"), &before.window(), &after.window());
            let keys = format!("the GROUP BY of {statement}");
            tell(2, keys, &quoted(before.list("keys")), &quoted(after.list("keys")));
            let output = format!("what {statement} computes per window");
            tell(3, output, &quoted(before.list("output")), &quoted(after.list("output")));
        }
        "OverAggregate" => {
            tell(1, format!("the frame of the OVER window of {statement}"), &before.window(), &after.window());
            let keys = format!("the PARTITION BY of {statement}");
            tell(2, keys, &quoted(before.list("keys")), &quoted(after.list("keys")));
            let calls = format!("what {statement} computes with OVER");
            tell(3, calls, &quoted(before.list("calls")), &quoted(after.list("calls")));
        }
        "Source" => {
            let table = what(before);
            let marks = format!("the watermark of {table}");
            tell(1, marks, &quoted(before.list("watermark")), &quoted(after.list("watermark")));
            tell(2, format!("the columns of {table}"), &quoted(before.list("columns")), &quoted(after.list("columns")));
        }
        _ => {}
    }
    if found.is_empty() && (before.text != after.text || before.schema != after.schema) {
        let table = match before.name {
            "Source" => what(before),
            "Sink" => format!("table {}", before.text),
            _ => statement.to_owned(),
        };
        found.push((3, format!("the names or types of columns of {table} changed")));
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
            ("[ts, k]", "[ts, UPPER(k)]", "the columns that INSERT INTO o computes changed"),
            (
                "Sink o [Field { name: \"k\" }]",
                "Sink o [Field { name: \"l\" }]",
                "the names or types of columns of table o changed",
            ),
        ];
        for (from, to, expected) in cases {
            let now = STORED.replacen(from, to, 1);
            assert_ne!(now, STORED, "{from}");
            assert_eq!(difference(STORED, &now), expected);
        }
    }

    #[test]
    fn any_text_has_an_answer() {
        for text in ["", "x", "0<-[] ", "0<-[9] Sink a", "0<-[] Sink", "zero<-[0] Calc [", "1<-[a] Sink b"] {
            assert!(!difference(text, STORED).is_empty() && !difference(STORED, text).is_empty(), "{text}");
        }
        assert!(difference(STORED, STORED).contains("another order"));
    }
}
