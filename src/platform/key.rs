//! The key of a platform.

use std::borrow::Borrow;
use std::fmt;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The lower-case key of a configured platform: `facebook`, `instagram`, `whatsapp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlatformKey(String);

impl PlatformKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that a row has, whether or not a platform is configured under it.
    pub fn stored(key: &str) -> Result<Self, Error> {
        Self::try_from(key.to_owned())
            .map_err(|expected| Error::internal(anyhow::anyhow!("a row names {key:?}: {expected}")))
    }
}

impl TryFrom<String> for PlatformKey {
    type Error = String;

    fn try_from(key: String) -> Result<Self, String> {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let well_formed = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.bytes().all(letters);
        if well_formed && key.len() <= 32 {
            return Ok(Self(key));
        }
        Err("a platform's key has 1 to 32 of a-z, 0-9 and _, and begins with a letter".to_owned())
    }
}

impl From<PlatformKey> for String {
    fn from(key: PlatformKey) -> Self {
        key.0
    }
}

impl Borrow<str> for PlatformKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlatformKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lower-case key of a configured platform: `facebook`, `instagram`, `whatsapp`.
#[Scalar]
impl ScalarType for PlatformKey {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(key) => Self::try_from(key).map_err(InputValueError::custom),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
