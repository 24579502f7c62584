//! The keys of manifests, as different readers know them.
//!
//! To the specification `Layers` is an unknown key. To Go's `encoding/json`, by which most clients and CNCF Distribution
//! read, it is `layers`. So nobody may push it, and what is stored is read as Go does.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};

/// The keys of an object that are read, each with those of the object, or of the objects in the list, that it leads to.
pub(crate) type Keys = &'static [(&'static str, Option<&'static Nested>)];

/// A table that another one leads to.
pub(crate) struct Nested(pub(crate) Keys);

/// What is read from an object with known keys.
pub(crate) trait Known {
    const KEYS: Keys;
}

/// The known key that Go takes `name` for: the same, or one that differs in case alone.
fn meant(name: &str, keys: Keys) -> Option<&'static (&'static str, Option<&'static Nested>)> {
    let exact = keys.iter().find(|(key, _)| *key == name);
    exact.or_else(|| keys.iter().find(|(key, _)| is_same_in_go(name, key)))
}

/// `encoding/json` compares by Unicode's simple folding, where two letters that are not ASCII become ones that are.
fn is_same_in_go(name: &str, key: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(key.chars().map(fold))
}

/// A map whose keys are those that Go takes them for.
pub(crate) struct AsGo<A> {
    pub(crate) map: A,
    pub(crate) keys: Keys,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for AsGo<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(Text(name)) = self.map.next_key()? else {
            return Ok(None);
        };
        let name = meant(&name, self.keys).map_or(&*name, |(key, _)| key);
        let name: StrDeserializer<'_, A::Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Fails at a key that is none of `keys` and that Go takes for one of them.
pub(crate) struct Exact(pub(crate) Keys);

impl<'de> DeserializeSeed<'de> for Exact {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            match meant(&name, self.0) {
                Some((key, _)) if *key != name => {
                    let message = format!("the key {name:?} is {key:?} to some clients alone");
                    return Err(A::Error::custom(message));
                }
                Some((_, Some(nested))) => map.next_value_seed(Self(nested.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Self(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A text that is borrowed where the JSON has it as it is.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}
