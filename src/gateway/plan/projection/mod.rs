//! What the client gets, prepared: for each object of the answer its fields in the order of the operation, with the
//! slots that they come from.
//!
//! It follows the normalised operation and the API schema. What an object of some type shows is worked out when the
//! first one of that type comes, because an interface may have hundreds of types that never do.

mod collect;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::layout::{Layout, PositionId, Slot};
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, TypeKind, Wrapping};
use collect::{Asked, AskedField, Collected, Place, Selected, asked, select};

/// An object of the answer: what is selected of it, whatever its type is.
#[derive(Debug)]
pub struct Selection {
    /// The type that the schema says.
    pub declared: TypeId,
    position: Option<PositionId>,
    /// What is selected, each under its condition.
    sets: Vec<(Asked, Condition)>,
    /// What is shown of the declared type and of those that it stands for, in the order of [`ApiSchema::possible`].
    shown: Vec<OnceLock<Shown>>,
    others: Arc<Others>,
}

/// What is shown of an object of one type.
#[derive(Debug, Default)]
pub struct Shown {
    pub fields: Vec<Field>,
    /// Whether any of them depends on a variable.
    pub is_conditional: bool,
}

/// The selections of one operation, so that types that ask for the same have one: else there would be as many as there are
/// ways through the types of interfaces.
#[derive(Debug, Default)]
struct Others {
    known: Mutex<HashMap<Same, Weak<Selection>>>,
    /// Object types that the caller is refused as a whole, and the code of the errors that say so.
    refused: (Vec<TypeId>, &'static str),
}

/// By what selections are the same: type, position, and where what is selected is kept, each with its condition.
type Same = (TypeId, Option<PositionId>, Vec<(usize, Condition)>);

/// A field of an object of one type.
#[derive(Debug)]
pub struct Field {
    /// `"key":`, as it is written.
    pub key: Box<str>,
    /// Where the value stands; `None` if no fetch brings it.
    pub slot: Option<Slot>,
    /// Shown only if one of these holds.
    pub conditions: Vec<Condition>,
    /// Not shown if one of these holds: then it was, further ahead.
    pub unless: Vec<Condition>,
    pub kind: Arc<FieldKind>,
}

/// `@skip` and `@include`: variables that have to be false and true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Condition {
    pub skip: Vec<String>,
    pub include: Vec<String>,
}

impl Condition {
    pub fn is_empty(&self) -> bool {
        self.skip.is_empty() && self.include.is_empty()
    }

    fn of(skip: Option<&String>, include: Option<&String>) -> Self {
        Self { skip: skip.into_iter().cloned().collect(), include: include.into_iter().cloned().collect() }
    }

    fn into_alternatives(self) -> Vec<Self> {
        if self.is_empty() { Vec::new() } else { vec![self] }
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.skip.extend_from_slice(&other.skip);
        both.include.extend_from_slice(&other.include);
        both
    }
}

#[derive(Debug)]
pub enum FieldKind {
    /// Null, with an error that says why.
    Refused {
        wrapping: Wrapping,
        code: &'static str,
    },
    /// `__typename`.
    Typename,
    /// `__schema` and `__type`, answered from the schema itself: all that is selected of it, each under its condition.
    Introspection(Vec<(FieldSelection, Condition)>),
    Leaf {
        wrapping: Wrapping,
        leaf: Leaf,
    },
    Composite {
        wrapping: Wrapping,
        selection: Arc<Selection>,
    },
}

/// The values of a scalar or an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Scalar(Scalar),
    Enum(TypeId),
}

impl Selection {
    pub fn root(schema: &ApiSchema, declared: TypeId, set: SelectionSet) -> Self {
        Self::guarded(schema, declared, set, (Vec::new(), ""))
    }

    /// The same for a caller who is refused what is marked in it, and whatever is of these types.
    pub fn guarded(
        schema: &ApiSchema,
        declared: TypeId,
        set: SelectionSet,
        refused: (Vec<TypeId>, &'static str),
    ) -> Self {
        let sets = vec![(asked(schema, set), Condition::default())];
        let others = Arc::new(Others { known: Mutex::default(), refused });
        Self::new(schema, declared, (Some(Layout::ROOT), sets), others)
    }

    /// The code of the error that stands for an object of type `ty`, if the caller is refused it.
    pub fn refusal_of(&self, ty: TypeId) -> Option<&'static str> {
        let (types, code) = &self.others.refused;
        types.contains(&ty).then_some(*code)
    }

    fn new(
        schema: &ApiSchema,
        declared: TypeId,
        (position, sets): (Option<PositionId>, Vec<(Asked, Condition)>),
        others: Arc<Others>,
    ) -> Self {
        let count = schema.possible(declared).len() + 1;
        Self { declared, position, sets, shown: (0..count).map(|_| OnceLock::new()).collect(), others }
    }

    /// What is selected below; the same one for all types that select the same.
    fn below(
        &self,
        schema: &ApiSchema,
        declared: TypeId,
        (position, sets): (Option<PositionId>, Vec<(Asked, Condition)>),
    ) -> Arc<Self> {
        let kept = sets.iter().map(|(asked, condition)| (asked.as_ptr().addr(), condition.clone()));
        let same = (declared, position, kept.collect());
        let mut others = self.others.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.get(&same).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Self::new(schema, declared, (position, sets), self.others.clone()));
        others.insert(same, Arc::downgrade(&new));
        new
    }

    /// What is shown of an object of type `ty`, which is the declared type or one that it stands for.
    pub fn of(&self, schema: &ApiSchema, layout: &Layout, ty: TypeId) -> &Shown {
        static NOTHING: Shown = Shown { fields: Vec::new(), is_conditional: false };
        let number = match ty == self.declared {
            true => 0,
            false => match schema.possible(self.declared).binary_search(&ty) {
                Ok(number) => number + 1,
                Err(_) => return &NOTHING,
            },
        };
        self.shown[number].get_or_init(|| self.fields(schema, layout, ty))
    }

    /// How many keys of a path from here on the client has asked for, of objects of whatever type.
    pub fn selected<'k>(&self, keys: impl Iterator<Item = &'k str>) -> usize {
        let mut sets: Vec<&Asked> = self.sets.iter().map(|(set, _)| set).collect();
        let selected = keys.take_while(|key| {
            let mut below = Vec::new();
            sets.iter().for_each(|set| select(set, key, &mut below));
            sets = below;
            !sets.is_empty()
        });
        selected.count()
    }

    fn fields(&self, schema: &ApiSchema, layout: &Layout, ty: TypeId) -> Shown {
        let mut collected = Collected::default();
        for (set, condition) in &self.sets {
            collected.collect(schema, ty, set, condition);
        }
        let mut placed = Vec::new();
        for (key, Selected { fields, places }) in collected.fields {
            let slot = self.position.and_then(|position| layout.find(position, &key));
            let (Some(kind), Ok(key)) =
                (self.kind(schema, layout, (ty, slot), fields), serde_json::to_string(&key))
            else {
                continue;
            };
            let (kind, mut unless) = (Arc::new(kind), Vec::new());
            for Place { at, conditions, .. } in places {
                let shown = Field {
                    key: format!("{key}:").into(),
                    slot,
                    conditions: conditions.clone(),
                    unless: unless.clone(),
                    kind: kind.clone(),
                };
                placed.push((at, shown));
                unless.extend(conditions);
            }
        }
        placed.sort_unstable_by_key(|(at, _)| *at);
        let fields: Vec<Field> = placed.into_iter().map(|(_, field)| field).collect();
        let is_conditional = fields.iter().any(|field| !field.conditions.is_empty());
        Shown { fields, is_conditional }
    }

    fn kind(
        &self,
        schema: &ApiSchema,
        layout: &Layout,
        (ty, slot): (TypeId, Option<Slot>),
        selected: Vec<(Arc<AskedField>, Condition)>,
    ) -> Option<FieldKind> {
        let name = selected.first()?.0.name.clone();
        Some(match &*name {
            "__typename" => FieldKind::Typename,
            "__schema" | "__type" => {
                let whole = |(field, condition): (Arc<AskedField>, _)| {
                    Some((field.introspection.clone()?, condition))
                };
                FieldKind::Introspection(selected.into_iter().filter_map(whole).collect())
            }
            name => {
                let field = schema.field(ty, name)?;
                let (wrapping, named) = (field.wrapping.clone(), field.named);
                if selected.iter().any(|(field, _)| field.is_refused) {
                    return Some(FieldKind::Refused { wrapping, code: self.others.refused.1 });
                }
                match &schema.get(named).kind {
                    TypeKind::Scalar(scalar) => FieldKind::Leaf { wrapping, leaf: Leaf::Scalar(*scalar) },
                    TypeKind::Enum { .. } => FieldKind::Leaf { wrapping, leaf: Leaf::Enum(named) },
                    TypeKind::Input | TypeKind::Hidden => return None,
                    TypeKind::Object { .. } | TypeKind::Interface { .. } | TypeKind::Union => {
                        let below = slot.and_then(|slot| layout.child(self.position?, slot));
                        let is_one = selected.len() == 1;
                        let sets = selected.into_iter().map(|(field, condition)| {
                            // What one field is shown by holds for all below it.
                            (field.below.clone(), if is_one { Condition::default() } else { condition })
                        });
                        let selection = self.below(schema, named, (below, sets.collect()));
                        FieldKind::Composite { wrapping, selection }
                    }
                }
            }
        })
    }
}
