//! What the reader's errors may say: where, and what would be right, but never what was given.

/// Which file does not parse and where, without the line itself: it could be that of a secret.
pub(super) fn unreadable(error: &config::ConfigError) -> anyhow::Error {
    let config::ConfigError::FileParse { uri, cause } = error else {
        return anyhow::anyhow!("configuration: {}", without_value(error));
    };
    let cause = cause.to_string();
    let place = cause.lines().next().unwrap_or_default();
    anyhow::anyhow!("configuration: {}: {place}", uri.as_deref().unwrap_or("a file"))
}

/// What would be right, without what was given: it could be a secret that stands a level too high.
pub(super) fn without_value(error: &config::ConfigError) -> String {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((given, expected)) if given.starts_with("invalid") => {
            let expected = expected.split(" for key").next().unwrap_or(expected);
            format!("it must be {}", expected.replace("struct ", "a section: "))
        }
        _ => text,
    }
}
