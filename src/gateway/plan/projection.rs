//! What the client gets, prepared: for each object of the answer its fields in the order of the operation, with the
//! slots that they come from.
//!
//! It follows the normalised operation and the API schema. What an object of some type shows is worked out when the
//! first one of that type comes, because an interface may have hundreds of types that never do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};

use super::guarding::is_marked;
use super::layout::{Layout, PositionId, Slot};
use crate::gateway::schema::{ApiSchema, Scalar, TypeId, TypeKind, Wrapping};

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

/// What is selected of a thing, shared by all who select it.
type Asked = Arc<[Item]>;

#[derive(Debug)]
enum Item {
    Field(Arc<AskedField>),
    Fragment { on: Option<TypeId>, condition: Condition, items: Asked },
}

#[derive(Debug)]
struct AskedField {
    key: Box<str>,
    name: Box<str>,
    /// Whether the caller is refused it.
    is_refused: bool,
    condition: Condition,
    below: Asked,
    /// All of it, if it is `__schema` or `__type`.
    introspection: Option<FieldSelection>,
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

/// What is selected below a key.
fn select<'a>(set: &'a Asked, key: &str, below: &mut Vec<&'a Asked>) {
    for item in set.iter() {
        match item {
            Item::Field(field) if &*field.key == key => below.push(&field.below),
            Item::Fragment { items, .. } => select(items, key, below),
            Item::Field(_) => {}
        }
    }
}

fn asked(schema: &ApiSchema, set: SelectionSet) -> Asked {
    let items = set.items.into_iter().filter_map(|item| match item {
        SelectionItem::Field(field) if field.omit_from_response => None,
        SelectionItem::Field(mut field) => {
            let is_introspection = ["__schema", "__type"].contains(&field.name.as_str());
            let below = if is_introspection {
                SelectionSet::default()
            } else {
                std::mem::take(&mut field.selections)
            };
            Some(Item::Field(Arc::new(AskedField {
                key: field.selection_identifier().into(),
                name: field.name.as_str().into(),
                is_refused: is_marked(&field),
                condition: Condition::of(field.skip_if.as_ref(), field.include_if.as_ref()),
                below: asked(schema, below),
                introspection: is_introspection.then_some(field),
            })))
        }
        SelectionItem::InlineFragment(fragment) => Some(Item::Fragment {
            on: schema.id(&fragment.type_condition),
            condition: Condition::of(fragment.skip_if.as_ref(), fragment.include_if.as_ref()),
            items: asked(schema, fragment.selections),
        }),
        SelectionItem::FragmentSpread(_) => None,
    });
    items.collect()
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
    fields: Vec<(Arc<AskedField>, Condition)>,
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

    fn add(&mut self, at: usize, field: Arc<AskedField>, condition: Condition) {
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
    fn collect(&mut self, schema: &ApiSchema, ty: TypeId, set: &Asked, condition: &Condition) {
        for item in set.iter() {
            match item {
                Item::Field(field) => {
                    let condition = condition.and(&field.condition);
                    let selected = self.fields.entry(field.key.to_string()).or_default();
                    selected.add(self.count, field.clone(), condition);
                    self.count += 1;
                }
                Item::Fragment { on, condition: own, items } => {
                    if on.is_some_and(|on| schema.satisfies(ty, on)) {
                        self.collect(schema, ty, items, &condition.and(own));
                    }
                }
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
        let fields = &selection.of(&zoo.schema, &layout, zoo.schema.id(ty).unwrap()).fields;
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

    /// Else there would be as many selections as ways through the types: of two types at each of twenty levels a million.
    #[test]
    fn types_that_select_the_same_share_it() {
        let zoo = zoo();
        let set = document("{ friend { friend { name } } ... on Cat { friend { id } } }");
        let of = |selection: &Selection, ty: &str| {
            let shown = selection.of(&zoo.schema, &Layout::default(), zoo.schema.id(ty).unwrap());
            let FieldKind::Composite { selection, .. } = &*shown.fields[0].kind else { panic!("{shown:?}") };
            selection.clone()
        };
        let animal = zoo.schema.id("Animal").unwrap();
        let selection = Selection::root(&zoo.schema, animal, set.operation.selection_set);
        let [cat, dog] = ["Cat", "Dog"].map(|ty| of(&selection, ty));
        assert!(!Arc::ptr_eq(&cat, &dog), "more is selected of a cat's friend");
        let ways = [(&cat, "Cat"), (&cat, "Dog"), (&dog, "Cat"), (&dog, "Dog")];
        let ends = ways.map(|(friend, ty)| of(friend, ty));
        assert!(ends.iter().all(|end| Arc::ptr_eq(end, &ends[0])));
    }

    /// The conditions of several selections of one object hold below it, each for what it selects.
    #[test]
    fn what_is_below_alternatives_keeps_its_own_condition() {
        let zoo = zoo();
        let set = document("{ friend @skip(if: $a) { id } friend @include(if: $b) { name } }");
        let cat = zoo.schema.id("Cat").unwrap();
        let selection = Selection::root(&zoo.schema, cat, set.operation.selection_set);
        let layout = Layout::default();
        let friend = &selection.of(&zoo.schema, &layout, cat).fields[0];
        let FieldKind::Composite { selection, .. } = &*friend.kind else { panic!("{friend:?}") };
        let below = &selection.of(&zoo.schema, &layout, cat).fields;
        let of = |skip: &[&str], include: &[&str]| Condition {
            skip: skip.iter().map(ToString::to_string).collect(),
            include: include.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(below[0].conditions, [of(&["a"], &[])]);
        assert_eq!(below[1].conditions, [of(&[], &["b"])]);
    }
}
