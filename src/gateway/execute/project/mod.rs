//! Writing the answer, in one pass: in the order of the operation, with nothing that was not asked for, and with nulls
//! where the schema lets them stand (GraphQL specification, sections 6.4.3 and 6.4.4).

mod coercion;
mod nulls;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::data::{Data, Object, Value};
use super::errors::GraphqlError;
use super::failures::Errors;
use crate::gateway::introspection::Introspection;
use crate::gateway::plan::layout::{Layout, Slot};
use crate::gateway::plan::projection::{Condition, Field, FieldKind, Leaf, Selection};
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, Wrapping};
use nulls::Stop;

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
}
