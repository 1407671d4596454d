//! What the library does not take over from the schemas of subgraphs.

use std::collections::{BTreeMap, BTreeSet};

use cynic_parser::type_system::TypeDefinition;

use super::Problem;
use super::guards::Guards;
use super::sdl::Sdl;

/// Of all subgraphs.
pub struct Supplement {
    /// Where scalars are specified, and by which subgraph it is said.
    pub specified: BTreeMap<String, (String, String)>,
    /// What root types are described as.
    pub roots: BTreeMap<&'static str, String>,
    /// The subgraphs that each scalar is in.
    pub scalars: BTreeMap<String, BTreeSet<String>>,
    /// Interfaces that subgraphs have as objects by a key that they do not resolve: interface, subgraph, key.
    pub stood_for: Vec<(String, String, String)>,
    pub guards: Guards,
    hints: Vec<Problem>,
}

impl Supplement {
    pub fn of(sdls: &[Sdl]) -> Self {
        let (mut specified, mut hints) = (BTreeMap::<String, (String, String)>::new(), Vec::new());
        let mut scalars = BTreeMap::<String, BTreeSet<String>>::new();
        for sdl in sdls {
            for ty in sdl.types().filter(TypeDefinition::is_scalar) {
                scalars.entry(ty.name().to_owned()).or_default().insert(sdl.name.clone());
                let url = ty.directives().find(|directive| directive.name() == "specifiedBy");
                let url = url.and_then(|directive| directive.argument("url")?.value().as_str());
                let Some(url) = url else { continue };
                match specified.get(ty.name()) {
                    None => drop(specified.insert(ty.name().to_owned(), (url.to_owned(), sdl.name.clone()))),
                    Some((known, _)) if known == url => {}
                    Some((known, by)) => {
                        let message =
                            format!("is specified by {url} here and by {known} in {by}, which stays");
                        hints.push(Problem::of(&sdl.name, message).at(ty.name(), None));
                    }
                }
            }
        }
        let mut roots = BTreeMap::new();
        for (sdl, ty) in sdls.iter().flat_map(|sdl| sdl.types().map(move |ty| (sdl, ty))) {
            if let (Some(root), Some(described)) = (sdl.root(ty), ty.description()) {
                roots.entry(root).or_insert_with(|| described.to_cow().into_owned());
            }
        }
        Self { specified, roots, scalars, stood_for: stood_for(sdls), guards: Guards::of(sdls).0, hints }
    }

    pub fn hints(&self) -> impl Iterator<Item = Problem> {
        self.hints.iter().cloned()
    }
}

fn stood_for(sdls: &[Sdl]) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for sdl in sdls {
        for ty in sdl.types() {
            let has = |wanted: &str| ty.directives().any(|directive| sdl.directive(directive) == wanted);
            for key in ty.directives().filter(|directive| sdl.directive(*directive) == "key") {
                let argument = |name: &str| key.argument(name).map(|argument| argument.value());
                let is_unresolved = argument("resolvable").and_then(|value| value.as_bool()) == Some(false);
                if let Some(fields) = argument("fields").and_then(|fields| fields.as_str())
                    && is_unresolved
                    && has("interfaceObject")
                {
                    found.push((ty.name().to_owned(), sdl.name.clone(), fields.to_owned()));
                }
            }
        }
    }
    found
}
