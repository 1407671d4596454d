//! Finding the objects at a path, and the paths to them.

use super::data::{Data, Object, Value};
use super::errors::PathSegment as Segment;
use crate::gateway::plan::layout::{Layout, PositionId, Slot};
use crate::gateway::plan::steps::{Path, PathSegment};

/// An error that belongs to many places is told for so many of them.
const MOST_PATHS: usize = 100;

/// Objects that are looked at for them. Shared objects are at more places than anybody can go to.
const MOST_VISITS: usize = 100_000;

/// The objects at a path, each one once however many places show it, and each list too: what is shared is not looked at
/// again for each place.
pub fn objects_at(data: &Data, root: Object, path: &Path) -> Vec<Object> {
    let mut objects = vec![root];
    let mut seen = Seen { objects: Marks::new(data.extent()), lists: Marks::new(data.items_extent()) };
    for segment in &path.segments {
        match segment {
            PathSegment::Slot(slot) => {
                let mut below = Vec::with_capacity(objects.len());
                for object in objects {
                    gather(data, data.get(object, *slot), &mut seen, &mut below);
                }
                objects = below;
            }
            PathSegment::Types(types) => objects.retain(|object| is_of(data, *object, types)),
        }
    }
    objects
}

struct Seen {
    objects: Marks,
    /// By their first items.
    lists: Marks,
}

fn gather(data: &Data, value: Value, seen: &mut Seen, objects: &mut Vec<Object>) {
    match value {
        Value::Object(object) if seen.objects.mark(object.number()) => objects.push(object),
        Value::List(list) if data.length(list) > 0 && seen.lists.mark(list.number()) => {
            data.items(list).iter().for_each(|item| gather(data, *item, seen, objects));
        }
        _ => {}
    }
}

/// What does not say its type is taken for one of them.
fn is_of(data: &Data, object: Object, types: &[crate::gateway::schema::TypeId]) -> bool {
    match data.get(object, Slot::TYPENAME) {
        Value::Type(ty) => types.contains(&ty),
        _ => true,
    }
}

/// The places of the answer that show an object at a path; not more than is useful, and none that is too far to look for.
pub fn places_of(
    (data, layout): (&Data, &Layout),
    root: Object,
    path: &Path,
    wanted: impl Fn(Object) -> bool,
) -> Vec<Vec<Segment>> {
    let mut walk = Walk { data, layout, wanted, at: Vec::new(), found: Vec::new(), visits: 0 };
    walk.go(&path.segments, Layout::ROOT, Value::Object(root));
    walk.found
}

struct Walk<'a, W> {
    data: &'a Data,
    layout: &'a Layout,
    wanted: W,
    at: Vec<Segment>,
    found: Vec<Vec<Segment>>,
    visits: usize,
}

impl<W: Fn(Object) -> bool> Walk<'_, W> {
    fn go(&mut self, segments: &[PathSegment], position: PositionId, value: Value) {
        if self.found.len() >= MOST_PATHS || self.visits >= MOST_VISITS {
            return;
        }
        self.visits += 1;
        match (value, segments) {
            (Value::List(list), _) => {
                for index in 0..self.data.length(list) {
                    self.at.push(Segment::Index(index));
                    self.go(segments, position, self.data.item(list, index));
                    self.at.pop();
                }
            }
            (Value::Object(object), []) if (self.wanted)(object) => self.found.push(self.at.clone()),
            (Value::Object(object), [PathSegment::Types(types), rest @ ..])
                if is_of(self.data, object, types) =>
            {
                self.go(rest, position, value);
            }
            (Value::Object(object), [PathSegment::Slot(slot), rest @ ..]) => {
                let Some(child) = self.layout.child(position, *slot) else { return };
                self.at.push(Segment::Key(self.layout.key(position, *slot).into()));
                self.go(rest, child, self.data.get(object, *slot));
                self.at.pop();
            }
            _ => {}
        }
    }
}

/// Which numbers have been seen.
struct Marks(Vec<u64>);

impl Marks {
    fn new(extent: usize) -> Self {
        Self(vec![0; extent / 64 + 1])
    }

    /// False if it was there already.
    fn mark(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::gateway::testing::Bench;

    const FETCH: &str = "{ animals { __typename id friend { __typename id } } }";
    const BROUGHT: &str = r#"{"animals":[{"__typename":"Cat","id":"1","friend":{"__typename":"Dog","id":"2"}},null,
        {"__typename":"Dog","id":"3"},{"id":"4","friend":{"id":"5"}}]}"#;

    /// A path of keys, and of types where a word has a capital.
    fn path(bench: &Bench, words: &str) -> Path {
        let mut path = Path { segments: Vec::new(), position: Layout::ROOT, keys: Vec::new() };
        for word in words.split('.') {
            if word.starts_with(char::is_uppercase) {
                path.segments.push(PathSegment::Types(vec![bench.zoo.schema.id(word).unwrap()]));
                continue;
            }
            let slot = bench.layout.find(path.position, word).unwrap();
            path.position = bench.layout.child(path.position, slot).unwrap();
            path.segments.push(PathSegment::Slot(slot));
            path.keys.push(word.into());
        }
        path
    }

    /// Through every list, past what is missing; of a type or of none that is known; with the places that clients see.
    #[test]
    fn objects_are_found_with_their_places() {
        let (mut bench, [shape]) = Bench::new([FETCH]);
        bench.read(&shape, BROUGHT);
        for (words, places) in [
            ("animals", json!([["animals", 0], ["animals", 2], ["animals", 3]])),
            ("animals.Cat", json!([["animals", 0], ["animals", 3]])),
            ("animals.friend", json!([["animals", 0, "friend"], ["animals", 3, "friend"]])),
            ("animals.Dog.friend", json!([["animals", 3, "friend"]])),
            ("animals.friend.Cat", json!([["animals", 3, "friend"]])),
        ] {
            let path = path(&bench, words);
            let view = (&bench.data, &bench.layout);
            let found = places_of(view, bench.root, &path, |_| true);
            assert_eq!(serde_json::to_value(&found).unwrap(), places, "{words}");
            let objects = objects_at(&bench.data, bench.root, &path);
            assert_eq!(objects.len(), found.len(), "{words}");
            let last = places_of(view, bench.root, &path, |object| Some(&object) == objects.last());
            assert_eq!(serde_json::to_value(&last).unwrap()[0], places[found.len() - 1], "{words}");
        }
    }

    /// An object that many places show is found once, and its places are not more than are useful.
    #[test]
    fn what_is_shown_often_is_one_object() {
        let (mut bench, [shape]) = Bench::new([FETCH]);
        bench.read(&shape, r#"{"animals":[{"id":"1"}]}"#);
        let animals = path(&bench, "animals");
        let one = objects_at(&bench.data, bench.root, &animals)[0];
        let list = bench.data.list(std::iter::repeat_n(Value::Object(one), 500));
        let slot = bench.layout.find(Layout::ROOT, "animals").unwrap();
        bench.data.set(bench.root, slot, Value::List(list));
        assert_eq!(objects_at(&bench.data, bench.root, &animals), [one]);
        let places = places_of((&bench.data, &bench.layout), bench.root, &animals, |_| true);
        assert_eq!(places.len(), MOST_PATHS);
    }

    /// Lists of lists, each of them many times the same one: none is gone through twice.
    #[test]
    fn a_list_that_is_shown_often_is_gone_through_once() {
        let (mut bench, [shape]) = Bench::new([FETCH]);
        bench.read(&shape, r#"{"animals":[{"id":"1"}]}"#);
        let animals = path(&bench, "animals");
        let one = objects_at(&bench.data, bench.root, &animals)[0];
        let mut list = bench.data.list(std::iter::once(Value::Object(one)));
        for _ in 0..3 {
            list = bench.data.list(std::iter::repeat_n(Value::List(list), 500));
        }
        let slot = bench.layout.find(Layout::ROOT, "animals").unwrap();
        bench.data.set(bench.root, slot, Value::List(list));
        let begin = Instant::now();
        assert_eq!(objects_at(&bench.data, bench.root, &animals), [one]);
        // There are 125 million ways to it through 1501 items.
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    /// Places without number that show nothing of interest are not all looked at.
    #[test]
    fn a_search_comes_to_an_end() {
        let fetch = "{ boxes { boxes { boxes { boxes { id } } } } }";
        let (mut bench, [shape]) = Bench::new([fetch]);
        bench.read(&shape, r#"{"boxes":[{"boxes":[{"boxes":[{"boxes":[{"id":"1"}]}]}]}]}"#);
        let paths = ["boxes", "boxes.boxes", "boxes.boxes.boxes", "boxes.boxes.boxes.boxes"];
        let (mut above, last) = (bench.root, path(&bench, paths[3]));
        let deepest = objects_at(&bench.data, bench.root, &last)[0];
        for words in paths {
            let path = path(&bench, words);
            let one = objects_at(&bench.data, bench.root, &path)[0];
            let list = bench.data.list(std::iter::repeat_n(Value::Object(one), 1000));
            let PathSegment::Slot(slot) = path.segments[path.segments.len() - 1] else { panic!("{words}") };
            bench.data.set(above, slot, Value::List(list));
            above = one;
        }
        let visits = std::cell::Cell::new(0_usize);
        let wanted = |_| {
            visits.set(visits.get() + 1);
            false
        };
        assert!(places_of((&bench.data, &bench.layout), bench.root, &last, wanted).is_empty());
        assert!((1000..=MOST_VISITS).contains(&visits.get()), "{visits:?} of 10^12");
        let found = places_of((&bench.data, &bench.layout), bench.root, &last, |object| object == deepest);
        assert_eq!(found.len(), MOST_PATHS);
    }
}
