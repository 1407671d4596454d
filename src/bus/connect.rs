//! Connections to Redis.

use redis::aio::{ConnectionManager, PubSub};

/// Commands go over this; cheap to clone.
pub type Commands = ConnectionManager;

#[derive(Clone)]
pub struct RedisServers(redis::Client);

impl RedisServers {
    pub fn new(client: redis::Client) -> Self {
        Self(client)
    }

    pub async fn commands(&self) -> redis::RedisResult<Commands> {
        ConnectionManager::new(self.0.clone()).await
    }

    pub async fn pubsub(&self) -> redis::RedisResult<PubSub> {
        self.0.get_async_pubsub().await
    }
}
