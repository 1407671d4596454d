//! Completes what the library composes: it leaves out what the planner needs, and writes in an order that says nothing.
//!
//! - Root types, unions and scalars are in subgraphs too (`@join__type`), which is where the planner begins.
//! - Guards stand as the subgraphs say them ([`super::guards`]).
//! - Without a link to its specification the planner drops a guard or a tag, and what it guards would be served open.
//! - If a field has a type of its own in one subgraph, the planner wants the types in all of them.
//! - A field on its way to another subgraph has its label in both, or it is never on its way.
//! - A subgraph may have an interface as an object by a key that it does not resolve.
//! - Root types have descriptions.
//! - `@specifiedBy` is part of the schema that clients see.

use std::collections::{BTreeMap, BTreeSet};

use graphql_tools::parser::schema::{
    Definition, Directive, Document, Field, InterfaceType, ScalarType, SchemaDefinition, TypeDefinition,
    Value,
};
use hive_router_query_planner::utils::parsing::safe_parse_schema;

use super::joins::DirectiveAst;
use super::order::{each_list, sort};
use super::supplement::Supplement;
use super::{Problem, Problems};
use crate::gateway::schema::name_of;

pub type Supergraph = Document<'static, String>;

/// The specifications that a supergraph uses, as they define themselves (`join` 0.4, `link` 1.0, `inaccessible` 0.2).
const SPECIFICATIONS: &str = include_str!("specifications.graphql");

/// Directives that the planner knows by a link only: their name, its version, and whether it is for security.
const LINKED: [(&str, &str, bool); 4] = [
    ("authenticated", "v0.1", true),
    ("policy", "v0.1", true),
    ("requiresScopes", "v0.1", true),
    ("tag", "v0.3", false),
];

/// Completes the text of a supergraph.
pub fn complete(text: &str, supplement: &Supplement) -> Result<Supergraph, Problems> {
    let unreadable = |error: String| Problem::new(format!("what was composed does not parse: {error}"));
    let mut document = safe_parse_schema(text).map_err(|error| unreadable(error.to_string()))?;
    let own = safe_parse_schema(SPECIFICATIONS).map_err(|error| unreadable(error.to_string()))?;
    let graphs = Graphs::of(&document);
    let roots: BTreeSet<String> =
        [document.query_type_name(), document.mutation_type_name(), document.subscription_type_name()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
    let query = document.query_type_name().cloned();
    for definition in &mut document.definitions {
        let Definition::TypeDefinition(ty) = definition else { continue };
        if roots.contains(name_of(ty)) {
            place_root(ty, &graphs, query.as_deref() == Some(name_of(ty)));
            if let TypeDefinition::Object(root) = ty {
                let described = supplement.roots.get(root.name.as_str()).cloned();
                root.description = root.description.take().or(described);
            }
        }
        match ty {
            TypeDefinition::Object(object) => {
                object.fields.iter_mut().for_each(|field| settle(field, &graphs));
            }
            TypeDefinition::Interface(interface) => {
                interface.fields.iter_mut().for_each(|field| settle(field, &graphs));
                place_interface(interface, &graphs, supplement);
            }
            TypeDefinition::Union(union) => place_union(&mut union.directives),
            TypeDefinition::Scalar(scalar) => place_scalar(scalar, &graphs, supplement),
            TypeDefinition::Enum(_) | TypeDefinition::InputObject(_) => {}
        }
    }
    Problems::none_of(supplement.guards.place(&mut document).into_iter())?;
    let used = used(&document);
    for definition in &mut document.definitions {
        if let Definition::SchemaDefinition(schema) = definition {
            link(schema, &used);
        }
    }
    define(&mut document, own);
    sort(&mut document);
    Ok(document)
}

/// The subgraphs: the values of `enum join__Graph`, and their names.
struct Graphs(BTreeMap<String, String>);

impl Graphs {
    fn of(document: &Supergraph) -> Self {
        Self(graphs(document))
    }

    /// The value that stands for a subgraph.
    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(_, own)| *own == name).map(|(value, _)| value.as_str())
    }
}

/// The names of subgraphs by what they are called in a supergraph.
pub fn graphs(document: &Supergraph) -> BTreeMap<String, String> {
    let values = document.definitions.iter().find_map(|definition| match definition {
        Definition::TypeDefinition(TypeDefinition::Enum(values)) if values.name == "join__Graph" => {
            Some(values)
        }
        _ => None,
    });
    let named = values.into_iter().flat_map(|values| &values.values).map(|value| {
        let directive = value.directives.iter().find(|directive| directive.name == "join__graph");
        let name = directive.and_then(|directive| text(directive, "name")).unwrap_or(&value.name);
        (value.name.clone(), name.to_owned())
    });
    named.collect()
}

/// An argument of a directive, if it is a text or a value of an enum.
pub fn text<'a>(directive: &'a DirectiveAst, name: &str) -> Option<&'a str> {
    directive.arguments.iter().find(|(own, _)| own == name).and_then(|(_, value)| match value {
        Value::String(text) | Value::Enum(text) => Some(text.as_str()),
        _ => None,
    })
}

pub fn made<const N: usize>(name: &str, arguments: [(&str, Value<'static, String>); N]) -> DirectiveAst {
    let arguments = arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Directive { position: graphql_tools::parser::Pos::default(), name: name.to_owned(), arguments }
}

fn join_type(graph: &str) -> DirectiveAst {
    made("join__type", [("graph", Value::Enum(graph.to_owned()))])
}

/// The query type is in every subgraph, where entities are asked for; others are where a field of theirs is.
fn place_root(ty: &mut TypeDefinition<'static, String>, graphs: &Graphs, is_query: bool) {
    let TypeDefinition::Object(object) = ty else { return };
    if object.directives.iter().any(|directive| directive.name == "join__type") {
        return;
    }
    let joins = object.fields.iter().flat_map(|field| &field.directives);
    let has: BTreeSet<&str> =
        joins.filter(|join| join.name == "join__field").filter_map(|join| text(join, "graph")).collect();
    let placed: Vec<_> = graphs
        .0
        .keys()
        .filter(|graph| is_query || has.contains(graph.as_str()))
        .map(|graph| join_type(graph))
        .collect();
    object.directives.extend(placed);
}

/// An interface is in a subgraph that has it as an object, also by a key which is not resolved there.
fn place_interface(interface: &mut InterfaceType<'static, String>, graphs: &Graphs, supplement: &Supplement) {
    for (_, subgraph, key) in supplement.stood_for.iter().filter(|(name, ..)| *name == interface.name) {
        let Some(graph) = graphs.value(subgraph) else { continue };
        let is_there = |join: &DirectiveAst| {
            join.name == "join__type" && text(join, "graph") == Some(graph) && text(join, "key") == Some(key)
        };
        if !interface.directives.iter().any(is_there) {
            let mut join = join_type(graph);
            join.arguments.push(("key".to_owned(), Value::String(key.clone())));
            join.arguments.push(("resolvable".to_owned(), Value::Boolean(false)));
            join.arguments.push(("isInterfaceObject".to_owned(), Value::Boolean(true)));
            interface.directives.push(join);
        }
    }
}

/// A scalar is in the subgraphs that have it, and specified where they say.
fn place_scalar(scalar: &mut ScalarType<'static, String>, graphs: &Graphs, supplement: &Supplement) {
    let has = |name: &str| scalar.directives.iter().any(|directive| directive.name == name);
    let (is_placed, is_specified) = (has("join__type"), has("specifiedBy"));
    if !is_placed {
        let subgraphs = supplement.scalars.get(&scalar.name).into_iter().flatten();
        let placed = subgraphs.filter_map(|subgraph| graphs.value(subgraph)).map(join_type);
        scalar.directives.extend(placed);
    }
    if let Some((url, _)) = supplement.specified.get(&scalar.name).filter(|_| !is_specified) {
        scalar.directives.push(made("specifiedBy", [("url", Value::String(url.clone()))]));
    }
}

/// A union is in the subgraphs that have members of it.
fn place_union(directives: &mut Vec<DirectiveAst>) {
    if directives.iter().any(|directive| directive.name == "join__type") {
        return;
    }
    let members = directives.iter().filter(|directive| directive.name == "join__unionMember");
    let graphs: BTreeSet<String> =
        members.filter_map(|member| text(member, "graph")).map(str::to_owned).collect();
    directives.extend(graphs.iter().map(|graph| join_type(graph)));
}

/// What of a field is said in one subgraph and has to be in others.
fn settle(field: &mut Field<'static, String>, graphs: &Graphs) {
    let is_join =
        |directive: &DirectiveAst| directive.name == "join__field" && text(directive, "graph").is_some();
    let joins = || field.directives.iter().filter(|directive| is_join(directive));
    let is_typed = joins().any(|join| text(join, "type").is_some());
    let labels: Vec<(String, String)> = joins()
        .filter_map(|join| {
            let from = graphs.value(text(join, "override")?)?;
            Some((from.to_owned(), text(join, "overrideLabel")?.to_owned()))
        })
        .collect();
    let own_type = field.field_type.to_string();
    for join in field.directives.iter_mut().filter(|directive| is_join(directive)) {
        if is_typed && text(join, "type").is_none() {
            join.arguments.push(("type".to_owned(), Value::String(own_type.clone())));
        }
        let label = labels.iter().find(|(graph, _)| text(join, "graph") == Some(graph));
        if let Some((_, label)) = label
            && text(join, "overrideLabel").is_none()
        {
            join.arguments.push(("overrideLabel".to_owned(), Value::String(label.clone())));
        }
    }
}

/// The names of all directives on types, fields, arguments and values.
fn used(document: &Supergraph) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for definition in &document.definitions {
        if let Definition::TypeDefinition(ty) = definition {
            each_list(&mut ty.clone(), &mut |directives| {
                used.extend(directives.iter().map(|directive| directive.name.clone()));
            });
        }
    }
    used
}

/// Links the specifications of what is used.
fn link(schema: &mut SchemaDefinition<'static, String>, used: &BTreeSet<String>) {
    let is_linked = |schema: &SchemaDefinition<'static, String>, url: &str| {
        schema.directives.iter().any(|directive| text(directive, "url") == Some(url))
    };
    for directive in &mut schema.directives {
        for (name, value) in &mut directive.arguments {
            // Labels of `@override` came with it.
            if name == "url"
                && matches!(value, Value::String(url) if url == "https://specs.apollo.dev/join/v0.3")
            {
                *value = Value::String("https://specs.apollo.dev/join/v0.4".to_owned());
            }
        }
    }
    for (name, version, is_guard) in LINKED {
        let url = format!("https://specs.apollo.dev/{name}/{version}");
        if used.contains(name) && !is_linked(schema, &url) {
            let mut link = made("link", [("url", Value::String(url))]);
            if is_guard {
                link.arguments.push(("for".to_owned(), Value::Enum("SECURITY".to_owned())));
            }
            schema.directives.push(link);
        }
    }
}

/// Puts the specifications' own definitions in the place of the library's, which are not whole.
fn define(document: &mut Supergraph, own: Supergraph) {
    let name = |definition: &Definition<'static, String>| match definition {
        Definition::DirectiveDefinition(directive) => Some(format!("@{}", directive.name)),
        Definition::TypeDefinition(ty) => Some(name_of(ty).to_owned()),
        _ => None,
    };
    let names: BTreeSet<String> = own.definitions.iter().filter_map(name).collect();
    let is_replaced = |found: &str| names.contains(found) || found == "@join__owner";
    document.definitions.retain(|definition| name(definition).is_none_or(|found| !is_replaced(&found)));
    document.definitions.extend(own.definitions);
}

#[cfg(test)]
mod tests {
    use super::super::library;
    use super::super::sdl::Sdl;
    use super::super::testing::subgraph;
    use super::*;

    /// What is made of subgraphs, with the lines of its text.
    fn completed(subgraphs: &[(&str, &str)]) -> (String, Vec<Problem>) {
        let subgraphs: Vec<_> = subgraphs.iter().map(|(name, sdl)| subgraph(name, sdl)).collect();
        let sdls: Vec<Sdl> = subgraphs.iter().map(|subgraph| Sdl::read(subgraph).unwrap()).collect();
        let (text, _) = library::compose(&subgraphs.iter().collect::<Vec<_>>(), &sdls).unwrap();
        let supplement = Supplement::of(&sdls);
        (complete(&text, &supplement).unwrap().to_string(), supplement.hints().collect())
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|own| own.trim() == line), "no {line} in {text}");
    }

    /// The query type is everywhere, the others where they have something; a union where it has members.
    #[test]
    fn roots_unions_and_scalars_are_in_subgraphs() {
        let (text, _) = completed(&[
            ("one", "type Query { u: U } union U = A type A { x: Json } scalar Json"),
            ("two", "type Mutation { change: U } union U = B type B { y: Int }"),
        ]);
        has(&text, "type Query @join__type(graph: ONE) @join__type(graph: TWO) {");
        has(&text, "type Mutation @join__type(graph: TWO) {");
        has(
            &text,
            "union U @join__type(graph: ONE) @join__type(graph: TWO) @join__unionMember(graph: ONE, member: \"A\") \
             @join__unionMember(graph: TWO, member: \"B\") = A | B",
        );
        has(&text, "scalar Json @join__type(graph: ONE)");
    }

    /// The planner drops what it has no link for.
    #[test]
    fn guards_and_tags_are_linked() {
        let (text, _) = completed(&[(
            "one",
            "type Query { a: Int @authenticated b: Int @requiresScopes(scopes: [[\"s\"]]) c(x: Int @tag(name: \"t\")): Int } \
             enum E @policy(policies: [[\"p\"]]) { X }",
        )]);
        for (name, version, purpose) in [
            ("authenticated", "v0.1", ", for: SECURITY"),
            ("requiresScopes", "v0.1", ", for: SECURITY"),
            ("policy", "v0.1", ", for: SECURITY"),
            ("tag", "v0.3", ""),
        ] {
            let link = format!("@link(url: \"https://specs.apollo.dev/{name}/{version}\"{purpose})");
            assert_eq!(text.matches(&link).count(), 1, "{link} in {text}");
        }
        has(&text, "a: Int @authenticated @join__field(graph: ONE)");
        let (text, _) = completed(&[("one", "type Query { a: Int }")]);
        assert!(!text.contains("authenticated") && !text.contains("/tag/"), "{text}");
    }

    /// A gateway that does not enforce guards refuses what is composed with them, and does not serve it open.
    #[test]
    fn a_guard_is_never_dropped() {
        for guard in ["@authenticated", "@requiresScopes(scopes: [[\"s\"]])", "@policy(policies: [[\"p\"]])"]
        {
            let (text, _) = completed(&[("one", &format!("type Query {{ a: Int {guard} b: Int }}"))]);
            let line = text.lines().find(|line| line.trim().starts_with("a: Int"));
            assert!(line.is_some_and(|line| line.contains(guard)), "{text}");
        }
    }

    #[test]
    fn a_type_of_one_subgraph_is_said_in_all() {
        let (text, _) = completed(&[
            ("one", "type Query { a: Int @shareable b: Int @shareable }"),
            ("two", "type Query { a: Int! @shareable b: Int @shareable }"),
        ]);
        has(&text, "a: Int @join__field(graph: ONE, type: \"Int\") @join__field(graph: TWO, type: \"Int!\")");
        has(&text, "b: Int @join__field(graph: ONE) @join__field(graph: TWO)");
    }

    #[test]
    fn a_label_is_said_on_both_sides() {
        let (text, _) = completed(&[
            ("new", "type Query { a: Int @override(from: \"old\", label: \"percent(10)\") }"),
            ("old", "type Query { a: Int }"),
        ]);
        has(
            &text,
            "a: Int @join__field(graph: NEW, override: \"old\", overrideLabel: \"percent(10)\") \
             @join__field(graph: OLD, overrideLabel: \"percent(10)\")",
        );
    }

    #[test]
    fn scalars_are_specified_by_the_first_who_says_where() {
        let (text, hints) = completed(&[
            ("one", "type Query { a: Time } scalar Time"),
            ("two", "type Query { b: Time } scalar Time @specifiedBy(url: \"https://a.test/\")"),
            ("zwei", "type Query { c: Time } scalar Time @specifiedBy(url: \"https://b.test/\")"),
        ]);
        let joins = ["ONE", "TWO", "ZWEI"].map(|graph| format!("@join__type(graph: {graph})")).join(" ");
        has(&text, &format!("scalar Time {joins} @specifiedBy(url: \"https://a.test/\")"));
        assert_eq!(
            hints[0].to_string(),
            "zwei: Time: is specified by https://b.test/ here and by https://a.test/ in two, which stays"
        );
    }

    /// What clients see beside types.
    #[test]
    fn what_clients_see_of_types_stays() {
        let (text, _) = completed(&[(
            "one",
            "\"What there is.\" type Query { \"Old.\" a(\"How many.\" n: Int = 3 @deprecated(reason: \"m\")): E @deprecated(reason: \"b\") \
             b(i: In): Int } enum E { X @deprecated(reason: \"y\") Z } input In @oneOf { a: Int b: Int @deprecated(reason: \"c\") }",
        )]);
        for part in [
            "\"What there is.\"",
            "\"Old.\"",
            "\"How many.\"",
            "n: Int = 3 @deprecated(reason: \"m\")",
            "@deprecated(reason: \"b\")",
            "X @deprecated(reason: \"y\")",
            "@oneOf",
            "b: Int @deprecated(reason: \"c\")",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
