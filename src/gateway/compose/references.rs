//! Types that are used and not there. The library takes it for granted that there are none.

use std::collections::BTreeSet;

use cynic_parser::type_system::{Type, TypeDefinition};

use super::Problem;
use super::sdl::{Sdl, fields, interfaces};

const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// Where a schema names what it has not.
pub fn missing(sdl: &Sdl) -> Vec<Problem> {
    let known: BTreeSet<&str> = sdl.types().map(|ty| ty.name()).chain(BUILT_IN).collect();
    // Those of the federation itself.
    let is_there = |name: &str| known.contains(name) || name.starts_with('_');
    let mut problems = Vec::new();
    let mut look = |ty: TypeDefinition<'_>, field: Option<&str>, named: &str| {
        if !is_there(named) {
            let message = format!("names the type `{named}`, which its schema does not have");
            problems.push(Problem::of(&sdl.name, message).at(sdl.type_name(ty), field));
        }
    };
    for ty in sdl.types() {
        interfaces(ty).into_iter().for_each(|interface| look(ty, None, interface));
        for field in fields(ty) {
            let arguments = field.arguments().map(|argument| argument.ty());
            let types = std::iter::once(field.ty()).chain(arguments);
            types.for_each(|named: Type<'_>| look(ty, Some(field.name()), named.name()));
        }
        match ty {
            TypeDefinition::Union(union) => union.members().for_each(|member| look(ty, None, member.name())),
            TypeDefinition::InputObject(input) => {
                input.fields().for_each(|field| look(ty, Some(field.name()), field.ty().name()));
            }
            _ => {}
        }
    }
    problems
}
