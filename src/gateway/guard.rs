//! Who may see what: the guards of a supergraph, and what they say to whoever asks.
//!
//! **Invariants.** A guard of an interface holds for the types that implement it as well, and what is asked through an
//! interface is guarded as any of them is: there is no way around a guard by another type's name. Whoever is not known is
//! nobody; a guard that nothing is known of holds against everybody.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use super::schema::{ApiSchema, TypeId, TypeKind};
use super::supergraph::guards::Declared;

/// A guard's number in its supergraph.
pub type GuardId = u16;

/// Policies by name, with the scopes that they ask for.
pub type Policies = IndexMap<String, Vec<Vec<String>>>;

/// What a guard asks for: of lists one, and of that all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// `@authenticated`
    Authenticated,
    /// `@requiresScopes`
    Scopes(Vec<Vec<String>>),
    /// `@policy`
    Policies(Vec<Vec<String>>),
}

/// What is known of whoever asks, as far as guards and overrides go by it. Without more it is nobody.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    pub is_signed_in: bool,
    pub scopes: BTreeSet<String>,
    /// Which part of all callers they are in, the same for ever; absent for nobody.
    pub part: Option<u64>,
}

impl Rights {
    fn meet(&self, requirement: &Requirement, policies: &Policies) -> bool {
        let has = |scopes: &Vec<String>| scopes.iter().all(|scope| self.scopes.contains(scope));
        let keeps = |names: &Vec<String>| {
            names.iter().all(|name| policies.get(name).is_some_and(|scopes| scopes.iter().any(has)))
        };
        self.is_signed_in
            && match requirement {
                Requirement::Authenticated => true,
                Requirement::Scopes(any) => any.iter().any(has),
                Requirement::Policies(any) => any.iter().any(keeps),
            }
    }

    /// Whether they have one of these scopes.
    pub fn has_any(&self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| self.scopes.contains(scope))
    }
}

/// The guards that an operation meets and that its caller does not pass. Two callers with the same ones have the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Refused {
    /// In their order.
    guards: Arc<[GuardId]>,
    is_signed_in: bool,
}

impl Refused {
    /// Whether any of these is among them.
    pub fn any(&self, guards: &[GuardId]) -> bool {
        guards.iter().any(|guard| self.guards.binary_search(guard).is_ok())
    }

    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// What errors are called that tell of it.
    pub fn code(&self) -> &'static str {
        if self.is_signed_in { "FORBIDDEN" } else { "UNAUTHENTICATED" }
    }
}

/// The sentence of an error with such a code.
pub fn message(code: &str) -> &'static str {
    match code {
        "FORBIDDEN" => "Whoever is signed in may not see this.",
        _ => "Sign in to see this.",
    }
}

/// All guards of a supergraph, worked out for each type and each of its fields.
#[derive(Debug, Default)]
pub struct Guards {
    requirements: Vec<Requirement>,
    /// Of objects themselves.
    types: HashMap<TypeId, Box<[GuardId]>>,
    fields: HashMap<TypeId, HashMap<Box<str>, Box<[GuardId]>>>,
    /// Of what may be found behind a field that leads to an interface or a union, by that.
    behind: HashMap<TypeId, Box<[GuardId]>>,
}

type Set = BTreeSet<GuardId>;

impl Guards {
    pub fn new(declared: &[Declared<'_>], schema: &ApiSchema) -> Self {
        let mut guards = Self::default();
        if declared.is_empty() {
            return guards;
        }
        let mut own = Own::default();
        for of in declared {
            let Some(ty) = schema.id(of.name) else { continue };
            own.types.entry(ty).or_default().extend(guards.numbers(&of.own));
            for (field, requirements) in &of.fields {
                let numbers = guards.numbers(requirements);
                own.fields.entry((ty, (*field).to_owned())).or_default().extend(numbers);
            }
        }
        let is_visible = |ty: &TypeId| schema.is_object(*ty);
        for ty in schema.all().filter(is_visible) {
            guards.add(schema, &own, ty);
        }
        for ty in schema.all() {
            match &schema.get(ty).kind {
                TypeKind::Interface { .. } => guards.add_interface(schema, &own, ty),
                TypeKind::Union => {}
                _ => continue,
            }
            let possible = schema.possible(ty).iter().filter(|ty| is_visible(ty));
            let behind: Set = possible.flat_map(|ty| guards.of_type(*ty).iter().copied()).collect();
            keep(&mut guards.behind, ty, behind);
        }
        guards
    }

    fn numbers(&mut self, requirements: &[Requirement]) -> Vec<GuardId> {
        let numbers = requirements.iter().map(|requirement| {
            let known = self.requirements.iter().position(|known| known == requirement);
            known.unwrap_or_else(|| {
                self.requirements.push(requirement.clone());
                self.requirements.len() - 1
            }) as GuardId
        });
        numbers.collect()
    }

    /// Works out those of an object type.
    fn add(&mut self, schema: &ApiSchema, own: &Own, ty: TypeId) {
        let interfaces: Vec<TypeId> = schema.abstract_of(ty).collect();
        let with_interfaces = || std::iter::once(ty).chain(interfaces.iter().copied());
        let whole: Set = with_interfaces().flat_map(|ty| own.of(ty)).collect();
        for (name, field) in schema.fields(ty) {
            let mut set = whole.clone();
            set.extend(with_interfaces().flat_map(|ty| own.of_field(ty, name)));
            set.extend(own.of_result(schema, field.named));
            self.keep_field(ty, name, set);
        }
        keep(&mut self.types, ty, whole);
    }

    /// Works out those of an interface, once those of all objects are.
    fn add_interface(&mut self, schema: &ApiSchema, own: &Own, ty: TypeId) {
        for (name, field) in schema.fields(ty) {
            let mut set: Set = own.of(ty).chain(own.of_field(ty, name)).collect();
            set.extend(own.of_result(schema, field.named));
            for implementation in schema.possible(ty) {
                set.extend(self.of_field(*implementation, name));
            }
            self.keep_field(ty, name, set);
        }
    }

    fn keep_field(&mut self, ty: TypeId, name: &str, set: Set) {
        if !set.is_empty() {
            self.fields.entry(ty).or_default().insert(name.into(), set.into_iter().collect());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Those of a field of an object or an interface, with those of its type and of what it leads to.
    pub fn of_field(&self, parent: TypeId, name: &str) -> &[GuardId] {
        self.fields.get(&parent).and_then(|fields| fields.get(name)).map_or(&[], |guards| guards)
    }

    /// Those of an object type itself.
    pub fn of_type(&self, ty: TypeId) -> &[GuardId] {
        self.types.get(&ty).map_or(&[], |guards| guards)
    }

    /// Those of the objects that an interface or a union may turn out to be.
    pub fn behind(&self, ty: TypeId) -> &[GuardId] {
        self.behind.get(&ty).map_or(&[], |guards| guards)
    }

    /// The object types that are refused as a whole.
    pub fn refused_types(&self, refused: &Refused) -> Vec<TypeId> {
        let types = self.types.iter().filter(|(_, guards)| refused.any(guards));
        types.map(|(ty, _)| *ty).collect()
    }

    /// Which of the guards that an operation meets hold against whoever has these rights.
    pub fn refused(&self, met: &[GuardId], rights: &Rights, policies: &Policies) -> Refused {
        let passes = |guard: GuardId| {
            let requirement = self.requirements.get(usize::from(guard));
            requirement.is_some_and(|requirement| rights.meet(requirement, policies))
        };
        let mut guards: Vec<GuardId> = met.iter().copied().filter(|guard| !passes(*guard)).collect();
        guards.sort_unstable();
        // Who is refused nothing has the plan of everybody who is.
        let is_signed_in = rights.is_signed_in && !guards.is_empty();
        Refused { guards: guards.into(), is_signed_in }
    }
}

fn keep(guards: &mut HashMap<TypeId, Box<[GuardId]>>, ty: TypeId, set: Set) {
    if !set.is_empty() {
        guards.insert(ty, set.into_iter().collect());
    }
}

/// What a supergraph itself says, before any of it is worked out.
#[derive(Default)]
struct Own {
    types: HashMap<TypeId, Set>,
    fields: HashMap<(TypeId, String), Set>,
}

impl Own {
    fn of(&self, ty: TypeId) -> impl Iterator<Item = GuardId> {
        self.types.get(&ty).into_iter().flatten().copied()
    }

    fn of_field(&self, ty: TypeId, name: &str) -> impl Iterator<Item = GuardId> {
        self.fields.get(&(ty, name.to_owned())).into_iter().flatten().copied()
    }

    /// Of what a field leads to: a type, and its interfaces.
    fn of_result(&self, schema: &ApiSchema, named: TypeId) -> Set {
        let interfaces: Vec<TypeId> = match schema.is_object(named) {
            true => schema.abstract_of(named).collect(),
            false => Vec::new(),
        };
        std::iter::once(named).chain(interfaces).flat_map(|ty| self.of(ty)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::supergraph::Supergraph;
    use crate::gateway::testing::ZOO;

    /// The zoo with a directive at a place, which fields it guards.
    fn guarded(at: &str, with: &str) -> Vec<String> {
        assert!(ZOO.contains(at), "{at}");
        let zoo = Supergraph::parse(&ZOO.replacen(at, with, 1)).unwrap();
        let of_type = |name: &str| -> Vec<String> {
            let ty = zoo.schema.id(name).unwrap();
            let fields = zoo.schema.fields(ty).map(|(field, _)| field);
            let guarded = fields.filter(|field| !zoo.guards.of_field(ty, field).is_empty());
            let mut fields: Vec<String> = guarded.map(|field| format!("{name}.{field}")).collect();
            fields.sort_unstable();
            fields
        };
        ["Animal", "Box", "Cat", "Dog", "Kept", "Query"].into_iter().flat_map(of_type).collect()
    }

    #[test]
    fn a_guard_is_found_wherever_it_stands() {
        for (at, with, fields) in [
            // A field.
            ("text: String", "text: String @authenticated", "Box.text"),
            // An object: all that leads to it, and all that it has.
            (
                "type Box @join__type(graph: A)",
                "type Box @join__type(graph: A) @authenticated",
                "Box.boxes Box.flag Box.float Box.grid Box.id Box.inner Box.int Box.mood Box.moods Box.must Box.raw \
                 Box.strict Box.sure Box.text Cat.home Dog.home Kept.home Query.box Query.boxes",
            ),
            // A scalar, and an enum.
            (
                "scalar Json @join__type(graph: A)",
                "scalar Json @join__type(graph: A) @authenticated",
                "Box.raw",
            ),
            (
                "enum Mood @join__type(graph: A)",
                "enum Mood @join__type(graph: A) @authenticated",
                "Box.mood Box.moods",
            ),
            // A field of an interface, and so of whatever implements it.
            ("home: Box }\ntype Cat", "home: Box @authenticated }\ntype Cat", "Cat.home Dog.home Kept.home"),
            // A field of one implementation: whoever asks through an interface is not told of it either.
            ("lives: Int!", "lives: Int! @authenticated", "Cat.lives"),
            ("home: Box lives", "home: Box @authenticated lives", "Cat.home Kept.home"),
            // An interface: its implementations as a whole.
            (
                "interface Kept @join__type(graph: A)",
                "interface Kept @join__type(graph: A) @authenticated",
                "Animal.friend Animal.id Animal.name Cat.friend Cat.home Cat.id Cat.lives Cat.name Dog.bark Dog.friend \
                 Dog.home Dog.id Dog.name Kept.home",
            ),
            // What nobody sees guards nothing.
            ("@inaccessible { id: ID!", "@inaccessible { id: ID! @authenticated", ""),
        ] {
            let expected: Vec<&str> = fields.split_whitespace().collect();
            assert_eq!(guarded(at, with), expected, "{with}");
        }
    }

    /// All of one list, of whichever; and of several guards each one.
    #[test]
    fn rights_meet_what_is_asked_for_or_do_not() {
        let policies: Policies = [
            ("staff".to_owned(), vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]]),
            ("anybody".to_owned(), vec![vec![]]),
            ("nobody".to_owned(), vec![]),
        ]
        .into();
        let lists = |text: &str| -> Vec<Vec<String>> {
            text.split('|').map(|all| all.split_whitespace().map(str::to_owned).collect()).collect()
        };
        let scopes = |text: &str| Requirement::Scopes(lists(text));
        let policy = |text: &str| Requirement::Policies(lists(text));
        for (requirement, passing, failing) in [
            (Requirement::Authenticated, vec!["", "a"], vec![]),
            (scopes("a b|c"), vec!["a b", "c", "a b c"], vec!["", "a", "b"]),
            (Requirement::Scopes(Vec::new()), vec![], vec!["", "a b c"]),
            (policy("staff"), vec!["a b", "c"], vec!["", "a"]),
            (policy("anybody"), vec![""], vec![]),
            (policy("staff nobody|unheard"), vec![], vec!["a b c"]),
            (policy("staff anybody"), vec!["c"], vec!["a"]),
        ] {
            let rights = |had: &str, is_signed_in| Rights {
                is_signed_in,
                scopes: had.split_whitespace().map(str::to_owned).collect(),
                part: None,
            };
            for had in &passing {
                assert!(rights(had, true).meet(&requirement, &policies), "{requirement:?} by {had:?}");
                assert!(!rights(had, false).meet(&requirement, &policies), "{requirement:?} by nobody");
            }
            for had in &failing {
                assert!(!rights(had, true).meet(&requirement, &policies), "{requirement:?} by {had:?}");
            }
        }
    }
}
