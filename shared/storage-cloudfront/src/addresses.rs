//! The addresses of AWS, as it publishes them (AWS, "AWS IP address ranges").

use std::net::IpAddr;

use serde::Deserialize;

/// Ranges of addresses, each in order and apart from the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

/// The text is not a list of addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidList {
    #[error("it is not the JSON of a list of addresses")]
    Json(#[from] serde_json::Error),
    #[error("it lists no addresses")]
    Empty,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    prefixes: Vec<V4<'a>>,
    #[serde(borrow, default)]
    ipv6_prefixes: Vec<V6<'a>>,
}

#[derive(Deserialize)]
struct V4<'a> {
    ip_prefix: &'a str,
    region: &'a str,
}

#[derive(Deserialize)]
struct V6<'a> {
    ipv6_prefix: &'a str,
    region: &'a str,
}

impl Addresses {
    /// Those of `regions`, in any case, or of all when there are none.
    pub(crate) fn parse(json: &[u8], regions: &[String]) -> Result<Self, InvalidList> {
        let list: List<'_> = serde_json::from_slice(json)?;
        let v4 = list.prefixes.iter().map(|v4| (v4.ip_prefix, v4.region));
        let v6 = list
            .ipv6_prefixes
            .iter()
            .map(|v6| (v6.ipv6_prefix, v6.region));
        let ranges: Vec<_> = v4
            .chain(v6)
            .filter_map(|(prefix, place)| Some((range(prefix)?, place)))
            .collect();
        if ranges.is_empty() {
            return Err(InvalidList::Empty);
        }
        let is_wanted = |place: &str| {
            regions.is_empty()
                || regions
                    .iter()
                    .any(|region| region.eq_ignore_ascii_case(place))
        };
        let wanted = |is_v4: bool| {
            let ranges = ranges.iter().filter(|(_, place)| is_wanted(place));
            let ranges = ranges.filter(move |(range, _)| range.is_v4 == is_v4);
            joined(ranges.map(|(range, _)| (range.first, range.last)).collect())
        };
        Ok(Self {
            v4: wanted(true),
            v6: wanted(false),
        })
    }

    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let (ranges, number) = match address.to_canonical() {
            IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits())),
            IpAddr::V6(address) => (&self.v6, address.to_bits()),
        };
        let after = ranges.partition_point(|(first, _)| *first <= number);
        after > 0 && number <= ranges[after - 1].1
    }
}

struct Range {
    is_v4: bool,
    first: u128,
    last: u128,
}

/// The addresses of a prefix such as `192.0.2.0/24` (RFC 4632).
fn range(prefix: &str) -> Option<Range> {
    let (address, length) = prefix.split_once('/')?;
    let (is_v4, number, width) = match address.parse().ok()? {
        IpAddr::V4(address) => (true, u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (false, address.to_bits(), 128),
    };
    let length = length
        .parse::<u32>()
        .ok()
        .filter(|length| *length <= width)?;
    let others = 1_u128
        .checked_shl(width - length)
        .map_or(u128::MAX, |count| count - 1);
    Some(Range {
        is_v4,
        first: number & !others,
        last: number | others,
    })
}

/// In order, with those that overlap made one.
fn joined(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{
        "syncToken": "1", "createDate": "2026-01-01-00-00-00",
        "prefixes": [
            {"ip_prefix": "3.4.0.0/16", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
            {"ip_prefix": "3.4.12.4/32", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"},
            {"ip_prefix": "nonsense", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"},
            {"ip_prefix": "52.0.0.0/33", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"},
            {"ip_prefix": "15.230.39.0/31", "region": "us-east-2", "service": "AMAZON", "network_border_group": "us-east-2"}
        ],
        "ipv6_prefixes": [
            {"ipv6_prefix": "2600:1f00::/24", "region": "us-east-2", "service": "AMAZON", "network_border_group": "us-east-2"}
        ]
    }"#;

    fn contain(addresses: &Addresses, address: &str) -> bool {
        addresses.contain(address.parse().unwrap())
    }

    #[test]
    fn an_address_within_a_range_is_found() {
        let all = Addresses::parse(LIST.as_bytes(), &[]).unwrap();
        for inside in [
            "3.4.0.0",
            "3.4.12.4",
            "3.4.12.5",
            "3.4.255.255",
            "::ffff:3.4.1.1",
            "15.230.39.1",
            "2600:1f00::",
            "2600:1fff:ffff::1",
        ] {
            assert!(contain(&all, inside), "{inside}");
        }
        for outside in [
            "3.3.255.255",
            "3.5.0.0",
            "15.230.39.2",
            "52.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "2600:2000::",
            "::3.4.1.1",
            "::1",
        ] {
            assert!(!contain(&all, outside), "{outside}");
        }
    }

    #[test]
    fn regions_narrow_the_list() {
        let regions = ["US-East-2".to_owned(), "ap-south-1".to_owned()];
        let some = Addresses::parse(LIST.as_bytes(), &regions).unwrap();
        assert!(contain(&some, "15.230.39.0"));
        assert!(contain(&some, "2600:1f00::1"));
        assert!(!contain(&some, "3.4.1.1"));
        let none = Addresses::parse(LIST.as_bytes(), &regions[1..]).unwrap();
        assert_eq!(none, Addresses::default());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"prefixes": []}"#,
            r#"{"prefixes": [{}]}"#,
        ] {
            assert!(Addresses::parse(bad.as_bytes(), &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_may_be_everything() {
        let list = r#"{"ipv6_prefixes": [{"ipv6_prefix": "::/0", "region": "a"}], "prefixes": [{"ip_prefix": "0.0.0.0/0", "region": "a"}]}"#;
        let all = Addresses::parse(list.as_bytes(), &[]).unwrap();
        assert!(contain(&all, "255.255.255.255") && contain(&all, "::"));
    }
}
