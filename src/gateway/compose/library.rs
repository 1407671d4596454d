//! The library that composes, and what it says.

use std::collections::BTreeSet;

use graphql_composition::{Subgraphs, render_federated_sdl};

use super::sdl::Sdl;
use super::{Problem, Problems, SubgraphSdl, limits};

/// The supergraph as the library writes it, with its hints. The first of `subgraphs` is the one whose descriptions stay;
/// `sdls` are their schemas.
pub fn compose(subgraphs: &[&SubgraphSdl], sdls: &[Sdl]) -> Result<(String, Vec<Problem>), Problems> {
    let mut ingested = Subgraphs::default();
    for (SubgraphSdl { name, url, .. }, sdl) in subgraphs.iter().zip(sdls) {
        ingested.ingest(&sdl.document, name, Some(url));
    }
    let known = Known::of(sdls);
    let result = graphql_composition::compose(&mut ingested);
    let hints = result.diagnostics().iter_warnings().map(|message| known.place(message)).collect();
    let graph = match result.into_result() {
        Ok(graph) => graph,
        Err(told) => {
            let problems = told.iter_errors().map(|message| limits::explain(known.place(message), sdls));
            Problems::none_of(problems)?;
            return Err(Problem::new("the library refuses to compose, and does not say why").into());
        }
    };
    match render_federated_sdl(&graph) {
        Ok(text) => Ok((text, hints)),
        Err(_) => Err(Problem::new("the library cannot write what it has composed").into()),
    }
}

/// The names that messages may be about.
struct Known<'a> {
    subgraphs: BTreeSet<&'a str>,
    types: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(sdls: &'a [Sdl]) -> Self {
        let types = sdls.iter().flat_map(|sdl| sdl.types().map(|ty| sdl.type_name(ty)));
        Self { subgraphs: sdls.iter().map(|sdl| sdl.name.as_str()).collect(), types: types.collect() }
    }

    /// Finds the place in a message: the library says where it is in words only, as `[a] … the Type.field … in b and c`.
    fn place(&self, message: &str) -> Problem {
        let is_of_name = |c: char| c == '_' || c == '-' || c == '.' || c.is_ascii_alphanumeric();
        let words = || message.split(|c| !is_of_name(c)).map(|word| word.trim_matches('.'));
        let field = words().find_map(|word| {
            let (ty, field) = word.split_once('.')?;
            // Of `Type.field.argument` the argument is in the message.
            let field = field.split('.').next()?;
            self.types.contains(ty).then_some((ty, Some(field)))
        });
        let place = field.or_else(|| words().find(|word| self.types.contains(word)).map(|ty| (ty, None)));
        let named = message.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (own, text) = match named.filter(|(name, _)| self.subgraphs.contains(name)) {
            Some((name, rest)) => (Some(name), rest.trim_start_matches(':').trim_start()),
            None => (None, message),
        };
        let others = words().filter(|word| self.subgraphs.contains(word));
        let mut subgraphs: Vec<String> = Vec::new();
        for name in own.into_iter().chain(others) {
            if !subgraphs.iter().any(|known| known == name) {
                subgraphs.push(name.to_owned());
            }
        }
        let problem = Problem { subgraphs, ..Problem::new(text) };
        match place {
            Some((ty, field)) => problem.at(ty, field),
            None => problem,
        }
    }
}
