//! The template with every option at once: the upload server beside the functions, with what the deployed
//! task gives it; blobs by signed URLs; a name, alarms and events.

use roadstead_tests::event_bus::EventBus;
use roadstead_tests::users::{ANN, basic};
use roadstead_tests::{Address, Image, Request, path_of, require, sha256, skip};

use crate::deployed::{Deployment, deployed};

/// Several parts of a multipart upload, and far more than a function takes.
const LARGE: usize = 25_000_000;

#[test]
fn everything_that_can_be_chosen_works_together() {
    let (curl, skopeo) = (require!("curl"), require!("skopeo"));
    let parameters = [
        "--every-option",
        "Access=htpasswd",
        "Realm=Roadstead",
        "DeleteEnabled=true",
    ];
    let mut deployment = deployed!(&parameters);
    who_has_no_password_is_asked_for_it(&deployment);
    deployment.user = Some(ANN);
    let bus = EventBus::default(curl, &deployment.aws, "roadstead");
    let begun = deployment.request("POST", "/v2/a/b/blobs/uploads/").send();
    let location = begun.expect(202).location();
    assert!(path_of(&location).starts_with("/_uploads/"), "{location}");

    let image = Image::large(11, LARGE);
    deployment.push_and_pull(&skopeo, "a/b", &image);
    // Those of the blobs by the upload server, that of the manifest by a function.
    let events = bus.wait_for(image.blobs().len() + 1);
    assert!(
        events
            .iter()
            .all(|event| event["detail"]["action"] == "push")
    );

    let ran = deployment.tell("invoke MaintenanceFunction");
    assert!(ran["statusCode"].is_null(), "{ran}");
    urls_are_signed(&deployment, &image);
}

/// Through a Function URL, which takes the challenge, and CloudFront, which gives it back.
fn who_has_no_password_is_asked_for_it(deployment: &Deployment) {
    for (method, target) in [
        ("GET", "/v2/"),
        ("HEAD", "/v2/a/b/manifests/v1"),
        ("POST", "/v2/a/b/blobs/uploads/"),
    ] {
        let asked = deployment.request(method, target).send().expect(401);
        let challenge = asked.need("WWW-Authenticate");
        assert_eq!(challenge, "Basic realm=\"Roadstead\"", "{method} {target}");
        assert_eq!(asked.header("X-Relayed-Status"), None);
    }
    let wrong = deployment.request("GET", "/v2/");
    let wrong = wrong.header("Authorization", basic("ann", "guessed"));
    let refused = wrong.send().expect_error(401, "UNAUTHORIZED");
    let _ = refused.need("WWW-Authenticate");
}

/// By the key in the secret that the template names: the other distribution has its public half.
fn urls_are_signed(deployment: &Deployment, image: &Image) {
    let blob = &image.blobs()[0];
    let sent = deployment.get(&format!("/v2/a/b/blobs/{}", sha256(blob)));
    let sent = sent.expect(307);
    let location = sent.need("Location");
    let url = location.strip_prefix("http://").unwrap();
    let (host, _) = url.split_once('/').unwrap();
    let get = |target: &str| {
        let address = Address::Tcp(host.parse().unwrap());
        Request::new(address, "GET", target).send()
    };
    assert!(location.contains("Key-Pair-Id="), "{location}");
    assert_eq!(get(path_of(location)).expect(200).body, *blob);
    let (unsigned, _) = path_of(location).split_once('?').unwrap();
    let _ = get(unsigned).expect(403);
    let later = path_of(location).replace("Expires=", "Expires=9");
    let _ = get(&later).expect(403);
}
