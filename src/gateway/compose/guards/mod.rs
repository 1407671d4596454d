//! Guards of subgraphs in their supergraph. The library loses some (`policies: "staff"`, or on a union), widens others
//! (`["staff"]` becomes a list that asks for nothing), and takes those of several subgraphs for alternatives: so it is not asked.
//! What subgraphs say is read here, as the gateway reads a supergraph, and written where it has to stand.
//!
//! **Invariant.** Each guard of each subgraph holds: at a place that several guard, whoever asks has to pass all of them, also
//! where others leave it open. What cannot be read or placed is a problem and never an open field.

mod misplaced;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cynic_parser::ConstValue;
use cynic_parser::type_system::Directive;
use graphql_tools::parser::schema::{Definition as Composed, TypeDefinition as TypeAst, Value};

use super::Problem;
use super::complete::{Supergraph, made};
use super::joins::DirectiveAst;
use super::sdl::{Sdl, fields};
use crate::gateway::schema::name_of;
use misplaced::{can_be_guarded, misplaced, of_schema};

/// The directives, each with its argument.
const GUARDS: [(&str, Option<&str>); 3] =
    [("authenticated", None), ("policy", Some("policies")), ("requiresScopes", Some("scopes"))];

/// Lists at one place; so many are a mistake, or an attack.
const MOST: usize = 1000;

/// Names: of lists one, and of that all.
type Lists = BTreeSet<BTreeSet<String>>;

/// A type, or a field of it, as the supergraph calls them.
type Place = (String, Option<String>);

/// What has to hold at each place, by the names of directives, and the subgraphs that say so.
#[derive(Default)]
pub struct Guards(BTreeMap<Place, (BTreeMap<&'static str, Lists>, BTreeSet<String>)>);

impl Guards {
    /// # Errors
    /// Guards that cannot be read, that ask for nothing, or that stand where none can be.
    pub fn of(sdls: &[Sdl]) -> (Self, Vec<Problem>) {
        let (mut guards, mut problems) = (Self::default(), Vec::new());
        for sdl in sdls {
            for ty in sdl.types() {
                let name = sdl.type_name(ty);
                problems.extend(misplaced(sdl, ty));
                let mut add = |field: Option<&str>, directives: &mut dyn Iterator<Item = Directive<'_>>| {
                    for directive in directives {
                        let added = guards.add(sdl, (name, field), directive);
                        problems.extend(
                            added.err().map(|message| Problem::of(&sdl.name, message).at(name, field)),
                        );
                    }
                };
                if can_be_guarded(ty) {
                    add(None, &mut ty.directives());
                }
                for field in fields(ty) {
                    add(Some(field.name()), &mut field.directives());
                }
            }
            problems.extend(of_schema(sdl));
        }
        (guards, problems)
    }

    fn add(
        &mut self,
        sdl: &Sdl,
        (ty, field): (&str, Option<&str>),
        directive: Directive<'_>,
    ) -> Result<(), String> {
        let Some((guard, argument)) = guard_of(sdl, directive) else { return Ok(()) };
        let read = match argument {
            Some(argument) => {
                let value = directive.argument(argument).map(|argument| argument.value());
                let lists = value.and_then(lists).ok_or_else(|| {
                    format!(
                        "what `@{guard}` asks for cannot be read: `{argument}` is lists of lists of names"
                    )
                })?;
                if lists.is_empty() || lists.iter().any(BTreeSet::is_empty) {
                    return Err(format!(
                        "`@{guard}` has an empty list, which asks for nothing: name what it asks for"
                    ));
                }
                lists
            }
            None => Lists::new(),
        };
        let place = (ty.to_owned(), field.map(str::to_owned));
        let (known, subgraphs) = self.0.entry(place).or_default();
        subgraphs.insert(sdl.name.clone());
        let both = match known.get(guard) {
            Some(before) => all_of(before, &read),
            None => Some(read).filter(|read| read.len() <= MOST),
        };
        let too_many =
            || format!("`@{guard}` asks for one of more than {MOST} lists here, with those of all subgraphs");
        known.insert(guard, both.ok_or_else(too_many)?);
        Ok(())
    }

    /// Writes them into what is composed, instead of those that are there. Tells of each that has no place there.
    pub fn place(&self, document: &mut Supergraph) -> Vec<Problem> {
        let mut left: BTreeSet<&Place> = self.0.keys().collect();
        let mut write = |place: Place, directives: &mut Vec<DirectiveAst>| {
            let Some((place, (guards, _))) = self.0.get_key_value(&place) else { return };
            left.remove(place);
            directives.retain(|directive| GUARDS.iter().all(|(guard, _)| *guard != directive.name));
            directives.splice(0..0, guards.iter().map(|(guard, lists)| written(guard, lists)));
        };
        for definition in &mut document.definitions {
            let Composed::TypeDefinition(ty) = definition else { continue };
            let name = name_of(ty).to_owned();
            let (own, fields) = match ty {
                TypeAst::Object(object) => (&mut object.directives, Some(&mut object.fields)),
                TypeAst::Interface(interface) => (&mut interface.directives, Some(&mut interface.fields)),
                TypeAst::Scalar(scalar) => (&mut scalar.directives, None),
                TypeAst::Enum(values) => (&mut values.directives, None),
                TypeAst::Union(_) | TypeAst::InputObject(_) => continue,
            };
            write((name.clone(), None), own);
            for field in fields.into_iter().flatten() {
                write((name.clone(), Some(field.name.clone())), &mut field.directives);
            }
        }
        let told = left.into_iter().map(|place| {
            let (ty, field) = place;
            let subgraphs = self.0[place].1.iter().cloned().collect();
            let message = "is guarded, and is not in the supergraph, where the guard would have to stand";
            Problem { subgraphs, ..Problem::new(message) }.at(ty, field.as_deref())
        });
        told.collect()
    }
}

fn written(guard: &str, lists: &Lists) -> DirectiveAst {
    let names = |list: &BTreeSet<String>| Value::List(list.iter().cloned().map(Value::String).collect());
    let argument = GUARDS.iter().find(|(own, _)| *own == guard).and_then(|(_, argument)| *argument);
    match argument {
        Some(argument) => made(guard, [(argument, Value::List(lists.iter().map(names).collect()))]),
        None => made(guard, []),
    }
}

/// What asks for one of the first and for one of the second: each with each, without those that ask for more than another.
/// Absent if these are too many.
fn all_of(one: &Lists, other: &Lists) -> Option<Lists> {
    if one == other {
        return Some(one.clone());
    }
    if one.len() * other.len() > MOST {
        return None;
    }
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| one | other));
    let pairs: Lists = pairs.collect();
    let asks_for_more =
        |list: &BTreeSet<String>| pairs.iter().any(|less| less != list && less.is_subset(list));
    Some(pairs.iter().filter(|list| !asks_for_more(list)).cloned().collect())
}

/// A list of one may be without its brackets, and `["a", "b"]` is two lists (GraphQL specification, section 3.11).
fn lists(value: ConstValue<'_>) -> Option<Lists> {
    let one = |value: ConstValue<'_>| match value.as_items() {
        Some(names) => names.map(|name| name.as_str().map(str::to_owned)).collect(),
        None => Some(BTreeSet::from([value.as_str()?.to_owned()])),
    };
    match value.as_items() {
        Some(lists) => lists.map(one).collect(),
        None => Some(Lists::from([one(value)?])),
    }
}

/// Whatever bears the name of a guard is taken for one: it may be meant so although the link was forgotten.
fn guard_of(sdl: &Sdl, directive: Directive<'_>) -> Option<(&'static str, Option<&'static str>)> {
    let name = sdl.directive(directive);
    GUARDS.into_iter().find(|(guard, _)| *guard == name)
}
