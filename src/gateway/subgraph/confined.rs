//! Objects whose representations go only where they belong: a subgraph learns of none that are not its own.

use anyhow::bail;
use hive_router_query_planner::state::supergraph_state::{SupergraphDefinition, SupergraphState};
use secrecy::ExposeSecret;

use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::settings::{Gateway, Subgraph};

/// Stands for wherever one belongs.
const ANYWHERE: &str = "*";

/// Checks that every type that is to be confined is there, and says where one belongs: by a wrong name nothing would be confined,
/// and everybody told. A type of the defaults alone may be of a graph that is not there.
///
/// # Errors
/// Names the entry of the setting.
pub fn check(supergraph: &SupergraphState, settings: &Gateway) -> anyhow::Result<()> {
    for (ty, field) in &settings.confined {
        match supergraph.definitions.get(ty) {
            Some(SupergraphDefinition::Object(object)) if object.fields.contains_key(field) => {}
            Some(SupergraphDefinition::Object(_)) => {
                bail!("gateway.confined goes by `{ty}.{field}`, a field that the supergraph does not have")
            }
            Some(_) => bail!("gateway.confined has `{ty}`, which is no object type in the supergraph"),
            None if settings.confined_by_default.get(ty) == Some(field) => {}
            None => bail!("gateway.confined has `{ty}`, a type that the supergraph does not have"),
        }
    }
    Ok(())
}

/// What one subgraph may be told of.
#[derive(Debug)]
pub struct Confined {
    /// Types, each with the field that says where one belongs, as it is written: `"field":`.
    types: Vec<(TypeId, Box<str>)>,
    /// What it has to say, in JSON.
    allowed: Vec<Box<[u8]>>,
}

impl Confined {
    /// `None` for a subgraph that may be told of all.
    pub fn new(schema: &ApiSchema, settings: &Gateway, own: &Subgraph) -> Option<Self> {
        if own.platforms.iter().any(|one| one == ANYWHERE) || !own.router_token.expose_secret().is_empty() {
            return None;
        }
        let types = settings.confined.iter();
        let types = types.filter_map(|(ty, field)| Some((schema.id(ty)?, format!("\"{field}\":").into())));
        let types: Vec<_> = types.collect();
        // Strings always have a form in JSON.
        let allowed = own.platforms.iter().filter_map(|one| serde_json::to_vec(one).ok());
        (!types.is_empty()).then(|| Self { allowed: allowed.map(Vec::into_boxed_slice).collect(), types })
    }

    /// By which field an object is known to belong somewhere, if it has to be: of its own type, as the subgraph calls that,
    /// and the type that is declared for it, by which it goes where its own is not known.
    pub fn key_of(
        &self,
        schema: &ApiSchema,
        (own, told, declared): (Option<TypeId>, Option<TypeId>, Option<TypeId>),
    ) -> Option<&str> {
        let may_be =
            |ty: TypeId| own.is_none() && declared.is_some_and(|declared| schema.satisfies(ty, declared));
        let mut types = self.types.iter();
        let found = types.find(|(ty, _)| own == Some(*ty) || told == Some(*ty) || may_be(*ty));
        found.map(|(_, key)| &**key)
    }

    /// Whether what says so belongs to the subgraph.
    pub fn allows(&self, value: &[u8]) -> bool {
        self.allowed.iter().any(|allowed| **allowed == *value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::gateway::Serving;
    use crate::gateway::testing::ZOO;
    use crate::ids::Ids;

    /// A typing error confines nothing, so it is refused; what nobody wrote is for a graph that may not be there.
    #[tokio::test]
    async fn what_is_confined_is_there() {
        crate::tls::choose_library();
        let check = |confined: &[(&str, &str)]| {
            let mut settings = crate::config::Config::from_pairs([]).unwrap().gateway;
            let written = confined.iter().map(|(ty, field)| ((*ty).to_owned(), (*field).to_owned()));
            settings.confined.extend(written);
            let serving = Serving::new(
                ZOO,
                &settings,
                crate::gateway::subgraph::With { ids: Ids::random(), metrics: Arc::default(), minter: None },
            );
            serving.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[]), Ok(()), "the default, over a supergraph without it");
        assert_eq!(check(&[("Cat", "name"), ("Ghost", "id")]), Ok(()), "also what is hidden");
        for (ty, field) in [
            ("Cart", "name"),
            ("Cat", "nam"),
            ("Animal", "name"),
            ("Mood", "HAPPY"),
            ("LinkedProfile", "platform"),
        ] {
            let told = check(&[(ty, field)]).unwrap_err();
            assert!(told.contains("gateway.confined") && told.contains(ty), "{told}");
        }
    }
}
