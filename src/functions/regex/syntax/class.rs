//! Characters and classes of them: `[a-z&&[^b]]`, `\p{Lu}`, `\u00e9`.

use regex_syntax::hir::ClassUnicode;

use super::{DEPTH_MAX, Parser, Wrong};
use crate::functions::regex::set;

impl Parser {
    /// After a back-slash, in and outside a class: a character or a class.
    pub(super) fn class_escape(&mut self) -> Result<Result<char, ClassUnicode>, Wrong> {
        let c = self.next().ok_or(Wrong::Invalid)?;
        if let Some(class) = set::shorthand(c, self.flags.unicode_class) {
            return Ok(Err(class));
        }
        Ok(Ok(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'c' => {
                let control = u32::from(self.next().ok_or(Wrong::Invalid)?) ^ 64;
                char::from_u32(control).ok_or(Wrong::Invalid)?
            }
            '0' => self.octal()?,
            'x' if self.take('{') => {
                let from = self.at;
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                let digits: String = self.chars.get(from..self.at).unwrap_or_default().iter().collect();
                self.at += 1;
                code_point(&digits)?
            }
            'x' => self.hex(2)?,
            'u' => {
                let unit = self.hex_unit()?;
                self.surrogate(unit)?
            }
            'p' | 'P' => return self.property(c == 'P').map(Err),
            'N' => return Err(Wrong::Unsupported("\\N{…}".to_owned())),
            c if c.is_ascii_alphabetic() => return Err(Wrong::Invalid),
            c => c,
        }))
    }

    fn octal(&mut self) -> Result<char, Wrong> {
        let mut value = 0;
        let mut count = 0;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) {
            if count == 3 || count == 2 && value > 31 {
                break;
            }
            value = value * 8 + digit;
            count += 1;
            self.at += 1;
        }
        if count == 0 { Err(Wrong::Invalid) } else { char::from_u32(value).ok_or(Wrong::Invalid) }
    }

    fn hex(&mut self, count: usize) -> Result<char, Wrong> {
        let digits: String = self.chars.get(self.at..self.at + count).ok_or(Wrong::Invalid)?.iter().collect();
        self.at += count;
        code_point(&digits)
    }

    fn hex_unit(&mut self) -> Result<u32, Wrong> {
        let digits: String = self.chars.get(self.at..self.at + 4).ok_or(Wrong::Invalid)?.iter().collect();
        self.at += 4;
        u32::from_str_radix(&digits, 16).map_err(|_| Wrong::Invalid)
    }

    /// A UTF-16 unit as a character, with its second half if it is the first of two.
    fn surrogate(&mut self, unit: u32) -> Result<char, Wrong> {
        if (0xd800..0xdc00).contains(&unit) && self.starts_with("\\u") {
            self.at += 2;
            let low = self.hex_unit()?;
            let pair = char::decode_utf16([unit as u16, low as u16]).next();
            return pair.and_then(Result::ok).ok_or_else(|| Wrong::Unsupported("half a character".to_owned()));
        }
        char::from_u32(unit).ok_or_else(|| Wrong::Unsupported("half a character".to_owned()))
    }

    /// After `\p` or `\P`.
    fn property(&mut self, negate: bool) -> Result<ClassUnicode, Wrong> {
        let name = if self.take('{') {
            let from = self.at;
            while self.peek().is_some_and(|c| c != '}') {
                self.at += 1;
            }
            let name: String = self.chars.get(from..self.at).unwrap_or_default().iter().collect();
            if !self.take('}') || name.is_empty() {
                return Err(Wrong::Invalid);
            }
            name
        } else {
            self.next().ok_or(Wrong::Invalid)?.to_string()
        };
        let block = name.starts_with("In") || name.starts_with("block=") || name.starts_with("blk=");
        let class = set::property(&name, self.flags.any_case).ok_or_else(|| {
            if block || name.starts_with("java") {
                Wrong::Unsupported(format!("\\p{{{name}}}"))
            } else {
                Wrong::Invalid
            }
        })?;
        Ok(if negate { set::negated(class) } else { class })
    }

    /// After `[`, up to and with `]`.
    ///
    /// # Source  `Pattern.clazz` of OpenJDK 17: `&&` has less binding than the union of what stands side by side
    pub(super) fn class(&mut self) -> Result<ClassUnicode, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::Unsupported(format!("more than {DEPTH_MAX} classes inside each other")));
        }
        let negate = self.take('^');
        let mut whole: Option<ClassUnicode> = None;
        let mut part = ClassUnicode::empty();
        let mut empty = true;
        loop {
            self.skip_comments();
            match self.peek() {
                None => return Err(Wrong::Invalid),
                Some(']') if !empty => {
                    self.at += 1;
                    break;
                }
                Some('&') if self.peek_at(1) == Some('&') => {
                    while self.take('&') {}
                    if !empty {
                        intersect(&mut whole, std::mem::replace(&mut part, ClassUnicode::empty()));
                    }
                    empty = self.peek() == Some(']') && whole.is_none();
                    if self.peek() == Some(']') && whole.is_some() {
                        self.at += 1;
                        self.depth -= 1;
                        let class = whole.unwrap_or_else(ClassUnicode::empty);
                        return Ok(if negate { set::negated(class) } else { class });
                    }
                    continue;
                }
                Some('[') => {
                    self.at += 1;
                    part.union(&self.class()?);
                }
                Some(_) => part.union(&self.range()?),
            }
            empty = false;
        }
        self.depth -= 1;
        intersect(&mut whole, part);
        let class = whole.unwrap_or_else(ClassUnicode::empty);
        Ok(if negate { set::negated(class) } else { class })
    }

    /// One character, range or escape of a class.
    fn range(&mut self) -> Result<ClassUnicode, Wrong> {
        if self.starts_with("\\Q") {
            self.at += 2;
            let mut quoted = ClassUnicode::empty();
            while self.at < self.chars.len() && !self.starts_with("\\E") {
                let c = self.next().unwrap_or_default();
                quoted.union(&self.folded(set::class(&[(c, c)])));
            }
            self.at += 2;
            return Ok(quoted);
        }
        let from = match self.class_char()? {
            Ok(c) => c,
            Err(class) => return Ok(class),
        };
        if self.peek() != Some('-') {
            return Ok(self.folded(set::class(&[(from, from)])));
        }
        if matches!(self.peek_at(1), Some('[' | ']')) {
            return Ok(self.folded(set::class(&[(from, from)])));
        }
        self.at += 1;
        match self.class_char()? {
            Ok(to) if to >= from => Ok(self.folded(set::class(&[(from, to)]))),
            _ => Err(Wrong::Invalid),
        }
    }

    fn class_char(&mut self) -> Result<Result<char, ClassUnicode>, Wrong> {
        match self.next().ok_or(Wrong::Invalid)? {
            '\\' => self.class_escape(),
            c => Ok(Ok(c)),
        }
    }

    fn folded(&self, class: ClassUnicode) -> ClassUnicode {
        if self.flags.any_case { set::folded(class, self.flags.unicode_case) } else { class }
    }
}

fn intersect(whole: &mut Option<ClassUnicode>, part: ClassUnicode) {
    match whole {
        Some(whole) => whole.intersect(&part),
        None => *whole = Some(part),
    }
}

fn code_point(digits: &str) -> Result<char, Wrong> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Wrong::Invalid);
    }
    u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(Wrong::Invalid)
}
