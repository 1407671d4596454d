//! The variables of a request: what is given, made to fit what the operation and the schema say (GraphQL specification,
//! section 6.1.2).

use std::collections::HashMap;

use graphql_tools::parser::schema::{
    Definition, Document, InputValue, Type, TypeDefinition, Value as SchemaValue,
};
use hive_router_query_planner::ast::operation::VariableDefinition;
use hive_router_query_planner::ast::value::Value as Literal;
use hive_router_query_planner::state::supergraph_state::TypeNode;
use serde_json::{Map, Number, Value};

use super::execute::errors::GraphqlError;

/// The types of a schema that variables can have.
pub struct InputTypes(HashMap<String, InputType>);

enum InputType {
    Enum(Vec<String>),
    Object {
        fields: Vec<InputField>,
        is_one_of: bool,
    },
    /// A scalar of the schema's own: whatever it is, a subgraph has to judge it.
    Custom,
}

struct InputField {
    name: String,
    ty: TypeNode,
    default: Option<Value>,
}

/// What is wrong with a value, and where in it.
struct Misfit {
    at: String,
    what: String,
}

impl Misfit {
    fn new(what: impl Into<String>) -> Self {
        Self { at: String::new(), what: what.into() }
    }

    fn within(self, at: &str) -> Self {
        Self { at: format!("{at}{}", self.at), what: self.what }
    }
}

impl InputTypes {
    pub fn new(document: &Document<'static, String>) -> Self {
        let types = document.definitions.iter().filter_map(|definition| {
            let Definition::TypeDefinition(definition) = definition else { return None };
            match definition {
                TypeDefinition::Enum(values) => {
                    let names = values.values.iter().map(|value| value.name.clone()).collect();
                    Some((values.name.clone(), InputType::Enum(names)))
                }
                TypeDefinition::InputObject(input) => {
                    let is_one_of = input.directives.iter().any(|directive| directive.name == "oneOf");
                    let fields = input.fields.iter().map(InputField::new).collect();
                    Some((input.name.clone(), InputType::Object { fields, is_one_of }))
                }
                TypeDefinition::Scalar(scalar) => Some((scalar.name.clone(), InputType::Custom)),
                _ => None,
            }
        });
        Self(types.collect())
    }

    /// The variables that an operation has, complete.
    ///
    /// # Errors
    /// GRAPHQL_VALIDATION_FAILED for each variable that is missing or does not fit. A value is never quoted: it may be a secret.
    pub fn coerce(
        &self,
        definitions: &[VariableDefinition],
        mut given: Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<GraphqlError>> {
        let (mut variables, mut errors) = (Map::new(), Vec::new());
        for VariableDefinition { name, variable_type, default_value } in definitions {
            let value = match (given.remove(name), default_value) {
                (Some(value), _) => value,
                (None, Some(default)) => literal(default),
                (None, None) if variable_type.is_non_null() => {
                    let message = format!("The variable ${name}: {variable_type} is not given.");
                    errors.push(GraphqlError::new("GRAPHQL_VALIDATION_FAILED", message));
                    continue;
                }
                (None, None) => continue,
            };
            match self.fit(variable_type, value) {
                Ok(value) => drop(variables.insert(name.clone(), value)),
                Err(Misfit { at, what }) => {
                    let message = format!("The variable ${name}{at} {what}; ${name} is {variable_type}.");
                    errors.push(GraphqlError::new("GRAPHQL_VALIDATION_FAILED", message));
                }
            }
        }
        if errors.is_empty() { Ok(variables) } else { Err(errors) }
    }

    /// The first variable that is given a scalar of one of these types, also within an input object.
    pub fn given<'d>(
        &self,
        scalars: &[String],
        definitions: &'d [VariableDefinition],
        variables: &Map<String, Value>,
    ) -> Option<&'d VariableDefinition> {
        definitions.iter().find(|definition| {
            let value = variables.get(&definition.name);
            value.is_some_and(|value| self.bears(scalars, &definition.variable_type, value))
        })
    }

    fn bears(&self, scalars: &[String], ty: &TypeNode, value: &Value) -> bool {
        match (ty, value) {
            (_, Value::Null) => false,
            (TypeNode::NonNull(inner), value) => self.bears(scalars, inner, value),
            (TypeNode::List(inner), Value::Array(items)) => {
                items.iter().any(|item| self.bears(scalars, inner, item))
            }
            (TypeNode::List(inner), value) => self.bears(scalars, inner, value),
            (TypeNode::Named(name), value) => match (self.0.get(name), value) {
                (Some(InputType::Object { fields, .. }), Value::Object(given)) => {
                    fields.iter().any(|field| {
                        given.get(&field.name).is_some_and(|value| self.bears(scalars, &field.ty, value))
                    })
                }
                _ => scalars.contains(name),
            },
        }
    }

    fn fit(&self, ty: &TypeNode, value: Value) -> Result<Value, Misfit> {
        match (ty, value) {
            (TypeNode::NonNull(_), Value::Null) => Err(Misfit::new("is null, and must not be")),
            (TypeNode::NonNull(inner), value) => self.fit(inner, value),
            (_, Value::Null) => Ok(Value::Null),
            (TypeNode::List(inner), Value::Array(items)) => {
                let fitted = items.into_iter().enumerate().map(|(index, item)| {
                    self.fit(inner, item).map_err(|misfit| misfit.within(&format!("[{index}]")))
                });
                fitted.collect::<Result<_, _>>().map(Value::Array)
            }
            // One item stands for a list of it.
            (TypeNode::List(inner), value) => Ok(Value::Array(vec![self.fit(inner, value)?])),
            (TypeNode::Named(name), value) => self.fit_named(name, value),
        }
    }

    fn fit_named(&self, name: &str, value: Value) -> Result<Value, Misfit> {
        let fits = match (name, &value) {
            ("Int", Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| number.as_f64().and_then(whole));
                let fitting = whole.filter(|whole| i32::try_from(*whole).is_ok());
                return match fitting {
                    Some(whole) => Ok(whole.into()),
                    None => Err(Misfit::new("is no Int: a whole number of 32 bits")),
                };
            }
            ("Float", Value::Number(_))
            | ("String" | "ID", Value::String(_))
            | ("Boolean", Value::Bool(_)) => true,
            ("ID", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                return Ok(number.to_string().into());
            }
            ("Int" | "Float" | "String" | "ID" | "Boolean", _) => false,
            _ => return self.fit_own(name, value),
        };
        if fits { Ok(value) } else { Err(Misfit::new(format!("is {}, and no {name}", kind(&value)))) }
    }

    fn fit_own(&self, name: &str, value: Value) -> Result<Value, Misfit> {
        match (self.0.get(name), value) {
            (Some(InputType::Custom) | None, value) => Ok(value),
            (Some(InputType::Enum(values)), Value::String(value)) => match values.contains(&value) {
                true => Ok(Value::String(value)),
                false => Err(Misfit::new(format!("is no value of {name}"))),
            },
            (Some(InputType::Object { fields, is_one_of }), Value::Object(given)) => {
                self.fit_object(name, (fields, *is_one_of), given).map(Value::Object)
            }
            (_, value) => Err(Misfit::new(format!("is {}, and no {name}", kind(&value)))),
        }
    }

    fn fit_object(
        &self,
        name: &str,
        (fields, is_one_of): (&[InputField], bool),
        mut given: Map<String, Value>,
    ) -> Result<Map<String, Value>, Misfit> {
        if is_one_of && (given.len() != 1 || given.values().any(Value::is_null)) {
            return Err(Misfit::new(format!("has to have exactly one field of {name}, which is not null")));
        }
        let mut fitted = Map::new();
        for InputField { name: field, ty, default } in fields {
            let at = format!(".{field}");
            match (given.remove(field), default) {
                (Some(value), _) => {
                    let value = self.fit(ty, value).map_err(|misfit| misfit.within(&at))?;
                    fitted.insert(field.clone(), value);
                }
                (None, Some(default)) => drop(fitted.insert(field.clone(), default.clone())),
                (None, None) if ty.is_non_null() => return Err(Misfit::new("is not given").within(&at)),
                (None, None) => {}
            }
        }
        match given.keys().next() {
            // The name comes from the client, so it tells nothing new.
            Some(unknown) => {
                Err(Misfit::new(format!("is no field of {name}")).within(&format!(".{unknown}")))
            }
            None => Ok(fitted),
        }
    }
}

impl InputField {
    fn new(field: &InputValue<'static, String>) -> Self {
        Self {
            name: field.name.clone(),
            ty: type_node(&field.value_type),
            default: field.default_value.as_ref().map(schema_literal),
        }
    }
}

fn type_node(ty: &Type<'static, String>) -> TypeNode {
    match ty {
        Type::NamedType(name) => TypeNode::Named(name.clone()),
        Type::ListType(inner) => TypeNode::List(Box::new(type_node(inner))),
        Type::NonNullType(inner) => TypeNode::NonNull(Box::new(type_node(inner))),
    }
}

/// A number without a fraction, as one.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A default of an operation. It has no variables.
fn literal(value: &Literal) -> Value {
    match value {
        Literal::Int(number) => (*number).into(),
        Literal::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Literal::String(text) | Literal::Enum(text) => text.as_str().into(),
        Literal::Boolean(value) => (*value).into(),
        Literal::Null | Literal::Variable(_) => Value::Null,
        Literal::List(items) => items.iter().map(literal).collect(),
        Literal::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), literal(value))).collect())
        }
    }
}

/// A default of the schema.
fn schema_literal(value: &SchemaValue<'static, String>) -> Value {
    match value {
        SchemaValue::Int(number) => number.as_i64().map_or(Value::Null, Value::from),
        SchemaValue::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        SchemaValue::String(text) | SchemaValue::Enum(text) => text.as_str().into(),
        SchemaValue::Boolean(value) => (*value).into(),
        SchemaValue::Null | SchemaValue::Variable(_) => Value::Null,
        SchemaValue::List(items) => items.iter().map(schema_literal).collect(),
        SchemaValue::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), schema_literal(value))).collect())
        }
    }
}
