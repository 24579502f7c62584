//! Least privilege: each function may do what its routes need, on the table and the bucket of its
//! deployment, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_tests::template;
use serde_json::Value;

/// Actions by what they are done to.
type Grants = BTreeMap<String, BTreeSet<String>>;

const READ: &[&str] = &["GetItem", "Query"];
const WRITE: &[&str] = &["DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"];
/// The bus that is told, if there is one.
const EVENTS: (&str, &str, &[&str]) = ("event bus", "events", &["PutEvents"]);
/// Objects on which the S3 driver finds out what conditional writes are worth.
const PROBE: &str = ".roadstead-probe-*";
const PROGRESS: &[&str] = &["DeleteObject", "GetObject", "PutObject"];
const UPLOAD: &[&str] = &[
    "AbortMultipartUpload",
    "DeleteObject",
    "GetObject",
    "PutObject",
];

/// What is asked of the store by each group's code; `stack.rs` shows, with an emulator that
/// enforces policies, that it is enough.
fn needed(group: &str) -> Grants {
    let grants: &[(&str, &str, &[&str])] = match group {
        "Base" => &[],
        // Looks a blob up and signs its URL; unlinks it. A large manifest is a blob as well.
        "Blobs" => &[
            EVENTS,
            ("table", "dynamodb", &["DeleteItem", "GetItem"]),
            ("blobs/*", "s3", &["GetObject"]),
            ("manifests/*", "s3", &["GetObject"]),
            ("bucket", "s3", &["ListBucket"]),
        ],
        "Uploads" => &[
            EVENTS,
            ("table", "dynamodb", WRITE),
            ("blobs/*", "s3", UPLOAD),
            (PROBE, "s3", &["DeleteObject", "PutObject"]),
            (
                "bucket",
                "s3",
                &["ListBucket", "ListBucketMultipartUploads"],
            ),
        ],
        // Reads what a manifest refers to, and keeps large manifests; what they replace is garbage.
        "Manifests" => &[
            EVENTS,
            ("table", "dynamodb", WRITE),
            ("blobs/*", "s3", &["GetObject"]),
            ("manifests/*", "s3", &["GetObject", "PutObject"]),
            ("bucket", "s3", &["ListBucket"]),
        ],
        "Discovery" => &[
            ("table", "dynamodb", READ),
            ("manifests/*", "s3", &["GetObject"]),
            ("bucket", "s3", &["ListBucket"]),
        ],
        "Combined" => &[
            EVENTS,
            ("table", "dynamodb", WRITE),
            ("blobs/*", "s3", UPLOAD),
            (PROBE, "s3", &["DeleteObject", "PutObject"]),
            ("manifests/*", "s3", &["GetObject", "PutObject"]),
            (
                "bucket",
                "s3",
                &["ListBucket", "ListBucketMultipartUploads"],
            ),
        ],
        // Writes no content that clients see.
        "Maintenance" => &[
            ("table", "dynamodb", WRITE),
            (
                "blobs/*",
                "s3",
                &["AbortMultipartUpload", "DeleteObject", "GetObject"],
            ),
            // How far it is, and who collects.
            ("roadstead/garbage-collection.json", "s3", PROGRESS),
            ("roadstead/garbage-collection.lease", "s3", PROGRESS),
            ("roadstead/upload-purge", "s3", PROGRESS),
            (PROBE, "s3", &["DeleteObject", "PutObject"]),
            ("manifests/*", "s3", &["DeleteObject", "GetObject"]),
            (
                "bucket",
                "s3",
                &["ListBucket", "ListBucketMultipartUploads"],
            ),
        ],
        other => panic!("what does {other} need?"),
    };
    let grants = grants.iter().map(|(resource, service, actions)| {
        let actions = actions.iter().map(|action| format!("{service}:{action}"));
        ((*resource).to_owned(), actions.collect())
    });
    let log = ["logs:CreateLogStream", "logs:PutLogEvents"].map(str::to_owned);
    grants.chain([("log".to_owned(), log.into())]).collect()
}

/// What a role of a template grants, its resources by short names.
///
/// # Panics
/// At a resource that is none of the deployment's own.
fn granted(role: &Value) -> Grants {
    let properties = &role["Properties"];
    assert_eq!(properties["ManagedPolicyArns"], Value::Null);
    let mut grants = Grants::new();
    let policies = properties["Policies"].as_array().unwrap().iter();
    let statements = policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array());
    for statement in statements.flatten() {
        let statement = match &statement["Fn::If"] {
            Value::Null => statement,
            choice => {
                assert_eq!(choice[0], "HasEvents");
                assert_eq!(choice[2]["Ref"], "AWS::NoValue");
                &choice[1]
            }
        };
        assert_eq!(statement["Effect"], "Allow");
        assert_eq!(statement["NotAction"], Value::Null);
        assert_eq!(statement["NotResource"], Value::Null);
        for resource in listed(&statement["Resource"]) {
            let actions = listed(&statement["Action"]);
            let actions = actions.iter().map(|action| {
                let action = action.as_str().unwrap().to_owned();
                assert!(!action.contains('*'), "{action}");
                action
            });
            grants.entry(short(&resource)).or_default().extend(actions);
        }
    }
    grants
}

fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    }
}

fn short(resource: &Value) -> String {
    if let Some(reference) = resource["Ref"].as_str() {
        return match reference {
            "TableArn" => "table",
            "BucketArn" => "bucket",
            "EventBusArn" => "event bus",
            "HttpSecret" | "OriginSecret" => "secret",
            other => panic!("{other} is none of the deployment's resources"),
        }
        .to_owned();
    }
    if let Some(attribute) = resource["Fn::GetAtt"].as_str() {
        assert!(attribute.ends_with("Log.Arn"), "{attribute}");
        return "log".to_owned();
    }
    if resource == "*" {
        return "*".to_owned();
    }
    match &resource["Fn::Sub"] {
        Value::String(text) if text.ends_with(":event-bus/${EventBus}") => "event bus".to_owned(),
        Value::String(text) => text.strip_prefix("${BucketArn}/").unwrap().to_owned(),
        Value::Array(parts) => {
            let text = parts[0].as_str().unwrap();
            assert!(text.ends_with(":repository/${Repository}"), "{text}");
            "repository".to_owned()
        }
        other => panic!("{other}"),
    }
}

fn roles(template: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role")
}

#[test]
fn each_function_may_do_what_its_routes_need_and_nothing_else() {
    let template = template::read("infra/permissions.yaml");
    let mut found = BTreeSet::new();
    for (name, role) in roles(&template) {
        let group = name.strip_suffix("Role").unwrap();
        assert_eq!(granted(role), needed(group), "{group}");
        let trusted = &role["Properties"]["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(trusted[0]["Principal"]["Service"], "lambda.amazonaws.com");
        found.insert(group.to_owned());
    }
    let template = template::read("template.yaml");
    let functions: BTreeSet<_> = functions(&template).map(|(group, _)| group).collect();
    assert_eq!(found, functions);
}

/// SAM would add a managed policy with `Resource: "*"` to a role that it makes.
#[test]
fn each_function_has_the_role_and_the_log_that_are_its_own() {
    let template = template::read("template.yaml");
    for (group, function) in functions(&template) {
        let properties = &function["Properties"];
        let role = format!("Permissions.Outputs.{group}Role");
        assert_eq!(properties["Role"]["Fn::GetAtt"], role.as_str());
        let log = format!("Permissions.Outputs.{group}Log");
        assert_eq!(
            properties["LoggingConfig"]["LogGroup"]["Fn::GetAtt"],
            log.as_str()
        );
        assert_eq!(properties["Policies"], Value::Null);
    }
}

fn functions(template: &Value) -> impl Iterator<Item = (String, &Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let functions = resources.filter(|(_, it)| it["Type"] == "AWS::Serverless::Function");
    functions.map(|(name, it)| (name.strip_suffix("Function").unwrap().to_owned(), it))
}

#[test]
fn the_upload_server_may_do_what_the_function_may_and_its_agent_what_starts_it() {
    let template = template::read("infra/uploads.yaml");
    let roles: BTreeMap<_, _> = roles(&template).collect();
    let mut server = needed("Uploads");
    // The agent writes the log.
    server.remove("log");
    assert_eq!(granted(roles[&"Role".to_owned()]), server);

    let agent = granted(roles[&"Execution".to_owned()]);
    let actions = |actions: &[&str]| -> BTreeSet<String> {
        actions.iter().map(|action| (*action).to_owned()).collect()
    };
    let image = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    ];
    let log = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let expected = [
        // The one action without a resource: the Service Authorization Reference names none.
        ("*", actions(&["ecr:GetAuthorizationToken"])),
        ("repository", actions(&image)),
        ("log", actions(&log)),
        ("secret", actions(&["secretsmanager:GetSecretValue"])),
    ];
    let expected = expected.map(|(resource, actions)| (resource.to_owned(), actions));
    assert_eq!(agent, Grants::from(expected));
    assert_eq!(roles.len(), 2);
}

/// No other template grants anything to anyone but CloudFront, and that only blobs.
#[test]
fn nothing_else_is_granted_but_signed_blobs_to_cloudfront() {
    for path in [
        "template.yaml",
        "infra/storage.yaml",
        "infra/edge.yaml",
        "infra/alarms.yaml",
    ] {
        let template = template::read(path).to_string();
        for policy in ["AWS::IAM::", "PolicyDocument", "ManagedPolic"] {
            assert!(!template.contains(policy), "{path}: {policy}");
        }
    }
    let blobs = template::read("infra/blobs.yaml");
    assert_eq!(roles(&blobs).count(), 0);
    let statements = &blobs["Resources"]["Policy"]["Properties"]["PolicyDocument"]["Statement"];
    assert_eq!(statements.as_array().unwrap().len(), 1);
    let statement = &statements[0];
    assert_eq!(
        statement["Principal"]["Service"],
        "cloudfront.amazonaws.com"
    );
    assert_eq!(statement["Action"], "s3:GetObject");
    assert_eq!(statement["Resource"]["Fn::Sub"], "${BucketArn}/blobs/*");
    let source = statement["Condition"]["StringEquals"]["AWS:SourceArn"].to_string();
    assert!(source.contains("distribution/${Distribution}"), "{source}");
}
