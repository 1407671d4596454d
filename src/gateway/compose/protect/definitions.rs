//! Types and fields of the owner that another subgraph defines as well.

use cynic_parser::type_system::{FieldDefinition, TypeDefinition};

use super::{Look, OwnedType, specified, values};
use crate::gateway::compose::sdl::{fields, interfaces, keys, kind, signature};

impl<'a> Look<'a> {
    pub(super) fn at_type(&mut self, ty: TypeDefinition<'a>, owned: &OwnedType<'_>) {
        let (name, owner) = (self.sdl.type_name(ty), self.protection.owner);
        if kind(ty) != owned.kind {
            let message = format!("is this {} of {owner}'s and may not be a {} here", owned.kind, kind(ty));
            return self.told((name, None), message);
        }
        if owned.is_root {
            return self.at_root(ty, name, owned);
        }
        match ty {
            TypeDefinition::Object(_) => self.at_object(ty, owned),
            TypeDefinition::Scalar(_) => {
                let is_same = specified(ty).is_none_or(|url| Some(url) == owned.specified);
                let bears = ty.directives().find(|directive| directive.name() != "specifiedBy");
                match bears {
                    Some(directive) => self.bears((name, None), directive),
                    None if is_same => {}
                    None => {
                        self.told((name, None), format!("is specified otherwise by {owner}, which owns it"));
                    }
                }
            }
            TypeDefinition::Enum(values_here) => {
                let bears = ty.directives().next().map(|directive| (None, directive));
                let of_value = values_here
                    .values()
                    .find_map(|value| Some((Some(value.value()), value.directives().next()?)));
                if let Some((value, directive)) = bears.or(of_value) {
                    self.bears((name, value), directive);
                } else if values(ty) != owned.values {
                    self.told((name, None), format!("is an enum of {owner}, and has other values there"));
                }
            }
            _ => self.told((name, None), format!("is owned by {owner} and may not be redefined")),
        }
    }

    /// The roots belong to everybody, their fields to who has them.
    fn at_root(&mut self, ty: TypeDefinition<'a>, name: &str, owned: &OwnedType<'_>) {
        if let Some(directive) = self.other_directive(ty.directives(), &["extends", "shareable"]) {
            self.bears((name, None), directive);
        }
        for field in fields(ty).into_iter().filter(|field| owned.fields.contains_key(field.name())) {
            if ["_service", "_entities"].contains(&field.name()) {
                continue;
            }
            let message =
                format!("shadows `{name}.{}`, which is owned by {}", field.name(), self.protection.owner);
            self.told((name, Some(field.name())), message);
        }
    }

    fn at_object(&mut self, ty: TypeDefinition<'a>, owned: &OwnedType<'_>) {
        let (name, owner) = (ty.name(), self.protection.owner);
        if let Some(directive) = self.other_directive(ty.directives(), &["key", "extends"]) {
            self.bears((name, None), directive);
        }
        if keys(self.sdl, ty).iter().any(|key| key.as_ref().is_none_or(|key| !owned.keys.contains(key))) {
            self.told((name, None), format!("has a @key here that {owner}, which owns it, does not give it"));
        }
        if let Some(interface) = interfaces(ty).first() {
            let message = format!("is made a `{interface}` here, and is owned by {owner}");
            self.told((name, None), message);
        }
        let mut has_new = false;
        for field in fields(ty) {
            match owned.fields.get(field.name()) {
                Some(signature) => self.at_field(name, field, signature),
                None => has_new = true,
            }
        }
        let has_key = self
            .sdl
            .types()
            .filter(|part| part.name() == name)
            .any(|part| keys(self.sdl, part).into_iter().flatten().any(|key| owned.keys.contains(&key)));
        if has_new && !has_key {
            let message = format!("is owned by {owner}: extend it by one of its keys, if it has any");
            self.told((name, None), message);
        }
    }

    /// A field that the owner has.
    fn at_field(&mut self, ty: &'a str, field: FieldDefinition<'a>, owned: &str) {
        let (at, owner) = ((ty, Some(field.name())), self.protection.owner);
        let has = |wanted: &str| field.directives().any(|directive| self.sdl.directive(directive) == wanted);
        let is_key = self.keyed.get(ty).is_some_and(|keyed| keyed.contains(field.name()));
        let message = if has("override") {
            format!("overrides what {owner} owns")
        } else if has("shareable") {
            format!("shares what {owner} owns; leave @shareable out")
        } else if !is_key && !has("external") {
            format!("redefines what {owner} owns")
        } else if let Some(directive) = self.other_directive(field.directives(), &["external"]) {
            return self.bears(at, directive);
        } else if signature(field) != owned {
            format!("is {} here and {owned} in {owner}, which owns it", signature(field))
        } else if let Some(directive) = field.arguments().find_map(|argument| argument.directives().next()) {
            return self.bears(at, directive);
        } else {
            return;
        };
        self.told(at, message);
    }
}
