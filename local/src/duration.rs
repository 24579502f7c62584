//! Durations as Go prints them, because the lines of CNCF Distribution hold such.

use std::fmt;
use std::time::Duration;

/// Prints as Go's `Duration.String`: `1m0.5s`, `1.697082ms`, `12.3µs`, `420ns`.
pub(crate) struct Go(pub(crate) Duration);

impl fmt::Display for Go {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", Decimal(nanos, 3)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", Decimal(nanos, 6)),
            _ => clock(f, nanos),
        }
    }
}

fn clock(f: &mut fmt::Formatter<'_>, nanos: u128) -> fmt::Result {
    const MINUTE: u128 = 60_000_000_000;
    let minutes = nanos / MINUTE;
    match (minutes / 60, minutes % 60) {
        (0, 0) => {}
        (0, minutes) => write!(f, "{minutes}m")?,
        (hours, minutes) => write!(f, "{hours}h{minutes}m")?,
    }
    write!(f, "{}s", Decimal(nanos % MINUTE, 9))
}

/// A number with so many decimal places, without the zeroes at its end.
struct Decimal(u128, usize);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, places) = *self;
        let unit = 10_u128.pow(places as u32);
        write!(f, "{}", number / unit)?;
        let rest = number % unit;
        if rest == 0 {
            return Ok(());
        }
        let digits = format!("{rest:0places$}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        let table = [
            (0, "0s"),
            (420, "420ns"),
            (1_100, "1.1µs"),
            (1_697_082, "1.697082ms"),
            (100_000_000, "100ms"),
            (5_000_000_000, "5s"),
            (60_500_000_000, "1m0.5s"),
            (2_400_000_000_000, "40m0s"),
            (7_200_000_000_001, "2h0m0.000000001s"),
        ];
        for (nanos, shown) in table {
            assert_eq!(Go(Duration::from_nanos(nanos)).to_string(), shown);
        }
    }
}
