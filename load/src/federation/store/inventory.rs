//! What is in stock, and what it costs to send.

use async_graphql::{ComplexObject, Object, SimpleObject};

use super::{PRODUCTS, place};

#[derive(SimpleObject)]
#[graphql(complex)]
struct Product {
    upc: String,
    #[graphql(external)]
    price: Option<i32>,
    #[graphql(external)]
    weight: Option<i32>,
    in_stock: Option<bool>,
}

#[ComplexObject]
impl Product {
    #[graphql(requires = "price weight")]
    async fn shipping_estimate(&self) -> Option<i32> {
        match (self.price?, self.weight?) {
            (1_001.., _) => Some(0),
            (_, weight) => Some(weight / 2),
        }
    }
}

pub struct Query;

#[Object]
impl Query {
    #[graphql(entity)]
    async fn product_by_upc(
        &self,
        #[graphql(key)] upc: String,
        price: Option<i32>,
        weight: Option<i32>,
    ) -> Option<Product> {
        let (.., in_stock) = *PRODUCTS.get(place(&upc)?)?;
        Some(Product { upc, price, weight, in_stock: Some(in_stock) })
    }
}
