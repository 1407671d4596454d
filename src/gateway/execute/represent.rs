//! The representation of an entity: what of an object a subgraph is told.

use super::data::{Data, Object, Value};
use crate::gateway::plan::input::{Input, InputItem};
use crate::gateway::plan::keys::Key;
use crate::gateway::plan::layout::Slot;
use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::subgraph::confined::Confined;

/// Writes the parts of objects that are asked for.
pub struct Writer<'a> {
    pub data: &'a Data,
    pub schema: &'a ApiSchema,
    pub input: &'a Input,
    /// One of them has to be there whole.
    pub keys: &'a [Key],
    /// What the subgraph may be told of; absent if that is everything.
    pub confined: Option<&'a Confined>,
}

impl Writer<'_> {
    /// False if there is nothing to write.
    pub(super) fn entity(&self, input: &Input, object: Object, body: &mut Vec<u8>) -> bool {
        let ty = self.type_of(input, object);
        if !self.may_be_told(input, (object, ty)) {
            return false;
        }
        body.push(b'{');
        let mut count = 0;
        self.items(&input.items, (object, ty), body, &mut count);
        if count == 0 && !(input.is_typename_alone && ty.is_some()) {
            return false;
        }
        if let Some(ty) = ty {
            if count > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"\"__typename\":");
            body.extend_from_slice(self.schema.get(ty).quoted.as_bytes());
        }
        body.push(b'}');
        true
    }

    /// Whether an object belongs to the subgraph, as what would be written of it says.
    fn may_be_told(&self, input: &Input, (object, ty): (Object, Option<TypeId>)) -> bool {
        let Some(confined) = self.confined else { return true };
        let own = match self.data.get(object, Slot::TYPENAME) {
            Value::Type(own) => Some(own),
            _ => None,
        };
        let Some(key) = confined.key_of(self.schema, (own, ty, input.declared)) else { return true };
        self.value_of(key, &input.items, (object, ty)).is_some_and(|value| confined.allows(value))
    }

    /// The scalar that is written under a key, `"key":`.
    fn value_of(&self, wanted: &str, items: &[InputItem], at: (Object, Option<TypeId>)) -> Option<&[u8]> {
        items.iter().find_map(|item| match item {
            InputItem::Fragment { types, items } => {
                self.applies(types, at).then(|| self.value_of(wanted, items, at)).flatten()
            }
            InputItem::Field { key, slots, .. } if **key == *wanted => {
                let mut values = slots.iter().map(|slot| self.data.get(at.0, *slot));
                match values.find(|value| *value != Value::Absent)? {
                    Value::Leaf(span) => Some(self.data.bytes(span)),
                    _ => None,
                }
            }
            InputItem::Field { .. } => None,
        })
    }

    /// Whether a fragment for objects of these types is for this one.
    pub(super) fn applies(&self, types: &[TypeId], (object, ty): (Object, Option<TypeId>)) -> bool {
        match self.data.get(object, Slot::TYPENAME) {
            Value::Type(own) => types.contains(&own) || ty.is_some_and(|ty| types.contains(&ty)),
            _ => true,
        }
    }

    pub(super) fn type_of(&self, input: &Input, object: Object) -> Option<TypeId> {
        let Value::Type(ty) = self.data.get(object, Slot::TYPENAME) else { return None };
        let mut retyped = input.retyped.iter();
        let retyped = retyped.find(|(types, _)| types.as_ref().is_none_or(|types| types.contains(&ty)));
        Some(retyped.map_or(ty, |(_, to)| *to))
    }

    fn items(
        &self,
        items: &[InputItem],
        (object, ty): (Object, Option<TypeId>),
        body: &mut Vec<u8>,
        count: &mut usize,
    ) {
        for item in items {
            match item {
                InputItem::Fragment { types, items } => {
                    if self.applies(types, (object, ty)) {
                        self.items(items, (object, ty), body, count);
                    }
                }
                InputItem::Field { key, slots, below } => {
                    let mut values = slots.iter().map(|slot| self.data.get(object, *slot));
                    let Some(value) = values.find(|value| *value != Value::Absent) else { continue };
                    let rollback = body.len();
                    if *count > 0 {
                        body.push(b',');
                    }
                    body.extend_from_slice(key.as_bytes());
                    if value == Value::Null {
                        body.extend_from_slice(b"null");
                    } else if !self.value(value, below.as_ref(), body) {
                        body.truncate(rollback);
                        continue;
                    }
                    *count += 1;
                }
            }
        }
    }

    /// False if there is nothing to write.
    fn value(&self, value: Value, below: Option<&Input>, body: &mut Vec<u8>) -> bool {
        match (value, below) {
            (Value::Leaf(span), _) => body.extend_from_slice(self.data.bytes(span)),
            (Value::Type(ty), _) => body.extend_from_slice(self.schema.get(ty).quoted.as_bytes()),
            (Value::Object(object), Some(below)) => {
                let rollback = body.len();
                if !self.entity(below, object, body) {
                    body.truncate(rollback);
                    return false;
                }
            }
            (Value::List(list), below) => {
                body.push(b'[');
                for (index, item) in self.data.items(list).iter().enumerate() {
                    if index > 0 {
                        body.push(b',');
                    }
                    if !self.value(*item, below, body) {
                        body.extend_from_slice(b"null");
                    }
                }
                body.push(b']');
            }
            (Value::Absent | Value::Null | Value::Misfit | Value::Object(_), _) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::execute::representations::Representations;
    use crate::gateway::plan::layout::Layout;
    use crate::gateway::testing::{Bench, document, rename, retype};
    use hive_router_query_planner::planner::plan_nodes::FetchRewrite;

    const FETCH: &str = "{ animals { __typename id name old: id lives friend { __typename id name } } }";

    /// What is sent for the animals of an answer, and for each representation how many objects wait for it.
    fn sent(requires: &str, rewrites: &[FetchRewrite], animals: &str) -> (String, Vec<usize>) {
        let (body, waiting, _) = sent_to(None, (requires, rewrites), animals);
        (body, waiting)
    }

    /// The same to a subgraph of these platforms, where cats and dogs belong to one by their names; and what keys lack.
    fn sent_to(
        platforms: Option<&[&str]>,
        (requires, rewrites): (&str, &[FetchRewrite]),
        animals: &str,
    ) -> (String, Vec<usize>, Vec<String>) {
        let (mut bench, [shape]) = Bench::new([FETCH]);
        bench.read(&shape, &format!("{{\"animals\":{animals}}}"));
        let requires = document(requires).operation.selection_set;
        let slot = bench.layout.slot(Layout::ROOT, "animals");
        let position = bench.layout.descend(Layout::ROOT, slot);
        let input = Input::new(&bench.zoo.schema, &mut bench.layout, (position, &requires), rewrites);
        let schema = &bench.zoo.schema;
        let known = (schema, &bench.zoo.planner.supergraph);
        let keys = bench.zoo.keys.within(known, "a", (&requires, &input));
        let confined = platforms.and_then(|platforms| {
            let mut settings = crate::config::Config::from_pairs([]).unwrap().gateway;
            settings.confined = ["Cat", "Dog"].map(|ty| (ty.to_owned(), "name".to_owned())).into();
            let platforms = platforms.iter().map(|name| (*name).to_owned()).collect();
            let own = crate::gateway::settings::Subgraph { platforms, ..settings.subgraph.clone() };
            Confined::new(schema, &settings, &own)
        });
        let writer =
            Writer { data: &bench.data, schema, input: &input, keys: &keys, confined: confined.as_ref() };
        let Value::List(list) = bench.data.get(bench.root, slot) else { panic!("no list") };
        let (mut representations, mut body) = (Representations::default(), Vec::new());
        for animal in bench.data.items(list) {
            let Value::Object(animal) = *animal else { continue };
            representations.add(&writer, (0, animal), &mut body);
        }
        let waiting = (0..representations.len()).map(|number| representations.targets(0, number).count());
        assert_eq!(representations.targets(1, 0).count(), 0, "another place waits for nothing");
        let lacking = representations.incomplete.iter().map(|one| one.lack.shown.clone().unwrap().into());
        (String::from_utf8(body).unwrap(), waiting.collect(), lacking.collect())
    }

    /// Each representation is sent once, however many objects are to have what comes for it.
    #[test]
    fn what_is_the_same_is_sent_once() {
        let cat = |id: &str, name: &str| format!(r#"{{"__typename":"Cat","id":"{id}","name":"{name}"}}"#);
        let animals = format!("[{},{},{},{}]", cat("1", "a"), cat("2", "b"), cat("1", "c"), cat("1", "d"));
        let (body, waiting) = sent("{ ... on Cat { __typename id } }", &[], &animals);
        assert_eq!(body, r#"{"id":"1","__typename":"Cat"},{"id":"2","__typename":"Cat"}"#);
        assert_eq!(waiting, [3, 1]);
    }

    /// Representations go where they belong, by what stands in them; one that does not say where goes nowhere.
    #[test]
    fn s43_an_object_is_told_only_where_it_belongs() {
        let requires = "{ __typename id name friend { name } }";
        let cat = |id: &str, more: &str| format!(r#"{{"__typename":"Cat","id":"{id}"{more}}}"#);
        let named = |id: &str, name: &str| cat(id, &format!(r#","name":"{name}""#));
        let animals =
            [named("1", "red"), named("2", "blue"), cat("3", ""), cat("4", r#","name":null"#)].join(",");
        let told = |platforms: &[&str]| sent_to(Some(platforms), (requires, &[]), &format!("[{animals}]")).0;
        let one = |id: &str, name: &str| format!(r#"{{"id":"{id}","name":"{name}","__typename":"Cat"}}"#);
        assert_eq!(told(&["red"]), one("1", "red"));
        assert_eq!(told(&["blue", "red"]), format!("{},{}", one("1", "red"), one("2", "blue")));
        assert_eq!(told(&[]), "");
        assert_eq!(told(&["re", "Red", "null", ""]), "");
        assert_eq!(told(&["*"]), sent(requires, &[], &format!("[{animals}]")).0);
        // Nor is one that stands in another's representation, whatever the subgraph calls it.
        let friends = format!(
            "[{}]",
            cat("1", r#","name":"red","friend":{"__typename":"Dog","id":"9","name":"blue"}"#)
        );
        let (body, ..) = sent_to(Some(&["red"]), (requires, &[]), &friends);
        assert_eq!(body, one("1", "red"));
        let renamed = format!("[{}]", named("2", "blue"));
        let (body, ..) = sent_to(Some(&["red"]), (requires, &[retype("__typename", "Animal")]), &renamed);
        assert_eq!(body, "");
        let (body, ..) =
            sent_to(Some(&["red"]), ("{ __typename id }", &[]), &format!("[{}]", named("1", "red")));
        assert_eq!(body, "", "by its id alone nobody knows where it belongs");
    }

    /// Null is sent as null, absence not at all; who has nothing to be known by is not sent.
    #[test]
    fn null_is_sent_and_absence_is_not() {
        for (requires, animal, wanted) in [
            (
                "{ __typename id name }",
                r#"{"__typename":"Cat","id":"1","name":null}"#,
                r#"{"id":"1","name":null,"__typename":"Cat"}"#,
            ),
            (
                "{ __typename id name }",
                r#"{"__typename":"Cat","id":"1"}"#,
                r#"{"id":"1","__typename":"Cat"}"#,
            ),
            ("{ __typename id }", r#"{"__typename":"Cat","name":"a"}"#, ""),
            ("{ __typename id }", r#"{"id":"1"}"#, ""),
            ("{ __typename }", r#"{"__typename":"Cat","id":"1"}"#, r#"{"__typename":"Cat"}"#),
            ("{ __typename }", r#"{"id":"1"}"#, ""),
            ("{ ... on Dog { __typename id } }", r#"{"__typename":"Cat","id":"1"}"#, ""),
            (
                "{ ... on Animal { __typename id } }",
                r#"{"__typename":"Cat","id":"1"}"#,
                r#"{"id":"1","__typename":"Cat"}"#,
            ),
            (
                "{ __typename friend { id } }",
                r#"{"__typename":"Cat","friend":{"__typename":"Dog","id":"2"}}"#,
                r#"{"friend":{"id":"2","__typename":"Dog"},"__typename":"Cat"}"#,
            ),
            (
                "{ __typename friend { id } }",
                r#"{"__typename":"Cat","friend":null}"#,
                r#"{"friend":null,"__typename":"Cat"}"#,
            ),
            ("{ __typename friend { id } }", r#"{"__typename":"Cat","friend":{"name":"a"}}"#, ""),
            (
                "{ __typename id friend { id } }",
                r#"{"__typename":"Cat","id":"1","friend":7}"#,
                r#"{"id":"1","__typename":"Cat"}"#,
            ),
        ] {
            assert_eq!(sent(requires, &[], &format!("[{animal}]")).0, wanted, "{requires} of {animal}");
        }
    }

    /// Whose key is not whole is not asked for, and what it lacks is told; whatever else is not there is the subgraph's to mind.
    #[test]
    fn a_representation_has_its_whole_key() {
        let of_cat = "{ ... on Cat { __typename id name } }";
        let named = r#"{"id":"1","name":"a","__typename":"Cat"}"#;
        for (requires, animal, body, lacking) in [
            (of_cat, r#"{"__typename":"Cat","id":"1","name":"a"}"#, named, &[] as &[&str]),
            (of_cat, r#"{"__typename":"Cat","id":"1"}"#, r#"{"id":"1","__typename":"Cat"}"#, &[]),
            (of_cat, r#"{"__typename":"Cat","name":"a"}"#, "", &["id"]),
            (of_cat, r#"{"__typename":"Cat","id":null,"name":"a"}"#, "", &["id"]),
            // That is another fragment's, and by its name alone this one is known to nobody.
            (of_cat, r#"{"__typename":"Dog","name":"a"}"#, "", &[]),
            (
                "{ ... on Cat { __typename name } }",
                r#"{"__typename":"Cat","name":"a"}"#,
                r#"{"name":"a","__typename":"Cat"}"#,
                &[],
            ),
        ] {
            let (sent, _, lacks) = sent_to(None, (requires, &[]), &format!("[{animal}]"));
            assert_eq!(
                (sent.as_str(), lacks.as_slice()),
                (body, lacking.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>().as_slice()),
                "{animal}"
            );
        }
    }

    /// Input rewrites: a value is sent under the name that the subgraph knows, and a type as the subgraph calls it.
    #[test]
    fn a_subgraph_is_told_its_own_names() {
        let animals = r#"[{"__typename":"Cat","id":"1","old":"7"},{"__typename":"Dog","id":"2","old":"8"}]"#;
        let requires = "{ __typename id }";
        let (body, _) = sent(requires, &[rename("old", "id")], animals);
        assert_eq!(body, r#"{"id":"7","__typename":"Cat"},{"id":"8","__typename":"Dog"}"#);
        let (body, _) = sent(requires, &[retype("Cat.__typename", "Animal")], animals);
        assert_eq!(body, r#"{"id":"1","__typename":"Animal"},{"id":"2","__typename":"Dog"}"#);
        let (body, _) = sent(requires, &[retype("__typename", "Animal")], animals);
        assert_eq!(body, r#"{"id":"1","__typename":"Animal"},{"id":"2","__typename":"Animal"}"#);
    }
}
