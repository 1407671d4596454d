//! What is shown of a handle.

/// What anybody but the platform gets to see: a phone number keeps its country's first digits and its last
/// two (`+49 ··· ·· 42`), an e-mail address its first letter and its domain (`a···@example.com`), any other
/// handle is public and stays.
pub fn mask_handle(handle: &str) -> String {
    let digits: String = handle.chars().filter(char::is_ascii_digit).collect();
    let looks_like_phone = digits.len() >= 5
        && handle.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.' | '/'));
    if looks_like_phone {
        let plus = if handle.trim_start().starts_with('+') { "+" } else { "" };
        return format!("{plus}{} ··· ·· {}", &digits[..2], &digits[digits.len() - 2..]);
    }
    if let Some((name, domain)) = handle.rsplit_once('@')
        && let Some(first) = name.chars().next()
    {
        return format!("{first}···@{domain}");
    }
    handle.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_and_addresses_are_masked() {
        assert_eq!(mask_handle("+4917139200042"), "+49 ··· ·· 42");
        assert_eq!(mask_handle("+1 (555) 010-0199"), "+15 ··· ·· 99");
        assert_eq!(mask_handle("017139200042"), "01 ··· ·· 42");
        assert_eq!(mask_handle("ada@example.com"), "a···@example.com");
        assert_eq!(mask_handle("ada.lovelace"), "ada.lovelace");
        assert_eq!(mask_handle("@ada"), "@ada");
        assert_eq!(mask_handle(""), "");
        assert_eq!(mask_handle("1234"), "1234");
    }
}
