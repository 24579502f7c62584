use std::time::Duration;

/// Go's `time.Duration`: signed nanoseconds in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration {
    nanoseconds: i64,
}

/// The text is no Go duration; the message is Go's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDuration {
    #[error("invalid duration {0:?}")]
    Invalid(String),
    #[error("missing unit in duration {0:?}")]
    MissingUnit(String),
    #[error("unknown unit {unit:?} in duration {text:?}")]
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
