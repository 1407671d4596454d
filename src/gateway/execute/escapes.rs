//! Escapes in the strings of an answer. The reader passes four bytes over behind `\u`, whatever they are: a quote among them, and it
//! takes what is in strings for what is not, and clients would get what is no JSON.

/// Whether all escapes of a JSON text are good (RFC 8259, section 7), and none is half a character, which many a client cannot
/// read. Backslashes that are in no string the reader refuses.
pub fn are_sound(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = &rest[at..];
        let length = match escape.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match (unit(escape), escape.get(6..).and_then(unit)) {
                (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
                (None | Some(0xD800..0xE000), _) => return false,
                (Some(_), _) => 6,
            },
            _ => return false,
        };
        rest = &escape[length..];
    }
    true
}

/// The UTF-16 code unit of a `\u` escape that a text begins with.
fn unit(json: &[u8]) -> Option<u16> {
    let code = json.strip_prefix(b"\\u")?.get(..4)?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    code.iter().try_fold(0, |code, byte| Some(code << 4 | digit(byte)?)).and_then(|code| code.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_one_that_there_is() {
        for good in
            [r#""\"\\\/\b\f\n\r\t""#, r#""\u00e9\uD83D\uDE00""#, r#""\\u""#, r#""\\\u0041\\""#, "[]", ""]
        {
            assert!(are_sound(good.as_bytes()), "{good}");
        }
        for bad in [
            r#""\u"aaa""#,
            r#""\u00g0""#,
            r#""\u00""#,
            r#""\q""#,
            r#""\\\"#,
            r#""\u+123""#,
            r#""\uD83D""#,
            r#""\uDE00\uD83D""#,
            r#""\uD83D\u0041""#,
            "\"\\",
            "\"\\\u{e9}\"",
        ] {
            assert!(!are_sound(bad.as_bytes()), "{bad}");
        }
    }
}
