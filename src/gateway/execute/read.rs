//! Reading what a subgraph has answered into [`Data`], by the shape that the fetch has.
//!
//! What was not asked for is passed over; what has another form than was asked for becomes [`Value::Misfit`].

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use super::data::{Data, Object, Value};
use super::told::{ReadErrors, Told};
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

    /// The type of an object that was of type `old`: a subgraph may know no more of it than its interface
    /// (`@interfaceObject`), and takes nothing away from who knows more.
    pub fn narrower(&self, old: Value, new: Value) -> Value {
        match (old, new) {
            (Value::Type(known), Value::Type(ty)) if self.schema.satisfies(known, ty) => old,
            _ => new,
        }
    }

    pub fn retype(&mut self, shape: &Shape, object: Object) {
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
    /// Whether there was an object.
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Self { reader, shape, objects } = self;
        if let [object] = objects.as_slice() {
            let read = ReadObject { reader, shape, into: Some(*object) }.deserialize(deserializer)?;
            return Ok(matches!(read, Value::Object(_)));
        }
        let read = ReadObject { reader: &mut *reader, shape, into: None }.deserialize(deserializer)?;
        let Value::Object(from) = read else { return Ok(false) };
        for into in objects {
            reader.data.merge_objects(reader.layout, shape.position, into, from);
        }
        Ok(true)
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
            if !self.reader.data.admit(read.len()) {
                return Err(full());
            }
        }
        Ok(Value::List(self.reader.data.list(read.into_iter())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Self { reader, shape, present } = self;
        if reader.data.is_full() {
            return Err(full());
        }
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
                FieldKind::Typename => {
                    let new = reader.typename(&entries.next_value()?);
                    match field.slot == Slot::TYPENAME {
                        true => reader.narrower(reader.data.get(object, field.slot), new),
                        false => new,
                    }
                }
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

/// Ends reading; whoever reads asks the data for the reason.
fn full<E: serde::de::Error>() -> E {
    E::custom("there is no room for more")
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
pub struct ReadAnswer<D> {
    pub data: D,
    pub errors: ReadErrors,
}

/// What an answer had.
pub struct Had<T> {
    /// Absent without `data`.
    pub data: Option<T>,
    /// Absent without `errors`.
    pub errors: Option<Told>,
}

impl Had<()> {
    /// The same, of what is missing by itself only.
    pub fn with_object(self) -> Had<bool> {
        Had { data: self.data.map(|()| true), errors: self.errors }
    }
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
        let (mut seed, mut data, mut errors) = (Some(self.data), None, None);
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            match (&*key, seed.take()) {
                ("data", Some(first)) => data = Some(entries.next_value_seed(first)?),
                ("errors", unread) => {
                    seed = unread;
                    errors = entries.next_value_seed(self.errors)?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::testing::{Bench, rename, retype};

    /// What was not asked for is passed over, whatever it is, and the order of keys is the subgraph's own.
    #[test]
    fn what_was_not_asked_for_is_passed_over() {
        let operation = "{ box { text int } }";
        for brought in [
            r#"{"box":{"text":"a","int":1}}"#,
            r#"{"more":[{"box":1}],"box":{"int":1,"more":{"text":"b"},"text":"a"},"again":null}"#,
            r#"{"box":{"text":"b","text":"a","int":1}}"#,
            r#"{"box":{"\u0074ext":"a","int":1}}"#,
        ] {
            let (mut bench, [shape]) = Bench::new([operation]);
            bench.read(&shape, brought);
            assert_eq!(bench.answer(operation, &json!({})).0, r#"{"box":{"text":"a","int":1}}"#, "{brought}");
        }
    }

    /// A scalar for an object is a misfit, and a scalar where an item should be as well; a list goes on behind it.
    #[test]
    fn a_scalar_for_an_object_is_null_by_itself() {
        let operation = "{ animals { id } }";
        for (brought, shown) in [
            (
                r#"{"animals":[{"id":"1"},7,"x",true,1.5,-1,{"id":"2"}]}"#,
                r#"[{"id":"1"},null,null,null,null,null,{"id":"2"}]"#,
            ),
            (r#"{"animals":{"id":"1"}}"#, "null"),
            (r#"{"animals":[[{"id":"1"}]]}"#, "[null]"),
            (r#"{"animals":[]}"#, "[]"),
            (r#"{"animals":"x"}"#, "null"),
        ] {
            let (mut bench, [shape]) = Bench::new([operation]);
            bench.read(&shape, brought);
            let wanted = format!("{{\"animals\":{shown}}}");
            assert_eq!(bench.answer(operation, &json!({})).0, wanted, "{brought}");
        }
    }

    /// Fetches of the same objects complete each other, also through lists; null takes nothing away.
    #[test]
    fn fetches_complete_each_other() {
        let parts =
            ["{ box { text inner { id } } boxes { id } }", "{ box { int inner { flag } } boxes { text } }"];
        let whole = "{ box { text int inner { id flag } } boxes { id text } }";
        let (mut bench, [first, second]) = Bench::new(parts);
        bench.read(&first, r#"{"box":{"text":"a","inner":{"id":"1"}},"boxes":[{"id":"1"},{"id":"2"}]}"#);
        bench.read(&second, r#"{"box":{"int":1,"inner":{"flag":true}},"boxes":[{"text":"x"},null]}"#);
        let all = r#"{"box":{"text":"a","int":1,"inner":{"id":"1","flag":true}},"boxes":[{"id":"1","text":"x"},{"id":"2","text":null}]}"#;
        assert_eq!(bench.answer(whole, &json!({})).0, all);
        bench.read(&second, r#"{"box":null,"boxes":null}"#);
        assert_eq!(bench.answer(whole, &json!({})).0, all);
    }

    /// A subgraph that knows no more of an object than its interface takes nothing away from one that knows its type.
    #[test]
    fn a_type_that_is_known_gets_no_wider() {
        let operation = "{ animal { __typename } }";
        for (types, shown) in [
            (["Cat", "Animal"], "Cat"),
            (["Animal", "Cat"], "Cat"),
            (["Cat", "Dog"], "Dog"),
            (["Animal", "Animal"], "Animal"),
        ] {
            let (mut bench, [shape]) = Bench::new([operation]);
            let animal = |ty: &str| format!("{{\"animal\":{{\"__typename\":\"{ty}\"}}}}");
            for ty in types {
                bench.read(&shape, &animal(ty));
            }
            assert_eq!(bench.answer(operation, &json!({})).0, animal(shown), "{types:?}");
        }
    }

    /// Output rewrites: a key goes to another one's place at its path alone, and a type is called as others call it.
    #[test]
    fn rewrites_are_followed_where_they_belong() {
        let fetch = "{ animal { __typename _alias0: id friend { __typename _alias0: id } } }";
        let rewrites = [
            rename("animal.Cat._alias0", "id"),
            retype("animal.Cat.__typename", "Dog"),
            retype("animal.friend.__typename", "Cat"),
        ];
        let (mut bench, [shape]) = Bench::rewriting([fetch], &rewrites);
        let friend = r#"{"__typename":"Ghost","_alias0":"2"}"#;
        bench
            .read(&shape, &format!(r#"{{"animal":{{"__typename":"Cat","_alias0":"1","friend":{friend}}}}}"#));
        let shown =
            bench.answer("{ animal { __typename id friend { __typename _alias0: id } } }", &json!({}));
        let friend = r#"{"__typename":"Cat","_alias0":"2"}"#;
        assert_eq!(shown.0, format!(r#"{{"animal":{{"__typename":"Dog","id":"1","friend":{friend}}}}}"#));
        bench.read(&shape, r#"{"animal":{"__typename":"Ghost"}}"#);
        let shown = bench.answer("{ animal { __typename } }", &json!({})).0;
        assert_eq!(shown, r#"{"animal":null}"#, "a type that the rewrite does not name stays");
    }

    /// Two bytes of an answer can be an object of many slots, or an item: there are no more of them than may be.
    #[test]
    fn what_is_little_text_and_much_memory_is_not_read_to_its_end() {
        let operation = "{ boxes { id text int float flag raw mood moods sure grid must inner { id } } }";
        for (brought, fits) in
            [("{}", 100), ("7", 100), ("[]", 100), ("{}", 10_000), ("7", 10_000), ("[]", 10_000)]
        {
            let (mut bench, [shape]) = Bench::new([operation]);
            bench.data = Data::within(5000);
            bench.root = bench.data.object(bench.layout.width(Layout::ROOT));
            let text = format!("{{\"boxes\":[{}]}}", vec![brought; fits].join(","));
            let buffer = bench.data.add(text.clone().into());
            let (data, layout, schema) = (&mut bench.data, &bench.layout, &bench.zoo.schema);
            let mut reader = Reader { data, layout, schema, buffer };
            let read = ReadObject { reader: &mut reader, shape: &shape, into: Some(bench.root) };
            let read = read.deserialize(&mut sonic_rs::Deserializer::from_str(&text));
            assert_eq!(read.is_ok(), fits == 100, "{fits} of {brought}");
            assert_eq!(bench.data.is_full(), fits != 100, "{fits} of {brought}");
            assert!(bench.data.extent() < 5000 + 20, "{} slots", bench.data.extent());
        }
    }
}
