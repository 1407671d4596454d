//! `__schema` and `__type`, answered from the API schema (GraphQL specification, section 4).

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use graphql_tools::parser::schema::{
    Definition, Directive, DirectiveDefinition, Document, EnumValue, Field, InputValue, Type, TypeDefinition,
    Value as SchemaValue,
};
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::{FieldSelection, SelectionSet};
use hive_router_query_planner::ast::value::Value as Argument;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::schema::name_of;

type Text = String;

/// What can be asked of the schema.
pub struct Introspection {
    document: Arc<Document<'static, Text>>,
    /// The definition of each type by its name.
    types: HashMap<String, usize>,
    /// The object types of each interface.
    implementing: HashMap<String, Vec<usize>>,
}

/// The answer has more bytes than it may.
pub struct TooLarge;

/// A thing in the schema that has fields.
#[derive(Clone, Copy)]
enum Node<'a> {
    Schema,
    Definition(&'a TypeDefinition<'static, Text>),
    /// A type as it is used: perhaps a list, or one without null.
    Type(&'a Type<'static, Text>),
    Field(&'a Field<'static, Text>),
    Input(&'a InputValue<'static, Text>),
    EnumValue(&'a EnumValue<'static, Text>),
    Directive(&'a DirectiveDefinition<'static, Text>),
}

/// What a field of such a thing has.
enum Resolved<'a> {
    Value(Value),
    One(Option<Node<'a>>),
    Many(Option<Vec<Node<'a>>>),
}

impl Introspection {
    pub fn new(document: Arc<Document<'static, Text>>) -> Self {
        let named =
            document.definitions.iter().enumerate().filter_map(|(number, definition)| match definition {
                Definition::TypeDefinition(definition) => Some((name_of(definition).to_owned(), number)),
                _ => None,
            });
        let types = named.collect();
        let mut implementing = HashMap::<String, Vec<usize>>::new();
        for (number, definition) in document.definitions.iter().enumerate() {
            let Definition::TypeDefinition(TypeDefinition::Object(object)) = definition else { continue };
            for interface in &object.implements_interfaces {
                implementing.entry(interface.clone()).or_default().push(number);
            }
        }
        Self { types, implementing, document }
    }

    /// Writes the answer to a `__schema` or a `__type` field, of which `fields` are all selections, as long as `out` has not
    /// more than `most` bytes.
    pub fn write(
        &self,
        fields: &[&FieldSelection],
        variables: &Map<String, Value>,
        (out, most): (&mut Vec<u8>, usize),
    ) -> Result<(), TooLarge> {
        let mut asking = Asking { schema: self, variables, out, most, known: HashMap::new() };
        let node = fields.first().and_then(|field| match field.name.as_str() {
            "__schema" => Some(Node::Schema),
            _ => match asking.argument(field, "name") {
                Some(Value::String(name)) => self.definition(&name).map(Node::Definition),
                _ => None,
            },
        });
        asking.one(node, fields)
    }

    fn definition(&self, name: &str) -> Option<&TypeDefinition<'static, Text>> {
        self.numbered(*self.types.get(name)?)
    }

    fn numbered(&self, number: usize) -> Option<&TypeDefinition<'static, Text>> {
        match self.document.definitions.get(number) {
            Some(Definition::TypeDefinition(definition)) => Some(definition),
            _ => None,
        }
    }

    fn definitions(&self) -> impl Iterator<Item = &TypeDefinition<'static, Text>> {
        self.document.definitions.iter().filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        })
    }

    fn directives(&self) -> impl Iterator<Item = Node<'_>> {
        self.document.definitions.iter().filter_map(|definition| match definition {
            Definition::DirectiveDefinition(directive) => Some(Node::Directive(directive)),
            _ => None,
        })
    }
}

/// One introspection.
struct Asking<'a, 's, 'o> {
    schema: &'a Introspection,
    variables: &'a Map<String, Value>,
    out: &'o mut Vec<u8>,
    most: usize,
    /// What is selected of things, by where the selections are kept: any number of things have the same, and what is not
    /// shown of them writes nothing.
    known: HashMap<(usize, usize), Rc<Keys<'s>>>,
}

/// The fields of an object by their response keys.
type Keys<'s> = IndexMap<&'s str, Vec<&'s FieldSelection>>;

impl<'a, 's> Asking<'a, 's, '_> {
    fn one(&mut self, node: Option<Node<'a>>, fields: &[&'s FieldSelection]) -> Result<(), TooLarge> {
        match node {
            Some(node) => self.object(node, fields),
            None => {
                self.out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }

    /// What all of `fields` select of a thing.
    fn object(&mut self, node: Node<'a>, fields: &[&'s FieldSelection]) -> Result<(), TooLarge> {
        if self.out.len() > self.most {
            return Err(TooLarge);
        }
        let keys = self.keys(fields);
        self.out.push(b'{');
        for (number, (key, same)) in keys.iter().enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            self.value(&Value::from(*key));
            self.out.push(b':');
            self.field(node, same)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn keys(&mut self, fields: &[&'s FieldSelection]) -> Rc<Keys<'s>> {
        let place = (fields.as_ptr().addr(), fields.len());
        if let Some(known) = self.known.get(&place) {
            return known.clone();
        }
        let mut keys = Keys::new();
        fields.iter().for_each(|field| self.collect(&field.selections, &mut keys));
        let keys = Rc::new(keys);
        self.known.insert(place, keys.clone());
        keys
    }

    fn value(&mut self, value: &Value) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    fn collect(&self, set: &'s SelectionSet, keys: &mut Keys<'s>) {
        for item in &set.items {
            match item {
                SelectionItem::Field(field) if self.is_shown(&field.skip_if, &field.include_if) => {
                    keys.entry(field.selection_identifier()).or_default().push(field);
                }
                SelectionItem::InlineFragment(fragment)
                    if self.is_shown(&fragment.skip_if, &fragment.include_if) =>
                {
                    self.collect(&fragment.selections, keys);
                }
                _ => {}
            }
        }
    }

    fn is_shown(&self, skip: &Option<String>, include: &Option<String>) -> bool {
        let is = |name: &String| self.variables.get(name) == Some(&Value::Bool(true));
        !skip.as_ref().is_some_and(is) && include.as_ref().is_none_or(is)
    }

    fn argument(&self, field: &FieldSelection, name: &str) -> Option<Value> {
        let arguments = field.arguments.as_ref()?;
        match arguments.into_iter().find(|(key, _)| key.as_str() == name)?.1 {
            Argument::Variable(variable) => self.variables.get(variable).cloned(),
            Argument::String(text) => Some(text.as_str().into()),
            Argument::Boolean(value) => Some((*value).into()),
            _ => None,
        }
    }

    /// A field that is selected by all of `same`.
    fn field(&mut self, node: Node<'a>, same: &[&'s FieldSelection]) -> Result<(), TooLarge> {
        let Some(field) = same.first() else { return Ok(()) };
        match self.resolve(node, field) {
            Resolved::Value(value) => self.value(&value),
            Resolved::One(node) => self.one(node, same)?,
            Resolved::Many(None) => self.value(&Value::Null),
            Resolved::Many(Some(nodes)) => {
                self.out.push(b'[');
                for (number, node) in nodes.into_iter().enumerate() {
                    if number > 0 {
                        self.out.push(b',');
                    }
                    self.object(node, same)?;
                }
                self.out.push(b']');
            }
        }
        Ok(())
    }

    fn resolve(&self, node: Node<'a>, field: &FieldSelection) -> Resolved<'a> {
        if field.name == "__typename" {
            return Resolved::Value(node.typename().into());
        }
        let with_deprecated = self.argument(field, "includeDeprecated") == Some(Value::Bool(true));
        match node {
            Node::Schema => self.of_schema(&field.name),
            Node::Definition(definition) => self.of_definition(definition, &field.name, with_deprecated),
            Node::Type(ty) => self.of_type(ty, &field.name, with_deprecated),
            Node::Field(own) => match field.name.as_str() {
                "name" => Resolved::Value(own.name.as_str().into()),
                "description" => Resolved::Value(own.description.clone().into()),
                "args" => inputs(&own.arguments, with_deprecated),
                "type" => Resolved::One(Some(Node::Type(&own.field_type))),
                other => deprecation(&own.directives, other),
            },
            Node::Input(own) => match field.name.as_str() {
                "name" => Resolved::Value(own.name.as_str().into()),
                "description" => Resolved::Value(own.description.clone().into()),
                "type" => Resolved::One(Some(Node::Type(&own.value_type))),
                "defaultValue" => Resolved::Value(own.default_value.as_ref().map(ToString::to_string).into()),
                other => deprecation(&own.directives, other),
            },
            Node::EnumValue(own) => match field.name.as_str() {
                "name" => Resolved::Value(own.name.as_str().into()),
                "description" => Resolved::Value(own.description.clone().into()),
                other => deprecation(&own.directives, other),
            },
            Node::Directive(own) => match field.name.as_str() {
                "name" => Resolved::Value(own.name.as_str().into()),
                "description" => Resolved::Value(own.description.clone().into()),
                "isRepeatable" => Resolved::Value(own.repeatable.into()),
                "args" => inputs(&own.arguments, with_deprecated),
                "locations" => {
                    let locations = own.locations.iter().map(|location| location.as_str().into());
                    Resolved::Value(Value::Array(locations.collect()))
                }
                _ => Resolved::Value(Value::Null),
            },
        }
    }

    fn of_schema(&self, field: &str) -> Resolved<'a> {
        let root = |name: Option<&String>| {
            let definition = name.and_then(|name| self.schema.definition(name));
            Resolved::One(definition.map(Node::Definition))
        };
        let document = &self.schema.document;
        match field {
            "types" => Resolved::Many(Some(self.schema.definitions().map(Node::Definition).collect())),
            "queryType" => root(document.query_type_name()),
            "mutationType" => root(document.mutation_type_name()),
            "subscriptionType" => root(document.subscription_type_name()),
            "directives" => Resolved::Many(Some(self.schema.directives().collect())),
            _ => Resolved::Value(Value::Null),
        }
    }

    fn of_definition(
        &self,
        definition: &'a TypeDefinition<'static, Text>,
        field: &str,
        with_deprecated: bool,
    ) -> Resolved<'a> {
        use TypeDefinition::{Enum, InputObject, Interface, Object, Scalar, Union};
        match field {
            "kind" => Resolved::Value(kind_of(definition).into()),
            "name" => Resolved::Value(name_of(definition).into()),
            "description" => Resolved::Value(description_of(definition).into()),
            "fields" => Resolved::Many(match definition {
                Object(object) => Some(fields(&object.fields, with_deprecated)),
                Interface(interface) => Some(fields(&interface.fields, with_deprecated)),
                _ => None,
            }),
            "interfaces" => Resolved::Many(match definition {
                Object(object) => Some(self.named(&object.implements_interfaces)),
                Interface(interface) => Some(self.named(&interface.implements_interfaces)),
                _ => None,
            }),
            "possibleTypes" => Resolved::Many(match definition {
                Union(union) => Some(self.named(&union.types)),
                Interface(interface) => Some(self.implementing(&interface.name)),
                _ => None,
            }),
            "enumValues" => Resolved::Many(match definition {
                Enum(values) => {
                    let shown = values
                        .values
                        .iter()
                        .filter(|value| with_deprecated || !is_deprecated(&value.directives));
                    Some(shown.map(Node::EnumValue).collect())
                }
                _ => None,
            }),
            "inputFields" => match definition {
                InputObject(input) => inputs(&input.fields, with_deprecated),
                _ => Resolved::Many(None),
            },
            "isOneOf" => Resolved::Value(match definition {
                InputObject(input) => input.directives.iter().any(|own| own.name == "oneOf").into(),
                _ => Value::Null,
            }),
            "specifiedByURL" => Resolved::Value(match definition {
                Scalar(scalar) => text_argument(&scalar.directives, "specifiedBy", "url").into(),
                _ => Value::Null,
            }),
            _ => Resolved::Value(Value::Null),
        }
    }

    fn of_type(&self, ty: &'a Type<'static, Text>, field: &str, with_deprecated: bool) -> Resolved<'a> {
        let (kind, inner) = match ty {
            Type::NamedType(name) => {
                return match self.schema.definition(name) {
                    Some(definition) => self.of_definition(definition, field, with_deprecated),
                    None => Resolved::Value(Value::Null),
                };
            }
            Type::ListType(inner) => ("LIST", inner),
            Type::NonNullType(inner) => ("NON_NULL", inner),
        };
        match field {
            "kind" => Resolved::Value(kind.into()),
            "ofType" => Resolved::One(Some(Node::Type(inner))),
            _ => Resolved::Value(Value::Null),
        }
    }

    fn named(&self, names: &[Text]) -> Vec<Node<'a>> {
        names.iter().filter_map(|name| self.schema.definition(name)).map(Node::Definition).collect()
    }

    fn implementing(&self, interface: &str) -> Vec<Node<'a>> {
        let numbers = self.schema.implementing.get(interface).into_iter().flatten();
        numbers.filter_map(|number| self.schema.numbered(*number)).map(Node::Definition).collect()
    }
}

impl Node<'_> {
    fn typename(&self) -> &'static str {
        match self {
            Self::Schema => "__Schema",
            Self::Definition(_) | Self::Type(_) => "__Type",
            Self::Field(_) => "__Field",
            Self::Input(_) => "__InputValue",
            Self::EnumValue(_) => "__EnumValue",
            Self::Directive(_) => "__Directive",
        }
    }
}

fn fields<'a>(fields: &'a [Field<'static, Text>], with_deprecated: bool) -> Vec<Node<'a>> {
    let shown = fields.iter().filter(|field| {
        !field.name.starts_with("__") && (with_deprecated || !is_deprecated(&field.directives))
    });
    shown.map(Node::Field).collect()
}

fn inputs<'a>(inputs: &'a [InputValue<'static, Text>], with_deprecated: bool) -> Resolved<'a> {
    let shown = inputs.iter().filter(|input| with_deprecated || !is_deprecated(&input.directives));
    Resolved::Many(Some(shown.map(Node::Input).collect()))
}

fn is_deprecated(directives: &[Directive<'static, Text>]) -> bool {
    directives.iter().any(|directive| directive.name == "deprecated")
}

fn deprecation<'a>(directives: &[Directive<'static, Text>], field: &str) -> Resolved<'a> {
    const UNSAID: &str = "No longer supported";
    let is_deprecated = is_deprecated(directives);
    Resolved::Value(match field {
        "isDeprecated" => is_deprecated.into(),
        "deprecationReason" if is_deprecated => {
            text_argument(directives, "deprecated", "reason").unwrap_or_else(|| UNSAID.to_owned()).into()
        }
        _ => Value::Null,
    })
}

fn text_argument(directives: &[Directive<'static, Text>], directive: &str, argument: &str) -> Option<String> {
    let directive = directives.iter().find(|own| own.name == directive)?;
    directive.arguments.iter().find_map(|(name, value)| match value {
        SchemaValue::String(text) if name == argument => Some(text.clone()),
        _ => None,
    })
}

fn kind_of(definition: &TypeDefinition<'static, Text>) -> &'static str {
    match definition {
        TypeDefinition::Scalar(_) => "SCALAR",
        TypeDefinition::Object(_) => "OBJECT",
        TypeDefinition::Interface(_) => "INTERFACE",
        TypeDefinition::Union(_) => "UNION",
        TypeDefinition::Enum(_) => "ENUM",
        TypeDefinition::InputObject(_) => "INPUT_OBJECT",
    }
}

fn description_of(definition: &TypeDefinition<'static, Text>) -> Option<String> {
    match definition {
        TypeDefinition::Scalar(scalar) => scalar.description.clone(),
        TypeDefinition::Object(object) => object.description.clone(),
        TypeDefinition::Interface(interface) => interface.description.clone(),
        TypeDefinition::Union(union) => union.description.clone(),
        TypeDefinition::Enum(values) => values.description.clone(),
        TypeDefinition::InputObject(input) => input.description.clone(),
    }
}
