//! The types of a supergraph, numbered, as planning and projection look them up.
//!
//! Every type of the supergraph has a number, inaccessible ones too: subgraphs may answer with them. What a client may
//! see is what the API schema has.

use std::collections::HashMap;

use graphql_tools::parser::schema::{Definition, Document, Type, TypeDefinition};
use hive_router_query_planner::state::supergraph_state::{SupergraphDefinition, SupergraphState};

/// A type's number in one [`ApiSchema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u32);

/// The API schema: what clients see.
#[derive(Debug, Default)]
pub struct ApiSchema {
    ids: HashMap<Box<str>, TypeId>,
    types: Vec<TypeInfo>,
    pub query: Option<TypeId>,
    pub mutation: Option<TypeId>,
    pub subscription: Option<TypeId>,
}

/// What is known of one type.
#[derive(Debug)]
pub struct TypeInfo {
    pub name: Box<str>,
    /// The name as a string in JSON.
    pub quoted: Box<str>,
    pub kind: TypeKind,
    /// The object types that an interface or a union stands for, in the order of their numbers; hidden ones too.
    possible: Vec<TypeId>,
}

#[derive(Debug)]
pub enum TypeKind {
    Object {
        fields: Fields,
    },
    Interface {
        fields: Fields,
    },
    Union,
    /// The values, each as a string in JSON.
    Enum {
        values: Vec<Box<str>>,
    },
    Scalar(Scalar),
    Input,
    /// In the supergraph only.
    Hidden,
}

type Fields = HashMap<Box<str>, FieldType>;

/// Which values a scalar has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    String,
    Id,
    Int,
    Float,
    Boolean,
    Custom,
}

/// The type of a field: a named type in lists that may not be null here or there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldType {
    pub named: TypeId,
    pub wrapping: Wrapping,
}

/// Lists around a named type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrapping {
    Named { non_null: bool },
    List { non_null: bool, of: Box<Wrapping> },
}

impl Wrapping {
    pub fn non_null(&self) -> bool {
        match self {
            Self::Named { non_null } | Self::List { non_null, .. } => *non_null,
        }
    }

    fn of<'a>(ty: &'a Type<'static, String>) -> (Self, &'a str) {
        match ty {
            Type::NamedType(name) => (Self::Named { non_null: false }, name),
            Type::ListType(inner) => {
                let (of, name) = Self::of(inner);
                (Self::List { non_null: false, of: Box::new(of) }, name)
            }
            Type::NonNullType(inner) => match Self::of(inner) {
                (Self::Named { .. }, name) => (Self::Named { non_null: true }, name),
                (Self::List { of, .. }, name) => (Self::List { non_null: true, of }, name),
            },
        }
    }
}

impl ApiSchema {
    /// Of the API schema's document and the supergraph that it belongs to.
    pub fn new(document: &Document<'static, String>, supergraph: &SupergraphState) -> Self {
        let mut schema = Self::default();
        let definitions = || {
            document.definitions.iter().filter_map(|definition| match definition {
                Definition::TypeDefinition(definition) => Some(definition),
                _ => None,
            })
        };
        for definition in definitions() {
            schema.add(name_of(definition));
        }
        for name in supergraph.definitions.keys() {
            schema.add(name);
        }
        for definition in definitions() {
            schema.describe(definition);
        }
        for (name, definition) in &supergraph.definitions {
            match definition {
                SupergraphDefinition::Union(union) => schema.stands_for(name, union.types.iter()),
                SupergraphDefinition::Interface(_) => {
                    let members = supergraph.interface_to_object_types.get(name).into_iter().flatten();
                    schema.stands_for(name, members);
                }
                _ => {}
            }
        }
        schema.query = document.query_type_name().and_then(|name| schema.id(name));
        schema.mutation = document.mutation_type_name().and_then(|name| schema.id(name));
        schema.subscription = document.subscription_type_name().and_then(|name| schema.id(name));
        schema
    }

    fn add(&mut self, name: &str) {
        if self.ids.contains_key(name) {
            return;
        }
        self.ids.insert(name.into(), TypeId(self.types.len() as u32));
        let quoted = format!("\"{name}\"").into();
        self.types.push(TypeInfo { name: name.into(), quoted, kind: TypeKind::Hidden, possible: Vec::new() });
    }

    fn describe(&mut self, definition: &TypeDefinition<'static, String>) {
        let fields = |fields: &[graphql_tools::parser::schema::Field<'static, String>]| -> Fields {
            let typed = fields.iter().filter_map(|field| {
                let (wrapping, named) = Wrapping::of(&field.field_type);
                Some((field.name.as_str().into(), FieldType { named: self.id(named)?, wrapping }))
            });
            typed.collect()
        };
        let kind = match definition {
            TypeDefinition::Object(object) => TypeKind::Object { fields: fields(&object.fields) },
            TypeDefinition::Interface(interface) => TypeKind::Interface { fields: fields(&interface.fields) },
            TypeDefinition::Union(_) => TypeKind::Union,
            TypeDefinition::Enum(values) => TypeKind::Enum {
                values: values.values.iter().map(|value| format!("\"{}\"", value.name).into()).collect(),
            },
            TypeDefinition::Scalar(scalar) => TypeKind::Scalar(match scalar.name.as_str() {
                "String" => Scalar::String,
                "ID" => Scalar::Id,
                "Int" => Scalar::Int,
                "Float" => Scalar::Float,
                "Boolean" => Scalar::Boolean,
                _ => Scalar::Custom,
            }),
            TypeDefinition::InputObject(_) => TypeKind::Input,
        };
        if let Some(id) = self.id(name_of(definition)) {
            self.types[id.0 as usize].kind = kind;
        }
    }

    fn stands_for<'a>(&mut self, name: &str, members: impl Iterator<Item = &'a String>) {
        let mut members: Vec<TypeId> = members.filter_map(|member| self.id(member)).collect();
        members.sort_unstable();
        members.dedup();
        if let Some(id) = self.id(name) {
            self.types[id.0 as usize].possible = members;
        }
    }

    pub fn id(&self, name: &str) -> Option<TypeId> {
        self.ids.get(name).copied()
    }

    pub fn get(&self, id: TypeId) -> &TypeInfo {
        &self.types[id.0 as usize]
    }

    /// All types, hidden ones too.
    pub fn all(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..self.types.len() as u32).map(TypeId)
    }

    /// The fields of an object or an interface, in no order.
    pub fn fields(&self, id: TypeId) -> impl Iterator<Item = (&str, &FieldType)> {
        let fields = match &self.get(id).kind {
            TypeKind::Object { fields } | TypeKind::Interface { fields } => Some(fields),
            _ => None,
        };
        fields.into_iter().flatten().map(|(name, field)| (&**name, field))
    }

    /// The type of a field of an object or an interface.
    pub fn field(&self, parent: TypeId, name: &str) -> Option<&FieldType> {
        match &self.get(parent).kind {
            TypeKind::Object { fields } | TypeKind::Interface { fields } => fields.get(name),
            _ => None,
        }
    }

    /// Whether a value of type `ty` is one of `condition`.
    pub fn satisfies(&self, ty: TypeId, condition: TypeId) -> bool {
        ty == condition || self.possible(condition).binary_search(&ty).is_ok()
    }

    /// The object types of an interface or a union; none of any other type.
    pub fn possible(&self, id: TypeId) -> &[TypeId] {
        &self.get(id).possible
    }

    /// The interfaces and unions that an object type is one of.
    pub fn abstract_of(&self, id: TypeId) -> impl Iterator<Item = TypeId> {
        let stands_for = move |(_, info): &(usize, &TypeInfo)| info.possible.binary_search(&id).is_ok();
        self.types.iter().enumerate().filter(stands_for).map(|(number, _)| TypeId(number as u32))
    }

    pub fn is_object(&self, id: TypeId) -> bool {
        matches!(self.get(id).kind, TypeKind::Object { .. })
    }

    pub fn is_composite(&self, id: TypeId) -> bool {
        matches!(self.get(id).kind, TypeKind::Object { .. } | TypeKind::Interface { .. } | TypeKind::Union)
    }
}

pub(super) fn name_of<'a>(definition: &'a TypeDefinition<'static, String>) -> &'a str {
    match definition {
        TypeDefinition::Scalar(scalar) => &scalar.name,
        TypeDefinition::Object(object) => &object.name,
        TypeDefinition::Interface(interface) => &interface.name,
        TypeDefinition::Union(union) => &union.name,
        TypeDefinition::Enum(values) => &values.name,
        TypeDefinition::InputObject(input) => &input.name,
    }
}
