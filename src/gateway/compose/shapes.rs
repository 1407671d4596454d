//! Lists against what is none. The library takes them for one type and writes a list, which no answer of the other subgraph is.

use std::collections::BTreeMap;

use cynic_parser::common::WrappingType;
use cynic_parser::type_system::{Type, TypeDefinition};

use super::Problem;
use super::sdl::{Sdl, fields};

/// A field, or an argument of one.
type Place<'a> = (&'a str, &'a str, Option<&'a str>);

/// Fields and arguments that are lists in one subgraph and not in another, or lists of lists.
pub fn conflicts(sdls: &[Sdl]) -> Vec<Problem> {
    let mut known = BTreeMap::<Place<'_>, (&Sdl, Type<'_>)>::new();
    let mut problems = Vec::new();
    for sdl in sdls {
        for (place, ty) in types(sdl) {
            let (other, first) = *known.entry(place).or_insert((sdl, ty));
            if lists(first) != lists(ty) {
                let (name, field, argument) = place;
                let argument =
                    argument.map(|argument| format!("the argument `{argument}` ")).unwrap_or_default();
                let message = format!("{argument}is {first} in {} and {ty} in {}", other.name, sdl.name);
                let subgraphs = vec![other.name.clone(), sdl.name.clone()];
                problems.push(Problem { subgraphs, ..Problem::new(message) }.at(name, field));
            }
        }
    }
    problems
}

fn lists(ty: Type<'_>) -> usize {
    ty.wrappers().filter(|wrapper| *wrapper == WrappingType::List).count()
}

/// The types of all fields and arguments.
fn types(sdl: &Sdl) -> Vec<(Place<'_>, Type<'_>)> {
    let mut found = Vec::new();
    for ty in sdl.types() {
        let name = sdl.type_name(ty);
        for field in fields(ty) {
            found.push(((name, field.name(), None), field.ty()));
            let arguments = field.arguments();
            found.extend(
                arguments.map(|argument| ((name, field.name(), Some(argument.name())), argument.ty())),
            );
        }
        if let TypeDefinition::InputObject(input) = ty {
            found.extend(input.fields().map(|field| ((name, field.name(), None), field.ty())));
        }
    }
    found
}
