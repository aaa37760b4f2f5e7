//! Frames in words.

use crate::http2::{
    frame::flag,
    reader::{Frame, Reader},
};

/// The whole frames that `bytes` begins with, and how many bytes they are.
pub(in crate::http2) fn of(reader: &mut Reader, bytes: &[u8]) -> (Vec<String>, usize) {
    let (mut said, mut at) = (Vec::new(), 0);
    while let Some(frame) = Reader::length(&bytes[at..])
        .unwrap()
        .and_then(|length| bytes.get(at..at + length))
    {
        let end = if frame[4] & flag::END_STREAM != 0 {
            " end"
        } else {
            ""
        };
        said.push(match reader.read(frame).unwrap() {
            Frame::Data {
                stream, content, ..
            } => format!("{stream}: data {}{end}", content.len()),
            Frame::Fields { stream, .. } => format!("{stream}: fields{end}"),
            Frame::Reset { stream, reason } => format!("{stream}: reset {}", reason.0),
            Frame::Settings(_) => "settings".into(),
            Frame::SettingsAck => "settings ack".into(),
            Frame::Ping { is_ack: false, .. } => "ping".into(),
            Frame::Ping { is_ack: true, .. } => "pong".into(),
            Frame::Goaway { last, reason } => format!("goaway {last} {}", reason.0),
            Frame::WindowUpdate { stream, increment } => format!("{stream}: window {increment}"),
            Frame::Nothing => "nothing".into(),
        });
        at += frame.len();
    }
    (said, at)
}
