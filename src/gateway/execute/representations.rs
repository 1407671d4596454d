//! Lists of representations: written as they go out, each one once.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::data::Object;
use super::incomplete::{Incomplete, Whole};
use super::represent::Writer;
use crate::gateway::plant;

/// A list of representations under way, and who gets what comes for each.
#[derive(Default)]
pub struct Representations {
    /// Where each one stands in the request.
    written: Vec<(usize, usize)>,
    known: HashTable<u32>,
    hasher: RandomState,
    /// For each representation the last of its targets.
    last: Vec<u32>,
    targets: Vec<Target>,
    /// Objects that have no representation, because their keys are not whole.
    pub incomplete: Vec<Incomplete>,
}

/// An object that gets what comes for a representation.
#[derive(Clone, Copy)]
struct Target {
    /// The number of its place among those of the list.
    place: usize,
    object: Object,
    /// The target before it that has the same representation.
    before: Option<u32>,
}

impl Representations {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Adds the representation of an object to the list that stands at the end of `body`, unless it is there already or
    /// the object has nothing to represent it by. That is its type, for one, which no subgraph can do without: it is not
    /// there where all that would be shown of the object is left out by a condition.
    pub fn add(&mut self, writer: &Writer<'_>, (place, object): (usize, Object), body: &mut Vec<u8>) {
        if writer.type_of(writer.input, object).is_none() {
            return;
        }
        match writer.lack(object) {
            Whole::Yes => {}
            Whole::No(lack) => {
                self.incomplete.extend(lack.map(|lack| Incomplete { place, object, lack }));
                return;
            }
        }
        let rollback = body.len();
        if !self.written.is_empty() {
            body.push(b',');
        }
        let start = body.len();
        if !writer.entity(writer.input, object, body) {
            body.truncate(rollback);
            return;
        }
        let hash = self.hasher.hash_one(&body[start..]);
        let same = self.known.find(hash, |&number| {
            let (from, to) = self.written[number as usize];
            body[from..to] == body[start..]
        });
        let target = self.targets.len() as u32;
        match same.copied().filter(|_| !plant::is_out("gateway::same-representation")) {
            Some(number) => {
                body.truncate(rollback);
                let before = Some(std::mem::replace(&mut self.last[number as usize], target));
                self.targets.push(Target { place, object, before });
            }
            None => {
                let number = self.written.len() as u32;
                self.written.push((start, body.len()));
                self.last.push(target);
                self.targets.push(Target { place, object, before: None });
                let rehash = |&number: &u32| {
                    let (from, to) = self.written[number as usize];
                    self.hasher.hash_one(&body[from..to])
                };
                self.known.insert_unique(hash, number, rehash);
            }
        }
    }

    /// The objects of a place that representation `number` stands for.
    pub fn targets(&self, place: usize, number: usize) -> impl Iterator<Item = Object> {
        let mut next = self.last.get(number).copied();
        let all = std::iter::from_fn(move || {
            let target = self.targets[next? as usize];
            next = target.before;
            Some(target)
        });
        all.filter(move |target| target.place == place).map(|target| target.object)
    }
}
