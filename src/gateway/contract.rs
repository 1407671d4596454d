//! Contracts: a schema without what bears a tag, or with nothing but what does, for clients who should see no more of it.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, ensure};
use graphql_tools::parser::parse_schema;
use graphql_tools::parser::schema::{
    Definition, Directive, Document, InputValue, Type, TypeDefinition, Value,
};

use super::schema::name_of;

type Text = Document<'static, String>;
type Directives = [Directive<'static, String>];

/// Which tags count.
#[derive(Debug, Default)]
pub struct Contract {
    /// What bears one of these is left out.
    pub exclude: Vec<String>,
    /// If there are any, what bears none of these is left out as well: whole types, or single fields of them.
    pub include: Vec<String>,
}

impl Contract {
    pub fn is_empty(&self) -> bool {
        self.exclude.is_empty() && self.include.is_empty()
    }

    /// The API schema `api` without what the contract leaves out; `tagged` is the same schema with its tags. What leads only
    /// to what is left out goes with it, and so does what nothing leads to any more.
    ///
    /// # Errors
    /// Names what is left out and would have to be given, and an interface that its types do not fulfil any more.
    pub fn apply(&self, api: &str, tagged: &str) -> anyhow::Result<String> {
        // The parser knows no `extend schema`, which stands at the end of an exported subgraph and says nothing here.
        let tagged = tagged.find("\nextend schema").map_or(tagged, |end| &tagged[..end]);
        let tagged =
            parse_schema::<String>(tagged).context("the schema with tags does not parse")?.into_static();
        let mut api = parse_schema::<String>(api).context("the schema does not parse")?.into_static();
        let gone = self.gone(&tagged);
        let roots: Vec<String> = ["Query", "Mutation", "Subscription"].map(str::to_owned).to_vec();
        let roots = roots_of(&api).unwrap_or(roots);
        // Until nothing leads to what is gone: each round may empty a type.
        let mut types = gone.iter().filter(|path| !path.contains('.')).cloned().collect::<BTreeSet<String>>();
        loop {
            let before = types.len();
            for definition in &mut api.definitions {
                let Definition::TypeDefinition(definition) = definition else { continue };
                prune(definition, &gone, &types)?;
                if is_empty(definition) {
                    types.insert(name_of(definition).to_owned());
                }
            }
            api.definitions.retain(|definition| match definition {
                Definition::TypeDefinition(definition) => !types.contains(name_of(definition)),
                _ => true,
            });
            if types.len() == before {
                break;
            }
        }
        ensure!(!types.contains(&roots[0]), "nothing of `{}` is left", roots[0]);
        forget_roots(&mut api, &types);
        require_interfaces(&api)?;
        let reached = reached(&api, &roots);
        api.definitions.retain(|definition| match definition {
            Definition::TypeDefinition(definition) => reached.contains(name_of(definition)),
            _ => true,
        });
        Ok(api.to_string())
    }

    /// What is left out: `Type`, `Type.field` and `Type.field.argument`.
    fn gone(&self, tagged: &Text) -> HashSet<String> {
        let mut gone = HashSet::new();
        let bears = |directives: &Directives, tags: &[String]| {
            let mut own = directives.iter().filter(|directive| directive.name == "tag").filter_map(tag);
            own.any(|tag| tags.iter().any(|wanted| wanted == tag))
        };
        for definition in &tagged.definitions {
            let Definition::TypeDefinition(definition) = definition else { continue };
            let (name, directives) = (name_of(definition), directives_of(definition));
            if bears(directives, &self.exclude) {
                gone.insert(name.to_owned());
            }
            let is_included = self.include.is_empty() || bears(directives, &self.include);
            // Of types without fields no part is included by itself.
            for (member, own, arguments) in members(definition) {
                let path = format!("{name}.{member}");
                let is_output =
                    matches!(definition, TypeDefinition::Object(_) | TypeDefinition::Interface(_));
                if bears(own, &self.exclude) || (is_output && !is_included && !bears(own, &self.include)) {
                    gone.insert(path.clone());
                }
                let excluded = arguments.iter().filter(|argument| bears(&argument.directives, &self.exclude));
                gone.extend(excluded.map(|argument| format!("{path}.{}", argument.name)));
            }
        }
        gone
    }
}

/// Takes out what is gone, and what leads to it.
fn prune(
    definition: &mut TypeDefinition<'static, String>,
    gone: &HashSet<String>,
    types: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let name = name_of(definition).to_owned();
    let is_gone = |member: &str| gone.contains(&format!("{name}.{member}"));
    match definition {
        TypeDefinition::Object(object) => {
            object.implements_interfaces.retain(|interface| !types.contains(interface));
            object.fields.retain(|field| !is_gone(&field.name) && !types.contains(named(&field.field_type)));
            for field in &mut object.fields {
                prune_inputs(&format!("{name}.{}", field.name), &mut field.arguments, (gone, types))?;
            }
        }
        TypeDefinition::Interface(interface) => {
            interface.implements_interfaces.retain(|other| !types.contains(other));
            interface
                .fields
                .retain(|field| !is_gone(&field.name) && !types.contains(named(&field.field_type)));
            for field in &mut interface.fields {
                prune_inputs(&format!("{name}.{}", field.name), &mut field.arguments, (gone, types))?;
            }
        }
        TypeDefinition::Union(union) => union.types.retain(|member| !types.contains(member)),
        TypeDefinition::Enum(values) => values.values.retain(|value| !is_gone(&value.name)),
        TypeDefinition::InputObject(input) => prune_inputs(&name, &mut input.fields, (gone, types))?,
        TypeDefinition::Scalar(_) => {}
    }
    Ok(())
}

fn prune_inputs(
    of: &str,
    inputs: &mut Vec<InputValue<'static, String>>,
    (gone, types): (&HashSet<String>, &BTreeSet<String>),
) -> anyhow::Result<()> {
    let is_gone = |input: &InputValue<'static, String>| {
        gone.contains(&format!("{of}.{}", input.name)) || types.contains(named(&input.value_type))
    };
    let required = inputs.iter().find(|input| {
        is_gone(input) && matches!(input.value_type, Type::NonNullType(_)) && input.default_value.is_none()
    });
    if let Some(input) = required {
        anyhow::bail!("`{of}` needs `{}`, which is left out: leave `{of}` out as well", input.name);
    }
    inputs.retain(|input| !is_gone(input));
    Ok(())
}

/// Each type still has all fields of its interfaces.
fn require_interfaces(api: &Text) -> anyhow::Result<()> {
    let types = || {
        api.definitions.iter().filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        })
    };
    for definition in types() {
        let (name, interfaces) = match definition {
            TypeDefinition::Object(object) => (&object.name, &object.implements_interfaces),
            TypeDefinition::Interface(interface) => (&interface.name, &interface.implements_interfaces),
            _ => continue,
        };
        let own: HashSet<&str> = members(definition).into_iter().map(|(member, ..)| member).collect();
        for interface in types().filter(|other| interfaces.iter().any(|name| name == name_of(other))) {
            let missing = members(interface).into_iter().find(|(member, ..)| !own.contains(member));
            if let Some((member, ..)) = missing {
                let interface = name_of(interface);
                anyhow::bail!(
                    "`{name}.{member}` is left out, and `{interface}` has it: leave it out there as well"
                );
            }
        }
    }
    Ok(())
}

/// What operations and their variables lead to.
fn reached(api: &Text, roots: &[String]) -> HashSet<String> {
    let mut reached = HashSet::new();
    let mut open: Vec<String> = roots.to_vec();
    let directives = api.definitions.iter().filter_map(|definition| match definition {
        Definition::DirectiveDefinition(directive) => Some(&directive.arguments),
        _ => None,
    });
    open.extend(directives.flatten().map(|argument| named(&argument.value_type).to_owned()));
    while let Some(name) = open.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        for definition in &api.definitions {
            let Definition::TypeDefinition(definition) = definition else { continue };
            let (fields, implements) = match definition {
                TypeDefinition::Object(object) => (object.fields.as_slice(), &object.implements_interfaces),
                TypeDefinition::Interface(interface) => {
                    (interface.fields.as_slice(), &interface.implements_interfaces)
                }
                TypeDefinition::Union(union) if union.name == name => {
                    open.extend(union.types.iter().cloned());
                    continue;
                }
                TypeDefinition::InputObject(input) if input.name == name => {
                    open.extend(input.fields.iter().map(|field| named(&field.value_type).to_owned()));
                    continue;
                }
                _ => continue,
            };
            if implements.contains(&name) {
                open.push(name_of(definition).to_owned());
            }
            if name_of(definition) == name {
                open.extend(implements.iter().cloned());
                for field in fields {
                    open.push(named(&field.field_type).to_owned());
                    open.extend(
                        field.arguments.iter().map(|argument| named(&argument.value_type).to_owned()),
                    );
                }
            }
        }
    }
    reached
}

fn roots_of(api: &Text) -> Option<Vec<String>> {
    api.definitions.iter().find_map(|definition| match definition {
        Definition::SchemaDefinition(schema) => {
            let roots = [&schema.query, &schema.mutation, &schema.subscription];
            Some(roots.into_iter().flatten().cloned().collect())
        }
        _ => None,
    })
}

fn forget_roots(api: &mut Text, types: &BTreeSet<String>) {
    for definition in &mut api.definitions {
        if let Definition::SchemaDefinition(schema) = definition {
            for root in [&mut schema.mutation, &mut schema.subscription] {
                *root = root.take().filter(|name| !types.contains(name));
            }
        }
    }
}

fn tag<'a>(directive: &'a Directive<'static, String>) -> Option<&'a str> {
    directive.arguments.iter().find_map(|(name, value)| match value {
        Value::String(tag) if name == "name" => Some(tag.as_str()),
        _ => None,
    })
}

type Member<'a> = (&'a str, &'a Directives, &'a [InputValue<'static, String>]);

/// The fields of a type with their arguments, or its values.
fn members<'a>(definition: &'a TypeDefinition<'static, String>) -> Vec<Member<'a>> {
    match definition {
        TypeDefinition::Object(object) => {
            object.fields.iter().map(|field| (&*field.name, &*field.directives, &*field.arguments)).collect()
        }
        TypeDefinition::Interface(interface) => interface
            .fields
            .iter()
            .map(|field| (&*field.name, &*field.directives, &*field.arguments))
            .collect(),
        TypeDefinition::InputObject(input) => {
            input.fields.iter().map(|field| (&*field.name, &*field.directives, &[] as &[_])).collect()
        }
        TypeDefinition::Enum(values) => {
            values.values.iter().map(|value| (&*value.name, &*value.directives, &[] as &[_])).collect()
        }
        TypeDefinition::Union(_) | TypeDefinition::Scalar(_) => Vec::new(),
    }
}

fn is_empty(definition: &TypeDefinition<'static, String>) -> bool {
    match definition {
        TypeDefinition::Union(union) => union.types.is_empty(),
        TypeDefinition::Scalar(_) => false,
        other => members(other).is_empty(),
    }
}

fn directives_of<'a>(definition: &'a TypeDefinition<'static, String>) -> &'a Directives {
    match definition {
        TypeDefinition::Object(object) => &object.directives,
        TypeDefinition::Interface(interface) => &interface.directives,
        TypeDefinition::Union(union) => &union.directives,
        TypeDefinition::Enum(values) => &values.directives,
        TypeDefinition::InputObject(input) => &input.directives,
        TypeDefinition::Scalar(scalar) => &scalar.directives,
    }
}

fn named<'a>(ty: &'a Type<'static, String>) -> &'a str {
    match ty {
        Type::NamedType(name) => name,
        Type::ListType(inner) | Type::NonNullType(inner) => named(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGGED: &str = r#"
        type Query { a: A b: B secret: Int @tag(name: "internal") find(by: In, need: Int!): A all: [Any] }
        interface Any { id: ID }
        type A implements Any { id: ID name: String @tag(name: "public") b: B @tag(name: "public") }
        type B implements Any @tag(name: "internal") { id: ID mood: Mood }
        type C implements Any { id: ID c: Only }
        type Only { hidden: Int @tag(name: "internal") }
        enum Mood { GOOD BAD }
        enum Kind { ONE TWO @tag(name: "internal") }
        input In { kind: Kind deep: Deep }
        input Deep @tag(name: "internal") { x: Int }
    "#;

    fn contract(exclude: &[&str], include: &[&str], text: &str) -> Result<String, String> {
        let owned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        let contract = Contract { exclude: owned(exclude), include: owned(include) };
        let printed = contract.apply(text, text).map_err(|error| error.to_string())?;
        Ok(printed.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_bears_a_tag_is_left_out_with_what_leads_to_nothing_else() {
        let printed = contract(&["internal"], &[], TAGGED).unwrap();
        for gone in ["secret", "B", "Mood", "Only", "TWO", "Deep", " b:", " c:"] {
            assert!(!printed.contains(gone), "{gone} in {printed}");
        }
        for kept in
            ["a: A", "find(by: In, need: Int!): A", "type C implements Any { id: ID }", "enum Kind { ONE }"]
        {
            assert!(printed.contains(kept), "{kept} in {printed}");
        }
        parse_schema::<String>(&printed).unwrap();
        let other = contract(&["nobodys"], &[], TAGGED).unwrap();
        assert!(other.contains("secret") && other.contains("type B"), "{other}");
    }

    #[test]
    fn nothing_but_what_bears_a_tag_is_kept() {
        let text = TAGGED.replace("a: A b: B", "a: A @tag(name: \"public\") b: B @tag(name: \"internal\")");
        let printed = contract(&[], &["public"], &text).unwrap();
        assert!(printed.contains("a: A") && printed.contains("name: String"), "{printed}");
        assert!(
            !printed.contains("secret") && !printed.contains("find") && !printed.contains("Kind"),
            "{printed}"
        );
    }

    #[test]
    fn what_has_to_be_given_is_not_left_out() {
        for (part, other, error) in [
            ("need: Int!", "need: Int! @tag(name: \"internal\")", "`Query.find` needs `need`"),
            ("by: In,", "by: In, deep: Deep!,", "`Query.find` needs `deep`"),
            (
                "type C implements Any { id: ID",
                "type C implements Any { own: Int id: ID @tag(name: \"internal\")",
                "`C.id`",
            ),
        ] {
            assert!(TAGGED.contains(part), "{part}");
            let refused = contract(&["internal"], &[], &TAGGED.replace(part, other)).unwrap_err();
            assert!(refused.contains(error), "{refused}");
        }
        let nothing =
            contract(&["internal"], &[], "type Query { a: Int @tag(name: \"internal\") }").unwrap_err();
        assert!(nothing.contains("`Query`"), "{nothing}");
    }
}
