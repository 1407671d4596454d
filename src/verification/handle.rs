//! The handle that a person typed.

use crate::error::{AccountsErrorCode, UserError};

const MAX_LENGTH: usize = 254;

/// A phone number (E.164) or a platform's handle, without the blanks and dashes that people type.
#[derive(Clone, PartialEq, Eq)]
pub struct Handle(String);

impl Handle {
    /// Takes what could be a handle at some platform; whether it is one, only the platform knows.
    pub fn parse(typed: &str, path: &[&str]) -> Result<Self, UserError> {
        let trimmed = typed.trim();
        if trimmed.len() > MAX_LENGTH {
            let message = format!("A handle has at most {MAX_LENGTH} characters.");
            return Err(UserError::new(AccountsErrorCode::TooLong, message, path));
        }
        if trimmed.is_empty() || trimmed.chars().any(|c| c.is_control() || c.is_whitespace() && c != ' ') {
            let message = "Give a phone number with its country code, such as +49 171 3920042, or a handle.";
            return Err(UserError::new(AccountsErrorCode::Invalid, message, path));
        }
        if !trimmed.starts_with('+') {
            return Ok(Self(trimmed.to_owned()));
        }
        let digits: String =
            trimmed[1..].chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/' | '(' | ')')).collect();
        // E.164: up to 15 digits, the country code first, which never begins with 0.
        let is_number = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if is_number {
            return Ok(Self(format!("+{digits}")));
        }
        let message = "A phone number is + and 7 to 15 digits, its country code first: +49 171 3920042.";
        Err(UserError::new(AccountsErrorCode::Invalid, message, path))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a handle is counted under: one for all the spellings by which a platform may find the same person. Some different
/// handles share one, which costs them no more than sharing what they are counted for; what is sent stays as it was typed.
pub(super) fn counted(handle: &str) -> String {
    let is_filling = |c: char| {
        matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '.' | '/' | '(' | ')' | '[' | ']')
            || c.is_whitespace()
    };
    let bare: String = handle.chars().filter(|c| !is_filling(*c)).flat_map(char::to_lowercase).collect();
    match bare.strip_prefix("00") {
        Some(number) => format!("+{number}"),
        None => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_blanks_and_the_rest_is_checked() {
        let parse =
            |typed: &str| Handle::parse(typed, &[]).map(|handle| handle.0).map_err(|error| error.code);
        assert_eq!(parse(" +49 (171) 392-0042 "), Ok("+491713920042".into()));
        assert_eq!(parse("ada.lovelace"), Ok("ada.lovelace".into()));
        for bad in ["", "  ", "+", "+49", "+49x1713920042", "+0491713920042", "+4917139200421234567", "a\nb"]
        {
            assert_eq!(parse(bad), Err(AccountsErrorCode::Invalid), "{bad:?}");
        }
        assert_eq!(parse(&"a".repeat(255)), Err(AccountsErrorCode::TooLong));
    }

    #[test]
    fn all_spellings_are_counted_as_one() {
        for typed in [
            "+491713920042",
            "0049 171 3920042",
            "0049-171.392/0042",
            "(0049) [171] 3920042",
            "00 49\u{a0}171\u{2011}3920042",
        ] {
            assert_eq!(counted(typed), "+491713920042", "{typed:?}");
        }
        assert_eq!(counted("Ada.Lovelace"), counted("ada-lovelace"));
        assert_ne!(counted("ada_lovelace"), counted("grace_hopper"));
        assert_ne!(counted("+491713920042"), counted("+491713920043"));
    }
}
