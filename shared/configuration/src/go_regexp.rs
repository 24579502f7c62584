use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::CharIndices;

use serde::Deserialize;

/// A regular expression in Go's syntax, and the same one in that of the `regex` crate.
///
/// The two are near relatives with traps between them: Go's `\d`, `\w`, `\s` and `\b` are ASCII, `[[]`, `[a&&b]` and `a{,2}`
/// are literals, `\Q..\E` quotes, and a repetition ends at 1000.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct GoRegexp {
    source: String,
    translated: String,
}

impl GoRegexp {
    /// Reads an expression. What this returns is known to compile.
    ///
    /// # Errors
    ///
    /// What Go refuses, and `\C`, which no expression over text can express here.
    pub fn parse(source: &str) -> Result<Self, InvalidRegexp> {
        let translated = Translator::new(source).translate()?;
        match regex::Regex::new(&translated) {
            Ok(_) => Ok(Self {
                source: source.to_owned(),
                translated,
            }),
            Err(error) => Err(InvalidRegexp {
                source_text: source.to_owned(),
                reason: first_reason(&error),
            }),
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expression for `regex::Regex::new`. Like Go's `MatchString`, it is not anchored.
    #[must_use]
    pub fn translated(&self) -> &str {
        &self.translated
    }
}

impl TryFrom<String> for GoRegexp {
    type Error = InvalidRegexp;

    fn try_from(source: String) -> Result<Self, InvalidRegexp> {
        Self::parse(&source)
    }
}

/// The text is no regular expression of Go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {source_text:?}: {reason}")]
pub struct InvalidRegexp {
    source_text: String,
    reason: String,
}

/// The `regex` crate draws its syntax errors over several lines; the reason is in the last one.
fn first_reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

const MOST_REPEATS: u32 = 1000;

struct Translator<'a> {
    source: &'a str,
    rest: Peekable<CharIndices<'a>>,
    out: String,
}

impl<'a> Translator<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            rest: source.char_indices().peekable(),
            out: String::with_capacity(source.len() + 8),
        }
    }

    fn translate(mut self) -> Result<String, InvalidRegexp> {
        let mut after_repeat = false;
        while let Some((at, c)) = self.rest.next() {
            let repeats = match c {
                '{' => self.counted_repeat(at)?,
                '*' | '+' | '?' => {
                    self.out.push(c);
                    true
                }
                _ => {
                    self.element(c)?;
                    false
                }
            };
            if repeats && after_repeat {
                return Err(self.invalid("invalid nested repetition operator"));
            }
            if repeats {
                self.lazy_mark();
            }
            after_repeat = repeats;
        }
        Ok(self.out)
    }

    fn element(&mut self, c: char) -> Result<(), InvalidRegexp> {
        match c {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            '}' | ']' => {
                self.literal(c);
                Ok(())
            }
            _ => {
                self.out.push(c);
                Ok(())
            }
        }
    }

    fn lazy_mark(&mut self) {
        if let Some((_, mark)) = self.rest.next_if(|(_, c)| *c == '?') {
            self.out.push(mark);
        }
    }

    /// `{2}`, `{2,}`, `{2,5}`; anything else is a literal brace. Tells whether it was a repetition.
    fn counted_repeat(&mut self, at: usize) -> Result<bool, InvalidRegexp> {
        let inner = &self.source[at + 1..];
        let Some((counts, _)) = inner
            .split_once('}')
            .filter(|(counts, _)| is_repeat(counts))
        else {
            self.literal('{');
            return Ok(false);
        };
        let (low, high) = counts.split_once(',').unwrap_or((counts, ""));
        let bounds = [low, high].map(|count| {
            if count.is_empty() {
                Ok(0)
            } else {
                count.parse::<u32>()
            }
        });
        let in_range = bounds
            .iter()
            .all(|bound| matches!(bound, Ok(count) if *count <= MOST_REPEATS));
        if !in_range || (!high.is_empty() && bounds[0].clone().ok() > bounds[1].clone().ok()) {
            return Err(self.invalid(&format!("invalid repeat count: `{{{counts}}}`")));
        }
        for _ in 0..=counts.len() {
            self.rest.next();
        }
        let _ = write!(self.out, "{{{counts}}}");
        Ok(true)
    }

    /// The flags and names of `(?...)`; Go knows fewer flags than the `regex` crate.
    fn group(&mut self) -> Result<(), InvalidRegexp> {
        self.out.push('(');
        if self.rest.next_if(|(_, c)| *c == '?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        while let Some((_, c)) = self.rest.next() {
            self.out.push(c);
            match c {
                ':' | ')' | '<' => return Ok(()),
                'i' | 'm' | 's' | 'U' | '-' | 'P' => {}
                _ => return Err(self.invalid("invalid or unsupported Perl syntax")),
            }
        }
        Err(self.invalid("missing closing )"))
    }

    fn escape(&mut self) -> Result<(), InvalidRegexp> {
        let Some((_, c)) = self.rest.next() else {
            return Err(self.invalid("trailing backslash at end of expression"));
        };
        match c {
            'A' | 'z' => self.push_escape(c),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'C' => return Err(self.invalid(r"\C is not supported")),
            'Q' => self.quoted(),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.out.push_str(perl_class(c)),
            'p' | 'P' => self.property(c)?,
            _ => {
                let literal = self.escaped_char(c)?;
                self.literal(literal);
            }
        }
        Ok(())
    }

    /// `\Q` to `\E` or to the end: as it stands.
    fn quoted(&mut self) {
        while let Some((at, c)) = self.rest.next() {
            if self.source[at..].starts_with(r"\E") {
                self.rest.next();
                return;
            }
            self.literal(c);
        }
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`.
    fn property(&mut self, p: char) -> Result<(), InvalidRegexp> {
        let name = match self.rest.next() {
            Some((_, '{')) => self
                .until('}')
                .ok_or_else(|| self.invalid("invalid character class range"))?,
            Some((_, c)) => c.to_string(),
            None => return Err(self.invalid("invalid character class range")),
        };
        let (inverted, name) = match name.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, name.as_str()),
        };
        let p = match (p, inverted) {
            ('p', false) | ('P', true) => 'p',
            _ => 'P',
        };
        let name = if name == "Any" { "any" } else { name };
        let _ = write!(self.out, "\\{p}{{{name}}}");
        Ok(())
    }

    fn until(&mut self, end: char) -> Option<String> {
        let mut text = String::new();
        for (_, c) in self.rest.by_ref() {
            if c == end {
                return Some(text);
            }
            text.push(c);
        }
        None
    }

    /// The character that `\` and `c` stand for, in a class and outside.
    fn escaped_char(&mut self, c: char) -> Result<char, InvalidRegexp> {
        let following_octal = matches!(self.rest.peek(), Some((_, '0'..='7')));
        match c {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => self.hexadecimal(),
            '0' => Ok(self.octal(c)),
            '1'..='7' if following_octal => Ok(self.octal(c)),
            _ if c.is_ascii_punctuation() || c == ' ' || c.is_ascii_control() => Ok(c),
            _ => Err(self.invalid(&format!("invalid escape sequence: `\\{c}`"))),
        }
    }

    /// Up to three octal digits, the first of which is already read.
    fn octal(&mut self, first: char) -> char {
        let mut value = u32::from(first) - u32::from('0');
        for _ in 0..2 {
            match self.rest.next_if(|(_, c)| matches!(c, '0'..='7')) {
                Some((_, digit)) => value = value * 8 + u32::from(digit) - u32::from('0'),
                None => break,
            }
        }
        char::from_u32(value).unwrap_or_default()
    }

    /// `\x7F` or `\x{10FFFF}`.
    fn hexadecimal(&mut self) -> Result<char, InvalidRegexp> {
        let digits = match self.rest.next() {
            Some((_, '{')) => self.until('}'),
            Some((_, first)) => self
                .rest
                .next()
                .map(|(_, second)| format!("{first}{second}")),
            None => None,
        };
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
        value
            .and_then(char::from_u32)
            .ok_or_else(|| self.invalid(r"invalid escape sequence: `\x`"))
    }

    fn class(&mut self) -> Result<(), InvalidRegexp> {
        self.out.push('[');
        if self.rest.next_if(|(_, c)| *c == '^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        while let Some((at, c)) = self.rest.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.source[at..].starts_with("[:")
                    && self.source[at + 2..].contains(":]") =>
                {
                    self.posix_class(at)?
                }
                '\\' if self.is_class_escape() => self.class_escape()?,
                _ => self.range(c)?,
            }
            first = false;
        }
        Err(self.invalid("missing closing ]"))
    }

    /// `[:alpha:]`, `[:^alpha:]`.
    fn posix_class(&mut self, at: usize) -> Result<(), InvalidRegexp> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        let name = self.source[at + 2..].split(":]").next().unwrap_or_default();
        if !NAMES.contains(&name.trim_start_matches('^')) {
            return Err(self.invalid(&format!("invalid character class range: `[:{name}:]`")));
        }
        let _ = write!(self.out, "[:{name}:]");
        for _ in 0..name.chars().count() + 3 {
            self.rest.next();
        }
        Ok(())
    }

    fn is_class_escape(&mut self) -> bool {
        matches!(
            self.rest.peek(),
            Some((_, 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'))
        )
    }

    fn class_escape(&mut self) -> Result<(), InvalidRegexp> {
        match self.rest.next() {
            Some((_, p @ ('p' | 'P'))) => self.property(p),
            Some((_, c)) => {
                self.out.push_str(perl_class(c));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// One character of a class, or two with `-` between.
    fn range(&mut self, c: char) -> Result<(), InvalidRegexp> {
        let low = self.class_char(c)?;
        self.literal(low);
        let mut ahead = self.rest.clone();
        let is_range =
            matches!((ahead.next(), ahead.next()), (Some((_, '-')), Some((_, end))) if end != ']');
        if !is_range {
            return Ok(());
        }
        self.rest.next();
        let Some((_, end)) = self.rest.next() else {
            return Ok(());
        };
        let high = self.class_char(end)?;
        if high < low {
            return Err(self.invalid(&format!("invalid character class range: `{low}-{high}`")));
        }
        self.out.push('-');
        self.literal(high);
        Ok(())
    }

    fn class_char(&mut self, c: char) -> Result<char, InvalidRegexp> {
        if c != '\\' {
            return Ok(c);
        }
        match self.rest.next() {
            Some((_, escaped)) => self.escaped_char(escaped),
            None => Err(self.invalid("trailing backslash at end of expression")),
        }
    }

    /// A character that stands for itself, in a class and outside.
    fn literal(&mut self, c: char) {
        match c {
            '<' | '>' => self.out.push(c),
            _ if c.is_ascii_punctuation() => self.push_escape(c),
            _ => self.out.push(c),
        }
    }

    fn push_escape(&mut self, c: char) {
        self.out.push('\\');
        self.out.push(c);
    }

    fn invalid(&self, reason: &str) -> InvalidRegexp {
        InvalidRegexp {
            source_text: self.source.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

fn is_repeat(counts: &str) -> bool {
    let (low, high) = counts.split_once(',').unwrap_or((counts, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// Go's classes are ASCII. As classes of their own they also work inside another one.
fn perl_class(c: char) -> &'static str {
    match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'w' => "[0-9A-Za-z_]",
        _ => "[^0-9A-Za-z_]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        let regexp = GoRegexp::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
        regex::Regex::new(regexp.translated())
            .unwrap()
            .is_match(text)
    }

    #[test]
    fn expressions_match_what_they_match_in_go() {
        let table = [
            (
                r"^https?://([^/]+\.)*example\.com/",
                "https://a.b.example.com/x",
                true,
            ),
            (
                r"^https?://([^/]+\.)*example\.com/",
                "https://example.org/",
                false,
            ),
            (r"^\d$", "7", true),
            (r"^\d$", "٣", false),
            (r"^\D$", "٣", true),
            (r"^\w$", "é", false),
            (r"^\W$", "é", true),
            (r"^\s$", "\u{a0}", false),
            (r"^\s$", "\u{b}", false),
            (r"^\s$", "\t", true),
            (r"é\b", "éa", true),
            (r"a\b", "aé", true),
            (r"a\Bb", "ab", true),
            (r"^[[]$", "[", true),
            (r"^[]]$", "]", true),
            (r"^[^]]$", "a", true),
            (r"^[a&&b]$", "&", true),
            (r"^[a&&b]$", "a", true),
            (r"^[a~~b]$", "~", true),
            (r"^[a--]$", "-", false),
            (r"^[a-]$", "-", true),
            (r"^[-a]$", "-", true),
            (r"^[+--]$", ",", true),
            (r"^[\d\-x]$", "-", true),
            (r"^[\d\-x]$", "3", true),
            (r"^[^\d]$", "3", false),
            (r"^[\D3]$", "3", true),
            (r"^[[:alpha:]_]+$", "a_b", true),
            (r"^[[:^alpha:]]$", "1", true),
            (r"^[\]\[]$", "[", true),
            (r"^\Qa.b*\E+$", "a.b**", true),
            (r"^\Qa.b", "a.b", true),
            (r"^\Qa.b", "axb", false),
            (r"^a{,2}$", "a{,2}", true),
            (r"^a{2}$", "aa", true),
            (r"^a{2,}$", "aaaa", true),
            (r"^a{x}$", "a{x}", true),
            (r"^{$", "{", true),
            (r"^a}]$", "a}]", true),
            (r"^\<a\>$", "<a>", true),
            (r"^a\_b$", "a_b", true),
            (r"^\x41\x{42}\103$", "ABC", true),
            (r"^\0$", "\0", true),
            (r"\Aab\z", "ab", true),
            (r"(?i)^EXAMPLE$", "example", true),
            (r"(?i:A)b", "ab", true),
            (r"(?P<host>a)(?:b)(?<port>c)", "abc", true),
            (r"^\pL\p{Greek}\p{^Greek}\PL$", "aαa1", true),
            (r"^a.c$", "a\nc", false),
            (r"(?s)^a.c$", "a\nc", true),
            (r"^a+?b*?c??$", "ab", true),
        ];
        for (pattern, text, expected) in table {
            if pattern == "^[a--]$" {
                assert!(GoRegexp::parse(pattern).is_err(), "{pattern}");
                continue;
            }
            assert_eq!(is_match(pattern, text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let table = [
            "(",
            ")",
            "a)",
            "[",
            "[a",
            "[]",
            "*",
            "a**",
            "a{2}{3}",
            "a{1001}",
            "a{2,1001}",
            "a{3,2}",
            r"\",
            r"[\",
            r"\C",
            r"\Z",
            r"\y",
            r"\1",
            r"\8",
            "(?=a)",
            "(?<!a)",
            "(?x)a",
            "(?",
            "[z-a]",
            "[[:foo:]]",
            r"\p{Nope}",
            r"\xZZ",
            r"\x{110000}",
            "{2}",
            "(?u)a",
            r"\é",
        ];
        for pattern in table {
            assert!(GoRegexp::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_message_names_the_expression_and_the_reason() {
        let error = GoRegexp::parse("a{2000}").unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid regular expression \"a{2000}\": invalid repeat count: `{2000}`"
        );
        let error = GoRegexp::parse("(a").unwrap_err().to_string();
        assert_eq!(error, "invalid regular expression \"(a\": unclosed group");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_translator_panic(text in r"[\\\[\]{}()^$.|?*+a-c0-3,:<>&~QE\-pdé]{0,12}") {
            let _ = GoRegexp::parse(&text);
        }
    }
}
