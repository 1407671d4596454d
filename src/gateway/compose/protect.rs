//! What one subgraph owns is protected from the others (S44): they may extend its entities by their keys with fields of their
//! own, and nothing else. This reads what a subgraph says, so that whoever wrote it is told where; [`super::owned`] looks at
//! what came of it, whatever it was called.

use std::collections::{BTreeMap, BTreeSet};

use cynic_parser::type_system::{Directive, FieldDefinition, Iter, TypeDefinition};

use super::Problem;
use super::field_set::{FRAGMENT, FieldSet};
use super::sdl::{Sdl, fields, interfaces, keys, kind, signature};

/// What the owner has.
pub struct Protection<'a> {
    owner: &'a str,
    types: BTreeMap<&'a str, OwnedType<'a>>,
}

struct OwnedType<'a> {
    kind: &'static str,
    is_root: bool,
    keys: BTreeSet<FieldSet>,
    /// With their types and arguments.
    fields: BTreeMap<&'a str, String>,
    /// The types of fields alone.
    named: BTreeMap<&'a str, &'a str>,
    values: BTreeSet<&'a str>,
    specified: Option<&'a str>,
}

/// One subgraph that is looked at.
struct Look<'a> {
    protection: &'a Protection<'a>,
    sdl: &'a Sdl,
    /// What it may change all the same.
    may_change: &'a BTreeSet<String>,
    /// Of the owner's types the fields that are part of a key which both have.
    keyed: BTreeMap<&'a str, BTreeSet<String>>,
    problems: Vec<Problem>,
}

impl<'a> Protection<'a> {
    pub fn of(sdl: &'a Sdl) -> Self {
        let mut types = BTreeMap::<&str, OwnedType<'_>>::new();
        for ty in sdl.types() {
            let owned = types.entry(sdl.type_name(ty)).or_insert_with(|| OwnedType {
                kind: kind(ty),
                is_root: sdl.root(ty).is_some(),
                keys: BTreeSet::new(),
                fields: BTreeMap::new(),
                named: BTreeMap::new(),
                values: BTreeSet::new(),
                specified: None,
            });
            owned.keys.extend(keys(sdl, ty).into_iter().flatten());
            for field in fields(ty) {
                owned.fields.insert(field.name(), signature(field));
                owned.named.insert(field.name(), field.ty().name());
            }
            owned.values.extend(values(ty));
            owned.specified = owned.specified.or(specified(ty));
        }
        Self { owner: &sdl.name, types }
    }

    /// What a subgraph has sent to it of the owner's fields, by `@requires`: for whoever asks for its own field, as the owner
    /// resolves it. It may, and whoever runs the graph should know.
    pub fn required_by(&'a self, sdl: &'a Sdl) -> Vec<Problem> {
        let none = BTreeSet::new();
        let mut look =
            Look { protection: self, sdl, may_change: &none, keyed: BTreeMap::new(), problems: Vec::new() };
        sdl.types().for_each(|ty| look.find_keys(ty));
        sdl.types().for_each(|ty| look.requires(ty));
        look.problems
    }

    /// What a subgraph does that it may not.
    pub fn broken_by(&'a self, sdl: &'a Sdl, may_change: &'a BTreeSet<String>) -> Vec<Problem> {
        let mut look =
            Look { protection: self, sdl, may_change, keyed: BTreeMap::new(), problems: Vec::new() };
        sdl.types().for_each(|ty| look.find_keys(ty));
        for ty in sdl.types() {
            look.overrides_and_provides(ty);
            if let Some(owned) = self.types.get(sdl.type_name(ty)) {
                look.at_type(ty, owned);
            }
        }
        look.problems
    }
}

impl<'a> Look<'a> {
    fn told(&mut self, at: (&str, Option<&str>), message: String) {
        let (ty, field) = at;
        let is_allowed = self.may_change.contains(ty)
            || field.is_some_and(|field| self.may_change.contains(&format!("{ty}.{field}")));
        if !is_allowed {
            self.problems.push(Problem::of(&self.sdl.name, message).at(ty, field));
        }
    }

    fn find_keys(&mut self, ty: TypeDefinition<'a>) {
        let Some(owned) = self.protection.types.get(ty.name()).filter(|owned| !owned.is_root) else { return };
        for key in keys(self.sdl, ty).into_iter().flatten().filter(|key| owned.keys.contains(key)) {
            self.keep_key(ty.name(), &key);
        }
    }

    /// All that a key has, also of other types below.
    fn keep_key(&mut self, ty: &'a str, key: &FieldSet) {
        let Some(owned) = self.protection.types.get(ty) else { return };
        for (field, below) in &key.0 {
            self.keyed.entry(ty).or_default().insert(field.clone());
            if let Some(named) = owned.named.get(field.as_str()).filter(|_| !below.0.is_empty()) {
                self.keep_key(named, below);
            }
        }
    }

    fn at_type(&mut self, ty: TypeDefinition<'a>, owned: &OwnedType<'_>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        if kind(ty) != owned.kind {
            let message = format!("is this {} of {owner}'s and may not be a {} here", owned.kind, kind(ty));
            return self.told((name, None), message);
        }
        if owned.is_root {
            return self.at_root(ty, name, owned);
        }
        match ty {
            TypeDefinition::Object(_) => self.at_object(ty, owned),
            TypeDefinition::Scalar(_) => {
                let is_same = specified(ty).is_none_or(|url| Some(url) == owned.specified);
                let bears = ty.directives().find(|directive| directive.name() != "specifiedBy");
                match bears {
                    Some(directive) => self.bears((name, None), directive),
                    None if is_same => {}
                    None => {
                        self.told((name, None), format!("is specified otherwise by {owner}, which owns it"));
                    }
                }
            }
            TypeDefinition::Enum(values_here) => {
                let bears = ty.directives().next().map(|directive| (None, directive));
                let of_value = values_here
                    .values()
                    .find_map(|value| Some((Some(value.value()), value.directives().next()?)));
                if let Some((value, directive)) = bears.or(of_value) {
                    self.bears((name, value), directive);
                } else if values(ty) != owned.values {
                    self.told((name, None), format!("is an enum of {owner}, and has other values there"));
                }
            }
            _ => self.told((name, None), format!("is owned by {owner} and may not be redefined")),
        }
    }

    /// The roots belong to everybody, their fields to who has them.
    fn at_root(&mut self, ty: TypeDefinition<'a>, name: &str, owned: &OwnedType<'_>) {
        if let Some(directive) = self.other_directive(ty.directives(), &["extends", "shareable"]) {
            self.bears((name, None), directive);
        }
        for field in fields(ty).into_iter().filter(|field| owned.fields.contains_key(field.name())) {
            if ["_service", "_entities"].contains(&field.name()) {
                continue;
            }
            let message =
                format!("shadows `{name}.{}`, which is owned by {}", field.name(), self.protection.owner);
            self.told((name, Some(field.name())), message);
        }
    }

    fn at_object(&mut self, ty: TypeDefinition<'a>, owned: &OwnedType<'_>) {
        let (name, owner) = (ty.name(), self.protection.owner);
        if let Some(directive) = self.other_directive(ty.directives(), &["key", "extends"]) {
            self.bears((name, None), directive);
        }
        if keys(self.sdl, ty).iter().any(|key| key.as_ref().is_none_or(|key| !owned.keys.contains(key))) {
            self.told((name, None), format!("has a @key here that {owner}, which owns it, does not give it"));
        }
        if let Some(interface) = interfaces(ty).first() {
            let message = format!("is made a `{interface}` here, and is owned by {owner}");
            self.told((name, None), message);
        }
        let mut has_new = false;
        for field in fields(ty) {
            match owned.fields.get(field.name()) {
                Some(signature) => self.at_field(name, field, signature),
                None => has_new = true,
            }
        }
        let has_key = self
            .sdl
            .types()
            .filter(|part| part.name() == name)
            .any(|part| keys(self.sdl, part).into_iter().flatten().any(|key| owned.keys.contains(&key)));
        if has_new && !has_key {
            let message = format!("is owned by {owner}: extend it by one of its keys, if it has any");
            self.told((name, None), message);
        }
    }

    /// A field that the owner has.
    fn at_field(&mut self, ty: &'a str, field: FieldDefinition<'a>, owned: &str) {
        let (at, owner) = ((ty, Some(field.name())), self.protection.owner);
        let has = |wanted: &str| field.directives().any(|directive| self.sdl.directive(directive) == wanted);
        let is_key = self.keyed.get(ty).is_some_and(|keyed| keyed.contains(field.name()));
        let message = if has("override") {
            format!("overrides what {owner} owns")
        } else if has("shareable") {
            format!("shares what {owner} owns; leave @shareable out")
        } else if !is_key && !has("external") {
            format!("redefines what {owner} owns")
        } else if let Some(directive) = self.other_directive(field.directives(), &["external"]) {
            return self.bears(at, directive);
        } else if signature(field) != owned {
            format!("is {} here and {owned} in {owner}, which owns it", signature(field))
        } else if let Some(directive) = field.arguments().find_map(|argument| argument.directives().next()) {
            return self.bears(at, directive);
        } else {
            return;
        };
        self.told(at, message);
    }

    /// Wherever they stand: fields that are taken from the owner.
    fn overrides_and_provides(&mut self, ty: TypeDefinition<'a>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        for field in fields(ty) {
            for directive in field.directives() {
                let text =
                    |name: &str| directive.argument(name).and_then(|argument| argument.value().as_str());
                match self.sdl.directive(directive) {
                    "override" if text("from").is_some_and(|from| from.eq_ignore_ascii_case(owner)) => {
                        self.told((name, Some(field.name())), format!("overrides what {owner} owns"));
                    }
                    "provides" => {
                        let provided = text("fields").and_then(FieldSet::parse);
                        match provided {
                            Some(provided) => {
                                if let Some(taken) = self.taken(field.ty().name(), &provided) {
                                    let message = format!("provides `{taken}`, which is owned by {owner}");
                                    self.told((name, Some(field.name())), message);
                                }
                            }
                            // What it means is not known here, so it may be anything.
                            None => {
                                let message = "provides what is no plain set of fields".to_owned();
                                self.told((name, Some(field.name())), message);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn requires(&mut self, ty: TypeDefinition<'a>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        for field in fields(ty) {
            let mut directives = field.directives();
            let Some(requires) = directives.find(|directive| self.sdl.directive(*directive) == "requires")
            else {
                continue;
            };
            let text = requires.argument("fields").and_then(|argument| argument.value().as_str());
            let taken = match text.and_then(FieldSet::parse) {
                Some(required) => self.all_taken(name, &required),
                None => vec![text.unwrap_or_default().to_owned()],
            };
            for taken in taken {
                let message =
                    format!("requires `{taken}` of {owner}, which is sent to it for whoever asks for this");
                self.told((name, Some(field.name())), message);
            }
        }
    }

    /// Each field of the owner's in a set, beyond keys.
    fn all_taken(&self, ty: &str, set: &FieldSet) -> Vec<String> {
        let each = set.0.iter().flat_map(|(field, below)| {
            if let Some(on) = field.strip_prefix(FRAGMENT) {
                return self.all_taken(on, below);
            }
            let alone = FieldSet(BTreeMap::from([(field.clone(), FieldSet::default())]));
            let mut here = self.sdl.types().filter(|part| part.name() == ty).flat_map(fields);
            let named = here.find(|found| found.name() == field).map(|found| found.ty().name());
            let further = named.map(|named| self.all_taken(named, below)).unwrap_or_default();
            self.taken(ty, &alone).into_iter().chain(further).collect::<Vec<_>>()
        });
        each.collect()
    }

    /// What of the owner's is provided, beyond keys.
    fn taken(&self, ty: &str, provided: &FieldSet) -> Option<String> {
        provided.0.iter().find_map(|(field, below)| {
            if let Some(on) = field.strip_prefix(FRAGMENT) {
                return self.taken(on, below);
            }
            let owned =
                self.protection.types.get(ty).filter(|owned| owned.fields.contains_key(field.as_str()));
            let is_key = self.keyed.get(ty).is_some_and(|keyed| keyed.contains(field));
            let coordinate = format!("{ty}.{field}");
            let is_allowed = self.may_change.contains(ty) || self.may_change.contains(&coordinate);
            if owned.is_some() && !is_key && !is_allowed {
                return Some(coordinate);
            }
            let mut here = self.sdl.types().filter(|part| part.name() == ty).flat_map(fields);
            let named = here.find(|found| found.name() == field)?.ty().name();
            self.taken(named, below)
        })
    }

    fn bears(&mut self, at: (&str, Option<&str>), directive: Directive<'_>) {
        let message =
            format!("bears `@{}` here, and is owned by {}", directive.name(), self.protection.owner);
        self.told(at, message);
    }

    /// A directive beside those that may be there.
    fn other_directive(&self, directives: Iter<'a, Directive<'a>>, may: &[&str]) -> Option<Directive<'a>> {
        let mut directives = directives;
        directives.find(|directive| !may.contains(&self.sdl.directive(*directive)))
    }
}

fn values(ty: TypeDefinition<'_>) -> BTreeSet<&str> {
    match ty {
        TypeDefinition::Enum(values) => values.values().map(|value| value.value()).collect(),
        _ => BTreeSet::new(),
    }
}

fn specified(ty: TypeDefinition<'_>) -> Option<&str> {
    let directive = ty.directives().find(|directive| directive.name() == "specifiedBy")?;
    directive.argument("url")?.value().as_str()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{compose, other, subgraph};
    use super::super::{Composing, Other};

    const OWNER: &str = r#"
        type Query { viewer: Account node(id: ID!): Node }
        type Mutation { rename(name: String!): Account }
        interface Node { id: ID! }
        type Account implements Node @key(fields: "id") { id: ID! name: String profiles(first: Int): [Profile!]! }
        type Profile @key(fields: "id") @key(fields: "platform { key } externalId") {
          id: ID! platform: Platform! externalId: String! handle: String state: State @tag(name: "internal") secret: String @inaccessible
        }
        type Platform @key(fields: "key") { key: Key! name: String }
        type Page @shareable { next: Boolean! }
        union Anything = Account | Profile
        input Wanted { name: String }
        enum State { ON OFF }
        scalar Key @specifiedBy(url: "https://keys.test/")
    "#;

    fn told(sdl: &str, may_change: &[&str]) -> Vec<String> {
        let may_change = may_change.iter().map(|name| (*name).to_owned()).collect();
        let others = vec![Other { may_change, ..other("hostile", sdl) }];
        let composing = Composing { owner: Some(subgraph("accounts", OWNER)), others };
        compose(composing).map_or_else(|problems| problems.lines(), |_| Vec::new())
    }

    /// What is sent to a subgraph is told, field by field; keys are what it has to be sent.
    #[test]
    fn what_a_subgraph_requires_of_the_owner_is_a_hint() {
        let sdl = "type Profile @key(fields: \"id\") { id: ID! handle: String @external platform: Platform! @external \
                   hint: Int @requires(fields: \"id handle platform { name }\") own: Int more: Int @requires(fields: \"handle\") } \
                   type Platform @key(fields: \"key\") { key: Key! name: String @external } scalar Key";
        let others = vec![other("hostile", sdl)];
        let composed = compose(Composing { owner: Some(subgraph("accounts", OWNER)), others }).unwrap();
        let told: Vec<String> = composed.hints.iter().map(ToString::to_string).collect();
        let line = |at: &str, taken: &str| {
            format!(
                "hostile: Profile.{at}: requires `{taken}` of accounts, which is sent to it for whoever asks for this"
            )
        };
        let lines = [
            line("hint", "Profile.handle"),
            line("hint", "Profile.platform"),
            line("hint", "Platform.name"),
            line("more", "Profile.handle"),
        ];
        assert_eq!(told, lines);
    }

    /// New fields on entities by their keys, own types, and owned ones by their names.
    #[test]
    fn an_entity_is_extended_by_its_keys() {
        for sdl in [
            "type Profile @key(fields: \"id\") { id: ID! posts(first: Int): [Post!]! } type Post { text: String by: Profile }",
            "extend type Profile @key(fields: \"id\") { id: ID! @external posts: Int }",
            "type Profile @key(fields: \"externalId platform { key }\") { platform: Platform! externalId: String! posts: Int } \
             type Platform @key(fields: \"key\") { key: Key! } scalar Key",
            "type Profile @key(fields: \"platform { key } externalId\") { platform: Platform! externalId: String! posts: Int } \
             type Platform @key(fields: \"key\") { key: Key! open: Boolean } scalar Key @specifiedBy(url: \"https://keys.test/\")",
            "type Query { post: Post } type Post { by: Profile } type Profile @key(fields: \"id\", resolvable: false) { id: ID! }",
            "type Profile @key(fields: \"id\") { id: ID! handle: String @external shout: String @requires(fields: \"handle\") }",
            "type Profile @key(fields: \"id\") { id: ID! posts: Int @deprecated(reason: \"gone\") @tag(name: \"x\") @inaccessible }",
            "type Query { on: State } enum State { OFF ON }",
            "type Query { post: Post } type Post { by: Profile @provides(fields: \"id\") } type Profile @key(fields: \"id\") { id: ID! posts: Int }",
        ] {
            assert_eq!(told(sdl, &[]), Vec::<String>::new(), "{sdl}");
        }
    }

    /// Whatever else touches what is owned is refused, with its place.
    #[test]
    fn what_is_owned_is_not_touched() {
        let keyed = "@key(fields: \"id\") { id: ID! ";
        for (sdl, place) in [
            ("type Query { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
            ("schema { query: Root } type Root { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
            ("extend type Query { node(id: ID!): Int }".to_owned(), "hostile: Query.node: shadows"),
            ("type Mutation { rename: Int }".to_owned(), "hostile: Mutation.rename: shadows"),
            ("type Query @inaccessible { a: Int }".to_owned(), "hostile: Query: bears `@inaccessible`"),
            (format!("type Account {keyed} name: String }}"), "hostile: Account.name: redefines"),
            (format!("type Account {keyed} name: String @shareable }}"), "hostile: Account.name: shares"),
            (
                format!("type Account {keyed} name: String @override(from: \"accounts\") }}"),
                "hostile: Account.name: overrides",
            ),
            ("type Query { a: Int @override(from: \"accounts\") }".to_owned(), "hostile: Query.a: overrides"),
            (
                format!("type Account {keyed} name: Int @external }}"),
                "hostile: Account.name: is Int here and String in accounts",
            ),
            (
                format!("type Account {keyed} profiles: [Profile!]! @external }} type Profile {keyed} }}"),
                "hostile: Account.profiles: is [Profile!]! here and (first: Int): [Profile!]! in accounts",
            ),
            (
                format!("type Account {keyed} x: Int }} extend type Account @inaccessible"),
                "hostile: Account: bears",
            ),
            (format!("type Account @tag(name: \"x\") {keyed} x: Int }}"), "hostile: Account: bears `@tag`"),
            (
                "type Account @key(fields: \"id\") { id: ID! @inaccessible x: Int }".to_owned(),
                "hostile: Account.id: bears `@inaccessible`",
            ),
            (
                "type Account @key(fields: \"id\") { id: ID! @shareable x: Int }".to_owned(),
                "hostile: Account.id: shares",
            ),
            (
                "type Account @key(fields: \"name\") { name: String x: Int }".to_owned(),
                "hostile: Account: has a @key here",
            ),
            (
                "type Account @key(fields: \"id\") @key(fields: \"id name\") { id: ID! name: String x: Int }"
                    .to_owned(),
                "hostile: Account.name: redefines",
            ),
            (
                "type Account { x: Int }".to_owned(),
                "hostile: Account: is owned by accounts: extend it by one",
            ),
            (
                format!("interface Own {{ x: Int }} type Account implements Own {keyed} x: Int }}"),
                "hostile: Account: is made a `Own`",
            ),
            (
                "interface Node { id: ID! } type Mine implements Node { id: ID! }".to_owned(),
                "hostile: Node: ",
            ),
            (
                "type Node @interfaceObject @key(fields: \"id\") { id: ID! x: Int }".to_owned(),
                "hostile: Node: is this interface of accounts's",
            ),
            ("union Anything = Mine type Mine { x: Int }".to_owned(), "hostile: Anything: "),
            ("input Wanted { more: Int } type Query { a(w: Wanted): Int }".to_owned(), "hostile: Wanted: "),
            ("enum State { ON OFF BROKEN } type Query { a: State }".to_owned(), "hostile: State: "),
            (
                "enum State { ON @inaccessible OFF } type Query { a: State }".to_owned(),
                "hostile: State.ON: bears",
            ),
            (
                "scalar Key @inaccessible type Query { a: Key @inaccessible }".to_owned(),
                "hostile: Key: bears",
            ),
            (
                "scalar Key @specifiedBy(url: \"https://x.test/\") type Query { a: Key }".to_owned(),
                "hostile: Key: ",
            ),
            ("type Page @shareable { next: Boolean! } type Query { a: Page }".to_owned(), "hostile: Page"),
            (
                format!(
                    "type Query {{ post: Post }} type Post {{ by: Profile @provides(fields: \"handle\") }} \
                     type Profile {keyed} handle: String @external }}"
                ),
                "hostile: Post.by: provides `Profile.handle`",
            ),
            (
                format!(
                    "type Query {{ posts: Posts @provides(fields: \"first {{ by {{ handle }} }}\") }} type Posts {{ first: Post }} \
                     type Post {{ by: Profile }} type Profile {keyed} handle: String @external }}"
                ),
                "hostile: Query.posts: provides `Profile.handle`",
            ),
            (
                format!(
                    "type Query {{ found: Found @provides(fields: \"... on Profile {{ handle }}\") }} union Found = Profile \
                     type Profile {keyed} handle: String @external }}"
                ),
                "hostile: Query.found: provides `Profile.handle`",
            ),
            (
                "type Query { a: Mine @provides(fields: \"b(c: 1)\") } type Mine { b(c: Int): Int }"
                    .to_owned(),
                "hostile: Query.a: provides what is no plain set",
            ),
            // Of federation 1, where everything is shared.
            (format!("type Account {keyed} name: String }} # @link"), "hostile: Account.name: redefines"),
            (
                format!("extend type Account {keyed} name: String }} # @link"),
                "hostile: Account.name: redefines",
            ),
        ] {
            let told = told(&sdl, &[]);
            assert!(told.iter().any(|line| line.starts_with(place)), "{sdl} is told {told:#?}");
        }
    }

    /// By whatever names: the directives of a specification may be called anything.
    #[test]
    fn a_directive_is_known_by_any_name() {
        let link = |more: &str| {
            format!("extend schema @link(url: \"https://specs.apollo.dev/federation/v2.7\"{more})")
        };
        let imports = ", import: [\"@key\", {name: \"@override\", as: \"@keep\"}, {name: \"@shareable\", as: \"@external\"}]";
        for (link, field, place) in [
            (link(imports), "name: String @keep(from: \"accounts\")", "hostile: Account.name: overrides"),
            (link(imports), "name: String @external", "hostile: Account.name: shares"),
            (
                link(", as: \"f\", import: [\"@key\"]"),
                "name: String @f__override(from: \"accounts\")",
                "hostile: Account.name: overrides",
            ),
            (
                link(", import: [\"@key\"]"),
                "name: String @federation__override(from: \"accounts\")",
                "hostile: Account.name: overrides",
            ),
            (
                format!(
                    "{} @link(url: \"https://mine.test/mine/v1\", import: [{{name: \"@mine\", as: \"@external\"}}]) \
                     directive @external on FIELD_DEFINITION",
                    link(", import: [\"@key\"]")
                ),
                "name: String @external",
                "hostile: Account.name: redefines",
            ),
            (
                link(
                    ", import: [\"@key\", {name: \"@override\", as: \"@a\"}, {name: \"@external\", as: \"@a\"}]",
                ),
                "name: String @a(from: \"accounts\")",
                "hostile: two directives are called `@a`",
            ),
        ] {
            let sdl = format!("{link} type Account @key(fields: \"id\") {{ id: ID! {field} }}");
            let told = told(&sdl, &[]);
            assert!(told.iter().any(|line| line.starts_with(place)), "{sdl} is told {told:#?}");
        }
    }

    /// What the operator allows one subgraph, and nothing beside it.
    #[test]
    fn what_is_allowed_is_allowed() {
        let page = "type Page @shareable { next: Boolean! } type Query { a: Page }";
        assert_eq!(told(page, &["Page"]), Vec::<String>::new());
        let moved =
            "type Account @key(fields: \"id\") { id: ID! name: String @override(from: \"accounts\") }";
        assert_eq!(told(moved, &["Account.name"]), Vec::<String>::new());
        assert_eq!(told(moved, &["Account"]), Vec::<String>::new());
        for other in ["Account.id", "Profile", "Query.viewer"] {
            assert!(!told(moved, &[other]).is_empty(), "{other}");
        }
    }
}
