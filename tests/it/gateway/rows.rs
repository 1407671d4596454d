//! GraphQL over rows, in the simplest way: what the subgraphs of the tests answer, and what the same operation answers
//! where nothing is federated. It shares no code with the gateway.

use std::collections::HashMap;

use graphql_tools::parser::query::{
    Definition, Document, Field, OperationDefinition, Selection, SelectionSet, TypeCondition,
    Value as Argument, parse_query,
};
use serde_json::{Map, Value, json};

/// Computes a field of an object from the object and the arguments.
pub type Compute = fn(&Map<String, Value>, &Map<String, Value>) -> Value;

/// Rows by the name of their type, each with `__typename`. A row that another one names by a part of it is found by that.
#[derive(Clone, Default)]
pub struct Rows {
    rows: Vec<Value>,
    computed: HashMap<(String, String), Compute>,
    /// Fields that answer with an error.
    failing: Vec<(String, String)>,
}

impl Rows {
    /// Of objects; the ones called `Query` and `Mutation` are the roots.
    pub fn new(rows: Value) -> Self {
        let Value::Array(rows) = rows else { panic!("rows are a list") };
        Self { rows, ..Self::default() }
    }

    pub fn computed(mut self, ty: &str, field: &str, compute: Compute) -> Self {
        self.computed.insert((ty.to_owned(), field.to_owned()), compute);
        self
    }

    pub fn failing(mut self, ty: &str, field: &str) -> Self {
        self.failing.push((ty.to_owned(), field.to_owned()));
        self
    }

    /// The answer to an operation.
    pub fn answer(&self, query: &str, variables: &Value) -> Value {
        let document = parse_query::<String>(query).unwrap();
        let (root, set) = root(&document);
        let mut asking =
            Asking { rows: self, document: &document, variables, errors: Vec::new(), path: Vec::new() };
        let object = self.row(root, &Map::new());
        let data = asking.select(&object, &[set]);
        match asking.errors.is_empty() {
            true => json!({ "data": data }),
            false => json!({ "data": data, "errors": asking.errors }),
        }
    }

    /// The row of a type that has all of `part`; `part` itself is enough if there is none.
    fn row(&self, ty: &str, part: &Map<String, Value>) -> Map<String, Value> {
        let fits = |row: &&Value| {
            row["__typename"] == ty
                && part.iter().all(|(key, value)| !value.is_string() || row[key] == *value)
        };
        let mut whole = self.rows.iter().find(fits).and_then(Value::as_object).cloned().unwrap_or_default();
        whole.insert("__typename".to_owned(), ty.into());
        for (key, value) in part {
            whole.insert(key.clone(), value.clone());
        }
        whole
    }
}

fn root<'a>(document: &'a Document<'a, String>) -> (&'static str, &'a SelectionSet<'a, String>) {
    let operation = document.definitions.iter().find_map(|definition| match definition {
        Definition::Operation(operation) => Some(operation),
        Definition::Fragment(_) => None,
    });
    match operation.expect("there is an operation") {
        OperationDefinition::SelectionSet(set) => ("Query", set),
        OperationDefinition::Query(query) => ("Query", &query.selection_set),
        OperationDefinition::Mutation(mutation) => ("Mutation", &mutation.selection_set),
        OperationDefinition::Subscription(_) => panic!("no subscriptions here"),
    }
}

struct Asking<'a> {
    rows: &'a Rows,
    document: &'a Document<'a, String>,
    variables: &'a Value,
    errors: Vec<Value>,
    path: Vec<Value>,
}

impl<'a> Asking<'a> {
    fn select(&mut self, object: &Map<String, Value>, sets: &[&'a SelectionSet<'a, String>]) -> Value {
        let ty = object["__typename"].as_str().unwrap().to_owned();
        let mut fields: Vec<(String, Vec<&'a Field<'a, String>>)> = Vec::new();
        for set in sets {
            self.collect(&ty, set, &mut fields);
        }
        let mut selected = Map::new();
        for (key, fields) in fields {
            self.path.push(key.as_str().into());
            let value = self.field(object, &ty, &fields);
            self.path.pop();
            selected.insert(key, value);
        }
        Value::Object(selected)
    }

    fn collect(
        &self,
        ty: &str,
        set: &'a SelectionSet<'a, String>,
        fields: &mut Vec<(String, Vec<&'a Field<'a, String>>)>,
    ) {
        for item in &set.items {
            match item {
                Selection::Field(field) if self.is_shown(&field.directives) => {
                    let key = field.alias.as_ref().unwrap_or(&field.name);
                    match fields.iter_mut().find(|(known, _)| known == key) {
                        Some((_, same)) => same.push(field),
                        None => fields.push((key.clone(), vec![field])),
                    }
                }
                Selection::InlineFragment(fragment) if self.is_shown(&fragment.directives) => {
                    let fits = match &fragment.type_condition {
                        Some(TypeCondition::On(name)) => ty == name,
                        None => true,
                    };
                    if fits {
                        self.collect(ty, &fragment.selection_set, fields);
                    }
                }
                Selection::FragmentSpread(spread) if self.is_shown(&spread.directives) => {
                    let named = self.document.definitions.iter().find_map(|definition| match definition {
                        Definition::Fragment(fragment) if fragment.name == spread.fragment_name => {
                            Some(fragment)
                        }
                        _ => None,
                    });
                    let fragment = named.expect("the fragment is there");
                    let TypeCondition::On(name) = &fragment.type_condition;
                    if ty == name {
                        self.collect(ty, &fragment.selection_set, fields);
                    }
                }
                _ => {}
            }
        }
    }

    fn is_shown(&self, directives: &[graphql_tools::parser::query::Directive<'a, String>]) -> bool {
        directives.iter().all(|directive| {
            let condition = directive.arguments.iter().find(|(name, _)| name == "if");
            let is = condition.map(|(_, value)| self.argument(value));
            match directive.name.as_str() {
                "skip" => is != Some(Value::Bool(true)),
                "include" => is == Some(Value::Bool(true)),
                _ => true,
            }
        })
    }

    fn field(&mut self, object: &Map<String, Value>, ty: &str, fields: &[&'a Field<'a, String>]) -> Value {
        let field = fields[0];
        let arguments: Map<String, Value> =
            field.arguments.iter().map(|(name, value)| (name.clone(), self.argument(value))).collect();
        if field.name == "_entities" {
            let Some(Value::Array(wanted)) = arguments.get("representations") else {
                panic!("no representations")
            };
            let entities = wanted.iter().map(|part| {
                let part = part.as_object().unwrap();
                let ty = part["__typename"].as_str().unwrap();
                Value::Object(self.rows.row(ty, part))
            });
            let entities = Value::Array(entities.collect());
            return self.complete(entities, fields);
        }
        if self.rows.failing.iter().any(|(failing, name)| failing == ty && *name == field.name) {
            let message = format!("{ty}.{} fails", field.name);
            self.errors
                .push(json!({ "message": message, "path": self.path, "extensions": { "code": "BROKEN" } }));
            return Value::Null;
        }
        let computed = self.rows.computed.get(&(ty.to_owned(), field.name.clone()));
        let value = match computed {
            Some(compute) => compute(object, &arguments),
            None => object.get(&field.name).cloned().unwrap_or_default(),
        };
        self.complete(value, fields)
    }

    fn complete(&mut self, value: Value, fields: &[&'a Field<'a, String>]) -> Value {
        match value {
            Value::Array(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    self.path.push(index.into());
                    let item = self.complete(item, fields);
                    self.path.pop();
                    item
                });
                Value::Array(items.collect())
            }
            Value::Object(part) if part.contains_key("__typename") => {
                let object = self.rows.row(part["__typename"].as_str().unwrap(), &part);
                let sets: Vec<_> = fields.iter().map(|field| &field.selection_set).collect();
                self.select(&object, &sets)
            }
            value => value,
        }
    }

    fn argument(&self, value: &Argument<'a, String>) -> Value {
        match value {
            Argument::Variable(name) => self.variables.get(name).cloned().unwrap_or_default(),
            Argument::Int(number) => number.as_i64().into(),
            Argument::Float(number) => (*number).into(),
            Argument::String(text) | Argument::Enum(text) => text.as_str().into(),
            Argument::Boolean(value) => (*value).into(),
            Argument::Null => Value::Null,
            Argument::List(items) => items.iter().map(|item| self.argument(item)).collect(),
            Argument::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (name.clone(), self.argument(value))).collect(),
            ),
        }
    }
}
