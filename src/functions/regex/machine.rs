//! A tree run by back-tracking, as Java runs it: look-around, back-references and possessive repetition included.
//!
//! The tree becomes a program of few instructions; what can be tried later lies on a stack of its own, so that depth
//! costs memory and not the thread's stack. A search has a bound of steps and of that stack, and is an error beyond it.

use super::set::{self, LINE_ENDS, Set};
use super::syntax::{How, Node, Place};
use crate::limits::RECORD_BYTES_MAX;

/// Steps for all searches in one value, beside those for its length. Java would go on for hours where this ends:
/// patterns such as `(a+)+b`.
const STEPS_MAX: usize = 20_000_000;
/// Steps for each byte of a value: many short matches in a long one are no trouble.
const STEPS_PER_BYTE: usize = 50;
/// What can be tried later, at one time: `.*` keeps one per character of the longest record, 100 MB in all.
const LATER_MAX: usize = RECORD_BYTES_MAX;
/// Slots that are kept or compared in the time of one step.
const SLOTS_PER_STEP: usize = 16;
/// Instructions of one pattern.
const PROGRAM_MAX: usize = 200_000;
/// Parts of the tree looked at to make them: those that need no instruction can be repeated as well.
const PARTS_MAX: usize = 10 * PROGRAM_MAX;

#[derive(Debug)]
enum Step {
    Char(char),
    Set(Set),
    Place(Place),
    /// Goes on at the first, and at the second if that fails.
    Either(usize, usize),
    Jump(usize),
    /// Keeps the place in a slot: groups have two, repetitions of what can be empty have one.
    Keep(usize),
    /// Ends a repetition at `exit` if nothing was taken since the slot was kept.
    Moved {
        slot: usize,
        exit: usize,
    },
    Back {
        group: usize,
        fold: bool,
    },
    /// Runs what follows to its `Done` and goes on at `next`; a look goes on where it began.
    Inner {
        kind: Inner,
        next: usize,
    },
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Atomic,
    Ahead {
        negative: bool,
    },
    /// With the lengths it can have, in characters.
    Behind {
        negative: bool,
        least: usize,
        most: usize,
    },
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    /// Two for each group, 0 being the whole, then those of repetitions.
    slots: usize,
    word: Option<Set>,
    /// Parts looked at so far.
    parts: usize,
}

/// Why a tree has no program, or a search no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A look-behind without a bound, which Java refuses as well.
    Endless,
    TooLarge,
    TooLong,
}

/// Byte places of the groups: two per group, `usize::MAX` where it took no part.
pub(super) type Slots = Vec<usize>;

/// A slot that holds nothing.
const NOWHERE: usize = usize::MAX;

impl Program {
    /// # Errors
    /// `Endless` or `TooLarge`.
    pub(super) fn new(node: &Node, groups: usize) -> Result<Self, Trouble> {
        let mut program = Self { steps: Vec::new(), slots: (groups + 1) * 2, word: None, parts: 0 };
        program.push(Step::Keep(0))?;
        program.add(node)?;
        program.push(Step::Keep(1))?;
        program.push(Step::Done)?;
        Ok(program)
    }

    fn push(&mut self, step: Step) -> Result<usize, Trouble> {
        if self.steps.len() >= PROGRAM_MAX {
            return Err(Trouble::TooLarge);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn set(&mut self, at: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
    }

    fn add(&mut self, node: &Node) -> Result<(), Trouble> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(Trouble::TooLarge);
        }
        match node {
            Node::Empty => {}
            Node::Char(c) => {
                self.push(Step::Char(*c))?;
            }
            Node::Set(set) => {
                self.push(Step::Set(set.clone()))?;
            }
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.add(node))?,
            Node::Either(nodes) => self.either(nodes)?,
            Node::Repeat { node, least, most, how } => self.repeat(node, *least, *most, *how)?,
            Node::Group(group, node) => {
                self.push(Step::Keep(group * 2))?;
                self.add(node)?;
                self.push(Step::Keep(group * 2 + 1))?;
            }
            Node::Atomic(node) => self.inner(Inner::Atomic, node)?,
            Node::Look { behind: false, negative, node } => self.inner(Inner::Ahead { negative: *negative }, node)?,
            Node::Look { behind: true, negative, node } => {
                let (least, most) = length(node);
                let most = most.ok_or(Trouble::Endless)?;
                self.inner(Inner::Behind { negative: *negative, least, most }, node)?;
            }
            Node::Back { group, fold } => {
                self.push(Step::Back { group: *group, fold: *fold })?;
            }
            Node::Place(place) => {
                if matches!(place, Place::Word { .. }) && self.word.is_none() {
                    self.word = Some(set::word());
                }
                self.push(Step::Place(*place))?;
            }
        }
        Ok(())
    }

    fn either(&mut self, nodes: &[Node]) -> Result<(), Trouble> {
        let mut ends = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            if i + 1 == nodes.len() {
                self.add(node)?;
                continue;
            }
            let fork = self.push(Step::Done)?;
            self.add(node)?;
            ends.push(self.push(Step::Done)?);
            let after = self.steps.len();
            self.set(fork, Step::Either(fork + 1, after));
        }
        let end = self.steps.len();
        ends.into_iter().for_each(|at| self.set(at, Step::Jump(end)));
        Ok(())
    }

    fn repeat(&mut self, node: &Node, least: u32, most: Option<u32>, how: How) -> Result<(), Trouble> {
        if how == How::Possessive {
            let greedy = Node::Repeat { node: Box::new(node.clone()), least, most, how: How::Greedy };
            return self.inner(Inner::Atomic, &greedy);
        }
        let fork = |body: usize, after: usize| {
            if how == How::Greedy { Step::Either(body, after) } else { Step::Either(after, body) }
        };
        for _ in 0..least {
            let before = self.steps.len();
            self.add(node)?;
            // nothing is nothing, however often
            if self.steps.len() == before {
                return Ok(());
            }
        }
        let Some(most) = most else {
            let slot = self.guard(node);
            let begin = self.push(Step::Done)?;
            if let Some(slot) = slot {
                self.push(Step::Keep(slot))?;
            }
            self.add(node)?;
            let moved = slot.map(|slot| self.push(Step::Moved { slot, exit: 0 }).map(|at| (at, slot))).transpose()?;
            self.push(Step::Jump(begin))?;
            let after = self.steps.len();
            if let Some((at, slot)) = moved {
                self.set(at, Step::Moved { slot, exit: after });
            }
            self.set(begin, fork(begin + 1, after));
            return Ok(());
        };
        let mut forks = Vec::new();
        for _ in least..most {
            forks.push(self.push(Step::Done)?);
            self.add(node)?;
        }
        let after = self.steps.len();
        forks.into_iter().for_each(|at| self.set(at, fork(at + 1, after)));
        Ok(())
    }

    /// A slot to see that a repetition takes something, where it may not.
    fn guard(&mut self, node: &Node) -> Option<usize> {
        (length(node).0 == 0).then(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    fn inner(&mut self, kind: Inner, node: &Node) -> Result<(), Trouble> {
        let at = self.push(Step::Done)?;
        self.add(node)?;
        self.push(Step::Done)?;
        let next = self.steps.len();
        self.set(at, Step::Inner { kind, next });
        Ok(())
    }

    /// The steps that all searches in `text` may take together.
    pub(super) fn steps(text: &str) -> usize {
        STEPS_MAX.saturating_add(text.len().saturating_mul(STEPS_PER_BYTE))
    }

    /// The first match at or after `from`; `last` is where the match before ended, `left` what is left of
    /// [`Program::steps`].
    ///
    /// # Errors
    /// `TooLong`.
    pub(super) fn find(
        &self,
        text: &str,
        from: usize,
        last: usize,
        left: &mut usize,
    ) -> Result<Option<Slots>, Trouble> {
        let mut run = Run { program: self, text, last, left: *left, room: LATER_MAX };
        let starts = text.get(from..).unwrap_or("").char_indices().map(|(at, _)| from + at).chain([text.len()]);
        // a run that fails leaves the slots as they were
        let mut slots = vec![NOWHERE; self.slots];
        for start in starts {
            if run.run(0, start, &mut slots, None)?.is_some() {
                *left = run.left;
                return Ok(Some(slots));
            }
        }
        *left = run.left;
        Ok(None)
    }
}

/// What is taken back when a branch fails.
enum Later {
    Branch { step: usize, at: usize },
    Restore { slot: usize, to: usize },
}

struct Run<'a> {
    program: &'a Program,
    text: &'a str,
    last: usize,
    left: usize,
    /// What may be kept for later, beside what the runs around this one keep.
    room: usize,
}

impl Run<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), Trouble> {
        self.left = self.left.checked_sub(steps).ok_or(Trouble::TooLong)?;
        Ok(())
    }

    fn after(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text.get(..at)?.chars().next_back()
    }

    /// Runs from a step to its `Done`; the place reached. `target`: the place it has to reach.
    fn run(
        &mut self,
        step: usize,
        at: usize,
        slots: &mut Slots,
        target: Option<usize>,
    ) -> Result<Option<usize>, Trouble> {
        let (mut step, mut at) = (step, at);
        let mut later: Vec<Later> = Vec::new();
        loop {
            self.spend(1)?;
            if later.len() >= self.room {
                return Err(Trouble::TooLong);
            }
            let reached = match self.program.steps.get(step) {
                None | Some(Step::Done) if target.is_none_or(|target| target == at) => return Ok(Some(at)),
                None | Some(Step::Done) => None,
                Some(Step::Either(first, second)) => {
                    later.push(Later::Branch { step: *second, at });
                    Some((*first, at))
                }
                Some(Step::Jump(to)) => Some((*to, at)),
                Some(Step::Moved { slot, exit }) => {
                    Some((if slots.get(*slot) == Some(&at) { *exit } else { step + 1 }, at))
                }
                Some(Step::Keep(slot)) => {
                    if let Some(place) = slots.get_mut(*slot) {
                        later.push(Later::Restore { slot: *slot, to: std::mem::replace(place, at) });
                    }
                    Some((step + 1, at))
                }
                Some(Step::Inner { kind, next }) => {
                    self.spend(slots.len() / SLOTS_PER_STEP)?;
                    let kept = slots.clone();
                    self.room -= later.len();
                    let found = self.inner(*kind, step + 1, at, slots)?;
                    self.room += later.len();
                    let changed = slots.iter().zip(&kept).enumerate().filter(|(_, (new, old))| new != old);
                    later.extend(changed.map(|(slot, (_, old))| Later::Restore { slot, to: *old }));
                    found.map(|at| (*next, at))
                }
                Some(single) => self.single(single, at, slots).map(|at| (step + 1, at)),
            };
            match reached.or_else(|| back(&mut later, slots)) {
                Some(next) => (step, at) = next,
                None => return Ok(None),
            }
        }
    }

    /// A step without branches: the place after it.
    fn single(&self, step: &Step, at: usize, slots: &Slots) -> Option<usize> {
        match step {
            Step::Char(c) => self.text.get(at..)?.starts_with(*c).then(|| at + c.len_utf8()),
            Step::Set(set) => self.after(at).filter(|c| set.contains(*c)).map(|c| at + c.len_utf8()),
            Step::Place(place) => self.is_at(*place, at).then_some(at),
            Step::Back { group, fold } => {
                let (from, to) = (*slots.get(group * 2)?, *slots.get(group * 2 + 1)?);
                let taken = self.text.get(from..to)?;
                let rest = self.text.get(at..)?;
                let same = rest
                    .get(..taken.len())
                    .is_some_and(|next| next == taken || *fold && next.eq_ignore_ascii_case(taken));
                same.then(|| at + taken.len())
            }
            _ => None,
        }
    }

    fn inner(&mut self, kind: Inner, step: usize, at: usize, slots: &mut Slots) -> Result<Option<usize>, Trouble> {
        let kept = slots.clone();
        let (found, negative) = match kind {
            Inner::Atomic => return self.run(step, at, slots, None),
            Inner::Ahead { negative } => (self.run(step, at, slots, None)?.is_some(), negative),
            Inner::Behind { negative, least, most } => (self.behind(step, at, slots, (least, most))?, negative),
        };
        if found && negative {
            *slots = kept;
        }
        Ok((found != negative).then_some(at))
    }

    /// Whether the steps reach `at` from a place before it, nearest first.
    fn behind(
        &mut self,
        step: usize,
        at: usize,
        slots: &mut Slots,
        (least, most): (usize, usize),
    ) -> Result<bool, Trouble> {
        let mut start = at;
        for back in 0..=most {
            if back >= least && self.run(step, start, slots, Some(at))?.is_some() {
                return Ok(true);
            }
            match self.before(start) {
                Some(c) => start -= c.len_utf8(),
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    fn is_at(&self, place: Place, at: usize) -> bool {
        let ends = |c: char, unix: bool| c == '\n' || !unix && LINE_ENDS.contains(&c);
        let between_pair = || self.before(at) == Some('\r') && self.after(at) == Some('\n');
        match place {
            Place::Start => at == 0,
            Place::End => at == self.text.len(),
            Place::LastLineEnd { unix } => {
                let rest = self.text.get(at..).unwrap_or("");
                let mut chars = rest.chars();
                let one = chars.next().is_some_and(|c| ends(c, unix)) && chars.next().is_none();
                rest.is_empty() || !unix && rest == "\r\n" || one && (unix || !between_pair())
            }
            Place::LineStart { unix } => {
                let after_end = self.before(at).is_some_and(|c| ends(c, unix)) && (unix || !between_pair());
                at == 0 || after_end && at < self.text.len()
            }
            Place::LineEnd { unix } => {
                at == self.text.len() || self.after(at).is_some_and(|c| ends(c, unix)) && (unix || !between_pair())
            }
            Place::Word { at_boundary } => {
                let part =
                    |c: Option<char>| c.is_some_and(|c| self.program.word.as_ref().is_some_and(|w| w.contains(c)));
                (part(self.before(at)) != part(self.after(at))) == at_boundary
            }
            Place::LastMatch => at == self.last,
        }
    }
}

/// The last branch not taken, with the slots as they were there.
fn back(later: &mut Vec<Later>, slots: &mut Slots) -> Option<(usize, usize)> {
    while let Some(one) = later.pop() {
        match one {
            Later::Branch { step, at } => return Some((step, at)),
            Later::Restore { slot, to } => {
                if let Some(place) = slots.get_mut(slot) {
                    *place = to;
                }
            }
        }
    }
    None
}

/// Least and most characters a part can take.
pub(super) fn length(node: &Node) -> (usize, Option<usize>) {
    match node {
        Node::Empty | Node::Look { .. } | Node::Place(_) => (0, Some(0)),
        Node::Char(_) | Node::Set(_) => (1, Some(1)),
        Node::Concat(nodes) => nodes
            .iter()
            .map(length)
            .fold((0, Some(0)), |sum, one| (sum.0 + one.0, sum.1.zip(one.1).map(|(a, b)| a.saturating_add(b)))),
        Node::Either(nodes) => {
            let all = || nodes.iter().map(length);
            let most = all().map(|(_, most)| most).try_fold(0, |most, one| one.map(|one| most.max(one)));
            (all().map(|(least, _)| least).min().unwrap_or(0), most)
        }
        Node::Repeat { node, least, most, .. } => {
            let one = length(node);
            let most = most.zip(one.1).map(|(times, one)| one.saturating_mul(times as usize));
            (one.0.saturating_mul(*least as usize), if one.1 == Some(0) { Some(0) } else { most })
        }
        Node::Group(_, node) | Node::Atomic(node) => length(node),
        Node::Back { .. } => (0, None),
    }
}
