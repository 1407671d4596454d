//! What a subgraph takes of the owner's fields by directives that name them: `@override`, `@provides` and `@requires`.

use std::collections::BTreeMap;

use cynic_parser::type_system::TypeDefinition;

use super::Look;
use crate::gateway::compose::field_set::{FRAGMENT, FieldSet};
use crate::gateway::compose::sdl::fields;

impl<'a> Look<'a> {
    /// Wherever they stand: fields that are taken from the owner.
    pub(super) fn overrides_and_provides(&mut self, ty: TypeDefinition<'a>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        for field in fields(ty) {
            for directive in field.directives() {
                let text =
                    |name: &str| directive.argument(name).and_then(|argument| argument.value().as_str());
                match self.sdl.directive(directive) {
                    "override" if text("from").is_some_and(|from| from.eq_ignore_ascii_case(owner)) => {
                        self.told((name, Some(field.name())), format!("overrides what {owner} owns"));
                    }
                    "provides" => {
                        let provided = text("fields").and_then(FieldSet::parse);
                        match provided {
                            Some(provided) => {
                                if let Some(taken) = self.taken(field.ty().name(), &provided) {
                                    let message = format!("provides `{taken}`, which is owned by {owner}");
                                    self.told((name, Some(field.name())), message);
                                }
                            }
                            // What it means is not known here, so it may be anything.
                            None => {
                                let message = "provides what is no plain set of fields".to_owned();
                                self.told((name, Some(field.name())), message);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn requires(&mut self, ty: TypeDefinition<'a>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        for field in fields(ty) {
            let mut directives = field.directives();
            let Some(requires) = directives.find(|directive| self.sdl.directive(*directive) == "requires")
            else {
                continue;
            };
            let text = requires.argument("fields").and_then(|argument| argument.value().as_str());
            let taken = match text.and_then(FieldSet::parse) {
                Some(required) => self.all_taken(name, &required),
                None => vec![text.unwrap_or_default().to_owned()],
            };
            for taken in taken {
                let message =
                    format!("requires `{taken}` of {owner}, which is sent to it for whoever asks for this");
                self.told((name, Some(field.name())), message);
            }
        }
    }

    /// Each field of the owner's in a set, beyond keys.
    fn all_taken(&self, ty: &str, set: &FieldSet) -> Vec<String> {
        let each = set.0.iter().flat_map(|(field, below)| {
            if let Some(on) = field.strip_prefix(FRAGMENT) {
                return self.all_taken(on, below);
            }
            let alone = FieldSet(BTreeMap::from([(field.clone(), FieldSet::default())]));
            let mut here = self.sdl.types().filter(|part| part.name() == ty).flat_map(fields);
            let named = here.find(|found| found.name() == field).map(|found| found.ty().name());
            let further = named.map(|named| self.all_taken(named, below)).unwrap_or_default();
            self.taken(ty, &alone).into_iter().chain(further).collect::<Vec<_>>()
        });
        each.collect()
    }

    /// What of the owner's is provided, beyond keys.
    fn taken(&self, ty: &str, provided: &FieldSet) -> Option<String> {
        provided.0.iter().find_map(|(field, below)| {
            if let Some(on) = field.strip_prefix(FRAGMENT) {
                return self.taken(on, below);
            }
            let owned =
                self.protection.types.get(ty).filter(|owned| owned.fields.contains_key(field.as_str()));
            let is_key = self.keyed.get(ty).is_some_and(|keyed| keyed.contains(field));
            let coordinate = format!("{ty}.{field}");
            let is_allowed = self.may_change.contains(ty) || self.may_change.contains(&coordinate);
            if owned.is_some() && !is_key && !is_allowed {
                return Some(coordinate);
            }
            let mut here = self.sdl.types().filter(|part| part.name() == ty).flat_map(fields);
            let named = here.find(|found| found.name() == field)?.ty().name();
            self.taken(named, below)
        })
    }
}
