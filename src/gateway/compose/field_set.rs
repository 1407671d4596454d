//! Field sets, as of `@key(fields:)`: which fields of which, without arguments and aliases.

use std::collections::BTreeMap;

/// What the type of a fragment stands behind.
pub const FRAGMENT: &str = "...";

/// Fields, each with those that are selected below it; `...Type` has those of a fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldSet(pub BTreeMap<String, FieldSet>);

impl FieldSet {
    /// Absent if it is none, or has what is neither a plain field nor a fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let spaced = text.replace('{', " { ").replace('}', " } ").replace(',', " ").replace("...", " ... ");
        let mut words = spaced.split_whitespace().peekable();
        let set = Self::read(&mut words)?;
        (words.next().is_none() && !set.0.is_empty()).then_some(set)
    }

    fn read<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Option<Self> {
        let mut fields = BTreeMap::<String, Self>::new();
        while let Some(word) = words.next_if(|word| *word != "}") {
            if word == "..." {
                words.next_if_eq(&"on")?;
                let name = format!("{FRAGMENT}{}", words.next()?);
                words.next_if_eq(&"{")?;
                fields.entry(name).or_default().0.extend(Self::read(words)?.0);
                words.next_if_eq(&"}")?;
                continue;
            }
            if !word.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return None;
            }
            let below = fields.entry(word.to_owned()).or_default();
            if words.next_if_eq(&"{").is_some() {
                below.0.extend(Self::read(words)?.0);
                words.next_if_eq(&"}")?;
            }
        }
        Some(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_sets_are_the_same_in_any_order() {
        let set = |text: &str| FieldSet::parse(text);
        assert_eq!(set("id"), set(" id "));
        assert_eq!(set("size product { upc }"), set("product{upc},size"));
        assert_ne!(set("product { upc }"), set("product { sku }"));
        assert_eq!(set("a {...on B{c}}"), set("a { ... on B { c } }"));
        assert!(set("...on B { c }").is_some_and(|set| set.0.contains_key("...B")));
        for none in ["", "{", "id }", "a { b", "a(x: 1)", "... { b }", "... on A", "a: b", "a @skip"] {
            assert_eq!(set(none), None, "{none}");
        }
    }
}
