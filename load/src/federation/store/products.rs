//! What there is to buy.

use async_graphql::{Object, SimpleObject};

use super::{PRODUCTS, id, place};

#[derive(SimpleObject)]
struct Product {
    upc: String,
    name: Option<String>,
    price: Option<i32>,
    weight: Option<i32>,
}

fn product(number: usize) -> Option<Product> {
    let (name, price, weight, _) = *PRODUCTS.get(number)?;
    Some(Product { upc: id(number), name: Some(name.to_owned()), price: Some(price), weight: Some(weight) })
}

pub struct Query;

#[Object]
impl Query {
    async fn top_products(
        &self,
        #[graphql(default_with = "Some(5)")] first: Option<i32>,
    ) -> Option<Vec<Option<Product>>> {
        let first = usize::try_from(first.unwrap_or_default()).unwrap_or_default();
        Some((0..PRODUCTS.len()).take(first).map(product).collect())
    }

    #[graphql(entity)]
    async fn product_by_upc(&self, upc: String) -> Option<Product> {
        product(place(&upc)?)
    }
}
