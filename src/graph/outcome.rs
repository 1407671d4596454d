//! The boundary where errors get their codes, and lose what is nobody's business.

use async_graphql::{Response, ServerError, Value};

use crate::error::{Code, Error};

/// How an operation ended, for the status of an HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed, perhaps with errors in places.
    Executed,
    /// It was not executed: it cannot be parsed, or is not valid.
    Refused,
    /// It was not executed: it came by GET and needs POST.
    NotByGet,
    /// It was not executed: there is more to plan than can be planned now.
    Overloaded,
}

/// Gives every error of `response` its code. What is no error of ours and came out of a resolver is logged
/// and masked: it could quote a row or a statement.
pub fn settle(response: &mut Response) -> Outcome {
    let mut outcome = Outcome::Executed;
    for error in &mut response.errors {
        if error.path.is_empty() && error.source.is_none() {
            outcome = Outcome::Refused;
        }
        settle_error(error);
    }
    outcome
}

/// A response that consists of one error, of an operation that was not executed.
pub fn refuse(error: &Error) -> Response {
    error.log();
    let mut refusal = ServerError::new(error.to_string(), None);
    set_extensions(&mut refusal, error);
    Response::from_errors(vec![refusal])
}

fn settle_error(error: &mut ServerError) {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return;
    }
    if let Some(ours) = error.source::<Error>() {
        ours.log();
        let ours = ours.clone();
        set_extensions(error, &ours);
    } else if error.source.is_some() {
        tracing::error!(cause = error.message, "an error that is not of our type left a resolver");
        error.message = Error::internal(anyhow::anyhow!("masked")).to_string();
        set_code(error, Code::Internal);
    } else if error.path.is_empty() {
        let code =
            if is_too_complex(&error.message) { Code::QueryTooComplex } else { Code::ValidationFailed };
        set_code(error, code);
    } else {
        // The library's own: an argument or a variable that does not fit its type.
        set_code(error, Code::BadUserInput);
    }
}

/// The library has no code for its limits, only these words; a test pins them.
fn is_too_complex(message: &str) -> bool {
    ["too complex", "nested too deep", "too deep", "cannot be greater than"]
        .iter()
        .any(|words| message.contains(words))
}

fn set_extensions(error: &mut ServerError, ours: &Error) {
    set_code(error, ours.code());
    if let Error::RateLimited { retry_after } = ours {
        error.extensions.get_or_insert_default().set("retryAfter", Value::from(*retry_after));
    }
}

fn set_code(error: &mut ServerError, code: Code) {
    error.extensions.get_or_insert_default().set("code", Value::from(code.as_str()));
}
