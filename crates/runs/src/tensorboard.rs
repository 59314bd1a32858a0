//! TensorBoard's event files: TFRecords of `tensorflow.Event` messages.
//!
//! A record is the length (u64), its masked CRC-32C, the message, its masked CRC-32C, all little-endian.

use cambist_core::UnixNanos;
use prost::Message;

/// `tensorflow.Event`, the fields written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// `tensorflow.SessionLog`, the field written here.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1: START, from which TensorBoard drops events of the same or a later step that came before.
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    // One of several kinds of value in the original, so that zero must be written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The first record of a file.
pub(crate) fn header(now: UnixNanos) -> Vec<u8> {
    let version = What::FileVersion("brain.Event:2".to_owned());
    record(&Event { wall_time: now.0 as f64 * 1e-9, step: 0, what: Some(version) })
}

/// One record with all `scalars` of a step.
pub(crate) fn scalars(step: u64, now: UnixNanos, scalars: &[(&str, f64)]) -> Vec<u8> {
    let value =
        |(tag, value): &(&str, f64)| Value { tag: (*tag).to_owned(), simple_value: Some(*value as f32) };
    let summary = Summary { value: scalars.iter().map(value).collect() };
    record(&Event { wall_time: now.0 as f64 * 1e-9, step: step as i64, what: Some(What::Summary(summary)) })
}

/// Says that what was written of `step` and after is void.
pub(crate) fn session_start(step: u64, now: UnixNanos) -> Vec<u8> {
    let what = Some(What::SessionLog(SessionLog { status: 1 }));
    record(&Event { wall_time: now.0 as f64 * 1e-9, step: step as i64, what })
}

fn record(event: &Event) -> Vec<u8> {
    let body = event.encode_to_vec();
    let length = (body.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(body.len() + 16);
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked(&length));
    out.extend_from_slice(&body);
    out.extend_from_slice(&masked(&body));
    out
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}
