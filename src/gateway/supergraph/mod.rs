//! A supergraph: the schema that clients see, and which subgraph has what of it.

pub mod alone;
mod copies;
pub mod guards;
mod place;
mod required;
pub mod source;
pub mod subgraphs;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::http::Uri;
use graphql_tools::parser::schema::{Definition, Document, EnumValue, TypeDefinition, Value};
use graphql_tools::validation::rules::default_rules_validation_plan;
use graphql_tools::validation::validate::ValidationPlan;
use hive_router_query_planner::planner::{Planner, QueryPlannerOptions};
use hive_router_query_planner::utils::parsing::safe_parse_schema;

use alone::Alone;

use super::guard::Guards;
use super::introspection::Introspection;
use super::plan::keys::Keys;
use super::schema::ApiSchema;
use super::settings::parse_url;
use super::variables::InputTypes;

/// A supergraph that can be planned over.
pub struct Supergraph {
    /// The same for the same text.
    pub id: u64,
    pub planner: Planner,
    pub rules: ValidationPlan,
    pub schema: ApiSchema,
    pub guards: Guards,
    pub keys: Keys,
    pub introspection: Introspection,
    pub inputs: InputTypes,
    /// Where each subgraph is, by its name.
    pub subgraphs: BTreeMap<String, Uri>,
    /// What one of them answers alone.
    pub alone: Alone,
}

/// Why a text is no supergraph that could be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SupergraphError {
    #[error("it does not parse: {0}")]
    Unparsable(String),
    #[error(
        "it has no join specification (`@link(url: \"https://specs.apollo.dev/join/…\")` or `enum join__Graph`): \
         this is no supergraph; compose one of the subgraphs first"
    )]
    NotComposed,
    #[error("two of its subgraphs are called `{0}`; give one of them another name")]
    SameName(String),
    #[error("the URL of subgraph `{name}` is {url:?}, which is no http:// or https:// URL")]
    BadUrl { name: String, url: String },
    #[error("it bears `@{guard}` at {at}, where this gateway cannot enforce it: it would be served open")]
    Unenforced { guard: &'static str, at: String },
    #[error("what `@{guard}` at {at} asks for cannot be read: it takes lists of lists of names")]
    UnreadableGuard { guard: &'static str, at: String },
    #[error("what {at} requires cannot be read")]
    UnreadableRequires { at: String },
    #[error(
        "it links {0} for SECURITY, which this gateway does not enforce under that name: what that guards would be \
         served open"
    )]
    UnknownGuard(String),
    #[error("it cannot be planned over: {0}")]
    Unplannable(String),
}

impl Supergraph {
    /// Reads a supergraph as any composition tool writes it.
    pub fn parse(text: &str) -> Result<Self, SupergraphError> {
        Self::parse_with(text, "")
    }

    /// The same, with what the subgraph `alone` answers without any other.
    pub fn parse_with(text: &str, alone: &str) -> Result<Self, SupergraphError> {
        // The planner unwraps what it takes for granted.
        let parsed = catch_unwind(AssertUnwindSafe(|| Self::parse_trusting(text, alone)));
        parsed.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(SupergraphError::Unplannable(words.unwrap_or("the planner panicked").to_owned()))
        })
    }

    fn parse_trusting(text: &str, alone: &str) -> Result<Self, SupergraphError> {
        let document =
            safe_parse_schema(text).map_err(|error| SupergraphError::Unparsable(error.to_string()))?;
        let subgraphs = subgraphs(&document)?;
        let mut declared = guards::declared(&document)?;
        let planner = Planner::new_from_supergraph(&document, QueryPlannerOptions::default())
            .map_err(|error| SupergraphError::Unplannable(error.to_string()))?;
        required::with_required(&document, &mut declared)?;
        let api = planner.consumer_schema.document.clone();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let graphs = graphs(&document).ok_or(SupergraphError::NotComposed)?;
        let graph = graphs.iter().find(|graph| argument(graph, "name").as_deref() == Some(alone));
        let schema = ApiSchema::new(&api, &planner.supergraph);
        let guards = Guards::new(&declared, &schema);
        Ok(Self {
            id: hasher.finish(),
            alone: graph
                .map(|graph| Alone::new((&document, &api), (&schema, &guards), &graph.name))
                .unwrap_or_default(),
            keys: Keys::new(&planner.supergraph),
            schema,
            guards,
            inputs: InputTypes::new(&api),
            introspection: Introspection::new(api),
            rules: default_rules_validation_plan(),
            subgraphs,
            planner,
        })
    }
}

/// The subgraphs, of `enum join__Graph { A @join__graph(name: "a", url: "…") }`.
fn subgraphs(document: &Document<'static, String>) -> Result<BTreeMap<String, Uri>, SupergraphError> {
    let mut subgraphs = BTreeMap::new();
    for graph in graphs(document).ok_or(SupergraphError::NotComposed)? {
        let (Some(name), Some(url)) = (argument(graph, "name"), argument(graph, "url")) else {
            return Err(SupergraphError::NotComposed);
        };
        let parsed = match parse_url(&url) {
            Some(uri) => uri,
            // One that the configuration gives a URL, or that is never called.
            None if url.is_empty() => Uri::from_static("http://invalid."),
            None => return Err(SupergraphError::BadUrl { name, url }),
        };
        if subgraphs.insert(name.clone(), parsed).is_some() {
            return Err(SupergraphError::SameName(name));
        }
    }
    Ok(subgraphs)
}

/// The values of the enum of subgraphs.
fn graphs<'a>(document: &'a Document<'static, String>) -> Option<&'a [EnumValue<'static, String>]> {
    document.definitions.iter().find_map(|definition| match definition {
        Definition::TypeDefinition(TypeDefinition::Enum(graphs)) if graphs.name == "join__Graph" => {
            Some(graphs.values.as_slice())
        }
        _ => None,
    })
}

/// An argument of the `@join__graph` of a subgraph.
fn argument(graph: &EnumValue<'static, String>, wanted: &str) -> Option<String> {
    let directive = graph.directives.iter().find(|directive| directive.name == "join__graph")?;
    directive.arguments.iter().find_map(|(name, value)| match value {
        Value::String(text) if name == wanted => Some(text.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::ZOO;

    /// A bad supergraph may come while another one is served: it is refused, and nothing else happens.
    #[test]
    fn what_the_planner_takes_for_granted_is_refused_where_it_is_not_so() {
        for (part, other) in [
            ("{ query: Query }", "{ query: Nothing }"),
            ("key: \"id\")", "key: \"nothing\")"),
            ("key: \"id\")", "key: \"id {\")"),
            (
                "id: ID boxes",
                "id: ID @join__field(graph: A, override: \"b\", overrideLabel: \"percent(x)\") boxes",
            ),
        ] {
            assert!(ZOO.contains(part), "{part}");
            let Err(error) = Supergraph::parse(&ZOO.replace(part, other)) else { panic!("{other} is fine") };
            assert!(matches!(error, SupergraphError::Unplannable(_)), "{other}: {error}");
        }
    }
}
