//! A compiled Java pattern: run by the `regex` crate in linear time where that gives Java's answer, else by
//! back-tracking.

use regex::Regex;

use super::machine::{Program, Slots, Trouble, length};
use super::syntax::{How, Node, Parsed, Place, Wrong, parse};
use crate::error::{Error, Result};
use crate::limits::REGEX_BYTES_MAX;

/// A compiled pattern.
#[derive(Debug)]
pub(in crate::functions) struct Pattern {
    text: String,
    /// Number of capturing groups.
    pub(in crate::functions) groups: usize,
    program: Program,
    /// The same for the `regex` crate, and whether only for texts of one line in ASCII.
    fast: Option<(Regex, bool)>,
}

/// Most bytes the automata of one pattern may take.
const AUTOMATON_BYTES_MAX: usize = 4 << 20;

impl Pattern {
    /// Compiles a pattern; `None` if Java refuses it.
    ///
    /// # Errors
    /// `Data` with the pattern, if Java has something in it that this engine has not; `Data` if it is too long.
    pub(in crate::functions) fn new(text: &str) -> Result<Option<Self>> {
        if text.len() > REGEX_BYTES_MAX {
            return Err(Error::data(format!("a regular expression has more than {REGEX_BYTES_MAX} bytes"))
                .hint("write a shorter pattern"));
        }
        let unsupported = |what: &str| {
            Error::data(format!("{what} in the regular expression \"{text}\" is not supported"))
                .hint("write the pattern without it")
        };
        let Parsed { node, groups } = match parse(text) {
            Ok(parsed) => parsed,
            Err(Wrong::Invalid) => return Ok(None),
            Err(Wrong::Unsupported(what)) => return Err(unsupported(&what)),
        };
        let program = match Program::new(&node, groups) {
            Ok(program) => program,
            Err(Trouble::Endless) => return Ok(None),
            Err(Trouble::TooLarge | Trouble::TooLong) => return Err(unsupported("so much repetition")),
        };
        let mut written = String::new();
        let mut one_line = false;
        let fast = write(&node, &mut written, &mut one_line)
            .then(|| regex::RegexBuilder::new(&written).size_limit(AUTOMATON_BYTES_MAX).build().ok())
            .flatten()
            .map(|regex| (regex, one_line));
        Ok(Some(Self { text: text.to_owned(), groups, program, fast }))
    }

    fn fast_for(&self, text: &str) -> Option<&Regex> {
        let (regex, one_line) = self.fast.as_ref()?;
        let fits = !one_line || text.bytes().all(|byte| byte.is_ascii() && byte != b'\n' && byte != b'\r');
        fits.then_some(regex)
    }

    fn slow(&self, text: &str, from: usize, last: usize, left: &mut usize) -> Result<Option<Slots>> {
        self.program.find(text, from, last, left).map_err(|_| {
            Error::data(format!("the regular expression \"{}\" takes too much time or memory on a value", self.text))
                .hint("avoid repetitions inside repetitions, such as (a+)+")
        })
    }

    /// Whether the pattern occurs in a text.
    ///
    /// # Errors
    /// `Data` if that takes too long.
    pub(in crate::functions) fn occurs(&self, text: &str) -> Result<bool> {
        match self.fast_for(text) {
            Some(regex) => Ok(regex.is_match(text)),
            None => Ok(self.slow(text, 0, 0, &mut Program::steps(text))?.is_some()),
        }
    }

    /// The first match.
    ///
    /// # Errors
    /// `Data` if that takes too long.
    pub(in crate::functions) fn first<'t>(&self, text: &'t str) -> Result<Option<Match<'t>>> {
        self.find(text, 0, 0, &mut Program::steps(text))
    }

    fn find<'t>(&self, text: &'t str, from: usize, last: usize, left: &mut usize) -> Result<Option<Match<'t>>> {
        let slots = match self.fast_for(text) {
            Some(regex) => {
                let mut places = regex.capture_locations();
                regex.captures_read_at(&mut places, text, from).map(|_| {
                    (0..places.len()).flat_map(|i| places.get(i).map_or([usize::MAX; 2], |(a, b)| [a, b])).collect()
                })
            }
            None => self.slow(text, from, last, left)?,
        };
        Ok(slots.map(|slots| Match { text, slots }))
    }

    /// All matches, as `Matcher.find` goes through a text: after an empty one it looks one character on.
    ///
    /// # Errors
    /// `Data` if that takes too long; the first of `each`.
    pub(in crate::functions) fn each<'t>(
        &self,
        text: &'t str,
        mut each: impl FnMut(&Match<'t>) -> Result<()>,
    ) -> Result<()> {
        let (mut from, mut last, mut left) = (0, 0, Program::steps(text));
        while let Some(found) = self.find(text, from, last, &mut left)? {
            let (start, end) = found.whole();
            each(&found)?;
            last = end;
            from = if start == end {
                let Some(c) = text.get(end..).and_then(|rest| rest.chars().next()) else { break };
                end + c.len_utf8()
            } else {
                end
            };
        }
        Ok(())
    }
}

/// One match of a pattern in a text.
#[derive(Debug)]
pub(in crate::functions) struct Match<'t> {
    text: &'t str,
    slots: Slots,
}

impl<'t> Match<'t> {
    /// Begin and end in bytes.
    pub(in crate::functions) fn whole(&self) -> (usize, usize) {
        (self.slots.first().copied().unwrap_or(0), self.slots.get(1).copied().unwrap_or(0))
    }

    /// What a group took; 0 is the whole.
    pub(in crate::functions) fn group(&self, group: usize) -> Option<&'t str> {
        let (from, to) = (*self.slots.get(group * 2)?, *self.slots.get(group * 2 + 1)?);
        self.text.get(from..to)
    }
}

/// Writes a tree for the `regex` crate; `false` if it could not say the same.
fn write(node: &Node, out: &mut String, one_line: &mut bool) -> bool {
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::Char(c) => out.push_str(&format!("\\x{{{:x}}}", u32::from(*c))),
        Node::Set(set) => set.write(out),
        Node::Concat(nodes) => return nodes.iter().all(|node| write(node, out, one_line)),
        Node::Either(nodes) => {
            out.push_str("(?:");
            for (i, node) in nodes.iter().enumerate() {
                out.push_str(if i > 0 { "|" } else { "" });
                if !write(node, out, one_line) {
                    return false;
                }
            }
            out.push(')');
        }
        Node::Group(_, node) => {
            out.push('(');
            if !write(node, out, one_line) {
                return false;
            }
            out.push(')');
        }
        // the engines differ in what a repetition of nothing captures
        Node::Repeat { node, .. } if length(node).0 == 0 => return false,
        Node::Repeat { how: How::Possessive, .. } => return false,
        Node::Repeat { node, least, most, how } => {
            out.push_str("(?:");
            if !write(node, out, one_line) {
                return false;
            }
            let most = most.map_or_else(String::new, |most| most.to_string());
            out.push_str(&format!("){{{least},{most}}}{}", if *how == How::Reluctant { "?" } else { "" }));
        }
        Node::Place(place) => {
            let written = match place {
                Place::Start => "\\A",
                Place::End => "\\z",
                Place::LastMatch => return false,
                other => {
                    *one_line = true;
                    match other {
                        Place::LineStart { .. } => "\\A",
                        Place::Word { at_boundary: true } => "(?-u:\\b)",
                        Place::Word { at_boundary: false } => "(?-u:\\B)",
                        _ => "\\z",
                    }
                }
            };
            out.push_str(written);
        }
        Node::Atomic(_) | Node::Look { .. } | Node::Back { .. } => return false,
    }
    true
}
