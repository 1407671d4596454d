//! Reading lists of entities into the objects that they complete.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::data::{Data, Object, Value};
use super::read::{ReadObject, Reader};
use super::representations::Representations;
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
            let targets = sent.targets(place, number);
            let was_there = give(reader, shape, targets, |reader, into| {
                items.next_element_seed(ReadObject { reader, shape, into })
            })?;
            // Past the last one there is nothing to read; and nobody may be waiting for what there is.
            let is_over = match was_there {
                Given::Read => false,
                Given::Missing => true,
                Given::Unwanted => items.next_element::<IgnoredAny>()?.is_none(),
            };
            if is_over {
                break;
            }
        }
        Ok(())
    }
}

/// What has become of an entity.
pub enum Given {
    Read,
    /// There is none of that number.
    Missing,
    /// Nobody is waiting for it.
    Unwanted,
}

/// Reads an entity, and gives it to the objects that wait for it. `read` reads it into one that is there, or that it makes.
pub fn give<'a, E>(
    reader: &mut Reader<'a>,
    shape: &Shape,
    mut targets: impl Iterator<Item = Object>,
    read: impl FnOnce(&mut Reader<'a>, Option<Object>) -> Result<Option<Value>, E>,
) -> Result<Given, E> {
    let Some(first) = targets.next() else { return Ok(Given::Unwanted) };
    let into = (!shape.is_contended).then_some(first);
    let Some(entity) = read(reader, into)? else { return Ok(Given::Missing) };
    let Value::Object(entity) = entity else { return Ok(Given::Read) };
    match into {
        Some(first) => targets.for_each(|target| share(reader.data, shape, first, target)),
        None => [first].into_iter().chain(targets).for_each(|target| {
            let [old, new] = [target, entity].map(|object| reader.data.get(object, Slot::TYPENAME));
            reader.data.merge_objects(reader.layout, shape.position, target, entity);
            let kept = reader.narrower(old, new);
            if kept != Value::Absent {
                reader.data.set(target, Slot::TYPENAME, kept);
            }
        }),
    }
    Ok(Given::Read)
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

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use serde_json::json;

    use super::*;
    use crate::gateway::execute::represent::Writer;
    use crate::gateway::plan::collisions::Asked;
    use crate::gateway::plan::input::Input;
    use crate::gateway::plan::layout::Layout;
    use crate::gateway::plan::shape::{Fetched, Making};
    use crate::gateway::plan::steps::{Path, Place};
    use crate::gateway::testing::{Bench, document};

    const KNOWN: &str = r#"{"animals":[{"__typename":"Cat","id":"1"},{"__typename":"Cat","id":"2"},{"__typename":"Cat","id":"1"}]}"#;
    const SHOWN: &str = "{ animals { id name friend { id name } } }";

    /// Three animals, of which two are the same, with a list of entities that brings their `entities`; other fetches have
    /// brought what `known` has.
    fn bench(entities: &str, known: &str) -> (Bench, Entities, Representations) {
        let first = "{ animals { __typename id friend { id } } }";
        // What is brought for the friends by somebody else as well is contended.
        let fetches =
            if entities.contains("friend") { [first, first] } else { [first, "{ animals { id } }"] };
        let (mut bench, [shape, _]) = Bench::new(fetches);
        let slot = bench.layout.slot(Layout::ROOT, "animals");
        let position = bench.layout.descend(Layout::ROOT, slot);
        let document = document(&format!("{{ _entities {{ {entities} }} }}"));
        let mut asked = Asked::default();
        let mut making = Making { schema: &bench.zoo.schema, layout: &mut bench.layout, asked: &mut asked };
        let fetched = Fetched { document: &document, rewrites: &[] };
        let mut own = Shape::of_entities(&mut making, fetched, "_entities", position);
        own.settle(&bench.layout);
        // The layout has grown since the root was made.
        bench.root = bench.data.object(bench.layout.width(Layout::ROOT));
        bench.read(&shape, known);
        let requires = crate::gateway::testing::document("{ __typename id }").operation.selection_set;
        let input = Input::new(&bench.zoo.schema, &mut bench.layout, (position, &requires), &[]);
        let (mut sent, mut body) = (Representations::default(), Vec::new());
        let writer =
            Writer { data: &bench.data, schema: &bench.zoo.schema, input: &input, keys: &[], confined: None };
        let Value::List(list) = bench.data.get(bench.root, slot) else { panic!("no list") };
        for animal in bench.data.items(list) {
            let Value::Object(animal) = *animal else { continue };
            sent.add(&writer, (0, animal), &mut body);
        }
        let at = Path { segments: Vec::new(), position, keys: Vec::new() };
        let places = vec![Place { at, input, keys: Vec::new(), shape: own }];
        let list = Entities { key: "_entities".to_owned(), variable: "".into(), places };
        (bench, list, sent)
    }

    fn read(bench: &mut Bench, list: &Entities, sent: &Representations, json: &str) -> bool {
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        let buffer = bench.data.add(bytes.clone());
        let (data, layout, schema) = (&mut bench.data, &bench.layout, &bench.zoo.schema);
        let mut reader = Reader { data, layout, schema, buffer };
        let entities = ReadEntities {
            reader: &mut reader,
            lists: std::slice::from_ref(list),
            sent: std::slice::from_ref(sent),
        };
        entities.deserialize(&mut sonic_rs::Deserializer::from_str(json)).is_ok()
    }

    /// Entities go to all that wait for them by their number; too few, too many, null and misfits hurt nobody else.
    #[test]
    fn entities_go_to_whoever_waits_for_their_number() {
        for (brought, names) in [
            (r#"{"_entities":[{"name":"a"},{"name":"b"}]}"#, ["\"a\"", "\"b\"", "\"a\""]),
            (r#"{"_entities":[null,{"name":"b"}]}"#, ["null", "\"b\"", "null"]),
            (r#"{"_entities":[{"name":"a"}]}"#, ["\"a\"", "null", "\"a\""]),
            (r#"{"_entities":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#, ["\"a\"", "\"b\"", "\"a\""]),
            (r#"{"_entities":[7,{"name":"b"}]}"#, ["null", "\"b\"", "null"]),
            (r#"{"more":[{"name":"x"}],"_entities":[{"name":"a"},{}]}"#, ["\"a\"", "null", "\"a\""]),
            (r#"{"_entities":null}"#, ["null"; 3]),
            ("null", ["null"; 3]),
        ] {
            let (mut bench, list, sent) = bench("name", KNOWN);
            assert!(read(&mut bench, &list, &sent, brought), "{brought}");
            let animals = ["1", "2", "1"].iter().zip(names);
            let animals = animals.map(|(id, name)| format!("{{\"id\":\"{id}\",\"name\":{name}}}"));
            let wanted = format!("{{\"animals\":[{}]}}", animals.collect::<Vec<_>>().join(","));
            assert_eq!(bench.answer("{ animals { id name } }", &json!({})).0, wanted, "{brought}");
        }
        let (mut bench, list, sent) = bench("name", KNOWN);
        assert!(!read(&mut bench, &list, &sent, r#"{"_entities":7}"#), "that is no list of entities");
    }

    /// Two bytes of an entity can be an object of many slots: none is made where there is no room.
    #[test]
    fn an_entity_that_has_no_room_is_not_read() {
        for entities in ["name", "friend { name }"] {
            let (mut bench, list, sent) = bench(entities, KNOWN);
            assert!(!bench.data.admit(usize::MAX / 2));
            let before = bench.data.extent();
            assert!(!read(&mut bench, &list, &sent, r#"{"_entities":[{"friend":{}},{}]}"#), "{entities}");
            assert_eq!(bench.data.extent(), before, "{entities}");
        }
    }

    /// What several fetches bring below an entity is each place's own: what one place has does not show at the other.
    #[test]
    fn contended_objects_are_not_shared() {
        let known = KNOWN.replacen("\"id\":\"1\"", "\"id\":\"1\",\"friend\":{\"id\":\"8\"}", 1);
        let (mut bench, list, sent) = bench("friend { name }", &known);
        assert!(list.places[0].shape.is_contended);
        assert!(read(&mut bench, &list, &sent, r#"{"_entities":[{"friend":{"name":"f"}},null]}"#));
        let animal =
            |id: &str, friend: &str| format!("{{\"id\":\"{id}\",\"name\":null,\"friend\":{friend}}}");
        let (data, errors) =
            bench.answer(&SHOWN.replace("friend { id name }", "friend { name }"), &json!({}));
        let (one, two) = (animal("1", "{\"name\":\"f\"}"), animal("2", "null"));
        assert_eq!((data, errors.len()), (format!("{{\"animals\":[{one},{two},{one}]}}"), 0));
        let data = bench.answer(SHOWN, &json!({})).0;
        let first = animal("1", "{\"id\":\"8\",\"name\":\"f\"}");
        // The id of the friend is what only the first place was told, and must not be null.
        assert_eq!(data, format!("{{\"animals\":[{first},{two},{}]}}", animal("1", "null")));
    }
}
