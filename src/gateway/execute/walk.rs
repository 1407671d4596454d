//! Finding the objects at a path, and the paths to them.

use super::data::{Data, Object, Value};
use super::errors::PathSegment as Segment;
use crate::gateway::plan::layout::{Layout, PositionId, Slot};
use crate::gateway::plan::steps::{Path, PathSegment};

/// An error that belongs to many places is told for so many of them.
const MOST_PATHS: usize = 100;

/// The objects at a path, each one once however many places show it.
pub fn objects_at(data: &Data, root: Object, path: &Path) -> Vec<Object> {
    let mut objects = vec![root];
    let mut seen = Marks::new(data.extent());
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

fn gather(data: &Data, value: Value, seen: &mut Marks, objects: &mut Vec<Object>) {
    match value {
        Value::Object(object) if seen.mark(object.number()) => objects.push(object),
        Value::List(list) => data.items(list).iter().for_each(|item| gather(data, *item, seen, objects)),
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

/// The places of the answer that show an object at a path; not more than is useful.
pub fn places_of(
    (data, layout): (&Data, &Layout),
    root: Object,
    path: &Path,
    wanted: impl Fn(Object) -> bool,
) -> Vec<Vec<Segment>> {
    let mut walk = Walk { data, layout, wanted, at: Vec::new(), found: Vec::new() };
    walk.go(&path.segments, Layout::ROOT, Value::Object(root));
    walk.found
}

struct Walk<'a, W> {
    data: &'a Data,
    layout: &'a Layout,
    wanted: W,
    at: Vec<Segment>,
    found: Vec<Vec<Segment>>,
}

impl<W: Fn(Object) -> bool> Walk<'_, W> {
    fn go(&mut self, segments: &[PathSegment], position: PositionId, value: Value) {
        if self.found.len() >= MOST_PATHS {
            return;
        }
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
