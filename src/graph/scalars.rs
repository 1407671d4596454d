//! The scalars of the graph. `DateTime` and `Url` are our own because the library's name other specifications.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{SecondsFormat, Utc};
use secrecy::{ExposeSecret, SecretString};

/// An instant in UTC, RFC 3339, with millisecond precision.
#[derive(Clone, Copy, Debug)]
pub struct DateTime(chrono::DateTime<Utc>);

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(instant: chrono::DateTime<Utc>) -> Self {
        Self(instant)
    }
}

/// An instant in UTC, RFC 3339, with millisecond precision.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        chrono::DateTime::parse_from_rfc3339(text)
            .map(|instant| Self(instant.to_utc()))
            .map_err(|_| InputValueError::custom("not an RFC 3339 instant such as 2026-01-31T12:00:00.000Z"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// An absolute URL, RFC 3986.
#[derive(Clone, Debug)]
pub struct Url {
    url: url::Url,
    given: String,
}

impl Url {
    /// `None` for what is no absolute URL of the web: a platform could send anything.
    pub fn parse(text: &str) -> Option<Self> {
        let url = text.parse().ok().filter(|url: &url::Url| matches!(url.scheme(), "http" | "https"))?;
        Some(Self { url, given: text.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Letter by letter as the caller wrote it.
    pub fn as_given(&self) -> &str {
        &self.given
    }
}

/// An absolute URL, RFC 3986.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3986")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        Self::parse(text).ok_or_else(|| InputValueError::custom("not an absolute http or https URL"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.url.to_string())
    }
}

/// A string that nobody but its holder may see: a code, a token, a ticket.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(secret: String) -> Self {
        Self(secret.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A string that nobody but its holder may see: a code, a token, a ticket.
#[Scalar]
impl ScalarType for Secret {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(secret) => Ok(Self::new(secret)),
            // The library's own message would quote the value.
            _ => Err(InputValueError::custom("a Secret is a string")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.expose().to_owned())
    }
}

/// A version as the graph has it. `Int` ends at 2³¹: an account would need an event a second for 68 years.
pub fn version_number(version: i64) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}
