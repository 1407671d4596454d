//! What people say of what they have bought.

use async_graphql::{ComplexObject, ID, Object, SimpleObject};

use super::{REVIEWS, USERS, id, place};

const WORDS: [&str; 12] =
    ["sturdy", "and", "lighter", "than", "it", "looks", "though", "the", "third", "screw", "was", "missing"];

#[derive(SimpleObject)]
#[graphql(complex)]
struct Review {
    id: ID,
    body: Option<String>,
    product: Option<Product>,
}

fn review(number: usize) -> Review {
    let (product, length) = REVIEWS[number];
    Review {
        id: id(number).into(),
        body: Some(body(number, length)),
        product: Some(Product { upc: id(product) }),
    }
}

/// So many characters of text.
fn body(number: usize, length: usize) -> String {
    let mut text = String::with_capacity(length + 10);
    let mut words = WORDS.iter().cycle().skip(number * 5);
    while text.len() < length {
        text.extend(words.next().copied());
        text.push(' ');
    }
    text.truncate(length);
    text
}

#[ComplexObject]
impl Review {
    #[graphql(provides = "username")]
    async fn author(&self) -> Option<User> {
        Some(User { id: id(0).into(), username: Some(USERS[0].0.to_lowercase()) })
    }
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct User {
    id: ID,
    #[graphql(external)]
    username: Option<String>,
}

#[ComplexObject]
impl User {
    async fn reviews(&self) -> Option<Vec<Option<Review>>> {
        Some((0..2).map(|number| Some(review(number))).collect())
    }
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Product {
    upc: String,
}

#[ComplexObject]
impl Product {
    async fn reviews(&self) -> Option<Vec<Option<Review>>> {
        let of_this = |number: &usize| place(&self.upc) == Some(REVIEWS[*number].0);
        Some((0..REVIEWS.len()).filter(of_this).map(|number| Some(review(number))).collect())
    }
}

pub struct Query;

#[Object]
impl Query {
    #[graphql(entity)]
    async fn review_by_id(&self, id: ID) -> Option<Review> {
        place(&id).filter(|number| *number < REVIEWS.len()).map(review)
    }

    #[graphql(entity)]
    async fn user_by_id(&self, id: ID) -> Option<User> {
        let (first, _) = USERS.get(place(&id)?)?;
        Some(User { id, username: Some(first.to_lowercase()) })
    }

    #[graphql(entity)]
    async fn product_by_upc(&self, upc: String) -> Option<Product> {
        Some(Product { upc })
    }
}
