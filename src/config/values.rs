//! Shapes of single settings that serde does not know of itself.

use std::net::{IpAddr, SocketAddr};

use indexmap::IndexMap;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

/// An address, or nothing where the text is empty.
pub(super) fn address_or_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let shape = |_| serde::de::Error::custom("it must be an address like 127.0.0.1:4001, or empty for none");
    text.parse().map(Some).map_err(shape)
}

/// From a file a list, from the environment its items with commas between them.
pub(crate) fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Items(Vec<String>),
        Text(String),
    }
    Ok(match List::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}

/// The same of lists that have names.
pub(crate) fn lists<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<IndexMap<String, Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Items(#[serde(deserialize_with = "list")] Vec<String>);
    let lists = IndexMap::<String, Items>::deserialize(deserializer)?;
    Ok(lists.into_iter().map(|(name, Items(items))| (name, items)).collect())
}

/// The same of networks, as 10.0.0.0/8, or single addresses.
pub(super) fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse().map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is no network like 10.0.0.0/8, and no address"))
        }),
    };
    list(deserializer)?.iter().map(parse).collect()
}

/// The same of URLs that may hold a password.
pub(super) fn secrets<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SecretString>, D::Error> {
    Ok(list(deserializer)?.into_iter().map(SecretString::from).collect())
}

/// The same of words that a setting knows.
pub(super) fn words_or_none<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<String, Error = String>,
{
    let words = list(deserializer)?.into_iter().map(T::try_from);
    words.collect::<Result<_, _>>().map(Some).map_err(serde::de::Error::custom)
}

/// Lets a setting be one of a few words. The library's own error does not name them.
macro_rules! words {
    ($setting:ty, $($word:literal => $value:expr),+) => {
        impl TryFrom<String> for $setting {
            type Error = String;

            fn try_from(word: String) -> Result<Self, String> {
                match word.as_str() {
                    $($word => Ok($value),)+
                    _ => Err(format!("{word:?} is none of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

pub(super) use words;
