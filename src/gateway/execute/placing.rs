//! Putting errors to where they belong in the client's answer.
//!
//! A path of a subgraph's answer has keys that the planner has made up, and some of what clients must not learn of: it is
//! told with the client's own keys, and only as far as those go.

use std::collections::HashSet;

use super::data::Object;
use super::errors::{GraphqlError, PathSegment};
use super::representations::Representations;
use super::told::Told;
use super::walk::places_of;
use super::{Execution, Failure};
use crate::gateway::plan::layout::Layout;
use crate::gateway::plan::projection::Selection;
use crate::gateway::plan::shape::{FieldKind, Shape};
use crate::gateway::plan::steps::{Path, Step, Target};

type Places = Vec<Vec<PathSegment>>;

impl Execution<'_> {
    /// Takes the errors of a subgraph.
    pub(super) fn take_errors(&mut self, step: &Step, sent: &[Representations], told: Told) {
        self.errors.leave_out(told.more);
        for mut error in told.errors {
            if self.errors.is_full() {
                self.errors.leave_out(1);
                continue;
            }
            let paths = error.path.take().map(|path| self.places(step, sent, &path)).unwrap_or_default();
            let error = error.into_error(self.subgraphs.shown_name(&step.subgraph));
            self.tell(&error, paths);
        }
    }

    /// Tells an error at each of its places that the client knows, and once without one if there is none.
    pub(super) fn tell(&mut self, error: &GraphqlError, places: Places) {
        let shown = distinct(places.into_iter().map(|path| shown(&self.plan.selection, path)));
        if shown.is_empty() {
            self.errors.push(error.clone());
        }
        for path in shown {
            self.errors.push(error.clone().at(path));
        }
    }

    /// The paths of the client's answer that a path of a subgraph's answer stands for.
    fn places(&self, step: &Step, sent: &[Representations], path: &[PathSegment]) -> Places {
        let view = (&self.data, &self.plan.layout);
        let below = |places: Places, shape: &Shape, rest: &[PathSegment]| -> Places {
            let rest = renamed(&self.plan.layout, shape, rest);
            places.into_iter().map(|place| [place.as_slice(), &rest].concat()).collect()
        };
        match &step.target {
            Target::Root { at, shape } => below(places_of(view, self.root, at, |_| true), shape, path),
            Target::Entities(lists) => {
                let [PathSegment::Key(key), PathSegment::Index(number), rest @ ..] = path else {
                    return Vec::new();
                };
                let Some(list) = lists.iter().position(|list| *list.key == **key) else { return Vec::new() };
                let places = lists[list].places.iter().enumerate().flat_map(|(place, within)| {
                    let targets: HashSet<Object> = sent[list].targets(place, *number).collect();
                    if targets.is_empty() {
                        // Nobody has asked for one of that number here.
                        return Vec::new();
                    }
                    let found = places_of(view, self.root, &within.at, |object| targets.contains(&object));
                    below(found, &within.shape, rest)
                });
                places.collect()
            }
        }
    }

    /// Says that a step has brought nothing, at the first place that misses something by it.
    pub(super) fn fail(&mut self, step: &Step, failure: Failure) {
        let error = failure.error(self.subgraphs.shown_name(&step.subgraph));
        match &step.target {
            Target::Root { at, shape } => {
                let fields =
                    shape.fields.iter().map(|field| self.plan.layout.key(shape.position, field.slot));
                let fields: Vec<Vec<Box<str>>> = fields.map(|key| vec![key.into()]).collect();
                self.fail_at(&error, at, if fields.is_empty() { vec![Vec::new()] } else { fields });
            }
            Target::Entities(lists) => {
                for place in lists.iter().flat_map(|list| &list.places) {
                    self.fail_at(&error, &place.at, vec![Vec::new()]);
                }
            }
        }
    }

    /// A subgraph that has nothing to give for the root has said why, with one field's error for all of them.
    pub(super) fn cover(&mut self, step: &Step) {
        if let (Target::Root { at, shape }, true) = (&step.target, self.errors.has_any()) {
            for field in &shape.fields {
                let key = self.plan.layout.key(shape.position, field.slot).into();
                self.errors.cover_below(at.keys.iter().cloned().chain([key]).collect());
            }
        }
    }

    /// Nothing has come of what is at `fields` below a path.
    fn fail_at(&mut self, error: &GraphqlError, at: &Path, fields: Vec<Vec<Box<str>>>) {
        let view = (&self.data, &self.plan.layout);
        let first = places_of(view, self.root, at, |_| true).into_iter().next().unwrap_or_default();
        let paths = fields.iter().map(|keys| {
            let keys = keys.iter().cloned().map(PathSegment::Key);
            shown(&self.plan.selection, first.iter().cloned().chain(keys).collect())
        });
        let paths = distinct(paths);
        if paths.is_empty() {
            self.errors.push(error.clone());
        }
        paths.into_iter().for_each(|path| self.errors.push(error.clone().at(path)));
        for keys in fields {
            self.errors.cover_below(at.keys.iter().cloned().chain(keys).collect());
        }
    }
}

/// Each path once, and none that leads nowhere.
fn distinct(paths: impl Iterator<Item = Vec<PathSegment>>) -> Places {
    let mut known = HashSet::new();
    paths.filter(|path| !path.is_empty() && known.insert(path.clone())).collect()
}

/// A path of a subgraph's answer with the keys of the client's. It ends where it leads to what nobody asked for.
fn renamed(layout: &Layout, shape: &Shape, path: &[PathSegment]) -> Vec<PathSegment> {
    let mut within = Some(shape);
    let mut renamed = Vec::with_capacity(path.len());
    for segment in path {
        match segment {
            PathSegment::Index(_) => renamed.push(segment.clone()),
            PathSegment::Key(key) => {
                let found = within.and_then(|shape| Some((shape, &shape.fields[shape.field(key, 0)?])));
                let Some((shape, field)) = found else { break };
                renamed.push(PathSegment::Key(layout.key(shape.position, field.slot).into()));
                within = match &field.kind {
                    FieldKind::Composite(below) => Some(below),
                    FieldKind::Leaf | FieldKind::Typename => None,
                };
            }
        }
    }
    renamed
}

/// What of a path the client has asked for.
fn shown(selection: &Selection, mut path: Vec<PathSegment>) -> Vec<PathSegment> {
    let keys = path.iter().filter_map(|segment| match segment {
        PathSegment::Key(key) => Some(&**key),
        PathSegment::Index(_) => None,
    });
    let mut left = selection.selected(keys);
    let cut = path.iter().position(|segment| match segment {
        PathSegment::Key(_) if left == 0 => true,
        PathSegment::Key(_) => {
            left -= 1;
            false
        }
        PathSegment::Index(_) => false,
    });
    path.truncate(cut.unwrap_or(path.len()));
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::testing::{Bench, document, rename};

    fn path(path: serde_json::Value) -> Vec<PathSegment> {
        serde_json::from_value(path).unwrap()
    }

    /// Keys that the planner has made up are the client's again; what nobody asked for is not told of.
    #[test]
    fn a_path_has_the_keys_of_the_client() {
        let fetch = "{ animals { __typename _alias0: id friend { id _alias1: name } } }";
        let rewrites = [rename("animals.Cat._alias0", "id"), rename("animals.friend.Dog._alias1", "name")];
        let (bench, [shape]) = Bench::rewriting([fetch], &rewrites);
        let schema = &bench.zoo.schema;
        let set = document("{ animals { ... on Cat { id } ... on Animal { friend { name } } } }");
        let selection = Selection::root(schema, schema.query.unwrap(), set.operation.selection_set);
        for (told, renames, shows) in [
            (json!(["animals", 1, "_alias0"]), json!(["animals", 1, "id"]), json!(["animals", 1, "id"])),
            (
                json!(["animals", 1, "friend", "_alias1"]),
                json!(["animals", 1, "friend", "name"]),
                json!(["animals", 1, "friend", "name"]),
            ),
            (
                json!(["animals", 1, "friend", "id"]),
                json!(["animals", 1, "friend", "id"]),
                json!(["animals", 1, "friend"]),
            ),
            (json!(["animals", 1, "secret", "x"]), json!(["animals", 1]), json!(["animals", 1])),
            (
                json!(["animals", 1, "_alias0", 3, "x"]),
                json!(["animals", 1, "id", 3]),
                json!(["animals", 1, "id", 3]),
            ),
            (json!(["secret"]), json!([]), json!([])),
        ] {
            let renamed = renamed(&bench.layout, &shape, &path(told.clone()));
            assert_eq!(renamed, path(renames), "{told}");
            assert_eq!(shown(&selection, renamed), path(shows), "{told}");
        }
        let paths = [json!(["a"]), json!([]), json!(["a", 1]), json!(["a"])].map(path);
        assert_eq!(distinct(paths.into_iter()), [json!(["a"]), json!(["a", 1])].map(path));
    }
}
