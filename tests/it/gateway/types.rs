//! What a schema says of its types: as much as the subgraphs of the tests and the unfederated reference need.

use std::collections::{HashMap, HashSet};

use graphql_tools::parser::schema::{
    Definition, Directive, Field as FieldAst, Type, TypeDefinition, TypeExtension, Value as Literal,
    parse_schema,
};
use serde_json::{Map, Value};

/// The type of a field.
#[derive(Clone, Debug)]
pub enum Of {
    Named(String),
    List(Box<Of>),
    NonNull(Box<Of>),
}

impl Of {
    fn new(ty: &Type<'_, String>) -> Self {
        match ty {
            Type::NamedType(name) => Self::Named(name.clone()),
            Type::ListType(inner) => Self::List(Box::new(Self::new(inner))),
            Type::NonNullType(inner) => Self::NonNull(Box::new(Self::new(inner))),
        }
    }

    /// Without what is around it.
    pub fn named(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.named(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub of: Of,
    /// Its arguments' types.
    pub arguments: Vec<(String, Of)>,
    pub defaults: Map<String, Value>,
    pub is_external: bool,
    pub is_hidden: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Objects and interfaces.
    pub fields: HashMap<String, Vec<(String, Field)>>,
    /// The object types of interfaces and unions.
    pub possible: HashMap<String, Vec<String>>,
    pub values: HashMap<String, Vec<String>>,
    /// Types and values (`Size.HUGE`) that clients do not see.
    hidden: HashSet<String>,
    keys: HashSet<(String, String)>,
}

fn has(directives: &[Directive<'_, String>], name: &str) -> bool {
    directives.iter().any(|directive| directive.name == name)
}

impl Types {
    /// Of a subgraph's schema, or a supergraph's.
    pub fn of(text: &str) -> Self {
        let mut types = Self::default();
        // The parser does not know `extend schema`.
        let begin = match text.starts_with("extend schema") {
            true => ["\ntype ", "\ndirective "].iter().filter_map(|word| text.find(word)).min().unwrap(),
            false => 0,
        };
        let document = parse_schema::<String>(&text[begin..]).unwrap();
        for definition in &document.definitions {
            match definition {
                Definition::TypeDefinition(TypeDefinition::Object(object)) => {
                    types.object(&object.name, &object.fields, &object.directives);
                    types.implements(&object.name, &object.implements_interfaces);
                }
                Definition::TypeExtension(TypeExtension::Object(object)) => {
                    types.object(&object.name, &object.fields, &object.directives);
                    types.implements(&object.name, &object.implements_interfaces);
                }
                Definition::TypeDefinition(TypeDefinition::Interface(interface)) => {
                    types.object(&interface.name, &interface.fields, &interface.directives);
                    types.possible.entry(interface.name.clone()).or_default();
                }
                Definition::TypeDefinition(TypeDefinition::Union(union)) => {
                    types.possible.entry(union.name.clone()).or_default().extend(union.types.iter().cloned());
                }
                Definition::TypeDefinition(TypeDefinition::Enum(own)) if !own.name.contains("__") => {
                    let hidden = own.values.iter().filter(|value| has(&value.directives, "inaccessible"));
                    types.hidden.extend(hidden.map(|value| format!("{}.{}", own.name, value.name)));
                    let names = own.values.iter().map(|value| value.name.clone()).collect();
                    types.values.insert(own.name.clone(), names);
                }
                _ => {}
            }
        }
        types
    }

    fn implements(&mut self, name: &str, interfaces: &[String]) {
        for interface in interfaces {
            self.possible.entry(interface.clone()).or_default().push(name.to_owned());
        }
    }

    fn object(&mut self, name: &str, fields: &[FieldAst<'_, String>], directives: &[Directive<'_, String>]) {
        if has(directives, "inaccessible") {
            self.hidden.insert(name.to_owned());
        }
        for key in directives.iter().filter(|directive| directive.name == "key") {
            let Some((_, Literal::String(text))) = key.arguments.iter().find(|(name, _)| name == "fields")
            else {
                continue;
            };
            let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
            self.keys.extend(words.map(|word| (name.to_owned(), word.to_owned())));
        }
        let fields = fields.iter().map(|field| {
            let defaults = field.arguments.iter().filter_map(|argument| {
                Some((argument.name.clone(), literal(argument.default_value.as_ref()?)))
            });
            let arguments =
                field.arguments.iter().map(|argument| (argument.name.clone(), Of::new(&argument.value_type)));
            let own = Field {
                of: Of::new(&field.field_type),
                arguments: arguments.collect(),
                defaults: defaults.collect(),
                is_external: has(&field.directives, "external"),
                is_hidden: has(&field.directives, "inaccessible"),
            };
            (field.name.clone(), own)
        });
        self.fields.entry(name.to_owned()).or_default().extend(fields);
    }

    pub fn field(&self, ty: &str, name: &str) -> Option<&Field> {
        self.fields.get(ty)?.iter().find(|(own, _)| own == name).map(|(_, field)| field)
    }

    pub fn is(&self, ty: &str, condition: &str) -> bool {
        ty == condition || self.possible.get(condition).is_some_and(|types| types.iter().any(|own| own == ty))
    }

    /// A type, or a value of an enum.
    pub fn is_hidden(&self, name: &str) -> bool {
        self.hidden.contains(name)
    }

    /// Whether a subgraph knows a field of an object only by what it is told.
    pub fn must_be_told(&self, ty: &str, name: &str) -> bool {
        self.field(ty, name).is_some_and(|field| field.is_external)
            && !self.keys.contains(&(ty.to_owned(), name.to_owned()))
    }
}

fn literal(value: &Literal<'_, String>) -> Value {
    match value {
        Literal::Int(number) => number.as_i64().into(),
        Literal::Float(number) => (*number).into(),
        Literal::String(text) | Literal::Enum(text) => text.as_str().into(),
        Literal::Boolean(value) => (*value).into(),
        Literal::List(items) => items.iter().map(literal).collect(),
        Literal::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), literal(value))).collect())
        }
        Literal::Null | Literal::Variable(_) => Value::Null,
    }
}
