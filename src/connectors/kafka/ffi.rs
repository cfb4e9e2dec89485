//! Batched consumption: the one module that talks to librdkafka's C interface, because the safe wrapper only
//! takes message by message, each with locks, an event and a wake-up of its own.
//!
//! Invariants: a [`PartitionQueue`] keeps its client alive, messages are borrowed from a [`MessageBatch`] and a
//! batch from its queue, and dropping the batch gives every message back. So no slice outlives its message.
#![expect(unsafe_code, reason = "rd_kafka_consume_batch_queue, header access and topic ids have no safe wrapper")]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka_sys as sys;
use tokio::sync::Notify;

use super::client::Consumer;
use crate::error::{Error, Result};

/// The messages of one partition, apart from all others, with a bell that rings when it stops being empty.
pub(super) struct PartitionQueue {
    // fixed at start
    queue: NonNull<sys::rd_kafka_queue_t>,
    bell: Arc<Notify>,
    consumer: Arc<Consumer>,
    topic: CString,
    partition: i32,
    // changes while running: the messages of the batch that is out, empty otherwise
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's handles may be used from any thread; the pointers in `messages` are only reached through
// `&mut self`.
unsafe impl Send for PartitionQueue {}

/// Called by librdkafka, under its queue's lock, when the queue stops being empty.
unsafe extern "C" fn ring(_client: *mut sys::rd_kafka_t, bell: *mut c_void) {
    // SAFETY: `bell` is the `Notify` of a live `PartitionQueue`, which takes the callback away before it goes.
    unsafe { &*bell.cast::<Notify>() }.notify_one();
}

impl PartitionQueue {
    /// Splits a partition off. To be called before the partition is assigned, so that none of its messages
    /// takes the way of the shared queue.
    pub(super) fn split(consumer: &Arc<Consumer>, topic: &str, partition: i32) -> Result<Self> {
        let name = CString::new(topic)
            .map_err(|_| Error::config(format!("topic name \"{}\" holds a zero byte", topic.escape_default())))?;
        // SAFETY: client and name are live; the result is null or a reference that we own.
        let queue =
            unsafe { sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), partition) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Error::internal(format!("no queue for partition {partition} of topic \"{topic}\"")))?;
        let bell = Arc::new(Notify::new());
        // SAFETY: the queue is live, and so is the bell until `drop` has taken the callback away.
        unsafe {
            sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(ring), Arc::as_ptr(&bell).cast_mut().cast());
        }
        let messages = Vec::new();
        Ok(Self { queue, bell, consumer: Arc::clone(consumer), topic: name, partition, messages })
    }

    /// Rings after the queue stopped being empty; a ring between two waits is kept.
    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }

    /// Up to `max` messages that are there now, without waiting.
    pub(super) fn take(&mut self, max: usize) -> MessageBatch<'_> {
        self.messages.clear();
        self.messages.reserve(max);
        // SAFETY: the queue is live, and `messages` has room for `max` pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.messages.as_mut_ptr(), max) };
        let count = usize::try_from(count).unwrap_or(0).min(max);
        // SAFETY: librdkafka has written the first `count` pointers.
        unsafe { self.messages.set_len(count) };
        MessageBatch { messages: &mut self.messages }
    }

    /// First and end offset of the partition as the last fetch told them, without asking a broker.
    pub(super) fn known_watermarks(&self) -> Option<(i64, i64)> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: client, name and both numbers are live.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                self.topic.as_ptr(),
                self.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some((low, high))
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours; after the first call nobody holds the bell.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Messages taken from a queue, given back when dropped.
pub(super) struct MessageBatch<'q> {
    messages: &'q mut Vec<*mut sys::rd_kafka_message_t>,
}

impl MessageBatch<'_> {
    /// The messages, in offset order, with errors and ends of partition among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: every pointer is a message that is destroyed only when the batch is dropped.
        self.messages.iter().map(|raw| Message { raw: unsafe { &**raw } })
    }
}

impl Drop for MessageBatch<'_> {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: the message is ours and nothing borrows it any more.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

/// Who set the time stamp of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimestampType {
    /// The record has none.
    None,
    /// The producer.
    CreateTime,
    /// The broker.
    LogAppendTime,
}

impl TimestampType {
    /// Kafka's own name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "NoTimestampType",
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        }
    }
}

/// One message, borrowed from its batch.
#[derive(Clone, Copy)]
pub(super) struct Message<'b> {
    raw: &'b sys::rd_kafka_message_t,
}

impl<'b> Message<'b> {
    /// The error the message stands for, with librdkafka's words.
    pub(super) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        if self.raw.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: the message is live; the text, if there is one, ends with a zero byte and lives as long.
        let text = unsafe {
            let text = sys::rd_kafka_message_errstr(self.raw);
            if text.is_null() { Cow::Borrowed("") } else { CStr::from_ptr(text).to_string_lossy() }
        };
        Some((self.raw.err.into(), text.into_owned()))
    }

    /// Offset in the partition; for an end of partition: the next offset to come.
    pub(super) fn offset(&self) -> i64 {
        self.raw.offset
    }

    /// The value; `None` is a tombstone.
    pub(super) fn payload(&self) -> Option<&'b [u8]> {
        // SAFETY: librdkafka's pair of pointer and length, alive as long as the message.
        unsafe { bytes(self.raw.payload, self.raw.len) }
    }

    /// The key.
    pub(super) fn key(&self) -> Option<&'b [u8]> {
        // SAFETY: as for the payload.
        unsafe { bytes(self.raw.key, self.raw.key_len) }
    }

    /// Time stamp, ms since 1970, and who set it.
    pub(super) fn timestamp(&self) -> (Option<i64>, TimestampType) {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: message and `kind` are live.
        let ms = unsafe { sys::rd_kafka_message_timestamp(self.raw, &raw mut kind) };
        let kind = match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => TimestampType::None,
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => TimestampType::CreateTime,
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => TimestampType::LogAppendTime,
        };
        ((ms >= 0).then_some(ms), kind)
    }

    /// Epoch of the leader that took the record, where the broker tells it.
    pub(super) fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is live.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.raw) };
        (epoch >= 0).then_some(epoch)
    }

    /// The headers in order; a name that is not UTF-8 gets replacement characters.
    pub(super) fn headers(&self) -> Headers<'b> {
        let mut headers = ptr::null_mut();
        // SAFETY: message and pointer are live; the headers stay the message's.
        let code = unsafe { sys::rd_kafka_message_headers(self.raw, &raw mut headers) };
        let found = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        Headers { headers: if found { headers } else { ptr::null_mut() }, index: 0, message: PhantomData }
    }
}

/// The headers of one message.
pub(super) struct Headers<'b> {
    headers: *mut sys::rd_kafka_headers_t,
    index: usize,
    message: PhantomData<&'b ()>,
}

impl<'b> Iterator for Headers<'b> {
    type Item = (Cow<'b, str>, Option<&'b [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.headers.is_null() {
            return None;
        }
        let (mut name, mut value, mut length) = (ptr::null::<c_char>(), ptr::null(), 0);
        // SAFETY: headers and the three results are live.
        let code = unsafe {
            sys::rd_kafka_header_get_all(self.headers, self.index, &raw mut name, &raw mut value, &raw mut length)
        };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return None;
        }
        self.index += 1;
        // SAFETY: name ends with a zero byte; both live as long as the message.
        unsafe { Some((CStr::from_ptr(name).to_string_lossy(), bytes(value.cast_mut(), length))) }
    }
}

/// The id a broker gave a topic when it was made, which no topic made anew has; `None` if the broker knows none
/// (before Kafka 2.8). No answer in time is an error. Any broker knows; by default librdkafka would wait for the
/// controller, which the mock cluster does not have.
pub(super) fn topic_id(consumer: &Consumer, topic: &str, broker: i32, wait: Duration) -> KafkaResult<Option<String>> {
    let name = CString::new(topic)?;
    let client = consumer.client().native_ptr();
    let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is live, and all that is made here is given back here. The request copies the names; the
    // event owns the result, so its parts are read before it is destroyed.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let mut names = [name.as_ptr()];
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options =
            sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, ptr::null_mut(), 0);
        sys::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, wait_ms);
        let timed_out = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT;
        let id = if event.is_null() { Err(timed_out) } else { described_id(event) };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_queue_destroy(queue);
        match id {
            Err(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) => Ok(None),
            id => id.map_err(|code| KafkaError::MetadataFetch(code.into())),
        }
    }
}

/// The id in the answer to a question about one topic; `None` if the broker knows no ids. The caller vouches for the
/// event.
unsafe fn described_id(
    event: *mut sys::rd_kafka_event_t,
) -> std::result::Result<Option<String>, sys::rd_kafka_resp_err_t> {
    let fine = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let strange = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG;
    // SAFETY: the event is live, and what it gives out lives as long.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != fine {
            return Err(code);
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(strange);
        }
        let mut count = 0;
        let found = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if found.is_null() || count != 1 {
            return Err(strange);
        }
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(*found));
        if code != fine {
            return Err(code);
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(*found);
        if id.is_null() {
            return Err(strange);
        }
        // Zero: the broker knows no ids.
        if (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id)) == (0, 0) {
            return Ok(None);
        }
        let text = sys::rd_kafka_Uuid_base64str(id);
        if text.is_null() { Err(strange) } else { Ok(Some(CStr::from_ptr(text).to_string_lossy().into_owned())) }
    }
}

/// A slice of librdkafka's memory; a null pointer is no value, which differs from an empty one.
unsafe fn bytes<'b>(start: *mut c_void, length: usize) -> Option<&'b [u8]> {
    // SAFETY: the caller vouches for pointer, length and lifetime.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>().cast_const(), length) })
}

/// Names of all properties librdkafka knows, aliases excepted.
pub(super) fn property_names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: a configuration of our own; the dump is an array of `count` texts, names and values in turn,
    // and is given back whole.
    unsafe {
        let config = sys::rd_kafka_conf_new();
        let mut count = 0;
        let dump = sys::rd_kafka_conf_dump(config, &raw mut count);
        for index in (0..count).step_by(2) {
            names.push(CStr::from_ptr(*dump.add(index)).to_string_lossy().into_owned());
        }
        sys::rd_kafka_conf_dump_free(dump, count);
        sys::rd_kafka_conf_destroy(config);
    }
    names
}

/// Sends a record whose header has a name of arbitrary bytes, which the safe wrapper cannot.
#[cfg(test)]
pub(super) fn produce_with_header(
    client: *mut sys::rd_kafka_t,
    (topic, partition): (&str, i32),
    payload: &[u8],
    (name, value): (&[u8], &[u8]),
) {
    let topic = CString::new(topic).unwrap();
    // SAFETY: all pointers are live for the call; the headers go over to librdkafka.
    let code = unsafe {
        let headers = sys::rd_kafka_headers_new(1);
        sys::rd_kafka_header_add(
            headers,
            name.as_ptr().cast(),
            name.len() as isize,
            value.as_ptr().cast(),
            value.len() as isize,
        );
        sys::rd_kafka_producev(
            client,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
            partition,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            sys::RD_KAFKA_MSG_F_COPY,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            payload.as_ptr(),
            payload.len(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            headers,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        )
    };
    assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
}
