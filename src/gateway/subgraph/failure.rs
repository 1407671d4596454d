//! Why a subgraph has brought nothing.

use crate::gateway::execute::errors::GraphqlError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or one that ended too early.
    Unreachable,
    TimedOut,
    /// A status that is no success, and no GraphQL beside it.
    Status(u16),
    /// No GraphQL.
    Malformed,
    /// A subscription that ended before it was complete.
    Interrupted,
    /// A subscription that its subgraph does not let this caller have, or have any longer: a socket's close code.
    Refused(u16),
    TooLarge,
    /// Too many calls have failed of late; for a moment it is not called.
    CircuitOpen,
    /// The plan names a subgraph that the supergraph does not have.
    Unknown,
}

impl Failure {
    /// What it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
            Self::Interrupted => "interrupted",
            Self::Refused(_) => "refused",
            Self::TooLarge => "too_large",
            Self::CircuitOpen => "circuit_open",
            Self::Unknown => "unknown",
        }
    }

    /// Whether another try may help, for what may be tried twice.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status(502..=504))
    }

    /// Whether it says that the subgraph is not well.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Status(status) => status >= 500,
            Self::Unreachable | Self::TimedOut | Self::Malformed | Self::Interrupted => true,
            // How much there is to answer is the client's choice, and how much it may have is about the client.
            Self::Refused(_) | Self::TooLarge | Self::CircuitOpen | Self::Unknown => false,
        }
    }

    /// What the client is told; `name` is the subgraph's, if it is told that.
    pub fn error(self, name: Option<&str>) -> GraphqlError {
        let (code, what) = match self {
            Self::Unreachable => ("SUBGRAPH_UNREACHABLE", "cannot be reached".to_owned()),
            Self::TimedOut => ("SUBGRAPH_TIMEOUT", "did not answer in time".to_owned()),
            Self::Status(status) => ("SUBGRAPH_HTTP_ERROR", format!("answered with status {status}")),
            Self::Malformed => ("SUBGRAPH_MALFORMED_RESPONSE", "did not answer with GraphQL".to_owned()),
            Self::Interrupted => (
                "SUBGRAPH_SUBSCRIPTION_INTERRUPTED",
                "ended the subscription early; subscribe again".to_owned(),
            ),
            Self::Refused(code) => {
                ("SUBGRAPH_SUBSCRIPTION_REFUSED", format!("does not allow the subscription ({code})"))
            }
            Self::TooLarge => ("SUBGRAPH_RESPONSE_TOO_LARGE", "answered with too much".to_owned()),
            Self::CircuitOpen => {
                ("SUBGRAPH_CIRCUIT_OPEN", "has failed too often and is left alone for a moment".to_owned())
            }
            Self::Unknown => ("SUBGRAPH_UNKNOWN", "is not in the supergraph".to_owned()),
        };
        match name {
            Some(name) => GraphqlError::new(code, format!("The subgraph `{name}` {what}.")).of_subgraph(name),
            None => GraphqlError::new(code, format!("A subgraph {what}.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes may be tried again, and what is the subgraph's own fault opens its circuit. What a client has asked
    /// for is neither.
    #[test]
    fn a_failure_passes_or_is_a_fault() {
        for (failure, is_passing, is_fault) in [
            (Failure::Unreachable, true, true),
            (Failure::TimedOut, false, true),
            (Failure::Malformed, false, true),
            (Failure::TooLarge, false, false),
            (Failure::CircuitOpen, false, false),
            (Failure::Unknown, false, false),
            (Failure::Status(302), false, false),
            (Failure::Status(404), false, false),
            (Failure::Status(429), false, false),
            (Failure::Status(500), false, true),
            (Failure::Status(501), false, true),
            (Failure::Status(502), true, true),
            (Failure::Status(503), true, true),
            (Failure::Status(504), true, true),
            (Failure::Status(505), false, true),
        ] {
            assert_eq!((failure.is_passing(), failure.is_fault()), (is_passing, is_fault), "{failure:?}");
        }
    }
}
