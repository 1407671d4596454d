//! Which fields each subgraph can answer alone, and openly: an operation of nothing else needs no plan.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    ExecutableDocument, OperationType, Selection as Selected, SelectionSet as Selections,
};
use graphql_tools::parser::schema::{Definition, Directive, Document, Field, Type, TypeDefinition, Value};

use crate::gateway::guard::Guards;
use crate::gateway::schema::ApiSchema;

type Text = Document<'static, String>;
type Directives = [Directive<'static, String>];

/// The fields that one subgraph answers alone, each with the type that it leads to, by the types that they are of.
#[derive(Debug, Default)]
pub struct Alone {
    types: HashMap<String, HashMap<String, String>>,
    /// The root types.
    query: String,
    mutation: String,
    subscription: String,
}

impl Alone {
    /// Of the subgraph that the enum of a supergraph's subgraphs calls `graph`. `api` is what clients see of the supergraph.
    /// What is guarded is not among it, nor what may turn out to be.
    pub fn new(
        (supergraph, api): (&Text, &Text),
        (schema, guards): (&ApiSchema, &Guards),
        graph: &str,
    ) -> Self {
        let is_open = |ty: &str, field: &Field<'static, String>| {
            let named = schema.id(named(&field.field_type));
            schema.id(ty).is_some_and(|ty| guards.of_field(ty, &field.name).is_empty())
                && named.is_some_and(|named| guards.behind(named).is_empty())
        };
        let seen = Seen::new(api);
        let impure = impure(supergraph, &seen);
        let mut alone = Self {
            query: "Query".to_owned(),
            mutation: "Mutation".to_owned(),
            subscription: "Subscription".to_owned(),
            types: HashMap::new(),
        };
        for definition in &supergraph.definitions {
            match definition {
                Definition::TypeDefinition(definition) => {
                    let (name, directives, fields) = match definition {
                        TypeDefinition::Object(object) => {
                            (&object.name, &object.directives, object.fields.as_slice())
                        }
                        TypeDefinition::Interface(interface) => {
                            (&interface.name, &interface.directives, interface.fields.as_slice())
                        }
                        TypeDefinition::Union(union) => (&union.name, &union.directives, [].as_slice()),
                        _ => continue,
                    };
                    if !seen.has_type(name) || !is_of(directives, graph) {
                        continue;
                    }
                    let own = fields.iter().filter(|field| {
                        seen.has(name, &field.name)
                            && is_own(field, graph)
                            && is_open(name, field)
                            && !leads_to_any(field, &impure)
                    });
                    let own = own.map(|field| (field.name.clone(), named(&field.field_type).to_owned()));
                    alone.types.insert(name.clone(), own.collect());
                }
                Definition::SchemaDefinition(schema) => {
                    let set = |name: &mut String, root: &Option<String>| {
                        if let Some(root) = root {
                            name.clone_from(root);
                        }
                    };
                    set(&mut alone.query, &schema.query);
                    set(&mut alone.mutation, &schema.mutation);
                    set(&mut alone.subscription, &schema.subscription);
                }
                _ => {}
            }
        }
        alone
    }

    /// Whether a document asks for nothing else. Whether it is valid is another matter.
    pub fn covers(&self, document: &ExecutableDocument) -> bool {
        let mut walk = Walk { alone: self, document, seen: HashSet::new() };
        document.operations.iter().all(|(_, operation)| {
            let root = match operation.node.ty {
                OperationType::Query => &self.query,
                OperationType::Mutation => &self.mutation,
                OperationType::Subscription => &self.subscription,
            };
            walk.covers(root, &operation.node.selection_set.node)
        })
    }
}

struct Walk<'a> {
    alone: &'a Alone,
    document: &'a ExecutableDocument,
    /// Fragments that were looked at: once is enough, and circles end.
    seen: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    fn covers(&mut self, parent: &str, set: &'a Selections) -> bool {
        let Some(fields) = self.alone.types.get(parent) else { return false };
        set.items.iter().all(|selection| match &selection.node {
            Selected::Field(field) => {
                let (name, below) = (field.node.name.node.as_str(), &field.node.selection_set.node);
                match fields.get(name) {
                    Some(leads_to) => below.items.is_empty() || self.covers(leads_to, below),
                    None => name == "__typename",
                }
            }
            Selected::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref();
                let parent = condition.map_or(parent, |condition| condition.node.on.node.as_str());
                self.covers(parent, &fragment.node.selection_set.node)
            }
            Selected::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                let Some(fragment) = self.document.fragments.get(name) else { return false };
                let condition = fragment.node.type_condition.node.on.node.as_str();
                !self.seen.insert(name) || self.covers(condition, &fragment.node.selection_set.node)
            }
        })
    }
}

/// What clients see: types with the names of their fields and values.
struct Seen<'a>(HashMap<&'a str, HashSet<&'a str>>);

impl<'a> Seen<'a> {
    fn new(api: &'a Text) -> Self {
        let types = api.definitions.iter().filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(members(definition)),
            _ => None,
        });
        Self(types.map(|(name, members)| (name, members.into_iter().collect())).collect())
    }

    fn has_type(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn has(&self, of: &str, member: &str) -> bool {
        self.0.get(of).is_some_and(|members| members.contains(member))
    }
}

/// A type with its fields, each with its arguments, or its values, or its members.
fn members<'a>(definition: &'a TypeDefinition<'static, String>) -> (&'a str, Vec<&'a str>) {
    match definition {
        TypeDefinition::Object(object) => {
            (&object.name, object.fields.iter().map(|field| &*field.name).collect())
        }
        TypeDefinition::Interface(interface) => {
            (&interface.name, interface.fields.iter().map(|field| &*field.name).collect())
        }
        TypeDefinition::InputObject(input) => {
            (&input.name, input.fields.iter().map(|field| &*field.name).collect())
        }
        TypeDefinition::Enum(values) => {
            (&values.name, values.values.iter().map(|value| &*value.name).collect())
        }
        TypeDefinition::Union(union) => (&union.name, union.types.iter().map(String::as_str).collect()),
        TypeDefinition::Scalar(scalar) => (&scalar.name, Vec::new()),
    }
}

/// Enums, unions and input types of which clients must not see all: the subgraph itself would take and give it.
fn impure<'a>(supergraph: &'a Text, seen: &Seen<'_>) -> HashSet<&'a str> {
    let types = || {
        supergraph.definitions.iter().filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        })
    };
    let is_whole = |definition: &&TypeDefinition<'static, String>| {
        let (name, members) = members(definition);
        let counts = matches!(
            definition,
            TypeDefinition::Enum(_) | TypeDefinition::InputObject(_) | TypeDefinition::Union(_)
        );
        !counts || members.iter().all(|member| seen.has(name, member))
    };
    let mut impure: HashSet<&str> =
        types().filter(|definition| !is_whole(definition)).map(|definition| members(definition).0).collect();
    loop {
        let more = types().find_map(|definition| match definition {
            TypeDefinition::InputObject(input) if !impure.contains(&*input.name) => {
                let leads = input.fields.iter().any(|field| impure.contains(named(&field.value_type)));
                leads.then_some(&*input.name)
            }
            _ => None,
        });
        match more {
            Some(name) => impure.insert(name),
            None => return impure,
        };
    }
}

fn leads_to_any(field: &Field<'static, String>, impure: &HashSet<&str>) -> bool {
    let hidden = |argument: &graphql_tools::parser::schema::InputValue<'static, String>| {
        impure.contains(named(&argument.value_type))
            || argument.directives.iter().any(|directive| directive.name == "inaccessible")
    };
    impure.contains(named(&field.field_type)) || field.arguments.iter().any(hidden)
}

pub fn named<'a>(ty: &'a Type<'static, String>) -> &'a str {
    match ty {
        Type::NamedType(name) => name,
        Type::ListType(inner) | Type::NonNullType(inner) => named(inner),
    }
}

/// Whether a type is of a subgraph, by `@join__type`.
fn is_of(directives: &Directives, graph: &str) -> bool {
    directives.iter().any(|directive| {
        directive.name == "join__type"
            && argument(directive, "graph") == Some(graph)
            // There it is one type for all that the interface stands for.
            && flag(directive, "isInterfaceObject") != Some(true)
    })
}

/// Whether a subgraph itself answers a field, by `@join__field`: nobody has taken it over, and nothing guards it.
fn is_own(field: &Field<'static, String>, graph: &str) -> bool {
    const KNOWN: [&str; 4] = ["join__field", "deprecated", "tag", "specifiedBy"];
    if field.directives.iter().any(|directive| !KNOWN.contains(&directive.name.as_str())) {
        return false;
    }
    let mut joins = field.directives.iter().filter(|directive| directive.name == "join__field").peekable();
    if joins.peek().is_none() {
        // Of every subgraph that has the type.
        return true;
    }
    let mut is_own = false;
    for join in joins {
        if argument(join, "override").is_some() {
            return false;
        }
        let is_plain = flag(join, "external") != Some(true)
            && flag(join, "usedOverridden") != Some(true)
            && argument(join, "requires").is_none();
        is_own |= argument(join, "graph") == Some(graph) && is_plain;
    }
    is_own
}

fn argument<'a>(directive: &'a Directive<'static, String>, wanted: &str) -> Option<&'a str> {
    directive.arguments.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| match value {
        Value::String(text) | Value::Enum(text) => Some(text.as_str()),
        _ => None,
    })
}

fn flag(directive: &Directive<'static, String>, wanted: &str) -> Option<bool> {
    directive.arguments.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| match value {
        Value::Boolean(flag) => Some(*flag),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use crate::gateway::supergraph::Supergraph;
    use crate::gateway::testing::ZOO;

    const TYPES: &str = r#"
    enum join__Graph {
      A @join__graph(name: "a", url: "http://a.test/") B @join__graph(name: "b", url: "http://b.test/")
    }
    type Query @join__type(graph: A) @join__type(graph: B) {
      own: Thing @join__field(graph: A)
      other: Thing @join__field(graph: B)
      mood(in: In): Mood @join__field(graph: A)
      filtered(in: In): Int @join__field(graph: A)
      guarded: Int @join__field(graph: A) @authenticated
      locked: Locked @join__field(graph: A)
      either: Either @join__field(graph: A)
      any: Any @join__field(graph: A)
    }
    interface Any @join__type(graph: A) { id: ID }
    type Thing implements Any @join__implements(graph: A, interface: "Any") @join__type(graph: A, key: "id")
      @join__type(graph: B, key: "id") {
      id: ID
      name: String @join__field(graph: A) @deprecated(reason: "old")
      size: Int @join__field(graph: B)
      moved: Int @join__field(graph: A, usedOverridden: true) @join__field(graph: B, override: "a")
      weight: Int @join__field(graph: A) @join__field(graph: B, external: true)
      hidden: Int @join__field(graph: A) @inaccessible
    }
    type Foreign implements Any @join__implements(graph: A, interface: "Any") @join__type(graph: B) { id: ID }
    type Locked @join__type(graph: A) @authenticated { id: ID }
    union Either @join__type(graph: A) @join__unionMember(graph: A, member: "Thing")
      @join__unionMember(graph: A, member: "Locked") = Thing | Locked
    enum Mood @join__type(graph: A) {
      GOOD @join__enumValue(graph: A) BAD @join__enumValue(graph: A) @inaccessible
    }
    input In @join__type(graph: A) { mood: Mood }
    "#;

    #[test]
    fn what_a_subgraph_answers_alone_is_covered_and_nothing_else() {
        let (head, _) = ZOO.split_once("enum join__Graph").unwrap();
        let supergraph = Supergraph::parse_with(&format!("{head}{TYPES}"), "a").unwrap();
        for (operation, is_covered) in [
            ("{ own { id name weight } }", true),
            ("{ own { ...t } ...t } fragment t on Thing { id ... { name } ...t }", true),
            ("{ any { __typename ... on Thing { name } } }", true),
            ("{ __typename own { __typename } }", true),
            ("{ own { size } }", false),
            ("{ own { moved } }", false),
            ("{ own { hidden } }", false),
            ("{ own { nothing } }", false),
            ("{ own { id } other { id } }", false),
            ("{ any { ... on Foreign { __typename } } }", false),
            ("{ mood }", false),
            ("{ filtered }", false),
            ("{ guarded }", false),
            ("{ locked { id } }", false),
            ("{ own { id } either { __typename } }", false),
            ("{ __schema { types { name } } }", false),
            ("query A { own { id } } mutation B { own { id } }", false),
            ("{ ...nobody }", false),
        ] {
            let document = parse_query(operation).unwrap();
            assert_eq!(supergraph.alone.covers(&document), is_covered, "{operation}");
        }
    }
}
