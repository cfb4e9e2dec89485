//! Sets of characters: what `[a-z&&[^b]]`, `\w` and `\p{Lu}` stand for in a Java pattern.

use std::sync::Arc;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// The characters after which a line begins, as `.`, `^` and `$` see them.
pub(super) const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// A set of characters, made for looking up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Bit per ASCII character.
    ascii: u128,
    /// Sorted, apart from each other; shared by the repetitions of a set, which `\p{L}` makes large.
    ranges: Arc<[(char, char)]>,
}

impl Set {
    pub(super) fn new(class: &ClassUnicode) -> Self {
        let ranges: Arc<[_]> = class.ranges().iter().map(|range| (range.start(), range.end())).collect();
        let within = |c: u32| ranges.iter().any(|(from, to)| (u32::from(*from)..=u32::from(*to)).contains(&c));
        let ascii = (0..128_u32).filter(|c| within(*c)).fold(0, |bits, c| bits | 1_u128 << c);
        Self { ascii, ranges }
    }

    pub(super) fn contains(&self, c: char) -> bool {
        if c.is_ascii() {
            return self.ascii >> u32::from(c) & 1 == 1;
        }
        let after = self.ranges.partition_point(|(from, _)| *from <= c);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, to)| c <= *to)
    }

    /// The set as the `regex` crate reads it.
    pub(super) fn write(&self, out: &mut String) {
        if self.ranges.is_empty() {
            return out.push_str("[a&&b]");
        }
        out.push('[');
        for (from, to) in self.ranges.iter() {
            out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(*from), u32::from(*to)));
        }
        out.push(']');
    }
}

/// The class of these ranges.
pub(super) fn class(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)))
}

/// All characters that are not in `class`.
pub(super) fn negated(mut class: ClassUnicode) -> ClassUnicode {
    class.negate();
    class
}

/// All characters, or all that end no line; `unix`: only `\n` does.
pub(super) fn any(lines_too: bool, unix: bool) -> ClassUnicode {
    let ends: &[char] = match (lines_too, unix) {
        (true, _) => &[],
        (false, true) => &LINE_ENDS[..1],
        (false, false) => &LINE_ENDS,
    };
    negated(class(&ends.iter().map(|c| (*c, *c)).collect::<Vec<_>>()))
}

/// The class with both cases of its letters: of ASCII alone, or of all (`(?iu)`).
pub(super) fn folded(mut class: ClassUnicode, unicode: bool) -> ClassUnicode {
    if unicode {
        class.case_fold_simple();
        return class;
    }
    let mut letters = class.clone();
    letters.intersect(&self::class(&[('A', 'Z'), ('a', 'z')]));
    letters.case_fold_simple();
    // the simple fold of k and s leaves ASCII
    letters.intersect(&self::class(&[('A', 'Z'), ('a', 'z')]));
    class.union(&letters);
    class
}

/// `\d`, `\s`, `\w`, `\h`, `\v` and, upper-case, what is not in them; `unicode`: `(?U)`.
pub(super) fn shorthand(letter: char, unicode: bool) -> Option<ClassUnicode> {
    const BLANK: &[(char, char)] = &[
        (' ', ' '),
        ('\t', '\t'),
        ('\u{a0}', '\u{a0}'),
        ('\u{1680}', '\u{1680}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{2000}', '\u{200a}'),
        ('\u{202f}', '\u{202f}'),
        ('\u{205f}', '\u{205f}'),
        ('\u{3000}', '\u{3000}'),
    ];
    let class = match (letter.to_ascii_lowercase(), unicode) {
        ('d', false) => class(&[('0', '9')]),
        ('s', false) => class(&[('\t', '\r'), (' ', ' ')]),
        ('w', false) => class(&[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
        ('d', true) => known("Nd")?,
        ('s', true) => known("White_Space")?,
        ('w', true) => parsed(r"\w")?,
        ('h', _) => class(BLANK),
        ('v', _) => class(&[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')]),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { negated(class) } else { class })
}

/// What Java 17 takes for a part of a word at `\b`.
pub(super) fn word() -> Set {
    let mut word = known("L").unwrap_or_else(ClassUnicode::empty);
    word.union(&known("Nd").unwrap_or_else(ClassUnicode::empty));
    word.union(&class(&[('_', '_')]));
    Set::new(&word)
}

/// The class of `\p{name}`; `None` if it is not known. `any_case`: `(?i)`, under which the case of a letter is none.
pub(super) fn property(name: &str, any_case: bool) -> Option<ClassUnicode> {
    let ascii = |ranges: &[(char, char)]| Some(class(ranges));
    if any_case && matches!(name, "Lower" | "Upper") {
        return ascii(&[('a', 'z'), ('A', 'Z')]);
    }
    if any_case && matches!(name, "Lu" | "Ll" | "Lt" | "IsLu" | "IsLl" | "IsLt") {
        let mut cased = known("Lu")?;
        cased.union(&known("Ll")?);
        cased.union(&known("Lt")?);
        return Some(cased);
    }
    match name {
        "Lower" => ascii(&[('a', 'z')]),
        "Upper" => ascii(&[('A', 'Z')]),
        "ASCII" => ascii(&[('\0', '\u{7f}')]),
        "Alpha" => ascii(&[('a', 'z'), ('A', 'Z')]),
        "Digit" => ascii(&[('0', '9')]),
        "Alnum" => ascii(&[('a', 'z'), ('A', 'Z'), ('0', '9')]),
        "Punct" => ascii(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "Graph" => ascii(&[('!', '~')]),
        "Print" => ascii(&[(' ', '~')]),
        "Blank" => ascii(&[(' ', ' '), ('\t', '\t')]),
        "Cntrl" => ascii(&[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')]),
        "XDigit" => ascii(&[('0', '9'), ('a', 'f'), ('A', 'F')]),
        "Space" => ascii(&[('\t', '\r'), (' ', ' ')]),
        "L1" => ascii(&[('\0', '\u{ff}')]),
        "javaLowerCase" => known("Lowercase"),
        "javaUpperCase" => known("Uppercase"),
        "javaAlphabetic" => known("Alphabetic"),
        "javaLetter" => known("L"),
        "javaDigit" => known("Nd"),
        "javaTitleCase" => known("Lt"),
        "javaLetterOrDigit" => {
            let mut both = known("L")?;
            both.union(&known("Nd")?);
            Some(both)
        }
        _ => {
            let equals = ["general_category=", "gc=", "script=", "sc="].iter().find_map(|key| name.strip_prefix(key));
            known(equals.unwrap_or(name)).or_else(|| known(name.strip_prefix("Is")?))
        }
    }
}

fn known(name: &str) -> Option<ClassUnicode> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'-'));
    if plain && !name.is_empty() { parsed(&format!("\\p{{{name}}}")) } else { None }
}

fn parsed(pattern: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(pattern).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_java_says() {
        let has = |name: &str, c| Set::new(&property(name, false).unwrap()).contains(c);
        assert!(has("L", 'é') && !has("L", '1') && has("IsAlphabetic", '日') && has("Lu", 'É') && !has("Lower", 'é'));
        assert!(has("script=Greek", 'Σ') && has("gc=Nd", '٣') && property("InGreek", false).is_none());
        assert!(Set::new(&folded(class(&[('k', 'k')]), true)).contains('\u{212a}'));
        assert!(!Set::new(&folded(class(&[('k', 'k')]), false)).contains('\u{212a}'));
        assert!(Set::new(&folded(class(&[('k', 'k')]), false)).contains('K'));
        assert!(word().contains('é') && word().contains('_') && !word().contains('-'));
        assert!(!Set::new(&any(false, false)).contains('\u{85}') && Set::new(&any(false, true)).contains('\r'));
    }
}
