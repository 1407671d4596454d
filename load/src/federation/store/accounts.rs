//! Who the users are.

use async_graphql::{ID, Object, SimpleObject};

use super::{USERS, id, place};

#[derive(SimpleObject)]
struct User {
    id: ID,
    name: Option<String>,
    username: Option<String>,
    birthday: Option<i32>,
}

fn user(number: usize) -> Option<User> {
    let (first, last) = USERS.get(number)?;
    Some(User {
        id: id(number).into(),
        name: Some(format!("{first} {last}")),
        username: Some(first.to_lowercase()),
        birthday: Some(1_234_567_890),
    })
}

pub struct Query;

#[Object]
impl Query {
    async fn me(&self) -> Option<User> {
        user(0)
    }

    async fn user(&self, id: ID) -> Option<User> {
        user(place(&id)?)
    }

    async fn users(&self) -> Option<Vec<Option<User>>> {
        Some((0..USERS.len()).map(user).collect())
    }

    #[graphql(entity)]
    async fn user_by_id(&self, id: ID) -> Option<User> {
        user(place(&id)?)
    }
}
