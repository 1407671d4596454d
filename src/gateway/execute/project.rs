//! Writing the answer, in one pass: in the order of the operation, with nothing that was not asked for, and with nulls
//! where the schema lets them stand (GraphQL specification, sections 6.4.3 and 6.4.4).

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::data::{Data, Object, Value};
use super::errors::{GraphqlError, PathSegment};
use super::failures::Errors;
use crate::gateway::guard;
use crate::gateway::introspection::Introspection;
use crate::gateway::plan::layout::{Layout, Slot};
use crate::gateway::plan::projection::{Condition, Field, FieldKind, Leaf, Selection};
use crate::gateway::plant;
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, TypeKind, Wrapping};

/// Why an object is not written to its end.
enum Stop {
    /// A null stands where there must be none: what is around it is null as well.
    Null,
    /// The answer is more than it may be: nothing is answered.
    TooLarge,
}

/// Writes what is selected.
pub struct Projector<'a> {
    pub schema: &'a ApiSchema,
    pub introspection: &'a Introspection,
    pub layout: &'a Layout,
    pub data: &'a Data,
    pub variables: &'a Map<String, Json>,
    pub errors: &'a mut Errors,
    pub out: Vec<u8>,
    /// Bytes that may still be written. Objects are shared by many places, so a small operation over little data can be an
    /// answer without end.
    left: usize,
    path: Vec<Step<'a>>,
    /// By the selection's address and a type.
    chosen: HashMap<(usize, TypeId), Rc<[usize]>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A key as it is written: `"key":`.
    Key(&'a str),
    Index(usize),
}

impl<'a> Projector<'a> {
    /// Writes at most `most` bytes, and one object more. `room` is made for so many at once.
    pub fn new(
        (schema, introspection): (&'a ApiSchema, &'a Introspection),
        (layout, data): (&'a Layout, &'a Data),
        variables: &'a Map<String, Json>,
        (errors, most, room): (&'a mut Errors, usize, usize),
    ) -> Self {
        let mut out = Vec::with_capacity(room.min(most));
        out.extend_from_slice(b"{\"data\":");
        let (path, chosen) = (Vec::new(), HashMap::new());
        Self { schema, introspection, layout, data, variables, errors, out, left: most, path, chosen }
    }

    /// Writes the root object, or null.
    pub fn root(&mut self, selection: &'a Selection, root: Object) {
        let start = self.out.len();
        let written = self.object(selection, selection.declared, root);
        if written.is_err() {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
        if matches!(written, Err(Stop::TooLarge)) {
            self.out.shrink_to_fit();
            let message = "The answer is larger than this gateway gives; ask for less at once.";
            self.errors.push_first(GraphqlError::new("ANSWER_TOO_LARGE", message));
        }
    }

    fn object(&mut self, selection: &'a Selection, ty: TypeId, object: Object) -> Result<(), Stop> {
        if self.out.len() > self.left {
            return Err(Stop::TooLarge);
        }
        self.out.push(b'{');
        let start = self.out.len();
        let shown = selection.of(self.schema, self.layout, ty);
        let chosen = shown.is_conditional.then(|| self.chosen((selection, ty), &shown.fields));
        let count = chosen.as_ref().map_or(shown.fields.len(), |chosen| chosen.len());
        for number in 0..count {
            let field = &shown.fields[chosen.as_ref().map_or(number, |chosen| chosen[number])];
            if self.out.len() > start {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            self.path.push(Step::Key(&field.key));
            let written = self.field(field, ty, object);
            self.path.pop();
            written?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Which of the fields are shown in this answer. It is found out once: an object may be shown any number of times, and
    /// what is not shown writes nothing.
    fn chosen(&mut self, (selection, ty): (&'a Selection, TypeId), fields: &'a [Field]) -> Rc<[usize]> {
        let key = (std::ptr::from_ref(selection).addr(), ty);
        if let Some(known) = self.chosen.get(&key) {
            return known.clone();
        }
        let shown = fields.iter().enumerate().filter(|(_, field)| self.is_shown(field));
        let chosen: Rc<[usize]> = shown.map(|(number, _)| number).collect();
        self.chosen.insert(key, chosen.clone());
        chosen
    }

    fn is_shown(&self, field: &Field) -> bool {
        let is_asked = field.conditions.is_empty() || field.conditions.iter().any(|one| self.holds(one));
        is_asked && !field.unless.iter().any(|one| self.holds(one))
    }

    fn holds(&self, condition: &Condition) -> bool {
        let is = |name: &String| self.variables.get(name) == Some(&Json::Bool(true));
        !condition.skip.iter().any(is) && condition.include.iter().all(is)
    }

    fn field(&mut self, field: &'a Field, ty: TypeId, object: Object) -> Result<(), Stop> {
        let value = field.slot.map_or(Value::Absent, |slot| self.data.get(object, slot));
        match &*field.kind {
            FieldKind::Typename => {
                self.out.extend_from_slice(self.schema.get(ty).quoted.as_bytes());
                Ok(())
            }
            FieldKind::Refused { wrapping, code } => self.refuse(wrapping, code),
            FieldKind::Introspection(selected) => {
                let shown = selected.iter().filter(|(_, condition)| self.holds(condition));
                let fields: Vec<_> = shown.map(|(field, _)| field).collect();
                let written = self.introspection.write(&fields, self.variables, (&mut self.out, self.left));
                written.map_err(|_| Stop::TooLarge)
            }
            FieldKind::Leaf { wrapping, leaf } => match value {
                Value::Leaf(span) => self.leaf(wrapping, *leaf, self.data.bytes(span)),
                Value::Type(ty) if *leaf == Leaf::Scalar(Scalar::String) => {
                    self.out.extend_from_slice(self.schema.get(ty).quoted.as_bytes());
                    Ok(())
                }
                _ => self.null(wrapping),
            },
            FieldKind::Composite { wrapping, selection } => self.composite(wrapping, selection, value),
        }
    }

    fn composite(
        &mut self,
        wrapping: &'a Wrapping,
        selection: &'a Selection,
        value: Value,
    ) -> Result<(), Stop> {
        let start = self.out.len();
        let written = match (wrapping, value) {
            (Wrapping::Named { .. }, Value::Object(object)) => match self.type_of(selection, object) {
                Some(ty) => match selection.refusal_of(ty) {
                    Some(code) => return self.refuse(wrapping, code),
                    None => self.object(selection, ty, object),
                },
                // Of a type that clients do not see.
                None => return self.hidden(wrapping),
            },
            (Wrapping::List { of, .. }, Value::List(list)) => {
                self.out.push(b'[');
                let written = (0..self.data.length(list)).try_for_each(|index| {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    self.path.push(Step::Index(index));
                    let written = self.composite(of, selection, self.data.item(list, index));
                    self.path.pop();
                    written
                });
                self.out.push(b']');
                written
            }
            _ => return self.null(wrapping),
        };
        written.or_else(|stop| self.stop(stop, wrapping, start))
    }

    /// The type of an object; `None` if clients must not see it.
    fn type_of(&self, selection: &Selection, object: Object) -> Option<TypeId> {
        let declared = selection.declared;
        if self.schema.is_object(declared) {
            return Some(declared);
        }
        match self.data.get(object, Slot::TYPENAME) {
            Value::Type(ty) if ty == declared => Some(ty),
            Value::Type(ty) => {
                (self.schema.is_object(ty) && self.schema.satisfies(ty, declared)).then_some(ty)
            }
            // Asked for only where it matters.
            Value::Absent => Some(declared),
            _ => None,
        }
    }

    fn leaf(&mut self, wrapping: &Wrapping, leaf: Leaf, raw: &[u8]) -> Result<(), Stop> {
        let start = self.out.len();
        let of = match wrapping {
            _ if raw == b"null" => return self.null(wrapping),
            Wrapping::Named { .. } if self.fits(leaf, raw) => {
                self.out.extend_from_slice(raw);
                return Ok(());
            }
            // A value that clients do not see is null without an error.
            Wrapping::Named { .. } if matches!(leaf, Leaf::Enum(_)) => return self.hidden(wrapping),
            Wrapping::Named { .. } => return self.null(wrapping),
            Wrapping::List { of, .. } => of,
        };
        if raw.first() != Some(&b'[') {
            return self.null(wrapping);
        }
        // Any value is one of a scalar that nobody knows, so only nulls have to be looked for.
        let is_free = leaf == Leaf::Scalar(Scalar::Custom) && matches!(**of, Wrapping::Named { .. });
        if is_free && memchr::memmem::find(raw, b"null").is_none() {
            self.out.extend_from_slice(raw);
            return Ok(());
        }
        self.out.push(b'[');
        let mut written = Ok(());
        for (index, item) in sonic_rs::to_array_iter(raw).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            // It was read once already, so it does parse.
            let Ok(item) = item else { break };
            self.path.push(Step::Index(index));
            written = self.leaf(of, leaf, item.as_raw_str().as_bytes());
            self.path.pop();
            if written.is_err() {
                break;
            }
        }
        self.out.push(b']');
        written.or_else(|stop| self.stop(stop, wrapping, start))
    }

    /// Whether a scalar has the form that its type says.
    fn fits(&self, leaf: Leaf, raw: &[u8]) -> bool {
        let first = raw.first().copied().unwrap_or_default();
        let is_number = first == b'-' || first.is_ascii_digit();
        match leaf {
            Leaf::Scalar(Scalar::Custom) => true,
            Leaf::Scalar(Scalar::String) => first == b'"',
            Leaf::Scalar(Scalar::Id) => first == b'"' || is_number,
            Leaf::Scalar(Scalar::Int) => {
                is_number && std::str::from_utf8(raw).is_ok_and(|text| text.parse::<i32>().is_ok())
            }
            Leaf::Scalar(Scalar::Float) => is_number,
            Leaf::Scalar(Scalar::Boolean) => raw == b"true" || raw == b"false",
            Leaf::Enum(ty) => match &self.schema.get(ty).kind {
                TypeKind::Enum { values } => {
                    values.iter().any(|value| value.as_bytes() == raw) || plant::is_out("gateway::hidden")
                }
                _ => false,
            },
        }
    }

    /// Ends what is around a null that must not be, if it may be null itself.
    fn stop(&mut self, stop: Stop, wrapping: &Wrapping, start: usize) -> Result<(), Stop> {
        if wrapping.non_null() || matches!(stop, Stop::TooLarge) {
            return Err(stop);
        }
        // What is taken back was work as well, and must come to an end.
        self.left = self.left.saturating_sub(self.out.len() - start);
        self.out.truncate(start);
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// Writes null where something is that clients must not learn of.
    fn hidden(&mut self, wrapping: &Wrapping) -> Result<(), Stop> {
        if wrapping.non_null() {
            return self.null(wrapping);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// Writes null where something is that its caller may not see, and says so.
    fn refuse(&mut self, wrapping: &Wrapping, code: &str) -> Result<(), Stop> {
        if self.errors.is_full() {
            self.errors.leave_out(1);
        } else {
            let path = self.path.iter().map(|step| step.segment()).collect();
            self.errors.push(GraphqlError::new(code, guard::message(code)).at(path));
        }
        if wrapping.non_null() {
            return Err(Stop::Null);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn null(&mut self, wrapping: &Wrapping) -> Result<(), Stop> {
        if !wrapping.non_null() || plant::is_out("gateway::null") {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        let path: Vec<PathSegment> = self.path.iter().map(|step| step.segment()).collect();
        // A subgraph has said why already, mostly.
        if !self.errors.cover(&path) {
            let message = "There is no value for a field that must have one.";
            self.errors.push(GraphqlError::new("NULL_IN_NON_NULLABLE_FIELD", message).at(path));
        }
        Err(Stop::Null)
    }
}

impl Step<'_> {
    fn segment(self) -> PathSegment {
        match self {
            Self::Key(written) => {
                let name = written.trim_end_matches(':').trim_matches('"');
                PathSegment::Key(name.into())
            }
            Self::Index(index) => PathSegment::Index(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::testing::{Bench, answer, document};

    /// Data, and the paths of the errors.
    fn told(operation: &str, brought: &str) -> (String, Vec<String>) {
        let (data, errors) = answer(operation, brought, &json!({}));
        let paths = errors.iter().map(|error| serde_json::to_string(&error.path).unwrap());
        (data, paths.collect())
    }

    /// A scalar is shown as it came if it has the form of its type, and is null if not.
    #[test]
    fn a_scalar_of_another_form_is_null() {
        for (field, value, shown) in [
            ("text", "\"a\\u00e4\"", "\"a\\u00e4\""),
            ("text", "1", "null"),
            ("text", "true", "null"),
            ("int", "1", "1"),
            ("int", "-1", "-1"),
            ("int", "1.0", "null"),
            ("int", "1e3", "null"),
            ("int", "\"1\"", "null"),
            ("int", "2147483647", "2147483647"),
            ("int", "2147483648", "null"),
            ("int", "-2147483648", "-2147483648"),
            ("int", "-2147483649", "null"),
            ("int", "99999999999", "null"),
            ("float", "1", "1"),
            ("float", "-1.5e3", "-1.5e3"),
            ("float", "\"1\"", "null"),
            ("id", "7", "7"),
            ("id", "\"7\"", "\"7\""),
            ("id", "true", "null"),
            ("flag", "true", "true"),
            ("flag", "\"true\"", "null"),
            ("flag", "0", "null"),
            ("raw", "{\"a\":[1,null]}", "{\"a\":[1,null]}"),
            ("raw", "null", "null"),
            ("text", "{}", "null"),
            ("text", "[\"a\"]", "null"),
            ("sure", "[1,2]", "[1,2]"),
            ("sure", "7", "null"),
            ("sure", "[]", "[]"),
            ("grid", "[[1],[]]", "[[1],[]]"),
            ("grid", "[[1],2]", "[[1],null]"),
            ("grid", "[{\"a\":1}]", "[null]"),
            ("raw", "[1,{\"a\":null}]", "[1,{\"a\":null}]"),
            ("mood", "\"HAPPY\"", "\"HAPPY\""),
            ("mood", "\"SECRET\"", "null"),
            ("mood", "\"UNKNOWN\"", "null"),
            ("moods", "[\"HAPPY\",\"SECRET\",null]", "[\"HAPPY\",null,null]"),
        ] {
            let brought = format!("{{\"box\":{{\"{field}\":{value}}}}}");
            let shown = format!("{{\"box\":{{\"{field}\":{shown}}}}}");
            assert_eq!(
                told(&format!("{{ box {{ {field} }} }}"), &brought),
                (shown, vec![]),
                "{field}: {value}"
            );
        }
    }

    /// A null takes what is around it with it, up to where null may stand; one error says where it was.
    #[test]
    fn a_null_goes_up_to_where_it_may_stand() {
        for (operation, brought, data, path) in [
            (
                "{ box { text must } }",
                r#"{"box":{"text":"a","must":null}}"#,
                r#"{"box":null}"#,
                r#"["box","must"]"#,
            ),
            ("{ box { text must } }", r#"{"box":{"text":"a"}}"#, r#"{"box":null}"#, r#"["box","must"]"#),
            (
                "{ box { inner { must } text } }",
                r#"{"box":{"inner":{"must":null},"text":"a"}}"#,
                r#"{"box":{"inner":null,"text":"a"}}"#,
                r#"["box","inner","must"]"#,
            ),
            (
                "{ box { inner { strict { must } } text } }",
                r#"{"box":{"inner":{"strict":{"must":7}},"text":"a"}}"#,
                r#"{"box":{"inner":null,"text":"a"}}"#,
                r#"["box","inner","strict","must"]"#,
            ),
            ("{ boxes { text } }", r#"{"boxes":[{"text":"a"},null]}"#, r#"{"boxes":null}"#, r#"["boxes",1]"#),
            (
                "{ box { sure } }",
                r#"{"box":{"sure":[1,null]}}"#,
                r#"{"box":{"sure":null}}"#,
                r#"["box","sure",1]"#,
            ),
            (
                "{ box { sure } }",
                r#"{"box":{"sure":[1,"x",{"a":1}]}}"#,
                r#"{"box":{"sure":null}}"#,
                r#"["box","sure",1]"#,
            ),
            (
                "{ box { sure } }",
                r#"{"box":{"sure":[1,99999999999]}}"#,
                r#"{"box":{"sure":null}}"#,
                r#"["box","sure",1]"#,
            ),
            (
                "{ box { grid } }",
                r#"{"box":{"grid":[[1],[2,null],null]}}"#,
                r#"{"box":{"grid":[[1],null,null]}}"#,
                r#"["box","grid",1,1]"#,
            ),
            (
                "{ other: box { strict { a: must } } }",
                r#"{"other":{"strict":{}}}"#,
                r#"{"other":null}"#,
                r#"["other","strict","a"]"#,
            ),
        ] {
            assert_eq!(told(operation, brought), (data.to_owned(), vec![path.to_owned()]), "{brought}");
        }
    }

    /// An object is of the type that it says if that is one of the declared type's; what nobody may see is null, and
    /// no error tells of it.
    #[test]
    fn an_object_is_of_a_type_that_clients_see_or_null() {
        let operation = "{ animal { __typename id ... on Cat { lives } } }";
        for (ty, shown) in [
            ("\"Cat\"", r#"{"__typename":"Cat","id":"1","lives":9}"#),
            ("\"Dog\"", r#"{"__typename":"Dog","id":"1"}"#),
            ("\"Ghost\"", "null"),
            ("\"Box\"", "null"),
            ("\"Nothing\"", "null"),
            ("7", "null"),
        ] {
            let brought = format!("{{\"animal\":{{\"__typename\":{ty},\"id\":\"1\",\"lives\":9}}}}");
            assert_eq!(told(operation, &brought), (format!("{{\"animal\":{shown}}}"), vec![]), "{ty}");
        }
        let untyped = r#"{"animal":{"id":"1","lives":9}}"#;
        assert_eq!(told("{ animal { id } }", untyped), (r#"{"animal":{"id":"1"}}"#.to_owned(), vec![]));
    }

    /// `@skip` and `@include` go by the variables of the request; what is not shown may be null.
    #[test]
    fn what_is_skipped_is_not_missed() {
        let operation = "{ box { text must @skip(if: $a) int @include(if: $b) } }";
        let brought = r#"{"box":{"text":"a","int":1}}"#;
        let told = |a: bool, b: bool| answer(operation, brought, &json!({ "a": a, "b": b })).0;
        assert_eq!(told(true, true), r#"{"box":{"text":"a","int":1}}"#);
        assert_eq!(told(true, false), r#"{"box":{"text":"a"}}"#);
        assert_eq!(told(false, false), r#"{"box":null}"#);
    }

    /// Conditions are gone through once for all objects of a type, however many of them are shown.
    #[test]
    fn conditions_are_gone_through_once() {
        let operation = "{ boxes { id text @skip(if: $a) inner { id @include(if: $a) int } } }";
        let (bench, _) = Bench::new([operation]);
        let schema = &bench.zoo.schema;
        let selection =
            Selection::root(schema, schema.query.unwrap(), document(operation).operation.selection_set);
        let below = |selection: &Selection, place: usize| {
            let field = &selection.of(schema, &bench.layout, selection.declared).fields[place];
            let FieldKind::Composite { selection, .. } = &*field.kind else { panic!("{field:?}") };
            selection.clone()
        };
        let boxes = below(&selection, 0);
        let inner = below(&boxes, 2);
        let (variables, mut errors) = (Map::from_iter([("a".to_owned(), Json::Bool(true))]), Errors::new(9));
        let (types, view) = ((schema, &bench.zoo.introspection), (&bench.layout, &bench.data));
        let mut projector = Projector::new(types, view, &variables, (&mut errors, 100, 0));
        let [first, again, other] = [&boxes, &boxes, &inner].map(|selection| {
            let ty = selection.declared;
            projector.chosen((selection, ty), &selection.of(schema, &bench.layout, ty).fields)
        });
        assert!(Rc::ptr_eq(&first, &again));
        assert_eq!((&*first, &*other), (&[0, 2][..], &[0, 1][..]));
    }

    /// Where a subgraph has said why something is missing, nothing is added to it.
    #[test]
    fn a_reason_is_told_once() {
        let operation = "{ box { inner { must } } boxes { must } }";
        let (mut bench, [shape]) = Bench::new([operation]);
        bench.read(&shape, r#"{"box":{"inner":{}},"boxes":[{}]}"#);
        let mut errors = Errors::new(9);
        let path = ["box", "inner"].map(|key| PathSegment::Key(key.into()));
        errors.push(GraphqlError::new("BROKEN", "said").at(path.to_vec()));
        let (data, errors) = bench.answer_after(operation, &json!({}), errors);
        assert_eq!(data, r#"{"box":{"inner":null},"boxes":null}"#);
        let codes: Vec<_> = errors.iter().map(|error| error.extensions["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["BROKEN", "NULL_IN_NON_NULLABLE_FIELD"]);
        assert_eq!(serde_json::to_value(&errors[1].path).unwrap(), json!(["boxes", 0, "must"]));
    }

    /// What one answer is made of within a limit: its data, and the codes of its errors.
    fn within(bench: &Bench, operation: &str, most: usize) -> (String, Vec<String>) {
        let (data, errors) = bench.answer_within(operation, &json!({}), (Errors::new(9), most));
        let codes = errors.iter().map(|error| error.extensions["code"].as_str().unwrap().to_owned());
        (data, codes.collect())
    }

    /// Ten objects, each of which has the same ten below it, and so on: little data, and no end of an answer.
    #[test]
    fn an_answer_of_shared_objects_comes_to_an_end() {
        let levels = 12;
        let operation = format!("{{ {} id {} }}", "boxes { ".repeat(levels), "} ".repeat(levels));
        let (mut bench, [shape]) = Bench::new([operation.as_str()]);
        let one = format!("{}{{\"id\":\"1\"}}{}", "{\"boxes\":[".repeat(levels), "]}".repeat(levels));
        bench.read(&shape, &one);
        let (mut above, mut position) = (bench.root, Layout::ROOT);
        for _ in 0..levels {
            let slot = bench.layout.find(position, "boxes").unwrap();
            position = bench.layout.child(position, slot).unwrap();
            let Value::List(list) = bench.data.get(above, slot) else { panic!("no list") };
            let Value::Object(below) = bench.data.item(list, 0) else { panic!("no object") };
            let often = bench.data.list(std::iter::repeat_n(Value::Object(below), 10));
            bench.data.set(above, slot, Value::List(often));
            above = below;
        }
        let refused = ("null".to_owned(), vec!["ANSWER_TOO_LARGE".to_owned()]);
        assert_eq!(within(&bench, &operation, 100_000), refused);
        let flat = within(&bench, "{ boxes { __typename } }", 1000);
        assert_eq!(flat.1, Vec::<String>::new());
        assert_eq!(within(&bench, "{ boxes { __typename } }", 50), refused);
    }

    /// What a null takes back counts: it is not in the answer, and has been written all the same.
    #[test]
    fn what_is_taken_back_counts() {
        let operation = "{ boxes { inner { text must } } }";
        let (mut bench, [shape]) = Bench::new([operation]);
        let text = "x".repeat(1000);
        let one = format!("{{\"inner\":{{\"text\":\"{text}\"}}}}");
        let brought = format!("{{\"boxes\":[{}]}}", [one.as_str(); 100].join(","));
        bench.read(&shape, &brought);
        let (data, codes) = within(&bench, operation, 200_000);
        assert_eq!((data.len(), codes.len()), (1511, 10), "{data}");
        assert_eq!(within(&bench, operation, 50_000).1[0], "ANSWER_TOO_LARGE");
    }

    /// The schema is as large as an answer as anything else.
    #[test]
    fn introspection_is_measured_too() {
        let (bench, _) = Bench::new(["{ box { id } }"]);
        let operation = "{ __schema { types { name fields { name } } } }";
        let (data, codes) = within(&bench, operation, 100_000);
        assert!(data.len() > 1000 && codes.is_empty(), "{data}");
        let refused = ("null".to_owned(), vec!["ANSWER_TOO_LARGE".to_owned()]);
        assert_eq!(within(&bench, operation, 1000), refused);
    }

    /// What is selected of the schema under several conditions is answered by those that hold, all of them together.
    #[test]
    fn each_selection_of_the_schema_has_its_own_condition() {
        let (bench, _) = Bench::new(["{ box { id } }"]);
        let operation = "{ __schema @include(if: $a) { queryType { name } }
            __schema @skip(if: $b) { queryType { kind } mutationType { name } } }";
        for (a, b, shown) in [
            (true, true, r#"{"__schema":{"queryType":{"name":"Query"}}}"#),
            (false, false, r#"{"__schema":{"queryType":{"kind":"OBJECT"},"mutationType":null}}"#),
            (
                true,
                false,
                r#"{"__schema":{"queryType":{"name":"Query","kind":"OBJECT"},"mutationType":null}}"#,
            ),
            (false, true, "{}"),
        ] {
            assert_eq!(bench.answer(operation, &json!({ "a": a, "b": b })).0, shown, "{a} {b}");
        }
    }
}
