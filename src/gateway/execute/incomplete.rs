//! Entities whose keys are not whole: no subgraph can be asked for them, and clients are told what was left out.

use std::collections::{BTreeMap, HashSet};

use super::Execution;
use super::data::{Object, Value};
use super::errors::GraphqlError;
use super::represent::Writer;
use super::representations::Representations;
use super::walk::places_of;
use crate::gateway::plan::keys::KeyPart;
use crate::gateway::plan::layout::Slot;
use crate::gateway::plan::steps::{Entities, Place, Target};

/// An object that a subgraph cannot be asked for.
pub struct Incomplete {
    /// The number of its place among those of the list.
    pub place: usize,
    pub object: Object,
    pub lack: Lack,
}

/// What of its key is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// Its path, as far as clients may know of it.
    pub shown: Option<Box<str>>,
    /// The slots of the object itself where it would stand.
    pub slots: Vec<Slot>,
}

/// Whether one of an object's keys is whole, and if not what it lacks that its subgraphs must not leave out.
pub(super) enum Whole {
    Yes,
    No(Option<Lack>),
}

impl Writer<'_> {
    pub(super) fn lack(&self, object: Object) -> Whole {
        let ty = self.type_of(self.input, object);
        let mut first = None;
        for key in self.keys.iter().filter(|key| self.applies(&key.types, (object, ty))) {
            let lack = key.parts.iter().find_map(|part| Some((part, self.lacking(part, object)?)));
            let Some((part, (lacking, value))) = lack else { return Whole::Yes };
            let is_told = !(lacking.may_be_null && value == Value::Null);
            let lack = || Lack { shown: lacking.shown.clone(), slots: part.slots.clone() };
            first = Some(first.unwrap_or_else(|| is_told.then(lack)));
        }
        first.map_or(Whole::Yes, Whole::No)
    }

    /// What of a part of a key is not there, and what is there instead.
    fn lacking<'k>(&self, part: &'k KeyPart, object: Object) -> Option<(&'k KeyPart, Value)> {
        let mut values = part.slots.iter().map(|slot| self.data.get(object, *slot));
        match values.find(|value| *value != Value::Absent).unwrap_or(Value::Absent) {
            Value::Leaf(_) | Value::Type(_) => None,
            Value::Object(object) => part.below.iter().find_map(|part| self.lacking(part, object)),
            Value::List(list) => self.data.items(list).iter().find_map(|item| match *item {
                Value::Object(object) => part.below.iter().find_map(|part| self.lacking(part, object)),
                _ => None,
            }),
            value @ (Value::Absent | Value::Null | Value::Misfit) => Some((part, value)),
        }
    }
}

impl Execution<'_> {
    /// Says of objects that cannot be asked for what of their keys was left out, unless something has been said of them.
    pub(super) fn tell_incomplete(&mut self, lists: &[Entities], sent: &[Representations]) {
        for (list, sent) in lists.iter().zip(sent) {
            let mut lacks: BTreeMap<(usize, &Lack), HashSet<Object>> = BTreeMap::new();
            for incomplete in &sent.incomplete {
                let key = (incomplete.place, &incomplete.lack);
                lacks.entry(key).or_default().insert(incomplete.object);
            }
            for ((place, lack), objects) in lacks {
                let place = &list.places[place];
                if self.is_completed(place, lack) {
                    continue;
                }
                let part = lack.shown.as_ref().map_or("a part".to_owned(), |path| format!("`{path}`"));
                let message = format!("This cannot be completed, because {part} of its key was left out.");
                let view = (&self.data, &self.plan.layout);
                let mut places = places_of(view, self.root, &place.at, |object| objects.contains(&object));
                places.retain(|path| !self.errors.cover(path));
                if !places.is_empty() {
                    self.tell(&GraphqlError::new("SUBGRAPH_MALFORMED_RESPONSE", message), places);
                }
            }
        }
    }

    /// Whether another step was to bring it: that may know none of these objects, and has left nothing out.
    fn is_completed(&self, place: &Place, lack: &Lack) -> bool {
        self.plan.steps.iter().any(|step| match &step.target {
            Target::Root { .. } => false,
            Target::Entities(lists) => lists.iter().flat_map(|list| &list.places).any(|other| {
                let mut fields = other.shape.fields.iter();
                other.at.position == place.at.position && fields.any(|field| lack.slots.contains(&field.slot))
            }),
        })
    }
}
