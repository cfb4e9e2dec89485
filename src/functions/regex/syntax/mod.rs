//! Java's pattern syntax (`java.util.regex.Pattern` of Java 17) to a tree.
//!
//! Flags are gone from the tree: a character without regard to case is a set, a `.` is the set it stands for.
//! What Java refuses is [`Wrong::Invalid`], what this engine has not is [`Wrong::Unsupported`].

mod class;

use super::set::{self, Set};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Empty,
    Char(char),
    Set(Set),
    Concat(Vec<Self>),
    Either(Vec<Self>),
    Repeat {
        node: Box<Self>,
        least: u32,
        most: Option<u32>,
        how: How,
    },
    /// A capturing group, counted from 1.
    Group(usize, Box<Self>),
    /// `(?>…)`.
    Atomic(Box<Self>),
    Look {
        behind: bool,
        negative: bool,
        node: Box<Self>,
    },
    /// `\1`, compared without regard to case if `fold`.
    Back {
        group: usize,
        fold: bool,
    },
    Place(Place),
}

/// How much a repetition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Greedy,
    Reluctant,
    /// As much as there is, and nothing back.
    Possessive,
}

/// A place between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `\A`, `^`.
    Start,
    /// `\z`.
    End,
    /// `\Z`, `$`: the end, or before the line end that ends the text; `unix`: `(?d)`.
    LastLineEnd { unix: bool },
    /// `(?m)^`.
    LineStart { unix: bool },
    /// `(?m)$`.
    LineEnd { unix: bool },
    /// `\b`, or `\B`.
    Word { at_boundary: bool },
    /// `\G`.
    LastMatch,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Java refuses it as well.
    Invalid,
    /// Java has it, this engine has not.
    Unsupported(String),
}

/// A tree and the number of its groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) groups: usize,
}

/// Groups inside each other; more are no pattern of a person.
const DEPTH_MAX: usize = 200;
/// `{n,m}` goes up to here; Java has no such bound, but a program of that size does not run in time either.
const REPEATS_MAX: u32 = 10_000;

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    any_case: bool,
    unicode_case: bool,
    multi_line: bool,
    dot_all: bool,
    comments: bool,
    unix: bool,
    unicode_class: bool,
}

/// Reads a pattern.
///
/// # Errors
/// [`Wrong`], see there.
pub(super) fn parse(pattern: &str) -> Result<Parsed, Wrong> {
    let chars: Vec<char> = pattern.chars().collect();
    let groups = count_groups(&chars);
    let mut parser =
        Parser { chars, at: 0, flags: Flags::default(), groups: 0, all_groups: groups, names: Vec::new(), depth: 0 };
    let node = parser.alternatives()?;
    if parser.at < parser.chars.len() {
        return Err(Wrong::Invalid); // a closing parenthesis too many
    }
    Ok(Parsed { node, groups: parser.groups })
}

/// An upper bound of the capturing groups, for `\11`.
fn count_groups(chars: &[char]) -> usize {
    chars.iter().filter(|c| **c == '(').count()
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    flags: Flags,
    groups: usize,
    all_groups: usize,
    names: Vec<(String, usize)>,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.peek_at(i) == Some(c))
    }

    /// Blanks and comments under `(?x)`.
    fn skip_comments(&mut self) {
        while self.flags.comments {
            match self.peek() {
                Some(c) if c.is_ascii_whitespace() || c == '\u{b}' => self.at += 1,
                Some('#') => while self.next().is_some_and(|c| !set::LINE_ENDS.contains(&c)) {},
                _ => return,
            }
        }
    }

    fn alternatives(&mut self) -> Result<Node, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::Unsupported(format!("more than {DEPTH_MAX} groups inside each other")));
        }
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(match branches.len() {
            1 => branches.pop().unwrap_or(Node::Empty),
            _ => Node::Either(branches),
        })
    }

    fn sequence(&mut self) -> Result<Node, Wrong> {
        let mut nodes = Vec::new();
        loop {
            self.skip_comments();
            match self.peek() {
                None | Some('|' | ')') => break,
                Some('*' | '+' | '?') => return Err(Wrong::Invalid),
                _ => {}
            }
            if self.starts_with("\\Q") {
                self.at += 2;
                while self.at < self.chars.len() && !self.starts_with("\\E") {
                    let c = self.next().unwrap_or_default();
                    let node = self.literal(c);
                    let last = self.at >= self.chars.len() || self.starts_with("\\E");
                    nodes.push(node);
                    if last && self.starts_with("\\E") {
                        self.at += 2;
                        let node = nodes.pop().unwrap_or(Node::Empty);
                        nodes.push(self.quantified(node)?);
                        break;
                    }
                }
                continue;
            }
            if let Some(node) = self.atom()? {
                nodes.push(self.quantified(node)?);
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.pop().unwrap_or(Node::Empty),
            _ => Node::Concat(nodes),
        })
    }

    /// A character by the flags.
    fn literal(&self, c: char) -> Node {
        let folded = self.flags.any_case && (c.is_ascii_alphabetic() || self.flags.unicode_case);
        match folded {
            true => Node::Set(Set::new(&set::folded(set::class(&[(c, c)]), self.flags.unicode_case))),
            false => Node::Char(c),
        }
    }

    /// One element; `None` for flags and the like, which match nothing.
    fn atom(&mut self) -> Result<Option<Node>, Wrong> {
        let Some(c) = self.peek() else { return Ok(Some(Node::Empty)) };
        let flags = self.flags;
        Ok(Some(match c {
            '(' => {
                self.at += 1;
                return self.group();
            }
            '[' => {
                self.at += 1;
                Node::Set(Set::new(&self.class()?))
            }
            '.' => {
                self.at += 1;
                Node::Set(Set::new(&set::any(flags.dot_all, flags.unix)))
            }
            '^' => {
                self.at += 1;
                Node::Place(if flags.multi_line { Place::LineStart { unix: flags.unix } } else { Place::Start })
            }
            '$' => {
                self.at += 1;
                let unix = flags.unix;
                Node::Place(if flags.multi_line { Place::LineEnd { unix } } else { Place::LastLineEnd { unix } })
            }
            '{' => Node::Empty, // what is repeated is nothing
            '\\' => {
                self.at += 1;
                self.escape()?
            }
            other => {
                self.at += 1;
                self.literal(other)
            }
        }))
    }

    fn quantified(&mut self, node: Node) -> Result<Node, Wrong> {
        self.skip_comments();
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.at += 1;
                let bounds = self.bounds()?;
                if most_of(bounds) > REPEATS_MAX {
                    return Err(Wrong::Unsupported(format!("more than {REPEATS_MAX} repetitions")));
                }
                self.at -= 1; // the brace that closes is the quantifier's last character
                bounds
            }
            _ => return Ok(node),
        };
        self.at += 1;
        let how = if self.take('?') {
            How::Reluctant
        } else if self.take('+') {
            How::Possessive
        } else {
            How::Greedy
        };
        Ok(Node::Repeat { node: Box::new(node), least, most, how })
    }

    /// `n}`, `n,}` or `n,m}`, up to and with the brace.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), Wrong> {
        let least = self.digits().ok_or(Wrong::Invalid)?;
        let most = if self.take(',') {
            if self.peek() == Some('}') { None } else { Some(self.digits().ok_or(Wrong::Invalid)?) }
        } else {
            Some(least)
        };
        if !self.take('}') || most.is_some_and(|most| most < least) {
            return Err(Wrong::Invalid);
        }
        Ok((least, most))
    }

    fn digits(&mut self) -> Option<u32> {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars.get(from..self.at)?.iter().collect::<String>().parse().ok()
    }

    /// After `(`.
    fn group(&mut self) -> Result<Option<Node>, Wrong> {
        let outer = self.flags;
        let look = [("?=", false, false), ("?!", false, true), ("?<=", true, false), ("?<!", true, true)];
        if let Some((open, behind, negative)) = look.into_iter().find(|(open, ..)| self.starts_with(open)) {
            self.at += open.len();
            let node = Box::new(self.closed(outer)?);
            return Ok(Some(Node::Look { behind, negative, node }));
        }
        if self.starts_with("?>") {
            self.at += 2;
            return Ok(Some(Node::Atomic(Box::new(self.closed(outer)?))));
        }
        if self.starts_with("?<") {
            self.at += 2;
            let name = self.name('>')?;
            if self.names.iter().any(|(known, _)| *known == name) {
                return Err(Wrong::Invalid);
            }
            self.names.push((name, self.groups + 1));
        } else if self.take('?') {
            return self.flagged(outer);
        }
        self.groups += 1;
        let group = self.groups;
        Ok(Some(Node::Group(group, Box::new(self.closed(outer)?))))
    }

    /// The inside of a group and its parenthesis; flags set inside end with it.
    fn closed(&mut self, outer: Flags) -> Result<Node, Wrong> {
        let node = self.alternatives()?;
        self.flags = outer;
        if self.take(')') { Ok(node) } else { Err(Wrong::Invalid) }
    }

    /// After `(?`: `i-s)` or `i-s:…)`.
    fn flagged(&mut self, outer: Flags) -> Result<Option<Node>, Wrong> {
        let mut on = true;
        loop {
            match self.next() {
                Some('i') => self.flags.any_case = on,
                Some('u') => self.flags.unicode_case = on,
                Some('m') => self.flags.multi_line = on,
                Some('s') => self.flags.dot_all = on,
                Some('x') => self.flags.comments = on,
                Some('d') => self.flags.unix = on,
                Some('U') => (self.flags.unicode_class, self.flags.unicode_case) = (on, on),
                Some('-') if on => on = false,
                Some(')') => return Ok(None),
                Some(':') => return Ok(Some(self.closed(outer)?)),
                _ => return Err(Wrong::Invalid),
            }
        }
    }

    fn name(&mut self, end: char) -> Result<String, Wrong> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some(c) if c == end && !name.is_empty() => return Ok(name),
                Some(c) if c.is_ascii_alphabetic() || c.is_ascii_digit() && !name.is_empty() => name.push(c),
                _ => return Err(Wrong::Invalid),
            }
        }
    }

    /// After a back-slash outside a class.
    fn escape(&mut self) -> Result<Node, Wrong> {
        let c = self.peek().ok_or(Wrong::Invalid)?;
        let place = match c {
            'A' => Some(Place::Start),
            'z' => Some(Place::End),
            'Z' => Some(Place::LastLineEnd { unix: self.flags.unix }),
            'G' => Some(Place::LastMatch),
            'b' if self.peek_at(1) == Some('{') => return Err(Wrong::Unsupported("\\b{g}".to_owned())),
            'b' => Some(Place::Word { at_boundary: true }),
            'B' => Some(Place::Word { at_boundary: false }),
            _ => None,
        };
        if let Some(place) = place {
            self.at += 1;
            return Ok(Node::Place(place));
        }
        match c {
            'R' => {
                self.at += 1;
                let pair = Node::Concat(vec![Node::Char('\r'), Node::Char('\n')]);
                let one = set::shorthand('v', false).ok_or(Wrong::Invalid)?;
                Ok(Node::Either(vec![pair, Node::Set(Set::new(&one))]))
            }
            'X' => Err(Wrong::Unsupported("\\X".to_owned())),
            'k' => {
                self.at += 1;
                if !self.take('<') {
                    return Err(Wrong::Invalid);
                }
                let name = self.name('>')?;
                let group = self.names.iter().find(|(known, _)| *known == name).ok_or(Wrong::Invalid)?.1;
                Ok(Node::Back { group, fold: self.flags.any_case })
            }
            '1'..='9' => Ok(self.back_reference()),
            _ => match self.class_escape()? {
                Ok(c) => Ok(self.literal(c)),
                Err(class) => Ok(Node::Set(Set::new(&class))),
            },
        }
    }

    /// `\12` is group 12 if there are so many, else group 1 and a 2.
    fn back_reference(&mut self) -> Node {
        let mut group = 0_usize;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit as usize;
            if group > 0 && longer > self.all_groups {
                break;
            }
            group = longer;
            self.at += 1;
        }
        Node::Back { group, fold: self.flags.any_case }
    }
}

fn most_of((least, most): (u32, Option<u32>)) -> u32 {
    most.unwrap_or(least)
}
