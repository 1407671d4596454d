//! Scalars and enums have the form that their type says, or are null (GraphQL specification, section 6.4.3).

use super::nulls::Stop;
use super::{Projector, Step};
use crate::gateway::plan::projection::Leaf;
use crate::gateway::plant;
use crate::gateway::schema::{Scalar, TypeKind, Wrapping};

impl Projector<'_> {
    pub(super) fn leaf(&mut self, wrapping: &Wrapping, leaf: Leaf, raw: &[u8]) -> Result<(), Stop> {
        let start = self.out.len();
        let of = match wrapping {
            _ if raw == b"null" => return self.null(wrapping),
            Wrapping::Named { .. } if self.fits(leaf, raw) => {
                self.out.extend_from_slice(raw);
                return Ok(());
            }
            // A value that clients do not see is null without an error.
            Wrapping::Named { .. } if matches!(leaf, Leaf::Enum(_)) => return self.hidden(wrapping),
            Wrapping::Named { .. } => return self.null(wrapping),
            Wrapping::List { of, .. } => of,
        };
        if raw.first() != Some(&b'[') {
            return self.null(wrapping);
        }
        // Any value is one of a scalar that nobody knows, so only nulls have to be looked for.
        let is_free = leaf == Leaf::Scalar(Scalar::Custom) && matches!(**of, Wrapping::Named { .. });
        if is_free && memchr::memmem::find(raw, b"null").is_none() {
            self.out.extend_from_slice(raw);
            return Ok(());
        }
        self.out.push(b'[');
        let mut written = Ok(());
        for (index, item) in sonic_rs::to_array_iter(raw).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            // It was read once already, so it does parse.
            let Ok(item) = item else { break };
            self.path.push(Step::Index(index));
            written = self.leaf(of, leaf, item.as_raw_str().as_bytes());
            self.path.pop();
            if written.is_err() {
                break;
            }
        }
        self.out.push(b']');
        written.or_else(|stop| self.stop(stop, wrapping, start))
    }

    /// Whether a scalar has the form that its type says.
    fn fits(&self, leaf: Leaf, raw: &[u8]) -> bool {
        let first = raw.first().copied().unwrap_or_default();
        let is_number = first == b'-' || first.is_ascii_digit();
        match leaf {
            Leaf::Scalar(Scalar::Custom) => true,
            Leaf::Scalar(Scalar::String) => first == b'"',
            Leaf::Scalar(Scalar::Id) => first == b'"' || is_number,
            Leaf::Scalar(Scalar::Int) => {
                is_number && std::str::from_utf8(raw).is_ok_and(|text| text.parse::<i32>().is_ok())
            }
            Leaf::Scalar(Scalar::Float) => is_number,
            Leaf::Scalar(Scalar::Boolean) => raw == b"true" || raw == b"false",
            Leaf::Enum(ty) => match &self.schema.get(ty).kind {
                TypeKind::Enum { values } => {
                    values.iter().any(|value| value.as_bytes() == raw) || plant::is_out("gateway::hidden")
                }
                _ => false,
            },
        }
    }
}
