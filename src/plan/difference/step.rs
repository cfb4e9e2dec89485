//! A fingerprint read back: its statements, each with the steps that its rows go through.
//!
//! A fingerprint is text and nothing else, so this reading of it may be wrong only where it costs a better message.

use std::collections::BTreeMap;

use crate::time::length_text;

/// One node of a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// Where its rows come from: places among the steps of the statement.
    pub(super) inputs: Vec<usize>,
    /// `Source`, `Calc`, `WindowAggregate`, …
    pub(super) name: &'a str,
    /// What follows the name, without the schema.
    pub(super) text: &'a str,
    schema: &'a str,
}

/// What writes one table: one INSERT, or the final SELECT.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    /// The table.
    pub(super) table: &'a str,
    /// From the sink up, inputs in their order.
    pub(super) steps: Vec<Step<'a>>,
}

/// A column of a step, as the fingerprint has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) data_type: &'a str,
    pub(super) nullable: bool,
}

impl<'a> Step<'a> {
    /// `3<-[1, 2] Calc [a, b] where=[c] [Field {…}]`; inputs are numbers of nodes.
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
    pub(super) fn list(&self, name: &str) -> &'a str {
        self.text.split_once(&format!("{name}=[")).map_or("", |(_, rest)| bracketed(rest))
    }

    /// The expressions of a Calc.
    pub(super) fn projection(&self) -> Vec<&'a str> {
        items(self.text.strip_prefix('[').map_or("", bracketed))
    }

    /// The word after `name=`, without the comma behind it.
    pub(super) fn word(&self, name: &str) -> &'a str {
        let word = self.text.split_once(&format!("{name}=")).and_then(|(_, rest)| rest.split(' ').next());
        word.unwrap_or_default().trim_end_matches(',')
    }

    /// The table of a source or a sink.
    pub(super) fn table(&self) -> &'a str {
        let end = if self.name == "Source" { " columns=[" } else { " without NULL in [" };
        self.text.split(end).next().unwrap_or_default()
    }

    /// Its columns, as far as they can be read.
    pub(super) fn columns(&self) -> Vec<Column<'a>> {
        let fields = self.schema.trim().strip_prefix('[').map_or("", bracketed);
        items(fields).into_iter().filter_map(Column::parse).collect()
    }

    /// `TUMBLE 30 s` of `TUMBLE($6, 30000 ms) …`, or `ROWS 99` of a frame; empty for steps without window.
    pub(super) fn window(&self) -> String {
        match self.name {
            "WindowAggregate" | "WindowAssign" => {
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

    /// The column that a window or an order goes by, as `$6`.
    pub(super) fn rowtime(&self) -> &'a str {
        match self.name {
            "WindowAggregate" | "WindowAssign" => {
                let arguments = self.text.split_once('(').map_or("", |(_, rest)| rest);
                arguments.split([',', ')']).next().unwrap_or_default()
            }
            "OverAggregate" => self.word("order"),
            "Sort" => self.word("time"),
            _ => "",
        }
    }
}

impl<'a> Column<'a> {
    /// `Field { name: "k", data_type: Utf8, nullable: true }`.
    fn parse(field: &'a str) -> Option<Self> {
        let inner = field.strip_prefix("Field { ")?.strip_suffix(" }")?;
        let of = |key: &str| items(inner).into_iter().find_map(|part| part.strip_prefix(key));
        let name = of("name: \"")?.strip_suffix('"')?;
        Some(Self {
            name,
            data_type: of("data_type: ").unwrap_or_default(),
            nullable: of("nullable: ") == Some("true"),
        })
    }
}

/// A text that ends with milliseconds, with a unit people use: `slide 5000 ms` → `slide 5 s`.
fn length(text: &str) -> String {
    let Some(rest) = text.strip_suffix(" ms") else { return text.to_owned() };
    let (before, number) = rest.rsplit_once(' ').map_or(("", rest), |(before, number)| (before, number));
    let Ok(ms) = number.parse::<i64>() else { return text.to_owned() };
    format!("{before} {}", length_text(ms)).trim_start().to_owned()
}

/// The text up to the bracket that closes the one before it.
fn bracketed(text: &str) -> &str {
    let end = outermost(text).find(|(_, c)| *c == ']').map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// What commas part.
pub(super) fn items(text: &str) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), 0);
    for (at, _) in outermost(text).filter(|(_, c)| *c == ',') {
        found.extend(text.get(start..at).map(str::trim));
        start = at + 1;
    }
    found.extend(text.get(start..).map(str::trim).filter(|last| !last.is_empty()));
    found
}

/// The characters that stand in no brackets and in no quotes; of brackets, only those that were not opened.
fn outermost(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    text.char_indices().filter(move |(_, c)| {
        if let Some(open) = quote {
            let ends = *c == open && !escaped;
            escaped = open == '"' && *c == '\\' && !escaped;
            quote = (!ends).then_some(open);
            return false;
        }
        match c {
            '\'' | '"' => quote = Some(*c),
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' if depth > 0 => depth -= 1,
            _ => return depth == 0,
        }
        false
    })
}

/// The lines of the nodes: a text in an expression may go over several.
fn nodes(fingerprint: &str) -> Vec<&str> {
    let (mut starts, mut at) = (Vec::new(), 0);
    for line in fingerprint.split_inclusive('\n') {
        if line.starts_with(&format!("{}<-[", starts.len())) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([fingerprint.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| fingerprint.get(*start..end)).map(str::trim_end).collect()
}

/// The statements of a plan, in its order.
pub(super) fn statements(fingerprint: &str) -> Vec<Statement<'_>> {
    let nodes: Vec<Option<Step<'_>>> = nodes(fingerprint).into_iter().map(Step::parse).collect();
    let sinks = nodes.iter().enumerate().filter(|(_, node)| node.as_ref().is_some_and(|step| step.name == "Sink"));
    sinks.map(|(id, _)| statement(&nodes, id)).collect()
}

fn statement<'a>(nodes: &[Option<Step<'a>>], sink: usize) -> Statement<'a> {
    let (mut places, mut steps) = (BTreeMap::new(), Vec::new());
    let mut waiting = vec![sink];
    while let Some(id) = waiting.pop() {
        let Some(step) = nodes.get(id).and_then(Option::as_ref).filter(|_| !places.contains_key(&id)) else { continue };
        places.insert(id, steps.len());
        waiting.extend(step.inputs.iter().rev());
        steps.push(step.clone());
    }
    for step in &mut steps {
        step.inputs = step.inputs.iter().filter_map(|id| places.get(id).copied()).collect();
    }
    Statement { table: steps.first().map_or("", Step::table), steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_where_no_bracket_and_no_quote_is_open() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a, f(b, c), d[1]", &["a", "f(b, c)", "d[1]"]),
            ("',', '[', x", &["','", "'['", "x"]),
            ("\"a\\\", b\", c", &["\"a\\\", b\"", "c"]),
            ("'it''s, so', )", &["'it''s, so'", ")"]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
        assert_eq!(bracketed("a[1], ']'] where=[b]"), "a[1], ']'");
    }

    #[test]
    fn statements_are_read_with_what_feeds_them() {
        let plan = "0<-[] Source my t columns=[a] [Field { name: \"a\", data_type: List(Field { data_type: Int32, nullable: true }) }]\n\
            1<-[0] Calc [a] where=[a <> '\n9<-[']\n2<-[0, 1] Union\n3<-[2] Sink o without NULL in [a]";
        let found = statements(plan);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].table, "o");
        let steps: Vec<_> = found[0].steps.iter().map(|step| (step.name, step.inputs.as_slice())).collect();
        assert_eq!(steps, [("Sink", &[1][..]), ("Union", &[2, 3]), ("Source", &[]), ("Calc", &[2])]);
        assert_eq!(found[0].steps[3].list("where"), "a <> '\n9<-['");
        let source = &found[0].steps[2];
        assert_eq!(source.table(), "my t");
        let data_type = "List(Field { data_type: Int32, nullable: true })";
        assert_eq!(source.columns(), [Column { name: "a", data_type, nullable: false }]);
    }
}
