//! Reading lists of entities into the objects that they complete.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::data::{Data, Object, Value};
use super::read::{ReadObject, Reader};
use super::represent::Representations;
use crate::gateway::plan::layout::Slot;
use crate::gateway::plan::shape::Shape;
use crate::gateway::plan::steps::Entities;

/// Reads `data` of an answer with lists of entities.
pub struct ReadEntities<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub lists: &'r [Entities],
    /// What was sent, for each list.
    pub sent: &'r [Representations],
}

impl<'de> DeserializeSeed<'de> for ReadEntities<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadEntities<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object with lists of entities, or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { reader, lists, sent } = self;
        while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(number) = lists.iter().position(|list| list.key == key) else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let (list, sent) = (&lists[number], &sent[number]);
            match list.places.as_slice() {
                [place] => {
                    let list = ReadList { reader: &mut *reader, shape: &place.shape, sent, place: 0 };
                    entries.next_value_seed(list)?;
                }
                places => {
                    // Read once for each place: their objects have different slots.
                    let raw: LazyValue<'de> = entries.next_value()?;
                    for (number, place) in places.iter().enumerate() {
                        let list =
                            ReadList { reader: &mut *reader, shape: &place.shape, sent, place: number };
                        let mut again = sonic_rs::Deserializer::from_str(raw.as_raw_str());
                        list.deserialize(&mut again).map_err(serde::de::Error::custom)?;
                    }
                }
            }
        }
        Ok(())
    }
}

struct ReadList<'r, 'a> {
    reader: &'r mut Reader<'a>,
    shape: &'r Shape,
    sent: &'r Representations,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for ReadList<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadList<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of entities, or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { reader, shape, sent, place } = self;
        for number in 0.. {
            let mut targets = sent.targets(place, number);
            let Some(first) = targets.next() else {
                // Nobody here is waiting for it; past the last one there is nothing to read.
                if items.next_element::<IgnoredAny>()?.is_none() {
                    break;
                }
                continue;
            };
            let into = (!shape.is_contended).then_some(first);
            let read = ReadObject { reader: &mut *reader, shape, into };
            let Some(entity) = items.next_element_seed(read)? else { break };
            let Value::Object(entity) = entity else { continue };
            match into {
                Some(first) => targets.for_each(|target| share(reader.data, shape, first, target)),
                None => [first].into_iter().chain(targets).for_each(|target| {
                    reader.data.merge_objects(reader.layout, shape.position, target, entity);
                }),
            }
        }
        Ok(())
    }
}

/// Gives an object what another one has got, without a copy of what is below.
fn share(data: &mut Data, shape: &Shape, from: Object, to: Object) {
    let slots = shape.fields.iter().map(|field| field.slot).chain([Slot::TYPENAME]);
    for slot in slots {
        let value = data.get(from, slot);
        if value != Value::Absent {
            data.set(to, slot, value);
        }
    }
}
