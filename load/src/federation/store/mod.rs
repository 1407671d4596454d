//! The four subgraphs of the federation run: users, products, their stock, and reviews of them. What they know is as much
//! as makes the answer to the heavy query some 88 KB, most of it text that stands there many times.
//!
//! Their schemas stand in `tests/federation/store/` as well, from which the supergraph was composed.

mod accounts;
mod inventory;
mod products;
mod reviews;

use async_graphql::{EmptyMutation, EmptySubscription, ObjectType, Schema};

/// What a tool has composed of them; each is at `http://NAME.test/` there.
pub const SUPERGRAPH: &str = include_str!("../../../../tests/federation/store.graphql");

/// What the run asks: users → reviews → product → reviews → author → reviews → product.
pub const HEAVY: &str = include_str!("heavy.graphql");

pub const NAMES: [&str; 4] = ["accounts", "inventory", "products", "reviews"];

pub type Subgraph<Query> = Schema<Query, EmptyMutation, EmptySubscription>;

/// All four, ready to execute.
pub struct Store {
    accounts: Subgraph<accounts::Query>,
    inventory: Subgraph<inventory::Query>,
    products: Subgraph<products::Query>,
    reviews: Subgraph<reviews::Query>,
}

impl Store {
    pub fn new() -> Self {
        Self {
            accounts: schema(accounts::Query),
            inventory: schema(inventory::Query),
            products: schema(products::Query),
            reviews: schema(reviews::Query),
        }
    }

    /// Executes a request at one of [`NAMES`].
    pub async fn execute(&self, name: &str, request: async_graphql::Request) -> async_graphql::Response {
        match name {
            "accounts" => self.accounts.execute(request).await,
            "inventory" => self.inventory.execute(request).await,
            "products" => self.products.execute(request).await,
            _ => self.reviews.execute(request).await,
        }
    }
}

fn schema<Query: ObjectType + 'static>(query: Query) -> Subgraph<Query> {
    Schema::build(query, EmptyMutation, EmptySubscription).enable_federation().finish()
}

/// First and last names.
const USERS: [(&str, &str); 6] = [
    ("Ada", "Lovelace"),
    ("Grace", "Hopper"),
    ("Barbara", "Liskov"),
    ("Frances", "Allen"),
    ("Radia", "Perlman"),
    ("Sophie", "Wilson"),
];

/// Name, price, weight, and whether it is in stock.
const PRODUCTS: [(&str, i32, i32, bool); 9] = [
    ("Table", 899, 100, true),
    ("Couch", 1_299, 1_000, false),
    ("Glass", 15, 20, false),
    ("Chair", 499, 100, false),
    ("Screen", 1_299, 1_000, true),
    ("Lamp", 6_999, 300, true),
    ("Stove", 3_999, 2_000, true),
    ("Fridge", 100_000, 6_000, false),
    ("Sofa", 9_999, 800, true),
];

/// The number of the product that each review is of, and its length in characters.
const REVIEWS: [(usize, usize); 11] = [
    (0, 446),
    (0, 290),
    (0, 270),
    (0, 140),
    (1, 446),
    (1, 290),
    (1, 270),
    (1, 140),
    (2, 140),
    (3, 140),
    (3, 840),
];

/// The place in one of these tables of what has the id `id`; ids begin with 1.
fn place(id: &str) -> Option<usize> {
    id.parse::<usize>().ok()?.checked_sub(1)
}

fn id(place: usize) -> String {
    (place + 1).to_string()
}
