//! Which mutations need a recent proof. The list is the contract's, and their inputs are made from the schema: a new
//! mutation is covered as soon as it is there.

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputObjectType, InputValueDefinition, ServiceDocument, Type, TypeDefinition,
    TypeKind, TypeSystemDefinition,
};
use serde_json::{Map, Value, json};

use crate::support::on_both_stacks;

const CONTRACT: &str = include_str!("../../schema/contract.graphql");
const ADA: &str = "+4917139200042";

on_both_stacks! {
    async fn s16_each_mutation_that_the_contract_marks_needs_a_step_up(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        // Neither the session nor the account is new.
        app.advance(&place, 3600).await;
        let stale = app.renewed(&ada);
        let (contract, schema) = (Schema::parse(CONTRACT), Schema::parse(&accounts_center::graph::api_sdl()));
        let mut marked = Vec::new();
        for mutation in schema.mutations() {
            let name = mutation.name.node.as_str();
            let agreed = contract.mutations().find(|agreed| agreed.name.node == name).unwrap_or_else(|| {
                panic!("{name} is not in the contract")
            });
            let (call, variables) = schema.call(mutation, &words(agreed));
            let answer = stale.run(&call, variables.clone()).await;
            let refused = answer.body["errors"][0]["extensions"]["code"] == "STEP_UP_REQUIRED";
            assert_eq!(refused, is_marked(agreed), "{call}: {:#}", answer.body);
            assert_eq!(is_marked(mutation), is_marked(agreed), "the description of {name} says so");
            assert_ne!(answer.body["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{call}");
            if refused {
                marked.push(name);
                // With a recent proof it is not refused for want of one.
                let fresh = app.client().sign_in(&place, ADA).await.client;
                let fresh = fresh.run(&call, variables).await;
                assert_ne!(fresh.body["errors"][0]["extensions"]["code"], "STEP_UP_REQUIRED", "{call}");
            }
        }
        for known in ["startProfileLink", "unlinkProfile"] {
            assert!(marked.contains(&known), "{marked:?}");
        }
    }
}

fn is_marked(mutation: &FieldDefinition) -> bool {
    words(mutation).iter().any(|word| word.eq_ignore_ascii_case("step-up"))
}

/// The words of a description: it may say for which value a step-up is needed.
fn words(field: &FieldDefinition) -> Vec<String> {
    let text = field.description.as_ref().map_or("", |text| text.node.as_str());
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.split(|c| !is_of_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

struct Schema(ServiceDocument);

impl Schema {
    fn parse(sdl: &str) -> Self {
        Self(parse_schema(sdl).unwrap())
    }

    fn find(&self, name: &str) -> Option<&TypeDefinition> {
        self.0.definitions.iter().find_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) if definition.node.name.node == name => {
                Some(&definition.node)
            }
            _ => None,
        })
    }

    fn mutations(&self) -> impl Iterator<Item = &FieldDefinition> {
        let Some(TypeKind::Object(object)) = self.find("Mutation").map(|mutation| &mutation.kind) else {
            panic!("there are no mutations")
        };
        object.fields.iter().map(|field| &field.node)
    }

    /// A mutation, and variables with all that it needs; where there is a choice, what `words` name.
    fn call(&self, mutation: &FieldDefinition, words: &[String]) -> (String, Value) {
        let (mut declared, mut passed, mut variables) = (Vec::new(), Vec::new(), Map::new());
        for argument in &mutation.arguments {
            let (name, ty) = (argument.node.name.node.as_str(), &argument.node.ty.node);
            declared.push(format!("${name}: {ty}"));
            passed.push(format!("{name}: ${name}"));
            variables.insert(name.to_owned(), self.value(ty, words));
        }
        let (declared, passed) = (declared.join(", "), passed.join(", "));
        let name = &mutation.name.node;
        (format!("mutation({declared}) {{ {name}({passed}) {{ __typename }} }}"), Value::Object(variables))
    }

    fn value(&self, ty: &Type, words: &[String]) -> Value {
        let name = match &ty.base {
            BaseType::Named(name) => name.as_str(),
            BaseType::List(inner) => return json!([self.value(inner, words)]),
        };
        match self.find(name).map(|definition| (&definition.kind, &definition.directives)) {
            Some((TypeKind::InputObject(input), directives)) => {
                let is_one_of = directives.iter().any(|directive| directive.node.name.node == "oneOf");
                self.object(input, is_one_of, words)
            }
            Some((TypeKind::Enum(choice), _)) => {
                let mut values = choice.values.iter().map(|value| value.node.value.node.as_str());
                let first = values.clone().next().expect("an enum has values");
                json!(values.find(|value| words.iter().any(|word| word == value)).unwrap_or(first))
            }
            _ => match name {
                "PlatformKey" => json!("whatsapp"),
                "Url" => json!("https://example.com/"),
                "DateTime" => json!("2027-01-16T08:00:00.000Z"),
                "Int" => json!(1),
                "Boolean" => json!(true),
                _ => json!("something"),
            },
        }
    }

    fn object(&self, input: &InputObjectType, is_one_of: bool, words: &[String]) -> Value {
        // Of several ways to prove, the one that WhatsApp has.
        let is_first = |field: &&InputValueDefinition| field.name.node == "oneTimeCode";
        let mut fields: Vec<_> = input.fields.iter().map(|field| &field.node).collect();
        fields.sort_by_key(|field| !is_first(field));
        let fields = fields.into_iter();
        let needed =
            fields.filter(|field| is_one_of || !field.ty.node.nullable && field.default_value.is_none());
        let taken = if is_one_of { 1 } else { usize::MAX };
        let values =
            needed.take(taken).map(|field| (field.name.node.to_string(), self.value(&field.ty.node, words)));
        Value::Object(values.collect::<Map<_, _>>())
    }
}
