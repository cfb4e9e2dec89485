//! The job that is broken: its script, its process, and how far it has come.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::sinks::{self, Place, kinds};

/// What runs as `streamer`.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Set so that the path, if it is the harness's own, is the program and not the harness.
    pub(crate) variable: Option<&'static str>,
}

/// A script with topics and a directory of its own.
pub(crate) struct Job {
    program: Program,
    pub(crate) place: Place,
    pub(crate) input: String,
    logs: AtomicU32,
}

/// The newest manifest, as far as others may know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) epoch: u64,
    pub(crate) fence: u64,
    /// Next offset of each partition.
    pub(crate) offsets: BTreeMap<i64, i64>,
}

impl Progress {
    /// Whether every partition of `self` is beyond where it was in `before`.
    pub(crate) fn beyond(&self, before: &Self) -> bool {
        let ahead = |(partition, offset): (&i64, &i64)| *offset > before.offsets.get(partition).copied().unwrap_or(0);
        !self.offsets.is_empty() && self.offsets.iter().all(ahead)
    }
}

impl Job {
    pub(crate) fn new(program: &Program, cluster: &Cluster, place: Place) -> Self {
        let input = format!("{}-readings", place.name);
        let mut topics = vec![input.clone()];
        for kind in kinds(&place).filter(|kind| kind.needs_topic) {
            topics.extend(["rolling", "windows"].map(|result| sinks::topic(&place, &table(result, kind.name))));
        }
        cluster.create_topics(&topics.iter().map(String::as_str).collect::<Vec<_>>());
        let job = Self { program: program.clone(), place, input, logs: AtomicU32::new(0) };
        std::fs::create_dir_all(&job.place.directory).unwrap();
        std::fs::write(job.place.directory.join("crash.sql"), job.script()).unwrap();
        job
    }

    fn script(&self) -> String {
        let (mut tables, mut inserts) = (String::new(), String::new());
        for kind in kinds(&self.place) {
            for (result, columns) in [
                ("rolling", "p INT, o BIGINT, device STRING, n BIGINT, total BIGINT"),
                ("windows", "device STRING, window_end STRING, n BIGINT, total BIGINT"),
            ] {
                let name = table(result, kind.name);
                let options = (kind.options)(&self.place, &name);
                tables += &format!("CREATE TABLE {name} ({columns}) WITH ({options});\n");
                inserts += &format!("INSERT INTO {name} SELECT * FROM {result};\n");
            }
        }
        format!(
            "SET 'pipeline.name' = '{name}';\n\
             SET 'execution.checkpointing.interval' = '500 ms';\n\
             SET 'table.local-time-zone' = 'UTC';\n\
             CREATE TABLE readings (device STRING, v BIGINT, ms BIGINT, p INT METADATA FROM 'partition' VIRTUAL, \
             o BIGINT METADATA FROM 'offset' VIRTUAL, ts AS TO_TIMESTAMP_LTZ(ms, 3), \
             WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'kafka', 'topic' = '{input}', \
             'properties.bootstrap.servers' = '{bootstrap}', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json');\n\
             {tables}\
             CREATE TEMPORARY VIEW rolling AS SELECT p, o, device, COUNT(*) OVER f AS n, SUM(v) OVER f AS total \
             FROM readings WINDOW f AS (PARTITION BY device ORDER BY ts ROWS BETWEEN 9 PRECEDING AND CURRENT ROW);\n\
             CREATE TEMPORARY VIEW windows AS SELECT device, CAST(window_end AS STRING) AS window_end, COUNT(*) AS n, \
             SUM(v) AS total FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' SECOND)) \
             GROUP BY device, window_start, window_end;\n\
             EXECUTE STATEMENT SET\nBEGIN\n{inserts}END;\n",
            name = self.place.name,
            input = self.input,
            bootstrap = self.place.bootstrap,
        )
    }

    /// Starts the program; with a failpoint, it is armed.
    pub(crate) fn start(&self, arguments: &[&str], failpoint: Option<&str>) -> Process {
        let log = self.place.directory.join(format!("log-{:04}.txt", self.logs.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(&self.program.path);
        command
            .args(["run", "crash.sql", "--metrics-addr", "none", "--show", "none"])
            .args(arguments)
            .current_dir(&self.place.directory)
            .env_remove("STREAMER_FAILPOINT")
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        if let Some(variable) = self.program.variable {
            command.env(variable, "1");
        }
        if let Some(failpoint) = failpoint {
            command.env("STREAMER_FAILPOINT", failpoint);
        }
        Process { child: command.spawn().unwrap(), log }
    }

    /// How far the newest manifest is; the empty progress if there is none.
    pub(crate) fn progress(&self) -> Progress {
        let manifests = self.place.directory.join("data/state/crash/checkpoint/m");
        let Ok(entries) = std::fs::read_dir(&manifests) else { return Progress::default() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let Some(newest) = names.filter(|name| !name.starts_with('.')).max() else { return Progress::default() };
        let text = std::fs::read(manifests.join(newest)).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let body = &json["body"];
        let offset = |p: &serde_json::Value| Some((p["partition"].as_i64()?, p["next_offset"].as_i64()?));
        Progress {
            epoch: body["epoch"].as_u64().unwrap_or_default(),
            fence: body["fence"].as_u64().unwrap_or_default(),
            offsets: body["sources"].as_array().into_iter().flatten().filter_map(offset).collect(),
        }
    }
}

/// The name of a result's table in a kind of sink.
pub(crate) fn table(result: &str, kind: &str) -> String {
    format!("{result}_{kind}")
}

/// A process that does not outlive the harness.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        drop(Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status());
    }

    /// SIGKILL, and the end.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Whether it is held by SIGSTOP.
    pub(crate) fn is_stopped(&self) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last line it said.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said();
        said.lines().rfind(|line| line.starts_with("error")).or_else(|| said.lines().last()).unwrap_or("").to_owned()
    }

    /// Waits for something; `false`: it did not come in time.
    pub(crate) fn wait(&mut self, time: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > time {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}
