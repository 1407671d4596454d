use crate::gateway::compose::testing::{compose, other, subgraph};
use crate::gateway::compose::{Composing, Other};

const OWNER: &str = r#"
    type Query { viewer: Account node(id: ID!): Node }
    type Mutation { rename(name: String!): Account }
    interface Node { id: ID! }
    type Account implements Node @key(fields: "id") { id: ID! name: String profiles(first: Int): [Profile!]! }
    type Profile @key(fields: "id") @key(fields: "platform { key } externalId") {
      id: ID! platform: Platform! externalId: String! handle: String state: State @tag(name: "internal") secret: String @inaccessible
    }
    type Platform @key(fields: "key") { key: Key! name: String }
    type Page @shareable { next: Boolean! }
    union Anything = Account | Profile
    input Wanted { name: String }
    enum State { ON OFF }
    scalar Key @specifiedBy(url: "https://keys.test/")
"#;

fn told(sdl: &str, may_change: &[&str]) -> Vec<String> {
    let may_change = may_change.iter().map(|name| (*name).to_owned()).collect();
    let others = vec![Other { may_change, ..other("hostile", sdl) }];
    let composing = Composing { owner: Some(subgraph("accounts", OWNER)), others };
    compose(composing).map_or_else(|problems| problems.lines(), |_| Vec::new())
}

/// What is sent to a subgraph is told, field by field; keys are what it has to be sent.
#[test]
fn what_a_subgraph_requires_of_the_owner_is_a_hint() {
    let sdl = "type Profile @key(fields: \"id\") { id: ID! handle: String @external platform: Platform! @external \
               hint: Int @requires(fields: \"id handle platform { name }\") own: Int more: Int @requires(fields: \"handle\") } \
               type Platform @key(fields: \"key\") { key: Key! name: String @external } scalar Key";
    let others = vec![other("hostile", sdl)];
    let composed = compose(Composing { owner: Some(subgraph("accounts", OWNER)), others }).unwrap();
    let told: Vec<String> = composed.hints.iter().map(ToString::to_string).collect();
    let line = |at: &str, taken: &str| {
        format!(
            "hostile: Profile.{at}: requires `{taken}` of accounts, which is sent to it for whoever asks for this"
        )
    };
    let lines = [
        line("hint", "Profile.handle"),
        line("hint", "Profile.platform"),
        line("hint", "Platform.name"),
        line("more", "Profile.handle"),
    ];
    assert_eq!(told, lines);
}

/// New fields on entities by their keys, own types, and owned ones by their names.
#[test]
fn an_entity_is_extended_by_its_keys() {
    for sdl in [
        "type Profile @key(fields: \"id\") { id: ID! posts(first: Int): [Post!]! } type Post { text: String by: Profile }",
        "extend type Profile @key(fields: \"id\") { id: ID! @external posts: Int }",
        "type Profile @key(fields: \"externalId platform { key }\") { platform: Platform! externalId: String! posts: Int } \
         type Platform @key(fields: \"key\") { key: Key! } scalar Key",
        "type Profile @key(fields: \"platform { key } externalId\") { platform: Platform! externalId: String! posts: Int } \
         type Platform @key(fields: \"key\") { key: Key! open: Boolean } scalar Key @specifiedBy(url: \"https://keys.test/\")",
        "type Query { post: Post } type Post { by: Profile } type Profile @key(fields: \"id\", resolvable: false) { id: ID! }",
        "type Profile @key(fields: \"id\") { id: ID! handle: String @external shout: String @requires(fields: \"handle\") }",
        "type Profile @key(fields: \"id\") { id: ID! posts: Int @deprecated(reason: \"gone\") @tag(name: \"x\") @inaccessible }",
        "type Query { on: State } enum State { OFF ON }",
        "type Query { post: Post } type Post { by: Profile @provides(fields: \"id\") } type Profile @key(fields: \"id\") { id: ID! posts: Int }",
    ] {
        assert_eq!(told(sdl, &[]), Vec::<String>::new(), "{sdl}");
    }
}

/// Whatever else touches what is owned is refused, with its place.
#[test]
fn what_is_owned_is_not_touched() {
    let keyed = "@key(fields: \"id\") { id: ID! ";
    for (sdl, place) in [
        ("type Query { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
        ("schema { query: Root } type Root { viewer: Int }".to_owned(), "hostile: Query.viewer: shadows"),
        ("extend type Query { node(id: ID!): Int }".to_owned(), "hostile: Query.node: shadows"),
        ("type Mutation { rename: Int }".to_owned(), "hostile: Mutation.rename: shadows"),
        ("type Query @inaccessible { a: Int }".to_owned(), "hostile: Query: bears `@inaccessible`"),
        (format!("type Account {keyed} name: String }}"), "hostile: Account.name: redefines"),
        (format!("type Account {keyed} name: String @shareable }}"), "hostile: Account.name: shares"),
        (
            format!("type Account {keyed} name: String @override(from: \"accounts\") }}"),
            "hostile: Account.name: overrides",
        ),
        ("type Query { a: Int @override(from: \"accounts\") }".to_owned(), "hostile: Query.a: overrides"),
        (
            format!("type Account {keyed} name: Int @external }}"),
            "hostile: Account.name: is Int here and String in accounts",
        ),
        (
            format!("type Account {keyed} profiles: [Profile!]! @external }} type Profile {keyed} }}"),
            "hostile: Account.profiles: is [Profile!]! here and (first: Int): [Profile!]! in accounts",
        ),
        (
            format!("type Account {keyed} x: Int }} extend type Account @inaccessible"),
            "hostile: Account: bears",
        ),
        (format!("type Account @tag(name: \"x\") {keyed} x: Int }}"), "hostile: Account: bears `@tag`"),
        (
            "type Account @key(fields: \"id\") { id: ID! @inaccessible x: Int }".to_owned(),
            "hostile: Account.id: bears `@inaccessible`",
        ),
        (
            "type Account @key(fields: \"id\") { id: ID! @shareable x: Int }".to_owned(),
            "hostile: Account.id: shares",
        ),
        (
            "type Account @key(fields: \"name\") { name: String x: Int }".to_owned(),
            "hostile: Account: has a @key here",
        ),
        (
            "type Account @key(fields: \"id\") @key(fields: \"id name\") { id: ID! name: String x: Int }"
                .to_owned(),
            "hostile: Account.name: redefines",
        ),
        ("type Account { x: Int }".to_owned(), "hostile: Account: is owned by accounts: extend it by one"),
        (
            format!("interface Own {{ x: Int }} type Account implements Own {keyed} x: Int }}"),
            "hostile: Account: is made a `Own`",
        ),
        ("interface Node { id: ID! } type Mine implements Node { id: ID! }".to_owned(), "hostile: Node: "),
        (
            "type Node @interfaceObject @key(fields: \"id\") { id: ID! x: Int }".to_owned(),
            "hostile: Node: is this interface of accounts's",
        ),
        ("union Anything = Mine type Mine { x: Int }".to_owned(), "hostile: Anything: "),
        ("input Wanted { more: Int } type Query { a(w: Wanted): Int }".to_owned(), "hostile: Wanted: "),
        ("enum State { ON OFF BROKEN } type Query { a: State }".to_owned(), "hostile: State: "),
        (
            "enum State { ON @inaccessible OFF } type Query { a: State }".to_owned(),
            "hostile: State.ON: bears",
        ),
        ("scalar Key @inaccessible type Query { a: Key @inaccessible }".to_owned(), "hostile: Key: bears"),
        (
            "scalar Key @specifiedBy(url: \"https://x.test/\") type Query { a: Key }".to_owned(),
            "hostile: Key: ",
        ),
        ("type Page @shareable { next: Boolean! } type Query { a: Page }".to_owned(), "hostile: Page"),
        (
            format!(
                "type Query {{ post: Post }} type Post {{ by: Profile @provides(fields: \"handle\") }} \
                 type Profile {keyed} handle: String @external }}"
            ),
            "hostile: Post.by: provides `Profile.handle`",
        ),
        (
            format!(
                "type Query {{ posts: Posts @provides(fields: \"first {{ by {{ handle }} }}\") }} type Posts {{ first: Post }} \
                 type Post {{ by: Profile }} type Profile {keyed} handle: String @external }}"
            ),
            "hostile: Query.posts: provides `Profile.handle`",
        ),
        (
            format!(
                "type Query {{ found: Found @provides(fields: \"... on Profile {{ handle }}\") }} union Found = Profile \
                 type Profile {keyed} handle: String @external }}"
            ),
            "hostile: Query.found: provides `Profile.handle`",
        ),
        (
            "type Query { a: Mine @provides(fields: \"b(c: 1)\") } type Mine { b(c: Int): Int }".to_owned(),
            "hostile: Query.a: provides what is no plain set",
        ),
        // Of federation 1, where everything is shared.
        (format!("type Account {keyed} name: String }} # @link"), "hostile: Account.name: redefines"),
        (format!("extend type Account {keyed} name: String }} # @link"), "hostile: Account.name: redefines"),
    ] {
        let told = told(&sdl, &[]);
        assert!(told.iter().any(|line| line.starts_with(place)), "{sdl} is told {told:#?}");
    }
}

/// By whatever names: the directives of a specification may be called anything.
#[test]
fn a_directive_is_known_by_any_name() {
    let link =
        |more: &str| format!("extend schema @link(url: \"https://specs.apollo.dev/federation/v2.7\"{more})");
    let imports = ", import: [\"@key\", {name: \"@override\", as: \"@keep\"}, {name: \"@shareable\", as: \"@external\"}]";
    for (link, field, place) in [
        (link(imports), "name: String @keep(from: \"accounts\")", "hostile: Account.name: overrides"),
        (link(imports), "name: String @external", "hostile: Account.name: shares"),
        (
            link(", as: \"f\", import: [\"@key\"]"),
            "name: String @f__override(from: \"accounts\")",
            "hostile: Account.name: overrides",
        ),
        (
            link(", import: [\"@key\"]"),
            "name: String @federation__override(from: \"accounts\")",
            "hostile: Account.name: overrides",
        ),
        (
            format!(
                "{} @link(url: \"https://mine.test/mine/v1\", import: [{{name: \"@mine\", as: \"@external\"}}]) \
                 directive @external on FIELD_DEFINITION",
                link(", import: [\"@key\"]")
            ),
            "name: String @external",
            "hostile: Account.name: redefines",
        ),
        (
            link(
                ", import: [\"@key\", {name: \"@override\", as: \"@a\"}, {name: \"@external\", as: \"@a\"}]",
            ),
            "name: String @a(from: \"accounts\")",
            "hostile: two directives are called `@a`",
        ),
    ] {
        let sdl = format!("{link} type Account @key(fields: \"id\") {{ id: ID! {field} }}");
        let told = told(&sdl, &[]);
        assert!(told.iter().any(|line| line.starts_with(place)), "{sdl} is told {told:#?}");
    }
}

/// What the operator allows one subgraph, and nothing beside it.
#[test]
fn what_is_allowed_is_allowed() {
    let page = "type Page @shareable { next: Boolean! } type Query { a: Page }";
    assert_eq!(told(page, &["Page"]), Vec::<String>::new());
    let moved = "type Account @key(fields: \"id\") { id: ID! name: String @override(from: \"accounts\") }";
    assert_eq!(told(moved, &["Account.name"]), Vec::<String>::new());
    assert_eq!(told(moved, &["Account"]), Vec::<String>::new());
    for other in ["Account.id", "Profile", "Query.viewer"] {
        assert!(!told(moved, &[other]).is_empty(), "{other}");
    }
}
