//! What unit tests of planning and executing are made with: a small schema, and one answer at a time, read and written.

use std::collections::BTreeSet;

use axum::body::Bytes;
use graphql_tools::parser::query::Definition;
use hive_router_query_planner::ast::document::Document;
use hive_router_query_planner::planner::plan_nodes::{
    FetchNodePathSegment, FetchRewrite, KeyRenamer, ValueSetter,
};
use hive_router_query_planner::utils::parsing::safe_parse_operation;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value as Json};

use super::execute::data::{Data, Object, Value};
use super::execute::errors::GraphqlError;
use super::execute::failures::Errors;
use super::execute::project::Projector;
use super::execute::read::{ReadObject, Reader};
use super::plan::collisions::Asked;
use super::plan::layout::Layout;
use super::plan::projection::Selection;
use super::plan::shape::{Fetched, Making, Shape};
use super::supergraph::Supergraph;

pub const ZOO: &str = r#"
schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION)
  @link(url: "https://specs.apollo.dev/inaccessible/v0.2", for: SECURITY) { query: Query }
directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String,
  external: Boolean, override: String, usedOverridden: Boolean) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__implements(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE
directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false,
  resolvable: Boolean! = true, isInterfaceObject: Boolean! = false)
  repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @join__unionMember(graph: join__Graph!, member: String!) repeatable on UNION
scalar join__FieldSet
directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ENUM | ENUM_VALUE | SCALAR
enum join__Graph { A @join__graph(name: "a", url: "http://a.test/") }
type Query @join__type(graph: A) { animal: Animal animals: [Animal] box: Box boxes: [Box!] }
interface Animal @join__type(graph: A, key: "id") { id: ID! name: String friend: Animal }
interface Kept @join__type(graph: A) { home: Box }
type Cat implements Animal & Kept @join__implements(graph: A, interface: "Animal")
  @join__implements(graph: A, interface: "Kept") @join__type(graph: A, key: "id") {
  id: ID! name: String friend: Animal home: Box lives: Int!
}
type Dog implements Animal & Kept @join__implements(graph: A, interface: "Animal")
  @join__implements(graph: A, interface: "Kept") @join__type(graph: A, key: "id") {
  id: ID! name: String friend: Animal home: Box bark: String
}
type Ghost implements Animal & Kept @join__implements(graph: A, interface: "Animal")
  @join__implements(graph: A, interface: "Kept") @join__type(graph: A, key: "id")
  @inaccessible { id: ID! name: String friend: Animal home: Box }
type Box @join__type(graph: A) {
  id: ID boxes: [Box] text: String int: Int float: Float flag: Boolean raw: Json mood: Mood moods: [Mood] sure: [Int!] grid: [[Int!]]
  must: String! inner: Box strict: Box!
}
scalar Json @join__type(graph: A)
enum Mood @join__type(graph: A) {
  HAPPY @join__enumValue(graph: A) GRUMPY @join__enumValue(graph: A) SECRET @join__enumValue(graph: A) @inaccessible
}
"#;

/// Animals of two types, and of one that nobody may see; boxes of everything.
pub fn zoo() -> Supergraph {
    Supergraph::parse(ZOO).unwrap()
}

/// An operation as it stands, neither validated nor normalised.
pub fn document(text: &str) -> Document {
    let operation =
        safe_parse_operation(text).unwrap().definitions.into_iter().find_map(|found| match found {
            Definition::Operation(operation) => Some(operation.into()),
            Definition::Fragment(_) => None,
        });
    Document { operation: operation.unwrap(), fragments: Vec::new() }
}

/// A path of a rewrite: `Cat|Dog` are types if they begin with a capital, other words keys.
fn path(text: &str) -> Vec<FetchNodePathSegment> {
    let segments = text.split('.').map(|segment| match segment.starts_with(char::is_uppercase) {
        true => FetchNodePathSegment::TypenameEquals(
            segment.split('|').map(str::to_owned).collect::<BTreeSet<_>>(),
        ),
        false => FetchNodePathSegment::Key(segment.to_owned()),
    });
    segments.collect()
}

pub fn rename(at: &str, to: &str) -> FetchRewrite {
    FetchRewrite::KeyRenamer(KeyRenamer { path: path(at), rename_key_to: to.to_owned() })
}

pub fn retype(at: &str, to: &str) -> FetchRewrite {
    FetchRewrite::ValueSetter(ValueSetter { path: path(at), set_value_to: to.to_owned() })
}

/// One operation under way, whose fetches have the shapes that the test gives them.
pub struct Bench {
    pub zoo: Supergraph,
    pub layout: Layout,
    pub data: Data,
    pub root: Object,
}

impl Bench {
    /// With one fetch for each text.
    pub fn new<const N: usize>(fetches: [&str; N]) -> (Self, [Shape; N]) {
        Self::rewriting(fetches, &[])
    }

    /// The same, with rewrites of what comes.
    pub fn rewriting<const N: usize>(fetches: [&str; N], rewrites: &[FetchRewrite]) -> (Self, [Shape; N]) {
        let (zoo, mut layout) = (zoo(), Layout::default());
        let mut shapes = fetches.map(|text| {
            let document = document(text);
            let mut asked = Asked::default();
            let mut making = Making { schema: &zoo.schema, layout: &mut layout, asked: &mut asked };
            Shape::of_root(&mut making, Fetched { document: &document, rewrites }, Layout::ROOT)
        });
        shapes.iter_mut().for_each(|shape| shape.settle(&layout));
        let mut data = Data::default();
        let root = data.object(layout.width(Layout::ROOT));
        (Self { zoo, layout, data, root }, shapes)
    }

    /// Takes what a fetch of the root brings.
    pub fn read(&mut self, shape: &Shape, json: &str) -> Value {
        let root = self.root;
        self.read_into(shape, json, Some(root))
    }

    pub fn read_into(&mut self, shape: &Shape, json: &str, into: Option<Object>) -> Value {
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        let buffer = self.data.add(bytes.clone());
        let mut reader =
            Reader { data: &mut self.data, layout: &self.layout, schema: &self.zoo.schema, buffer };
        let mut text = sonic_rs::Deserializer::from_str(json);
        ReadObject { reader: &mut reader, shape, into }.deserialize(&mut text).unwrap()
    }

    /// The answer to `operation`: its data as it is written, and the errors.
    pub fn answer(&self, operation: &str, variables: &Json) -> (String, Vec<GraphqlError>) {
        self.answer_after(operation, variables, Errors::new(100))
    }

    /// The same where something has gone wrong before.
    pub fn answer_after(
        &self,
        operation: &str,
        variables: &Json,
        errors: Errors,
    ) -> (String, Vec<GraphqlError>) {
        self.answer_within(operation, variables, (errors, usize::MAX))
    }

    /// The same with a limit of bytes.
    pub fn answer_within(
        &self,
        operation: &str,
        variables: &Json,
        (mut errors, most): (Errors, usize),
    ) -> (String, Vec<GraphqlError>) {
        let schema = &self.zoo.schema;
        let set = document(operation).operation.selection_set;
        let selection = Selection::root(schema, schema.query.unwrap(), set);
        let (none, view) = (Map::new(), (&self.layout, &self.data));
        let variables = variables.as_object().unwrap_or(&none);
        errors.close();
        let types = (schema, &self.zoo.introspection);
        let mut projector = Projector::new(types, view, variables, (&mut errors, most, 0));
        projector.root(&selection, self.root);
        let written = String::from_utf8(projector.out).unwrap();
        (written.strip_prefix("{\"data\":").unwrap().to_owned(), errors.into_list())
    }
}

/// What is answered to an operation that one fetch brings all of.
pub fn answer(operation: &str, brought: &str, variables: &Json) -> (String, Vec<GraphqlError>) {
    let (mut bench, [shape]) = Bench::new([operation]);
    bench.read(&shape, brought);
    bench.answer(operation, variables)
}
