//! What is in the way of a composition, and where.

use std::fmt;

/// A problem with the place where it is, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Several if none of them is to blame alone.
    pub subgraphs: Vec<String>,
    /// A type of the supergraph.
    pub ty: Option<String>,
    /// A field, or a value of an enum.
    pub field: Option<String>,
    pub message: String,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn of(subgraph: &str, message: impl Into<String>) -> Self {
        Self { subgraphs: vec![subgraph.to_owned()], ..Self::new(message) }
    }

    /// The same at a type, or at a field of it.
    pub fn at<'a>(self, ty: &str, field: impl Into<Option<&'a str>>) -> Self {
        Self { ty: Some(ty.to_owned()), field: field.into().map(str::to_owned), ..self }
    }
}

/// In one line: `subgraph: Type.field: message`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subgraphs.is_empty() {
            write!(f, "{}: ", self.subgraphs.join(", "))?;
        }
        match (&self.ty, &self.field) {
            (Some(ty), Some(field)) => write!(f, "{ty}.{field}: ")?,
            (Some(ty), None) => write!(f, "{ty}: ")?,
            (None, _) => {}
        }
        let line: Vec<&str> = self.message.split_whitespace().collect();
        f.write_str(&line.join(" "))
    }
}

/// All problems of one composition; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines().join("; "))]
pub struct Problems(Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Problems {
    /// # Errors
    /// There are some.
    pub fn none_of(found: impl Iterator<Item = Problem>) -> Result<(), Self> {
        let mut found: Vec<Problem> = found.collect();
        found.sort();
        found.dedup();
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}
