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
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

/// The first record of a file.
pub(crate) fn header(now: UnixNanos) -> Vec<u8> {
    let version = What::FileVersion("brain.Event:2".to_owned());
    record(&Event { wall_time: now.0 as f64 * 1e-9, step: 0, what: Some(version) })
}

/// One record with all `scalars` of a step.
pub(crate) fn scalars(step: u64, now: UnixNanos, scalars: &[(&str, f64)]) -> Vec<u8> {
    let value = |(tag, value): &(&str, f64)| Value {
        tag: (*tag).to_owned(),
        simple_value: Some(*value as f32),
        metadata: None,
    };
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

/// `tensorflow.SummaryMetadata`, the fields written here.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

/// Hyper-parameters, as TensorBoard's plugin of that name reads them (`tensorboard/plugins/hparams/*.proto`).
pub(crate) mod hparams {
    use std::collections::BTreeMap;

    use cambist_core::UnixNanos;
    use prost::Message;

    use super::{Event, Metadata, Plugin, Summary, Value, What, record};

    /// `HParamsPluginData`.
    #[derive(Clone, PartialEq, Message)]
    struct Data {
        #[prost(int32, tag = "1")]
        version: i32,
        #[prost(oneof = "Part", tags = "2, 3, 4")]
        part: Option<Part>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    enum Part {
        #[prost(message, tag = "2")]
        Experiment(Experiment),
        #[prost(message, tag = "3")]
        Start(Start),
        #[prost(message, tag = "4")]
        End(End),
    }

    #[derive(Clone, PartialEq, Message)]
    struct Experiment {
        #[prost(double, tag = "3")]
        time_created_secs: f64,
        #[prost(message, repeated, tag = "4")]
        parameters: Vec<Parameter>,
        #[prost(message, repeated, tag = "5")]
        metrics: Vec<Metric>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Parameter {
        #[prost(string, tag = "1")]
        name: String,
        /// 1 word, 2 yes or no, 3 number.
        #[prost(int32, tag = "4")]
        kind: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Metric {
        #[prost(message, optional, tag = "1")]
        name: Option<MetricName>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct MetricName {
        #[prost(string, tag = "2")]
        tag: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Start {
        #[prost(btree_map = "string, message", tag = "1")]
        parameters: BTreeMap<String, Any>,
        #[prost(double, tag = "5")]
        start_time_secs: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct End {
        /// 1: success.
        #[prost(int32, tag = "1")]
        status: i32,
        #[prost(double, tag = "2")]
        end_time_secs: f64,
    }

    /// `google.protobuf.Value`.
    #[derive(Clone, PartialEq, Message)]
    struct Any {
        #[prost(oneof = "Kind", tags = "2, 3, 4")]
        kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    enum Kind {
        #[prost(double, tag = "2")]
        Number(f64),
        #[prost(string, tag = "3")]
        Word(String),
        #[prost(bool, tag = "4")]
        Flag(bool),
    }

    fn written(now: UnixNanos, tag: &str, part: Part) -> Vec<u8> {
        let content = Data { version: 0, part: Some(part) }.encode_to_vec();
        let plugin = Some(Plugin { name: "hparams".to_owned(), content });
        let value = Value {
            tag: format!("_hparams_/{tag}"),
            simple_value: None,
            metadata: Some(Metadata { plugin }),
        };
        let what = Some(What::Summary(Summary { value: vec![value] }));
        record(&Event { wall_time: now.0 as f64 * 1e-9, step: 0, what })
    }

    fn flat(path: &str, value: &serde_json::Value, out: &mut BTreeMap<String, Kind>) {
        use serde_json::Value::{Array, Bool, Null, Number, Object, String};
        let kind = match value {
            Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    flat(&path, value, out);
                }
                return;
            }
            Null => return,
            Bool(flag) => Kind::Flag(*flag),
            Number(number) => Kind::Number(number.as_f64().unwrap_or(f64::NAN)),
            String(word) => Kind::Word(word.clone()),
            Array(_) => Kind::Word(value.to_string()),
        };
        out.insert(path.to_owned(), kind);
    }

    pub(crate) fn begun(now: UnixNanos, parameters: &serde_json::Value, outcomes: &[&str]) -> Vec<u8> {
        let mut all = BTreeMap::new();
        flat("", parameters, &mut all);
        let seconds = now.0 as f64 * 1e-9;
        let kind = |kind: &Kind| match kind {
            Kind::Word(_) => 1,
            Kind::Flag(_) => 2,
            Kind::Number(_) => 3,
        };
        let experiment = Experiment {
            time_created_secs: seconds,
            parameters: all.iter().map(|(name, k)| Parameter { name: name.clone(), kind: kind(k) }).collect(),
            metrics: outcomes
                .iter()
                .map(|tag| Metric { name: Some(MetricName { tag: (*tag).to_owned() }) })
                .collect(),
        };
        let parameters = all.into_iter().map(|(name, kind)| (name, Any { kind: Some(kind) })).collect();
        let start = Start { parameters, start_time_secs: seconds };
        [
            written(now, "experiment", Part::Experiment(experiment)),
            written(now, "session_start_info", Part::Start(start)),
        ]
        .concat()
    }

    pub(crate) fn finished(now: UnixNanos) -> Vec<u8> {
        written(now, "session_end_info", Part::End(End { status: 1, end_time_secs: now.0 as f64 * 1e-9 }))
    }
}
