//! The errors of one answer.

use super::errors::{GraphqlError, PathSegment};

/// Errors, and where whole fetches have failed.
pub struct Errors {
    list: Vec<GraphqlError>,
    /// Not more than so many are told.
    most: usize,
    left_out: usize,
    /// What was left out may say already why anything is missing.
    covers_all: bool,
    /// Paths without the numbers of items: all that a failed fetch would have brought is below one of them.
    failed: Vec<Vec<Box<str>>>,
}

impl Errors {
    pub fn new(most: usize) -> Self {
        Self { list: Vec::new(), most, left_out: 0, covers_all: false, failed: Vec::new() }
    }

    pub fn push(&mut self, error: GraphqlError) {
        if self.is_full() {
            self.left_out += 1;
        } else {
            self.list.push(error);
        }
    }

    /// Adds an error that is told whatever else is.
    pub fn push_first(&mut self, error: GraphqlError) {
        if self.is_full() {
            self.list.pop();
            self.left_out += 1;
        }
        self.list.insert(0, error);
    }

    pub fn has_any(&self) -> bool {
        !self.list.is_empty() || self.left_out > 0
    }

    /// Whether no more errors are told.
    pub fn is_full(&self) -> bool {
        self.list.len() >= self.most
    }

    /// Counts errors that are not told.
    pub fn leave_out(&mut self, count: usize) {
        self.left_out += count;
    }

    /// No subgraph says anything any more: what comes now are the nulls that the answer misses a reason for.
    pub fn close(&mut self) {
        self.covers_all = self.left_out > 0;
    }

    /// A fetch that has failed, and whose error is told, would have brought what is below `keys`.
    pub fn cover_below(&mut self, keys: Vec<Box<str>>) {
        self.failed.push(keys);
    }

    /// Those that are told, and behind them how many are not.
    pub fn into_list(mut self) -> Vec<GraphqlError> {
        self.list.extend(GraphqlError::left_out(self.left_out));
        self.list
    }

    /// Whether an error says already why there is nothing at `path`: one at it, above it or below it, or one that does
    /// not say where it is.
    pub fn cover(&self, path: &[PathSegment]) -> bool {
        let told = self.list.iter().any(|error| match &error.path {
            Some(own) => own.starts_with(path) || path.starts_with(own),
            None => true,
        });
        self.covers_all
            || told
            || self.failed.iter().any(|failed| {
                let mut keys = path.iter().filter_map(|segment| match segment {
                    PathSegment::Key(key) => Some(key),
                    PathSegment::Index(_) => None,
                });
                failed.iter().all(|key| keys.next() == Some(key))
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(path: serde_json::Value) -> Vec<PathSegment> {
        serde_json::from_value(path).unwrap()
    }

    fn error(at: Option<serde_json::Value>) -> GraphqlError {
        let error = GraphqlError::new("C", "m");
        match at {
            Some(at) => error.at(path(at)),
            None => error,
        }
    }

    /// An error speaks for its place, for what is above it and below it, and for nothing beside it.
    #[test]
    fn an_error_covers_what_is_on_its_way() {
        for (at, null, is_covered) in [
            (Some(json!(["a", 1, "b"])), json!(["a", 1, "b"]), true),
            (Some(json!(["a", 1, "b"])), json!(["a", 1]), true),
            (Some(json!(["a", 1])), json!(["a", 1, "b", "c"]), true),
            (Some(json!(["a", 1, "b"])), json!(["a", 0, "b"]), false),
            (Some(json!(["a", 1, "b"])), json!(["a", 1, "c"]), false),
            (Some(json!(["a"])), json!(["ab"]), false),
            (None, json!(["a"]), true),
        ] {
            let mut errors = Errors::new(9);
            errors.push(error(at.clone()));
            assert_eq!(errors.cover(&path(null.clone())), is_covered, "{at:?} and {null}");
        }
    }

    /// A fetch that failed speaks for all that it would have brought, whichever item of a list it is in.
    #[test]
    fn a_failed_fetch_covers_every_item() {
        let mut errors = Errors::new(9);
        errors.push(error(Some(json!(["list", 0]))));
        errors.cover_below(vec!["list".into(), "b".into()]);
        for (null, is_covered) in [
            (json!(["list", 7, "b"]), true),
            (json!(["list", 7, 2, "b", "c"]), true),
            (json!(["list", 7, "c"]), false),
            (json!(["list", 7]), false),
            (json!(["b"]), false),
        ] {
            assert_eq!(errors.cover(&path(null.clone())), is_covered, "{null}");
        }
    }

    /// Not more than so many are held; the rest is a number, and may be the reason of any null once all has come.
    #[test]
    fn what_is_left_out_is_counted_and_covers_nulls() {
        let mut errors = Errors::new(2);
        for n in 0..4 {
            errors.push(error(Some(json!([n]))));
        }
        errors.leave_out(10);
        assert!(errors.is_full() && !errors.cover(&path(json!(["a"]))));
        errors.close();
        assert!(errors.cover(&path(json!(["a"]))));
        let list = errors.into_list();
        assert_eq!((list.len(), &list[2].extensions["leftOut"]), (3, &json!(12)));
        let mut full = Errors::new(1);
        full.push(error(None));
        full.push_first(GraphqlError::new("FIRST", "m"));
        let list = full.into_list();
        assert_eq!((list.len(), &list[0].extensions["code"]), (2, &json!("FIRST")));
        assert_eq!(list[1].extensions["leftOut"], 1);
        let mut all = Errors::new(2);
        all.push(error(None));
        all.push(error(None));
        all.close();
        assert_eq!(all.into_list().len(), 2, "nothing is left out");
    }
}
