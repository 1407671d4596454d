//! A subgraph's schema, read by the parser of the composition library: what is looked at here is what it composes.

use std::collections::BTreeMap;

use cynic_parser::common::OperationType;
use cynic_parser::type_system::{
    Definition, Directive, FieldDefinition, InputValueDefinition, SchemaDefinition, TypeDefinition,
};
use cynic_parser::{TypeSystemDocument, parse_type_system_document};

use super::depth::depth;
use super::field_set::FieldSet;
use super::{Problem, SubgraphSdl};

/// Brackets within each other, in text and in strings with field sets. The parsers recurse.
const DEEPEST: usize = 500;

/// Specifications whose directives bear the names that we know.
const KNOWN: [&str; 7] =
    ["federation", "inaccessible", "tag", "authenticated", "requiresScopes", "policy", "cost"];

/// A subgraph's schema.
pub struct Sdl {
    pub name: String,
    pub document: TypeSystemDocument,
    /// Names of directives as they are here, and what they are called where they come from.
    renamed: BTreeMap<String, String>,
    /// The root types by the names that they have here, and what they are called in the supergraph.
    roots: BTreeMap<String, &'static str>,
}

impl Sdl {
    pub fn read(subgraph: &SubgraphSdl) -> Result<Self, Problem> {
        let problem = |message: String| Problem::of(&subgraph.name, message);
        if depth(&subgraph.sdl) > DEEPEST {
            return Err(problem(format!("its schema has brackets more than {DEEPEST} levels deep")));
        }
        let document = parse_type_system_document(&subgraph.sdl)
            .map_err(|error| problem(format!("its schema does not parse: {error}")))?;
        let (mut renamed, mut roots) = (BTreeMap::new(), BTreeMap::new());
        for schema in document.definitions().filter_map(schema) {
            for link in schema.directives().filter(|directive| directive.name() == "link") {
                if link.argument("url").and_then(|url| url.value().as_str()).is_some_and(is_composite_schemas)
                {
                    return Err(problem(
                        "it links the Composite Schemas specification; the planner here knows that \
                                        of Apollo Federation only"
                            .to_owned(),
                    ));
                }
                for (here, theirs) in names(link) {
                    let before = renamed.insert(here.clone(), theirs.clone());
                    if before.is_some_and(|before| before != theirs) {
                        return Err(problem(format!("two directives are called `@{here}` by its `@link`s")));
                    }
                }
            }
            for root in schema.root_operations() {
                roots.insert(root.named_type().to_owned(), canonical(root.operation_type()));
            }
        }
        for name in ["Query", "Mutation", "Subscription"] {
            if !roots.values().any(|root| *root == name) {
                roots.insert(name.to_owned(), name);
            }
        }
        Ok(Self { name: subgraph.name.clone(), document, renamed, roots })
    }

    /// All types and extensions of types, but those of the federation itself.
    pub fn types(&self) -> impl Iterator<Item = TypeDefinition<'_>> {
        let types = self.document.definitions().filter_map(|definition| match definition {
            Definition::Type(ty) | Definition::TypeExtension(ty) => Some(ty),
            _ => None,
        });
        types.filter(|ty| !["_Any", "_Entity", "_Service"].contains(&ty.name()))
    }

    /// What a type is called in the supergraph.
    pub fn type_name<'a>(&'a self, ty: TypeDefinition<'a>) -> &'a str {
        self.root(ty).unwrap_or(ty.name())
    }

    /// The root type that a type is.
    pub fn root(&self, ty: TypeDefinition<'_>) -> Option<&'static str> {
        ty.is_object().then(|| self.roots.get(ty.name()).copied()).flatten()
    }

    /// What a directive is called by its specification.
    pub fn directive<'a>(&'a self, directive: Directive<'a>) -> &'a str {
        let name = directive.name();
        match self.renamed.get(name) {
            Some(theirs) => theirs,
            None => name.strip_prefix("federation__").unwrap_or(name),
        }
    }
}

fn is_composite_schemas(url: &str) -> bool {
    specification(url) == "composite-schemas"
}

fn schema(definition: Definition<'_>) -> Option<SchemaDefinition<'_>> {
    match definition {
        Definition::Schema(schema) | Definition::SchemaExtension(schema) => Some(schema),
        _ => None,
    }
}

fn canonical(operation: OperationType) -> &'static str {
    match operation {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

/// The names that a link gives to directives, with theirs: of its imports, and by its prefix.
fn names(link: Directive<'_>) -> Vec<(String, String)> {
    let argument = |name: &str| link.argument(name).map(|argument| argument.value());
    let url = argument("url").and_then(|url| url.as_str()).unwrap_or_default();
    let specification = specification(url);
    let mut names = Vec::new();
    if let Some(prefix) = argument("as").and_then(|prefix| prefix.as_str())
        && KNOWN.contains(&specification)
    {
        names.push((prefix.to_owned(), specification.to_owned()));
        for directive in DIRECTIVES {
            names.push((format!("{prefix}__{directive}"), directive.to_owned()));
        }
    }
    for import in argument("import").and_then(|imports| imports.as_items()).into_iter().flatten() {
        let field = |name: &str| import.as_object().and_then(|object| object.get(name)?.as_str());
        let theirs = import.as_str().or_else(|| field("name"));
        let here = field("as").or(theirs);
        let plain = |name: Option<&str>| name.and_then(|name| name.strip_prefix('@')).map(str::to_owned);
        if let (Some(here), Some(theirs)) = (plain(here), plain(theirs)) {
            // A directive of somebody else's by a name that we know is not the one that we know.
            let theirs =
                if KNOWN.contains(&specification) { theirs } else { format!("{specification}__{theirs}") };
            names.push((here, theirs));
        }
    }
    names
}

/// Directives of the federation that mean something here.
const DIRECTIVES: [&str; 12] = [
    "key",
    "external",
    "shareable",
    "override",
    "provides",
    "requires",
    "extends",
    "interfaceObject",
    "inaccessible",
    "authenticated",
    "policy",
    "requiresScopes",
];

/// `federation` of `https://specs.apollo.dev/federation/v2.5`.
fn specification(url: &str) -> &str {
    let mut segments = url.trim_end_matches('/').rsplit('/');
    let last = segments.next().unwrap_or_default();
    let is_version =
        last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_version { segments.next().unwrap_or_default() } else { last }
}

/// The fields of an object or an interface.
pub fn fields(ty: TypeDefinition<'_>) -> Vec<FieldDefinition<'_>> {
    match ty {
        TypeDefinition::Object(object) => object.fields().collect(),
        TypeDefinition::Interface(interface) => interface.fields().collect(),
        _ => Vec::new(),
    }
}

/// The interfaces that a type has.
pub fn interfaces(ty: TypeDefinition<'_>) -> Vec<&str> {
    match ty {
        TypeDefinition::Object(object) => object.implements_interfaces().collect(),
        TypeDefinition::Interface(interface) => interface.implements_interfaces().collect(),
        _ => Vec::new(),
    }
}

/// What kind of type it is, in words.
pub fn kind(ty: TypeDefinition<'_>) -> &'static str {
    match ty {
        TypeDefinition::Object(_) => "object type",
        TypeDefinition::Interface(_) => "interface",
        TypeDefinition::Union(_) => "union",
        TypeDefinition::Enum(_) => "enum",
        TypeDefinition::Scalar(_) => "scalar",
        TypeDefinition::InputObject(_) => "input",
    }
}

/// The type of a field with its arguments, as one writes it.
pub fn signature(field: FieldDefinition<'_>) -> String {
    let argument = |argument: InputValueDefinition<'_>| {
        let default = argument.default_value().map(|value| format!(" = {value:?}")).unwrap_or_default();
        format!("{}: {}{default}", argument.name(), argument.ty())
    };
    let mut arguments: Vec<String> = field.arguments().map(argument).collect();
    arguments.sort();
    match arguments.is_empty() {
        true => field.ty().to_string(),
        false => format!("({}): {}", arguments.join(", "), field.ty()),
    }
}

/// The keys of a type; absent what is no plain set of fields.
pub fn keys(sdl: &Sdl, ty: TypeDefinition<'_>) -> Vec<Option<FieldSet>> {
    let keys = ty.directives().filter(|directive| sdl.directive(*directive) == "key");
    keys.map(|key| FieldSet::parse(key.argument("fields")?.value().as_str()?)).collect()
}
