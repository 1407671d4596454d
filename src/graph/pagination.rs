//! Relay connections (GraphQL Cursor Connections Specification): lists that can grow without bound, by pages.
//!
//! The library's own connection has no descriptions and is `@shareable`: another subgraph could answer for ours.
//! `PageInfo`, which every subgraph has, is the library's.

use std::borrow::Cow;

use async_graphql::connection::PageInfo;
use async_graphql::{Object, OutputType, TypeName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select, Value};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::error::{Code, Error};
use crate::keys::Keys;
use crate::store::{Database, bounded};

/// Items of a page, where nothing is said; and the most that can be asked for.
const DEFAULT_SIZE: i32 = 20;
const MAX_SIZE: i32 = 100;
/// Bytes of a cursor's authentication.
const TAG: usize = 16;

/// What a client says of the page that it wants.
pub struct PageArguments {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// What a page costs as part of an operation: its selections, as often as it has items. `argument` finds `first` and
/// `last`.
pub fn complexity(selections: usize, argument: impl Fn(&str) -> Option<i32>) -> usize {
    let size = argument("first").or_else(|| argument("last")).unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE);
    1 + selections * usize::try_from(size).unwrap_or(1)
}

/// Where cursors are good: in one list of one owner.
pub struct CursorScope<'a> {
    pub keys: &'a Keys,
    /// The list's name, which never changes.
    pub list: &'static str,
    pub owner: Uuid,
}

/// A page that is wanted. `P` is the place of an item in its list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<P> {
    size: usize,
    /// From the list's end on.
    pub backwards: bool,
    pub after: Option<P>,
    pub before: Option<P>,
}

/// Some items of a list in its order, and whether there are more on either side.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice<T> {
    pub items: Vec<T>,
    pub has_previous: bool,
    pub has_next: bool,
}

impl PageArguments {
    /// The page; `read` finds the place of a cursor.
    ///
    /// # Errors
    /// BAD_USER_INPUT for `first` or `last` that is over 100 or negative, for both of them, and for what is no cursor
    /// of this list.
    pub fn page<P>(self, read: impl Fn(&str) -> Option<P>) -> Result<Page<P>, Error> {
        let (size, backwards) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(refused("Give `first` or `last`, not both."));
            }
            (None, Some(last)) => (size("last", last)?, true),
            (first, None) => (size("first", first.unwrap_or(DEFAULT_SIZE))?, false),
        };
        let place = |name: &str, cursor: Option<String>| {
            let read = cursor.map(|cursor| read(&cursor).ok_or_else(|| no_cursor(name)));
            read.transpose()
        };
        let (after, before) = (place("after", self.after)?, place("before", self.before)?);
        Ok(Page { size, backwards, after, before })
    }
}

fn size(name: &str, size: i32) -> Result<usize, Error> {
    usize::try_from(size)
        .ok()
        .filter(|_| size <= MAX_SIZE)
        .ok_or_else(|| refused(format!("`{name}` is {size}; it is 0 to {MAX_SIZE}.")))
}

fn no_cursor(name: &str) -> Error {
    refused(format!(
        "`{name}` is no cursor of this list: pass `startCursor`, `endCursor` or that of an edge."
    ))
}

fn refused(message: impl Into<String>) -> Error {
    Error::client(Code::BadUserInput, message)
}

impl CursorScope<'_> {
    /// The cursor of the item at `place`.
    pub fn write(&self, place: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([place, &self.tag(place)].concat())
    }

    /// The place that `cursor` names; `None` if it was not made here for this list.
    pub fn read<const N: usize>(&self, cursor: &str) -> Option<[u8; N]> {
        // Not even decoded if it is far too long.
        let bytes = Some(cursor).filter(|cursor| cursor.len() <= 2 * (N + TAG))?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        let (place, tag) = bytes.split_at_checked(N)?;
        let is_ours = bool::from(self.tag(place).as_slice().ct_eq(tag));
        place.try_into().ok().filter(|_| is_ours)
    }

    fn tag(&self, place: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let list = self.list.as_bytes();
        tag.copy_from_slice(&self.keys.page_tag(&[list, &[0], self.owner.as_bytes(), place])[..TAG]);
        tag
    }
}

impl<P> Page<P> {
    /// How many rows to read: one more than are shown, to know whether there are more.
    fn limit(&self) -> u64 {
        self.size as u64 + 1
    }

    /// This page of what `query` finds, the highest `column` first; at most one statement.
    pub async fn read<E>(
        &self,
        db: &Database,
        query: Select<E>,
        column: E::Column,
    ) -> Result<Slice<E::Model>, Error>
    where
        E: EntityTrait<Model: Send + Sync>,
        P: Copy + Into<Value>,
    {
        let mut query = query;
        if let Some(after) = self.after {
            query = query.filter(column.lt(after));
        }
        if let Some(before) = self.before {
            query = query.filter(column.gt(before));
        }
        let order = if self.backwards { Order::Asc } else { Order::Desc };
        let rows = query.order_by(column, order).limit(self.limit()).all(db.read());
        Ok(self.cut(bounded(async { Ok(rows.await?) }).await?))
    }

    /// The page, of rows that were read in its direction.
    fn cut<T>(&self, mut rows: Vec<T>) -> Slice<T> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        if self.backwards {
            rows.reverse();
            return Slice { items: rows, has_previous: more, has_next: self.before.is_some() };
        }
        Slice { items: rows, has_previous: self.after.is_some(), has_next: more }
    }
}

impl<T> Slice<T> {
    pub fn empty() -> Self {
        Self { items: Vec::new(), has_previous: false, has_next: false }
    }

    /// The same with each item as something else, and without those that are nothing.
    pub fn filter_map<U>(self, turn: impl FnMut(T) -> Option<U>) -> Slice<U> {
        let Self { items, has_previous, has_next } = self;
        Slice { items: items.into_iter().filter_map(turn).collect(), has_previous, has_next }
    }
}

/// A page of a list, as the graph shows it.
pub struct Connection<N> {
    edges: Vec<Edge<N>>,
    has_previous: bool,
    has_next: bool,
}

/// An item of a page, with its place in the list.
pub struct Edge<N> {
    cursor: String,
    node: N,
}

impl<N> Connection<N> {
    /// `show` makes an item's cursor and node.
    pub fn new<T>(slice: Slice<T>, mut show: impl FnMut(T) -> (String, N)) -> Self {
        let Slice { items, has_previous, has_next } = slice;
        let mut edge = |item| {
            let (cursor, node) = show(item);
            Edge { cursor, node }
        };
        Self { edges: items.into_iter().map(&mut edge).collect(), has_previous, has_next }
    }
}

impl<N: OutputType> TypeName for Connection<N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", N::type_name()).into()
    }
}

impl<N: OutputType> TypeName for Edge<N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", N::type_name()).into()
    }
}

/// A page of a list.
#[Object(name_type)]
impl<N: OutputType> Connection<N> {
    /// The items with their cursors.
    async fn edges(&self) -> &[Edge<N>] {
        &self.edges
    }

    /// The items.
    async fn nodes(&self) -> Vec<&N> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where this page begins and ends, and whether there are others.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous,
            has_next_page: self.has_next,
            start_cursor: self.edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.clone()),
        }
    }

    /// Null where counting would be slow.
    async fn total_count(&self) -> Option<i32> {
        None
    }
}

/// An item of a page.
#[Object(name_type)]
impl<N: OutputType> Edge<N> {
    /// Pass it as `after` or `before` to continue from this item.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The item.
    async fn node(&self) -> &N {
        &self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(first: Option<i32>, last: Option<i32>, after: Option<&str>) -> Result<Page<u8>, String> {
        let arguments = PageArguments { first, after: after.map(str::to_owned), last, before: None };
        arguments.page(|cursor| cursor.parse().ok()).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_have_bounds() {
        let sizes = |first, last| page(first, last, None).map(|page| (page.size, page.backwards));
        assert_eq!(sizes(None, None), Ok((20, false)));
        assert_eq!(sizes(Some(100), None), Ok((100, false)));
        assert_eq!(sizes(None, Some(0)), Ok((0, true)));
        for (first, last, part) in [
            (Some(101), None, "`first` is 101"),
            (Some(-1), None, "`first` is -1"),
            (None, Some(i32::MAX), "`last` is 2147483647"),
            (Some(1), Some(1), "not both"),
        ] {
            let refusal = sizes(first, last).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
        assert!(page(None, None, Some("x")).unwrap_err().contains("`after` is no cursor"));
    }

    #[test]
    fn a_page_knows_what_is_beside_it() {
        let forwards = page(Some(2), None, Some("9")).unwrap();
        assert_eq!(forwards.limit(), 3);
        assert_eq!(
            forwards.cut(vec![8, 7, 6]),
            Slice { items: vec![8, 7], has_previous: true, has_next: true }
        );
        assert_eq!(forwards.cut(vec![8]), Slice { items: vec![8], has_previous: true, has_next: false });
        let backwards = page(None, Some(2), None).unwrap();
        assert_eq!(
            backwards.cut(vec![1, 2, 3]),
            Slice { items: vec![2, 1], has_previous: true, has_next: false }
        );
    }

    #[test]
    fn a_cursor_is_good_in_its_list_only() {
        let keys = Keys::derive(&[1; 32], 0);
        let scope = |list, owner| CursorScope { keys: &keys, list, owner: Uuid::from_u128(owner) };
        let cursor = scope("activity", 1).write(&7_i64.to_be_bytes());
        assert_eq!(scope("activity", 1).read(&cursor), Some(7_i64.to_be_bytes()));
        assert_eq!(scope("activity", 2).read::<8>(&cursor), None);
        assert_eq!(scope("posts", 1).read::<8>(&cursor), None);
        assert_eq!(scope("activity", 1).read::<16>(&cursor), None);
        for garbage in ["", "x", "ü", &cursor[1..], &"A".repeat(32), &"A".repeat(5000)] {
            assert_eq!(scope("activity", 1).read::<8>(garbage), None, "{garbage}");
        }
    }
}
