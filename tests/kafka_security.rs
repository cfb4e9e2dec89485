//! TLS and SASL against a real broker with certificates made for the test, and secrets that must be seen nowhere.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::support::{self, kafka, root, run, start, streamer, text, wait_until};

const USER: &str = "ann";
/// Words that must be seen nowhere but in the environment and in files made for them.
const PASSWORD: &str = "canary-Sasl-7f3a91";
const KEY_PASSWORD: &str = "canary-Key-20c4e8";
const DATABASE_PASSWORD: &str = "canary-Base-b61d05";
const WRONG_PASSWORD: &str = "canary-Wrong-4e77d2";

/// Ports of the listeners and of the controller.
const PORTS: u16 = 7;

/// The broker, its listeners by name, and its certificates. It ends with its last test.
struct Secure {
    directory: tempfile::TempDir,
    port: u16,
    listeners: BTreeMap<String, String>,
    certificates: PathBuf,
}

fn script(directory: &Path, port: u16, verb: &str) -> Output {
    let mut command = Command::new(root().join("scripts/kafka"));
    command.arg(verb).env("KAFKA_DIR", directory).env("KAFKA_PORT", port.to_string());
    command.env("KAFKA_USER", USER).env("KAFKA_PASSWORD", PASSWORD).env("KAFKA_KEY_PASSWORD", KEY_PASSWORD);
    command.output().unwrap()
}

impl Secure {
    /// The broker that other tests of this process use at this moment, or a new one.
    fn shared(test: &str) -> Option<Arc<Self>> {
        static RUNNING: Mutex<Weak<Secure>> = Mutex::new(Weak::new());
        kafka::bootstrap(test)?;
        let mut running = RUNNING.lock().unwrap();
        let secure = running.upgrade().unwrap_or_else(|| Arc::new(Self::start()));
        *running = Arc::downgrade(&secure);
        Some(secure)
    }

    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = u16::try_from(std::process::id() % 1000).unwrap();
        // The script adds 20: apart from the ports of the four brokers.
        let free = |port: &u16| (20..20 + PORTS).all(|more| TcpListener::bind(("127.0.0.1", port + more)).is_ok());
        let port = (0..100).map(|attempt| 22_000 + (own + attempt * 10) % 1000 * 10).find(free).unwrap();
        let output = script(directory.path(), port, "secure");
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        let pair = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut listeners: BTreeMap<String, String> = said.lines().filter_map(pair).collect();
        let certificates = PathBuf::from(listeners.remove("CERTIFICATES").unwrap());
        Self { directory, port, listeners, certificates }
    }

    /// A topic of one partition. Made without security: what is tried is ours.
    fn topic(&self, name: &str) -> String {
        let topic = kafka::topic(name);
        kafka::create_single_topic(&self.listeners["PLAINTEXT"], &topic);
        topic
    }

    fn file(&self, name: &str) -> String {
        self.certificates.join(name).display().to_string()
    }

    /// The options of a protocol, the authority among them.
    fn options(&self, protocol: &str, more: &[(&str, String)]) -> Options {
        let mut options = Options::from([("security.protocol".to_owned(), protocol.to_owned())]);
        if protocol.ends_with("SSL") {
            options.insert("ssl.ca.location".to_owned(), self.file("ca.pem"));
        }
        options.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        options
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        drop(script(self.directory.path(), self.port, "insecure"));
    }
}

/// `properties.*` of a table, without the prefix.
type Options = BTreeMap<String, String>;

/// A table `name` over a topic.
fn table(name: &str, bootstrap: &str, topic: &str, properties: &Options, more: &str) -> String {
    let properties: String = properties
        .iter()
        .map(|(name, value)| format!(",\n 'properties.{name}' = '{}'", value.replace('\'', "''")))
        .collect();
    format!(
        "CREATE TABLE {name} (n INT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json'{more},\n \
         'properties.bootstrap.servers' = '{bootstrap}'{properties});\n"
    )
}

const WHOLE: &str = ", 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'";
const THREE: &str = "CREATE TABLE g (n INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3', \
                     'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '3');\n";

/// User and password as librdkafka has them.
fn sasl(mechanism: &str, password: &str) -> [(&'static str, String); 3] {
    let text = str::to_owned;
    [("sasl.mechanism", text(mechanism)), ("sasl.username", text(USER)), ("sasl.password", text(password))]
}

/// The same as Java has them.
fn jaas(mechanism: &str) -> [(&'static str, String); 2] {
    let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
    let text = format!(
        "org.apache.kafka.common.security.{module} required username=\"{USER}\" password=\"${{SASL_PASSWORD}}\";"
    );
    [("sasl.mechanism", mechanism.to_owned()), ("sasl.jaas.config", text)]
}

/// A listener, and the options of a client that it lets in.
fn ways_in(secure: &Secure) -> Vec<(&'static str, Options)> {
    let file = |name| secure.file(name);
    let inline = |name: &str| format!("${{file:{}}}", secure.file(name));
    let key_password = ("ssl.key.password", "${KEY_PASSWORD}".to_owned());
    let of_file = "${file:password}";
    vec![
        ("SSL", secure.options("SSL", &[])),
        (
            "MUTUAL",
            secure.options(
                "SSL",
                &[
                    ("ssl.certificate.location", file("client.crt")),
                    ("ssl.key.location", file("client.encrypted.key")),
                    key_password.clone(),
                ],
            ),
        ),
        (
            "MUTUAL",
            Options::from(
                [
                    ("security.protocol", "SSL".to_owned()),
                    ("ssl.truststore.type", "PEM".to_owned()),
                    ("ssl.truststore.location", file("ca.pem")),
                    ("ssl.keystore.type", "PEM".to_owned()),
                    ("ssl.keystore.location", file("client.pem")),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            ),
        ),
        (
            "MUTUAL",
            Options::from(
                [
                    ("security.protocol", "SSL".to_owned()),
                    ("ssl.truststore.certificates", inline("ca.pem")),
                    ("ssl.keystore.certificate.chain", inline("client.crt")),
                    ("ssl.keystore.key", inline("client.encrypted.key")),
                    ("ssl.key.password", "${KEY_PASSWORD}".to_owned()),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            ),
        ),
        (
            "MUTUAL",
            secure.options(
                "SSL",
                &[
                    ("ssl.keystore.location", file("client.p12")),
                    ("ssl.keystore.password", "${KEY_PASSWORD}".to_owned()),
                ],
            ),
        ),
        ("SASL_PLAINTEXT", secure.options("SASL_PLAINTEXT", &sasl("PLAIN", of_file))),
        ("SASL_PLAINTEXT", secure.options("SASL_PLAINTEXT", &jaas("SCRAM-SHA-256"))),
        ("SASL_PLAINTEXT", secure.options("SASL_PLAINTEXT", &sasl("SCRAM-SHA-512", of_file))),
        ("SASL_SSL", secure.options("SASL_SSL", &jaas("PLAIN"))),
        ("SASL_SSL", secure.options("SASL_SSL", &sasl("SCRAM-SHA-256", "${SASL_PASSWORD}"))),
        ("SASL_SSL", secure.options("SASL_SSL", &jaas("SCRAM-SHA-512"))),
    ]
}

#[test]
fn every_protocol_and_mechanism_writes_and_reads() {
    let Some(secure) = Secure::shared("every_protocol_and_mechanism_writes_and_reads") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("password"), format!("{PASSWORD}\n")).unwrap();
    for (number, (listener, options)) in ways_in(&secure).iter().enumerate() {
        let topic = secure.topic("secure");
        let bootstrap = &secure.listeners[*listener];
        // Transactions, their markers and their groups go over connections of their own.
        let write = table("t", bootstrap, &topic, options, ", 'sink.delivery-guarantee' = 'exactly-once'");
        let read = table("t", bootstrap, &topic, options, WHOLE);
        std::fs::write(path.join("write.sql"), format!("{write}{THREE}INSERT INTO t SELECT n FROM g;")).unwrap();
        std::fs::write(path.join("read.sql"), format!("{read}SELECT n FROM t;")).unwrap();
        let state = format!("state-{number}");
        let go = |arguments: &[&str]| {
            let mut command = streamer(path);
            command.args(arguments).env("SASL_PASSWORD", PASSWORD).env("KEY_PASSWORD", KEY_PASSWORD);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{listener} {options:?}: {}", text(&output));
            output
        };
        go(&["run", "write.sql", "--state", &state, "--metrics-addr", "none"]);
        let read = go(&["run", "read.sql", "--fresh", "--metrics-addr", "none"]);
        let rows = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
        assert_eq!(String::from_utf8_lossy(&read.stdout), rows, "{listener} {options:?}");
    }
}

#[test]
fn what_cannot_be_trusted_is_refused_with_one_clear_line() {
    let Some(secure) = Secure::shared("what_cannot_be_trusted_is_refused_with_one_clear_line") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let topic = secure.topic("refused");
    let at = |name: &str| secure.listeners[name].clone();
    let by_number = |name: &str| at(name).replace("localhost", "127.0.0.1");
    let file = |name| secure.file(name);
    let unknown = "its certificate is of an authority that is not known here";
    let named = "its certificate is not made out to \"127.0.0.1\", but to \"localhost\"";
    let ssl = |more: &[(&str, String)]| secure.options("SSL", more);
    let other = [("ssl.certificate.location", file("other-ca.pem")), ("ssl.key.location", file("other-ca.key"))];
    let locked = [
        ("ssl.certificate.location", file("client.crt")),
        ("ssl.key.location", file("client.encrypted.key")),
        ("ssl.key.password", WRONG_PASSWORD.to_owned()),
    ];
    let cases: Vec<(String, Options, String)> = vec![
        (at("SSL"), ssl(&[("ssl.ca.location", file("other-ca.pem"))]), unknown.into()),
        (at("SSL"), Options::from([("security.protocol".into(), "SSL".into())]), unknown.into()),
        (at("SSL"), Options::new(), "its listener wants TLS".into()),
        (at("SASL_SSL"), Options::new(), "its listener wants TLS".into()),
        (by_number("SSL"), ssl(&[]), named.into()),
        (at("EXPIRED"), ssl(&[]), "its certificate has expired, on ".into()),
        (by_number("SASL_SSL"), secure.options("SASL_SSL", &sasl("PLAIN", PASSWORD)), named.into()),
        (at("MUTUAL"), ssl(&[]), "it wants a client certificate that it trusts".into()),
        (at("MUTUAL"), ssl(&other), "it wants a client certificate that it trusts".into()),
        (at("MUTUAL"), ssl(&locked), "option \"properties.ssl.key.location\": ".into()),
        (at("SSL"), ssl(&[("ssl.ca.location", "no.pem".into())]), "option \"properties.ssl.ca.location\": ".into()),
        (at("SASL_SSL"), secure.options("SASL_SSL", &sasl("PLAIN", WRONG_PASSWORD)), "uthentication failed".into()),
        (
            at("SASL_SSL"),
            secure.options("SASL_SSL", &sasl("SCRAM-SHA-512", WRONG_PASSWORD)),
            "uthentication failed".into(),
        ),
        (
            at("SASL_PLAINTEXT"),
            secure.options("SASL_PLAINTEXT", &sasl("SCRAM-SHA-256", WRONG_PASSWORD)),
            "uthentication failed".into(),
        ),
    ];
    for (bootstrap, options, expected) in cases {
        for sink in [false, true] {
            let select =
                if sink { format!("{THREE}INSERT INTO t SELECT n FROM g;") } else { "SELECT n FROM t;".into() };
            let script = table("t", &bootstrap, &topic, &options, if sink { "" } else { WHOLE }) + &select;
            std::fs::write(path.join("q.sql"), script).unwrap();
            let began = Instant::now();
            let output = run(path, &["run", "q.sql", "--fresh", "--metrics-addr", "none"]);
            let shown = text(&output);
            assert_eq!(output.status.code(), Some(3), "{bootstrap} {options:?}: {shown}");
            let error: Vec<&str> = shown.lines().filter(|line| line.starts_with("error: ")).collect();
            assert!(error.len() == 1 && error[0].contains(&expected), "{bootstrap} {options:?}: {shown}");
            assert!(!shown.contains("canary"), "{shown}");
            assert!(began.elapsed() < Duration::from_secs(14), "the time of a question was slept out: {shown}");
        }
    }
}

/// What a server answers to `GET path`.
fn get(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The program with the secrets in its environment, and everything told that can be told.
fn talkative(directory: &Path, format: &str) -> Command {
    let mut command = streamer(directory);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").env("STREAMER_LOG_FORMAT", format);
    command.env("SASL_PASSWORD", PASSWORD).env("KEY_PASSWORD", KEY_PASSWORD);
    command.env("WRONG_PASSWORD", WRONG_PASSWORD).env("PG_PASSWORD", DATABASE_PASSWORD);
    command
}

/// Fails if a secret, or one in base64, is part of what was written.
fn assert_silent(what: &str, written: &[u8], secrets: &[String]) {
    let shown = String::from_utf8_lossy(written);
    for secret in secrets {
        if let Some(line) = shown.lines().find(|line| line.contains(secret.as_str())) {
            panic!("{what} shows \"{secret}\": {line}");
        }
    }
}

/// Marked passwords and keys, and a folder in which they must not be seen.
struct Canary<'a> {
    secure: &'a Secure,
    path: &'a Path,
    words: Vec<String>,
    /// The topic that the job reads.
    input: String,
}

impl Canary<'_> {
    fn silent(&self, what: &str, written: &[u8]) {
        assert_silent(what, written, &self.words);
    }

    fn both(&self, what: &str, output: &Output) {
        self.silent(what, &output.stdout);
        self.silent(what, &output.stderr);
    }

    /// Writes the scripts.
    fn write_scripts(&self, password: &str) {
        let output = self.secure.topic("bird-out");
        let (secure, path, input) = (self.secure, self.path, &self.input);
        let all = [
            ("debug", "all".to_owned()),
            ("ssl.certificate.pem", format!("${{file:{}}}", secure.file("client.crt"))),
            ("ssl.key.pem", format!("${{file:{}}}", secure.file("client.encrypted.key"))),
            ("ssl.key.password", "${KEY_PASSWORD}".to_owned()),
        ];
        let read = secure.options("SASL_SSL", &[&all[..], &sasl("SCRAM-SHA-512", password)[..]].concat());
        let write = secure.options("SASL_SSL", &[&all[..], &jaas("PLAIN")[..]].concat());
        let bootstrap = &secure.listeners["SASL_SSL"];
        let begin = ", 'scan.startup.mode' = 'earliest-offset'";
        let tables = table("t", bootstrap, input, &read, begin)
            + &table("u", bootstrap, &output, &write, ", 'sink.delivery-guarantee' = 'exactly-once'")
            + "CREATE TABLE pg (n INT) WITH ('connector' = 'jdbc', 'table-name' = 'n', 'username' = 'ann',\n \
           'url' = 'jdbc:postgresql://127.0.0.1:9/d', 'password' = '${PG_PASSWORD}');\n";
        let job =
            format!("SET 'execution.checkpointing.interval' = '200 ms';\n{tables}INSERT INTO u SELECT n FROM t;\n");
        std::fs::write(path.join("q.sql"), &job).unwrap();
        std::fs::write(path.join("pg.sql"), format!("{tables}{THREE}INSERT INTO pg SELECT n FROM g;\n")).unwrap();
        let wrong = secure.options("SASL_SSL", &sasl("PLAIN", "${WRONG_PASSWORD}"));
        let login = table("t", bootstrap, input, &wrong, begin) + "SELECT n FROM t;\n";
        std::fs::write(path.join("login.sql"), login).unwrap();
        // Mistakes beside secrets and in them, some of them written into the script itself.
        let mistaken = job
            .replace("'json'", &format!("'jsn', 'properties.sasl.password' = '{PASSWORD}', 'properties.acks' = '0'"))
            .replace("9/d", &format!("9/d?password={DATABASE_PASSWORD}&ssl=x"));
        std::fs::write(path.join("mistaken.sql"), mistaken).unwrap();
        let senseless = format!("properties.sasl.jaas.config' = 'x required password=\"{PASSWORD}\"");
        std::fs::write(path.join("jaas.sql"), job.replace("properties.debug' = 'all", &senseless)).unwrap();
    }

    /// A job that runs: its log in both forms, its HTTP.
    fn of_a_running_job(&self) {
        for format in ["text", "json"] {
            kafka::send(
                &self.secure.listeners["PLAINTEXT"],
                &self.input,
                &vec![kafka::Sent { value: "{\"n\":1}".into(), ..Default::default() }; 10],
            );
            let address =
                format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
            let log = std::fs::File::create(self.path.join(format!("log-{format}"))).unwrap();
            let mut command = talkative(self.path, format);
            command.args(["run", "q.sql", "--state", "state", "--metrics-addr", &address]);
            let running = support::Running(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
            wait_until("the job to be ready", || {
                TcpStream::connect(&address).is_ok() && get(&address, "/readyz").starts_with(b"HTTP/1.1 200")
            });
            for page in ["/metrics", "/readyz", "/livez", "/none"] {
                self.silent(page, &get(&address, page));
            }
            running.signal("TERM");
            let ended = running.finish();
            let log = std::fs::read(self.path.join(format!("log-{format}"))).unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&log));
            let said = String::from_utf8_lossy(&log);
            assert!(said.contains("SASL") && said.lines().count() > 100, "the log says nothing: {said}");
        }
    }

    /// A panic, and an error in the middle of an epoch.
    fn of_a_job_that_fails(&self) {
        for (place, said) in [("epoch.state-written=panic", "panicked"), ("epoch.state-written=error", "failpoint")] {
            kafka::send(
                &self.secure.listeners["PLAINTEXT"],
                &self.input,
                &[kafka::Sent { value: "{\"n\":2}".into(), ..Default::default() }],
            );
            let mut command = talkative(self.path, "text");
            command
                .args(["run", "q.sql", "--state", "state", "--duration", "30s", "--metrics-addr", "none"])
                .env("STREAMER_FAILPOINT", place);
            let output = start(&mut command).finish();
            assert!(
                !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(said),
                "{}",
                text(&output)
            );
            self.both(place, &output);
        }
    }

    /// Everything else that reads the script or the state.
    fn of_verbs(&self) {
        for (arguments, code) in [
            (vec!["check", "q.sql"], 0),
            (vec!["explain", "q.sql"], 0),
            (vec!["explain", "pg.sql"], 0),
            (vec!["check", "mistaken.sql"], 3),
            (vec!["check", "jaas.sql"], 3),
            (vec!["run", "jaas.sql"], 3),
            (vec!["run", "login.sql", "--metrics-addr", "none"], 3),
            (vec!["sql", "-f", "q.sql", "-c", "SELECT COUNT(*) FROM t; SHOW CREATE TABLE u; DESCRIBE u"], -1),
            (vec!["state", "show", "state"], -1),
            (vec!["state", "ls", "state"], -1),
            (vec!["run", "pg.sql", "--duration", "3s", "--state", "pg", "--metrics-addr", "none"], -1),
        ] {
            let output = talkative(self.path, "text").args(&arguments).output().unwrap();
            if code >= 0 {
                assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
            }
            self.both(&arguments.join(" "), &output);
        }
    }
}

#[test]
fn no_secret_is_seen_in_anything_that_is_written() {
    let Some(secure) = Secure::shared("no_secret_is_seen_in_anything_that_is_written") else { return };
    let (secrets, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = directory.path();
    std::fs::write(secrets.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let key = std::fs::read_to_string(secure.file("client.encrypted.key")).unwrap();
    let mut words = [PASSWORD, KEY_PASSWORD, DATABASE_PASSWORD, WRONG_PASSWORD].map(str::to_owned).to_vec();
    words.extend(["Y2FuYXJ5", "canary-"].map(str::to_owned));
    words.push(key.lines().nth(2).unwrap().to_owned());
    let input = secure.topic("bird-in");
    let password = format!("${{file:{}}}", secrets.path().join("password").display());
    let canary = Canary { secure: &secure, path, words, input };
    canary.write_scripts(&password);
    let scripts = ["q.sql", "pg.sql", "login.sql", "mistaken.sql", "jaas.sql"].map(|name| path.join(name));
    canary.of_a_running_job();
    canary.of_a_job_that_fails();
    canary.of_verbs();
    let written: Vec<PathBuf> = files(path).into_iter().filter(|file| !scripts.contains(file)).collect();
    assert!(written.iter().any(|file| file.starts_with(path.join("state"))), "{written:?}");
    for file in written {
        canary.silent(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}
