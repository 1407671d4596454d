//! What the subgraphs have answered, merged: objects of numbered slots over the bytes that came.
//!
//! Nothing is copied out of an answer: a scalar is the place where its JSON stands. An object has one slot for each
//! response key that any fetch of the plan may bring for its position, so that to merge is to write a slot. Objects may
//! be shared: two places of the answer that show the same entity often hold the same object.

use axum::body::Bytes;

use crate::gateway::plan::layout::Layout;
use crate::gateway::plan::layout::{PositionId, Slot};
use crate::gateway::schema::TypeId;

/// The number that stands for what is in no answer as it came.
const OWN: u32 = u32::MAX;

/// Where a piece of JSON stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    buffer: u32,
    start: u32,
    length: u32,
}

/// The first slot of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object(u32);

impl Object {
    /// Below [`Data::extent`], and no other object's.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// Items that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    first: u32,
    length: u32,
}

impl List {
    /// Below [`Data::items_extent`], and no other list's, unless that is empty.
    pub fn number(self) -> usize {
        self.first as usize
    }
}

/// What a slot or a list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// No subgraph has said anything.
    #[default]
    Absent,
    Null,
    /// A scalar, an enum value, or lists of them, as they came.
    Leaf(Span),
    /// The name of a type, as `__typename` has it.
    Type(TypeId),
    Object(Object),
    List(List),
    /// Something else than the schema says: a scalar for an object.
    Misfit,
}

/// All objects and lists of one request.
pub struct Data {
    buffers: Vec<Bytes>,
    /// Pieces that the reader could not leave where they were: strings with escapes.
    own: Vec<u8>,
    slots: Vec<Value>,
    items: Vec<Value>,
    /// How many slots and items there may be.
    most: usize,
}

impl Default for Data {
    /// As much as can be numbered.
    fn default() -> Self {
        Self::within(usize::MAX)
    }
}

impl Data {
    /// With so many slots and items at most, give or take an object or a list.
    pub fn within(most: usize) -> Self {
        let most = most.min(u32::MAX as usize / 2);
        Self { buffers: Vec::new(), own: Vec::new(), slots: Vec::new(), items: Vec::new(), most }
    }

    /// Whether more has come than may.
    pub fn is_full(&self) -> bool {
        self.slots.len() + self.items.len() > self.most
    }

    /// Whether so many items that are about to come have room; if not, there is none for anything any more.
    pub fn admit(&mut self, items: usize) -> bool {
        if self.slots.len() + self.items.len() + items > self.most {
            self.most = 0;
        }
        !self.is_full()
    }

    /// Takes an answer. Gives its number.
    pub fn add(&mut self, answer: Bytes) -> u32 {
        self.buffers.push(answer);
        (self.buffers.len() - 1) as u32
    }

    /// Where `piece` of answer `buffer` stands; one that is a copy is kept.
    pub fn span(&mut self, buffer: u32, piece: &str) -> Span {
        let whole = &self.buffers[buffer as usize];
        let start = (piece.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let is_within = start.checked_add(piece.len()).is_some_and(|end| end <= whole.len());
        if is_within {
            return Span { buffer, start: start as u32, length: piece.len() as u32 };
        }
        let start = self.own.len() as u32;
        self.own.extend_from_slice(piece.as_bytes());
        Span { buffer: OWN, start, length: piece.len() as u32 }
    }

    /// Writes a scalar, or lists of them, that came as a value. Gives where it stands.
    pub fn write(&mut self, value: &impl serde::Serialize) -> Span {
        let start = self.own.len();
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.own, value);
        Span { buffer: OWN, start: start as u32, length: (self.own.len() - start) as u32 }
    }

    pub fn bytes(&self, span: Span) -> &[u8] {
        let whole = if span.buffer == OWN { &self.own } else { self.buffers[span.buffer as usize].as_ref() };
        let start = span.start as usize;
        &whole[start..start + span.length as usize]
    }

    /// A new object with nothing in it.
    pub fn object(&mut self, width: usize) -> Object {
        let first = self.slots.len();
        self.slots.resize(first + width, Value::Absent);
        Object(first as u32)
    }

    pub fn get(&self, object: Object, slot: Slot) -> Value {
        self.slots[object.0 as usize + slot.index()]
    }

    /// Writes a slot. A null does not take away what another fetch has brought.
    pub fn set(&mut self, object: Object, slot: Slot, value: Value) {
        let place = &mut self.slots[object.0 as usize + slot.index()];
        if value != Value::Null || *place == Value::Absent {
            *place = value;
        }
    }

    /// Empties a slot. Gives what was in it.
    pub fn take(&mut self, object: Object, slot: Slot) -> Value {
        std::mem::take(&mut self.slots[object.0 as usize + slot.index()])
    }

    pub fn list(&mut self, items: impl Iterator<Item = Value>) -> List {
        let first = self.items.len();
        self.items.extend(items);
        List { first: first as u32, length: (self.items.len() - first) as u32 }
    }

    pub fn items(&self, list: List) -> &[Value] {
        let first = list.first as usize;
        &self.items[first..first + list.length as usize]
    }

    pub fn item(&self, list: List, index: usize) -> Value {
        self.items(list).get(index).copied().unwrap_or_default()
    }

    pub fn length(&self, list: List) -> usize {
        list.length as usize
    }

    /// The bytes of all answers together.
    pub fn volume(&self) -> usize {
        self.buffers.iter().map(Bytes::len).sum::<usize>() + self.own.len()
    }

    /// How many slots there are, to mark objects by their number.
    pub fn extent(&self) -> usize {
        self.slots.len()
    }

    /// How many items there are, to mark lists by their number.
    pub fn items_extent(&self) -> usize {
        self.items.len()
    }

    /// Merges a value that may be shared into a slot: objects that are there already keep what else they have.
    pub fn merge(
        &mut self,
        layout: &Layout,
        (into, slot): (Object, Slot),
        position: PositionId,
        value: Value,
    ) {
        let present = self.get(into, slot);
        let merged = self.merged(layout, layout.child(position, slot), present, value);
        self.set(into, slot, merged);
    }

    /// A value of `position` that has what is in `present` and in `value`. `present` is changed, `value` is not.
    fn merged(
        &mut self,
        layout: &Layout,
        position: Option<PositionId>,
        present: Value,
        value: Value,
    ) -> Value {
        let Some(position) = position else { return value };
        match (present, value) {
            (Value::Object(into), Value::Object(from)) => {
                self.merge_objects(layout, position, into, from);
                present
            }
            (_, Value::Object(from)) => {
                let copy = self.object(layout.width(position));
                self.merge_objects(layout, position, copy, from);
                Value::Object(copy)
            }
            (Value::List(into), Value::List(from)) if into.length == from.length => {
                for index in 0..self.length(from) {
                    let (old, new) = (self.item(into, index), self.item(from, index));
                    let merged = self.merged(layout, Some(position), old, new);
                    if new != Value::Null || old == Value::Absent {
                        self.items[into.first as usize + index] = merged;
                    }
                }
                present
            }
            (_, Value::List(from)) => {
                let items: Vec<Value> = (0..self.length(from))
                    .map(|index| {
                        let item = self.item(from, index);
                        self.merged(layout, Some(position), Value::Absent, item)
                    })
                    .collect();
                Value::List(self.list(items.into_iter()))
            }
            (_, value) => value,
        }
    }

    /// Merges the slots of one object into another at the same position.
    pub fn merge_objects(&mut self, layout: &Layout, position: PositionId, into: Object, from: Object) {
        // A copy for every place of a shared object is what grows fastest.
        if into == from || self.is_full() {
            return;
        }
        for slot in layout.slots(position) {
            let value = self.get(from, slot);
            if value != Value::Absent {
                self.merge(layout, (into, slot), position, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::testing::Bench;

    const BOTH: &str = "{ box { id text inner { id text } } boxes { id text } }";

    /// Objects merge slot by slot, lists of one length item by item, and another length takes the place of the one
    /// before; null and absence take nothing away. What was merged in stays as it was.
    #[test]
    fn objects_merge_slot_by_slot() {
        for (into, from, merged) in [
            (r#"{"box":{"id":"1"}}"#, r#"{"box":{"text":"a"}}"#, r#"{"box":{"id":"1","text":"a"}}"#),
            (r#"{"box":{"id":"1"}}"#, r#"{"box":{"id":"2"}}"#, r#"{"box":{"id":"2","text":null}}"#),
            (r#"{"box":{"id":"1"}}"#, r#"{"box":{"id":null}}"#, r#"{"box":{"id":"1","text":null}}"#),
            (r#"{"box":{"id":"1"}}"#, r#"{"box":null}"#, r#"{"box":{"id":"1","text":null}}"#),
            (r#"{"box":null}"#, r#"{"box":{"id":"1"}}"#, r#"{"box":{"id":"1","text":null}}"#),
            (r#"{"box":7}"#, r#"{"box":{"id":"1"}}"#, r#"{"box":{"id":"1","text":null}}"#),
            (r#"{}"#, r#"{"box":{"id":"1"}}"#, r#"{"box":{"id":"1","text":null}}"#),
            (r#"{"box":null}"#, r#"{"boxes":[{"id":"1"},{"id":"2"}]}"#, r#"{"box":null}"#),
        ] {
            let (mut bench, [shape]) = Bench::new([BOTH]);
            bench.read(&shape, into);
            let Value::Object(other) = bench.read_into(&shape, from, None) else { panic!("{from}") };
            let Bench { layout, data, root, .. } = &mut bench;
            data.merge_objects(layout, Layout::ROOT, *root, other);
            assert_eq!(bench.answer("{ box { id text } }", &json!({})).0, merged, "{from} into {into}");
        }
        for (from, merged) in [
            (r#"[{"text":"a"},{"text":"b"}]"#, r#"[{"id":"1","text":"a"},{"id":"2","text":"b"}]"#),
            (r#"[null,{"text":"b"}]"#, r#"[{"id":"1","text":null},{"id":"2","text":"b"}]"#),
            (r#"[{"id":"3"}]"#, r#"[{"id":"3","text":null}]"#),
        ] {
            let (mut bench, [shape]) = Bench::new([BOTH]);
            bench.read(&shape, r#"{"boxes":[{"id":"1"},{"id":"2"}]}"#);
            let from = format!("{{\"boxes\":{from}}}");
            let Value::Object(other) = bench.read_into(&shape, &from, None) else { panic!("{from}") };
            let Bench { layout, data, root, .. } = &mut bench;
            data.merge_objects(layout, Layout::ROOT, *root, other);
            let wanted = format!("{{\"boxes\":{merged}}}");
            assert_eq!(bench.answer("{ boxes { id text } }", &json!({})).0, wanted, "{from}");
        }
    }

    /// What is merged into two places is copied into each: a later change of one does not show in the other.
    #[test]
    fn what_is_merged_is_not_shared() {
        let (mut bench, [shape]) = Bench::new([BOTH]);
        let Value::Object(one) = bench.read_into(&shape, r#"{"box":{"id":"1","inner":{"id":"2"}}}"#, None)
        else {
            panic!("no object")
        };
        let Bench { layout, data, root, .. } = &mut bench;
        data.merge_objects(layout, Layout::ROOT, *root, one);
        let before = bench.answer(BOTH, &json!({})).0;
        bench.read_into(&shape, r#"{"box":{"id":"7","inner":{"id":"8"}}}"#, Some(one));
        assert_eq!(bench.answer(BOTH, &json!({})).0, before);
        assert!(before.contains(r#""inner":{"id":"2""#), "{before}");
    }

    /// Each place that shows what is shared gets a copy of it, until there is no room for more.
    #[test]
    fn copies_come_to_an_end() {
        let (mut bench, [shape]) = Bench::new(["{ boxes { id inner { id } } }"]);
        bench.data = Data::within(5000);
        let shared = format!("{{\"boxes\":[{}]}}", ["{\"inner\":{}}"; 100].join(","));
        let Value::Object(shared) = bench.read_into(&shape, &shared, None) else { panic!("no object") };
        let Bench { layout, data, .. } = &mut bench;
        let places: Vec<Object> = (0..1000).map(|_| data.object(layout.width(Layout::ROOT))).collect();
        for place in places {
            data.merge_objects(layout, Layout::ROOT, place, shared);
        }
        assert!(data.is_full());
        // One copy is some hundred slots and items.
        assert!(data.extent() + data.items_extent() < 6000, "{} slots", data.extent());
    }

    /// A piece of an answer is where it stands in it; a copy is kept aside, and read back as it was.
    #[test]
    fn a_piece_is_found_where_it_stands() {
        let mut data = Data::default();
        let answer = Bytes::from_static(b"{\"a\":\"b\"}");
        let number = data.add(answer.clone());
        let within = std::str::from_utf8(&answer[5..8]).unwrap();
        let (within, copy) = (data.span(number, within), data.span(number, "\"b\""));
        assert_eq!((data.bytes(within), data.bytes(copy)), (&b"\"b\""[..], &b"\"b\""[..]));
        assert!(within.buffer == number && copy.buffer == OWN);
        let other = data.span(number, "second");
        assert_eq!((data.bytes(copy), data.bytes(other)), (&b"\"b\""[..], &b"second"[..]));
    }
}
