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
        "11: security protocol \"SASL_SSL\" needs TLS, which this build does not have [use a \"PLAINTEXT\" or \"SASL_PLAINTEXT\" listener, or a TLS tunnel beside the engine]",
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
            (key.as_str(), secret),
        ];
        let table = table_of(vec![physical("v", "STRING")], &options);
        let errors = validate(&table, Usage::Source);
        assert!(!errors.is_empty());
        assert!(!format!("{errors:?}").contains(secret), "{name}");
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
