//! Escapes in the strings of an answer. The reader passes four bytes over behind `\u`, whatever they are: a quote among them, and it
//! takes what is in strings for what is not, and clients would get what is no JSON.

use axum::body::Bytes;

/// What stands for a character that is none, as an escape: as long as that of half a character.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// The same JSON text if all its escapes are good (RFC 8259, section 7); `None` if one is none. Backslashes that are in no string
/// the reader refuses.
///
/// Half of a surrogate pair, which comes of cutting a text in the middle of a character, is replaced: many a client could not read the
/// whole answer for it.
pub fn sound(json: Bytes) -> Option<Bytes> {
    let (mut at, mut halves) = (0, Vec::new());
    while let Some(next) = memchr::memchr(b'\\', &json[at..]) {
        at += next;
        let escape = &json[at..];
        at += match escape.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => match (unit(escape)?, escape.get(6..).and_then(unit)) {
                (0xD800..0xDC00, Some(0xDC00..0xE000)) => 12,
                (0xD800..0xE000, _) => {
                    halves.push(at);
                    6
                }
                _ => 6,
            },
            _ => return None,
        };
    }
    if halves.is_empty() {
        return Some(json);
    }
    let mut mended = Vec::from(json);
    for half in halves {
        mended[half..half + REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
    }
    Some(mended.into())
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

    fn sound_of(json: &'static str) -> Option<String> {
        sound(json.into()).map(|sound| String::from_utf8(sound.into()).unwrap())
    }

    #[test]
    fn an_escape_is_one_that_there_is() {
        for good in
            [r#""\"\\\/\b\f\n\r\t""#, r#""\u00e9\uD83D\uDE00""#, r#""\\u""#, r#""\\\u0041\\""#, "[]", ""]
        {
            assert_eq!(sound_of(good).as_deref(), Some(good));
        }
        for bad in [
            r#""\u"aaa""#,
            r#""\u00g0""#,
            r#""\u00""#,
            r#""\q""#,
            r#""\\\"#,
            r#""\u+123""#,
            "\"\\",
            "\"\\\u{e9}\"",
        ] {
            assert_eq!(sound_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn half_a_character_is_replaced() {
        for (cut, whole) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\uDE00\uD83D""#, r#""\ufffd\ufffd""#),
            (r#""\uD83D\u0041""#, r#""\ufffd\u0041""#),
            (r#""\uD83D\uD83D\uDE00\uDE00""#, r#""\ufffd\uD83D\uDE00\ufffd""#),
            (r#""\\uD83D\uD83D\\""#, r#""\\uD83D\ufffd\\""#),
        ] {
            assert_eq!(sound_of(cut).as_deref(), Some(whole), "{cut}");
        }
    }
}
