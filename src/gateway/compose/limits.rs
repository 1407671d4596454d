//! What the composition library refuses although it is valid. Whoever meets it has to know that it is not their mistake, and
//! what to do.

use cynic_parser::type_system::TypeDefinition;

use super::Problem;
use super::field_set::FieldSet;
use super::sdl::{Sdl, fields, interfaces, keys};

/// What to do about it.
pub const WAY_OUT: &str = "This is a limit of the composition library here, and may well be valid: have the supergraph made by \
                       another composition tool, and give it as `gateway.supergraph`";

/// Parts of its messages about what may be valid.
const REFUSED: [&str; 7] = [
    "is an entity in subgraphs",
    "The shareable object",
    "should match exactly in all subgraphs because the enum is used both in input and output",
    "does not have the same key. The key must match exactly",
    "has a different key than the entity interface",
    "is annotated with @interfaceObject but missing a key",
    "is of an @inaccessible type, but is itself not marked",
];

/// Adds the way out to a problem that may be none.
pub fn explain(problem: Problem, sdls: &[Sdl]) -> Problem {
    let message = &problem.message;
    let is_limit = REFUSED.iter().any(|part| message.contains(part))
        || may_be_merged(message, sdls)
        || is_key_below(&problem, sdls);
    match is_limit {
        true => Problem { message: format!("{}. {WAY_OUT}", message.trim_end_matches('.')), ..problem },
        false => problem,
    }
}

/// Whether two types of a field that the library calls conflicting are one type: lists of what may be null and of what may
/// not, or an object and a union or an interface that it is one of.
fn may_be_merged(message: &str, sdls: &[Sdl]) -> bool {
    const SAYS: &str = "has conflicting types in different subgraphs: ";
    let types = || {
        let (one, other) = message.split_once(SAYS)?.1.split_once(" but ")?;
        Some((one.split_once(" in ")?.0, other.split_once(" in ")?.0))
    };
    let Some((one, other)) = types() else { return false };
    let (one, other) = (one.replace('!', ""), other.replace('!', ""));
    let (named, other_named) = (one.trim_matches(['[', ']']), other.trim_matches(['[', ']']));
    let shape = |text: &str| text.chars().filter(|c| *c == '[').count();
    shape(&one) == shape(&other)
        && (named == other_named
            || is_one_of(named, other_named, sdls)
            || is_one_of(other_named, named, sdls))
}

/// Whether all of several subgraphs that resolve a field have it as a part of a key of another type: such fields are shared.
fn is_key_below(problem: &Problem, sdls: &[Sdl]) -> bool {
    let (Some(ty), Some(field)) = (&problem.ty, &problem.field) else { return false };
    let named = sdls.iter().filter(|sdl| problem.subgraphs.contains(&sdl.name));
    problem.message.contains("is resolved by multiple subgraphs")
        && named.into_iter().all(|sdl| {
            let mut keys =
                sdl.types().flat_map(|ty| keys(sdl, ty).into_iter().flatten().map(move |key| (ty, key)));
            keys.any(|(of, key)| selects(sdl, of.name(), &key, (ty, field)))
        })
}

/// Whether a set of fields of a type has a field of another one in it.
fn selects(sdl: &Sdl, of: &str, set: &FieldSet, wanted: (&str, &str)) -> bool {
    set.0.iter().any(|(name, below)| {
        let found = || {
            sdl.types().filter(|part| part.name() == of).flat_map(fields).find(|field| field.name() == name)
        };
        (of, name.as_str()) == wanted
            || found().is_some_and(|field| selects(sdl, field.ty().name(), below, wanted))
    })
}

fn is_one_of(object: &str, of: &str, sdls: &[Sdl]) -> bool {
    sdls.iter().flat_map(Sdl::types).any(|ty| match ty {
        TypeDefinition::Union(union) => {
            ty.name() == of && union.members().any(|member| member.name() == object)
        }
        _ => ty.name() == object && interfaces(ty).contains(&of),
    })
}
