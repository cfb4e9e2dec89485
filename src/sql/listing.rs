//! What `SHOW` and `DESCRIBE` answer: names and columns of what is declared, and declarations as statements again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::Field;

use crate::error::{Error, Result};
use crate::functions;
use crate::sql::catalog::{Catalog, Table, key};
use crate::sql::parser::ast::{CreateTable, ObjectKind, Show, Shown, Spanned, TableName};
use crate::sql::parser::names::{CATALOG, LEDGER};
use crate::sql::planner::context::Relations;
use crate::sql::show_create;
use crate::sql::types::flink_type;

/// What can be shown.
pub(crate) struct Listing<'a> {
    pub(crate) catalog: &'a Catalog,
    /// What names stand for: the catalog's, and the ledger's tables where there are any.
    pub(crate) relations: &'a Relations,
    /// Keys of views that are not shown, and why.
    pub(crate) hidden: &'a BTreeMap<String, String>,
}

impl Listing<'_> {
    /// One column of names, or the columns of a table.
    pub(crate) fn show(&self, show: &Show) -> Result<RecordBatch> {
        let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<String>>();
        let (title, names) = match &show.what {
            Shown::Tables(database) => ("table name", self.names(database.as_ref(), false)?),
            Shown::Views(database) => ("view name", self.names(database.as_ref(), true)?),
            Shown::Databases => ("database name", owned(self.catalog.databases().collect())),
            Shown::CurrentDatabase => ("current database name", owned(vec![&self.catalog.database])),
            Shown::Catalogs => ("catalog name", owned(vec![CATALOG])),
            Shown::CurrentCatalog => ("current catalog name", owned(vec![CATALOG])),
            Shown::Functions => ("function name", owned(functions::names())),
            Shown::Nothing(title) => (title.as_str(), Vec::new()),
            Shown::Create(kind, name) => ("result", vec![self.definition(*kind, name)?]),
            Shown::Columns(name) => return self.describe_like(name, show.like.as_ref()),
        };
        texts(title, names.into_iter().filter(|name| matches(name, show.like.as_ref())))
    }

    /// Names in a database, as Flink shows them: views are tables, too. The ledger is a database of its own.
    fn names(&self, database: Option<&Spanned<String>>, views: bool) -> Result<Vec<String>> {
        let here = database.map_or(self.catalog.database.as_str(), |name| name.value.as_str());
        let ledger = self.relations.keys().filter_map(|key| key.strip_prefix("ledger.")).map(str::to_owned);
        if here == LEDGER {
            return Ok(if views { Vec::new() } else { ledger.collect() });
        }
        if let Some(name) = database.filter(|name| self.catalog.databases().all(|known| known != name.value)) {
            return Err(Error::sql(format!("database \"{}\" does not exist", name.value))
                .at(name.span)
                .nearest(&name.value, self.catalog.databases()));
        }
        let known = |name: &str| !self.hidden.contains_key(&key(here, name));
        let all = self.catalog.names_in(here).filter(|(name, view)| (*view || !views) && known(name));
        let mut names: Vec<String> = all.map(|(name, _)| name.to_owned()).collect();
        if database.is_none() && !views {
            names.extend(ledger.map(|name| format!("ledger.{name}")));
            names.sort();
        }
        Ok(names)
    }

    /// The statement that declares a table or view.
    fn definition(&self, kind: ObjectKind, name: &TableName) -> Result<String> {
        let key = self.catalog.key(name);
        let found = match kind {
            ObjectKind::Table => self.catalog.definition(&key).map(show_create::table),
            ObjectKind::View => {
                let view = self.catalog.views().find(|(view, ..)| *view == key);
                view.map(|(_, create, _)| show_create::view(create))
            }
        };
        let what = if kind == ObjectKind::View { "view" } else { "table" };
        found.ok_or_else(|| {
            let error = Error::sql(format!("{what} \"{key}\" not found")).at(name.span).missing(&key);
            error.nearest(&key, self.relations.keys().map(String::as_str))
        })
    }

    /// The columns of a table or view.
    pub(crate) fn describe(&self, name: &TableName) -> Result<RecordBatch> {
        self.describe_like(name, None)
    }

    fn describe_like(&self, name: &TableName, like: Option<&(bool, String)>) -> Result<RecordBatch> {
        let key = self.catalog.key(name);
        let relation = self.relations.get(&key).ok_or_else(|| {
            let error = Error::sql(format!("table or view \"{key}\" not found")).at(name.span).missing(&key);
            error.nearest(&key, self.relations.keys().map(String::as_str))
        })?;
        let declared = self.catalog.table(&key).zip(self.catalog.definition(&key));
        let schema = relation.schema();
        let fields = schema.fields().iter().enumerate().filter(|(_, field)| matches(field.name(), like));
        let rows: Vec<Described> = fields
            .map(|(at, field)| match declared {
                Some((table, create)) => Described::declared(table, create, at, field),
                None => Described { sql_type: flink_type(field.data_type()), ..Described::named(field) },
            })
            .collect();
        let text = |of: fn(&Described) -> &str| Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>());
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("name", text(|row| &row.name)),
            ("type", text(|row| &row.sql_type)),
            ("null", Arc::new(rows.iter().map(|row| Some(row.nullable)).collect::<BooleanArray>())),
            ("key", text(|row| &row.key)),
            ("extras", text(|row| &row.extras)),
            ("watermark", text(|row| &row.watermark)),
        ];
        if rows.iter().any(|row| !row.comment.is_empty()) {
            columns.push(("comment", text(|row| &row.comment)));
        }
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}

/// A row of `DESCRIBE`.
#[derive(Default)]
struct Described {
    name: String,
    sql_type: String,
    nullable: bool,
    /// `PRI(a, b)`: the whole primary key, beside each of its columns.
    key: String,
    /// What makes the column, if no field of the record does.
    extras: String,
    watermark: String,
    comment: String,
}

impl Described {
    fn named(field: &Field) -> Self {
        Self { name: field.name().clone(), nullable: field.is_nullable(), ..Self::default() }
    }

    /// Column `at` of a table. The columns of a definition are those of its table, in this order.
    fn declared(table: &Table, create: &CreateTable, at: usize, field: &Field) -> Self {
        let spec = table.spec.columns.get(at);
        let column = create.columns.get(at);
        let watermark = create.watermark.as_ref().filter(|watermark| watermark.column.value == *field.name());
        let mark = match (&watermark, table.proctime == Some(at)) {
            (Some(_), _) => " *ROWTIME*",
            (None, true) => " *PROCTIME*",
            (None, false) => "",
        };
        let key: Vec<&str> = create.primary_key.iter().map(|column| column.value.as_str()).collect();
        Self {
            sql_type: spec.map_or_else(|| flink_type(field.data_type()), |spec| spec.sql_type.clone()) + mark,
            key: if key.contains(&field.name().as_str()) { format!("PRI({})", key.join(", ")) } else { String::new() },
            extras: column.map(show_create::extras).unwrap_or_default(),
            watermark: watermark.map(|watermark| watermark.expr.to_string()).unwrap_or_default(),
            comment: column.and_then(|column| column.comment.clone()).unwrap_or_default(),
            ..Self::named(field)
        }
    }
}

/// One column of texts.
///
/// # Errors
/// None that could come of one column.
pub(crate) fn texts(title: &str, texts: impl IntoIterator<Item = String>) -> Result<RecordBatch> {
    let texts: StringArray = texts.into_iter().map(Some).collect();
    Ok(RecordBatch::try_from_iter([(title, Arc::new(texts) as ArrayRef)])?)
}

/// Whether `name` is to be shown: `[NOT] LIKE` with `%` and `_`, in any case.
fn matches(name: &str, like: Option<&(bool, String)>) -> bool {
    fn at(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skipped| at(&name[skipped..], rest)),
            ['_', rest @ ..] => !name.is_empty() && at(&name[1..], rest),
            [c, rest @ ..] => name.first() == Some(c) && at(&name[1..], rest),
        }
    }
    let Some((not, pattern)) = like else { return true };
    let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    // consecutive `%` say the same as one, and would only cost
    let mut pattern = chars(pattern);
    pattern.dedup_by(|a, b| *a == '%' && *b == '%');
    at(&chars(name), &pattern) != *not
}
