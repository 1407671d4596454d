//! Guards where none can be.

use cynic_parser::type_system::{Definition, Directive, TypeDefinition};

use super::guard_of;
use crate::gateway::compose::Problem;
use crate::gateway::compose::sdl::{Sdl, fields};

pub fn can_be_guarded(ty: TypeDefinition<'_>) -> bool {
    !matches!(ty, TypeDefinition::Union(_) | TypeDefinition::InputObject(_))
}

/// Guards where no specification knows them: nobody could say what they guard there.
pub fn misplaced(sdl: &Sdl, ty: TypeDefinition<'_>) -> Vec<Problem> {
    let mut found: Vec<(Option<&str>, Directive<'_>)> = Vec::new();
    if !can_be_guarded(ty) {
        found.extend(ty.directives().map(|directive| (None, directive)));
    }
    match ty {
        TypeDefinition::InputObject(input) => {
            for field in input.fields() {
                found.extend(field.directives().map(|directive| (Some(field.name()), directive)));
            }
        }
        TypeDefinition::Enum(values) => {
            for value in values.values() {
                found.extend(value.directives().map(|directive| (Some(value.value()), directive)));
            }
        }
        _ => {}
    }
    for field in fields(ty) {
        let arguments = field.arguments().flat_map(|argument| argument.directives());
        found.extend(arguments.map(|directive| (Some(field.name()), directive)));
    }
    let told = found.into_iter().filter_map(|(field, directive)| {
        let (guard, _) = guard_of(sdl, directive)?;
        let message = format!(
            "bears `@{guard}` where it guards nothing: it may be on objects, interfaces, scalars, enums, and fields of objects \
             and interfaces"
        );
        Some(Problem::of(&sdl.name, message).at(sdl.type_name(ty), field))
    });
    told.collect()
}

pub fn of_schema(sdl: &Sdl) -> Option<Problem> {
    let schemas = sdl.document.definitions().filter_map(|definition| match definition {
        Definition::Schema(schema) | Definition::SchemaExtension(schema) => Some(schema),
        _ => None,
    });
    let mut guards = schemas.flat_map(|schema| schema.directives()).filter_map(|found| guard_of(sdl, found));
    let (guard, _) = guards.next()?;
    Some(Problem::of(&sdl.name, format!("its schema bears `@{guard}`, which guards nothing there")))
}
