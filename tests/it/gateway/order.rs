//! The order of keys, which values of JSON do not keep here: what an answer is as text.

use std::collections::HashMap;

use serde_json::Value;

/// The keys of each object by its path, as they were selected.
#[derive(Debug, Default)]
pub struct Orders(HashMap<String, Vec<String>>);

fn place(path: &[Value]) -> String {
    Value::from(path).to_string()
}

impl Orders {
    pub fn note(&mut self, path: &[Value], keys: Vec<String>) {
        self.0.insert(place(path), keys);
    }

    /// A value as text, with the keys of its objects in their order.
    pub fn text(&self, value: &Value) -> String {
        let mut text = String::new();
        self.write(value, &mut Vec::new(), &mut text);
        text
    }

    fn write(&self, value: &Value, path: &mut Vec<Value>, text: &mut String) {
        match value {
            Value::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    path.push(index.into());
                    self.write(item, path, text);
                    path.pop();
                }
                text.push(']');
            }
            Value::Object(object) => {
                let Some(keys) = self.0.get(&place(path)) else {
                    // A scalar of its own.
                    text.push_str(&value.to_string());
                    return;
                };
                assert_eq!(keys.len(), object.len(), "{keys:?} are not the keys of {value}");
                text.push('{');
                for (number, key) in keys.iter().enumerate() {
                    text.push_str(if number > 0 { "," } else { "" });
                    text.push_str(&format!("{}:", Value::from(key.as_str())));
                    path.push(key.as_str().into());
                    self.write(&object[key], path, text);
                    path.pop();
                }
                text.push('}');
            }
            scalar => text.push_str(&scalar.to_string()),
        }
    }
}
