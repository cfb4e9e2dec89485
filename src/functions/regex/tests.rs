//! Patterns as the `java.util.regex` of JDK 17 runs them: matches and groups, refusals, and the bounds of time and memory.

use super::like::{Like, to_java};
use super::pattern::Pattern;
use super::syntax::{Wrong, parse};

/// All matches, with the groups in braces: what `java.util.regex` of JDK 17 finds.
fn found(pattern: &str, text: &str) -> Option<String> {
    let compiled = Pattern::new(pattern).unwrap()?;
    let mut all = Vec::new();
    let each = |one: &super::pattern::Match<'_>| {
        let groups: Vec<_> = (1..=compiled.groups).map(|g| one.group(g).unwrap_or("-")).collect();
        let groups = if groups.is_empty() { String::new() } else { format!("{{{}}}", groups.join(",")) };
        all.push(format!("{}{groups}", one.group(0).unwrap_or("?")));
        Ok(())
    };
    compiled.each(text, each).unwrap();
    Some(all.join(" "))
}

#[test]
fn as_java_finds() {
    for (pattern, text, all) in [
        ("a+", "aab a", "aa a"),
        ("(a|ab)(c|bcd)?", "abcd", "abcd{a,bcd}"),
        ("(\\w+)=(-?[\\d.]+)", "t=-1.5 é=2", "t=-1.5{t,-1.5}"),
        ("(?<=a)b|c(?!d)", "ab cb cd ce", "b c c"),
        ("(.)\\1", "abbccd", "bb{b} cc{c}"),
        ("a++ab", "aaab", ""),
        ("(?>a|ab)c", "abc", ""),
        ("(?i)ABc", "abC ABC", "abC ABC"),
        ("(?i)é", "É", ""),
        ("(?iu)é", "É", "É"),
        ("[a-z&&[^aeiou]]+", "hello", "h ll"),
        ("[^\\W\\d]", "1é_x", "_ x"),
        ("\\p{L}+", "日本 x", "日本 x"),
        ("b*", "abb", " bb "),
        ("a{2,3}?", "aaaaa", "aa aa"),
        ("^b$", "b\n", "b"),
        ("(?m)^b$", "a\nb\r\nb", "b b"),
        ("a$", "a\r\n", "a"),
        ("a$", "a\n\n", ""),
        ("a.b", "a\nb a\u{85}b axb", "axb"),
        ("(?s)a.b", "a\nb", "a\nb"),
        ("\\Qa.b\\E+", "a.bb", "a.bb"),
        ("(?x) a b # no\n c", "abc", "abc"),
        ("(?<y>\\d{4})-\\k<y>", "2024-2024", "2024-2024{2024}"),
        ("\\bé", "é xé", "é"),
        ("(a)|(b)", "ab", "a{a,-} b{-,b}"),
        ("(?:(a)|b)*", "ab", "ab{a} {-}"),
        ("(a*)*", "b", "{} {}"),
        ("\\x41\\u0042\\0103", "ABC", "ABC"),
        ("(?i:a)b", "Ab AB", "Ab"),
        ("\\R", "a\r\nb", "\r\n"),
        ("[]a]", "]a", "] a"),
        ("[a-]", "-a", "- a"),
    ] {
        assert_eq!(found(pattern, text).as_deref(), Some(all), "{pattern}");
    }
    for pattern in
        ["(", "[", "a**", "*", ")", "a{2,1}", "\\", "\\y", "(?<1>a)", "[z-a]", "(?<=a+)b", "\\p{Nope}", "a{x}"]
    {
        assert_eq!(found(pattern, ""), None, "{pattern}");
    }
    assert!(matches!(parse("\\X"), Err(Wrong::Unsupported(_))));
    assert!(Pattern::new("\\p{InGreek}").is_err());
}

#[test]
fn what_takes_too_long_is_an_error() {
    let pattern = Pattern::new("(a+)+\\1b").unwrap().unwrap();
    assert!(pattern.occurs(&"a".repeat(40)).is_err());
}

#[test]
fn what_takes_too_much_memory_is_an_error() {
    let pattern = Pattern::new("(a)*\\1").unwrap().unwrap();
    assert!(pattern.occurs(&"a".repeat(1_000_000)).unwrap());
    assert!(pattern.occurs(&"a".repeat(1_500_000)).is_err());
    // what is kept around a look-ahead counts in it, and no longer than that
    let pattern = Pattern::new("(?:a(?=a|$))*").unwrap().unwrap();
    assert!(pattern.occurs(&"a".repeat(4_000)).unwrap());
    let error = Pattern::new(&"\\p{L}".repeat(20_000)).unwrap_err();
    assert_eq!(error.message(), "a regular expression has more than 65536 bytes");
}

#[test]
fn repetitions_of_nothing_are_compiled_at_once() {
    for (pattern, text, all) in
        [("(?:(?:(?:){10000}){10000}){10000}a", "ba", "a"), ("(?:(?:(?:){10000,}){9999,10000}){10000}b", "ba", "b")]
    {
        assert_eq!(found(pattern, text).as_deref(), Some(all), "{pattern}");
    }
    let many = format!("(?:{}a){{10000}}", "(?:)".repeat(1_000));
    assert!(Pattern::new(&many).is_err(), "so many parts are refused");
}

#[test]
fn like_goes_through_a_text_and_back_to_its_last_percent() {
    let like =
        |pattern: &str, escape: Option<char>, text: &str| Like::new(pattern, escape).map(|like| like.matches(text));
    for (pattern, text, found) in [
        ("%device_%", "x device_3", true),
        ("a%b%c", "a1b2b3c", true),
        ("a%b%c", "a1b2b3", false),
        ("_", "😀", true),
        ("__", "😀", false),
        ("a_b", "a\nb", false),
        ("a%b", "a\nb", true),
        ("", "", true),
        ("%", "", true),
        ("%%", "x", true),
        ("100\\%", "100\\x", true),
    ] {
        assert_eq!(like(pattern, None, text).unwrap(), found, "{pattern} {text}");
    }
    assert!(like("100!%", Some('!'), "100%").unwrap() && !like("100!%", Some('!'), "1000").unwrap());
    assert!(like("a!bc", Some('!'), "abc").is_err() && like("abc!", Some('!'), "abc").is_err());
}

#[test]
fn similar_to_is_a_regular_expression_for_the_whole_text() {
    let similar = |pattern: &str, text: &str| {
        Pattern::new(&to_java(pattern, Some('!')).unwrap()).unwrap().unwrap().occurs(text).unwrap()
    };
    for (pattern, text, found) in [
        ("(ok|100!%)", "100%", true),
        ("(ok|100!%)", "not ok", false),
        ("a_c", "abc", true),
        ("[[:ALPHA:]][[:DIGIT:]]", "a1", true),
        ("a.c", "abc", true),
        ("%[0-9]_*", "x1yz", true),
    ] {
        assert_eq!(similar(pattern, text), found, "{pattern} {text}");
    }
}
