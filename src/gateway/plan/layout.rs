//! Where everything in an answer has its place: positions, and the slots of the objects at each.
//!
//! A position is a path of response keys from the root; lists and types do not count. All objects at one position have
//! the same slots, one for each key that some fetch brings, whatever their type.

use std::collections::HashMap;

/// A position's number in one [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PositionId(u32);

/// A slot's number among those of one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// Every object has a place for the name of its type.
    pub const TYPENAME: Self = Self(0);

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The positions of one plan. The first is the root of the operation.
#[derive(Debug)]
pub struct Layout {
    positions: Vec<Position>,
}

#[derive(Debug)]
struct Position {
    keys: Vec<Box<str>>,
    slots: HashMap<Box<str>, Slot>,
    /// For each slot the position of the objects in it.
    children: Vec<Option<PositionId>>,
    /// For each slot how many fetches write objects into it from above.
    writers: Vec<u32>,
    /// For each slot whether a representation is made of it.
    is_told: Vec<bool>,
}

impl Position {
    fn new() -> Self {
        let mut position = Self {
            keys: Vec::new(),
            slots: HashMap::new(),
            children: Vec::new(),
            writers: Vec::new(),
            is_told: Vec::new(),
        };
        position.slot("__typename");
        position
    }

    fn slot(&mut self, key: &str) -> Slot {
        if let Some(slot) = self.slots.get(key) {
            return *slot;
        }
        let slot = Slot(self.keys.len() as u32);
        self.keys.push(key.into());
        self.slots.insert(key.into(), slot);
        self.children.push(None);
        self.writers.push(0);
        self.is_told.push(false);
        slot
    }
}

impl Default for Layout {
    /// The root alone.
    fn default() -> Self {
        Self { positions: vec![Position::new()] }
    }
}

impl Layout {
    pub const ROOT: PositionId = PositionId(0);

    fn position(&self, id: PositionId) -> &Position {
        &self.positions[id.0 as usize]
    }

    /// The slot of a response key, made if there is none yet.
    pub fn slot(&mut self, position: PositionId, key: &str) -> Slot {
        self.positions[position.0 as usize].slot(key)
    }

    /// The slot of a response key, if any fetch brings it.
    pub fn find(&self, position: PositionId, key: &str) -> Option<Slot> {
        self.position(position).slots.get(key).copied()
    }

    /// The position of the objects in a slot, made if there is none yet.
    pub fn descend(&mut self, position: PositionId, slot: Slot) -> PositionId {
        if let Some(child) = self.child(position, slot) {
            return child;
        }
        let child = PositionId(self.positions.len() as u32);
        self.positions.push(Position::new());
        self.positions[position.0 as usize].children[slot.index()] = Some(child);
        child
    }

    /// The position of the objects in a slot; `None` if it holds none.
    pub fn child(&self, position: PositionId, slot: Slot) -> Option<PositionId> {
        self.position(position).children[slot.index()]
    }

    pub fn key(&self, position: PositionId, slot: Slot) -> &str {
        &self.position(position).keys[slot.index()]
    }

    pub fn slots(&self, position: PositionId) -> impl Iterator<Item = Slot> + use<> {
        (0..self.width(position) as u32).map(Slot)
    }

    /// How many slots an object has.
    pub fn width(&self, position: PositionId) -> usize {
        self.position(position).keys.len()
    }

    /// Notes that one more fetch writes objects into a slot.
    pub fn note_writer(&mut self, position: PositionId, slot: Slot) {
        self.positions[position.0 as usize].writers[slot.index()] += 1;
    }

    /// Notes that a representation is made of a slot.
    pub fn note_told(&mut self, position: PositionId, slot: Slot) {
        self.positions[position.0 as usize].is_told[slot.index()] = true;
    }

    pub fn is_told(&self, position: PositionId, slot: Slot) -> bool {
        self.position(position).is_told[slot.index()]
    }

    /// Whether several fetches write into the objects of a slot, so that two places must not share one object because
    /// one of those fetches says the same of both.
    pub fn is_contended(&self, position: PositionId, slot: Slot) -> bool {
        self.position(position).writers[slot.index()] > 1
    }
}
