//! What the client gets, prepared: for each object of the answer its fields in the order of the operation, with the
//! slots that they come from.
//!
//! It follows the normalised operation and the API schema. What an object of some type shows is worked out when the
//! first one of that type comes, because an interface may have hundreds of types that never do.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::layout::{Layout, PositionId, Slot};
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, TypeKind, Wrapping};

/// An object of the answer: what is selected of it, whatever its type is.
#[derive(Debug)]
pub struct Selection {
    /// The type that the schema says.
    pub declared: TypeId,
    position: Option<PositionId>,
    /// What is selected, each under its condition.
    sets: Vec<(SelectionSet, Condition)>,
    /// What is shown of the declared type and of those that it stands for, in the order of [`ApiSchema::possible`].
    shown: Vec<OnceLock<Vec<Field>>>,
}

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub skip: Vec<String>,
    pub include: Vec<String>,
}

impl Condition {
    pub fn is_empty(&self) -> bool {
        self.skip.is_empty() && self.include.is_empty()
    }

    fn into_alternatives(self) -> Vec<Self> {
        if self.is_empty() { Vec::new() } else { vec![self] }
    }

    fn and(&self, skip: Option<&String>, include: Option<&String>) -> Self {
        let mut both = self.clone();
        both.skip.extend(skip.cloned());
        both.include.extend(include.cloned());
        both
    }
}

#[derive(Debug)]
pub enum FieldKind {
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
        selection: Selection,
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
        Self::new(schema, declared, Some(Layout::ROOT), vec![(set, Condition::default())])
    }

    fn new(
        schema: &ApiSchema,
        declared: TypeId,
        position: Option<PositionId>,
        sets: Vec<(SelectionSet, Condition)>,
    ) -> Self {
        let count = schema.possible(declared).len() + 1;
        Self { declared, position, sets, shown: (0..count).map(|_| OnceLock::new()).collect() }
    }

    /// What is shown of an object of type `ty`, which is the declared type or one that it stands for.
    pub fn of(&self, schema: &ApiSchema, layout: &Layout, ty: TypeId) -> &[Field] {
        let number = match ty == self.declared {
            true => 0,
            false => match schema.possible(self.declared).binary_search(&ty) {
                Ok(number) => number + 1,
                Err(_) => return &[],
            },
        };
        self.shown[number].get_or_init(|| self.fields(schema, layout, ty))
    }

    /// How many keys of a path from here on the client has asked for, of objects of whatever type.
    pub fn selected<'k>(&self, keys: impl Iterator<Item = &'k str>) -> usize {
        let mut sets: Vec<&SelectionSet> = self.sets.iter().map(|(set, _)| set).collect();
        let selected = keys.take_while(|key| {
            let mut below = Vec::new();
            sets.iter().for_each(|set| select(set, key, &mut below));
            sets = below;
            !sets.is_empty()
        });
        selected.count()
    }

    fn fields(&self, schema: &ApiSchema, layout: &Layout, ty: TypeId) -> Vec<Field> {
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
        placed.into_iter().map(|(_, field)| field).collect()
    }

    fn kind(
        &self,
        schema: &ApiSchema,
        layout: &Layout,
        (ty, slot): (TypeId, Option<Slot>),
        selected: Vec<(FieldSelection, Condition)>,
    ) -> Option<FieldKind> {
        let name = selected.first()?.0.name.clone();
        Some(match name.as_str() {
            "__typename" => FieldKind::Typename,
            "__schema" | "__type" => FieldKind::Introspection(selected),
            name => {
                let field = schema.field(ty, name)?;
                let (wrapping, named) = (field.wrapping.clone(), field.named);
                match &schema.get(named).kind {
                    TypeKind::Scalar(scalar) => FieldKind::Leaf { wrapping, leaf: Leaf::Scalar(*scalar) },
                    TypeKind::Enum { .. } => FieldKind::Leaf { wrapping, leaf: Leaf::Enum(named) },
                    TypeKind::Input | TypeKind::Hidden => return None,
                    TypeKind::Object { .. } | TypeKind::Interface { .. } | TypeKind::Union => {
                        let below = slot.and_then(|slot| layout.child(self.position?, slot));
                        let is_one = selected.len() == 1;
                        let sets = selected.into_iter().map(|(field, condition)| {
                            // What one field is shown by holds for all below it.
                            (field.selections, if is_one { Condition::default() } else { condition })
                        });
                        let selection = Self::new(schema, named, below, sets.collect());
                        FieldKind::Composite { wrapping, selection }
                    }
                }
            }
        })
    }
}

/// What is selected below a key.
fn select<'a>(set: &'a SelectionSet, key: &str, below: &mut Vec<&'a SelectionSet>) {
    for item in &set.items {
        match item {
            SelectionItem::Field(field)
                if !field.omit_from_response && field.selection_identifier() == key =>
            {
                below.push(&field.selections);
            }
            SelectionItem::InlineFragment(fragment) => select(&fragment.selections, key, below),
            SelectionItem::Field(_) | SelectionItem::FragmentSpread(_) => {}
        }
    }
}

/// Fields by their response keys.
#[derive(Default)]
struct Collected {
    fields: HashMap<String, Selected>,
    /// How many selections there were.
    count: usize,
}

/// All selections of one key.
#[derive(Default)]
struct Selected {
    fields: Vec<(FieldSelection, Condition)>,
    places: Vec<Place>,
}

/// Where a key is shown if it is not shown further ahead.
struct Place {
    /// The number of its first selection.
    at: usize,
    last: usize,
    /// One of them holds; none if it is always shown.
    conditions: Vec<Condition>,
}

impl Selected {
    /// Whoever asks for a key under more conditions than anybody needs finds it at the last of so many places.
    const MOST: usize = 8;

    fn add(&mut self, at: usize, field: FieldSelection, condition: Condition) {
        self.fields.push((field, condition.clone()));
        let count = self.places.len();
        let Some(last) = self.places.last_mut() else {
            let conditions = condition.into_alternatives();
            self.places.push(Place { at, last: at, conditions });
            return;
        };
        if last.conditions.is_empty() {
            return;
        }
        if last.last + 1 == at || count == Self::MOST {
            last.last = at;
            match condition.is_empty() {
                true => last.conditions.clear(),
                false => last.conditions.push(condition),
            }
            return;
        }
        self.places.push(Place { at, last: at, conditions: condition.into_alternatives() });
    }
}

impl Collected {
    fn collect(&mut self, schema: &ApiSchema, ty: TypeId, set: &SelectionSet, condition: &Condition) {
        for item in &set.items {
            match item {
                SelectionItem::Field(field) if field.omit_from_response => {}
                SelectionItem::Field(field) => {
                    let condition = condition.and(field.skip_if.as_ref(), field.include_if.as_ref());
                    let selected = self.fields.entry(field.selection_identifier().to_owned()).or_default();
                    selected.add(self.count, field.clone(), condition);
                    self.count += 1;
                }
                SelectionItem::InlineFragment(fragment) => {
                    let fits = schema.id(&fragment.type_condition).is_some_and(|on| schema.satisfies(ty, on));
                    if fits {
                        let condition =
                            condition.and(fragment.skip_if.as_ref(), fragment.include_if.as_ref());
                        self.collect(schema, ty, &fragment.selections, &condition);
                    }
                }
                SelectionItem::FragmentSpread(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::plan::layout::Layout;
    use crate::gateway::testing::{document, zoo};

    /// For each object its type's fields: key, and the variables of each condition.
    fn shown(operation: &str, ty: &str) -> Vec<String> {
        let zoo = zoo();
        let set = document(operation).operation.selection_set;
        let layout = Layout::default();
        let declared = zoo.schema.id("Animal").unwrap();
        let selection = Selection::root(&zoo.schema, declared, set);
        let fields = selection.of(&zoo.schema, &layout, zoo.schema.id(ty).unwrap());
        let told = fields.iter().map(|field| {
            let told = |conditions: &[Condition]| {
                let told = conditions.iter().map(|condition| {
                    format!(" -{} +{}", condition.skip.join(","), condition.include.join(","))
                });
                told.collect::<String>()
            };
            let unless = if field.unless.is_empty() { "" } else { " unless" };
            format!("{}{}{unless}{}", field.key, told(&field.conditions), told(&field.unless))
        });
        told.collect()
    }

    /// What an object shows is what is selected of its type, in the order of the operation, each key once, where it comes
    /// first.
    #[test]
    fn an_object_shows_what_is_selected_of_its_type_in_order() {
        let operation =
            "{ name ... on Cat { lives again: id } ... on Dog { bark } ... on Animal { id name } }";
        for (ty, keys) in [
            ("Cat", vec!["name", "lives", "again", "id"]),
            ("Dog", vec!["name", "bark", "id"]),
            ("Ghost", vec![]),
            ("Animal", vec!["name", "id"]),
        ] {
            let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\":")).collect();
            assert_eq!(shown(operation, ty), keys, "{ty}");
        }
        assert!(shown(operation, "Box").is_empty(), "a type that the declared one does not stand for");
    }

    /// A key is shown if any of its selections is; conditions of fragments hold for what is in them.
    #[test]
    fn conditions_of_one_key_are_alternatives() {
        for (operation, wanted) in [
            ("{ name @skip(if: $a) }", "\"name\": -a +"),
            ("{ name @skip(if: $a) @include(if: $b) }", "\"name\": -a +b"),
            ("{ name @skip(if: $a) ... on Cat { name @include(if: $b) } }", "\"name\": -a + - +b"),
            ("{ name @skip(if: $a) name }", "\"name\":"),
            (
                "{ ... on Cat @include(if: $a) { ... on Animal @skip(if: $b) { name @include(if: $c) } } }",
                "\"name\": -b +a,c",
            ),
        ] {
            assert_eq!(shown(operation, "Cat"), [wanted], "{operation}");
        }
    }

    /// A key comes where the first selection of it that is shown is; asked for under ever more conditions, at the last of
    /// some places.
    #[test]
    fn a_key_has_a_place_for_each_condition_with_something_between() {
        let of = |operation: &str| shown(operation, "Cat");
        assert_eq!(
            of("{ name @skip(if: $a) id name @skip(if: $b) lives name id }"),
            [
                "\"name\": -a +",
                "\"id\":",
                "\"name\": -b + unless -a +",
                "\"lives\":",
                "\"name\": unless -a + -b +"
            ]
        );
        let again = |n: usize| (0..n).map(|n| format!("name @skip(if: $v{n}) a{n}: id ")).collect::<String>();
        let places =
            |n| of(&format!("{{ {} }}", again(n))).iter().filter(|key| key.starts_with("\"name\"")).count();
        assert_eq!([places(7), places(8), places(9), places(100)], [7, 8, 8, 8]);
        let last = of(&format!("{{ {} name }}", again(100)));
        let last = last.iter().rfind(|key| key.starts_with("\"name\"")).unwrap();
        assert!(last.starts_with("\"name\": unless -v0 +"), "{last}");
    }

    /// The conditions of several selections of one object hold below it, each for what it selects.
    #[test]
    fn what_is_below_alternatives_keeps_its_own_condition() {
        let zoo = zoo();
        let set = document("{ friend @skip(if: $a) { id } friend @include(if: $b) { name } }");
        let cat = zoo.schema.id("Cat").unwrap();
        let selection = Selection::root(&zoo.schema, cat, set.operation.selection_set);
        let layout = Layout::default();
        let friend = &selection.of(&zoo.schema, &layout, cat)[0];
        let FieldKind::Composite { selection, .. } = &*friend.kind else { panic!("{friend:?}") };
        let below = selection.of(&zoo.schema, &layout, cat);
        let of = |skip: &[&str], include: &[&str]| Condition {
            skip: skip.iter().map(ToString::to_string).collect(),
            include: include.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(below[0].conditions, [of(&["a"], &[])]);
        assert_eq!(below[1].conditions, [of(&[], &["b"])]);
    }
}
