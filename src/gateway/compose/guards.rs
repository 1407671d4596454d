//! Guards of subgraphs in their supergraph. The library loses some (`policies: "staff"`, or on a union), widens others
//! (`["staff"]` becomes a list that asks for nothing), and takes those of several subgraphs for alternatives: so it is not asked.
//! What subgraphs say is read here, as the gateway reads a supergraph, and written where it has to stand.
//!
//! **Invariant.** Each guard of each subgraph holds: at a place that several guard, whoever asks has to pass all of them, also
//! where others leave it open. What cannot be read or placed is a problem and never an open field.

use std::collections::{BTreeMap, BTreeSet};

use cynic_parser::ConstValue;
use cynic_parser::type_system::{Definition, Directive, TypeDefinition};
use graphql_tools::parser::schema::{Definition as Composed, TypeDefinition as TypeAst, Value};

use super::Problem;
use super::complete::{Supergraph, made};
use super::joins::DirectiveAst;
use super::sdl::{Sdl, fields};
use crate::gateway::schema::name_of;

/// The directives, each with its argument.
const GUARDS: [(&str, Option<&str>); 3] =
    [("authenticated", None), ("policy", Some("policies")), ("requiresScopes", Some("scopes"))];

/// Lists at one place; so many are a mistake, or an attack.
const MOST: usize = 1000;

/// Names: of lists one, and of that all.
type Lists = BTreeSet<BTreeSet<String>>;

/// A type, or a field of it, as the supergraph calls them.
type Place = (String, Option<String>);

/// What has to hold at each place, by the names of directives, and the subgraphs that say so.
#[derive(Default)]
pub struct Guards(BTreeMap<Place, (BTreeMap<&'static str, Lists>, BTreeSet<String>)>);

impl Guards {
    /// # Errors
    /// Guards that cannot be read, that ask for nothing, or that stand where none can be.
    pub fn of(sdls: &[Sdl]) -> (Self, Vec<Problem>) {
        let (mut guards, mut problems) = (Self::default(), Vec::new());
        for sdl in sdls {
            for ty in sdl.types() {
                let name = sdl.type_name(ty);
                problems.extend(misplaced(sdl, ty));
                let mut add = |field: Option<&str>, directives: &mut dyn Iterator<Item = Directive<'_>>| {
                    for directive in directives {
                        let added = guards.add(sdl, (name, field), directive);
                        problems.extend(
                            added.err().map(|message| Problem::of(&sdl.name, message).at(name, field)),
                        );
                    }
                };
                if can_be_guarded(ty) {
                    add(None, &mut ty.directives());
                }
                for field in fields(ty) {
                    add(Some(field.name()), &mut field.directives());
                }
            }
            problems.extend(of_schema(sdl));
        }
        (guards, problems)
    }

    fn add(
        &mut self,
        sdl: &Sdl,
        (ty, field): (&str, Option<&str>),
        directive: Directive<'_>,
    ) -> Result<(), String> {
        let Some((guard, argument)) = guard_of(sdl, directive) else { return Ok(()) };
        let read = match argument {
            Some(argument) => {
                let value = directive.argument(argument).map(|argument| argument.value());
                let lists = value.and_then(lists).ok_or_else(|| {
                    format!(
                        "what `@{guard}` asks for cannot be read: `{argument}` is lists of lists of names"
                    )
                })?;
                if lists.is_empty() || lists.iter().any(BTreeSet::is_empty) {
                    return Err(format!(
                        "`@{guard}` has an empty list, which asks for nothing: name what it asks for"
                    ));
                }
                lists
            }
            None => Lists::new(),
        };
        let place = (ty.to_owned(), field.map(str::to_owned));
        let (known, subgraphs) = self.0.entry(place).or_default();
        subgraphs.insert(sdl.name.clone());
        let both = match known.get(guard) {
            Some(before) => all_of(before, &read),
            None => Some(read).filter(|read| read.len() <= MOST),
        };
        let too_many =
            || format!("`@{guard}` asks for one of more than {MOST} lists here, with those of all subgraphs");
        known.insert(guard, both.ok_or_else(too_many)?);
        Ok(())
    }

    /// Writes them into what is composed, instead of those that are there. Tells of each that has no place there.
    pub fn place(&self, document: &mut Supergraph) -> Vec<Problem> {
        let mut left: BTreeSet<&Place> = self.0.keys().collect();
        let mut write = |place: Place, directives: &mut Vec<DirectiveAst>| {
            let Some((place, (guards, _))) = self.0.get_key_value(&place) else { return };
            left.remove(place);
            directives.retain(|directive| GUARDS.iter().all(|(guard, _)| *guard != directive.name));
            directives.splice(0..0, guards.iter().map(|(guard, lists)| written(guard, lists)));
        };
        for definition in &mut document.definitions {
            let Composed::TypeDefinition(ty) = definition else { continue };
            let name = name_of(ty).to_owned();
            let (own, fields) = match ty {
                TypeAst::Object(object) => (&mut object.directives, Some(&mut object.fields)),
                TypeAst::Interface(interface) => (&mut interface.directives, Some(&mut interface.fields)),
                TypeAst::Scalar(scalar) => (&mut scalar.directives, None),
                TypeAst::Enum(values) => (&mut values.directives, None),
                TypeAst::Union(_) | TypeAst::InputObject(_) => continue,
            };
            write((name.clone(), None), own);
            for field in fields.into_iter().flatten() {
                write((name.clone(), Some(field.name.clone())), &mut field.directives);
            }
        }
        let told = left.into_iter().map(|place| {
            let (ty, field) = place;
            let subgraphs = self.0[place].1.iter().cloned().collect();
            let message = "is guarded, and is not in the supergraph, where the guard would have to stand";
            Problem { subgraphs, ..Problem::new(message) }.at(ty, field.as_deref())
        });
        told.collect()
    }
}

fn written(guard: &str, lists: &Lists) -> DirectiveAst {
    let names = |list: &BTreeSet<String>| Value::List(list.iter().cloned().map(Value::String).collect());
    let argument = GUARDS.iter().find(|(own, _)| *own == guard).and_then(|(_, argument)| *argument);
    match argument {
        Some(argument) => made(guard, [(argument, Value::List(lists.iter().map(names).collect()))]),
        None => made(guard, []),
    }
}

/// What asks for one of the first and for one of the second: each with each, without those that ask for more than another.
/// Absent if these are too many.
fn all_of(one: &Lists, other: &Lists) -> Option<Lists> {
    if one == other {
        return Some(one.clone());
    }
    if one.len() * other.len() > MOST {
        return None;
    }
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| one | other));
    let pairs: Lists = pairs.collect();
    let asks_for_more =
        |list: &BTreeSet<String>| pairs.iter().any(|less| less != list && less.is_subset(list));
    Some(pairs.iter().filter(|list| !asks_for_more(list)).cloned().collect())
}

/// A list of one may be without its brackets, and `["a", "b"]` is two lists (GraphQL specification, section 3.11).
fn lists(value: ConstValue<'_>) -> Option<Lists> {
    let one = |value: ConstValue<'_>| match value.as_items() {
        Some(names) => names.map(|name| name.as_str().map(str::to_owned)).collect(),
        None => Some(BTreeSet::from([value.as_str()?.to_owned()])),
    };
    match value.as_items() {
        Some(lists) => lists.map(one).collect(),
        None => Some(Lists::from([one(value)?])),
    }
}

/// Whatever bears the name of a guard is taken for one: it may be meant so although the link was forgotten.
fn guard_of(sdl: &Sdl, directive: Directive<'_>) -> Option<(&'static str, Option<&'static str>)> {
    let name = sdl.directive(directive);
    GUARDS.into_iter().find(|(guard, _)| *guard == name)
}

fn can_be_guarded(ty: TypeDefinition<'_>) -> bool {
    !matches!(ty, TypeDefinition::Union(_) | TypeDefinition::InputObject(_))
}

/// Guards where no specification knows them: nobody could say what they guard there.
fn misplaced(sdl: &Sdl, ty: TypeDefinition<'_>) -> Vec<Problem> {
    let mut found: Vec<(Option<&str>, Directive<'_>)> = Vec::new();
    if !can_be_guarded(ty) {
        found.extend(ty.directives().map(|directive| (None, directive)));
    }
    match ty {
        TypeDefinition::InputObject(input) => {
            for field in input.fields() {
                found.extend(field.directives().map(|directive| (Some(field.name()), directive)));
            }
        }
        TypeDefinition::Enum(values) => {
            for value in values.values() {
                found.extend(value.directives().map(|directive| (Some(value.value()), directive)));
            }
        }
        _ => {}
    }
    for field in fields(ty) {
        let arguments = field.arguments().flat_map(|argument| argument.directives());
        found.extend(arguments.map(|directive| (Some(field.name()), directive)));
    }
    let told = found.into_iter().filter_map(|(field, directive)| {
        let (guard, _) = guard_of(sdl, directive)?;
        let message = format!(
            "bears `@{guard}` where it guards nothing: it may be on objects, interfaces, scalars, enums, and fields of objects \
             and interfaces"
        );
        Some(Problem::of(&sdl.name, message).at(sdl.type_name(ty), field))
    });
    told.collect()
}

fn of_schema(sdl: &Sdl) -> Option<Problem> {
    let schemas = sdl.document.definitions().filter_map(|definition| match definition {
        Definition::Schema(schema) | Definition::SchemaExtension(schema) => Some(schema),
        _ => None,
    });
    let mut guards = schemas.flat_map(|schema| schema.directives()).filter_map(|found| guard_of(sdl, found));
    let (guard, _) = guards.next()?;
    Some(Problem::of(&sdl.name, format!("its schema bears `@{guard}`, which guards nothing there")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{composed, refused};
    use crate::gateway::guard::{Policies, Rights};
    use crate::gateway::supergraph::Supergraph;

    /// The line of a field or a type in what is composed.
    fn line(subgraphs: &[(&str, &str)], start: &str) -> String {
        let text = composed(subgraphs).unwrap().supergraph;
        Supergraph::parse(&text).unwrap();
        text.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap().to_owned()
    }

    /// As it is read in a supergraph, so it is in a subgraph's schema: in every way of writing it.
    #[test]
    fn a_guard_stays_in_every_way_of_writing_it() {
        for (written, found) in [
            ("@authenticated", "@authenticated"),
            ("@federation__authenticated", "@authenticated"),
            ("@policy(policies: \"staff\")", "@policy(policies: [[\"staff\"]])"),
            ("@policy(policies: [\"staff\"])", "@policy(policies: [[\"staff\"]])"),
            ("@policy(policies: [\"a\", [\"b\", \"c\"]])", "@policy(policies: [[\"a\"], [\"b\", \"c\"]])"),
            ("@requiresScopes(scopes: \"x\")", "@requiresScopes(scopes: [[\"x\"]])"),
            ("@requiresScopes(scopes: [\"x\", \"y\"])", "@requiresScopes(scopes: [[\"x\"], [\"y\"]])"),
            (
                "@requiresScopes(scopes: \"x\") @requiresScopes(scopes: \"y\")",
                "@requiresScopes(scopes: [[\"x\", \"y\"]])",
            ),
            (
                "@policy(policies: \"p\") @requiresScopes(scopes: \"x\")",
                "@policy(policies: [[\"p\"]]) and @requiresScopes(scopes: [[\"x\"]])",
            ),
        ] {
            let found: Vec<&str> = found.split(" and ").collect();
            let field = format!("type Query {{ a: Int {written} b: Int }}");
            let text = line(&[("one", &field)], "a: Int");
            assert!(found.iter().all(|found| text.contains(found)), "{written}: {text}");
            for ty in [
                "type A WITH { x: Int }",
                "interface A WITH { x: Int }",
                "scalar A WITH",
                "enum A WITH { X }",
            ] {
                let sdl = format!("type Query {{ a: A }} {}", ty.replace("WITH", written));
                let text = line(&[("one", &sdl)], &ty[..ty.find("WITH").unwrap()]);
                assert!(found.iter().all(|found| text.contains(found)), "{written} at {ty}: {text}");
            }
        }
    }

    /// Whatever the specification is called there.
    #[test]
    fn a_guard_stays_by_any_name() {
        for (link, written) in [
            (
                "@link(url: \"https://specs.apollo.dev/federation/v2.7\", as: \"fed\")",
                "@fed__policy(policies: [\"p\"])",
            ),
            (
                "@link(url: \"https://specs.apollo.dev/federation/v2.7\", import: [{name: \"@policy\", as: \"@may\"}])",
                "@may(policies: [\"p\"])",
            ),
            ("@link(url: \"https://specs.apollo.dev/federation/v2.7\")", "@policy(policies: [\"p\"])"),
        ] {
            let sdl = format!("extend schema {link} type Query {{ a: Int {written} b: Int }}");
            assert!(line(&[("one", &sdl)], "a: Int").contains("@policy(policies: [[\"p\"]])"), "{written}");
        }
    }

    #[test]
    fn a_guard_that_cannot_hold_is_a_problem() {
        for (sdl, told) in [
            ("type Query { a: Int @policy(policies: []) }", "one: Query.a: `@policy` has an empty list"),
            ("type Query { a: Int @policy(policies: [[]]) }", "one: Query.a: `@policy` has an empty list"),
            (
                "type Query { a: Int @policy(policies: [[\"p\"], []]) }",
                "one: Query.a: `@policy` has an empty list",
            ),
            (
                "type Query { a: Int @requiresScopes(scopes: 1) }",
                "one: Query.a: what `@requiresScopes` asks for",
            ),
            (
                "type Query { a: Int @requiresScopes(scopes: [[x]]) }",
                "one: Query.a: what `@requiresScopes` asks for",
            ),
            ("type Query { a: Int @requiresScopes }", "one: Query.a: what `@requiresScopes` asks for"),
            (
                "type Query { u: U } union U @authenticated = A type A { x: Int }",
                "one: U: bears `@authenticated`",
            ),
            (
                "type Query { a(i: I): Int } input I @authenticated { x: Int }",
                "one: I: bears `@authenticated`",
            ),
            (
                "type Query { a(i: I): Int } input I { x: Int @authenticated }",
                "one: I.x: bears `@authenticated`",
            ),
            ("type Query { a(x: Int @authenticated): Int }", "one: Query.a: bears `@authenticated`"),
            ("type Query { e: E } enum E { X @authenticated Y }", "one: E.X: bears `@authenticated`"),
            ("extend schema @authenticated type Query { a: Int }", "one: its schema bears `@authenticated`"),
        ] {
            let lines = refused(&[("one", sdl)]);
            assert!(lines.len() == 1 && lines[0].starts_with(told), "{sdl}: {lines:?}");
        }
        let many = |letter: char| -> String {
            (0..40).map(|number| format!("[\"{letter}{number}\"]")).collect::<Vec<_>>().join(", ")
        };
        let shared = |letter: char| {
            format!("type Query {{ a: Int @shareable @policy(policies: [{}]) }}", many(letter))
        };
        let lines = refused(&[("one", &shared('a')), ("two", &shared('b'))]);
        assert!(lines[0].starts_with("two: Query.a: `@policy` asks for one of more than 1000"), "{lines:?}");
    }

    /// Of what several have, all that any of them asks for.
    #[test]
    fn guards_of_several_subgraphs_all_hold() {
        let with = |guard: &str| {
            format!("type Query {{ a: A @shareable }} type A @shareable {{ x: Int {guard} y: Int }}")
        };
        for (one, two, found) in [
            (
                "@requiresScopes(scopes: \"s\")",
                "@requiresScopes(scopes: \"t\")",
                "@requiresScopes(scopes: [[\"s\", \"t\"]])",
            ),
            (
                "@requiresScopes(scopes: \"s\")",
                "@requiresScopes(scopes: [\"s\", \"t\"])",
                "@requiresScopes(scopes: [[\"s\"]])",
            ),
            (
                "@requiresScopes(scopes: [\"s\", \"t\"])",
                "@requiresScopes(scopes: [\"s\", \"t\"])",
                "[[\"s\"], [\"t\"]]",
            ),
            ("@requiresScopes(scopes: \"s\")", "", "@requiresScopes(scopes: [[\"s\"]])"),
            ("", "@authenticated", "@authenticated"),
            ("@policy(policies: \"p\")", "@authenticated", "@authenticated and @policy(policies: [[\"p\"]])"),
        ] {
            let found: Vec<&str> = found.split(" and ").collect();
            for (one, two) in [(one, two), (two, one)] {
                let text = line(&[("one", &with(one)), ("two", &with(two))], "x: Int");
                assert!(found.iter().all(|found| text.contains(found)), "{one} and {two}: {text}");
            }
        }
        let (guarded, open) = (
            "type Query { a: A @shareable } type A @shareable @policy(policies: \"p\") { x: Int y: Int }",
            with(""),
        );
        assert!(line(&[("one", guarded), ("two", &open)], "type A").contains("@policy(policies: [[\"p\"]])"));
    }

    /// Of the object that stands for an interface, and so of all that implement it.
    #[test]
    fn a_guard_of_an_interface_object_holds_for_what_it_stands_for() {
        let text = composed(&[
            (
                "one",
                "type Query { a: I } interface I @key(fields: \"id\") { id: ID! } type A implements I @key(fields: \"id\") { id: ID! }",
            ),
            (
                "two",
                "type I @key(fields: \"id\") @interfaceObject { id: ID! secret: Int @requiresScopes(scopes: \"s\") }",
            ),
        ])
        .unwrap()
        .supergraph;
        let supergraph = Supergraph::parse(&text).unwrap();
        for ty in ["I", "A"] {
            let ty = supergraph.schema.id(ty).unwrap();
            let guards = supergraph.guards.of_field(ty, "secret");
            let signed_in = Rights { is_signed_in: true, ..Rights::default() };
            assert!(
                !supergraph.guards.refused(guards, &signed_in, &Policies::default()).is_empty(),
                "{text}"
            );
        }
    }
}
