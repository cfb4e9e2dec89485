//! The input: readings of forty devices, sent without end and without loss whatever happens to the brokers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const DEVICES: u64 = 40;
const PARTITIONS: u64 = 4;
/// Readings are at most so much older than one before in their partition: less than the watermark's delay.
const JITTER_MS: u64 = 800;
/// The last reading of each partition is so far ahead that the others' windows end.
const FLUSH_MS: u64 = 30_000;

/// A thread that sends.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Begins to send `rate` readings per second.
    pub(crate) fn start(bootstrap: &str, topic: &str, rate: u64) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "20")
            .create()
            .unwrap();
        let sender = Sender { producer, topic: topic.to_owned(), started: now_ms(), clock: Instant::now() };
        let (until, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || sender.run(rate, &until, &count));
        Self { stop, sent, thread }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; returns when every reading is acknowledged.
    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

struct Sender {
    producer: BaseProducer,
    topic: String,
    started: u64,
    clock: Instant,
}

impl Sender {
    fn run(&self, rate: u64, stop: &AtomicBool, sent: &AtomicU64) {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = self.clock.elapsed().as_millis() as u64 * rate / 1000;
            while number < due {
                let jitter = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
                self.send(number % DEVICES, number, self.time() - jitter % JITTER_MS);
                number += 1;
            }
            sent.store(number, Ordering::Relaxed);
            self.producer.poll(Duration::from_millis(5));
        }
        for partition in 0..PARTITIONS {
            self.send(partition, number, self.time() + FLUSH_MS);
        }
        self.producer.flush(Duration::from_secs(180)).unwrap();
    }

    /// Never goes back, unlike the wall clock.
    fn time(&self) -> u64 {
        self.started + self.clock.elapsed().as_millis() as u64
    }

    fn send(&self, device: u64, value: u64, time_ms: u64) {
        let (key, partition) = (format!("device-{device:02}"), (device % PARTITIONS) as i32);
        let text = format!("{{\"device\":\"{key}\",\"v\":{},\"ms\":{time_ms}}}", value % 1000);
        let mut record = BaseRecord::to(&self.topic).key(&key).payload(&text).partition(partition);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => panic!("the load cannot be sent: {error}"),
            }
        }
    }
}
