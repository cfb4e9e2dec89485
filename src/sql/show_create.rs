//! `SHOW CREATE TABLE` and `SHOW CREATE VIEW`: a declaration as a statement again. Options that look like secrets are
//! shown without their values.

use crate::sql::parser::ast::{ColumnDef, ColumnDefKind, CreateTable, CreateView, Spanned};
use crate::sql::parser::names::quoted;
use crate::table::is_secret;

/// The statement of a table.
pub(crate) fn table(create: &CreateTable) -> String {
    let mut elements: Vec<String> = create.columns.iter().map(column).collect();
    if let Some(watermark) = &create.watermark {
        elements.push(format!("WATERMARK FOR {} AS {}", quoted(&watermark.column.value), watermark.expr));
    }
    if !create.primary_key.is_empty() {
        elements.push(format!("PRIMARY KEY ({}) NOT ENFORCED", names(&create.primary_key)));
    }
    let temporary = if create.temporary { "TEMPORARY " } else { "" };
    let mut text = format!("CREATE {temporary}TABLE {} (\n  {}\n)", quoted(&create.name.value), elements.join(",\n  "));
    if let Some(comment) = &create.comment {
        text += &format!("\nCOMMENT {}", literal(comment));
    }
    if !create.partitioned_by.is_empty() {
        text += &format!("\nPARTITIONED BY ({})", names(&create.partitioned_by));
    }
    let options: Vec<String> = create.options.iter().map(|(key, value)| option(&key.value, &value.value)).collect();
    text + &format!("\nWITH (\n  {}\n)", options.join(",\n  "))
}

/// The statement of a view.
pub(crate) fn view(create: &CreateView) -> String {
    let temporary = if create.temporary { "TEMPORARY " } else { "" };
    let columns = if create.columns.is_empty() { String::new() } else { format!(" ({})", names(&create.columns)) };
    format!("CREATE {temporary}VIEW {}{columns}\nAS {}", quoted(&create.name.value), create.query)
}

fn column(column: &ColumnDef) -> String {
    let kind = match &column.kind {
        ColumnDefKind::Physical(declared) => {
            format!("{}{}", declared.text, if declared.nullable { "" } else { " NOT NULL" })
        }
        ColumnDefKind::Metadata { data_type, .. } => format!("{} {}", data_type.text, extras(column)),
        ColumnDefKind::Computed(_) => extras(column),
    };
    let comment = column.comment.as_ref().map_or_else(String::new, |text| format!(" COMMENT {}", literal(text)));
    format!("{} {kind}{comment}", quoted(&column.name.value))
}

/// What makes the column, if no field of the record does: `METADATA …` or `AS …`.
pub(crate) fn extras(column: &ColumnDef) -> String {
    match &column.kind {
        ColumnDefKind::Physical(_) => String::new(),
        ColumnDefKind::Metadata { key, virtual_, .. } => {
            let from = key.as_ref().map_or_else(String::new, |key| format!(" FROM {}", literal(&key.value)));
            format!("METADATA{from}{}", if *virtual_ { " VIRTUAL" } else { "" })
        }
        ColumnDefKind::Computed(expr) => format!("AS {expr}"),
    }
}

fn option(key: &str, value: &str) -> String {
    // a URL may hold a password: `postgres://user:password@host`, `?password=…`
    let secret = is_secret(key) || key == "url" && (value.contains('@') || is_secret(value));
    format!("{} = {}", literal(key), literal(if secret { "******" } else { value }))
}

fn names(names: &[Spanned<String>]) -> String {
    names.iter().map(|name| quoted(&name.value)).collect::<Vec<_>>().join(", ")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::option;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(option("url", "jdbc:postgresql://h/d"), "'url' = 'jdbc:postgresql://h/d'");
        for (key, value) in [
            ("url", "jdbc:postgresql://h/d?password=x1"),
            ("url", "postgres://u:x1@h/d"),
            ("password", "x1"),
            ("properties.ssl.key.pem", "x1"),
        ] {
            assert!(!option(key, value).contains("x1"), "{key}");
        }
    }
}
