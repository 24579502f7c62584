//! The key that was meant.

use crate::schema::Key;

/// The name among `names` that is nearest to a misspelt one, if one is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).max(1);
    names
        .map(|name| (distance(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What a misspelt or misplaced key should have been, as the end of a sentence.
pub(crate) fn for_key<'a>(
    wrong: &str,
    siblings: impl Iterator<Item = &'a str>,
    all: &'static [Key],
) -> Option<String> {
    let near = nearest(wrong, siblings).map(str::to_owned);
    let meant = near.or_else(|| only_place(wrong, all));
    meant.map(|meant| format!("did you mean {meant:?}?"))
}

/// The path of a key that has this very name and is the only one.
fn only_place(name: &str, keys: &'static [Key]) -> Option<String> {
    let mut places = Vec::new();
    collect_places(name, "", keys.iter(), &mut places);
    match places.as_slice() {
        [place] => Some(place.clone()),
        _ => None,
    }
}

fn collect_places(
    name: &str,
    prefix: &str,
    keys: impl Iterator<Item = &'static Key>,
    places: &mut Vec<String>,
) {
    for key in keys {
        let path = if prefix.is_empty() {
            key.name.to_owned()
        } else {
            format!("{prefix}.{}", key.name)
        };
        if key.name == name {
            places.push(path.clone());
        }
        collect_places(name, &path, key.children(), places);
    }
}

/// How many letters to insert, delete, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["filesystem", "inmemory", "s3", "delete", "tag"];
        let table = [
            ("filesytem", Some("filesystem")),
            ("Filesystem", Some("filesystem")),
            ("in-memory", Some("inmemory")),
            ("detele", Some("delete")),
            ("s4", Some("s3")),
            ("zzz", None),
            ("ab", None),
        ];
        for (wrong, expected) in table {
            assert_eq!(nearest(wrong, names.into_iter()), expected, "{wrong}");
        }
    }
}
