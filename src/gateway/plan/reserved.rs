//! Variables of clients that are called as the planner calls its own: it does not see that there are two then.

use hive_router_query_planner::ast::operation::OperationDefinition;
use hive_router_query_planner::ast::selection_item::SelectionItem;
use hive_router_query_planner::ast::selection_set::SelectionSet;
use hive_router_query_planner::ast::value::Value;

/// What every fetch of entities has.
pub const REPRESENTATIONS: &str = "representations";

/// Gives a client's variable of that name another one. Gives the new name, if there was need of one.
pub fn rename(operation: &mut OperationDefinition) -> Option<String> {
    let definitions = operation.variable_definitions.as_mut()?;
    let is_taken = |name: &str| definitions.iter().any(|definition| definition.name == name);
    if !is_taken(REPRESENTATIONS) {
        return None;
    }
    let mut name = REPRESENTATIONS.to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    let own = definitions.iter_mut().filter(|definition| definition.name == REPRESENTATIONS);
    own.for_each(|definition| definition.name.clone_from(&name));
    in_set(&mut operation.selection_set, &name);
    Some(name)
}

/// The same in what is shown.
pub fn in_set(set: &mut SelectionSet, name: &str) {
    for item in &mut set.items {
        match item {
            SelectionItem::Field(field) => {
                in_conditions([&mut field.skip_if, &mut field.include_if], name);
                if let Some(arguments) = &mut field.arguments {
                    let known = arguments.clone();
                    for (argument, value) in &known {
                        arguments.add_argument(argument.clone(), in_value(value, name));
                    }
                }
                in_set(&mut field.selections, name);
            }
            SelectionItem::InlineFragment(fragment) => {
                in_conditions([&mut fragment.skip_if, &mut fragment.include_if], name);
                in_set(&mut fragment.selections, name);
            }
            SelectionItem::FragmentSpread(_) => {}
        }
    }
}

fn in_conditions(conditions: [&mut Option<String>; 2], name: &str) {
    for condition in conditions.into_iter().flatten().filter(|condition| *condition == REPRESENTATIONS) {
        name.clone_into(condition);
    }
}

fn in_value(value: &Value, name: &str) -> Value {
    match value {
        Value::Variable(own) if own == REPRESENTATIONS => Value::Variable(name.to_owned()),
        Value::List(items) => Value::List(items.iter().map(|item| in_value(item, name)).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(field, value)| (field.clone(), in_value(value, name)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::document;

    fn renamed(text: &str) -> (Option<String>, String) {
        let mut operation = document(text).operation;
        let name = rename(&mut operation);
        (name, operation.to_string())
    }

    /// Wherever it stands: in values within values, in conditions of fields and of fragments.
    #[test]
    fn a_variable_is_renamed_wherever_it_stands() {
        let text = |name: &str| {
            format!(
                "query(${name}: String, $representations_: Int) {{ a(x: ${name}, y: [1, {{z: ${name}}}], \
                 v: $representations_) @skip(if: ${name}) {{ ... on T @include(if: ${name}) {{ \
                 representations(b: ${name}) @include(if: ${name}) }} }} }}"
            )
        };
        let wanted = document(&text("representations__")).operation.to_string();
        assert_eq!(renamed(&text("representations")), (Some("representations__".to_owned()), wanted));
        let other = "query($other: String) { representations(a: $other) }";
        assert_eq!(renamed(other), (None, document(other).operation.to_string()));
    }
}
