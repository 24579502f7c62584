//! CloudFront's behaviours are a router: first match, `*` crosses slashes.

use roadstead_tests::digest::absent;
use roadstead_tests::template;
use serde_json::{Value, json};

/// What is legal in a name and looks like a route, alone and side by side.
const WORDS: [&str; 8] = [
    "a",
    "blobs",
    "uploads",
    "manifests",
    "tags",
    "list",
    "referrers",
    "v2",
];

const UPLOAD: &str = "0193a7f0-7c1e-4b6a-8000-0123456789ab";

/// The patterns and the origin of each, in order.
struct Behaviors(Vec<(String, String)>);

impl Behaviors {
    fn read() -> Self {
        let edge = template::read("infra/edge.yaml");
        let config = &edge["Resources"]["Distribution"]["Properties"]["DistributionConfig"];
        let behaviors = config["CacheBehaviors"].as_array().unwrap().iter();
        let mut found: Vec<_> = behaviors
            .map(|behavior| {
                let pattern = behavior["PathPattern"].as_str().unwrap().to_owned();
                (pattern, origin(&behavior["TargetOriginId"]))
            })
            .collect();
        let default = &config["DefaultCacheBehavior"]["TargetOriginId"];
        found.push(("*".to_owned(), origin(default)));
        Self(found)
    }

    fn origin(&self, path: &str) -> &str {
        let found = self.0.iter().find(|(pattern, _)| matches(pattern, path));
        &found.unwrap().1
    }
}

/// The origin without an upload server.
fn origin(id: &Value) -> String {
    let id = match &id["Fn::If"] {
        Value::Null => id,
        choice => &choice[2],
    };
    id.as_str().unwrap().to_owned()
}

/// CloudFront Developer Guide, "Cache behavior settings", path pattern: `*` is any number of
/// characters, `?` is one, and all others are themselves.
fn matches(pattern: &str, path: &str) -> bool {
    match (pattern.chars().next(), path.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let mut rests = (0..=path.len()).filter_map(|start| path.get(start..));
            rests.any(|rest| matches(&pattern[1..], rest))
        }
        (Some('?'), Some(any)) => matches(&pattern[1..], &path[any.len_utf8()..]),
        (Some(one), Some(other)) if one == other => {
            matches(&pattern[one.len_utf8()..], &path[one.len_utf8()..])
        }
        _ => false,
    }
}

/// Every name of up to three words.
fn names() -> Vec<String> {
    let longer = |names: &[String]| -> Vec<String> {
        let with = |name: &String| WORDS.map(|word| format!("{name}/{word}"));
        names.iter().flat_map(with).collect()
    };
    let one = WORDS.map(str::to_owned).to_vec();
    let two = longer(&one);
    let three = longer(&two);
    [one, two, three].concat()
}

#[test]
fn every_route_of_every_name_gets_to_the_function_that_has_it() {
    let behaviors = Behaviors::read();
    let (sha256, sha512) = (absent('a'), format!("sha512:{}", "a".repeat(128)));
    let tails = [
        ("tags/list", "discovery"),
        ("blobs/uploads/", "uploads"),
        ("blobs/uploads", "uploads"),
        (&format!("blobs/uploads/{UPLOAD}"), "uploads"),
        (&format!("blobs/{sha256}"), "blobs"),
        (&format!("blobs/{sha512}"), "blobs"),
        ("manifests/latest", "manifests"),
        ("manifests/list", "manifests"),
        ("manifests/uploads", "manifests"),
        (&format!("manifests/{sha256}"), "manifests"),
        (&format!("manifests/{sha512}"), "manifests"),
        (&format!("referrers/{sha256}"), "discovery"),
        (&format!("referrers/{sha512}"), "discovery"),
    ];
    for name in names() {
        for (tail, group) in tails {
            let path = format!("/v2/{name}/{tail}");
            assert_eq!(behaviors.origin(&path), group, "{path}");
        }
    }
    for (path, group) in [
        ("/", "base"),
        ("/v2", "base"),
        ("/v2/", "base"),
        ("/auth/token", "base"),
        ("/auth/keys", "base"),
        ("/v2/_catalog", "discovery"),
        (&format!("/_uploads/{UPLOAD}"), "uploads"),
    ] {
        assert_eq!(behaviors.origin(path), group, "{path}");
    }
}

/// A challenge has to name the token server by the host that clients know, which functions are not told.
#[test]
fn the_functions_know_the_name_of_the_registry_if_it_has_one() {
    let template = template::read("template.yaml");
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let host = &variables["REGISTRY_HTTP_HOST"]["Fn::If"];
    assert_eq!(host[1]["Fn::Sub"], "https://${DomainName}");
    assert_eq!(host[2]["Ref"], "AWS::NoValue");
    let condition = &template["Conditions"][host[0].as_str().unwrap()];
    let is_empty = &condition["Fn::Not"][0]["Fn::Equals"];
    assert_eq!(is_empty[0]["Ref"], "DomainName");
    assert_eq!(is_empty[1], "");
}

/// Malformed, so that whoever has the route says what is wrong with it.
#[test]
fn what_is_malformed_gets_to_the_function_that_can_say_why() {
    let behaviors = Behaviors::read();
    for (path, group) in [
        ("/v2/a/blobs/sha256", "blobs"),
        ("/v2/a/blobs/md5:00", "blobs"),
        ("/v2/a/blobs/sha256%3A00", "blobs"),
        ("/v2/a/blobs/uploads/no-uuid", "uploads"),
        ("/v2/a/referrers/nothing", "discovery"),
        ("/v2/a/manifests/sha256%3A00", "manifests"),
        ("/v2/UPPER/tags/list", "discovery"),
        ("/v2/a//b/manifests/t", "manifests"),
    ] {
        assert_eq!(behaviors.origin(path), group, "{path}");
    }
}

/// An upload is known by the dashes of its id, and between those no `/manifests/` has room that
/// a legal name can end before.
#[test]
fn no_manifest_is_taken_for_an_upload() {
    let behaviors = Behaviors::read();
    for at in 1..UPLOAD.len() {
        let (name, tag) = UPLOAD.split_at(at);
        let is_legal = |edge: Option<char>| edge.is_some_and(|edge| edge != '-');
        if !is_legal(name.chars().last()) || !is_legal(tag.chars().next()) {
            continue;
        }
        for tag in [tag, &format!("{tag}{UPLOAD}"), "x"] {
            let path = format!("/v2/a/blobs/uploads/{name}/manifests/{tag}");
            assert_eq!(behaviors.origin(&path), "manifests", "{path}");
        }
    }
}

/// Each behaviour hands on what a registry lives on, and keeps nothing.
#[test]
fn nothing_is_cached_or_kept_back_on_the_way_to_the_functions() {
    let edge = template::read("infra/edge.yaml");
    let config = &edge["Resources"]["Distribution"]["Properties"]["DistributionConfig"];
    let policies = &edge["Mappings"]["Policies"]["Managed"];
    assert_eq!(
        policies["CachingDisabled"],
        "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    );
    assert_eq!(
        policies["AllViewerExceptHostHeader"],
        "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    );
    let behaviors = config["CacheBehaviors"].as_array().unwrap().iter();
    for behavior in behaviors.chain([&config["DefaultCacheBehavior"]]) {
        let policy = |key: &str| {
            behavior[key]["Fn::FindInMap"][2]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(policy("CachePolicyId"), "CachingDisabled");
        assert_eq!(policy("OriginRequestPolicyId"), "AllViewerExceptHostHeader");
        assert_eq!(behavior["ViewerProtocolPolicy"], "https-only");
        let methods = behavior["AllowedMethods"].as_array().unwrap();
        assert_eq!(methods.len(), 7, "{behavior}");
        // What a function asks for by 401 gets through; `/_uploads/` asks for nothing.
        let over_answers = json!([{
            "EventType": "viewer-response",
            "FunctionARN": {"Fn::GetAtt": "Challenges.FunctionARN"},
        }]);
        let asks = behavior["PathPattern"] != "/_uploads/*";
        let expected = if asks { over_answers } else { Value::Null };
        assert_eq!(behavior["FunctionAssociations"], expected, "{behavior}");
    }
    let template = template::read("template.yaml");
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let relays = json!({"Fn::If": ["Groups", "true", {"Ref": "AWS::NoValue"}]});
    assert_eq!(variables["REGISTRY_HTTP_RELAYCHALLENGES"], relays);
    let errors = config["CustomErrorResponses"].as_array().unwrap();
    let kept = |code: u64| {
        let of_code = errors.iter().find(|error| error["ErrorCode"] == code);
        of_code.map(|error| error["ErrorCachingMinTTL"].as_u64().unwrap())
    };
    // What CloudFront would keep for ten seconds by itself (Developer Guide, "Control how long
    // CloudFront caches errors").
    for code in [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504] {
        assert_eq!(kept(code), Some(0), "{code}");
    }
}
