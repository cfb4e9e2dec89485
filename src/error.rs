//! The one error type that crosses module boundaries, and how it is shown to people.
//!
//! A message says what failed in the user's words (lowercase, no full stop, values in double quotes);
//! the hint is something to type. An error about a script carries a [`Span`]; a script's errors are
//! collected and shown all at once ([`Error::collect`]). No other module's type is named here.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Result of everything that can fail across a module boundary.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the reader of an error must do about it. Each kind has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line is wrong: read `--help`.
    Usage,
    /// The script is wrong, or uses what is not supported: change it.
    Sql,
    /// An option or the environment is wrong: change it.
    Config,
    /// The input data broke the job under the policy `fail`: mend it, or choose another policy.
    Data,
    /// Kafka, a disk or another system did not answer: it was retried, start again when it is back.
    Unavailable,
    /// Stored state does not fit or is damaged: the message says how to go on.
    State,
    /// A test of `streamer test` or a quality bound failed.
    Failed,
    /// A bug of the engine: report it.
    Internal,
}

impl ErrorKind {
    /// Exit code of the process (`streamer --help` prints the table).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Data | Self::State | Self::Internal => 1,
            Self::Usage => 2,
            Self::Sql | Self::Config => 3,
            Self::Unavailable => 4,
            Self::Failed => 5,
        }
    }
}

/// A stretch of a script: lines and columns count from 1, columns in characters; `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Line of the last character.
    pub end_line: u32,
    /// Column after the last character.
    pub end_column: u32,
}

impl Span {
    /// A span within one line.
    pub fn new(line: u32, column: u32, end_column: u32) -> Self {
        Self { line, column, end_line: line, end_column: end_column.max(column + 1) }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Self) -> Self {
        Self { end_line: other.end_line, end_column: other.end_column, ..self }
    }

    /// Byte range of the span in `text`, kept inside it.
    fn byte_range(self, text: &str) -> std::ops::Range<usize> {
        let at = |line: u32, column: u32| {
            let start = line_start(text, line);
            let rest = &text[start..];
            let line_text = rest.split('\n').next().unwrap_or("");
            start + line_text.char_indices().nth((column.max(1) - 1) as usize).map_or(line_text.len(), |(byte, _)| byte)
        };
        let start = at(self.line, self.column);
        let end = at(self.end_line, self.end_column);
        start..end.max(start)
    }
}

fn line_start(text: &str, line: u32) -> usize {
    if line <= 1 {
        return 0;
    }
    text.match_indices('\n').nth(line as usize - 2).map_or(text.len(), |(byte, _)| byte + 1)
}

/// What failed, where, and what to do next.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    span: Option<Span>,
    /// The row that broke: its partition's number in the origin columns, and its offset.
    row: Option<(i32, i64)>,
    passes: bool,
    /// What was looked up in vain.
    missing: Option<String>,
    /// Flink accepts it.
    unsupported: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// Further errors found in the same go.
    more: Vec<Error>,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            span: None,
            row: None,
            passes: false,
            missing: None,
            unsupported: false,
            source: None,
            more: Vec::new(),
        }))
    }

    /// A script error ([`ErrorKind::Sql`]).
    pub fn sql(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Sql, message)
    }

    /// A wrong option ([`ErrorKind::Config`]).
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A system that does not answer ([`ErrorKind::Unavailable`]).
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Input that stops the job ([`ErrorKind::Data`]).
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// State that does not fit ([`ErrorKind::State`]).
    pub fn state(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::State, message)
    }

    /// A broken invariant ([`ErrorKind::Internal`]).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds where in the script.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.0.span = Some(span);
        self
    }

    /// Adds where in the script unless the error knows it already.
    #[must_use]
    pub fn or_at(mut self, span: Option<Span>) -> Self {
        self.0.span = self.0.span.or(span);
        self
    }

    /// The same error, asking something else of its reader.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error, its message in other words.
    #[must_use]
    pub fn reworded(mut self, words: impl FnOnce(&str) -> String) -> Self {
        self.0.message = words(&self.0.message);
        self
    }

    /// The same errors, so many lines further down.
    #[must_use]
    pub fn moved_down(mut self, lines: u32) -> Self {
        self.0.span = self.0.span.map(|span| Span {
            line: span.line.saturating_add(lines),
            end_line: span.end_line.saturating_add(lines),
            ..span
        });
        self.0.more = self.0.more.into_iter().map(|error| error.moved_down(lines)).collect();
        self
    }

    /// Adds which row broke, unless the error knows it already: its partition's number in the origin columns, and its
    /// offset. Who knows what the number stands for makes a sentence of it.
    #[must_use]
    pub fn or_row(mut self, partition: i32, offset: i64) -> Self {
        self.0.row = self.0.row.or(Some((partition, offset)));
        self
    }

    /// Adds what to do next, as a sentence or something to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a sentence of background.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Marks an error that had no effect and passes by itself, as a full disk does: the same may be tried again.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.0.passes = true;
        self
    }

    /// Whether the same may be tried again ([`Error::passing`]).
    pub fn passes(&self) -> bool {
        self.0.passes
    }

    /// Adds the name of what was looked up in vain: where it is declared by a statement that cannot be read, this error is
    /// none.
    #[must_use]
    pub fn missing(mut self, name: impl Into<String>) -> Self {
        self.0.missing = Some(name.into());
        self
    }

    /// The name that [`Error::missing`] was told.
    pub fn missing_name(&self) -> Option<&str> {
        self.0.missing.as_deref()
    }

    /// Marks what Flink accepts and this engine does not run: a mistake only where it is used.
    #[must_use]
    pub fn unsupported(mut self) -> Self {
        self.0.unsupported = true;
        self
    }

    /// Whether Flink accepts it ([`Error::unsupported`]).
    pub fn is_unsupported(&self) -> bool {
        self.0.unsupported
    }

    /// Keeps the underlying error for `Debug`; it is never part of the message.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Adds "did you mean" with the nearest of `candidates`, where one is near.
    #[must_use]
    pub fn nearest<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, candidates) {
            Some(near) => self.hint(format!("did you mean \"{near}\"?")),
            None => self,
        }
    }

    /// One error made of several, shown one below the other. `None` if there are none.
    pub fn collect(errors: impl IntoIterator<Item = Error>) -> Option<Self> {
        let mut all: Vec<Error> = errors.into_iter().flat_map(Error::flatten).collect();
        all.sort_by_key(|e| e.span());
        all.dedup_by(|a, b| a.span().is_some() && a.span() == b.span() && a.message() == b.message());
        let mut all = all.into_iter();
        let mut first = all.next()?;
        first.0.more = all.collect();
        Some(first)
    }

    /// This error and those collected with it, one by one.
    pub fn flatten(mut self) -> Vec<Error> {
        let more = std::mem::take(&mut self.0.more);
        let mut all = vec![self];
        all.extend(more.into_iter().flat_map(Error::flatten));
        all
    }

    /// What the reader must do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the script.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The row that broke, as [`Error::or_row`] was told.
    pub fn row(&self) -> Option<(i32, i64)> {
        self.0.row
    }

    /// The hint, if there is one.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The text for people: message, `--> file:line:column`, the line with a caret, detail and help.
    ///
    /// `script` is the path and text the spans belong to.
    pub fn render(&self, script: Option<(&str, &str)>, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        self.clone().flatten().iter().map(|error| error.render_one(script, &renderer)).collect::<Vec<_>>().join("\n\n")
    }

    fn render_one(&self, script: Option<(&str, &str)>, renderer: &Renderer) -> String {
        let inner = &self.0;
        let title = Level::ERROR.primary_title(inner.message.as_str());
        let mut group: Group<'_> = match (script, inner.span) {
            (Some((path, text)), Some(span)) => title.element(
                Snippet::source(text).path(path).annotation(AnnotationKind::Primary.span(span.byte_range(text))),
            ),
            _ => Group::with_title(title),
        };
        if let Some(detail) = &inner.detail {
            group = group.element(Level::NOTE.message(detail.as_str()));
        }
        if let Some(hint) = &inner.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group]).to_string()
    }
}

/// The candidate nearest to `name` by edit distance, if it is near enough to be a slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.write_str(&inner.message)?;
        if let Some(detail) = &inner.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(hint) = &inner.hint {
            write!(f, " ({hint})")?;
        }
        for error in &inner.more {
            write!(f, "\n{error}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} error: {self}", self.0.kind)?;
        match &self.0.source {
            Some(source) => write!(f, " [{source}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        match error {
            ArrowError::DivideByZero => {
                Self::data("division by zero").hint("guard the divisor, as in \"CASE WHEN d <> 0 THEN n / d END\"")
            }
            ArrowError::CastError(m)
            | ArrowError::ComputeError(m)
            | ArrowError::ArithmeticOverflow(m)
            | ArrowError::ParseError(m) => Self::data(m),
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(error.to_string()).because(error)
    }
}

/// Our own error inside one of DataFusion's, however it was wrapped on its way.
fn own(error: &datafusion::error::DataFusionError) -> Option<&Error> {
    use datafusion::error::DataFusionError as D;
    match error {
        D::External(inner) => match inner.downcast_ref::<D>() {
            Some(wrapped) => own(wrapped),
            None => inner.downcast_ref::<Error>(),
        },
        D::Context(_, inner) | D::Diagnostic(_, inner) => own(inner),
        D::Shared(inner) => own(inner),
        _ => None,
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError as D;
        if let Some(own) = own(&error) {
            return own.clone();
        }
        match error {
            D::ArrowError(e, _) => (*e).into(),
            D::Context(_, e) | D::Diagnostic(_, e) => (*e).into(),
            D::Plan(m) | D::NotImplemented(m) => Self::sql(m),
            D::Execution(m) => Self::data(m),
            D::External(e) => match e.downcast::<Error>() {
                Ok(own) => *own,
                Err(e) => Self::internal(e.to_string()),
            },
            other => Self::internal(other.strip_backtrace()),
        }
    }
}

impl From<Error> for datafusion::error::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_line_column_caret_and_help() {
        let text = "SELECT a\nFROM   t;\nSELECT temprature, id FROM r";
        let error = Error::sql("column \"temprature\" not found in table \"r\"")
            .at(Span::new(3, 8, 18))
            .nearest("temprature", ["temperature", "id"]);
        let shown = error.render(Some(("q.sql", text)), false);
        assert!(shown.contains("--> q.sql:3:8"), "{shown}");
        assert!(shown.contains("^^^^^^^^^^"), "{shown}");
        assert!(shown.contains("did you mean \"temperature\"?"), "{shown}");
    }

    #[test]
    fn collects_in_script_order_without_repeats() {
        let one = Error::sql("b").at(Span::new(2, 1, 2));
        let all = Error::collect([one.clone(), Error::sql("a").at(Span::new(1, 1, 2)), one]).map(Error::flatten);
        let messages: Vec<_> = all.iter().flatten().map(Error::message).collect();
        assert_eq!(messages, ["a", "b"]);
    }

    #[test]
    fn spans_outside_the_text_do_not_panic() {
        let error = Error::sql("x").at(Span::new(90, 1, 400));
        assert!(error.render(Some(("f", "ab\nüö")), false).contains('x'));
    }
}
