//! Reading what the subgraph of this process has answered into [`Data`](super::data::Data): as what [`read`](super::read)
//! does with text, and with the same result.

use async_graphql::{Name, Response, Value as Given};

use super::data::{Object, Value};
use super::entities::give;
use super::read::Reader;
use super::representations::Representations;
use crate::gateway::plan::layout::Slot;
use crate::gateway::plan::shape::{FieldKind, Shape};
use crate::gateway::plan::steps::{Entities, Place};

/// There is no room for more.
#[derive(Debug)]
pub struct Full;

/// Reads fields of the root type into the objects that are to have them. Gives whether there was an object.
pub fn read_root(
    reader: &mut Reader<'_>,
    shape: &Shape,
    objects: &[Object],
    answer: &Response,
) -> Result<bool, Full> {
    if let [object] = objects {
        let read = composite(reader, shape, Value::Object(*object), &answer.data)?;
        return Ok(matches!(read, Value::Object(_)));
    }
    let Value::Object(from) = composite(reader, shape, Value::Absent, &answer.data)? else {
        return Ok(false);
    };
    for &into in objects {
        reader.data.merge_objects(reader.layout, shape.position, into, from);
    }
    Ok(true)
}

/// Reads lists of entities into the objects that they complete.
pub fn read_entities(
    reader: &mut Reader<'_>,
    lists: &[Entities],
    sent: &[Representations],
    answer: &Response,
) -> Result<(), Full> {
    let Given::Object(data) = &answer.data else { return Ok(()) };
    for (list, sent) in lists.iter().zip(sent) {
        let Some(Given::List(entities)) = data.get(&Name::new(&list.key)) else { continue };
        for (place, Place { shape, .. }) in list.places.iter().enumerate() {
            for (number, entity) in entities.iter().enumerate() {
                let targets = sent.targets(place, number);
                give(reader, shape, targets, |reader, into| {
                    let present = into.map_or(Value::Absent, Value::Object);
                    composite(reader, shape, present, entity).map(Some)
                })?;
            }
        }
    }
    Ok(())
}

/// Reads an object, or lists of objects, beside what is there already.
fn composite(reader: &mut Reader<'_>, shape: &Shape, present: Value, given: &Given) -> Result<Value, Full> {
    match given {
        Given::Null => Ok(Value::Null),
        Given::List(items) => {
            let list = match present {
                Value::List(list) => Some(list),
                _ => None,
            };
            if !reader.data.admit(items.len()) {
                return Err(Full);
            }
            let mut read = Vec::with_capacity(items.len());
            for (number, item) in items.iter().enumerate() {
                let old = list.map_or(Value::Absent, |list| reader.data.item(list, number));
                let new = composite(reader, shape, old, item)?;
                read.push(if new == Value::Null && old != Value::Absent { old } else { new });
            }
            Ok(Value::List(reader.data.list(read.into_iter())))
        }
        Given::Object(fields) => {
            if reader.data.is_full() {
                return Err(Full);
            }
            let object = match present {
                Value::Object(object) => object,
                _ => reader.data.object(reader.layout.width(shape.position)),
            };
            let mut expected = 0;
            for (key, given) in fields {
                let Some(number) = shape.field(key, expected) else { continue };
                expected = number + 1;
                let field = &shape.fields[number];
                let value = match &field.kind {
                    FieldKind::Leaf => leaf(reader, given),
                    FieldKind::Typename => {
                        let new = typename(reader, given);
                        match field.slot == Slot::TYPENAME {
                            true => reader.narrower(reader.data.get(object, field.slot), new),
                            false => new,
                        }
                    }
                    FieldKind::Composite(shape) => {
                        let present = reader.data.get(object, field.slot);
                        composite(reader, shape, present, given)?
                    }
                };
                reader.data.set(object, field.slot, value);
            }
            reader.retype(shape, object);
            Ok(Value::Object(object))
        }
        Given::Number(_) | Given::String(_) | Given::Boolean(_) | Given::Binary(_) | Given::Enum(_) => {
            Ok(Value::Misfit)
        }
    }
}

/// A scalar becomes what it is in an answer: bytes.
fn leaf(reader: &mut Reader<'_>, given: &Given) -> Value {
    match given {
        Given::Null => Value::Null,
        given => Value::Leaf(reader.data.write(given)),
    }
}

fn typename(reader: &mut Reader<'_>, given: &Given) -> Value {
    let name = match given {
        Given::String(name) => Some(name.as_str()),
        Given::Enum(name) => Some(name.as_str()),
        _ => None,
    };
    match name.and_then(|name| reader.schema.id(name)) {
        Some(id) => Value::Type(id),
        None => leaf(reader, given),
    }
}
