//! How deep brackets stand within each other in a schema. Everybody who reads one recurses, and a stack that overflows ends the
//! process: so this reads comments and strings as a lexer does, and there is nothing for brackets to hide in.

/// How deep brackets stand within each other, in the text or in a string of it: a string may be a set of fields.
pub fn depth(text: &str) -> usize {
    let (own, strings) = scan(text);
    strings.iter().map(|string| scan(string).0).fold(own, usize::max)
}

/// The depth outside of strings, and the strings.
fn scan(text: &str) -> (usize, Vec<String>) {
    let (mut deepest, mut depth, mut strings) = (0, 0_usize, Vec::new());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match next {
            '#' => {
                rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..];
                continue;
            }
            '"' => {
                let (string, after) = match rest.strip_prefix("\"\"\"") {
                    Some(block) => block_string(block),
                    None => string(&rest[1..]),
                };
                strings.push(string);
                rest = after;
                continue;
            }
            '(' | '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        rest = &rest[next.len_utf8()..];
    }
    (deepest, strings)
}

/// What a string says that begins here, and what is behind it. It ends with its line.
fn string(text: &str) -> (String, &str) {
    let (mut said, mut chars) = (String::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (said, &text[at + 1..]),
            '\n' | '\r' => return (said, &text[at..]),
            '\\' => match chars.next() {
                Some((at, 'u')) => {
                    // A bracket may be written so too.
                    let code = text.get(at + 1..at + 5).and_then(|code| u32::from_str_radix(code, 16).ok());
                    said.extend(code.and_then(char::from_u32));
                    if code.is_some() {
                        chars.nth(3);
                    }
                }
                Some((_, 'n' | 'r')) => said.push('\n'),
                Some((_, escaped)) => said.push(escaped),
                None => {}
            },
            char => said.push(char),
        }
    }
    (said, "")
}

fn block_string(text: &str) -> (String, &str) {
    let mut from = 0;
    while let Some(found) = text[from..].find("\"\"\"") {
        let at = from + found;
        if !text[..at].ends_with('\\') {
            return (text[..at].replace("\\\"\"\"", "\"\"\""), &text[at + 3..]);
        }
        from = at + 3;
    }
    (text.to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::super::testing::refused;
    use super::depth;

    #[test]
    fn brackets_are_counted_wherever_they_count() {
        for (text, deep) in [
            ("type A { a(b: [Int] = [1]): Int }", 3),
            ("# {{{\n{ # }\n{ # }\r{", 3),
            ("\"{ {\" { }", 2),
            ("{ \"}\" { \"\\\"}\" { \"\\\\\" { } } } }", 4),
            ("\"\"\" {{ \\\"\"\" \"\"\" { { { }", 3),
            ("\"\" { \"\"\"\"\"\" { \"\" } }", 2),
            // As escapes, and behind comments of the string's own.
            ("\"\\u007b\\u007B\\u0028\"", 3),
            ("\"\"\"{ #}\n{ #}\n{\"\"\"", 3),
            ("\"{ #}\\n{ #}\\n{\"", 3),
            // What does not end.
            ("\"{\n{{", 2),
            ("\"\"\"{ {", 2),
            ("\"\\", 0),
            ("\"\\u00", 0),
        ] {
            assert_eq!(depth(text), deep, "{text}");
        }
    }

    /// Deeper than any stack: it is refused before anybody reads it, and the process goes on.
    #[test]
    fn a_deep_schema_is_refused_wherever_its_brackets_hide() {
        let (open, close) = ("[\n#\"\"\n".repeat(100_000), "]".repeat(100_000));
        let values = format!("scalar J type Query {{ a(x: J = #\"\n{open}{close}): Int }}");
        let fields = "a \\u007b ".repeat(100_000) + &"}".repeat(100_000);
        let keys = format!("type Query {{ a: A }} type A @key(fields: \"{fields}\") {{ a: A }}");
        for sdl in [values, keys] {
            let lines = refused(&[("one", &sdl)]);
            assert_eq!(lines, ["one: its schema has brackets more than 500 levels deep"]);
        }
    }
}
