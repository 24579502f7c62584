//! Times as Go's `RFC3339Nano` prints them.

use std::fmt;

use time::OffsetDateTime;

/// `2026-11-20T23:28:41.95596Z`: UTC, the fraction without zeroes at its end.
pub(super) struct Timestamp(pub(super) OffsetDateTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
        )?;
        fraction(f, time.nanosecond())?;
        f.write_str("Z")
    }
}

fn fraction(f: &mut fmt::Formatter<'_>, mut nanos: u32) -> fmt::Result {
    if nanos == 0 {
        return Ok(());
    }
    let mut digits = 9;
    while nanos.is_multiple_of(10) {
        nanos /= 10;
        digits -= 1;
    }
    write!(f, ".{nanos:0digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_no_zeroes_at_their_end() {
        let table = [
            (0, "2026-11-20T23:28:41Z"),
            (955_960_589, "2026-11-20T23:28:41.955960589Z"),
            (50_000_000, "2026-11-20T23:28:41.05Z"),
            (1, "2026-11-20T23:28:41.000000001Z"),
        ];
        for (nanos, shown) in table {
            let time = OffsetDateTime::from_unix_timestamp(1_795_217_321).unwrap();
            let time = time.replace_nanosecond(nanos).unwrap();
            assert_eq!(Timestamp(time).to_string(), shown);
        }
    }
}
