//! Objects whose representations go only where they belong: a subgraph learns of none that are not its own.

use secrecy::ExposeSecret;

use crate::gateway::schema::{ApiSchema, TypeId};
use crate::gateway::settings::{Gateway, Subgraph};

/// Stands for wherever one belongs.
const ANYWHERE: &str = "*";

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
