//! A private PostgreSQL on a free port of loopback, in a temporary directory. The server refuses to run as root: there it
//! runs as `postgres`. It names nothing of the other tests: the crash harness uses it as a command, too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A running server that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
}

/// Where the server's programs are, the newest release first.
fn programs() -> Option<PathBuf> {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = releases.map(|entry| entry.path().join("bin")).collect();
    found.sort_by_key(|path| path.iter().rev().nth(1).and_then(|name| name.to_str()?.parse::<u32>().ok()));
    found.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    found.into_iter().find(|directory| directory.join("initdb").exists() && directory.join("pg_ctl").exists())
}

fn root() -> bool {
    String::from_utf8_lossy(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0"
}

impl Cluster {
    /// A new server, or `None` with a word that the test did not run.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let missing = std::env::var("STREAMER_TEST_POSTGRES").is_ok_and(|value| value == "none");
        let Some(programs) = programs().filter(|_| !missing) else {
            println!("not run: {test} needs a PostgreSQL server; on Debian: apt-get install postgresql");
            return None;
        };
        let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if root() {
            let owned = Command::new("chown").arg("postgres").arg(directory.path()).status().unwrap();
            assert!(owned.success());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { directory, programs, port };
        let data = cluster.data();
        cluster.program(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "streamer", "--locale=C", "-E", "UTF8", "--no-sync"],
        );
        let settings = "fsync = off\nshared_buffers = 32MB\nmax_connections = 30\nlisten_addresses = '127.0.0.1'\n";
        let sockets = format!("unix_socket_directories = '{}'\nport = {port}\n", cluster.directory.path().display());
        cluster.append("postgresql.conf", &format!("{settings}{sockets}"));
        cluster.up();
        Some(cluster)
    }

    pub(crate) fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    /// Adds lines to a file of the server.
    pub(crate) fn append(&self, name: &str, lines: &str) {
        let path = Path::new(&self.data()).join(name);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}\n{lines}")).unwrap();
    }

    /// A file that only the server may read.
    pub(crate) fn secret_file(&self, name: &str, content: &[u8]) {
        let path = Path::new(&self.data()).join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if root() {
            assert!(Command::new("chown").arg("postgres").arg(&path).status().unwrap().success());
        }
    }

    /// Runs a program of the server as its owner.
    fn program(&self, name: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(name);
        let mut command = if root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let output = command.args(arguments).current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    pub(crate) fn up(&self) {
        let log = self.directory.path().join("log").display().to_string();
        self.program("pg_ctl", &["-D", &self.data(), "-w", "-t", "60", "-l", &log, "start"]);
    }

    /// Stops the server; `immediate` is a crash.
    pub(crate) fn stop(&self, mode: &str) {
        self.program("pg_ctl", &["-D", &self.data(), "-m", mode, "-w", "stop"]);
    }

    /// A session of its own, not yet started.
    pub(crate) fn psql(&self, sql: &str) -> Command {
        self.psql_in("postgres", sql)
    }

    fn psql_in(&self, database: &str, sql: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "streamer", "-d", database]);
        command.env("PGCLIENTENCODING", "UTF8").args(["-v", "ON_ERROR_STOP=1", "-X", "-Atq", "-c", sql]);
        command
    }

    /// Rows of a query, columns divided by `|`; the query must be good.
    pub(crate) fn sql(&self, sql: &str) -> Vec<String> {
        self.sql_in("postgres", sql)
    }

    /// The same in another database.
    pub(crate) fn sql_in(&self, database: &str, sql: &str) -> Vec<String> {
        let output = self.psql_in(database, sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// The one value of a query, or nothing while the server does not answer.
    pub(crate) fn value(&self, sql: &str) -> Option<String> {
        let output = self.psql(sql).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The `WITH` options of a table.
    pub(crate) fn with(&self, table: &str, more: &str) -> String {
        format!(
            "WITH ('connector' = 'jdbc', 'url' = 'jdbc:postgresql://127.0.0.1:{}/postgres', 'username' = 'streamer', \
             'table-name' = '{table}'{more})",
            self.port
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&data).join("postmaster.pid").exists() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(self.programs.join("pg_ctl"));
            if !root() {
                command = Command::new(self.programs.join("pg_ctl"));
            }
            drop(command.args(["-D", &data, "-m", "immediate", "-w", "stop"]).current_dir("/").output());
        }
    }
}
