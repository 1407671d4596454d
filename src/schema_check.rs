//! What another schema would change for clients, by the rules of the GraphQL ecosystem.

use std::collections::{HashMap, HashSet};
use std::fmt;

use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use graphql_schema_diff::{Change, ChangeKind, diff, resolve_source_spans, resolve_spans};

/// How much a change hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An operation that was valid may not be any more, or may get what its author ruled out.
    Breaking,
    /// Every operation stays valid, but may meet what its author did not know of.
    Dangerous,
    Safe,
}

/// One difference between two schemas.
#[derive(Debug)]
pub struct SchemaChange {
    pub severity: Severity,
    /// `Type.field.argument`.
    pub path: String,
    pub what: String,
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Breaking => "BREAKING",
            Severity::Dangerous => "dangerous",
            Severity::Safe => "safe",
        };
        write!(f, "{severity:9}  {}  {}", self.path, self.what)
    }
}

/// What replacing `before` by `after` changes, the worst first.
///
/// # Errors
/// If one of them is no SDL.
pub fn compare(before: &str, after: &str) -> anyhow::Result<Vec<SchemaChange>> {
    let changes = diff(before, after).map_err(|error| anyhow::anyhow!("{error}"))?;
    let texts: Vec<_> = resolve_spans(before, after, &changes).map(str::to_owned).collect();
    let olds: Vec<_> = resolve_source_spans(before, &changes).map(|old| old.map(str::to_owned)).collect();
    let (inputs_before, inputs_after) = (input_types(before)?, input_types(after)?);
    let mut judged: Vec<_> = changes
        .into_iter()
        .zip(texts)
        .zip(olds)
        .map(|((change, text), old)| {
            let old = old.unwrap_or_default();
            let severity = judge(&change, &text, &old, &|name| {
                inputs_before.contains_key(name) || inputs_after.contains_key(name)
            });
            let what = match (old.trim(), text.trim()) {
                ("", _) => format!("{:?}", change.kind),
                (old, new) if old != new && old.len() + new.len() < 120 => {
                    format!("{:?}: {old} → {new}", change.kind)
                }
                _ => format!("{:?}", change.kind),
            };
            SchemaChange { severity, path: change.path, what }
        })
        .collect();
    judged.extend(lost_defaults(&inputs_before, &inputs_after));
    judged.sort_by(|a, b| a.severity.cmp(&b.severity).then_with(|| a.path.cmp(&b.path)));
    Ok(judged)
}

/// The input types of a schema, with the fields that have a default.
fn input_types(sdl: &str) -> anyhow::Result<HashMap<String, HashSet<String>>> {
    let schema = async_graphql::parser::parse_schema(sdl)?;
    let types = schema.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    let inputs = types.filter_map(|definition| match definition.kind {
        TypeKind::InputObject(input) => {
            let defaults = input.fields.into_iter().filter(|field| field.node.default_value.is_some());
            let defaults = defaults.map(|field| field.node.name.node.to_string()).collect();
            Some((definition.name.node.to_string(), defaults))
        }
        _ => None,
    });
    Ok(inputs.collect())
}

/// Input fields that lost their default, which the differences do not tell.
fn lost_defaults(
    before: &HashMap<String, HashSet<String>>,
    after: &HashMap<String, HashSet<String>>,
) -> Vec<SchemaChange> {
    let lost = before.iter().flat_map(|(name, defaults)| {
        let still = after.get(name);
        let lost = defaults.iter().filter(move |field| still.is_some_and(|still| !still.contains(*field)));
        lost.map(move |field| format!("{name}.{field}"))
    });
    let change =
        |path| SchemaChange { severity: Severity::Breaking, path, what: "RemoveInputFieldDefault".into() };
    lost.map(change).collect()
}

fn judge(change: &Change, text: &str, old: &str, is_input: &dyn Fn(&str) -> bool) -> Severity {
    use ChangeKind as Kind;
    let owner = change.path.split('.').next().unwrap_or_default();
    match change.kind {
        Kind::RemoveObjectType
        | Kind::RemoveInterfaceImplementation
        | Kind::RemoveField
        | Kind::RemoveUnion
        | Kind::RemoveUnionMember
        | Kind::RemoveEnum
        | Kind::RemoveEnumValue
        | Kind::RemoveScalar
        | Kind::RemoveInterface
        | Kind::RemoveInputObject
        | Kind::RemoveFieldArgument
        | Kind::RemoveSchemaDefinition
        | Kind::RemoveDirectiveDefinition
        | Kind::ChangeQueryType
        | Kind::ChangeMutationType
        | Kind::ChangeSubscriptionType => Severity::Breaking,
        // What a client sends must go on being taken; what it gets must go on being what it expects.
        Kind::ChangeFieldType if is_input(owner) => fits(old, text),
        Kind::ChangeFieldType => fits(text, old),
        Kind::ChangeFieldArgumentType => fits(old, text),
        Kind::AddField if is_input(owner) && is_required(text) => Severity::Breaking,
        Kind::AddFieldArgument if is_required(text) => Severity::Breaking,
        Kind::RemoveFieldArgumentDefault => Severity::Breaking,
        Kind::AddEnumValue | Kind::AddUnionMember | Kind::AddInterfaceImplementation => Severity::Dangerous,
        Kind::AddFieldArgumentDefault | Kind::ChangeFieldArgumentDefault => Severity::Dangerous,
        // Of all directives on a schema only these change what a client may do.
        Kind::AddDirective if text.contains("@oneOf") || text.contains("@inaccessible") => Severity::Breaking,
        Kind::RemoveDirective if old.contains("@deprecated") || old.contains("@oneOf") => Severity::Safe,
        _ => Severity::Safe,
    }
}

/// Whether what is `given` can stand where `wanted` is expected: the same type, perhaps more strictly non-null.
fn fits(given: &str, wanted: &str) -> Severity {
    let (given, wanted) = (given.trim(), wanted.trim());
    let fits = match (given.strip_suffix('!'), wanted.strip_suffix('!')) {
        (Some(given), Some(wanted)) => fits(given, wanted) == Severity::Safe,
        (Some(given), None) => fits(given, wanted) == Severity::Safe,
        (None, Some(_)) => false,
        (None, None) => match (items(given), items(wanted)) {
            (Some(given), Some(wanted)) => fits(given, wanted) == Severity::Safe,
            (None, None) => given == wanted,
            _ => false,
        },
    };
    if fits { Severity::Safe } else { Severity::Breaking }
}

fn items(list: &str) -> Option<&str> {
    list.strip_prefix('[')?.strip_suffix(']')
}

/// Whether `name: Type! @directives` has to be given: non-null and without a default.
fn is_required(definition: &str) -> bool {
    let definition = definition.rsplit("\"\"\"").next().unwrap_or(definition);
    let definition = definition.split('@').next().unwrap_or(definition);
    !definition.contains('=') && definition.trim_end().ends_with('!')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "type Query { a(x: Int = 1, y: [Int!]): Int! b: String c: U }\n\
         input  I { f: Int! g: Int d: Int! = 1 }\nenum E { A B }\ntype T { x: Int }\ntype V { x: Int }\nunion U = T | V\n";

    fn breaking(from: &str, to: &str) -> Vec<String> {
        compare(BEFORE, &BEFORE.replace(from, to))
            .unwrap()
            .into_iter()
            .filter(|change| change.severity == Severity::Breaking)
            .map(|change| change.path)
            .collect()
    }

    #[test]
    fn what_breaks_a_client_is_told() {
        assert_eq!(breaking("b: String ", ""), ["Query.b"]);
        assert_eq!(breaking("Int! b", "Int b"), ["Query.a"], "a client does not expect null");
        assert_eq!(breaking("b: String", "b: Int"), ["Query.b"]);
        assert_eq!(breaking("y: [Int!]", "y: [Int!]!"), ["Query.a.y"]);
        assert_eq!(breaking("x: Int = 1", "x: Int! = 1"), ["Query.a.x"], "null was taken");
        assert_eq!(breaking("y: [Int!]", "y: [Int!], z: Int!"), ["Query.a.z"]);
        assert_eq!(breaking("g: Int ", "g: Int! "), ["I.g"]);
        assert_eq!(breaking("g: Int ", "g: Int h: Int! "), ["I.h"]);
        assert_eq!(breaking("d: Int! = 1", "d: Int!"), ["I.d"]);
        assert_eq!(breaking("A B", "A"), ["E.B"]);
        assert_eq!(breaking("T | V", "T"), ["U.V"]);
        assert_eq!(breaking(", y: [Int!]", ""), ["Query.a.y"]);
    }

    #[test]
    fn what_adds_does_not_break() {
        for (from, to) in [
            ("b: String", "b: String!"),
            ("b: String", "b: String z: Int!"),
            ("f: Int!", "f: Int"),
            ("g: Int ", "g: Int h: Int! = 1 "),
            ("A B", "A B C"),
            ("y: [Int!]", "y: [Int]"),
            ("y: [Int!]", "y: [Int!], z: Int"),
        ] {
            assert_eq!(breaking(from, to), Vec::<String>::new(), "{from} → {to}");
        }
        let changes = compare(BEFORE, &BEFORE.replace("A B", "A B C")).unwrap();
        assert_eq!(changes[0].severity, Severity::Dangerous);
        assert!(compare(BEFORE, BEFORE).unwrap().is_empty());
        assert!(compare("type {", BEFORE).is_err());
    }
}
