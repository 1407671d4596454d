use crate::gateway::compose::testing::{composed, refused};
use crate::gateway::guard::{Policies, Rights};
use crate::gateway::supergraph::Supergraph;

/// The line of a field or a type in what is composed.
fn line(subgraphs: &[(&str, &str)], start: &str) -> String {
    let text = composed(subgraphs).unwrap().supergraph;
    Supergraph::parse(&text).unwrap();
    text.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap().to_owned()
}

/// As it is read in a supergraph, so it is in a subgraph's schema: in every way of writing it.
#[test]
fn a_guard_stays_in_every_way_of_writing_it() {
    for (written, found) in [
        ("@authenticated", "@authenticated"),
        ("@federation__authenticated", "@authenticated"),
        ("@policy(policies: \"staff\")", "@policy(policies: [[\"staff\"]])"),
        ("@policy(policies: [\"staff\"])", "@policy(policies: [[\"staff\"]])"),
        ("@policy(policies: [\"a\", [\"b\", \"c\"]])", "@policy(policies: [[\"a\"], [\"b\", \"c\"]])"),
        ("@requiresScopes(scopes: \"x\")", "@requiresScopes(scopes: [[\"x\"]])"),
        ("@requiresScopes(scopes: [\"x\", \"y\"])", "@requiresScopes(scopes: [[\"x\"], [\"y\"]])"),
        (
            "@requiresScopes(scopes: \"x\") @requiresScopes(scopes: \"y\")",
            "@requiresScopes(scopes: [[\"x\", \"y\"]])",
        ),
        (
            "@policy(policies: \"p\") @requiresScopes(scopes: \"x\")",
            "@policy(policies: [[\"p\"]]) and @requiresScopes(scopes: [[\"x\"]])",
        ),
    ] {
        let found: Vec<&str> = found.split(" and ").collect();
        let field = format!("type Query {{ a: Int {written} b: Int }}");
        let text = line(&[("one", &field)], "a: Int");
        assert!(found.iter().all(|found| text.contains(found)), "{written}: {text}");
        for ty in
            ["type A WITH { x: Int }", "interface A WITH { x: Int }", "scalar A WITH", "enum A WITH { X }"]
        {
            let sdl = format!("type Query {{ a: A }} {}", ty.replace("WITH", written));
            let text = line(&[("one", &sdl)], &ty[..ty.find("WITH").unwrap()]);
            assert!(found.iter().all(|found| text.contains(found)), "{written} at {ty}: {text}");
        }
    }
}

/// Whatever the specification is called there.
#[test]
fn a_guard_stays_by_any_name() {
    for (link, written) in [
        (
            "@link(url: \"https://specs.apollo.dev/federation/v2.7\", as: \"fed\")",
            "@fed__policy(policies: [\"p\"])",
        ),
        (
            "@link(url: \"https://specs.apollo.dev/federation/v2.7\", import: [{name: \"@policy\", as: \"@may\"}])",
            "@may(policies: [\"p\"])",
        ),
        ("@link(url: \"https://specs.apollo.dev/federation/v2.7\")", "@policy(policies: [\"p\"])"),
    ] {
        let sdl = format!("extend schema {link} type Query {{ a: Int {written} b: Int }}");
        assert!(line(&[("one", &sdl)], "a: Int").contains("@policy(policies: [[\"p\"]])"), "{written}");
    }
}

#[test]
fn a_guard_that_cannot_hold_is_a_problem() {
    for (sdl, told) in [
        ("type Query { a: Int @policy(policies: []) }", "one: Query.a: `@policy` has an empty list"),
        ("type Query { a: Int @policy(policies: [[]]) }", "one: Query.a: `@policy` has an empty list"),
        (
            "type Query { a: Int @policy(policies: [[\"p\"], []]) }",
            "one: Query.a: `@policy` has an empty list",
        ),
        ("type Query { a: Int @requiresScopes(scopes: 1) }", "one: Query.a: what `@requiresScopes` asks for"),
        (
            "type Query { a: Int @requiresScopes(scopes: [[x]]) }",
            "one: Query.a: what `@requiresScopes` asks for",
        ),
        ("type Query { a: Int @requiresScopes }", "one: Query.a: what `@requiresScopes` asks for"),
        (
            "type Query { u: U } union U @authenticated = A type A { x: Int }",
            "one: U: bears `@authenticated`",
        ),
        ("type Query { a(i: I): Int } input I @authenticated { x: Int }", "one: I: bears `@authenticated`"),
        ("type Query { a(i: I): Int } input I { x: Int @authenticated }", "one: I.x: bears `@authenticated`"),
        ("type Query { a(x: Int @authenticated): Int }", "one: Query.a: bears `@authenticated`"),
        ("type Query { e: E } enum E { X @authenticated Y }", "one: E.X: bears `@authenticated`"),
        ("extend schema @authenticated type Query { a: Int }", "one: its schema bears `@authenticated`"),
    ] {
        let lines = refused(&[("one", sdl)]);
        assert!(lines.len() == 1 && lines[0].starts_with(told), "{sdl}: {lines:?}");
    }
    let many = |letter: char| -> String {
        (0..40).map(|number| format!("[\"{letter}{number}\"]")).collect::<Vec<_>>().join(", ")
    };
    let shared =
        |letter: char| format!("type Query {{ a: Int @shareable @policy(policies: [{}]) }}", many(letter));
    let lines = refused(&[("one", &shared('a')), ("two", &shared('b'))]);
    assert!(lines[0].starts_with("two: Query.a: `@policy` asks for one of more than 1000"), "{lines:?}");
}

/// Of what several have, all that any of them asks for.
#[test]
fn guards_of_several_subgraphs_all_hold() {
    let with = |guard: &str| {
        format!("type Query {{ a: A @shareable }} type A @shareable {{ x: Int {guard} y: Int }}")
    };
    for (one, two, found) in [
        (
            "@requiresScopes(scopes: \"s\")",
            "@requiresScopes(scopes: \"t\")",
            "@requiresScopes(scopes: [[\"s\", \"t\"]])",
        ),
        (
            "@requiresScopes(scopes: \"s\")",
            "@requiresScopes(scopes: [\"s\", \"t\"])",
            "@requiresScopes(scopes: [[\"s\"]])",
        ),
        (
            "@requiresScopes(scopes: [\"s\", \"t\"])",
            "@requiresScopes(scopes: [\"s\", \"t\"])",
            "[[\"s\"], [\"t\"]]",
        ),
        ("@requiresScopes(scopes: \"s\")", "", "@requiresScopes(scopes: [[\"s\"]])"),
        ("", "@authenticated", "@authenticated"),
        ("@policy(policies: \"p\")", "@authenticated", "@authenticated and @policy(policies: [[\"p\"]])"),
    ] {
        let found: Vec<&str> = found.split(" and ").collect();
        for (one, two) in [(one, two), (two, one)] {
            let text = line(&[("one", &with(one)), ("two", &with(two))], "x: Int");
            assert!(found.iter().all(|found| text.contains(found)), "{one} and {two}: {text}");
        }
    }
    let (guarded, open) = (
        "type Query { a: A @shareable } type A @shareable @policy(policies: \"p\") { x: Int y: Int }",
        with(""),
    );
    assert!(line(&[("one", guarded), ("two", &open)], "type A").contains("@policy(policies: [[\"p\"]])"));
}

/// Of the object that stands for an interface, and so of all that implement it.
#[test]
fn a_guard_of_an_interface_object_holds_for_what_it_stands_for() {
    let text = composed(&[
        (
            "one",
            "type Query { a: I } interface I @key(fields: \"id\") { id: ID! } type A implements I @key(fields: \"id\") { id: ID! }",
        ),
        (
            "two",
            "type I @key(fields: \"id\") @interfaceObject { id: ID! secret: Int @requiresScopes(scopes: \"s\") }",
        ),
    ])
    .unwrap()
    .supergraph;
    let supergraph = Supergraph::parse(&text).unwrap();
    for ty in ["I", "A"] {
        let ty = supergraph.schema.id(ty).unwrap();
        let guards = supergraph.guards.of_field(ty, "secret");
        let signed_in = Rights { is_signed_in: true, ..Rights::default() };
        assert!(!supergraph.guards.refused(guards, &signed_in, &Policies::default()).is_empty(), "{text}");
    }
}
