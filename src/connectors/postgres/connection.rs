//! A session of the database: opened with bounds on every wait, and its errors in our words.
//!
//! A session belongs to one claim. After any doubt it is thrown away, and the server rolls back what it had under way.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{SslMode as Encryption, TargetSessionAttrs};
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Config};

use super::options::{PostgresOptions, SslMode};
use super::tls;
use crate::error::{Error, ErrorKind, Result};

/// Longest wait for a lock: a locked table is a doubt, and tried again.
const LOCK_TIMEOUT: &str = "10s";
/// Longest statement: the merge of a large epoch into a table with many indexes.
const STATEMENT_TIMEOUT: &str = "10min";
/// A transaction of a process that is gone must not hold the marker: the server ends it.
const ABANDONED_TIMEOUT: &str = "1min";
/// Longest time for an epoch in all.
pub(super) const DELIVERY_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest time for the other calls, over the time to connect.
pub(super) const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// `server_version_num` of the oldest release whose catalogs are known here.
const VERSION_MIN: i32 = 120_000;

/// Settings of a session, as far as the server has them. The path is fixed, so that no name can be taken for another.
const SETTINGS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog, pg_temp"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("lock_timeout", LOCK_TIMEOUT),
    ("statement_timeout", STATEMENT_TIMEOUT),
    ("idle_in_transaction_session_timeout", ABANDONED_TIMEOUT),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("client_min_messages", "warning"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
];

/// Opens a session.
///
/// # Errors
/// `Config` if the server will never let us in, `Unavailable` otherwise.
pub(super) async fn connect(options: &PostgresOptions) -> Result<Client> {
    let mut config = Config::new();
    for (host, port) in &options.hosts {
        config.host(host).port(*port);
    }
    config
        .dbname(&options.database)
        .user(&options.user)
        .application_name("streamer")
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(Duration::from_secs(30))
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .ssl_mode(match options.ssl.mode {
            SslMode::Disable => Encryption::Disable,
            SslMode::Prefer => Encryption::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Encryption::Require,
        });
    if let Some(password) = &options.password {
        config.password(&password.0);
    }
    if options.hosts.len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let ssl = options.ssl.clone();
    let tls = tokio::task::spawn_blocking(move || tls::connector(&ssl))
        .await
        .map_err(|e| Error::internal(format!("reading certificates was broken off: {e}")))??;
    // the driver's bound is for the socket alone; a server that accepts and is silent has it as well
    let opened = tokio::time::timeout(options.connect_timeout, config.connect(tls)).await;
    let (client, session) = opened
        .map_err(|_| Error::unavailable(format!("{} does not answer", options.address())))?
        .map_err(|error| failure(&error, &options.address()))?;
    let address: Arc<str> = options.address().into();
    tokio::spawn(async move {
        // its end is seen by the next statement, as an error
        if let Err(error) = session.await {
            tracing::debug!(%error, %address, "a session of a database has ended");
        }
    });
    prepare(&client, &options.address()).await?;
    Ok(client)
}

async fn prepare(client: &Client, address: &str) -> Result<()> {
    let (names, values): (Vec<&str>, Vec<&str>) = SETTINGS.iter().copied().unzip();
    let sql = "SELECT pg_catalog.set_config(s.name, w.value, false) \
               FROM unnest($1::text[], $2::text[]) AS w(name, value) \
               JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(w.name)";
    client.query(sql, &[&names, &values]).await.map_err(|error| failure(&error, address))?;
    // so that a statement of a process that is gone ends soon; not on every release and system
    drop(client.batch_execute("SET client_connection_check_interval = '5s'").await);
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4, pg_catalog.pg_is_in_recovery()";
    let row = client.query_one(sql, &[]).await.map_err(|error| failure(&error, address))?;
    let version: i32 = row.try_get(0).map_err(|error| failure(&error, address))?;
    if version < VERSION_MIN {
        return Err(Error::config(format!("{address} is PostgreSQL {}, and 12 or newer is needed", version / 10_000)));
    }
    if row.try_get(1).map_err(|error| failure(&error, address))? {
        return Err(Error::unavailable(format!("{address} is a standby, which cannot be written")));
    }
    Ok(())
}

/// An error of the database, with who said it.
pub(super) fn failure(error: &tokio_postgres::Error, who: &str) -> Error {
    match error.as_db_error() {
        Some(said) => {
            let kind = if hopeless(said.code().code()) { ErrorKind::Config } else { ErrorKind::Unavailable };
            let told = Error::new(kind, format!("{who}: {} (SQLSTATE {})", said.message(), said.code().code()));
            match said.code().code() {
                "28P01" | "28000" => told.hint("check \"username\" and \"password\", and what pg_hba.conf allows"),
                "3D000" => told.hint("check the name of the database"),
                "42501" => told.hint("GRANT the role what it needs"),
                _ => told,
            }
        }
        None => Error::unavailable(format!("{who}: {error}")),
    }
}

/// Whether the server says so as long as nobody changes something there: a first start stops with it.
fn hopeless(code: &str) -> bool {
    matches!(code.get(..2), Some("28" | "42" | "3D" | "3F" | "0A"))
}

/// Whether a statement failed for a value or a row, so that other rows can go on: classes 22 (data) and 23 (integrity),
/// 44000 (WITH CHECK OPTION), and 54000 (a value too long for an index).
pub(super) fn of_a_row(said: &DbError) -> bool {
    let code = said.code().code();
    matches!(code.get(..2), Some("22" | "23")) || matches!(code, "44000" | "54000")
}

/// Runs a call with a bound on its time.
///
/// # Errors
/// The call's; `Unavailable` if it takes longer.
pub(super) async fn within<T, E: From<Error>>(
    bound: Duration,
    who: &str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(bound, call).await {
        Ok(done) => done,
        Err(_) => Err(Error::unavailable(format!("{who} did not answer within {} s", bound.as_secs())).into()),
    }
}
