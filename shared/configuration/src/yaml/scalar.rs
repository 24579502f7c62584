/// What yaml.v2 makes of an untyped plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Integer(i64),
    /// Beyond `i64`, within `u64`.
    Unsigned(u64),
    Float(f64),
    Text,
}

/// A scalar keeps its text beside its meaning: into a string, Go reads the text (`0123` stays `0123`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) resolved: Resolved,
}

impl Scalar {
    /// A plain scalar: YAML 1.1 decides what it is.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            resolved: resolve(&text),
            text,
        }
    }

    /// A quoted or block scalar, or one tagged `!!str`: text whatever it looks like.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            resolved: Resolved::Text,
        }
    }

    pub(crate) fn null() -> Self {
        Self::plain("")
    }
}

/// The rules of yaml.v2's `resolve`: YAML 1.1 without sexagesimal numbers, with Go's integer prefixes and underscores.
fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Resolved::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or(Resolved::Text),
    }
}

fn number(text: &str) -> Option<Resolved> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Resolved> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (radix, digits) = split_radix(digits);
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = 0_i64.checked_sub_unsigned(magnitude)?;
        return Some(Resolved::Integer(value));
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Resolved::Integer(value)),
        Err(_) if text.starts_with('+') => None,
        Err(_) => Some(Resolved::Unsigned(magnitude)),
    }
}

fn split_radix(digits: &str) -> (u32, &str) {
    let lower = digits.to_ascii_lowercase();
    match lower.as_bytes() {
        [b'0', b'x', _, ..] => (16, &digits[2..]),
        [b'0', b'b', _, ..] => (2, &digits[2..]),
        [b'0', b'o', _, ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn float(text: &str) -> Option<Resolved> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_well = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let only_number = unsigned
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !starts_well || !only_number {
        return None;
    }
    text.parse().ok().map(Resolved::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_v2_says() {
        let table = [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("Null", Resolved::Null),
            ("nULL", Resolved::Text),
            ("y", Resolved::Bool(true)),
            ("yes", Resolved::Bool(true)),
            ("On", Resolved::Bool(true)),
            ("TRUE", Resolved::Bool(true)),
            ("tRue", Resolved::Text),
            ("N", Resolved::Bool(false)),
            ("off", Resolved::Bool(false)),
            ("No", Resolved::Bool(false)),
            ("1", Resolved::Integer(1)),
            ("-1", Resolved::Integer(-1)),
            ("+12", Resolved::Integer(12)),
            ("--1", Resolved::Text),
            ("+-1", Resolved::Text),
            ("0", Resolved::Integer(0)),
            ("0644", Resolved::Integer(420)),
            ("0o644", Resolved::Integer(420)),
            ("-0644", Resolved::Integer(-420)),
            ("0x10", Resolved::Integer(16)),
            ("0X1f", Resolved::Integer(31)),
            ("0b101", Resolved::Integer(5)),
            ("0x", Resolved::Text),
            ("1_000", Resolved::Integer(1000)),
            ("08", Resolved::Float(8.0)),
            ("9223372036854775807", Resolved::Integer(i64::MAX)),
            ("-9223372036854775808", Resolved::Integer(i64::MIN)),
            ("9223372036854775808", Resolved::Unsigned(1 << 63)),
            (
                "18446744073709551616",
                Resolved::Float(18_446_744_073_709_551_616.0),
            ),
            ("1.5", Resolved::Float(1.5)),
            ("1.", Resolved::Float(1.0)),
            (".5", Resolved::Float(0.5)),
            ("1e5", Resolved::Float(100_000.0)),
            ("1e", Resolved::Text),
            (".", Resolved::Text),
            ("1:30", Resolved::Text),
            ("0.1", Resolved::Float(0.1)),
            ("10ms", Resolved::Text),
            ("127.0.0.1", Resolved::Text),
            ("infinity", Resolved::Text),
            ("-.inf", Resolved::Float(f64::NEG_INFINITY)),
            ("2001-01-01", Resolved::Text),
            ("<<", Resolved::Text),
        ];
        for (text, expected) in table {
            assert_eq!(Scalar::plain(text).resolved, expected, "{text:?}");
        }
        assert!(matches!(Scalar::plain(".NaN").resolved, Resolved::Float(f) if f.is_nan()));
    }
}
