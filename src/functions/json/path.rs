//! JSON paths: `lax $.a.b[0]`, `strict $['a b'][*].c`, `$..c`, `$[1:3]`, `$[0,2]`, `$.a.length()`.
//!
//! A path that names one place is definite: it finds a value, or nothing, which is an error in strict mode. A path
//! with a wildcard, a slice, a list of places or `..` finds an array of values, empty ones included.

use super::document::Json;
use crate::error::Error;

/// What a failure to find means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing was found.
    Lax,
    /// An error.
    Strict,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
    Names(Vec<String>),
    Indices(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    Every,
    /// The values below, at any depth, to which the next step is applied.
    Descend,
    Length,
}

/// A path, ready to be followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) mode: Mode,
    /// `None`: the text is no path, so that following it is an error.
    steps: Option<Vec<Step>>,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A value; `null` counts as nothing.
    Value(Json),
    /// Nothing, in lax mode.
    Nothing,
    /// A `null`, which strict mode takes for an error.
    Null,
    /// An error, with its text.
    Failed(String),
}

/// Whether the engine can follow a path.
///
/// # Errors
/// `Sql` for a filter or a function.
pub(in crate::functions) fn check(path: &str) -> Result<(), Error> {
    Path::parse(path).map(drop)
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// `Sql` for a filter or a function; a text that is no path at all is known when it is followed.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim_start();
        let moded = |word: &str, mode: Mode| {
            let (head, rest) = trimmed.split_at_checked(word.len())?;
            let spec = rest.trim_start();
            (head.eq_ignore_ascii_case(word) && spec.len() < rest.len()).then_some((mode, spec))
        };
        let (mode, spec) =
            moded("lax", Mode::Lax).or_else(|| moded("strict", Mode::Strict)).unwrap_or((Mode::Strict, text));
        let spec = spec.trim();
        for (sign, name) in [("?", "a filter"), ("(@", "a script")] {
            if outside_quotes(spec).contains(sign) {
                return Err(Error::sql(format!("the JSON path \"{text}\" has {name}, which is not supported"))
                    .hint("read the array with JSON_QUERY and filter its elements after UNNEST"));
            }
        }
        let steps = Steps { rest: spec.strip_prefix('$').map_or_else(|| format!(".{spec}"), str::to_owned) };
        match steps.read() {
            Ok(steps) => Ok(Self { mode, steps }),
            Err(function) => Err(Error::sql(format!(
                "the JSON path \"{text}\" calls the function \"{function}\", which is not supported"
            ))
            .hint("only length() can end a path")),
        }
    }

    /// Where the path leads in a document.
    pub(super) fn follow(&self, document: &Json) -> Found {
        let several = self.steps.iter().flatten().any(multiple);
        let fail = |text: String| match self.mode {
            Mode::Lax if several => Found::Value(Json::Array(Vec::new())),
            Mode::Lax => Found::Nothing,
            Mode::Strict => Found::Failed(text),
        };
        let Some(steps) = &self.steps else { return fail("the path cannot be read".to_owned()) };
        let mut values = vec![document];
        let mut definite = true;
        let mut each_below = false;
        for step in steps {
            if *step == Step::Length {
                return match &values[..] {
                    _ if !definite => Found::Value(Json::Integer(values.len().to_string())),
                    [Json::Array(items)] => Found::Value(Json::Integer(items.len().to_string())),
                    [Json::Object(fields)] => Found::Value(Json::Integer(fields.len().to_string())),
                    _ => fail("length() of a value that has none".to_owned()),
                };
            }
            if let (Step::Names(names), [Json::Object(fields)], true) = (step, &values[..], definite) {
                let kept = fields.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
                return Found::Value(Json::Object(kept));
            }
            if *step == Step::Descend {
                values = values.into_iter().flat_map(below).collect();
                (definite, each_below) = (false, true);
                continue;
            }
            let fits = |value: &Json| match step {
                Step::Name(_) | Step::Names(_) => matches!(value, Json::Object(_)),
                Step::Every => true,
                _ => matches!(value, Json::Array(_)),
            };
            if definite && !values.iter().all(|value| fits(value)) {
                return fail("the path leads into a value that has no such part".to_owned());
            }
            values = values.into_iter().flat_map(|value| apply(step, value)).collect();
            if definite && values.is_empty() && !multiple(step) {
                return fail("no results for the path".to_owned());
            }
            definite &= !multiple(step);
            each_below = false;
        }
        if each_below {
            return fail("the path ends with \"..\"".to_owned());
        }
        match values.pop() {
            Some(value) if definite => Found::Value(value.clone()),
            last => Found::Value(Json::Array(values.into_iter().chain(last).cloned().collect())),
        }
    }
}

/// Whether a step may lead to several values.
fn multiple(step: &Step) -> bool {
    !matches!(step, Step::Name(_) | Step::Names(_) | Step::Index(_) | Step::Length)
}

/// A value and all below it, parents first.
fn below(value: &Json) -> Vec<&Json> {
    let mut all = vec![value];
    match value {
        Json::Array(items) => all.extend(items.iter().flat_map(below)),
        Json::Object(fields) => all.extend(fields.iter().flat_map(|(_, value)| below(value))),
        _ => {}
    }
    all
}

/// The place `index` of `length`, counted from the end if negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { length.checked_add(index)? } else { index };
    usize::try_from(index).ok().filter(|_| index < length)
}

fn apply<'a>(step: &Step, value: &'a Json) -> Vec<&'a Json> {
    match (step, value) {
        (Step::Name(name), Json::Object(fields)) => {
            fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect()
        }
        (Step::Names(names), Json::Object(fields)) => {
            fields.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| value).collect()
        }
        (Step::Every, Json::Object(fields)) => fields.iter().map(|(_, value)| value).collect(),
        (Step::Every, Json::Array(items)) => items.iter().collect(),
        (Step::Index(index), Json::Array(items)) => {
            place(*index, items.len()).and_then(|at| items.get(at)).into_iter().collect()
        }
        (Step::Indices(indices), Json::Array(items)) => {
            indices.iter().filter_map(|index| items.get(place(*index, items.len())?)).collect()
        }
        (Step::Slice(from, to), Json::Array(items)) => {
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let bound = |index: i64| if index < 0 { length.saturating_add(index) } else { index }.clamp(0, length);
            let (from, to) = match (from, to) {
                (Some(from), None) => (bound(*from), length),
                (None, Some(to)) => (0, bound(*to)),
                // between two bounds negative ones do not count from the end
                (Some(from), Some(to)) => ((*from).clamp(0, length), (*to).clamp(0, length)),
                (None, None) => (0, length),
            };
            let at = |bound: i64| usize::try_from(bound).unwrap_or(0);
            items.get(at(from)..at(to)).unwrap_or_default().iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The text with the inside of quotes left out.
fn outside_quotes(text: &str) -> String {
    text.split(['\'', '"']).step_by(2).collect()
}

/// Reads the steps behind the `$`.
struct Steps {
    rest: String,
}

impl Steps {
    /// The steps; `None` if the text is no path. A function that is not known is the error.
    fn read(&self) -> Result<Option<Vec<Step>>, String> {
        let mut steps = Vec::new();
        let mut rest = self.rest.as_str();
        while !rest.is_empty() {
            let (step, behind) = match rest.strip_prefix('[') {
                Some(inside) => match brackets(inside) {
                    Some(read) => read,
                    None => return Ok(None),
                },
                None if rest.starts_with("..") => {
                    steps.push(Step::Descend);
                    let behind = rest.get(2..).unwrap_or_default();
                    if behind.starts_with('[') {
                        rest = behind;
                        continue;
                    }
                    match name(behind)? {
                        Some(read) => read,
                        None => return Ok(None),
                    }
                }
                None => match rest.strip_prefix('.').map(name).transpose()?.flatten() {
                    Some(read) => read,
                    None => return Ok(None),
                },
            };
            steps.push(step);
            rest = behind;
        }
        Ok(Some(steps))
    }
}

/// `name`, `*` or `length()`, up to the next `.` or `[`.
fn name(text: &str) -> Result<Option<(Step, &str)>, String> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if let Some(function) = name.strip_suffix("()") {
        return if function == "length" { Ok(Some((Step::Length, rest))) } else { Err(function.to_owned()) };
    }
    // a blank ends the path for Flink, too, which then cannot be read
    let odd = name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '(' || c == ')' || c == ']');
    Ok(match name {
        "*" => Some((Step::Every, rest)),
        _ if odd => None,
        _ => Some((Step::Name(name.to_owned()), rest)),
    })
}

/// What stands between `[` and `]`.
fn brackets(text: &str) -> Option<(Step, &str)> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('*') {
        return Some((Step::Every, rest.trim_start().strip_prefix(']')?));
    }
    if text.starts_with(['\'', '"']) {
        return quoted(text);
    }
    let (inside, rest) = text.split_once(']')?;
    let number = |text: &str| text.trim().parse::<i64>().ok();
    if let Some((from, to)) = inside.split_once(':') {
        let bound = |text: &str| if text.trim().is_empty() { Some(None) } else { number(text).map(Some) };
        return Some((Step::Slice(bound(from)?, bound(to)?), rest));
    }
    let indices = inside.split(',').map(number).collect::<Option<Vec<_>>>()?;
    match indices[..] {
        [index] => Some((Step::Index(index), rest)),
        _ => Some((Step::Indices(indices), rest)),
    }
}

/// `'name'` or `'name', 'name'` and the bracket.
fn quoted(text: &str) -> Option<(Step, &str)> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut name = String::new();
        let mut chars = rest.char_indices().skip(1);
        let end = loop {
            match chars.next()? {
                (at, c) if c == quote => break at + 1,
                (_, '\\') => name.push(chars.next()?.1),
                (_, c) => name.push(c),
            }
        };
        names.push(name);
        rest = rest.get(end..)?.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => {
                let rest = rest.strip_prefix(']')?;
                let step = if names.len() == 1 { Step::Name(names.pop()?) } else { Step::Names(names) };
                return Some((step, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    fn follow(document: &str, path: &str) -> Option<String> {
        match Path::parse(path).ok()?.follow(&parse(document)?) {
            Found::Value(value) => Some(value.text()),
            Found::Nothing => Some("nothing".into()),
            Found::Null => Some("null".into()),
            Found::Failed(_) => Some("failed".into()),
        }
    }

    #[test]
    fn paths_lead_where_they_lead_in_flink() {
        let document = r#"{"a":{"b":[1,{"c":"x"},3],"a b":2,"ä":true},"n":null,"e":[]}"#;
        for (path, found) in [
            ("$", r#"{"a":{"a b":2,"b":[1,{"c":"x"},3],"ä":true},"e":[],"n":null}"#),
            ("$.a.b[0]", "1"),
            ("$.a.b[-1]", "3"),
            ("$.a.b[1].c", "\"x\""),
            ("$['a']['a b']", "2"),
            ("$[\"a\"].ä", "true"),
            ("a.b[0]", "1"),
            (" LAX  $.zz", "nothing"),
            ("lax $.a.b.c", "nothing"),
            ("$.zz", "failed"),
            ("strict $.a.b[9]", "failed"),
            ("$.n", "null"),
            ("$.a.b[*].c", "[\"x\"]"),
            ("$.e[*]", "[]"),
            ("$.a.b[0:2]", r#"[1,{"c":"x"}]"#),
            ("lax $.zz[*]", "[]"),
            ("$.a.b[1:-1]", "[]"),
            ("$.a['zz', 'a b']", r#"{"a b":2}"#),
            ("$.a.b[-2:]", r#"[{"c":"x"},3]"#),
            ("$.a.b[0,2]", "[1,3]"),
            ("$..c", "[\"x\"]"),
            ("$.a.b.length()", "3"),
            ("$.", "failed"),
            ("", "failed"),
            ("bad $.a", "failed"),
            ("$.a b", "failed"),
        ] {
            assert_eq!(follow(document, path).as_deref(), Some(found), "{path}");
        }
    }

    #[test]
    fn filters_and_functions_are_refused_by_name() {
        for path in ["$.a[?(@.b > 2)]", "lax $.a.max()"] {
            assert!(check(path).is_err_and(|e| e.message().contains("not supported")), "{path}");
        }
        assert!(check("$['what?']").is_ok());
    }
}
