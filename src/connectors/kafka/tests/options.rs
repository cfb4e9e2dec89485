//! What a script may say of a topic, and what it is told when it may not.

use super::*;

fn device_columns() -> Vec<ColumnSpec> {
    vec![
        physical("device_id", "STRING"),
        physical("data", "BIGINT"),
        metadata("ts", "TIMESTAMP_LTZ(3)", "timestamp", true),
    ]
}

#[test]
fn every_wrong_option_is_told_at_its_place() {
    let table = table_of(
        device_columns(),
        &[
            ("bad-records", "ignore"),
            ("bootstrap_servers", "h:1"),
            ("connector", "kafka"),
            ("format", "json"),
            ("key.fields", "device"),
            ("key.format", "json"),
            ("properties.bootstrap.servers", "h:1"),
            ("properties.enable.auto.commit", "true"),
            ("properties.fetch.wait.max.mss", "5"),
            ("properties.sasl.jaas.config", "x required password=\"hunter2\";"),
            ("properties.security.protocol", "SASL_SSL"),
            ("properties.session.timeout.ms", "soon"),
            ("scan.bounded.mode", "latest"),
            ("scan.startup.mode", "timestamp"),
            ("scan.startup.specific-offset", "x"),
            ("sink.delivery-guarantee", "exactly_once"),
            ("sink.partitioner", "com.example.Mine"),
            ("topic", "a;a"),
        ],
    );
    let expected = [
        "1: option \"bad-records\": \"ignore\" is not a valid value [valid values: ledger, fail, drop]",
        "2: connector \"kafka\" has no option \"bootstrap_servers\" [did you mean \"properties.bootstrap.servers\"?]",
        "5: table \"readings\" has no physical column \"device\" [did you mean \"device_id\"?]",
        "8: option \"properties.enable.auto.commit\" is set by the engine: offsets are committed with the epochs [leave it out]",
        "9: the kafka client has no property \"fetch.wait.max.mss\" [did you mean \"properties.fetch.wait.max.ms\"?]",
        "10: option \"properties.sasl.jaas.config\" is not a user and password of the PLAIN or SCRAM login module [set 'properties.sasl.username' and 'properties.sasl.password']",
        "11: security protocol \"SASL_SSL\" needs option \"properties.sasl.mechanism\" [valid values: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]",
        "12: option \"properties.session.timeout.ms\" has a value the kafka client does not take",
        "13: option \"scan.bounded.mode\": \"latest\" is not a valid value [valid values: unbounded, latest-offset, group-offsets, timestamp, specific-offsets]",
        "14: mode \"timestamp\" needs option \"scan.startup.timestamp-millis\" [add 'scan.startup.timestamp-millis' = '1700000000000']",
        "15: connector \"kafka\" has no option \"scan.startup.specific-offset\" [did you mean \"scan.startup.specific-offsets\"?]",
        "16: option \"sink.delivery-guarantee\": \"exactly_once\" is not a valid value [did you mean \"exactly-once\"?]",
        "17: partitioner \"com.example.Mine\" is not supported [classes of Java cannot be loaded; valid values: default, fixed, round-robin]",
        "18: topic \"a\" is named twice",
    ];
    assert_eq!(problems(&table, Usage::Source), expected);
}

#[test]
fn missing_options_are_told_at_the_table() {
    let table = table_of(device_columns(), &[("connector", "kafka")]);
    let expected = [
        "99: table \"readings\" lacks the option \"topic\" [add 'topic' = '…' to WITH]",
        "99: table \"readings\" lacks the option \"properties.bootstrap.servers\" [add 'properties.bootstrap.servers' = 'host:port' to WITH, or 'embedded' for the cluster inside the process]",
        "99: table \"readings\" lacks the option \"format\" [add 'format' = 'json' to WITH]",
    ];
    assert_eq!(problems(&table, Usage::Source), expected);
}

#[test]
fn what_flink_scripts_say_is_taken() {
    let table = table_of(
        vec![physical("k", "STRING"), physical("v", "STRING"), metadata("p", "BIGINT", "partition", true)],
        &[
            ("connector", "kafka"),
            ("topic", "a;b"),
            ("properties.bootstrap.servers", "h1:9092,h2:9092"),
            ("properties.group.id", "g"),
            ("properties.key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer"),
            ("properties.max.poll.records", "500"),
            ("properties.fetch.max.wait.ms", "100"),
            ("properties.security.protocol", "SASL_PLAINTEXT"),
            ("properties.sasl.mechanism", "PLAIN"),
            (
                "properties.sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p;=\";",
            ),
            ("properties.auto.offset.reset", "earliest"),
            ("key.format", "raw"),
            ("key.fields", "k"),
            ("value.format", "raw"),
            ("value.fields-include", "EXCEPT_KEY"),
            ("scan.startup.mode", "group-offsets"),
            ("scan.watermark.idle-timeout", "5 s"),
            ("scan.watermark.alignment.group", "g"),
            ("scan.topic-partition-discovery.interval", "10s"),
            ("sink.partitioner", "default"),
            ("sink.delivery-guarantee", "at-least-once"),
            ("sink.transactional-id-prefix", "x"),
            ("sink.parallelism", "1"),
        ],
    );
    assert_eq!(problems(&table, Usage::Source), Vec::<String>::new());
    let options = parse(&table, Usage::Source).unwrap();
    assert_eq!(options.discovery, Some(Duration::from_secs(10)));
    assert_eq!(options.properties.get("sasl.username"), Some("u"));
    assert_eq!(options.properties.get("sasl.password"), Some("p;="));
    assert_eq!(options.properties.get("fetch.wait.max.ms"), Some("100"));
    assert_eq!(options.properties.ignored, ["key.deserializer", "max.poll.records"]);
    assert!(!format!("{options:?}").contains("p;="), "a secret is shown");
    let sink = problems(&table, Usage::Sink);
    assert!(sink.len() == 1 && sink[0].contains("more than one topic"), "{sink:?}");
}

#[test]
fn secrets_are_never_part_of_a_message() {
    let secret = "s3cr3t";
    for name in [
        "sasl.password",
        "ssl.key.pem",
        "ssl.key.password",
        "sasl.oauthbearer.config",
        "ssl.truststore.password",
        "ssl.truststore.location",
        "ssl.truststore.certificates",
        "ssl.keystore.password",
        "ssl.keystore.key",
        "ssl.keystore.nonsense",
        "sasl.username",
        "sasl.jaas.config",
        "session.timeout.ms",
        "no.such.thing",
        "ssl.keystore.location",
    ] {
        let key = format!("properties.{name}");
        let options = [
            ("connector", "kafka"),
            ("topic", "t"),
            ("format", "raw"),
            ("properties.bootstrap.servers", "h:1"),
            ("properties.security.protocol", "SSL"),
            ("properties.acks", "0"),
            (key.as_str(), secret),
        ];
        let table = table_of(vec![physical("v", "STRING")], &options);
        let errors = validate(&table, Usage::Source);
        assert!(!errors.is_empty());
        assert!(!format!("{errors:?}").contains(secret), "{name}");
    }
}

/// What becomes of `properties.*` beside those that every table needs: librdkafka's names and values, or the errors.
fn security(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, Vec<String>> {
    let keys: Vec<String> = pairs.iter().map(|(name, _)| format!("properties.{name}")).collect();
    let mut options =
        vec![("connector", "kafka"), ("topic", "t"), ("format", "raw"), ("properties.bootstrap.servers", "h:1")];
    options.extend(keys.iter().map(String::as_str).zip(pairs.iter().map(|(_, value)| *value)));
    let table = table_of(vec![physical("v", "STRING")], &options);
    let parsed = parse(&table, Usage::Source).map_err(|_| {
        validate(&table, Usage::Source).iter().map(|error| error.message().to_owned()).collect::<Vec<_>>()
    })?;
    Ok(parsed.properties.values.into_iter().filter(|(name, _)| name != "bootstrap.servers").collect())
}

#[test]
fn security_as_java_says_it_in_the_clients_words() {
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";";
    let given = security(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "scram-sha-512"),
        ("sasl.jaas.config", jaas),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", "/ca"),
        ("ssl.truststore.password", "x"),
        ("ssl.keystore.location", "/me.pem"),
        ("ssl.key.password", "k"),
        ("ssl.endpoint.identification.algorithm", ""),
        ("ssl.enabled.protocols", "TLSv1.3"),
    ]);
    let expected = [
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.password", "p"),
        ("sasl.username", "u"),
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", "/ca"),
        ("ssl.certificate.location", "/me.pem"),
        ("ssl.endpoint.identification.algorithm", "none"),
        ("ssl.key.location", "/me.pem"),
        ("ssl.key.password", "k"),
    ];
    assert_eq!(given, Ok(expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()));
    let text = "-----BEGIN X----- QQ== -----END X-----";
    let lines = "-----BEGIN X-----\nQQ==\n-----END X-----\n".to_owned();
    let given = security(&[
        ("security.protocol", "ssl"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.key", text),
        ("ssl.keystore.certificate.chain", text),
        ("ssl.truststore.certificates", text),
    ]);
    let given = given.unwrap().into_iter().filter(|(name, _)| name.ends_with(".pem")).collect::<Vec<_>>();
    assert_eq!(
        given,
        ["ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem"].map(|name| (name.to_owned(), lines.clone()))
    );
    // authorities of the machine, where the table names none
    let given = security(&[("security.protocol", "SSL"), ("ssl.keystore.location", "me.p12")]).unwrap();
    assert!(given.contains(&("ssl.ca.location".into(), "probe".into())), "{given:?}");
    assert!(given.contains(&("ssl.keystore.location".into(), "me.p12".into())), "{given:?}");
    assert_eq!(security(&[("security.protocol", "PLAINTEXT")]).unwrap().len(), 1);
}

#[test]
fn security_that_cannot_work_is_refused_before_a_connection() {
    for (pairs, expected) in [
        (
            vec![("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN")],
            "security protocol \"SASL_SSL\" needs a user and a password",
        ),
        (vec![("sasl.mechanism", "GSSAPI")], "SASL mechanism \"GSSAPI\" is not supported"),
        (vec![("sasl.mechanisms", "OAUTHBEARER")], "SASL mechanism \"OAUTHBEARER\" is not supported"),
        (vec![("security.protocol", "TLS")], "option \"properties.security.protocol\": \"TLS\" is not a valid value"),
        (
            vec![("ssl.truststore.location", "/x/ca.jks")],
            "option \"properties.ssl.truststore.location\" names a Java trust store",
        ),
        (
            vec![("ssl.truststore.type", "JKS"), ("ssl.truststore.location", "/ca.pem")],
            "option \"properties.ssl.truststore.location\" names a Java trust store",
        ),
        (
            vec![("ssl.keystore.location", "/x/me")],
            "option \"properties.ssl.keystore.location\" names a Java key store",
        ),
        (
            vec![("security.protocol", "SSL"), ("ssl.certificate.location", "c")],
            "a client certificate needs option \"properties.ssl.key.location\", too",
        ),
        (
            vec![("security.protocol", "SSL"), ("ssl.key.pem", "k")],
            "a client certificate needs option \"properties.ssl.certificate.location\", too",
        ),
        (
            vec![("ssl.endpoint.identification.algorithm", "ldap")],
            "option \"properties.ssl.endpoint.identification.algorithm\" has a value the kafka client does not take",
        ),
    ] {
        assert_eq!(security(&pairs), Err(vec![expected.to_owned()]), "{pairs:?}");
    }
}

#[test]
fn bounded_by_mode() {
    let base = [("connector", "kafka"), ("topic", "t"), ("format", "raw"), ("properties.bootstrap.servers", "h:1")];
    let columns = || vec![physical("v", "STRING")];
    assert!(!bounded(&table_of(columns(), &base)).unwrap());
    let mut options = base.to_vec();
    options.push(("scan.bounded.mode", "latest-offset"));
    assert!(bounded(&table_of(columns(), &options)).unwrap());
}
