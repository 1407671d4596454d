//! GraphQL over rows, in the simplest way: what the subgraphs of the tests answer, and what the same operation answers
//! where nothing is federated. It shares no code with the gateway.

use std::collections::HashMap;
use std::sync::Arc;

use graphql_tools::parser::query::{
    Definition, Document, Field, OperationDefinition, Selection, SelectionSet, TypeCondition,
    Value as Argument, parse_query,
};
use serde_json::{Map, Value, json};

use super::order::Orders;
use super::types::{Of, Types};

/// Computes a field of an object from the object and the arguments.
pub type Compute = fn(&Map<String, Value>, &Map<String, Value>) -> Value;

/// Rows by the name of their type, each with `__typename`. A row that another one names by a part of it is found by that.
#[derive(Clone, Default)]
pub struct Rows {
    rows: Vec<Value>,
    computed: HashMap<(String, String), Compute>,
    /// Fields that answer with an error.
    failing: Vec<(String, String)>,
    /// What the schema of whoever answers says, if he keeps to one.
    schema: Option<Schema>,
}

/// The schema that answers keep to.
#[derive(Clone)]
struct Schema {
    own: Arc<Types>,
    /// That of all subgraphs together.
    whole: Arc<Types>,
    /// Whether a null where the schema has none takes with it what is around it. What does not is a subgraph with a
    /// defect.
    minds_nulls: bool,
    /// Whether what is inaccessible becomes null.
    hides: bool,
}

/// A null that takes with it what is around it.
struct Bubble;

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

    /// As the subgraph of this schema answers.
    pub fn within(mut self, own: Arc<Types>, whole: Arc<Types>, minds_nulls: bool) -> Self {
        self.schema = Some(Schema { own, whole, minds_nulls, hides: false });
        self
    }

    /// As one server with everything answers.
    pub fn unfederated(mut self, whole: Arc<Types>) -> Self {
        self.schema = Some(Schema { own: whole.clone(), whole, minds_nulls: true, hides: true });
        self
    }

    /// Replaces what the rows of a type say.
    pub fn with(mut self, ty: &str, field: &str, value: &Value) -> Self {
        for row in self.rows.iter_mut().filter(|row| row["__typename"] == ty) {
            row[field] = value.clone();
        }
        self
    }

    /// Without some of what is no key, as `is_lost` says.
    pub fn losing(mut self, mut is_lost: impl FnMut(&str, &str) -> bool) -> Self {
        for row in &mut self.rows {
            let ty = row["__typename"].as_str().unwrap().to_owned();
            for (field, value) in row.as_object_mut().unwrap() {
                if field != "__typename" && is_lost(&ty, field) {
                    *value = Value::Null;
                }
            }
        }
        self
    }

    /// The answer to an operation.
    pub fn answer(&self, query: &str, variables: &Value) -> Value {
        self.answer_in_order(query, variables).0
    }

    /// The same, with the order of its keys.
    pub fn answer_in_order(&self, query: &str, variables: &Value) -> (Value, Orders) {
        let document = parse_query::<String>(query).unwrap();
        let (root, set) = root(&document);
        let mut asking = Asking {
            rows: self,
            document: &document,
            variables,
            errors: Vec::new(),
            path: Vec::new(),
            orders: Orders::default(),
        };
        let object = self.row(root, &Map::new());
        let data = asking.select(&object, &[set]).unwrap_or_default();
        let answer = match asking.errors.is_empty() {
            true => json!({ "data": data }),
            false => json!({ "data": data, "errors": asking.errors }),
        };
        (answer, asking.orders)
    }

    /// The row of a type that has all of `part`; `part` itself is enough if there is none.
    fn row(&self, ty: &str, part: &Map<String, Value>) -> Map<String, Value> {
        let is = |row: &Value| {
            let own = row["__typename"].as_str().unwrap();
            own == ty || self.schema.as_ref().is_some_and(|schema| schema.whole.is(own, ty))
        };
        let mut whole = self
            .rows
            .iter()
            .find(|row| is(row) && part.iter().all(|(key, value)| fits(key, value, &row[key])))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let own = whole.get("__typename").and_then(Value::as_str).unwrap_or(ty).to_owned();
        let name = self.schema.as_ref().map_or_else(|| own.clone(), |schema| schema.name_of(&own));
        if let Some(schema) = &self.schema {
            let told: Vec<String> =
                whole.keys().filter(|key| schema.own.must_be_told(&name, key)).cloned().collect();
            for key in told {
                let value = whole.remove(&key).unwrap();
                // Only what a path of the subgraph provides is asked for by its own name.
                whole.insert(format!("~{key}"), value);
            }
        }
        for (key, value) in part {
            whole.insert(key.clone(), value.clone());
        }
        whole.insert("__typename".to_owned(), name.into());
        whole
    }
}

/// Whether a part of a representation is not at odds with what a row says.
fn fits(key: &str, part: &Value, row: &Value) -> bool {
    match (part, row) {
        _ if key == "__typename" => true,
        (Value::String(part), Value::String(row)) => part == row,
        (Value::Number(part), Value::Number(row)) => part == row,
        (Value::Object(part), Value::Object(row)) => {
            part.iter().all(|(key, value)| row.get(key).is_none_or(|row| fits(key, value, row)))
        }
        (Value::String(_), _) => false,
        _ => true,
    }
}

impl Schema {
    /// What the subgraph calls a type: its interface, where that is an object type (`@interfaceObject`).
    fn name_of(&self, ty: &str) -> String {
        if self.own.fields.contains_key(ty) {
            return ty.to_owned();
        }
        let mut seen = self.own.fields.keys();
        seen.find(|own| self.whole.is(ty, own)).map_or(ty, String::as_str).to_owned()
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
    orders: Orders,
}

impl<'a> Asking<'a> {
    fn select(
        &mut self,
        object: &Map<String, Value>,
        sets: &[&'a SelectionSet<'a, String>],
    ) -> Result<Value, Bubble> {
        let ty = object["__typename"].as_str().unwrap().to_owned();
        let mut fields: Vec<(String, Vec<&'a Field<'a, String>>)> = Vec::new();
        for set in sets {
            self.collect(&ty, set, &mut fields);
        }
        self.orders.note(&self.path, fields.iter().map(|(key, _)| key.clone()).collect());
        let mut selected = Map::new();
        for (key, fields) in fields {
            self.path.push(key.as_str().into());
            let value = self.field(object, &ty, &fields);
            self.path.pop();
            selected.insert(key, value?);
        }
        Ok(Value::Object(selected))
    }

    fn is(&self, ty: &str, condition: &str) -> bool {
        ty == condition || self.rows.schema.as_ref().is_some_and(|schema| schema.own.is(ty, condition))
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
                        Some(TypeCondition::On(name)) => self.is(ty, name),
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
                    if self.is(ty, name) {
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

    fn field(
        &mut self,
        object: &Map<String, Value>,
        ty: &str,
        fields: &[&'a Field<'a, String>],
    ) -> Result<Value, Bubble> {
        let field = fields[0];
        let mut arguments: Map<String, Value> =
            field.arguments.iter().map(|(name, value)| (name.clone(), self.argument(value))).collect();
        if field.name == "_entities" {
            return self.entities(&arguments, fields);
        }
        if field.name == "__typename" {
            return Ok(ty.into());
        }
        let known = self.rows.schema.as_ref().map(|schema| schema.own.field(ty, &field.name).cloned());
        let Some(known) = known.map_or(Some(None), |known| known.map(Some)) else {
            self.fail("NO_SUCH_FIELD", format!("{ty} has no {}", field.name));
            return Ok(Value::Null);
        };
        let of = known.as_ref().map(|field| field.of.clone());
        for (name, default) in known.into_iter().flat_map(|field| field.defaults) {
            arguments.entry(name).or_insert(default);
        }
        if self.rows.failing.iter().any(|(failing, name)| failing == ty && *name == field.name) {
            self.fail("BROKEN", format!("{ty}.{} fails", field.name));
            return self.complete(Value::Null, of.as_ref(), fields);
        }
        let computed = self.rows.computed.get(&(ty.to_owned(), field.name.clone()));
        let value = match computed {
            Some(compute) => compute(object, &arguments),
            None => {
                let own = object.get(&field.name).or_else(|| object.get(&format!("~{}", field.name)));
                own.cloned().unwrap_or_default()
            }
        };
        self.complete(value, of.as_ref(), fields)
    }

    fn entities(
        &mut self,
        arguments: &Map<String, Value>,
        fields: &[&'a Field<'a, String>],
    ) -> Result<Value, Bubble> {
        let Some(Value::Array(wanted)) = arguments.get("representations") else {
            panic!("no representations")
        };
        let entities = wanted.iter().map(|part| {
            let part = part.as_object().unwrap();
            let ty = part.get("__typename").and_then(Value::as_str);
            let ty = ty.unwrap_or_else(|| panic!("a representation without its type: {part:?}"));
            Value::Object(self.rows.row(ty, part))
        });
        let entities = Value::Array(entities.collect());
        self.complete(entities, None, fields)
    }

    fn fail(&mut self, code: &str, message: String) {
        self.errors.push(json!({ "message": message, "path": self.path, "extensions": { "code": code } }));
    }

    /// The value of a field, all of it; `of` is its type where that is known.
    fn complete(
        &mut self,
        value: Value,
        of: Option<&Of>,
        fields: &[&'a Field<'a, String>],
    ) -> Result<Value, Bubble> {
        if let Some(Of::NonNull(inner)) = of {
            let value = self.complete(value, Some(&**inner), fields)?;
            let minds = self.rows.schema.as_ref().is_some_and(|schema| schema.minds_nulls);
            if value.is_null() && minds {
                self.fail("NULL", "a null where none may be".to_owned());
                return Err(Bubble);
            }
            return Ok(value);
        }
        let whole = match value {
            Value::Array(items) => {
                let inner = match of {
                    Some(Of::List(inner)) => Some(&**inner),
                    _ => None,
                };
                self.items(items, inner, fields)
            }
            Value::Object(part) if part.contains_key("__typename") => {
                let object = self.rows.row(part["__typename"].as_str().unwrap(), &part);
                if self.is_hidden(object["__typename"].as_str().unwrap()) {
                    return Ok(Value::Null);
                }
                let sets: Vec<_> = fields.iter().map(|field| &field.selection_set).collect();
                self.select(&object, &sets)
            }
            Value::String(value) => {
                let is_hidden = of.is_some_and(|of| self.is_hidden(&format!("{}.{value}", of.named())));
                return Ok(if is_hidden { Value::Null } else { Value::String(value) });
            }
            value => return Ok(value),
        };
        Ok(whole.unwrap_or_default())
    }

    fn items(
        &mut self,
        items: Vec<Value>,
        of: Option<&Of>,
        fields: &[&'a Field<'a, String>],
    ) -> Result<Value, Bubble> {
        let items = items.into_iter().enumerate().map(|(index, item)| {
            self.path.push(index.into());
            let item = self.complete(item, of, fields);
            self.path.pop();
            item
        });
        items.collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    fn is_hidden(&self, name: &str) -> bool {
        self.rows.schema.as_ref().is_some_and(|schema| schema.hides && schema.own.is_hidden(name))
    }

    fn argument(&self, value: &Argument<'a, String>) -> Value {
        match value {
            Argument::Variable(name) => match self.variables.get(name) {
                Some(value) => value.clone(),
                None => self.default_of(name),
            },
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

    /// What the operation says of a variable that is not given.
    fn default_of(&self, name: &str) -> Value {
        let operations = self.document.definitions.iter().filter_map(|definition| match definition {
            Definition::Operation(OperationDefinition::Query(query)) => Some(&query.variable_definitions),
            Definition::Operation(OperationDefinition::Mutation(mutation)) => {
                Some(&mutation.variable_definitions)
            }
            _ => None,
        });
        let variable = operations.flatten().find(|variable| variable.name == name);
        let default = variable.and_then(|variable| variable.default_value.as_ref());
        default.map(|value| self.argument(value)).unwrap_or_default()
    }
}
