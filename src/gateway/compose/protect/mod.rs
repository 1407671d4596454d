//! What one subgraph owns is protected from the others (S44): they may extend its entities by their keys with fields of their
//! own, and nothing else. This reads what a subgraph says, so that whoever wrote it is told where; [`super::owned`] looks at
//! what came of it, whatever it was called.

mod definitions;
mod field_sets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cynic_parser::type_system::{Directive, Iter, TypeDefinition};

use super::Problem;
use super::field_set::FieldSet;
use super::sdl::{Sdl, fields, keys, kind, signature};

/// What the owner has.
pub struct Protection<'a> {
    owner: &'a str,
    types: BTreeMap<&'a str, OwnedType<'a>>,
}

struct OwnedType<'a> {
    kind: &'static str,
    is_root: bool,
    keys: BTreeSet<FieldSet>,
    /// With their types and arguments.
    fields: BTreeMap<&'a str, String>,
    /// The types of fields alone.
    named: BTreeMap<&'a str, &'a str>,
    values: BTreeSet<&'a str>,
    specified: Option<&'a str>,
}

/// One subgraph that is looked at.
struct Look<'a> {
    protection: &'a Protection<'a>,
    sdl: &'a Sdl,
    /// What it may change all the same.
    may_change: &'a BTreeSet<String>,
    /// Of the owner's types the fields that are part of a key which both have.
    keyed: BTreeMap<&'a str, BTreeSet<String>>,
    problems: Vec<Problem>,
}

impl<'a> Protection<'a> {
    pub fn of(sdl: &'a Sdl) -> Self {
        let mut types = BTreeMap::<&str, OwnedType<'_>>::new();
        for ty in sdl.types() {
            let owned = types.entry(sdl.type_name(ty)).or_insert_with(|| OwnedType {
                kind: kind(ty),
                is_root: sdl.root(ty).is_some(),
                keys: BTreeSet::new(),
                fields: BTreeMap::new(),
                named: BTreeMap::new(),
                values: BTreeSet::new(),
                specified: None,
            });
            owned.keys.extend(keys(sdl, ty).into_iter().flatten());
            for field in fields(ty) {
                owned.fields.insert(field.name(), signature(field));
                owned.named.insert(field.name(), field.ty().name());
            }
            owned.values.extend(values(ty));
            owned.specified = owned.specified.or(specified(ty));
        }
        Self { owner: &sdl.name, types }
    }

    /// What a subgraph has sent to it of the owner's fields, by `@requires`: for whoever asks for its own field, as the owner
    /// resolves it. It may, and whoever runs the graph should know.
    pub fn required_by(&'a self, sdl: &'a Sdl) -> Vec<Problem> {
        let none = BTreeSet::new();
        let mut look =
            Look { protection: self, sdl, may_change: &none, keyed: BTreeMap::new(), problems: Vec::new() };
        sdl.types().for_each(|ty| look.find_keys(ty));
        sdl.types().for_each(|ty| look.requires(ty));
        look.problems
    }

    /// What a subgraph does that it may not.
    pub fn broken_by(&'a self, sdl: &'a Sdl, may_change: &'a BTreeSet<String>) -> Vec<Problem> {
        let mut look =
            Look { protection: self, sdl, may_change, keyed: BTreeMap::new(), problems: Vec::new() };
        sdl.types().for_each(|ty| look.find_keys(ty));
        for ty in sdl.types() {
            look.overrides_and_provides(ty);
            if let Some(owned) = self.types.get(sdl.type_name(ty)) {
                look.at_type(ty, owned);
            }
        }
        look.problems
    }
}

impl<'a> Look<'a> {
    fn told(&mut self, at: (&str, Option<&str>), message: String) {
        let (ty, field) = at;
        let is_allowed = self.may_change.contains(ty)
            || field.is_some_and(|field| self.may_change.contains(&format!("{ty}.{field}")));
        if !is_allowed {
            self.problems.push(Problem::of(&self.sdl.name, message).at(ty, field));
        }
    }

    fn find_keys(&mut self, ty: TypeDefinition<'a>) {
        let Some(owned) = self.protection.types.get(ty.name()).filter(|owned| !owned.is_root) else { return };
        for key in keys(self.sdl, ty).into_iter().flatten().filter(|key| owned.keys.contains(key)) {
            self.keep_key(ty.name(), &key);
        }
    }

    /// All that a key has, also of other types below.
    fn keep_key(&mut self, ty: &'a str, key: &FieldSet) {
        let Some(owned) = self.protection.types.get(ty) else { return };
        for (field, below) in &key.0 {
            self.keyed.entry(ty).or_default().insert(field.clone());
            if let Some(named) = owned.named.get(field.as_str()).filter(|_| !below.0.is_empty()) {
                self.keep_key(named, below);
            }
        }
    }

    fn bears(&mut self, at: (&str, Option<&str>), directive: Directive<'_>) {
        let message =
            format!("bears `@{}` here, and is owned by {}", directive.name(), self.protection.owner);
        self.told(at, message);
    }

    /// A directive beside those that may be there.
    fn other_directive(&self, directives: Iter<'a, Directive<'a>>, may: &[&str]) -> Option<Directive<'a>> {
        let mut directives = directives;
        directives.find(|directive| !may.contains(&self.sdl.directive(*directive)))
    }
}

fn values(ty: TypeDefinition<'_>) -> BTreeSet<&str> {
    match ty {
        TypeDefinition::Enum(values) => values.values().map(|value| value.value()).collect(),
        _ => BTreeSet::new(),
    }
}

fn specified(ty: TypeDefinition<'_>) -> Option<&str> {
    let directive = ty.directives().find(|directive| directive.name() == "specifiedBy")?;
    directive.argument("url")?.value().as_str()
}
