//! The options of a table of PostgreSQL, parsed once into types: Flink's names for `jdbc`, plain ones for `postgres`.
//! All problems are found in one go, each at its place; no message shows a URL or a password.
//!
//! Batches are epochs, so Flink's `sink.buffer-flush.*` and retries change nothing: only their values are checked.

use std::path::PathBuf;
use std::time::Duration;

use arrow::datatypes::DataType;

use super::encode;
use super::identifier::{TableName, quote};
use super::types;
use super::url::{PORT_DEFAULT, Url};
use crate::connectors::Usage;
use crate::error::{Error, Result};
use crate::table::TableSpec;

/// How long a try to connect may take.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// Options of both connectors.
const COMMON: &[&str] = &[
    "connector",
    "url",
    "table-name",
    "username",
    "password",
    "connection.max-retry-timeout",
    "sink.buffer-flush.max-rows",
    "sink.buffer-flush.interval",
    "sink.max-retries",
    "sink.parallelism",
    "sink.delivery-guarantee",
    "sink.create-table",
    "sink.hypertable",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];

/// Options of `jdbc` that Flink has besides: for reading, and the driver.
const JDBC: &[&str] = &[
    "driver",
    "compatible-mode",
    "scan.partition.column",
    "scan.partition.num",
    "scan.partition.lower-bound",
    "scan.partition.upper-bound",
    "scan.fetch-size",
    "scan.auto-commit",
    "filter.handling.policy",
    "lookup.cache",
    "lookup.cache.max-rows",
    "lookup.cache.ttl",
    "lookup.cache.caching-missing-key",
    "lookup.max-retries",
    "lookup.partial-cache.expire-after-access",
    "lookup.partial-cache.expire-after-write",
    "lookup.partial-cache.cache-missing-key",
    "lookup.partial-cache.max-rows",
];

const POSTGRES: &[&str] = &["host", "port", "database", "schema"];

/// Parameters of a JDBC URL that say how a Java driver works: they change nothing here.
const DRIVER_PARAMETERS: &[&str] = &[
    "ApplicationName",
    "application_name",
    "assumeMinServerVersion",
    "autosave",
    "binaryTransfer",
    "connectTimeout",
    "connect_timeout",
    "defaultRowFetchSize",
    "loadBalanceHosts",
    "loginTimeout",
    "prepareThreshold",
    "reWriteBatchedInserts",
    "socketTimeout",
    "stringtype",
    "targetServerType",
    "target_session_attrs",
    "tcpKeepAlive",
];

/// Parameters of a URL that mean something here.
const PARAMETERS: &[&str] =
    &["user", "password", "currentSchema", "ssl", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Whether the connection is encrypted, and who is believed: libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    /// If the server can; nobody is checked.
    Prefer,
    /// Nobody is checked.
    Require,
    /// The server's certificate comes from the given authority.
    VerifyCa,
    /// And it names the host.
    VerifyFull,
}

/// Certificates and keys, as files in PEM.
#[derive(Debug, Clone)]
pub(super) struct Ssl {
    pub(super) mode: SslMode,
    pub(super) root: Option<PathBuf>,
    /// Certificate and key of the client.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// The typed options of a table.
#[derive(Debug, Clone)]
pub(super) struct PostgresOptions {
    /// Tried one after the other; with several, the one that can be written is taken.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) table: TableName,
    pub(super) ssl: Ssl,
    pub(super) connect_timeout: Duration,
    pub(super) create_table: bool,
    /// The column by which a table that is created is cut into chunks of time.
    pub(super) hypertable: Option<String>,
}

impl PostgresOptions {
    /// Parses a table's options.
    ///
    /// # Errors
    /// All problems at once.
    pub(super) fn parse(table: &TableSpec, usage: Usage) -> Result<Self, Vec<Error>> {
        let mut checker = Checker { table, jdbc: table.connector() == "jdbc", errors: Vec::new() };
        if usage == Usage::Source {
            let connector = table.connector();
            checker.error(
                "connector",
                format!("table \"{}\" cannot be read: connector \"{connector}\" only writes", table.name),
                "read the topic or the files that the rows come from",
            );
        }
        checker.unknown_names();
        let url = checker.url();
        let hosts = checker.hosts(url.as_ref());
        let database = checker.database(url.as_ref());
        let schema = checker.parameter(url.as_ref(), "currentSchema").or_else(|| checker.get("schema"));
        let name = checker.table_name(schema.as_deref().unwrap_or("public"));
        let user = checker.get("username").or_else(|| url.as_ref()?.user.clone()).or_else(|| environment("PGUSER"));
        if user.is_none() {
            checker.missing("option \"username\"", "add 'username' = '…' to WITH, or set PGUSER");
        }
        let password = table.options.get("password").map(str::to_owned);
        let password = password.or_else(|| url.as_ref()?.password.clone()).or_else(|| environment("PGPASSWORD"));
        let ssl = checker.ssl(url.as_ref());
        let connect_timeout = checker.accepted();
        let create_table = checker.keep(table.options.boolean("sink.create-table", false)).unwrap_or(false);
        let hypertable = checker.hypertable(create_table);
        checker.columns(create_table);
        match (checker.errors.is_empty(), hosts, database, name, user, ssl) {
            (true, Some(hosts), Some(database), Some(name), Some(user), Some(ssl)) => Ok(Self {
                hosts,
                database,
                user,
                password: password.map(Secret),
                table: name,
                ssl,
                connect_timeout,
                create_table,
                hypertable,
            }),
            _ => Err(checker.errors),
        }
    }

    /// `host:port/database`.
    pub(super) fn address(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        format!("{}/{}", hosts.join(","), self.database)
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Collects the errors of several options.
struct Checker<'a> {
    table: &'a TableSpec,
    jdbc: bool,
    errors: Vec<Error>,
}

impl Checker<'_> {
    /// Keeps an error and goes on without the value.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(error.or_at(self.table.span))).ok()
    }

    fn error(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        self.errors.push(self.table.options.error(key, message).or_at(self.table.span).hint(hint));
    }

    fn missing(&mut self, what: &str, hint: &str) {
        let error = Error::config(format!("table \"{}\" lacks the {what}", self.table.name)).or_at(self.table.span);
        self.errors.push(error.hint(hint));
    }

    fn get(&self, key: &str) -> Option<String> {
        self.table.options.get(key).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn parameter(&self, url: Option<&Url>, key: &str) -> Option<String> {
        let found = url?.parameters.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    fn unknown_names(&mut self) {
        let (connector, options) = (self.table.connector(), &self.table.options);
        let known = || COMMON.iter().chain(if self.jdbc { JDBC } else { POSTGRES }).copied();
        let unknown = options.keys().filter(|name| !known().any(|known| known == *name));
        let errors = unknown.map(|name| {
            let meant = if name == "user" { "username" } else { name };
            options.error(name, format!("connector \"{connector}\" has no option \"{name}\"")).nearest(meant, known())
        });
        let errors: Vec<Error> = errors.collect();
        self.errors.extend(errors);
    }

    fn url(&mut self) -> Option<Url> {
        let schemes: &[&str] = if self.jdbc { &["jdbc:postgresql:"] } else { &["postgres:", "postgresql:"] };
        let Some(text) = self.get("url") else {
            if self.jdbc {
                self.missing("option \"url\"", "add 'url' = 'jdbc:postgresql://host:5432/database' to WITH");
            } else if self.get("host").is_none() {
                self.missing("option \"host\"", "add 'host' = '…' and 'database' = '…' to WITH");
            }
            return None;
        };
        let url = self.keep(self.table.options.parsed("url", None, |_| Url::parse(&text, schemes).map(Some)))??;
        for (name, value) in &url.parameters {
            if name == "ssl" && !matches!(value.as_str(), "" | "true" | "false") {
                self.error(
                    "url",
                    "the parameter \"ssl\" of the URL is neither \"true\" nor \"false\"",
                    "write sslmode=require",
                );
            }
            if !PARAMETERS.contains(&name.as_str()) && !DRIVER_PARAMETERS.contains(&name.as_str()) {
                let error = self.table.options.error("url", format!("the URL has an unknown parameter \"{name}\""));
                self.errors.push(error.nearest(name, PARAMETERS.iter().chain(DRIVER_PARAMETERS).copied()));
            }
        }
        Some(url)
    }

    fn hosts(&mut self, url: Option<&Url>) -> Option<Vec<(String, u16)>> {
        let port = self.keep(self.table.options.number::<u16>("port", PORT_DEFAULT))?;
        if port == 0 && !self.jdbc {
            self.error("port", "option \"port\": \"0\" is not a port", "write a number from 1 to 65535");
        }
        match (url, self.get("host").filter(|_| !self.jdbc)) {
            (Some(_), Some(_)) => {
                self.error("host", "options \"host\" and \"url\" exclude each other", "leave one out");
                None
            }
            (Some(url), None) => Some(url.hosts.clone()),
            (None, Some(host)) => Some(vec![(host, port)]),
            (None, None) => None,
        }
    }

    fn database(&mut self, url: Option<&Url>) -> Option<String> {
        let named = self.get("database").filter(|_| !self.jdbc);
        let database = named.or_else(|| url?.database.clone());
        if database.is_none() && (url.is_some() || self.get("host").is_some()) {
            match self.jdbc {
                true => self.error("url", "the URL names no database", "write jdbc:postgresql://host:5432/database"),
                false => self.missing("option \"database\"", "add 'database' = '…' to WITH"),
            }
        }
        database
    }

    fn table_name(&mut self, schema: &str) -> Option<TableName> {
        let Some(text) = self.get("table-name") else {
            self.missing("option \"table-name\"", "add 'table-name' = 'schema.table' to WITH");
            return None;
        };
        self.keep(self.table.options.parsed("table-name", None, |_| TableName::parse(&text, schema).map(Some)))?
    }

    fn ssl(&mut self, url: Option<&Url>) -> Option<Ssl> {
        use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        let modes = [
            ("disable", Disable),
            ("allow", Prefer),
            ("prefer", Prefer),
            ("require", Require),
            ("verify-ca", VerifyCa),
            ("verify-full", VerifyFull),
        ];
        // as the Java driver has it
        let ssl = self.parameter(url, "ssl").is_some_and(|value| value == "true");
        let default = if ssl { VerifyFull } else { Prefer };
        let mode = match self.parameter(url, "sslmode") {
            Some(text) if !modes.iter().any(|(name, _)| *name == text) => {
                let error = self
                    .table
                    .options
                    .error("url", format!("the parameter \"sslmode\" of the URL: \"{text}\" is not a valid value"));
                self.errors.push(error.hint("valid values: disable, prefer, require, verify-ca, verify-full"));
                None
            }
            Some(text) => modes.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode),
            None => Some(default),
        };
        let mode = self.keep(self.table.options.one_of("sslmode", mode.unwrap_or(default), &modes))?;
        let file = |key: &str| self.get(key).or_else(|| self.parameter(url, key)).map(PathBuf::from);
        let (root, certificate, key) = (file("sslrootcert"), file("sslcert"), file("sslkey"));
        if matches!(mode, VerifyCa | VerifyFull) && root.is_none() {
            self.error(
                "sslmode",
                "the server's certificate cannot be verified without \"sslrootcert\"",
                "add 'sslrootcert' = 'root.pem', the certificate of the authority that signed the server's",
            );
        }
        if certificate.is_some() != key.is_some() {
            self.error("sslcert", "options \"sslcert\" and \"sslkey\" need each other", "name both files, in PEM");
        }
        Some(Ssl { mode, root, client: certificate.zip(key) })
    }

    /// Options that change little here; returns the time to connect.
    fn accepted(&mut self) -> Duration {
        let options = &self.table.options;
        if let Some(driver) = options.get("driver").filter(|driver| driver.trim() != "org.postgresql.Driver") {
            let message = format!("option \"driver\": \"{}\" is not supported", driver.trim());
            self.error(
                "driver",
                message,
                "classes of Java cannot be loaded; leave it out, or write org.postgresql.Driver",
            );
        }
        self.keep(options.duration("sink.buffer-flush.interval", Duration::ZERO));
        for key in
            ["lookup.cache.ttl", "lookup.partial-cache.expire-after-access", "lookup.partial-cache.expire-after-write"]
        {
            self.keep(options.duration(key, Duration::ZERO));
        }
        for key in [
            "sink.buffer-flush.max-rows",
            "sink.max-retries",
            "scan.partition.num",
            "scan.fetch-size",
            "lookup.max-retries",
            "lookup.cache.max-rows",
        ] {
            self.keep(options.number::<u64>(key, 0));
        }
        self.keep(options.boolean("scan.auto-commit", true));
        if self.keep(options.number::<u32>("sink.parallelism", 1)) == Some(0) {
            self.error("sink.parallelism", "option \"sink.parallelism\" must be at least 1", "remove the option");
        }
        // rows and marker are one transaction: there is nothing weaker to have
        let guarantees = [("exactly-once", ()), ("at-least-once", ())];
        self.keep(options.one_of("sink.delivery-guarantee", (), &guarantees));
        let key = "connection.max-retry-timeout";
        let timeout = self.keep(options.duration(key, CONNECT_TIMEOUT_DEFAULT)).unwrap_or(CONNECT_TIMEOUT_DEFAULT);
        if timeout < Duration::from_secs(1) {
            self.error(key, format!("option \"{key}\" must be at least 1 s"), "write '15 s'");
        }
        timeout
    }

    fn hypertable(&mut self, create_table: bool) -> Option<String> {
        let key = "sink.hypertable";
        let name = self.get(key)?;
        if !create_table {
            self.error(
                key,
                "option \"sink.hypertable\" needs 'sink.create-table' = 'true'",
                "add 'sink.create-table' = 'true'",
            );
        }
        let columns: Vec<_> = self.table.physical().collect();
        let primary_key = &self.table.primary_key;
        match columns.iter().find(|column| column.name == name) {
            None => {
                let error =
                    self.table.options.error(key, format!("table \"{}\" has no column \"{name}\"", self.table.name));
                self.errors.push(error.nearest(&name, columns.iter().map(|column| column.name.as_str())));
            }
            Some(column) if !matches!(column.data_type, DataType::Timestamp(..) | DataType::Date32) => {
                self.error(
                    key,
                    format!("column \"{name}\" of \"sink.hypertable\" is no time"),
                    "name a TIMESTAMP column",
                );
            }
            Some(_) if !primary_key.is_empty() && !primary_key.contains(&name) => self.error(
                key,
                format!("a hypertable by \"{name}\" needs that column in its PRIMARY KEY"),
                "TimescaleDB can keep a key unique only within a stretch of time: add the column to PRIMARY KEY",
            ),
            Some(_) => {}
        }
        Some(name)
    }

    /// Columns that no table of PostgreSQL could have.
    fn columns(&mut self, create_table: bool) {
        let table = self.table;
        for column in table.physical() {
            self.keep(quote(&column.name));
            if types::travels_as_json(&column.data_type) {
                self.keep(encode::check_json(&column.data_type));
            }
            if create_table && types::created(&column.data_type, &column.sql_type).is_none() {
                let message =
                    format!("column \"{}\" has type {}, for which PostgreSQL has none", column.name, column.sql_type);
                self.errors.push(Error::config(message).or_at(table.span));
            }
        }
        if table.physical().next().is_none() {
            self.errors
                .push(Error::config(format!("table \"{}\" has no column to write", table.name)).or_at(table.span));
        }
        if let Some(column) = table.partitioned_by.first() {
            let message = format!("table \"{}\" cannot be PARTITIONED BY \"{column}\" here", table.name);
            self.errors.push(Error::config(message).or_at(table.span).hint("partition the table in the database"));
        }
    }
}
