//! Nulls: where the schema does not let one stand, it takes with it what is around it (GraphQL specification, section 6.4.4).

use super::{Projector, Step};
use crate::gateway::execute::errors::{GraphqlError, PathSegment};
use crate::gateway::guard;
use crate::gateway::plant;
use crate::gateway::schema::Wrapping;

/// Why an object is not written to its end.
pub enum Stop {
    /// A null stands where there must be none: what is around it is null as well.
    Null,
    /// The answer is more than it may be: nothing is answered.
    TooLarge,
}

impl Projector<'_> {
    /// Ends what is around a null that must not be, if it may be null itself.
    pub(super) fn stop(&mut self, stop: Stop, wrapping: &Wrapping, start: usize) -> Result<(), Stop> {
        if wrapping.non_null() || matches!(stop, Stop::TooLarge) {
            return Err(stop);
        }
        // What is taken back was work as well, and must come to an end.
        self.left = self.left.saturating_sub(self.out.len() - start);
        self.out.truncate(start);
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// Writes null where something is that clients must not learn of.
    pub(super) fn hidden(&mut self, wrapping: &Wrapping) -> Result<(), Stop> {
        if wrapping.non_null() {
            return self.null(wrapping);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// Writes null where something is that its caller may not see, and says so.
    pub(super) fn refuse(&mut self, wrapping: &Wrapping, code: &str) -> Result<(), Stop> {
        if self.errors.is_full() {
            self.errors.leave_out(1);
        } else {
            let path = self.path.iter().map(|step| step.segment()).collect();
            self.errors.push(GraphqlError::new(code, guard::message(code)).at(path));
        }
        if wrapping.non_null() {
            return Err(Stop::Null);
        }
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    pub(super) fn null(&mut self, wrapping: &Wrapping) -> Result<(), Stop> {
        if !wrapping.non_null() || plant::is_out("gateway::null") {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        let path: Vec<PathSegment> = self.path.iter().map(|step| step.segment()).collect();
        // A subgraph has said why already, mostly.
        if !self.errors.cover(&path) {
            let message = "There is no value for a field that must have one.";
            self.errors.push(GraphqlError::new("NULL_IN_NON_NULLABLE_FIELD", message).at(path));
        }
        Err(Stop::Null)
    }
}

impl Step<'_> {
    fn segment(self) -> PathSegment {
        match self {
            Self::Key(written) => {
                let name = written.trim_end_matches(':').trim_matches('"');
                PathSegment::Key(name.into())
            }
            Self::Index(index) => PathSegment::Index(index),
        }
    }
}
