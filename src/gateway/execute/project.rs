//! Writing the answer, in one pass: in the order of the operation, with nothing that was not asked for, and with nulls
//! where the schema lets them stand (GraphQL specification, sections 6.4.3 and 6.4.4).

use serde_json::{Map, Value as Json};

use super::data::{Data, Object, Value};
use super::errors::{GraphqlError, PathSegment};
use super::failures::Errors;
use crate::gateway::introspection::Introspection;
use crate::gateway::plan::layout::{Layout, Slot};
use crate::gateway::plan::projection::{Condition, Field, FieldKind, Leaf, Selection};
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, TypeKind, Wrapping};

/// A null stands where there must be none: what is around it is null as well.
struct Bubble;

/// Writes what is selected.
pub struct Projector<'a> {
    pub schema: &'a ApiSchema,
    pub introspection: &'a Introspection,
    pub layout: &'a Layout,
    pub data: &'a Data,
    pub variables: &'a Map<String, Json>,
    pub errors: &'a mut Errors,
    pub out: Vec<u8>,
    path: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A key as it is written: `"key":`.
    Key(&'a str),
    Index(usize),
}

impl<'a> Projector<'a> {
    pub fn new(
        (schema, introspection): (&'a ApiSchema, &'a Introspection),
        (layout, data): (&'a Layout, &'a Data),
        variables: &'a Map<String, Json>,
        errors: &'a mut Errors,
    ) -> Self {
        let mut out = Vec::with_capacity(data.volume() + 256);
        out.extend_from_slice(b"{\"data\":");
        Self { schema, introspection, layout, data, variables, errors, out, path: Vec::new() }
    }

    /// Writes the root object, or null.
    pub fn root(&mut self, selection: &'a Selection, root: Object) {
        let start = self.out.len();
        if self.object(selection, selection.declared, root).is_err() {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
    }

    fn object(&mut self, selection: &'a Selection, ty: TypeId, object: Object) -> Result<(), Bubble> {
        self.out.push(b'{');
        let start = self.out.len();
        for field in selection.of(self.schema, self.layout, ty) {
            if !self.is_shown(&field.conditions) {
                continue;
            }
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

    fn is_shown(&self, conditions: &[Condition]) -> bool {
        let is = |name: &String| self.variables.get(name) == Some(&Json::Bool(true));
        conditions.is_empty()
            || conditions.iter().any(|one| !one.skip.iter().any(is) && one.include.iter().all(is))
    }

    fn field(&mut self, field: &'a Field, ty: TypeId, object: Object) -> Result<(), Bubble> {
        let value = field.slot.map_or(Value::Absent, |slot| self.data.get(object, slot));
        match &field.kind {
            FieldKind::Typename => {
                self.out.extend_from_slice(self.schema.get(ty).quoted.as_bytes());
                Ok(())
            }
            FieldKind::Introspection(selected) => {
                let answer = self.introspection.answer(selected, self.variables);
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut self.out, &answer);
                Ok(())
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
    ) -> Result<(), Bubble> {
        let start = self.out.len();
        let written = match (wrapping, value) {
            (Wrapping::Named { .. }, Value::Object(object)) => match self.type_of(selection, object) {
                Some(ty) => self.object(selection, ty, object),
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
        written.or_else(|bubble| self.stop(bubble, wrapping, start))
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

    fn leaf(&mut self, wrapping: &Wrapping, leaf: Leaf, raw: &[u8]) -> Result<(), Bubble> {
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
        if matches!(leaf, Leaf::Scalar(_)) && memchr::memmem::find(raw, b"null").is_none() {
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
        written.or_else(|bubble| self.stop(bubble, wrapping, start))
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
                is_number && !raw.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
            }
            Leaf::Scalar(Scalar::Float) => is_number,
            Leaf::Scalar(Scalar::Boolean) => raw == b"true" || raw == b"false",
            Leaf::Enum(ty) => match &self.schema.get(ty).kind {
                TypeKind::Enum { values } => values.iter().any(|value| value.as_bytes() == raw),
                _ => false,
            },
        }
    }

    /// Ends what is around a null that must not be, if it may be null itself.
    fn stop(&mut self, bubble: Bubble, wrapping: &Wrapping, start: usize) -> Result<(), Bubble> {
        if wrapping.non_null() {
            return Err(bubble);
        }
        self.out.truncate(start);
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// Writes null where something is that clients must not learn of.
    fn hidden(&mut self, wrapping: &Wrapping) -> Result<(), Bubble> {
        if wrapping.non_null() {
            return self.null(wrapping);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn null(&mut self, wrapping: &Wrapping) -> Result<(), Bubble> {
        if !wrapping.non_null() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        let path: Vec<PathSegment> = self.path.iter().map(|step| step.segment()).collect();
        // A subgraph has said why already, mostly.
        if !self.errors.cover(&path) {
            let message = "There is no value for a field that must have one.";
            self.errors.push(GraphqlError::new("NULL_IN_NON_NULLABLE_FIELD", message).at(path));
        }
        Err(Bubble)
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
