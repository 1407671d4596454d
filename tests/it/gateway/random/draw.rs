//! A random operation over a schema: aliases, fragments, conditions, arguments, variables.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::gateway::types::{Of, Types};

/// Decisions that are taken off a tape. Past its end all of them are the simplest, so that a shorter tape makes a simpler
/// operation.
pub struct Tape<'a>(pub &'a [u8]);

impl Tape<'_> {
    /// One of `count`.
    pub fn pick(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count.max(1)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.pick(count) == count - 1
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub query: String,
    pub variables: Value,
}

const DEEPEST: usize = 5;
const ALIASES: [&str; 3] = ["a", "b", "c"];

/// What stands at a response key: field, arguments, parent, and type.
#[derive(Clone, PartialEq)]
struct Taken {
    field: String,
    parent: String,
    of: String,
    is_leaf: bool,
}

struct Drawing<'a, 't> {
    types: &'a Types,
    tape: &'a mut Tape<'t>,
    /// By path and key.
    taken: HashMap<(String, String), Vec<Taken>>,
    fragments: Vec<String>,
    declared: Vec<String>,
    variables: Map<String, Value>,
}

/// Draws a query.
pub fn operation(types: &Types, tape: &mut Tape<'_>) -> Operation {
    let mut drawing = Drawing {
        types,
        tape,
        taken: HashMap::new(),
        fragments: Vec::new(),
        declared: Vec::new(),
        variables: Map::new(),
    };
    let selected = drawing.set("Query", "", 0);
    let declared = match drawing.declared.is_empty() {
        true => String::new(),
        false => format!("({})", drawing.declared.join(", ")),
    };
    let query = format!("query{declared} {selected} {}", drawing.fragments.join(" "));
    Operation { query, variables: Value::Object(drawing.variables) }
}

impl Drawing<'_, '_> {
    /// A selection set on a type, for what is at a path.
    fn set(&mut self, ty: &str, path: &str, depth: usize) -> String {
        let count = if depth == 0 { 2 } else { 1 } + self.tape.pick(4);
        let mut items = Vec::new();
        for _ in 0..count {
            items.extend(self.item(ty, path, depth));
            if self.tape.is_over() {
                break;
            }
        }
        if items.is_empty() {
            items.push("__typename".to_owned());
        }
        format!("{{ {} }}", items.join(" "))
    }

    fn item(&mut self, ty: &str, path: &str, depth: usize) -> Option<String> {
        let is_abstract = self.types.possible.contains_key(ty);
        if (is_abstract && self.tape.pick(3) > 0) || self.tape.once_in(6) {
            return self.fragment(ty, path, depth);
        }
        if self.tape.once_in(8) {
            return Some("__typename".to_owned());
        }
        let fields: Vec<_> =
            self.types.fields.get(ty)?.iter().filter(|(_, field)| !field.is_hidden).collect();
        let (name, field) = fields.get(self.tape.pick(fields.len()))?;
        let (name, field) = (name.clone(), field.clone());
        let below = field.of.named().to_owned();
        let is_leaf = !self.types.fields.contains_key(&below) && !self.types.possible.contains_key(&below);
        if !is_leaf && depth >= DEEPEST {
            return None;
        }
        let arguments = self.arguments(&field.arguments, &field.defaults)?;
        let is_object = !is_abstract;
        let taken = Taken {
            field: format!("{name}{arguments}"),
            parent: if is_object { ty.to_owned() } else { String::new() },
            of: format!("{:?}", field.of),
            is_leaf,
        };
        let key = self.key(&name, path, taken);
        let condition = self.condition();
        let shown = if key == name { name } else { format!("{key}: {name}") };
        let set = if is_leaf { String::new() } else { self.set(&below, &format!("{path}.{key}"), depth + 1) };
        Some(format!("{shown}{arguments}{condition} {set}"))
    }

    /// A response key that gets in nobody's way.
    fn key(&mut self, name: &str, path: &str, taken: Taken) -> String {
        let wished = if self.tape.pick(3) == 2 { ALIASES[self.tape.pick(ALIASES.len())] } else { name };
        let at = (path.to_owned(), wished.to_owned());
        let known = self.taken.entry(at).or_default();
        let may_share = known.iter().all(|other| {
            let are_apart =
                !other.parent.is_empty() && !taken.parent.is_empty() && other.parent != taken.parent;
            other.of == taken.of
                && (other.field == taken.field || (are_apart && other.is_leaf && taken.is_leaf))
        });
        if may_share {
            known.push(taken);
            return wished.to_owned();
        }
        let key = format!("k{}", self.taken.len());
        self.taken.insert((path.to_owned(), key.clone()), vec![taken]);
        key
    }

    fn fragment(&mut self, ty: &str, path: &str, depth: usize) -> Option<String> {
        let types = self.types;
        let mut conditions: Vec<&str> =
            types.possible.get(ty).into_iter().flatten().map(String::as_str).collect();
        conditions.extend(
            types
                .possible
                .iter()
                .filter(|(_, members)| {
                    members.iter().any(|member| types.is(member, ty)) && !members.is_empty()
                })
                .map(|(name, _)| name.as_str()),
        );
        conditions.push(ty);
        conditions.retain(|name| !types.is_hidden(name));
        conditions.sort_unstable();
        conditions.dedup();
        let on = (*conditions.get(self.tape.pick(conditions.len()))?).to_owned();
        if depth >= DEEPEST {
            return None;
        }
        let condition = self.condition();
        let set = self.set(&on, path, depth + 1);
        if self.tape.once_in(3) {
            let name = format!("F{}", self.fragments.len());
            self.fragments.push(format!("fragment {name} on {on} {set}"));
            return Some(format!("...{name}{condition}"));
        }
        let typed = if on == ty && self.tape.once_in(2) { String::new() } else { format!(" on {on}") };
        Some(format!("...{typed}{condition} {set}"))
    }

    fn condition(&mut self) -> String {
        if !self.tape.once_in(7) {
            return String::new();
        }
        let directive = if self.tape.once_in(2) { "skip" } else { "include" };
        let value = json!(self.tape.once_in(2));
        let value = if self.tape.once_in(3) { value.to_string() } else { self.variable("Boolean!", value) };
        format!(" @{directive}(if: {value})")
    }

    /// Declares a variable; sometimes what it is given is its default.
    fn variable(&mut self, ty: &str, value: Value) -> String {
        let name = format!("v{}", self.declared.len());
        if self.tape.once_in(3) {
            self.declared.push(format!("${name}: {ty} = {}", literal(&value, ty)));
        } else {
            self.declared.push(format!("${name}: {ty}"));
            self.variables.insert(name.clone(), value);
        }
        format!("${name}")
    }

    /// `None` if one is needed that cannot be drawn.
    fn arguments(&mut self, known: &[(String, Of)], defaults: &Map<String, Value>) -> Option<String> {
        let mut given = Vec::new();
        for (name, of) in known {
            let is_needed = matches!(of, Of::NonNull(_)) && !defaults.contains_key(name);
            if !is_needed && !self.tape.once_in(2) {
                continue;
            }
            let value = match self.value(of) {
                Some(value) => value,
                None if is_needed => return None,
                None => continue,
            };
            let ty = written(of);
            let value = if self.tape.once_in(2) { self.variable(&ty, value) } else { literal(&value, &ty) };
            given.push(format!("{name}: {value}"));
        }
        Some(if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) })
    }

    fn value(&mut self, of: &Of) -> Option<Value> {
        Some(match of {
            Of::NonNull(inner) => self.value(inner)?,
            Of::List(inner) => {
                let count = self.tape.pick(3);
                (0..count).map(|_| self.value(inner)).collect::<Option<Vec<_>>>()?.into()
            }
            Of::Named(name) => match name.as_str() {
                "Int" => json!(self.tape.pick(4)),
                "Float" => json!(0.5),
                "Boolean" => json!(self.tape.once_in(2)),
                "String" | "ID" => json!(["a", "USD", "é \"x\" \\ \n"][self.tape.pick(3)]),
                name => {
                    let values = self.types.values.get(name)?;
                    let seen: Vec<_> = values
                        .iter()
                        .filter(|value| !self.types.is_hidden(&format!("{name}.{value}")))
                        .collect();
                    json!(seen[self.tape.pick(seen.len())])
                }
            },
        })
    }
}

fn written(of: &Of) -> String {
    match of {
        Of::Named(name) => name.clone(),
        Of::List(inner) => format!("[{}]", written(inner)),
        Of::NonNull(inner) => format!("{}!", written(inner)),
    }
}

/// A value as it stands in an operation. Values of enums have no quotes.
fn literal(value: &Value, ty: &str) -> String {
    let named = ty.trim_matches(|letter| "[]!".contains(letter));
    match value {
        Value::String(text) if !["String", "ID"].contains(&named) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| literal(item, ty)).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}
