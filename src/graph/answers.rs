//! Whole answers from memory: an operation whose every field depends on nothing but the account's stream is the
//! same as long as the account's version is.
//!
//! A field is marked in [`MARKS`]; one that is not marked keeps its operation out. So a new field is slow until
//! somebody has thought about it, and never wrong.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Name;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, OperationType, Selection, SelectionSet, ServiceDocument, Type, TypeKind,
    TypeSystemDefinition,
};
use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The fields whose values depend on the account's stream alone, or on the configuration of this process. What
/// depends on the session, on the time or on another stream is none of them.
const MARKS: [(&str, &[&str]); 16] = [
    ("Query", &["viewer", "platforms", "platform"]),
    (
        "Account",
        &[
            "id",
            "displayName",
            "avatarUrl",
            "createdAt",
            "deletesAt",
            "version",
            "eventCursor",
            "profiles",
            "linkGraph",
            "activity",
        ],
    ),
    ("LinkGraph", &["version", "profiles", "connections"]),
    (
        "LinkedProfile",
        &[
            "id",
            "account",
            "platform",
            "platformKey",
            "externalId",
            "handle",
            "displayName",
            "avatarUrl",
            "status",
            "statusReason",
            "linkedAt",
            "statusChangedAt",
            "unlinksAt",
            "connections",
            "signInEnabled",
            "sharedLoginTargets",
            "unlinkPreview",
            "exposure",
        ],
    ),
    // The rest of it is of sessions.
    ("UnlinkPreview", &["endsConnections", "problems"]),
    ("AccountsProblem", &["code", "message"]),
    ("ProfileExposure", &["canSignInTo", "canPostTo", "canReadFrom"]),
    ("ProfileCard", &["id", "platform", "handle", "displayName", "avatarUrl"]),
    ("Node", &["id"]),
    ("ProfileConnection", &["id", "source", "target", "grants"]),
    ("ExperienceGrant", &["experience", "grantedAt", "paused"]),
    ("Platform", &["id", "key", "displayName", "capabilities", "verificationMethods", "endToEndEncrypted"]),
    ("AccountActivityConnection", &["edges", "nodes", "pageInfo", "totalCount"]),
    ("AccountActivityEdge", &["cursor", "node"]),
    ("AccountActivity", &["id", "kind", "occurredAt", "description", "profile"]),
    ("PageInfo", &["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"]),
];

/// The marked fields of a schema, each with the type that it leads to.
pub struct Marks(HashMap<Name, HashMap<Name, Name>>);

impl Marks {
    pub fn of_schema(schema: &ServiceDocument) -> Self {
        let mut marks = HashMap::new();
        for definition in &schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let fields = match &definition.node.kind {
                TypeKind::Object(object) => &object.fields,
                TypeKind::Interface(interface) => &interface.fields,
                _ => continue,
            };
            let name = &definition.node.name.node;
            let Some((_, marked)) = MARKS.iter().find(|(marked, _)| name == marked) else { continue };
            let leads_to = fields.iter().filter(|field| marked.contains(&field.node.name.node.as_str()));
            let leads_to = leads_to.map(|field| (field.node.name.node.clone(), named(&field.node.ty.node)));
            marks.insert(name.clone(), leads_to.collect());
        }
        Self(marks)
    }

    /// Whether every field of every operation in a valid document is marked.
    pub fn cover(&self, document: &ExecutableDocument) -> bool {
        document.operations.iter().all(|(_, operation)| {
            operation.node.ty == OperationType::Query
                && self.cover_selections(document, &Name::new("Query"), &operation.node.selection_set.node)
        })
    }

    fn cover_selections(&self, document: &ExecutableDocument, parent: &Name, set: &SelectionSet) -> bool {
        set.items.iter().all(|selection| match &selection.node {
            Selection::Field(field) if field.node.name.node == "__typename" => true,
            Selection::Field(field) => {
                let leads_to = self.0.get(parent).and_then(|fields| fields.get(&field.node.name.node));
                leads_to.is_some_and(|to| self.cover_selections(document, to, &field.node.selection_set.node))
            }
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref();
                let parent = condition.map_or(parent, |condition| &condition.node.on.node);
                self.cover_selections(document, parent, &fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = document.fragments.get(&spread.node.fragment_name.node);
                fragment.is_some_and(|fragment| {
                    let parent = &fragment.node.type_condition.node.on.node;
                    self.cover_selections(document, parent, &fragment.node.selection_set.node)
                })
            }
        })
    }
}

fn named(ty: &Type) -> Name {
    match &ty.base {
        BaseType::Named(name) => name.clone(),
        BaseType::List(inner) => named(inner),
    }
}

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The document's number in this process.
    pub document: u64,
    pub operation: Option<String>,
    /// As JSON; empty if there are none.
    pub variables: String,
    pub account: Uuid,
    pub version: i64,
}

/// An answer as it was sent. Cheap to clone.
#[derive(Clone)]
pub struct Remembered {
    pub body: Bytes,
    pub tag: Tag,
}

/// Names an answer's bytes: the same for the same ones, on every replica. It is a strong ETag (RFC 9110, section
/// 8.8.3) with its quotes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Arc<str>);

impl Tag {
    pub fn of(body: &[u8]) -> Self {
        let digest = Sha256::digest(body);
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..16])).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Answers as they were sent, bounded by their bytes.
pub struct Answers(Cache<Question, Remembered, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Question, Remembered> for Weight {
    fn weight(&self, question: &Question, answer: &Remembered) -> u64 {
        let of_the_answer = size_of::<Remembered>() + answer.tag.0.len() + answer.body.len();
        let of_the_operation = question.operation.as_ref().map_or(0, String::len);
        (size_of::<Question>() + of_the_operation + question.variables.len() + of_the_answer) as u64
    }
}

impl Answers {
    /// Keeps answers of together `bytes`; none if that is 0.
    pub fn new(bytes: usize) -> Option<Self> {
        const TYPICAL: usize = 4096;
        (bytes > 0).then(|| Self(Cache::with_weighter((bytes / TYPICAL).max(1), bytes as u64, Weight)))
    }

    pub fn get(&self, question: &Question) -> Option<Remembered> {
        self.0.get(question)
    }

    /// Keeps an answer. Gives its tag.
    pub fn keep(&self, question: Question, body: Bytes) -> Tag {
        let tag = Tag::of(&body);
        self.0.insert(question, Remembered { body, tag: tag.clone() });
        tag
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, parse_schema};

    use super::*;

    #[test]
    fn only_what_depends_on_the_stream_alone_is_covered() {
        let marks = Marks::of_schema(&parse_schema(crate::graph::api_sdl()).unwrap());
        let covers = |query: &str| marks.cover(&parse_query(query).unwrap());
        assert!(covers("{ viewer { id profiles { handle platform { key } } linkGraph { version } } }"));
        assert!(covers("query($n: Int) { viewer { ...a } } fragment a on Account { __typename id }"));
        assert!(covers(
            "{ viewer { profiles { ... on ProfileCard { handle } ... { status } } } platforms { key } }"
        ));
        for other in [
            "{ verification(id: \"x\") { status } }",
            "{ node(id: \"x\") { id } }",
            "{ viewer { id } node(id: \"x\") { ... on AccountSession { current } } }",
            "mutation { resendVerificationCode(input: {}) { userErrors { code } } }",
            "subscription { linkStatusChanged { cursor } }",
            "{ __schema { types { name } } }",
            "query a { viewer { id } } query b { verification(id: \"x\") { id } }",
        ] {
            assert!(!covers(other), "{other}");
        }
    }

    #[test]
    fn every_mark_is_a_field() {
        let marks = Marks::of_schema(&parse_schema(crate::graph::api_sdl()).unwrap());
        for (ty, fields) in MARKS {
            for field in fields {
                let known =
                    marks.0.get(&Name::new(ty)).is_some_and(|known| known.contains_key(&Name::new(field)));
                assert!(known, "{ty}.{field} is marked, and there is no such field");
            }
        }
    }
}
