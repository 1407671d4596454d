//! One schema, its fields dealt out to four subgraphs by chance, with rows by chance.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::draw::Tape;
use crate::gateway::rows::Rows;

const GRAPHS: [&str; 4] = ["north", "east", "south", "west"];

/// Fields beside `id`, by type. What stands behind a `<` is required.
const SCHEMA: [(&str, &[&str]); 5] = [
    (
        "User",
        &[
            "name: String!",
            "nick: String",
            "age: Int",
            "tags: [String!]!",
            "friends: [User!]!",
            "best: User",
            "posts: [Post!]!",
            "favourite: Item",
            "badge: String < nick age",
        ],
    ),
    (
        "Post",
        &[
            "title: String!",
            "body: String",
            "author: User!",
            "about: [Item]!",
            "likers: [User!]",
            "hits: [[Hit!]]",
            "status: Status!",
        ],
    ),
    ("Book", &["name: String!", "pages: Int", "writer: User!", "worth: Int < pages", "sequel: Book"]),
    ("Film", &["name: String!", "minutes: Int!", "cast: [User!]!"]),
    (
        "Query",
        &[
            "me: User",
            "users: [User!]!",
            "posts: [Post!]!",
            "items: [Item!]!",
            "hits: [Hit]!",
            "newest: Post!",
            "books: [Book]",
        ],
    ),
];

const ITEMS: [&str; 2] = ["Book", "Film"];
const HITS: [&str; 3] = ["User", "Post", "Film"];

fn everywhere(directive: &str) -> String {
    GRAPHS
        .map(|graph| directive.replace('@', &format!("@join__{{}}(graph: {}", graph.to_uppercase())))
        .join(" ")
}

/// The supergraph, and the schemas of the subgraphs.
pub fn schemas(tape: &mut Tape<'_>) -> (String, Vec<(String, String)>) {
    let shop = include_str!("../../../federation/shop.graphql");
    let mut whole = shop.split("enum join__Graph").next().unwrap().replace("\n  mutation: Mutation", "");
    let listed = GRAPHS.map(|name| {
        format!("{} @join__graph(name: \"{name}\", url: \"http://{name}.test/\")", name.to_uppercase())
    });
    let _ = writeln!(whole, "enum join__Graph {{ {} }}", listed.join(" "));
    let mut parts = GRAPHS.map(|_| {
        let head = "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.7\")\n";
        format!("{head}\ntype Unused {{ id: ID }}\ninterface Item {{ id: ID! }}\nunion Hit = {}\nenum Status {{ NEW OLD }}\n", HITS.join(" | "))
    });
    for (ty, fields) in SCHEMA {
        let is_root = ty == "Query";
        let is_item = ITEMS.contains(&ty);
        let implements = if is_item { " implements Item" } else { "" };
        let key = if is_root { "" } else { ", key: \"id\"" };
        let joined = everywhere(&format!("@{key})")).replace("{}", "type");
        let member = if is_item {
            everywhere("@, interface: \"Item\")").replace("{}", "implements")
        } else {
            String::new()
        };
        let _ = writeln!(whole, "type {ty}{implements} {joined} {member} {{");
        for part in &mut parts {
            let key = if is_root { "{" } else { " @key(fields: \"id\") { id: ID!" };
            let _ = writeln!(part, "type {ty}{implements}{key} _{}: ID", ty.to_lowercase());
        }
        if !is_root {
            whole.push_str("  id: ID!\n");
        }
        deal(fields, tape, &mut whole, &mut parts);
        whole.push_str("}\n");
        parts.iter_mut().for_each(|part| part.push_str("}\n"));
    }
    let joined = everywhere("@)").replace("{}", "type");
    let _ = writeln!(whole, "interface Item {joined} {{ id: ID! }}");
    let members = HITS.map(|hit| everywhere(&format!("@, member: \"{hit}\")")).replace("{}", "unionMember"));
    let _ = writeln!(whole, "union Hit {joined} {} = {}", members.join(" "), HITS.join(" | "));
    let valued = everywhere("@)").replace("{}", "enumValue");
    let _ = writeln!(whole, "enum Status {joined} {{ NEW {valued} OLD {valued} }}");
    (whole, GRAPHS.into_iter().map(str::to_owned).zip(parts).collect())
}

/// Gives each field of a type to a subgraph, some of them to two.
fn deal(fields: &[&str], tape: &mut Tape<'_>, whole: &mut String, parts: &mut [String; 4]) {
    let owners: Vec<usize> = fields.iter().map(|_| tape.pick(4)).collect();
    let name = |field: &str| field.split(':').next().unwrap().to_owned();
    for (field, owner) in fields.iter().zip(&owners) {
        let (declared, required) = field.split_once(" < ").unwrap_or((field, ""));
        let graph = |at: usize| GRAPHS[at].to_uppercase();
        let requires =
            if required.is_empty() { String::new() } else { format!(", requires: \"{required}\"") };
        let mut joined = format!("@join__field(graph: {}{requires})", graph(*owner));
        let _ = writeln!(parts[*owner], "  {declared}");
        let second = tape.pick(4);
        if tape.once_in(4) && second != *owner && required.is_empty() {
            let _ = write!(joined, " @join__field(graph: {})", graph(second));
            let _ = writeln!(parts[second], "  {declared}");
        } else {
            // Who requires it and does not have it is told.
            let who = fields.iter().zip(&owners).find(|(other, _)| {
                other
                    .split_once(" < ")
                    .is_some_and(|(_, needs)| needs.split(' ').any(|need| need == name(field)))
            });
            if let Some((_, who)) = who.filter(|(_, who)| *who != owner) {
                let _ = write!(joined, " @join__field(graph: {}, external: true)", graph(*who));
                let _ = writeln!(parts[*who], "  {declared} @external");
            }
        }
        let _ = writeln!(whole, "  {declared} {joined}");
    }
}

const EACH: usize = 3;

/// Rows for it, with nulls where there may be some and, now and then, where there must not.
pub fn rows(tape: &mut Tape<'_>) -> Rows {
    let mut rows = Vec::new();
    for (ty, fields) in SCHEMA {
        for number in 0..if ty == "Query" { 1 } else { EACH } {
            let mut row = Map::new();
            row.insert("__typename".to_owned(), ty.into());
            if ty != "Query" {
                row.insert("id".to_owned(), format!("{ty}{number}").into());
            }
            for field in fields.iter().filter(|field| !field.contains('<')) {
                let (name, of) = field.split_once(": ").unwrap();
                row.insert(name.to_owned(), value(of, tape));
            }
            rows.push(Value::Object(row));
        }
    }
    Rows::new(rows.into())
        .computed("User", "badge", |user, _| {
            json!(format!(
                "{} at {}",
                user.get("nick").unwrap_or(&json!("?")),
                user.get("age").unwrap_or(&json!("?"))
            ))
        })
        .computed("Book", "worth", |book, _| json!(book["pages"].as_i64().map(|pages| pages * 2)))
}

fn value(of: &str, tape: &mut Tape<'_>) -> Value {
    if let Some(inner) = of.strip_suffix('!') {
        let value = value(inner, tape);
        // A defect of the subgraph.
        return match value.is_null() && !tape.once_in(4) {
            true => value_of(inner, tape),
            false => value,
        };
    }
    if tape.once_in(8) { Value::Null } else { value_of(of, tape) }
}

fn value_of(of: &str, tape: &mut Tape<'_>) -> Value {
    if let Some(inner) = of.strip_prefix('[').and_then(|of| of.strip_suffix(']')) {
        let count = tape.pick(4);
        return (0..count).map(|_| value(inner, tape)).collect();
    }
    let ty = match of {
        "String" => return json!(["one", "two \"2\"", "é\n"][tape.pick(3)]),
        "Int" => return json!(tape.pick(100)),
        "Status" => return json!(["NEW", "OLD"][tape.pick(2)]),
        "Item" => ITEMS[tape.pick(ITEMS.len())],
        "Hit" => HITS[tape.pick(HITS.len())],
        ty => ty,
    };
    json!({ "__typename": ty, "id": format!("{ty}{}", tape.pick(EACH)) })
}
