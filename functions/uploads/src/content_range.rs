//! `Content-Range` of a chunk: `<first>-<last>` (specification, "Pushing a blob in chunks"), and
//! the form of RFC 9110, `bytes <first>-<last>/<size or *>`, which some clients send.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use roadstead_api::Error;
use roadstead_oci::ErrorCode;

/// The first and the last byte of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    pub(crate) first: u64,
    last: u64,
}

impl ChunkRange {
    /// The range of a request, if it names one.
    ///
    /// # Errors
    ///
    /// `RANGE_INVALID` for what is no range, `SIZE_INVALID` for one that `Content-Length`
    /// contradicts.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(text) = headers.get(CONTENT_RANGE) else {
            return Ok(None);
        };
        let range = text.to_str().ok().and_then(Self::parse);
        let range = range.ok_or_else(|| Error::new(ErrorCode::RangeInvalid, "malformed range"))?;
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let length: Option<u64> = length.and_then(|length| length.parse().ok());
        if length.is_some_and(|length| length != range.length()) {
            return Err(Error::new(
                ErrorCode::SizeInvalid,
                "the range is not as long as the body",
            ));
        }
        Ok(Some(range))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _)| range);
        let (first, last) = text.split_once('-')?;
        let number = |text: &str| {
            let is_number = text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (first, last) = (number(first)?, number(last)?);
        (first <= last && last < u64::MAX).then_some(Self { first, last })
    }

    /// How many bytes the chunk has.
    pub(crate) fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_range_are_read() {
        for (text, first, length) in [
            ("0-0", 0, 1),
            ("5-9", 5, 5),
            ("bytes 5-9/10", 5, 5),
            ("bytes 5-9/*", 5, 5),
            ("5-9/*", 5, 5),
        ] {
            let range = ChunkRange::parse(text).unwrap();
            assert_eq!((range.first, range.length()), (first, length), "{text}");
        }
        let huge = "0-99999999999999999999";
        for text in [
            "",
            "-",
            "5",
            "5-",
            "-5",
            "9-5",
            "a-b",
            "+1-2",
            "bytes=0-1",
            "0 - 1",
            huge,
        ] {
            assert_eq!(ChunkRange::parse(text), None, "{text}");
        }
    }
}
