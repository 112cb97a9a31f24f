//! A packet as a switch sees it: its fields, its metadata and the pipeline's registers.

use std::collections::BTreeMap;
use std::fmt;

use openflow::field::Format;
use openflow::{Field, Match, PortNo, Subfield, Value};

/// A field and its value in words, as the switch names and prints them.
pub(super) fn field_text(field: Field, value: &Value) -> String {
    let text = match field.format() {
        Format::Mac => value.to_mac().to_string(),
        Format::Ipv4 => value.to_ipv4().to_string(),
        Format::Ipv6 => value.to_ipv6().to_string(),
        Format::Port => PortNo(value.to_u32()).to_string(),
        Format::Dec => value.to_u128().to_string(),
        _ => format!("{:#x}", value.to_u128()),
    };
    match field {
        Field::IN_PORT => format!("in_port={text}"),
        field => format!("{}={text}", field.name()),
    }
}

/// The fields of a packet. A field that was never set is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packet {
    fields: BTreeMap<Field, Value>,
}

impl Packet {
    /// A packet that comes in by a port.
    pub fn new(in_port: PortNo) -> Self {
        Self::default().with(Field::IN_PORT, in_port)
    }

    /// The same packet with a field set.
    pub fn with(mut self, field: Field, value: impl Into<Value>) -> Self {
        self.set(field, value);
        self
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: impl Into<Value>) {
        let value = value.into().resized(field.bytes());
        self.fields.insert(field, value);
    }

    /// Sets the bits of a field that are one in the mask.
    pub(super) fn set_masked(&mut self, field: Field, value: &Value, mask: &Value) {
        let kept = self.get(field).to_u128() & !mask.to_u128();
        let bits = kept | (value.to_u128() & mask.to_u128());
        self.fields.insert(field, Value::new(bits, field.bytes()));
    }

    /// A field.
    pub fn get(&self, field: Field) -> Value {
        self.fields
            .get(&field)
            .cloned()
            .unwrap_or_else(|| Value::zeros(field.bytes()))
    }

    /// Some bits of a field, as a number.
    pub(super) fn bits(&self, sub: Subfield) -> u128 {
        self.get(sub.field)
            .bits(sub.start_bit.into(), sub.n_bits.into())
    }

    /// Sets some bits of a field.
    pub(super) fn set_bits(&mut self, sub: Subfield, bits: u128) {
        let value = self
            .get(sub.field)
            .with_bits(sub.start_bit.into(), sub.n_bits.into(), bits);
        self.fields.insert(sub.field, value);
    }

    /// Whether a flow with this match is about it.
    pub fn matches(&self, match_: &Match) -> bool {
        match_
            .iter()
            .all(|(field, value, mask)| self.get(field).and(mask) == *value)
    }

    /// The fields that are not what they were.
    pub(super) fn changes_since(&self, before: &Packet) -> Vec<(Field, Value)> {
        let changed = |(field, value): &(&Field, &Value)| before.get(**field) != **value;
        self.fields
            .iter()
            .filter(changed)
            .map(|(field, value)| (*field, value.clone()))
            .collect()
    }

    /// The fields that were set, in order.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Value)> {
        self.fields.iter().map(|(field, value)| (*field, value))
    }
}

impl From<&Match> for Packet {
    /// The packet with the values that a match asks for.
    fn from(match_: &Match) -> Self {
        let fields = match_
            .iter()
            .map(|(field, value, _)| (field, value.clone()));
        Self {
            fields: fields.collect(),
        }
    }
}

/// In the words of `ofproto/trace`, which takes it as its argument.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self
            .fields()
            .map(|(field, value)| field_text(field, value))
            .collect();
        f.write_str(&fields.join(","))
    }
}
