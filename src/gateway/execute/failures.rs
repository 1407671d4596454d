//! The errors of one answer.

use super::errors::{GraphqlError, PathSegment};

/// Errors, and where whole fetches have failed.
#[derive(Default)]
pub struct Errors {
    list: Vec<GraphqlError>,
    /// Paths without the numbers of items: all that a failed fetch would have brought is below one of them.
    failed: Vec<Vec<Box<str>>>,
}

impl Errors {
    pub fn push(&mut self, error: GraphqlError) {
        self.list.push(error);
    }

    /// Adds the error of a fetch that has brought nothing, for what is below `keys`.
    pub fn fail(&mut self, error: GraphqlError, keys: Vec<Box<str>>) {
        self.list.push(error);
        self.failed.push(keys);
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn into_list(self) -> Vec<GraphqlError> {
        self.list
    }

    /// Whether an error says already why there is nothing at `path`: one at it, above it or below it, or one that does
    /// not say where it is.
    pub fn cover(&self, path: &[PathSegment]) -> bool {
        let told = self.list.iter().any(|error| match &error.path {
            Some(own) => own.starts_with(path) || path.starts_with(own),
            None => true,
        });
        told || self.failed.iter().any(|failed| {
            let mut keys = path.iter().filter_map(|segment| match segment {
                PathSegment::Key(key) => Some(key),
                PathSegment::Index(_) => None,
            });
            failed.iter().all(|key| keys.next() == Some(key))
        })
    }
}
