//! The errors that a subgraph tells, with no more memory than is told on: it may send millions.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sonic_rs::LazyValue;

use super::errors::{GraphqlError, PathSegment, cut};

/// Bytes of one part of an error. What is longer is cut, or left out if it cannot be cut.
const LONGEST: usize = 16 * 1024;

/// An error as a subgraph answers it. What is not as the specification says is left out, and never hides the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubgraphError {
    message: Option<String>,
    /// Where it is in the subgraph's answer.
    pub path: Option<Vec<PathSegment>>,
    extensions: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts<'a> {
    #[serde(borrow)]
    message: Option<LazyValue<'a>>,
    #[serde(borrow)]
    path: Option<LazyValue<'a>>,
    #[serde(borrow)]
    extensions: Option<LazyValue<'a>>,
}

fn part<T: DeserializeOwned>(raw: Option<&LazyValue<'_>>) -> Option<T> {
    let raw = raw?.as_raw_str();
    if raw.len() > LONGEST {
        return None;
    }
    sonic_rs::from_str(raw).ok()
}

impl SubgraphError {
    /// The code of an error for which the subgraph gives none.
    const CODE: &str = "DOWNSTREAM_SERVICE_ERROR";

    fn read(raw: &LazyValue<'_>) -> Self {
        let Parts { message, path, extensions } = sonic_rs::from_str(raw.as_raw_str()).unwrap_or_default();
        let mut message = message.and_then(|raw| sonic_rs::from_str::<String>(raw.as_raw_str()).ok());
        message.iter_mut().for_each(|message| cut(message, LONGEST));
        let path = part(path.as_ref()).filter(|path: &Vec<_>| !path.is_empty());
        Self { message, path, extensions: part(extensions.as_ref()).unwrap_or_default() }
    }

    /// Of the subgraph of this process.
    fn of_local(error: &async_graphql::ServerError) -> Self {
        let path = error.path.iter().map(|segment| match segment {
            async_graphql::PathSegment::Field(key) => PathSegment::Key(key.as_str().into()),
            async_graphql::PathSegment::Index(number) => PathSegment::Index(*number),
        });
        let extensions = error.extensions.as_ref().and_then(|values| serde_json::to_value(values).ok());
        let extensions = match extensions {
            Some(Value::Object(extensions)) => extensions,
            _ => Map::new(),
        };
        let path = Some(path.collect::<Vec<_>>()).filter(|path| !path.is_empty());
        Self { message: Some(error.message.clone()), path, extensions }
    }

    /// For the client, without a path.
    pub fn into_error(self, subgraph: Option<&str>) -> GraphqlError {
        let Self { message, mut extensions, .. } = self;
        let message = message.unwrap_or_else(|| "The subgraph gave an error without a message.".to_owned());
        // Whose it is, is for the gateway to say, or not.
        extensions.remove("service");
        extensions.entry("code").or_insert_with(|| Self::CODE.into());
        let error = GraphqlError { message, locations: Vec::new(), path: None, extensions };
        match subgraph {
            Some(name) => error.of_subgraph(name),
            None => error,
        }
    }
}

/// The errors of one answer of a subgraph.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    pub errors: Vec<SubgraphError>,
    /// How many there are beside these.
    pub more: usize,
}

impl Told {
    /// Those of the subgraph of this process, so many of them.
    pub fn of_local(errors: &[async_graphql::ServerError], most: usize) -> Self {
        let told: Vec<_> = errors.iter().take(most).map(SubgraphError::of_local).collect();
        Self { more: errors.len() - told.len(), errors: told }
    }
}

/// Reads `errors`, so many of them. Absent for null.
#[derive(Clone, Copy)]
pub struct ReadErrors {
    pub most: usize,
}

impl<'de> DeserializeSeed<'de> for ReadErrors {
    type Value = Option<Told>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadErrors {
    type Value = Option<Told>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of errors, or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut told = Told::default();
        while told.errors.len() < self.most {
            let Some(raw) = items.next_element::<LazyValue<'de>>()? else { return Ok(Some(told)) };
            told.errors.push(SubgraphError::read(&raw));
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            told.more += 1;
        }
        Ok(Some(told))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, most: usize) -> Option<Told> {
        let mut json = sonic_rs::Deserializer::from_str(text);
        ReadErrors { most }.deserialize(&mut json).unwrap()
    }

    /// A part that is not as the specification says is left out, and hides neither the rest nor other errors.
    #[test]
    fn a_part_that_is_no_such_part_hides_nothing() {
        let told = |error: &str| {
            let mut read = read(&format!("[{error},{{\"message\":\"next\"}}]"), 9).unwrap();
            assert_eq!(read.errors.pop().unwrap().message.as_deref(), Some("next"), "{error}");
            let error = read.errors.pop().unwrap();
            let path = error.path.clone();
            let path = path.map(|path| serde_json::to_value(path).unwrap());
            (serde_json::to_value(error.into_error(Some("s"))).unwrap(), path)
        };
        let unsaid = "The subgraph gave an error without a message.";
        let standing = json!({ "code": "DOWNSTREAM_SERVICE_ERROR", "service": "s" });
        for (error, message, extensions, path) in [
            (
                r#"{"message":"m","path":["a",0],"extensions":{"code":"C"}}"#,
                "m",
                json!({ "code": "C", "service": "s" }),
                Some(json!(["a", 0])),
            ),
            (r#"{"message":7,"path":"a","extensions":[]}"#, unsaid, standing.clone(), None),
            (r#"{"message":"m","path":[{}]}"#, "m", standing.clone(), None),
            (r#"{"message":"m","path":[-1]}"#, "m", standing.clone(), None),
            (r#"{"message":null,"path":[],"extensions":null}"#, unsaid, standing.clone(), None),
            (r#"{"message":"m","locations":[{"line":1}],"more":{"a":[]}}"#, "m", standing.clone(), None),
            // What the subgraph says of whose it is does not count.
            (r#"{"message":"m","extensions":{"service":"other"}}"#, "m", standing.clone(), None),
            ("7", unsaid, standing.clone(), None),
            ("[]", unsaid, standing.clone(), None),
            ("null", unsaid, standing.clone(), None),
        ] {
            let wanted = json!({ "message": message, "extensions": extensions });
            assert_eq!(told(error), (wanted, path), "{error}");
        }
    }

    /// Where names are masked the subgraph does not give its own away.
    #[test]
    fn a_masked_name_stays_masked() {
        let text = r#"[{"message":"m","extensions":{"service":"users","code":"C"}}]"#;
        let error = read(text, 3).unwrap().errors.remove(0).into_error(None);
        assert_eq!(serde_json::Value::from(error.extensions), json!({ "code": "C" }));
    }

    /// Only so many are held, of a bounded size each, and the others are counted.
    #[test]
    fn what_is_too_much_is_counted_or_cut() {
        assert_eq!(read("null", 3), None);
        assert_eq!(read("[]", 3), Some(Told::default()));
        let million = format!("[{}{{}}]", "{},".repeat(99_999));
        let told = read(&million, 3).unwrap();
        assert_eq!((told.errors.len(), told.more), (3, 99_997));
        assert!(told.errors.capacity() < 10);
        let long = "ä".repeat(LONGEST);
        let text = json!([{ "message": long, "path": [long], "extensions": { "code": long } }]).to_string();
        let error = read(&text, 3).unwrap().errors.remove(0);
        assert_eq!(error.path, None);
        let error = error.into_error(None);
        assert_eq!(error.message.len(), LONGEST + "…".len());
        assert_eq!(error.extensions["code"], SubgraphError::CODE);
    }
}
