//! An order that follows from what a supergraph is, and not from how it was made.

use std::cmp::Ordering;

use graphql_tools::parser::schema::{Definition, Field, InputValue, TypeDefinition};

use super::complete::Supergraph;
use super::joins::DirectiveAst;
use crate::gateway::schema::name_of;

/// Everything in an order that follows from what it is.
pub fn sort(document: &mut Supergraph) {
    let place = |definition: &Definition<'static, String>| match definition {
        Definition::SchemaDefinition(_) => (0, String::new()),
        Definition::DirectiveDefinition(directive) => (1, directive.name.clone()),
        Definition::TypeDefinition(ty) => (2, name_of(ty).to_owned()),
        Definition::TypeExtension(_) => (3, String::new()),
    };
    document.definitions.sort_by_key(place);
    for definition in &mut document.definitions {
        let Definition::TypeDefinition(ty) = definition else { continue };
        each_list(ty, &mut |directives| directives.sort_by(in_order));
        match ty {
            TypeDefinition::Object(object) => {
                object.implements_interfaces.sort();
                sort_fields(&mut object.fields);
            }
            TypeDefinition::Interface(interface) => {
                interface.implements_interfaces.sort();
                sort_fields(&mut interface.fields);
            }
            TypeDefinition::Union(union) => union.types.sort(),
            TypeDefinition::Enum(values) => values.values.sort_by(|one, other| one.name.cmp(&other.name)),
            TypeDefinition::InputObject(input) => {
                input.fields.sort_by(|one, other| one.name.cmp(&other.name));
            }
            TypeDefinition::Scalar(_) => {}
        }
    }
}

fn sort_fields(fields: &mut [Field<'static, String>]) {
    fields.sort_by(|one, other| one.name.cmp(&other.name));
    for field in fields {
        field.arguments.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

fn in_order(one: &DirectiveAst, other: &DirectiveAst) -> Ordering {
    one.to_string().cmp(&other.to_string())
}

/// Calls `each` with every list of directives of a type: its own, and those of its fields, arguments and values.
pub fn each_list(ty: &mut TypeDefinition<'static, String>, each: &mut dyn FnMut(&mut Vec<DirectiveAst>)) {
    let inputs = |inputs: &mut Vec<InputValue<'static, String>>,
                  each: &mut dyn FnMut(&mut Vec<DirectiveAst>)| {
        inputs.iter_mut().for_each(|input| each(&mut input.directives));
    };
    let fields = |fields: &mut Vec<Field<'static, String>>, each: &mut dyn FnMut(&mut Vec<DirectiveAst>)| {
        for field in fields {
            each(&mut field.directives);
            inputs(&mut field.arguments, each);
        }
    };
    match ty {
        TypeDefinition::Object(object) => {
            each(&mut object.directives);
            fields(&mut object.fields, each);
        }
        TypeDefinition::Interface(interface) => {
            each(&mut interface.directives);
            fields(&mut interface.fields, each);
        }
        TypeDefinition::InputObject(input) => {
            each(&mut input.directives);
            inputs(&mut input.fields, each);
        }
        TypeDefinition::Enum(values) => {
            each(&mut values.directives);
            values.values.iter_mut().for_each(|value| each(&mut value.directives));
        }
        TypeDefinition::Union(union) => each(&mut union.directives),
        TypeDefinition::Scalar(scalar) => each(&mut scalar.directives),
    }
}
