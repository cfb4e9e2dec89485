//! `docs/reference/dialect.md` says the truth: each snippet of its tables is planned, or refused with the words given.

use super::*;

const PAGE: &str = include_str!("../../../docs/reference/dialect.md");

/// The tables that the snippets stand behind.
fn prelude() -> &'static str {
    let (_, rest) = PAGE.split_once("```sql\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// The rows of all tables in the section of that name, as cells.
fn rows(section: &str) -> Vec<Vec<String>> {
    let start = PAGE.find(&format!("\n## {section}\n")).unwrap() + 5;
    let text = &PAGE[start..];
    let text = text.find("\n## ").map_or(text, |end| &text[..end]);
    let cells = |line: &str| {
        let inside = line.trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
        inside.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect::<Vec<_>>()
    };
    text.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

fn outcome(snippet: &str) -> Result<Script> {
    let sql = snippet.trim_matches('`').trim();
    plan_script(&format!("{}\n{sql};", prelude()), &|_| None)
}

#[test]
fn what_is_supported_or_different_is_planned() {
    let rows: Vec<Vec<String>> = [rows("Supported"), rows("Different")].concat();
    assert!(rows.len() > 30, "{} rows", rows.len());
    let wrong: Vec<String> =
        rows.iter().filter_map(|row| outcome(&row[0]).err().map(|e| format!("{}\n  {e}", row[0]))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_refused_is_refused_once_with_these_words_and_a_place() {
    let rows = rows("Refused");
    assert!(rows.len() > 30, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        match outcome(&row[0]) {
            Ok(_) => wrong.push(format!("{}\n  is accepted", row[0])),
            Err(error) => {
                let all = error.flatten();
                if all.len() != 1 || all[0].message() != row[1] || all[0].span().is_none() {
                    let told: Vec<_> = all.iter().map(|e| format!("  {}\n  {:?}", e.message(), e.span())).collect();
                    wrong.push(format!("{}\n{}", row[0], told.join("\n")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
