//! Quoting as Go does it, so that no text can leave its field or its line.

use std::fmt::Write;

/// Appends `text` as the inside of a Go string literal.
///
/// What remains is printable and has no line break, so that a line stays one line.
pub(crate) fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            other => escape_other(out, other),
        }
    }
}

fn escape_other(out: &mut String, character: char) {
    let code = u32::from(character);
    let short = match code {
        0x07 => "\\a",
        0x08 => "\\b",
        0x09 => "\\t",
        0x0a => "\\n",
        0x0b => "\\v",
        0x0c => "\\f",
        0x0d => "\\r",
        _ => "",
    };
    // Writing to a string does not fail.
    let _ = if !short.is_empty() {
        out.write_str(short)
    } else if character.is_ascii() {
        write!(out, "\\x{code:02x}")
    } else if is_printable(character) {
        out.write_char(character)
    } else if code < 0x1_0000 {
        write!(out, "\\u{code:04x}")
    } else {
        write!(out, "\\U{code:08x}")
    };
}

/// Whether Rust would show the character itself; Go agrees but for combining marks.
fn is_printable(character: char) -> bool {
    character.escape_debug().len() == 1
}

/// Appends `text`, quoted where logrus quotes.
pub(super) fn value(out: &mut String, text: &str) {
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    out.push('"');
    escape(out, text);
    out.push('"');
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_logrus_quotes_them() {
        let table = [
            ("", ""),
            ("curl/7.88.1", "curl/7.88.1"),
            ("a-b.c_d/e@f^g+h", "a-b.c_d/e@f^g+h"),
            ("127.0.0.1:5000", r#""127.0.0.1:5000""#),
            ("two words", r#""two words""#),
            ("a=b", r#""a=b""#),
            ("say \"hi\"\\", r#""say \"hi\"\\""#),
            ("a\r\nlevel=error", r#""a\r\nlevel=error""#),
            ("\x1b[31m\x07\x7f", r#""\x1b[31m\a\x7f""#),
            ("größe", r#""größe""#),
            ("\u{85}\u{2028}\u{202e}", r#""\u0085\u2028\u202e""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ];
        for (text, shown) in table {
            let mut out = String::new();
            value(&mut out, text);
            assert_eq!(out, shown, "{text:?}");
        }
    }
}
