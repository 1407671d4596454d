//! Idempotency keys: the same key with the same input makes a thing once.

use accounts_center_entity::idempotency_record as record;
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, ModelTrait};
use uuid::Uuid;

use super::Command;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::keys::Keys;

/// How long a key is remembered.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// One use of an idempotency key.
pub struct Use<'a> {
    /// The mutation's field name.
    pub operation: &'static str,
    pub key: &'a str,
    /// All that the mutation was asked to do, in a fixed form.
    pub input: &'a [u8],
}

impl Command {
    /// The id of what this key made before, if it did: `Ok(Ok(None))` says to go ahead.
    pub async fn made_before(&self, keys: &Keys, usage: &Use<'_>) -> UserResult<Option<Uuid>> {
        let found = record::Entity::find_by_id(self.record_key(keys, usage)).one(self.tx()).await?;
        let Some(found) = found else { return Ok(Ok(None)) };
        if found.created_at + KEPT <= self.now() {
            found.delete(self.tx()).await?;
            return Ok(Ok(None));
        }
        if keys.hash_matches("idempotent input", usage.input, &found.input_hash) {
            return Ok(Ok(Some(found.result_id)));
        }
        Ok(Err(vec![UserError::new(
            AccountsErrorCode::IdempotencyKeyReused,
            "This idempotency key was used with another input; take a new one for a new request.",
            &["idempotencyKey"],
        )]))
    }

    /// Remembers that this key made `result`.
    pub async fn remember(&self, keys: &Keys, usage: &Use<'_>, result: Uuid) -> Result<(), Error> {
        let (scope, operation, key_hash) = self.record_key(keys, usage);
        record::ActiveModel {
            scope: Set(scope),
            operation: Set(operation),
            key_hash: Set(key_hash),
            input_hash: Set(keys.hash("idempotent input", usage.input).to_vec()),
            result_id: Set(result),
            created_at: Set(self.now()),
        }
        .insert(self.tx())
        .await?;
        Ok(())
    }

    fn record_key(&self, keys: &Keys, usage: &Use<'_>) -> (Uuid, String, Vec<u8>) {
        let hash = keys.hash("idempotency key", usage.key.as_bytes()).to_vec();
        (self.stream(), usage.operation.to_owned(), hash)
    }
}
