//! The names of files that are not finished: `<name>.<uuid>.tmp`, as CNCF Distribution has them.

use uuid::Uuid;

/// The longest name that filesystems take, in bytes.
const LONGEST_NAME: usize = 255;

const SUFFIX: &str = ".tmp";

/// `.<uuid>.tmp`
const TAIL: usize = 1 + 36 + SUFFIX.len();

/// A new name beside `name`. A very long `name` is shortened to make room; names are ASCII.
pub(crate) fn beside(name: &str) -> String {
    let room = LONGEST_NAME - TAIL;
    let stem = name.get(..room).unwrap_or(name);
    format!("{stem}.{}{SUFFIX}", Uuid::new_v4())
}

/// Whether a file of this name is one that was never finished, by this driver or by Distribution.
pub(crate) fn is_temporary(name: &str) -> bool {
    let uuid = |stem: &str| stem.rsplit_once('.').map(|(_, uuid)| uuid.to_owned());
    let uuid = name.strip_suffix(SUFFIX).and_then(uuid);
    uuid.is_some_and(|uuid| uuid.len() == 36 && Uuid::try_parse(&uuid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_recognised_and_fit() {
        for name in ["a", "data", &"x".repeat(255), &"x".repeat(230)] {
            let temporary = beside(name);
            assert!(is_temporary(&temporary), "{temporary}");
            assert!(temporary.len() <= LONGEST_NAME);
        }
        for name in ["", "a", ".tmp", "a.tmp", "a.b.tmp", "tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
