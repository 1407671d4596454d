use super::*;
use crate::gateway::plan::layout::Layout;
use crate::gateway::testing::{document, zoo};

/// For each object its type's fields: key, and the variables of each condition.
fn shown(operation: &str, ty: &str) -> Vec<String> {
    let zoo = zoo();
    let set = document(operation).operation.selection_set;
    let layout = Layout::default();
    let declared = zoo.schema.id("Animal").unwrap();
    let selection = Selection::root(&zoo.schema, declared, set);
    let fields = &selection.of(&zoo.schema, &layout, zoo.schema.id(ty).unwrap()).fields;
    let told = fields.iter().map(|field| {
        let told = |conditions: &[Condition]| {
            let told = conditions
                .iter()
                .map(|condition| format!(" -{} +{}", condition.skip.join(","), condition.include.join(",")));
            told.collect::<String>()
        };
        let unless = if field.unless.is_empty() { "" } else { " unless" };
        format!("{}{}{unless}{}", field.key, told(&field.conditions), told(&field.unless))
    });
    told.collect()
}

/// What an object shows is what is selected of its type, in the order of the operation, each key once, where it comes
/// first.
#[test]
fn an_object_shows_what_is_selected_of_its_type_in_order() {
    let operation = "{ name ... on Cat { lives again: id } ... on Dog { bark } ... on Animal { id name } }";
    for (ty, keys) in [
        ("Cat", vec!["name", "lives", "again", "id"]),
        ("Dog", vec!["name", "bark", "id"]),
        ("Ghost", vec![]),
        ("Animal", vec!["name", "id"]),
    ] {
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\":")).collect();
        assert_eq!(shown(operation, ty), keys, "{ty}");
    }
    assert!(shown(operation, "Box").is_empty(), "a type that the declared one does not stand for");
}

/// A key is shown if any of its selections is; conditions of fragments hold for what is in them.
#[test]
fn conditions_of_one_key_are_alternatives() {
    for (operation, wanted) in [
        ("{ name @skip(if: $a) }", "\"name\": -a +"),
        ("{ name @skip(if: $a) @include(if: $b) }", "\"name\": -a +b"),
        ("{ name @skip(if: $a) ... on Cat { name @include(if: $b) } }", "\"name\": -a + - +b"),
        ("{ name @skip(if: $a) name }", "\"name\":"),
        (
            "{ ... on Cat @include(if: $a) { ... on Animal @skip(if: $b) { name @include(if: $c) } } }",
            "\"name\": -b +a,c",
        ),
    ] {
        assert_eq!(shown(operation, "Cat"), [wanted], "{operation}");
    }
}

/// A key comes where the first selection of it that is shown is; asked for under ever more conditions, at the last of
/// some places.
#[test]
fn a_key_has_a_place_for_each_condition_with_something_between() {
    let of = |operation: &str| shown(operation, "Cat");
    assert_eq!(
        of("{ name @skip(if: $a) id name @skip(if: $b) lives name id }"),
        [
            "\"name\": -a +",
            "\"id\":",
            "\"name\": -b + unless -a +",
            "\"lives\":",
            "\"name\": unless -a + -b +"
        ]
    );
    let again = |n: usize| (0..n).map(|n| format!("name @skip(if: $v{n}) a{n}: id ")).collect::<String>();
    let places =
        |n| of(&format!("{{ {} }}", again(n))).iter().filter(|key| key.starts_with("\"name\"")).count();
    assert_eq!([places(7), places(8), places(9), places(100)], [7, 8, 8, 8]);
    let last = of(&format!("{{ {} name }}", again(100)));
    let last = last.iter().rfind(|key| key.starts_with("\"name\"")).unwrap();
    assert!(last.starts_with("\"name\": unless -v0 +"), "{last}");
}

/// Else there would be as many selections as ways through the types: of two types at each of twenty levels a million.
#[test]
fn types_that_select_the_same_share_it() {
    let zoo = zoo();
    let set = document("{ friend { friend { name } } ... on Cat { friend { id } } }");
    let of = |selection: &Selection, ty: &str| {
        let shown = selection.of(&zoo.schema, &Layout::default(), zoo.schema.id(ty).unwrap());
        let FieldKind::Composite { selection, .. } = &*shown.fields[0].kind else { panic!("{shown:?}") };
        selection.clone()
    };
    let animal = zoo.schema.id("Animal").unwrap();
    let selection = Selection::root(&zoo.schema, animal, set.operation.selection_set);
    let [cat, dog] = ["Cat", "Dog"].map(|ty| of(&selection, ty));
    assert!(!Arc::ptr_eq(&cat, &dog), "more is selected of a cat's friend");
    let ways = [(&cat, "Cat"), (&cat, "Dog"), (&dog, "Cat"), (&dog, "Dog")];
    let ends = ways.map(|(friend, ty)| of(friend, ty));
    assert!(ends.iter().all(|end| Arc::ptr_eq(end, &ends[0])));
}

/// The conditions of several selections of one object hold below it, each for what it selects.
#[test]
fn what_is_below_alternatives_keeps_its_own_condition() {
    let zoo = zoo();
    let set = document("{ friend @skip(if: $a) { id } friend @include(if: $b) { name } }");
    let cat = zoo.schema.id("Cat").unwrap();
    let selection = Selection::root(&zoo.schema, cat, set.operation.selection_set);
    let layout = Layout::default();
    let friend = &selection.of(&zoo.schema, &layout, cat).fields[0];
    let FieldKind::Composite { selection, .. } = &*friend.kind else { panic!("{friend:?}") };
    let below = &selection.of(&zoo.schema, &layout, cat).fields;
    let of = |skip: &[&str], include: &[&str]| Condition {
        skip: skip.iter().map(ToString::to_string).collect(),
        include: include.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(below[0].conditions, [of(&["a"], &[])]);
    assert_eq!(below[1].conditions, [of(&[], &["b"])]);
}
