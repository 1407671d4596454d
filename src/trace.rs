//! Trace context (W3C Recommendation "Trace Context", level 1): the trace of a client's request goes on into the calls
//! that it causes.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 32 digits in hexadecimal, not all of them zero.
    id: String,
    /// Two digits: whether whoever began it records it.
    flags: String,
    state: Option<HeaderValue>,
}

impl Trace {
    /// The trace that a client has begun, or a new one with the given number.
    pub fn of(headers: &HeaderMap, fresh: u128) -> Self {
        let begun = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(Self::parse);
        match begun {
            Some((id, flags)) => Self { id, flags, state: headers.get(TRACESTATE).cloned() },
            None => Self { id: format!("{:032x}", fresh.max(1)), flags: "00".to_owned(), state: None },
        }
    }

    /// `00-<trace id>-<parent id>-<flags>`; later versions may add something behind.
    fn parse(text: &str) -> Option<(String, String)> {
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        let mut parts = text.trim().split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = version != "00" || parts.next().is_none();
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(id, 32)
            && !is_zero(id)
            && is_hex(parent, 16)
            && !is_zero(parent)
            && is_hex(flags, 2);
        (is_whole && is_valid).then(|| (id.to_owned(), flags.to_owned()))
    }

    /// Adds what tells of the trace to a call, which is a span of its own with the given number.
    pub fn write(&self, span: u64, headers: &mut HeaderMap) {
        let text = format!("00-{}-{:016x}-{}", self.id, span.max(1), self.flags);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(traceparent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        headers
    }

    #[test]
    fn a_trace_goes_on() {
        let begun = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut call = HeaderMap::new();
        Trace::of(&begun, 7).write(0xabc, &mut call);
        assert_eq!(call[TRACEPARENT], "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01");
        assert_eq!(call[TRACESTATE], "vendor=1");
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let mut call = HeaderMap::new();
            Trace::of(&headers(bad), 7).write(1, &mut call);
            assert_eq!(call[TRACEPARENT], "00-00000000000000000000000000000007-0000000000000001-00", "{bad}");
            assert!(!call.contains_key(TRACESTATE), "{bad}");
        }
    }
}
