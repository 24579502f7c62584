use std::time::Duration;

/// Go's `time.Duration`: signed nanoseconds in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration {
    nanoseconds: i64,
}

/// The text is no Go duration; the message is Go's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDuration {
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit { unit: String, text: String },
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, micro sign
    ("μs", 1_000), // U+03BC, Greek letter mu
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    pub(crate) const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self { nanoseconds }
    }

    /// Reads `[-+]?([0-9]*(\.[0-9]*)?[a-z]+)+` exactly as Go's `time.ParseDuration`, including what it refuses.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration::Invalid(text.to_owned());
        let (negative, unsigned) = split_sign(text);
        if unsigned == "0" {
            return Ok(Self::from_nanoseconds(0));
        }
        let magnitude = magnitude(unsigned, text)?;
        match (negative, i64::try_from(magnitude)) {
            (false, Ok(nanoseconds)) => Ok(Self { nanoseconds }),
            (true, Ok(nanoseconds)) => Ok(Self {
                nanoseconds: -nanoseconds,
            }),
            (true, Err(_)) => Ok(Self {
                nanoseconds: i64::MIN,
            }),
            (false, Err(_)) => Err(invalid()),
        }
    }

    pub(crate) fn is_positive(self) -> bool {
        self.nanoseconds > 0
    }

    pub(crate) fn is_negative(self) -> bool {
        self.nanoseconds < 0
    }

    /// The length; zero for what is negative.
    pub(crate) fn unsigned(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

/// `168h`, `1h30m`, `1.5s`: the largest units that give whole numbers, as a Go duration that reads back the same.
pub(crate) fn display(duration: Duration) -> String {
    let total = duration.as_nanos();
    if total == 0 {
        return "0s".to_owned();
    }
    let mut rest = total;
    let mut text = String::new();
    for (unit, size) in UNITS.iter().rev().filter(|(unit, _)| unit.is_ascii()) {
        let count = rest / u128::from(*size);
        rest %= u128::from(*size);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// As Go's `time` quotes: what is not printable ASCII, byte by byte.
fn quote(text: &str) -> String {
    let escaped: String = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// The sum of all terms in nanoseconds, at most 2^63.
fn magnitude(mut rest: &str, text: &str) -> Result<u64, InvalidDuration> {
    let invalid = || InvalidDuration::Invalid(text.to_owned());
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = term(rest, text)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|total| *total <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    Ok(total)
}

/// One number and its unit.
fn term<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), InvalidDuration> {
    let invalid = || InvalidDuration::Invalid(text.to_owned());
    let (integer, after) = split_digits(rest);
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("", after),
    };
    if integer.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = after
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(after.len());
    let (unit, after) = after.split_at(end);
    if unit.is_empty() {
        return Err(InvalidDuration::MissingUnit(text.to_owned()));
    }
    let size = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, size)| *size);
    let size = size.ok_or_else(|| InvalidDuration::UnknownUnit {
        unit: unit.to_owned(),
        text: text.to_owned(),
    })?;
    let whole = leading_integer(integer)
        .and_then(|count| count.checked_mul(size))
        .ok_or_else(invalid)?;
    let total = whole
        .checked_add(fraction_of(fraction, size))
        .filter(|total| *total <= 1 << 63);
    Ok((total.ok_or_else(invalid)?, after))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn leading_integer(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse().ok().filter(|count: &u64| *count <= 1 << 63)
}

/// The nanoseconds of the digits after the point; digits beyond 63 bits of precision are dropped, as in Go.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "Go computes the fraction in float64; the result is below the unit's size"
)]
fn fraction_of(digits: &str, size: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale: f64 = 1.0;
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        let next = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit));
        let Some(next) = next.filter(|next| *next <= i64::MAX as u64) else {
            break;
        };
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (size as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_they_are_in_go() {
        const SECOND: i64 = 1_000_000_000;
        const MINUTE: i64 = 60 * SECOND;
        const HOUR: i64 = 60 * MINUTE;
        let table = [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5 * SECOND),
            ("30s", 30 * SECOND),
            ("1478s", 1478 * SECOND),
            ("-5s", -5 * SECOND),
            ("+5s", 5 * SECOND),
            ("5.0s", 5 * SECOND),
            ("5.6s", 5_600_000_000),
            ("5.s", 5 * SECOND),
            ("1.s", SECOND),
            (".5s", SECOND / 2),
            ("1.0040s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("13ms", 13_000_000),
            ("15m", 15 * MINUTE),
            ("16h", 16 * HOUR),
            ("168h", 168 * HOUR),
            ("1h30m", HOUR + 30 * MINUTE),
            ("3h30m", 3 * HOUR + 30 * MINUTE),
            ("10.5s4m", 4 * MINUTE + 10_500_000_000),
            ("-2m3.4s", -(2 * MINUTE + 3_400_000_000)),
            ("1m1m", 2 * MINUTE),
            (
                "1h2m3s4ms5us6ns",
                HOUR + 2 * MINUTE + 3 * SECOND + 4_005_006,
            ),
            ("39h9m14.425s", 39 * HOUR + 9 * MINUTE + 14_425_000_000),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 20 * MINUTE),
            ("0.100000000000000000000h", 6 * MINUTE),
            ("0.830103483285477580700h", 49 * MINUTE + 48_372_539_827),
            ("0.9223372036854775807h", 55 * MINUTE + 20_413_933_267),
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("9223372036s854ms775us807ns", i64::MAX),
            ("-9223372036854775807ns", -i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-9223372036854775.808us", i64::MIN),
            ("-9223372036s854ms775us808ns", i64::MIN),
            ("-2562047h47m16.854775808s", i64::MIN),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(
                GoDuration::parse(text),
                Ok(GoDuration::from_nanoseconds(nanoseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_go_refuses_is_refused_in_gos_words() {
        let table = [
            ("", r#"time: invalid duration """#),
            ("3", r#"time: missing unit in duration "3""#),
            ("-", r#"time: invalid duration "-""#),
            ("s", r#"time: invalid duration "s""#),
            (".", r#"time: invalid duration ".""#),
            ("-.", r#"time: invalid duration "-.""#),
            (".s", r#"time: invalid duration ".s""#),
            ("+.s", r#"time: invalid duration "+.s""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1h 30m", r#"time: unknown unit "h " in duration "1h 30m""#),
            ("--1s", r#"time: invalid duration "--1s""#),
            (" 1s", r#"time: invalid duration " 1s""#),
            (
                "\u{85}\u{85}",
                r#"time: invalid duration "\xc2\x85\xc2\x85""#,
            ),
            (
                "1µ",
                r#"time: unknown unit "\xc2\xb5" in duration "1\xc2\xb5""#,
            ),
            ("1\"s", r#"time: unknown unit "\"s" in duration "1\"s""#),
            (
                "9223372036854775810ns",
                r#"time: invalid duration "9223372036854775810ns""#,
            ),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            (
                "-9223372036854775809ns",
                r#"time: invalid duration "-9223372036854775809ns""#,
            ),
            (
                "9223372036854776us",
                r#"time: invalid duration "9223372036854776us""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            (
                "9223372036854775.808us",
                r#"time: invalid duration "9223372036854775.808us""#,
            ),
            (
                "9223372036854ms775us808ns",
                r#"time: invalid duration "9223372036854ms775us808ns""#,
            ),
        ];
        for (text, message) in table {
            assert_eq!(
                GoDuration::parse(text).map_err(|error| error.to_string()),
                Err(message.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_units() {
        let table = [
            ("0", "0s"),
            ("168h", "168h"),
            ("90m", "1h30m"),
            ("1500ms", "1s500ms"),
            ("1µs", "1us"),
            ("7ns", "7ns"),
        ];
        for (text, shown) in table {
            assert_eq!(
                display(GoDuration::parse(text).unwrap().unsigned()),
                shown,
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}|[-+]?[0-9.]{0,24}[nuµμmsh]{0,3}[0-9.]{0,20}[nuµμmsh]{0,3}") {
            let _ = GoDuration::parse(&text);
        }

        #[test]
        fn what_is_shown_reads_back_the_same(nanoseconds in 0..=i64::MAX) {
            let duration = GoDuration::from_nanoseconds(nanoseconds);
            proptest::prop_assert_eq!(GoDuration::parse(&display(duration.unsigned())), Ok(duration));
        }
    }
}
