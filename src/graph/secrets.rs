//! Secrets come from variables only: a document is cached, counted and shown, and must not hold one.

use std::collections::HashSet;

use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, InputValueDefinition, Selection, SelectionSet, ServiceDocument,
    Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned, Value as Given, Variables};
use async_graphql_value::Value;

const SECRET: &str = "Secret";

/// Names of the arguments and input fields that are secrets.
pub struct SecretNames(HashSet<Name>);

impl SecretNames {
    /// Finds them in the schema's own text.
    pub fn of_schema(schema: &ServiceDocument) -> Self {
        let mut names = HashSet::new();
        let mut note = |value: &Positioned<InputValueDefinition>| {
            if is_secret(&value.node.ty.node) {
                names.insert(value.node.name.node.clone());
            }
        };
        for definition in &schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            match &definition.node.kind {
                TypeKind::InputObject(input) => input.fields.iter().for_each(&mut note),
                TypeKind::Object(object) => {
                    object.fields.iter().flat_map(|field| &field.node.arguments).for_each(&mut note);
                }
                _ => {}
            }
        }
        Self(names)
    }

    /// The first secret that stands in a document as itself: its name.
    pub fn literal_in<'a>(&self, document: &'a ExecutableDocument) -> Option<&'a str> {
        let operations = document.operations.iter().map(|(_, operation)| &operation.node);
        let defaults = operations.clone().flat_map(|operation| &operation.variable_definitions);
        let default = defaults
            .filter(|variable| is_secret(&variable.node.var_type.node))
            .find(|variable| variable.node.default_value.is_some());
        if let Some(variable) = default {
            return Some(variable.node.name.node.as_str());
        }
        let mut defaults = operations.clone().flat_map(|operation| &operation.variable_definitions);
        let within =
            defaults.find_map(|variable| self.in_objects(&variable.node.default_value.as_ref()?.node));
        if within.is_some() {
            return within;
        }
        let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set);
        operations
            .map(|operation| &operation.selection_set)
            .chain(fragments)
            .find_map(|selections| self.in_selections(&selections.node))
    }

    /// The first secret that is given to a document by variables: its name.
    pub fn given_to(&self, document: &ExecutableDocument, variables: &Variables) -> Option<String> {
        let operations = document.operations.iter().map(|(_, operation)| &operation.node);
        let declared = operations.flat_map(|operation| &operation.variable_definitions);
        let secret = declared.filter(|variable| is_secret(&variable.node.var_type.node));
        let names: Vec<&Name> = secret.map(|variable| &variable.node.name.node).collect();
        variables
            .iter()
            .find(|(name, value)| names.contains(name) && **value != Given::Null || self.is_in(value))
            .map(|(name, _)| name.to_string())
    }

    /// Whether an input object somewhere in `value` has a secret.
    fn is_in(&self, value: &Given) -> bool {
        match value {
            Given::Object(fields) => fields
                .iter()
                .any(|(name, value)| self.0.contains(name) && *value != Given::Null || self.is_in(value)),
            Given::List(items) => items.iter().any(|item| self.is_in(item)),
            _ => false,
        }
    }

    fn in_selections<'a>(&self, selections: &'a SelectionSet) -> Option<&'a str> {
        selections.items.iter().find_map(|selection| match &selection.node {
            Selection::Field(field) => self.in_field(&field.node),
            Selection::InlineFragment(fragment) => self.in_selections(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => None,
        })
    }

    fn in_field<'a>(&self, field: &'a Field) -> Option<&'a str> {
        let arguments = field.arguments.iter().map(|(name, value)| (&name.node, &value.node));
        arguments
            .into_iter()
            .find_map(|(name, value)| self.in_value(name, value))
            .or_else(|| self.in_selections(&field.selection_set.node))
    }

    /// The first secret of the input objects in a value.
    fn in_objects<'a>(&self, value: &'a Given) -> Option<&'a str> {
        match value {
            Given::Object(fields) => fields.iter().find_map(|(name, value)| {
                let is_secret = self.0.contains(name) && *value != Given::Null;
                if is_secret { Some(name.as_str()) } else { self.in_objects(value) }
            }),
            Given::List(items) => items.iter().find_map(|item| self.in_objects(item)),
            _ => None,
        }
    }

    fn in_value<'a>(&self, name: &'a Name, value: &'a Value) -> Option<&'a str> {
        match value {
            Value::Object(fields) => fields.iter().find_map(|(name, value)| self.in_value(name, value)),
            Value::List(items) => items.iter().find_map(|item| self.in_value(name, item)),
            Value::Variable(_) | Value::Null => None,
            _ => self.0.contains(name).then(|| name.as_str()),
        }
    }
}

fn is_secret(ty: &Type) -> bool {
    match &ty.base {
        BaseType::Named(name) => name.as_str() == SECRET,
        BaseType::List(item) => is_secret(item),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, parse_schema};

    use super::*;

    #[test]
    fn a_secret_in_a_document_is_found_wherever_it_stands() {
        let names = SecretNames::of_schema(&parse_schema(crate::graph::api_sdl()).unwrap());
        let find = |query: &str| names.literal_in(&parse_query(query).unwrap()).map(str::to_owned);
        for bad in [
            r#"{ verification(id: "1", clientSecret: "s") { id } }"#,
            r#"{ a: platforms { id } ... { verification(id: "1", clientSecret: 5) { id } } }"#,
            r#"query($s: Secret = "s") { verification(id: "1", clientSecret: $s) { id } }"#,
            r#"mutation { submitVerification(input: { verificationId: "1", proof: { oneTimeCode: "1" } }) { account { id } } }"#,
            r#"mutation($p: SubmitVerificationInput! = { verificationId: "1", proof: { oneTimeCode: "1" } }) { submitVerification(input: $p) { account { id } } }"#,
            r#"mutation { ...f } fragment f on Mutation { submitVerification(input: { clientSecret: "1" }) { account { id } } }"#,
        ] {
            assert!(find(bad).is_some(), "{bad}");
        }
        for good in [
            r#"query($s: Secret) { verification(id: "1", clientSecret: $s) { id } }"#,
            r#"mutation { startSignIn(input: { platform: "w", proof: { oneTimeCode: { handle: "+49" } } }) { clientSecret } }"#,
            r#"{ verification(id: "1", clientSecret: null) { id } }"#,
        ] {
            assert_eq!(find(good), None, "{good}");
        }
    }
}
