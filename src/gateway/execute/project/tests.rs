use serde_json::json;

use super::*;
use crate::gateway::execute::errors::PathSegment;
use crate::gateway::testing::{Bench, answer, document};

/// Data, and the paths of the errors.
fn told(operation: &str, brought: &str) -> (String, Vec<String>) {
    let (data, errors) = answer(operation, brought, &json!({}));
    let paths = errors.iter().map(|error| serde_json::to_string(&error.path).unwrap());
    (data, paths.collect())
}

/// A scalar is shown as it came if it has the form of its type, and is null if not.
#[test]
fn a_scalar_of_another_form_is_null() {
    for (field, value, shown) in [
        ("text", "\"a\\u00e4\"", "\"a\\u00e4\""),
        ("text", "1", "null"),
        ("text", "true", "null"),
        ("int", "1", "1"),
        ("int", "-1", "-1"),
        ("int", "1.0", "null"),
        ("int", "1e3", "null"),
        ("int", "\"1\"", "null"),
        ("int", "2147483647", "2147483647"),
        ("int", "2147483648", "null"),
        ("int", "-2147483648", "-2147483648"),
        ("int", "-2147483649", "null"),
        ("int", "99999999999", "null"),
        ("float", "1", "1"),
        ("float", "-1.5e3", "-1.5e3"),
        ("float", "\"1\"", "null"),
        ("id", "7", "7"),
        ("id", "\"7\"", "\"7\""),
        ("id", "true", "null"),
        ("flag", "true", "true"),
        ("flag", "\"true\"", "null"),
        ("flag", "0", "null"),
        ("raw", "{\"a\":[1,null]}", "{\"a\":[1,null]}"),
        ("raw", "null", "null"),
        ("text", "{}", "null"),
        ("text", "[\"a\"]", "null"),
        ("sure", "[1,2]", "[1,2]"),
        ("sure", "7", "null"),
        ("sure", "[]", "[]"),
        ("grid", "[[1],[]]", "[[1],[]]"),
        ("grid", "[[1],2]", "[[1],null]"),
        ("grid", "[{\"a\":1}]", "[null]"),
        ("raw", "[1,{\"a\":null}]", "[1,{\"a\":null}]"),
        ("mood", "\"HAPPY\"", "\"HAPPY\""),
        ("mood", "\"SECRET\"", "null"),
        ("mood", "\"UNKNOWN\"", "null"),
        ("moods", "[\"HAPPY\",\"SECRET\",null]", "[\"HAPPY\",null,null]"),
    ] {
        let brought = format!("{{\"box\":{{\"{field}\":{value}}}}}");
        let shown = format!("{{\"box\":{{\"{field}\":{shown}}}}}");
        assert_eq!(told(&format!("{{ box {{ {field} }} }}"), &brought), (shown, vec![]), "{field}: {value}");
    }
}

/// A null takes what is around it with it, up to where null may stand; one error says where it was.
#[test]
fn a_null_goes_up_to_where_it_may_stand() {
    for (operation, brought, data, path) in [
        (
            "{ box { text must } }",
            r#"{"box":{"text":"a","must":null}}"#,
            r#"{"box":null}"#,
            r#"["box","must"]"#,
        ),
        ("{ box { text must } }", r#"{"box":{"text":"a"}}"#, r#"{"box":null}"#, r#"["box","must"]"#),
        (
            "{ box { inner { must } text } }",
            r#"{"box":{"inner":{"must":null},"text":"a"}}"#,
            r#"{"box":{"inner":null,"text":"a"}}"#,
            r#"["box","inner","must"]"#,
        ),
        (
            "{ box { inner { strict { must } } text } }",
            r#"{"box":{"inner":{"strict":{"must":7}},"text":"a"}}"#,
            r#"{"box":{"inner":null,"text":"a"}}"#,
            r#"["box","inner","strict","must"]"#,
        ),
        ("{ boxes { text } }", r#"{"boxes":[{"text":"a"},null]}"#, r#"{"boxes":null}"#, r#"["boxes",1]"#),
        (
            "{ box { sure } }",
            r#"{"box":{"sure":[1,null]}}"#,
            r#"{"box":{"sure":null}}"#,
            r#"["box","sure",1]"#,
        ),
        (
            "{ box { sure } }",
            r#"{"box":{"sure":[1,"x",{"a":1}]}}"#,
            r#"{"box":{"sure":null}}"#,
            r#"["box","sure",1]"#,
        ),
        (
            "{ box { sure } }",
            r#"{"box":{"sure":[1,99999999999]}}"#,
            r#"{"box":{"sure":null}}"#,
            r#"["box","sure",1]"#,
        ),
        (
            "{ box { grid } }",
            r#"{"box":{"grid":[[1],[2,null],null]}}"#,
            r#"{"box":{"grid":[[1],null,null]}}"#,
            r#"["box","grid",1,1]"#,
        ),
        (
            "{ other: box { strict { a: must } } }",
            r#"{"other":{"strict":{}}}"#,
            r#"{"other":null}"#,
            r#"["other","strict","a"]"#,
        ),
    ] {
        assert_eq!(told(operation, brought), (data.to_owned(), vec![path.to_owned()]), "{brought}");
    }
}

/// An object is of the type that it says if that is one of the declared type's; what nobody may see is null, and
/// no error tells of it.
#[test]
fn an_object_is_of_a_type_that_clients_see_or_null() {
    let operation = "{ animal { __typename id ... on Cat { lives } } }";
    for (ty, shown) in [
        ("\"Cat\"", r#"{"__typename":"Cat","id":"1","lives":9}"#),
        ("\"Dog\"", r#"{"__typename":"Dog","id":"1"}"#),
        ("\"Ghost\"", "null"),
        ("\"Box\"", "null"),
        ("\"Nothing\"", "null"),
        ("7", "null"),
    ] {
        let brought = format!("{{\"animal\":{{\"__typename\":{ty},\"id\":\"1\",\"lives\":9}}}}");
        assert_eq!(told(operation, &brought), (format!("{{\"animal\":{shown}}}"), vec![]), "{ty}");
    }
    let untyped = r#"{"animal":{"id":"1","lives":9}}"#;
    assert_eq!(told("{ animal { id } }", untyped), (r#"{"animal":{"id":"1"}}"#.to_owned(), vec![]));
}

/// `@skip` and `@include` go by the variables of the request; what is not shown may be null.
#[test]
fn what_is_skipped_is_not_missed() {
    let operation = "{ box { text must @skip(if: $a) int @include(if: $b) } }";
    let brought = r#"{"box":{"text":"a","int":1}}"#;
    let told = |a: bool, b: bool| answer(operation, brought, &json!({ "a": a, "b": b })).0;
    assert_eq!(told(true, true), r#"{"box":{"text":"a","int":1}}"#);
    assert_eq!(told(true, false), r#"{"box":{"text":"a"}}"#);
    assert_eq!(told(false, false), r#"{"box":null}"#);
}

/// Conditions are gone through once for all objects of a type, however many of them are shown.
#[test]
fn conditions_are_gone_through_once() {
    let operation = "{ boxes { id text @skip(if: $a) inner { id @include(if: $a) int } } }";
    let (bench, _) = Bench::new([operation]);
    let schema = &bench.zoo.schema;
    let selection =
        Selection::root(schema, schema.query.unwrap(), document(operation).operation.selection_set);
    let below = |selection: &Selection, place: usize| {
        let field = &selection.of(schema, &bench.layout, selection.declared).fields[place];
        let FieldKind::Composite { selection, .. } = &*field.kind else { panic!("{field:?}") };
        selection.clone()
    };
    let boxes = below(&selection, 0);
    let inner = below(&boxes, 2);
    let (variables, mut errors) = (Map::from_iter([("a".to_owned(), Json::Bool(true))]), Errors::new(9));
    let (types, view) = ((schema, &bench.zoo.introspection), (&bench.layout, &bench.data));
    let mut projector = Projector::new(types, view, &variables, (&mut errors, 100, 0));
    let [first, again, other] = [&boxes, &boxes, &inner].map(|selection| {
        let ty = selection.declared;
        projector.chosen((selection, ty), &selection.of(schema, &bench.layout, ty).fields)
    });
    assert!(Rc::ptr_eq(&first, &again));
    assert_eq!((&*first, &*other), (&[0, 2][..], &[0, 1][..]));
}

/// Where a subgraph has said why something is missing, nothing is added to it.
#[test]
fn a_reason_is_told_once() {
    let operation = "{ box { inner { must } } boxes { must } }";
    let (mut bench, [shape]) = Bench::new([operation]);
    bench.read(&shape, r#"{"box":{"inner":{}},"boxes":[{}]}"#);
    let mut errors = Errors::new(9);
    let path = ["box", "inner"].map(|key| PathSegment::Key(key.into()));
    errors.push(GraphqlError::new("BROKEN", "said").at(path.to_vec()));
    let (data, errors) = bench.answer_after(operation, &json!({}), errors);
    assert_eq!(data, r#"{"box":{"inner":null},"boxes":null}"#);
    let codes: Vec<_> = errors.iter().map(|error| error.extensions["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["BROKEN", "NULL_IN_NON_NULLABLE_FIELD"]);
    assert_eq!(serde_json::to_value(&errors[1].path).unwrap(), json!(["boxes", 0, "must"]));
}

/// What one answer is made of within a limit: its data, and the codes of its errors.
fn within(bench: &Bench, operation: &str, most: usize) -> (String, Vec<String>) {
    let (data, errors) = bench.answer_within(operation, &json!({}), (Errors::new(9), most));
    let codes = errors.iter().map(|error| error.extensions["code"].as_str().unwrap().to_owned());
    (data, codes.collect())
}

/// Ten objects, each of which has the same ten below it, and so on: little data, and no end of an answer.
#[test]
fn an_answer_of_shared_objects_comes_to_an_end() {
    let levels = 12;
    let operation = format!("{{ {} id {} }}", "boxes { ".repeat(levels), "} ".repeat(levels));
    let (mut bench, [shape]) = Bench::new([operation.as_str()]);
    let one = format!("{}{{\"id\":\"1\"}}{}", "{\"boxes\":[".repeat(levels), "]}".repeat(levels));
    bench.read(&shape, &one);
    let (mut above, mut position) = (bench.root, Layout::ROOT);
    for _ in 0..levels {
        let slot = bench.layout.find(position, "boxes").unwrap();
        position = bench.layout.child(position, slot).unwrap();
        let Value::List(list) = bench.data.get(above, slot) else { panic!("no list") };
        let Value::Object(below) = bench.data.item(list, 0) else { panic!("no object") };
        let often = bench.data.list(std::iter::repeat_n(Value::Object(below), 10));
        bench.data.set(above, slot, Value::List(often));
        above = below;
    }
    let refused = ("null".to_owned(), vec!["ANSWER_TOO_LARGE".to_owned()]);
    assert_eq!(within(&bench, &operation, 100_000), refused);
    let flat = within(&bench, "{ boxes { __typename } }", 1000);
    assert_eq!(flat.1, Vec::<String>::new());
    assert_eq!(within(&bench, "{ boxes { __typename } }", 50), refused);
}

/// What a null takes back counts: it is not in the answer, and has been written all the same.
#[test]
fn what_is_taken_back_counts() {
    let operation = "{ boxes { inner { text must } } }";
    let (mut bench, [shape]) = Bench::new([operation]);
    let text = "x".repeat(1000);
    let one = format!("{{\"inner\":{{\"text\":\"{text}\"}}}}");
    let brought = format!("{{\"boxes\":[{}]}}", [one.as_str(); 100].join(","));
    bench.read(&shape, &brought);
    let (data, codes) = within(&bench, operation, 200_000);
    assert_eq!((data.len(), codes.len()), (1511, 10), "{data}");
    assert_eq!(within(&bench, operation, 50_000).1[0], "ANSWER_TOO_LARGE");
}

/// The schema is as large as an answer as anything else.
#[test]
fn introspection_is_measured_too() {
    let (bench, _) = Bench::new(["{ box { id } }"]);
    let operation = "{ __schema { types { name fields { name } } } }";
    let (data, codes) = within(&bench, operation, 100_000);
    assert!(data.len() > 1000 && codes.is_empty(), "{data}");
    let refused = ("null".to_owned(), vec!["ANSWER_TOO_LARGE".to_owned()]);
    assert_eq!(within(&bench, operation, 1000), refused);
}

/// What is selected of the schema under several conditions is answered by those that hold, all of them together.
#[test]
fn each_selection_of_the_schema_has_its_own_condition() {
    let (bench, _) = Bench::new(["{ box { id } }"]);
    let operation = "{ __schema @include(if: $a) { queryType { name } }
        __schema @skip(if: $b) { queryType { kind } mutationType { name } } }";
    for (a, b, shown) in [
        (true, true, r#"{"__schema":{"queryType":{"name":"Query"}}}"#),
        (false, false, r#"{"__schema":{"queryType":{"kind":"OBJECT"},"mutationType":null}}"#),
        (true, false, r#"{"__schema":{"queryType":{"name":"Query","kind":"OBJECT"},"mutationType":null}}"#),
        (false, true, "{}"),
    ] {
        assert_eq!(bench.answer(operation, &json!({ "a": a, "b": b })).0, shown, "{a} {b}");
    }
}
