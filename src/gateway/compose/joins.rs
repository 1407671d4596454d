//! Which subgraphs have what, as a supergraph's text says it, and where keys lead.

use std::collections::{BTreeMap, BTreeSet};

use graphql_tools::parser::schema::{Definition, Directive, Field, TypeDefinition, Value};

use super::complete::{Supergraph, graphs, text};
use super::field_set::{FRAGMENT, FieldSet};
use crate::gateway::schema::name_of;

type TypeAst = TypeDefinition<'static, String>;
pub type DirectiveAst = Directive<'static, String>;

/// The types of a supergraph, by their names.
pub fn types(document: &Supergraph) -> impl Iterator<Item = (&str, &TypeAst)> {
    document.definitions.iter().filter_map(|definition| match definition {
        Definition::TypeDefinition(ty) => Some((name_of(ty), ty)),
        _ => None,
    })
}

pub fn fields(ty: &TypeAst) -> &[Field<'static, String>] {
    match ty {
        TypeDefinition::Object(object) => &object.fields,
        TypeDefinition::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

pub fn directives(ty: &TypeAst) -> &[DirectiveAst] {
    match ty {
        TypeDefinition::Object(object) => &object.directives,
        TypeDefinition::Interface(interface) => &interface.directives,
        TypeDefinition::Union(union) => &union.directives,
        TypeDefinition::Enum(values) => &values.directives,
        TypeDefinition::InputObject(input) => &input.directives,
        TypeDefinition::Scalar(scalar) => &scalar.directives,
    }
}

/// Whether an argument of a directive is this truth value.
pub fn is(directive: &DirectiveAst, name: &str, value: bool) -> bool {
    directive.arguments.iter().any(|(own, found)| own == name && *found == Value::Boolean(value))
}

/// The keys of a type, with the graphs that they are of.
pub fn keys(ty: &TypeAst) -> impl Iterator<Item = (&DirectiveAst, FieldSet)> {
    let joins = directives(ty).iter().filter(|directive| directive.name == "join__type");
    joins.filter_map(|join| Some((join, FieldSet::parse(text(join, "key")?)?)))
}

/// A supergraph, to ask who has what.
pub struct Joins<'a> {
    types: BTreeMap<&'a str, &'a TypeAst>,
    names: BTreeMap<String, String>,
}

impl<'a> Joins<'a> {
    pub fn of(document: &'a Supergraph) -> Self {
        Self { types: types(document).collect(), names: graphs(document) }
    }

    /// The names of the subgraphs that have a field.
    pub fn subgraphs(&self, ty: &str, field: &str) -> Vec<String> {
        let graphs = self.resolving(ty, field);
        graphs.into_iter().filter_map(|graph| self.names.get(graph).cloned()).collect()
    }

    /// The graphs that resolve a field.
    fn resolving(&self, ty: &str, field: &str) -> BTreeSet<&'a str> {
        let Some(ty) = self.types.get(ty).copied() else { return BTreeSet::new() };
        let Some(field) = fields(ty).iter().find(|own| own.name == field) else { return BTreeSet::new() };
        let mut joins = field.directives.iter().filter(|join| join.name == "join__field").peekable();
        match joins.peek() {
            Some(_) => joins
                .filter(|join| !is(join, "external", true))
                .filter_map(|join| text(join, "graph"))
                .collect(),
            None => {
                let joins = directives(ty).iter().filter(|join| join.name == "join__type");
                joins.filter_map(|join| text(join, "graph")).collect()
            }
        }
    }

    /// Whether keys lead from where `from` is resolved, a field whose values are objects of type `ty`, to a subgraph that
    /// has a field of theirs, with all that it requires. Looks at names alone: what is said no to has no way, and what is
    /// said yes to may have one.
    pub fn lead(&self, from: (&str, &str), (ty, field): (&str, &str)) -> bool {
        let Some(definition) = self.types.get(ty) else { return false };
        let mut reached = self.resolving(from.0, from.1);
        let has = |reached: &BTreeSet<&str>, field: &str| !self.resolving(ty, field).is_disjoint(reached);
        loop {
            let before = reached.len();
            let known = reached.clone();
            let further = keys(definition).filter(|(join, key)| {
                !is(join, "resolvable", false) && key.0.keys().all(|part| has(&known, part))
            });
            reached.extend(further.filter_map(|(join, _)| text(join, "graph")));
            if reached.len() == before {
                break;
            }
        }
        let joins = fields(definition).iter().filter(|own| own.name == field).flat_map(|own| &own.directives);
        let required = joins
            .filter(|join| text(join, "graph").is_some_and(|graph| reached.contains(graph)))
            .filter_map(|join| FieldSet::parse(text(join, "requires")?));
        let mut required =
            required.flat_map(|set| set.0.into_keys()).filter(|part| !part.starts_with(FRAGMENT));
        has(&reached, field) && required.all(|part| has(&reached, &part))
    }
}
