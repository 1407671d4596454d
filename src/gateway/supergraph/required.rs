//! Guards of what fields require: `@requires` has a value fetched and sent to a subgraph for whoever asks for another field, so
//! who asks has to pass the guards of both. A tool that composes may have said so already, and most do not.

use std::collections::{BTreeSet, HashMap};

use graphql_tools::parser::query::{
    Definition as Asked, OperationDefinition, Selection, SelectionSet, TypeCondition,
};
use graphql_tools::parser::schema::{Definition, Document, Field, TypeDefinition, Value};
use hive_router_query_planner::utils::parsing::safe_parse_operation;
use indexmap::IndexSet;

use super::SupergraphError;
use super::alone::named;
use super::guards::Declared;
use crate::gateway::guard::Requirement;
use crate::gateway::schema::name_of;

type Text = Document<'static, String>;
type Set = SelectionSet<'static, String>;

/// Adds to each field the guards of all that it requires, and of what that requires.
///
/// # Errors
/// [`SupergraphError::UnreadableRequires`].
pub fn with_required<'a>(
    document: &'a Text,
    declared: &mut Vec<Declared<'a>>,
) -> Result<(), SupergraphError> {
    if declared.is_empty() {
        return Ok(());
    }
    let types = Types::of(document, declared);
    let mut more = Vec::new();
    for (name, ty) in &types.types {
        let mut guarded = Vec::new();
        for field in fields(ty) {
            let mut walk =
                Walk { types: &types, left: Vec::new(), seen: BTreeSet::new(), found: IndexSet::new() };
            walk.required(name, field)?;
            while let Some((ty, field)) = walk.left.pop() {
                walk.field(ty, field)?;
            }
            if !walk.found.is_empty() {
                guarded.push((field.name.as_str(), walk.found.into_iter().cloned().collect()));
            }
        }
        if !guarded.is_empty() {
            more.push(Declared { name, own: Vec::new(), fields: guarded });
        }
    }
    declared.extend(more);
    Ok(())
}

/// A supergraph, also of what clients do not see: what is required may be hidden.
struct Types<'a> {
    types: HashMap<&'a str, &'a TypeDefinition<'static, String>>,
    /// The objects of interfaces and unions.
    possible: HashMap<&'a str, Vec<&'a str>>,
    /// Of types, and of their fields.
    guards: HashMap<&'a str, HashMap<Option<String>, Vec<Requirement>>>,
}

impl<'a> Types<'a> {
    fn of(document: &'a Text, declared: &[Declared<'a>]) -> Self {
        let types = document.definitions.iter().filter_map(|definition| match definition {
            Definition::TypeDefinition(ty) => Some((name_of(ty), ty)),
            _ => None,
        });
        let types: HashMap<_, _> = types.collect();
        let mut possible = HashMap::<&str, Vec<&str>>::new();
        for (name, ty) in &types {
            match ty {
                TypeDefinition::Object(object) => {
                    for interface in &object.implements_interfaces {
                        possible.entry(interface).or_default().push(name);
                    }
                }
                TypeDefinition::Union(union) => {
                    possible.entry(name).or_default().extend(union.types.iter().map(String::as_str));
                }
                _ => {}
            }
        }
        let mut guards = HashMap::<&str, HashMap<Option<String>, Vec<Requirement>>>::new();
        for of in declared {
            let known = guards.entry(of.name).or_default();
            known.entry(None).or_default().extend(of.own.iter().cloned());
            for (field, own) in &of.fields {
                known.entry(Some((*field).to_owned())).or_default().extend(own.iter().cloned());
            }
        }
        Self { types, possible, guards }
    }

    fn possible(&self, ty: &str) -> &[&'a str] {
        self.possible.get(ty).map_or(&[], Vec::as_slice)
    }

    /// A type with its interfaces.
    fn with_interfaces(&self, ty: &'a str) -> impl Iterator<Item = &'a str> {
        let interfaces = match self.types.get(ty) {
            Some(TypeDefinition::Object(object)) => object.implements_interfaces.as_slice(),
            Some(TypeDefinition::Interface(interface)) => interface.implements_interfaces.as_slice(),
            _ => &[],
        };
        std::iter::once(ty).chain(interfaces.iter().map(String::as_str))
    }
}

/// What one field requires.
struct Walk<'a, 'b> {
    types: &'b Types<'a>,
    /// Fields that were not looked at yet. A list, as they may require each other however far.
    left: Vec<(&'a str, String)>,
    seen: BTreeSet<(&'a str, String)>,
    found: IndexSet<&'b Requirement>,
}

impl<'a> Walk<'a, '_> {
    fn guards(&mut self, ty: &'a str, field: Option<&str>) {
        for ty in self.types.with_interfaces(ty) {
            let of = self.types.guards.get(ty);
            self.found.extend(of.and_then(|of| of.get(&field.map(str::to_owned))).into_iter().flatten());
        }
    }

    /// Those of a type, and of whatever its objects may turn out to be.
    fn ty(&mut self, ty: &'a str) {
        self.guards(ty, None);
        for object in self.types.possible(ty) {
            self.guards(object, None);
        }
    }

    fn field(&mut self, ty: &'a str, name: String) -> Result<(), SupergraphError> {
        self.guards(ty, None);
        self.guards(ty, Some(&name));
        if let Some(field) = self.definition(ty, &name) {
            self.ty(named(&field.field_type));
            self.required(ty, field)?;
        }
        for object in self.types.possible(ty) {
            self.leave((object, name.clone()));
        }
        Ok(())
    }

    fn leave(&mut self, field: (&'a str, String)) {
        if self.seen.insert(field.clone()) {
            self.left.push(field);
        }
    }

    fn definition(&self, ty: &str, name: &str) -> Option<&'a Field<'static, String>> {
        fields(self.types.types.get(ty)?).iter().find(|field| field.name == name)
    }

    fn required(&mut self, ty: &'a str, field: &'a Field<'static, String>) -> Result<(), SupergraphError> {
        for join in field.directives.iter().filter(|directive| directive.name == "join__field") {
            let required = join.arguments.iter().find_map(|(name, value)| match value {
                Value::String(text) if name == "requires" => Some(text),
                _ => None,
            });
            if let Some(text) = required {
                let unreadable =
                    || SupergraphError::UnreadableRequires { at: format!("{ty}.{}", field.name) };
                self.set(ty, &parsed(text).ok_or_else(unreadable)?);
            }
        }
        Ok(())
    }

    fn set(&mut self, ty: &'a str, set: &Set) {
        for item in &set.items {
            match item {
                Selection::Field(field) => {
                    self.leave((ty, field.name.clone()));
                    if let Some(definition) = self.definition(ty, &field.name) {
                        self.set(named(&definition.field_type), &field.selection_set);
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let on = match &fragment.type_condition {
                        Some(TypeCondition::On(name)) => {
                            self.types.types.get_key_value(name.as_str()).map(|(on, _)| *on)
                        }
                        None => Some(ty),
                    };
                    if let Some(on) = on {
                        self.ty(on);
                        self.set(on, &fragment.selection_set);
                    }
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

fn fields<'a>(ty: &'a TypeDefinition<'static, String>) -> &'a [Field<'static, String>] {
    match ty {
        TypeDefinition::Object(object) => &object.fields,
        TypeDefinition::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn parsed(text: &str) -> Option<Set> {
    let document = safe_parse_operation(&format!("{{ {text} }}")).ok()?;
    match <[_; 1]>::try_from(document.definitions).ok()? {
        [Asked::Operation(OperationDefinition::SelectionSet(set))] => Some(set),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::gateway::supergraph::{Supergraph, SupergraphError};
    use crate::gateway::testing::ZOO;

    /// How many guards hold at a field of the zoo with so much of it replaced.
    fn guards(replaced: &[(&str, &str)], (ty, field): (&str, &str)) -> Result<usize, SupergraphError> {
        let text = replaced.iter().fold(ZOO.to_owned(), |text, (part, other)| {
            assert!(text.contains(part), "{part}");
            text.replacen(part, other, 1)
        });
        let zoo = Supergraph::parse(&text)?;
        Ok(zoo.guards.of_field(zoo.schema.id(ty).unwrap(), field).len())
    }

    const KEY: (&str, &str) =
        ("type Box @join__type(graph: A)", "type Box @join__type(graph: A, key: \"id\")");

    fn requiring(field: &'static str, required: &str) -> String {
        format!("{field} @join__field(graph: A, requires: \"{required}\")")
    }

    /// Whoever asks for what is made of a value may see that value.
    #[test]
    fn a_field_is_guarded_as_what_it_requires() {
        let guarded =
            ("text: String", "text: String @join__field(graph: A) @requiresScopes(scopes: [[\"s\"]])");
        let count = |required: &str, more: &[(&str, &str)], at| {
            let replaced = requiring("int: Int", required);
            guards(&[&[KEY, guarded, ("int: Int ", &format!("{replaced} "))], more].concat(), at).unwrap()
        };
        let int = ("Box", "int");
        assert_eq!(count("text", &[], int), 1);
        assert_eq!(count("float", &[], int), 0);
        assert_eq!(count("inner { text }", &[], int), 1);
        assert_eq!(count("inner { inner { ... on Box { text } } }", &[], int), 1);
        // Through a field that requires it in its turn, in a circle or not.
        let through = requiring("float: Float", "text int");
        assert_eq!(count("float", &[("float: Float", &through)], int), 1);
        // What clients do not see is guarded too.
        let hidden = ("text: String", "text: String @inaccessible");
        assert_eq!(count("text", &[hidden], int), 1);
        // A type, an enum and what may stand behind an interface.
        let mood = ("enum Mood @join__type(graph: A)", "enum Mood @join__type(graph: A) @authenticated");
        assert_eq!(count("mood", &[mood], int), 1);
        let pet = ("inner: Box", "pet: Animal inner: Box");
        let dog = ("bark: String", "bark: String @authenticated");
        assert_eq!(count("pet { ... on Dog { bark } }", &[pet, dog], int), 1);
        assert_eq!(count("pet { name }", &[pet, dog], int), 0);
        let name = (
            "name: String friend: Animal home: Box bark",
            "name: String @authenticated friend: Animal home: Box bark",
        );
        assert_eq!(count("pet { name }", &[pet, name], int), 1, "one of those that it may be");
    }
}
