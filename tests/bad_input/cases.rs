//! Files of cases: one line, one thing.
//!
//! ```text
//! # a comment
//! table a BIGINT, b STRING          the columns of the cases that follow
//! with 'json.x' = 'y'               one of its options
//! set 'x' = 'y'                     a setting of its script
//! prelude                           forget what begins the scripts that follow …
//! + CREATE TABLE …                  … and begin them with this
//! case J1 a truncated object        a name, and what it is about
//! key BYTES                         of the record that follows; likewise
//! time MS                           … its time stamp
//! header NAME=BYTES                 … one of its headers
//! < BYTES                           the value of a record; `<null>` is none
//! > {"a":1}                         a row it becomes
//! ! CODE @field : part of message   it is in ledger.bad
//! future CODE : part of message     it is in ledger.future
//! ~                                 it is a tombstone
//! | SELECT …                        a line of a script
//! file NAME BYTES                   a file beside it
//! env NAME=VALUE                    of its process
//! first run old.sql                 what has been done before, which must go well
//! $ run q.sql                       what is done with it; by default `check q.sql`
//! exit 3                            its exit code
//! has TEXT                          a part of what it says
//! not TEXT                          what it must not say
//! ```
//! In bytes and scripts `\xHH` is a byte, and `{{text*N}}` N times the text.

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Row(String),
    /// Table of the ledger, reason, field, part of the message.
    Ledger(&'static str, String, Option<String>, String),
    Tombstone,
}

/// A record and what becomes of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) time: Option<i64>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) outcomes: Vec<Outcome>,
}

/// The table that records are read by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: String,
    pub(super) options: Vec<String>,
    pub(super) settings: Vec<String>,
}

/// One case: of records, or a script with a command.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) about: String,
    pub(super) table: Table,
    pub(super) records: Vec<Record>,
    pub(super) script: Vec<u8>,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) first: Option<Vec<String>>,
    pub(super) command: Vec<String>,
    pub(super) exit: i32,
    pub(super) has: Vec<String>,
    pub(super) not: Vec<String>,
}

/// The cases of a file.
pub(super) fn parse(file: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut table, mut next) = (Vec::<Case>::new(), Table::default(), Record::default());
    let mut prelude = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}.txt:{}", number + 1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let case = cases.last_mut();
        let case = || case.unwrap_or_else(|| panic!("{place}: no case yet"));
        match word {
            "" | "#" => {}
            "table" => table = Table { columns: rest.to_owned(), ..Table::default() },
            "with" => table.options.push(rest.to_owned()),
            "set" => table.settings.push(rest.to_owned()),
            "prelude" => prelude.clear(),
            "+" => {
                prelude.extend(expand(rest));
                prelude.push(b'\n');
            }
            "case" => {
                let (id, about) = rest.split_once(' ').unwrap_or_else(|| panic!("{place}: a case without a name"));
                let command = vec!["check".to_owned(), "q.sql".to_owned()];
                let (id, about) = (id.to_owned(), about.to_owned());
                let (table, script) = (table.clone(), prelude.clone());
                cases.push(Case { id, about, table, script, command, exit: 3, ..Case::default() });
            }
            "key" => next.key = Some(expand(rest)),
            "time" => next.time = Some(rest.parse().unwrap()),
            "header" => {
                let (name, value) = rest.split_once('=').unwrap();
                next.headers.push((expand(name), expand(value)));
            }
            "<" | "<null>" => {
                next.value = (word == "<").then(|| expand(rest));
                case().records.push(std::mem::take(&mut next));
            }
            ">" | "!" | "future" | "~" => {
                let case = case();
                let record = case.records.last_mut().unwrap_or_else(|| panic!("{place}: no record yet"));
                record.outcomes.push(outcome(word, rest));
            }
            _ => script_line(case(), word, rest, &place),
        }
    }
    cases
}

fn script_line(case: &mut Case, word: &str, rest: &str, place: &str) {
    match word {
        "|" => {
            case.script.extend(expand(rest));
            case.script.push(b'\n');
        }
        "file" => {
            let (name, bytes) = rest.split_once(' ').unwrap_or((rest, ""));
            case.files.push((name.to_owned(), expand(bytes)));
        }
        "env" => {
            let (name, value) = rest.split_once('=').unwrap();
            case.environment.push((name.to_owned(), value.to_owned()));
        }
        "first" => case.first = Some(words(rest)),
        "$" => case.command = words(rest),
        "exit" => case.exit = rest.parse().unwrap(),
        "has" => case.has.push(rest.to_owned()),
        "not" => case.not.push(rest.to_owned()),
        _ => panic!("{place}: \"{word}\" is no word of a file of cases"),
    }
}

fn outcome(word: &str, rest: &str) -> Outcome {
    let table = match word {
        ">" => return Outcome::Row(String::from_utf8(expand(rest)).unwrap()),
        "~" => return Outcome::Tombstone,
        "future" => "future",
        _ => "bad",
    };
    let (reason, message) = rest.split_once(" : ").unwrap_or((rest, ""));
    let (reason, field) = match reason.split_once(" @") {
        Some((reason, field)) => (reason, Some(field.to_owned())),
        None => (reason, None),
    };
    Outcome::Ledger(table, reason.to_owned(), field, message.to_owned())
}

/// Arguments of a command; a blank in one is `\x20`.
fn words(text: &str) -> Vec<String> {
    text.split(' ').map(|word| String::from_utf8(expand(word)).unwrap()).collect()
}

/// The bytes that a text of a case stands for.
fn expand(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, behind)) = after.split_once("}}") else { break };
        let (repeated, times) = inner.rsplit_once('*').unwrap();
        out.extend(bytes(before));
        out.extend(bytes(repeated).repeat(times.parse().unwrap()));
        rest = behind;
    }
    out.extend(bytes(rest));
    out
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        let (digits, behind) = after.split_at(2);
        out.push(u8::from_str_radix(digits, 16).unwrap());
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
