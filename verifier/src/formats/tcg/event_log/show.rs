//! A log as it stands, for whoever wants to look at it: nothing of it is believed.

use serde_json::{Map, Value, json};

use super::azure::type_name;
use super::{EventLog, LogKind};

impl EventLog<'_> {
    /// What the log says, held against nothing: its events in order, each with register, declared type, digests and length of data,
    /// and what its registers hold by the log alone.
    pub fn inspect(&self) -> Map<String, Value> {
        let register = if self.kind == LogKind::Tpm { "pcr" } else { "rtmr" };
        let number = |index: u32| if self.kind == LogKind::Tpm { index } else { index.saturating_sub(1) };
        let banks = self.banks();
        let events = self.wire.events.iter().map(|event| {
            let digests: Map<String, Value> = banks
                .iter()
                .filter_map(|bank| {
                    let digest = self.wire.layout.digest(event, *bank)?;
                    Some((bank.as_str().to_owned(), json!(hex::encode(digest))))
                })
                .collect();
            json!({
                register: number(event.register),
                "type": type_name(event.declared),
                "digests": digests,
                "data_bytes": event.data.len(),
            })
        });
        let replays: Map<String, Value> = banks
            .iter()
            .filter_map(|bank| {
                let registers = self.replay(*bank).ok()?;
                let registers: Map<String, Value> = registers
                    .iter()
                    .map(|(index, value)| (number(*index).to_string(), json!(hex::encode(value))))
                    .collect();
                Some((bank.as_str().to_owned(), Value::Object(registers)))
            })
            .collect();
        Map::from_iter([
            ("events".to_owned(), events.collect()),
            ("replays_to".to_owned(), Value::Object(replays)),
            ("startup_locality".to_owned(), json!(self.wire.locality)),
        ])
    }
}
