//! Whether a supergraph still has what its owner has, and from the owner (S44).
//!
//! The owner alone is composed as well, and each of its types has to be there as it is there. This knows nothing of what
//! subgraphs call things, so there is nothing that they could call otherwise.

use std::collections::{BTreeMap, BTreeSet};

use graphql_tools::parser::schema::{Field, InputValue, TypeDefinition};

use super::Problem;
use super::complete::{Supergraph, graphs, text};
use super::field_set::{FRAGMENT, FieldSet};
use super::joins::{DirectiveAst, directives, fields, is, keys, types};

type TypeAst = TypeDefinition<'static, String>;

/// A supergraph beside that of the owner alone.
pub struct Owned<'a> {
    pub name: &'a str,
    pub alone: &'a Supergraph,
    pub composed: &'a Supergraph,
    /// What each other subgraph may change all the same.
    pub may_change: BTreeMap<&'a str, &'a BTreeSet<String>>,
}

impl Owned<'_> {
    pub fn broken(&self) -> Vec<Problem> {
        let own: BTreeMap<&str, &TypeAst> = types(self.alone).collect();
        let composed: BTreeMap<&str, &TypeAst> = types(self.composed).collect();
        let known = Known { keyed: keyed(&own), own };
        let own = &known.own;
        let mut problems = Vec::new();
        for (name, ty) in
            own.iter().filter(|(name, _)| !name.starts_with("join__") && !name.starts_with("link__"))
        {
            let changed = match composed.get(name) {
                None => vec![(None, "is gone".to_owned())],
                Some(found) => changed(ty, found),
            };
            let suspects = composed.get(name).map(|ty| self.suspects(ty)).unwrap_or_default();
            for (field, what) in
                changed.into_iter().filter(|(field, _)| !self.may_change(name, field.as_deref()))
            {
                let message = format!("is owned by {}, and {what} by the other subgraphs", self.name);
                let problem = Problem { subgraphs: suspects.clone(), ..Problem::new(message) };
                problems.push(problem.at(name, field.as_deref()));
            }
        }
        for (name, ty) in &composed {
            for field in fields(ty) {
                problems.extend(self.taken(&known, (name, ty), field));
            }
        }
        problems
    }

    fn may_change(&self, ty: &str, field: Option<&str>) -> bool {
        let mut all = self.may_change.values();
        all.any(|may| may.contains(ty) || field.is_some_and(|field| may.contains(&format!("{ty}.{field}"))))
    }

    /// The other subgraphs that have something of a type.
    fn suspects(&self, ty: &TypeAst) -> Vec<String> {
        let names = graphs(self.composed);
        let joins = directives(ty).iter().filter_map(|directive| text(directive, "graph"));
        let found: BTreeSet<&String> = joins.filter_map(|graph| names.get(graph)).collect();
        found.into_iter().filter(|name| *name != self.name).cloned().collect()
    }

    /// Where another subgraph has or provides a field of the owner's.
    fn taken(
        &self,
        known: &Known<'_>,
        (name, ty): (&str, &TypeAst),
        field: &Field<'static, String>,
    ) -> Vec<Problem> {
        let is_owned = known.has(name, &field.name);
        let is_key = known.keyed.contains(&(name.to_owned(), field.name.clone()));
        let names = graphs(self.composed);
        let mut problems = Vec::new();
        for join in field.directives.iter().filter(|directive| directive.name == "join__field") {
            let Some(subgraph) = text(join, "graph").and_then(|graph| names.get(graph)) else { continue };
            if subgraph == self.name {
                continue;
            }
            let told = |message: String| Problem::of(subgraph, message).at(name, field.name.as_str());
            if text(join, "override").is_some_and(|from| from == self.name) {
                problems.push(told(format!("overrides what {} owns", self.name)));
            } else if is_owned && !is_key && !is(join, "external", true) {
                problems.push(told(format!("is owned by {}, and resolved here", self.name)));
            }
            if let Some(provided) = text(join, "provides")
                && let Some(taken) = self.provided(known, field.field_type.named(), FieldSet::parse(provided))
            {
                problems.push(told(format!("provides `{taken}`, which is owned by {}", self.name)));
            }
        }
        // Without a `@join__field` all subgraphs of the type have the field.
        let has_joins = field.directives.iter().any(|directive| directive.name == "join__field");
        if is_owned && !has_joins && !is_key && is_composite(ty) {
            for subgraph in self.suspects(ty) {
                let message = format!("is owned by {}, and resolved here", self.name);
                problems.push(Problem::of(&subgraph, message).at(name, field.name.as_str()));
            }
        }
        problems.retain(|problem| {
            let may = problem.subgraphs.first().and_then(|name| self.may_change.get(name.as_str()));
            !may.is_some_and(|may| may.contains(name) || may.contains(&format!("{name}.{}", field.name)))
        });
        problems
    }

    /// What of the owner's is provided, beyond keys.
    fn provided(&self, known: &Known<'_>, ty: &str, set: Option<FieldSet>) -> Option<String> {
        // What it means is not known here, so it may be anything.
        let Some(set) = set else { return Some(ty.to_owned()) };
        set.0.into_iter().find_map(|(field, below)| {
            if let Some(on) = field.strip_prefix(FRAGMENT) {
                return self.provided(known, on, Some(below));
            }
            let is_key = known.keyed.contains(&(ty.to_owned(), field.clone()));
            if known.has(ty, &field) && !is_key && !self.may_change(ty, Some(&field)) {
                return Some(format!("{ty}.{field}"));
            }
            let (_, here) = types(self.composed).find(|(name, _)| *name == ty)?;
            let found = fields(here).iter().find(|found| found.name == field)?;
            (!below.0.is_empty()).then(|| self.provided(known, found.field_type.named(), Some(below)))?
        })
    }
}

/// What the owner has.
struct Known<'a> {
    own: BTreeMap<&'a str, &'a TypeAst>,
    /// The fields that are part of its keys, by their types.
    keyed: BTreeSet<(String, String)>,
}

impl Known<'_> {
    fn has(&self, ty: &str, field: &str) -> bool {
        self.own.get(ty).is_some_and(|ty| fields(ty).iter().any(|known| known.name == field))
    }
}

fn keyed(own: &BTreeMap<&str, &TypeAst>) -> BTreeSet<(String, String)> {
    fn keep(
        own: &BTreeMap<&str, &TypeAst>,
        (ty, set): (&str, &FieldSet),
        keyed: &mut BTreeSet<(String, String)>,
    ) {
        for (field, below) in &set.0 {
            keyed.insert((ty.to_owned(), field.clone()));
            let found = own.get(ty).and_then(|ty| fields(ty).iter().find(|known| known.name == *field));
            if let Some(found) = found {
                keep(own, (found.field_type.named(), below), keyed);
            }
        }
    }
    let mut keyed = BTreeSet::new();
    for (name, ty) in own {
        keys(ty).for_each(|(_, key)| keep(own, (name, &key), &mut keyed));
    }
    keyed
}

/// The name within lists and what may not be null.
trait Named {
    fn named(&self) -> &str;
}

impl Named for graphql_tools::parser::schema::Type<'static, String> {
    fn named(&self) -> &str {
        match self {
            Self::NamedType(name) => name,
            Self::ListType(inner) | Self::NonNullType(inner) => inner.named(),
        }
    }
}

fn is_composite(ty: &TypeAst) -> bool {
    matches!(ty, TypeDefinition::Object(_) | TypeDefinition::Interface(_))
}

/// Directives but those that say which subgraph has what.
fn marks(directives: &[DirectiveAst]) -> Vec<String> {
    let own = directives.iter().filter(|directive| !directive.name.starts_with("join__"));
    own.map(ToString::to_string).collect()
}

fn input_text(input: &InputValue<'static, String>) -> String {
    let default = input.default_value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    format!("{}: {}{default} {}", input.name, input.value_type, marks(&input.directives).join(" "))
}

/// What of a type is not as it was: the field or value, and in a word what has become of it.
fn changed(own: &TypeAst, found: &TypeAst) -> Vec<(Option<String>, String)> {
    let mut changes = Vec::new();
    let mut whole = |is_same: bool, what: &str| {
        if !is_same {
            changes.push((None, what.to_owned()));
        }
    };
    whole(std::mem::discriminant(own) == std::mem::discriminant(found), "made another kind of type");
    whole(marks(directives(own)) == marks(directives(found)), "marked otherwise");
    match (own, found) {
        (TypeDefinition::Object(own), TypeDefinition::Object(found)) => {
            whole(own.implements_interfaces == found.implements_interfaces, "given other interfaces");
        }
        (TypeDefinition::Union(own), TypeDefinition::Union(found)) => {
            whole(own.types == found.types, "given other members");
        }
        (TypeDefinition::Enum(own), TypeDefinition::Enum(found)) => {
            let values = |values: &graphql_tools::parser::schema::EnumType<'static, String>| -> Vec<_> {
                values.values.iter().map(|value| (value.name.clone(), marks(&value.directives))).collect()
            };
            whole(values(own) == values(found), "given other values");
        }
        (TypeDefinition::InputObject(own), TypeDefinition::InputObject(found)) => {
            let inputs: (Vec<_>, Vec<_>) =
                (own.fields.iter().map(input_text).collect(), found.fields.iter().map(input_text).collect());
            whole(inputs.0 == inputs.1, "given other fields");
        }
        _ => {}
    }
    for field in fields(own) {
        let is_same = fields(found).iter().find(|other| other.name == field.name).is_some_and(|other| {
            let arguments = |field: &Field<'static, String>| -> Vec<String> {
                field.arguments.iter().map(input_text).collect()
            };
            field.field_type == other.field_type
                && arguments(field) == arguments(other)
                && marks(&field.directives) == marks(&other.directives)
        });
        if !is_same {
            changes.push((Some(field.name.clone()), "changed".to_owned()));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::complete::complete;
    use super::super::library;
    use super::super::sdl::Sdl;
    use super::super::supplement::Supplement;
    use super::super::testing::subgraph;
    use super::*;

    const OWNER: &str = r#"
        type Query { viewer: Account }
        type Account @key(fields: "id") { id: ID! name: String profiles(first: Int): [Profile!]! shared: Int @shareable }
        type Profile @key(fields: "id") { id: ID! state: State }
        enum State { ON OFF }
        input Wanted { name: String other: String }
        type Mutation { want(w: Wanted): Int }
        union Anything = Account
        scalar Key
    "#;

    /// What is found if nobody has looked at what the subgraph says.
    fn broken(sdl: &str) -> Vec<String> {
        let subgraphs = [subgraph("accounts", OWNER), subgraph("hostile", sdl)];
        let made = |count: usize| {
            let sdls: Vec<Sdl> =
                subgraphs[..count].iter().map(|subgraph| Sdl::read(subgraph).unwrap()).collect();
            let all: Vec<_> = subgraphs[..count].iter().collect();
            let (text, _) =
                library::compose(&all, &sdls).unwrap_or_else(|problems| panic!("{sdl}: {problems}"));
            complete(&text, &Supplement::of(&sdls)).unwrap()
        };
        let none = BTreeSet::new();
        let may_change = BTreeMap::from([("hostile", &none)]);
        let owned = Owned { name: "accounts", alone: &made(1), composed: &made(2), may_change };
        owned.broken().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_from_its_owner_is_found() {
        for (sdl, place) in [
            (
                "type Account @key(fields: \"id\") { id: ID! name: String @override(from: \"accounts\") }",
                "hostile: Account.name: overrides",
            ),
            (
                "type Query { viewer: Account @override(from: \"accounts\") } type Account @key(fields: \"id\") { id: ID! }",
                "hostile: Query.viewer: overrides",
            ),
            (
                "type Account @key(fields: \"id\") { id: ID! shared: Int @shareable }",
                "hostile: Account.shared: is owned by accounts, and resolved here",
            ),
            (
                "type Account @key(fields: \"id\") { id: ID! profiles: [Profile!]! @external } type Profile @key(fields: \"id\") { id: ID! }",
                "hostile: Account.profiles: is owned by accounts, and changed",
            ),
            ("type Account @key(fields: \"id\") { id: ID! @inaccessible }", "hostile: Account.id: is owned"),
            ("type Account @key(fields: \"id\") @tag(name: \"x\") { id: ID! }", "hostile: Account: is owned"),
            (
                "interface Own { x: Int } type Account implements Own @key(fields: \"id\") { id: ID! x: Int }",
                "hostile: Account: is owned by accounts, and given other interfaces",
            ),
            ("enum State { ON OFF BROKEN }", "hostile: State: is owned by accounts, and given other values"),
            (
                "input Wanted { name: String }",
                "hostile: Wanted: is owned by accounts, and given other fields",
            ),
            (
                "union Anything = Mine type Mine { x: Int }",
                "hostile: Anything: is owned by accounts, and given",
            ),
            ("scalar Key @tag(name: \"x\")", "hostile: Key: is owned by accounts, and marked otherwise"),
            (
                "type Query { posts: Post } type Post { by: Account @provides(fields: \"name\") } \
                 type Account @key(fields: \"id\") { id: ID! name: String @external }",
                "hostile: Post.by: provides `Account.name`",
            ),
            (
                "type Query { found: Found @provides(fields: \"... on Account { name }\") } union Found = Account | Own \
                 type Own { x: Int } type Account @key(fields: \"id\") { id: ID! name: String @external }",
                "hostile: Query.found: provides `Account.name`",
            ),
        ] {
            let told = broken(sdl);
            assert!(told.iter().any(|line| line.starts_with(place)), "{sdl} is told {told:#?}");
        }
    }

    #[test]
    fn what_is_from_its_owner_is_fine() {
        for sdl in [
            "type Account @key(fields: \"id\") { id: ID! posts: Int }",
            "type Account @key(fields: \"id\") { id: ID! name: String @external shout: String @requires(fields: \"name\") }",
            "type Query { by: Account } type Account @key(fields: \"id\", resolvable: false) { id: ID! }",
        ] {
            assert_eq!(broken(sdl), Vec::<String>::new(), "{sdl}");
        }
    }
}
