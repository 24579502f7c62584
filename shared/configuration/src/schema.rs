//! What there is to configure: every key with its kind, its default, and what this release does with it.
//!
//! A section is written once, with `section!`: the struct that callers read, and the table of keys that guides
//! the reader, the overrides, the checks, the display and the documentation come from the same lines.

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What Roadstead does with it.
    pub(crate) doc: &'static str,
    /// How that differs from Distribution.
    pub(crate) differs: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written in YAML; without one, the key is unset.
    pub(crate) default: Option<&'static str>,
    /// Never shown; holds for everything below.
    pub(crate) secret: bool,
    pub(crate) status: Status,
    /// Other spellings in variable names: the names of Distribution's struct fields, where they differ.
    pub(crate) aliases: &'static [&'static str],
    /// A step that variable names may have below this section though the text has none: an embedded struct of Distribution's.
    pub(crate) embeds: Option<&'static str>,
    /// Zero and less mean the default.
    pub(crate) zero_is_default: bool,
    /// A value that is not among the choices is a warning, and leaves the key unset.
    pub(crate) tolerant: bool,
    /// What else must hold for a text, or the name of a header.
    pub(crate) check: Option<Check>,
    /// A section that is written must have one of these keys, and no key below it may be unknown: what is left out or
    /// misspelt would count for nothing without being seen.
    pub(crate) strict: Option<&'static [&'static str]>,
}

/// Looks at a text; what it returns is the message.
pub(crate) type Check = fn(&str) -> Result<(), String>;

#[derive(Debug)]
pub(crate) enum Kind {
    /// A YAML bool.
    Bool,
    /// A bool, or a text that Go's `strconv.ParseBool` takes.
    LooseBool,
    Integer {
        min: i64,
        max: i64,
    },
    /// An integer, or a text that starts with one.
    LooseInteger {
        min: i64,
    },
    Text,
    /// A Go duration; a bare number counts nanoseconds.
    Duration,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Whatever YAML can say.
    Any,
    /// Free names, each with whatever YAML can say.
    Map,
    /// A list of texts.
    Texts,
    /// Header names, each with a list of values.
    Headers,
    Section(&'static [Key]),
    /// A list of sections.
    Entries(&'static [Key]),
    OneOf(OneOf),
    /// The keys depend on the `name` beside; an unknown name may say anything.
    Options(&'static [Key]),
}

/// A map with one of several variants, beside settings that all variants share; or just the name of a variant.
#[derive(Debug)]
pub(crate) struct OneOf {
    /// The field of the struct that holds the variant.
    pub(crate) field: &'static str,
    /// What a variant is called in messages.
    pub(crate) noun: &'static str,
    pub(crate) variants: &'static [Key],
    pub(crate) settings: &'static [Key],
    /// Whether one must be chosen.
    pub(crate) required: bool,
}

/// What this release does with a key. A later release that builds a feature changes this and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    Built,
    /// The named feature is not built: its keys have no effect, and a start says so.
    Later(&'static str),
    /// The named feature is not built, and a start without it would not be what the user asked for: it is refused.
    Refused(&'static str),
    /// The key only means something together with this one, which says what there is to say.
    Follows(&'static str),
    /// Distribution 3 has no such key any more; what to do instead.
    Removed(&'static str),
    /// The value counts for this key instead: a neighbour's name, or a whole path.
    Renamed(&'static str),
}

pub(crate) const BOOL: Key = Key::new(Kind::Bool).default("false");
pub(crate) const LOOSE_BOOL: Key = Key::new(Kind::LooseBool).default("false");
pub(crate) const INTEGER: Key = Key::new(Kind::Integer {
    min: i64::MIN,
    max: i64::MAX,
});
pub(crate) const COUNT: Key = Key::new(Kind::Integer {
    min: 0,
    max: i64::MAX,
});
/// What fits into 16 bits.
pub(crate) const SHORT: Key = Key::new(Kind::Integer { min: 0, max: 65535 });
pub(crate) const TEXT: Key = Key::new(Kind::Text);
pub(crate) const DURATION: Key = Key::new(Kind::Duration);
pub(crate) const TEXTS: Key = Key::new(Kind::Texts);
pub(crate) const HEADERS: Key = Key::new(Kind::Headers);
pub(crate) const MAP: Key = Key::new(Kind::Map).default("{}");
pub(crate) const ANY: Key = Key::new(Kind::Any);

pub(crate) const fn choice(words: &'static [&'static str]) -> Key {
    Key::new(Kind::Choice(words))
}

pub(crate) const fn loose_integer(min: i64) -> Key {
    Key::new(Kind::LooseInteger { min })
}

pub(crate) const fn nested(keys: &'static [Key]) -> Key {
    Key::new(Kind::Section(keys))
}

pub(crate) const fn entries(keys: &'static [Key]) -> Key {
    Key::new(Kind::Entries(keys))
}

pub(crate) const fn one_of(one_of: OneOf) -> Key {
    Key::new(Kind::OneOf(one_of))
}

pub(crate) const fn options(variants: &'static [Key]) -> Key {
    Key::new(Kind::Options(variants))
}

impl Key {
    const fn new(kind: Kind) -> Self {
        Self {
            name: "",
            doc: "",
            differs: "",
            kind,
            default: None,
            secret: false,
            status: Status::Built,
            aliases: &[],
            embeds: None,
            zero_is_default: false,
            tolerant: false,
            check: None,
            strict: None,
        }
    }

    /// The name and the prose, unless [`Self::yaml`] has given another name.
    pub(crate) const fn named(mut self, name: &'static str, doc: &'static str) -> Self {
        if self.name.is_empty() {
            self.name = name;
        }
        self.doc = doc;
        self
    }

    /// The name in YAML, where Rust cannot use it for a field.
    pub(crate) const fn yaml(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn embeds(mut self, step: &'static str) -> Self {
        self.embeds = Some(step);
        self
    }

    pub(crate) const fn zero_is_default(mut self) -> Self {
        self.zero_is_default = true;
        self
    }

    pub(crate) const fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(crate) const fn strict(mut self, required: &'static [&'static str]) -> Self {
        self.strict = Some(required);
        self
    }

    pub(crate) const fn differs(mut self, differs: &'static str) -> Self {
        self.differs = differs;
        self
    }

    pub(crate) const fn later(mut self, feature: &'static str) -> Self {
        self.status = Status::Later(feature);
        self
    }

    pub(crate) const fn refused(mut self, feature: &'static str) -> Self {
        self.status = Status::Refused(feature);
        self
    }

    pub(crate) const fn follows(mut self, key: &'static str) -> Self {
        self.status = Status::Follows(key);
        self
    }

    pub(crate) const fn removed(mut self, instead: &'static str) -> Self {
        self.status = Status::Removed(instead);
        self
    }

    pub(crate) const fn renamed(mut self, to: &'static str) -> Self {
        self.status = Status::Renamed(to);
        self
    }

    /// Whether a part of a variable's name means this key.
    pub(crate) fn answers(&self, step: &str) -> bool {
        self.name.to_uppercase() == step || self.aliases.contains(&step)
    }

    /// The keys directly below, for every kind that has some.
    pub(crate) fn children(&self) -> impl Iterator<Item = &'static Key> + use<> {
        let (first, second): (&'static [Key], &'static [Key]) = match &self.kind {
            Kind::Section(keys) | Kind::Entries(keys) | Kind::Options(keys) => (keys, &[]),
            Kind::OneOf(one_of) => (one_of.variants, one_of.settings),
            _ => (&[], &[]),
        };
        first.iter().chain(second)
    }
}

/// Declares a section: the public struct and, as `KEYS`, its part of the schema. A field is `name: Type = key;`. Keys that
/// are known without being data (renamed, removed) follow in an `also` block.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $( $(#[doc = $doc:literal])* $(#[serde($($serde:tt)*)])? $field:ident: $type:ty = $key:expr; )*
        }
        $( also { $( $(#[doc = $also_doc:literal])* $also:ident = $also_key:expr; )* } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        pub struct $name {
            $( $(#[doc = $doc])* $(#[serde($($serde)*)])? pub $field: $type, )*
        }

        impl $name {
            pub(crate) const KEYS: &'static [$crate::schema::Key] = &[
                $( $key.named(stringify!($field), concat!($($doc),*)), )*
                $( $( $also_key.named(stringify!($also), concat!($($also_doc),*)), )* )?
            ];
        }
    };
}

pub(crate) use section;
