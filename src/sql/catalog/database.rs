//! `CREATE DATABASE`, `DROP DATABASE` and `USE`: names of databases, within the one catalog there is.

use super::{Catalog, Object};
use crate::error::{Error, Result};
use crate::sql::parser::ast::Spanned;
use crate::sql::parser::names::{DATABASE, LEDGER};

impl Catalog {
    /// `CREATE DATABASE`.
    ///
    /// # Errors
    /// `Sql` if there is one of that name.
    pub(crate) fn create_database(&mut self, name: &Spanned<String>, if_not_exists: bool) -> Result<()> {
        if name.value == LEDGER {
            return Err(Error::sql("the database \"ledger\" is kept by the job")
                .at(name.span)
                .hint("choose another name"));
        }
        if !self.databases.insert(name.value.clone()) && !if_not_exists {
            return Err(Error::sql(format!("database \"{}\" exists already", name.value))
                .at(name.span)
                .hint("write CREATE DATABASE IF NOT EXISTS"));
        }
        Ok(())
    }

    /// `DROP DATABASE`.
    ///
    /// # Errors
    /// `Sql` if there is none, if it is in use, or has tables and `cascade` is not written.
    pub(crate) fn drop_database(&mut self, name: &Spanned<String>, if_exists: bool, cascade: bool) -> Result<()> {
        let database = &name.value;
        if !self.databases.contains(database) {
            return if if_exists { Ok(()) } else { Err(self.no_database(database).at(name.span)) };
        }
        if *database == self.database {
            return Err(Error::sql(format!("database \"{database}\" is in use"))
                .at(name.span)
                .hint(format!("write USE {DATABASE} first")));
        }
        let inside = |object: &Object| object.database == *database;
        if self.objects.values().any(inside) && !cascade {
            return Err(Error::sql(format!("database \"{database}\" is not empty"))
                .at(name.span)
                .hint(format!("write DROP DATABASE {database} CASCADE")));
        }
        let keys: Vec<String> = self.objects.iter().filter(|(_, o)| inside(o)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.forget(key));
        self.hidden.retain(|_, object| !inside(object));
        self.databases.remove(database);
        Ok(())
    }

    /// `USE`.
    ///
    /// # Errors
    /// `Sql` if there is no such database.
    pub(crate) fn use_database(&mut self, name: &Spanned<String>) -> Result<()> {
        if !self.databases.contains(&name.value) {
            return Err(self.no_database(&name.value).at(name.span));
        }
        self.database.clone_from(&name.value);
        Ok(())
    }
}
