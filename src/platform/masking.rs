//! What is shown of a handle.

/// What anybody but the platform gets to see: a phone number keeps its country's first digits and its last
/// two (`+49 ··· ·· 42`), an e-mail address its first letter and its domain (`a···@example.com`), any other
/// handle is public and stays.
///
/// What has seven digits and more of them than letters counts as a phone number, however it is written and whatever stands
/// beside it.
pub fn mask_handle(handle: &str) -> String {
    let digits: Vec<char> = handle.chars().filter(|c| c.is_numeric()).collect();
    let letters = handle.chars().filter(|c| c.is_alphabetic()).count();
    if digits.len() >= 7 && digits.len() > letters || digits.len() >= 5 && letters == 0 {
        let plus = if handle.contains('+') { "+" } else { "" };
        let (first, last) = (&digits[..2], &digits[digits.len() - 2..]);
        return format!("{plus}{} ··· ·· {}", String::from_iter(first), String::from_iter(last));
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
        assert_eq!(mask_handle("tel:+4917139200042"), "+49 ··· ·· 42");
        assert_eq!(mask_handle("phone:+4917139200042"), "+49 ··· ·· 42");
        assert_eq!(mask_handle("Anna +49 171 39200042"), "+49 ··· ·· 42");
        assert_eq!(mask_handle("ada_lovelace_1815"), "ada_lovelace_1815");
        assert_eq!(mask_handle("49_171_39200042"), "49 ··· ·· 42");
        assert_eq!(mask_handle("+49\u{a0}171\u{a0}39200042"), "+49 ··· ·· 42");
        assert_eq!(mask_handle("ada@example.com"), "a···@example.com");
        assert_eq!(mask_handle("ada.lovelace"), "ada.lovelace");
        assert_eq!(mask_handle("@ada"), "@ada");
        assert_eq!(mask_handle(""), "");
        assert_eq!(mask_handle("1234"), "1234");
    }
}
