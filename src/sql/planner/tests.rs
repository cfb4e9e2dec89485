//! Golden plans of the passes, each with the queries that it is for: what syntax becomes before it is planned
//! (`tests/syntax.golden`), what a logical plan becomes (`tests/logical.golden`), and the nodes it is lowered to
//! (`tests/lowered.golden`). `UPDATE_EXPECT=1` rewrites them.

use super::*;
use crate::sql::parser::ast::StatementKind;
use crate::sql::parser::parse_script;
use crate::sql::plan_script;

const TABLES: &str = "CREATE TABLE r (k INT, v DOUBLE, s STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE TABLE o (k INT NOT NULL, d DECIMAL(5, 2), c STRING) WITH ('connector' = 'print');\n";

/// One block of a golden file: `== title`, the query, `--`, what it becomes.
struct Block<'a> {
    head: &'a str,
    query: &'a str,
    expected: &'a str,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let starts: Vec<usize> =
        text.match_indices("== ").map(|(at, _)| at).filter(|at| *at == 0 || text[..*at].ends_with('\n')).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let block = |(start, end): (&usize, usize)| {
        let (head, rest) = text[*start..end].split_once('\n').unwrap();
        let (query, expected) = rest.split_once("\n--\n").unwrap_or_else(|| (rest.trim_end(), ""));
        Block { head, query: query.trim_end(), expected: expected.trim_end() }
    };
    starts.iter().zip(ends).map(block).collect()
}

/// Compares each block of a golden file with what `made` says of its query.
fn check(file: &str, made: impl Fn(&str) -> String) {
    let path = format!("{}/src/sql/planner/tests/{file}.golden", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut fresh, mut stale) = (String::new(), Vec::new());
    for block in blocks(&text) {
        let found = made(block.query);
        let found = found.trim_end();
        if found != block.expected {
            stale.push(format!("{}\n{}\n-- expected\n{}\n-- found\n{found}", block.head, block.query, block.expected));
        }
        fresh.push_str(&format!("{}\n{}\n--\n{found}\n\n", block.head, block.query));
    }
    assert!(!fresh.is_empty(), "{path} has no blocks");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{}\n", fresh.trim_end())).unwrap();
        return;
    }
    assert!(stale.is_empty(), "plans have changed; UPDATE_EXPECT=1 accepts them:\n{}", stale.join("\n\n"));
}

fn parsed(query: &str) -> ast::Query {
    let (statements, errors) = parse_script(query, &|_| None);
    let [statement] = &statements[..] else { panic!("{query}: {errors:?}") };
    let StatementKind::Query(query) = &statement.kind else { panic!("{query} is no query") };
    query.as_ref().clone()
}

/// A planner over the table of [`TABLES`].
fn with_planner<T>(use_it: impl FnOnce(&Planner<'_>) -> T) -> T {
    let script = plan_script(TABLES, &|_| None).unwrap();
    let registry = Registry::new("UTC");
    use_it(&Planner { registry: &registry, relations: script.catalog.relations(), database: "default_database" })
}

fn told(errors: &[Error]) -> String {
    errors.iter().map(|error| format!("error: {}\n", error.message())).collect()
}

#[test]
fn syntax_is_rewritten_as_the_golden_file_says() {
    let made = |query: &str| {
        with_planner(|planner| {
            let (query, refused) = planner.accepted(&parsed(query));
            let (prepared, errors) = planner.prepared(&query);
            match refused.is_empty() && errors.is_empty() {
                true => prepared.to_string(),
                false => told(&[refused, errors].concat()),
            }
        })
    };
    check("syntax", made);
}

#[test]
fn logical_plans_are_what_the_golden_file_says() {
    let made = |query: &str| {
        with_planner(|planner| match planner.stream(&parsed(query)) {
            Ok(plan) => plan.display_indent().to_string(),
            Err(errors) => told(&errors),
        })
    };
    check("logical", made);
}

#[test]
fn nodes_are_what_the_golden_file_says() {
    let made = |query: &str| match plan_script(&format!("{TABLES}{query};"), &|_| None) {
        Ok(script) => {
            let text: String = script.jobs.iter().map(|job| job.plan.explain_places()).collect();
            // the lines that say the same everywhere
            let own = text.lines().filter(|line| !line.contains('·') && !line.contains('⇄'));
            own.map(|line| format!("{line}\n")).collect()
        }
        Err(error) => told(&error.flatten()),
    };
    check("lowered", made);
}
