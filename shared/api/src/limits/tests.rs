use super::*;
use crate::connection::Connection;

fn request(method: Method, address: &str) -> Parts {
    let connection = Connection {
        peer: Peer::Address(address.parse().unwrap()),
        secure: false,
    };
    let request = http::Request::builder().method(method);
    let request = request.extension(connection).body(()).unwrap();
    request.into_parts().0
}

fn get(address: &str) -> Parts {
    request(Method::GET, address)
}

fn limits(by_address: bool) -> Limits {
    Limits::new(LimitOptions {
        requests: Some(Rate {
            count: 1,
            period: Duration::from_secs(3600),
            burst: 2,
        }),
        by_address,
        uploads: Some(1),
    })
}

/// Whether a request is let in and counted.
fn anonymous(limits: &Limits, address: &str) -> bool {
    let entered = limits.enter(&get(address));
    entered.is_ok_and(|entered| entered.belongs_to(None).is_ok())
}

fn user(limits: &Limits, address: &str, name: &str) -> bool {
    let entered = limits.enter(&get(address));
    entered.is_ok_and(|entered| entered.belongs_to(Some(name)).is_ok())
}

#[test]
fn each_address_counts_for_itself_and_a_64_of_ipv6_as_one() {
    let limits = limits(false);
    for (address, expected) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1:ffff::7", true),
        ("2001:db8:0:1::3", false),
        ("2001:db8:0:2::1", true),
    ] {
        assert_eq!(anonymous(&limits, address), expected, "{address}");
    }
}

#[test]
fn users_count_for_themselves_and_cost_their_address_nothing() {
    let limits = limits(false);
    for _ in 0..2 {
        assert!(user(&limits, "192.0.2.1", "ann"));
        assert!(user(&limits, "192.0.2.1", "bob"));
    }
    assert!(!user(&limits, "192.0.2.9", "ann"));
    assert!(anonymous(&limits, "192.0.2.1"));
    assert!(anonymous(&limits, "192.0.2.1"));
    assert!(!anonymous(&limits, "192.0.2.1"));
}

#[test]
fn who_guesses_is_not_listened_to_any_more_but_tokens_are() {
    let limits = limits(false);
    // Those that turn out to be nobody's just end.
    for _ in 0..2 {
        let _wrong = limits.enter(&get("192.0.2.1")).unwrap();
    }
    assert!(limits.enter(&get("192.0.2.1")).is_err());
    let token = limits.enter_with_token(&get("192.0.2.1")).unwrap();
    assert!(token.belongs_to(Some("ann")).is_ok());
    let forged = limits.enter_with_token(&get("192.0.2.1")).unwrap();
    assert!(forged.belongs_to(None).is_err());
}

#[test]
fn what_clients_do_not_repeat_has_as_much_again() {
    let limits = limits(false);
    let put = || limits.enter(&request(Method::PUT, "192.0.2.1")).is_ok();
    assert_eq!([(); 5].map(|()| put()), [true, true, true, true, false]);
    assert!(!anonymous(&limits, "192.0.2.1"));
}

#[test]
fn addresses_alone_may_count() {
    let limits = limits(true);
    assert!(user(&limits, "192.0.2.1", "ann"));
    assert!(user(&limits, "192.0.2.1", "bob"));
    assert!(!user(&limits, "192.0.2.1", "eve"));
    assert!(limits.enter_with_token(&get("192.0.2.1")).is_err());
    assert!(user(&limits, "192.0.2.2", "ann"));
}

#[test]
fn uploads_are_counted_while_they_last() {
    let limits = Limits::new(LimitOptions {
        uploads: Some(1),
        ..LimitOptions::default()
    });
    let at = get("192.0.2.1");
    let admitted = |user| limits.enter(&at).unwrap().belongs_to(user).unwrap();
    let first = admitted(Some("ann")).upload().unwrap();
    assert!(first.is_some());
    assert!(admitted(Some("ann")).upload().is_err());
    assert!(admitted(Some("ann")).upload_later().is_err());
    assert!(admitted(Some("bob")).upload_later().is_ok());
    assert!(admitted(Some("bob")).upload().is_ok());
    assert!(admitted(None).upload().is_ok());
    drop(first);
    assert_eq!(
        limits
            .0
            .as_ref()
            .unwrap()
            .uploads
            .as_ref()
            .unwrap()
            .callers(),
        0
    );
}

#[test]
fn without_limits_nothing_is_counted() {
    let limits = Limits::new(LimitOptions::default());
    for _ in 0..1000 {
        assert!(anonymous(&limits, "192.0.2.1"));
    }
    let entered = limits.enter(&get("192.0.2.1")).unwrap();
    assert!(
        entered
            .belongs_to(None)
            .unwrap()
            .upload()
            .unwrap()
            .is_none()
    );
}
