//! Reading what a subgraph has answered into [`Data`], by the shape that the fetch has.
//!
//! What was not asked for is passed over; what has another form than was asked for becomes [`Value::Misfit`].

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::data::{Data, Object, Value};
use super::errors::SubgraphError;
use crate::gateway::plan::layout::{Layout, Slot};
use crate::gateway::plan::shape::{FieldKind, Shape};
use crate::gateway::schema::ApiSchema;

/// What reading needs: where it goes, and from which answer it comes.
pub struct Reader<'a> {
    pub data: &'a mut Data,
    pub layout: &'a Layout,
    pub schema: &'a ApiSchema,
    pub buffer: u32,
}

impl Reader<'_> {
    fn leaf(&mut self, raw: &LazyValue<'_>) -> Value {
        match raw.as_raw_str() {
            "null" => Value::Null,
            raw => Value::Leaf(self.data.span(self.buffer, raw)),
        }
    }

    /// The name of a type; what is no such name stays as it is.
    fn typename(&mut self, raw: &LazyValue<'_>) -> Value {
        let text = raw.as_raw_str();
        let name = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match name.and_then(|name| self.schema.id(name)) {
            Some(id) => Value::Type(id),
            None => self.leaf(raw),
        }
    }

    fn retype(&mut self, shape: &Shape, object: Object) {
        for retyped in &shape.retyped {
            let present = self.data.get(object, Slot::TYPENAME);
            let applies = match (&retyped.types, present) {
                (_, Value::Absent) => false,
                (Some(types), Value::Type(present)) => types.contains(&present),
                _ => true,
            };
            if applies {
                self.data.set(object, Slot::TYPENAME, Value::Type(retyped.to));
            }
        }
    }
}

/// Reads an object into one that is there, or that is made once there is something to read.
pub struct ReadObject<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub shape: &'r Shape,
    pub into: Option<Object>,
}

impl<'de> DeserializeSeed<'de> for ReadObject<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ReadComposite {
            reader: self.reader,
            shape: self.shape,
            present: self.into.map_or(Value::Absent, Value::Object),
        })
    }
}

/// Reads fields of the root type into the objects that are to have them.
pub struct ReadRoot<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub shape: &'r Shape,
    pub objects: Vec<Object>,
}

impl<'de> DeserializeSeed<'de> for ReadRoot<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { reader, shape, objects } = self;
        if let [object] = objects.as_slice() {
            ReadObject { reader, shape, into: Some(*object) }.deserialize(deserializer)?;
            return Ok(());
        }
        let read = ReadObject { reader: &mut *reader, shape, into: None }.deserialize(deserializer)?;
        if let Value::Object(from) = read {
            for into in objects {
                reader.data.merge_objects(reader.layout, shape.position, into, from);
            }
        }
        Ok(())
    }
}

/// Reads an object, or lists of objects, beside what is there already.
struct ReadComposite<'r, 'a> {
    reader: &'r mut Reader<'a>,
    shape: &'r Shape,
    present: Value,
}

impl<'de> DeserializeSeed<'de> for ReadComposite<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A scalar where an object belongs.
macro_rules! misfits {
    ($($visit:ident: $ty:ty),*) => {
        $(fn $visit<E>(self, _: $ty) -> Result<Value, E> {
            Ok(Value::Misfit)
        })*
    };
}

impl<'de> Visitor<'de> for ReadComposite<'_, '_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object, a list of objects, or null")
    }

    misfits!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let present = match self.present {
            Value::List(list) => Some(list),
            _ => None,
        };
        let mut read = Vec::with_capacity(items.size_hint().unwrap_or_default().min(1024));
        loop {
            let old = present.map_or(Value::Absent, |list| self.reader.data.item(list, read.len()));
            let item = ReadComposite { reader: &mut *self.reader, shape: self.shape, present: old };
            let Some(new) = items.next_element_seed(item)? else { break };
            read.push(if new == Value::Null && old != Value::Absent { old } else { new });
        }
        Ok(Value::List(self.reader.data.list(read.into_iter())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Self { reader, shape, present } = self;
        let object = match present {
            Value::Object(object) => object,
            _ => reader.data.object(reader.layout.width(shape.position)),
        };
        let mut expected = 0;
        while let Some(found) = entries.next_key_seed(FindField { shape, expected })? {
            let Some(number) = found else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = number + 1;
            let field = &shape.fields[number];
            let value = match &field.kind {
                FieldKind::Leaf => reader.leaf(&entries.next_value()?),
                FieldKind::Typename => reader.typename(&entries.next_value()?),
                FieldKind::Composite(shape) => {
                    let present = reader.data.get(object, field.slot);
                    entries.next_value_seed(ReadComposite { reader: &mut *reader, shape, present })?
                }
            };
            reader.data.set(object, field.slot, value);
        }
        reader.retype(shape, object);
        Ok(Value::Object(object))
    }
}

/// The number of the field that a key is for.
struct FindField<'r> {
    shape: &'r Shape,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for FindField<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FindField<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a response key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.shape.field(key, self.expected))
    }
}

/// Reads a subgraph's answer: `data` by `D`, and the errors.
pub struct ReadAnswer<D>(pub D);

/// What an answer had.
pub struct Had<T> {
    /// Absent without `data`.
    pub data: Option<T>,
    /// Absent without `errors`.
    pub errors: Option<Vec<SubgraphError>>,
}

impl<'de, D: DeserializeSeed<'de>> DeserializeSeed<'de> for ReadAnswer<D> {
    type Value = Had<D::Value>;

    fn deserialize<R: Deserializer<'de>>(self, deserializer: R) -> Result<Self::Value, R::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, D: DeserializeSeed<'de>> Visitor<'de> for ReadAnswer<D> {
    type Value = Had<D::Value>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an answer of GraphQL")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut seed, mut data, mut errors) = (Some(self.0), None, None);
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            match (&*key, seed.take()) {
                ("data", Some(first)) => data = Some(entries.next_value_seed(first)?),
                ("errors", unread) => {
                    seed = unread;
                    errors = entries.next_value::<Option<Vec<SubgraphError>>>()?;
                }
                (_, unread) => {
                    seed = unread;
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Had { data, errors })
    }
}
