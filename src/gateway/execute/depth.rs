//! How deep an answer of a subgraph is nested, found out without recursion: whoever reads it or passes it over recurses.

/// Levels of objects and lists. A stack of 2 MiB has room for some ten thousand, and nobody's answer has so many.
const DEEPEST: usize = 1000;

/// Whether JSON has no more levels than that.
pub fn is_shallow(json: &[u8]) -> bool {
    // Most answers do not begin so many objects and lists, and to count is far quicker than to look where they end.
    begun(json) <= DEEPEST || levels_fit(json)
}

/// How many objects and lists begin, at most: in strings as well.
fn begun(json: &[u8]) -> usize {
    // In pieces, each of which a byte can count, so that many bytes are looked at at once.
    let counts = json.chunks(u8::MAX.into()).map(|piece| {
        let begins = |byte: &u8| u8::from(*byte == b'{' || *byte == b'[');
        usize::from(piece.iter().map(begins).sum::<u8>())
    });
    counts.sum()
}

fn levels_fit(json: &[u8]) -> bool {
    let (mut level, mut rest) = (0_usize, json);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'{' | b'[' if level == DEEPEST => return false,
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            b'"' => rest = behind_string(rest),
            _ => {}
        }
    }
    true
}

/// What comes behind a string that has begun.
fn behind_string(mut json: &[u8]) -> &[u8] {
    while let Some(end) = memchr::memchr2(b'"', b'\\', json) {
        let is_end = json[end] == b'"';
        // What is escaped is passed over.
        json = json.get(end + if is_end { 1 } else { 2 }..).unwrap_or_default();
        if is_end {
            return json;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels count, however many objects there are beside each other, and nothing in a string does.
    #[test]
    fn levels_are_counted_and_nothing_else() {
        let nested =
            |open: &str, close: &str, count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
        for (open, close, levels) in
            [("[", "]", 1), ("{\"a\":", "}", 1), ("[{\"a\":", "}]", 2), (" [\n", "],2", 1)]
        {
            for (count, fits) in [(DEEPEST / levels, true), (DEEPEST / levels + 1, false), (1_000_000, false)]
            {
                assert_eq!(is_shallow(nested(open, close, count).as_bytes()), fits, "{count} of {open}");
            }
        }
        for flat in [
            format!("[{}{{}}]", "{\"a\":[]},".repeat(10_000)),
            format!("[\"{}\"]", "[{".repeat(10_000)),
            format!("[\"\\\"{}\\\\\", 1]", "[{".repeat(10_000)),
            format!("{}{}", "[\"]]\", ".repeat(DEEPEST), "]".repeat(DEEPEST)),
            "\"".to_owned() + &"[".repeat(10_000),
            "\"\\".to_owned(),
        ] {
            assert!(is_shallow(flat.as_bytes()), "{}", &flat[..20.min(flat.len())]);
        }
        // A string that hides what ends, and one that seems to go on.
        for deep in ["[\"]\",", "[\"\\\\\",\"]\\\"\","] {
            assert!(!is_shallow(deep.repeat(DEEPEST + 1).as_bytes()), "{deep}");
        }
    }
}
