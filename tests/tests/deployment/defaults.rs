//! What a deployment is that nobody has adjusted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use roadstead_tests::{Implementation, template, tool};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn parameter(template: &Value, name: &str) -> Value {
    template["Parameters"][name]["Default"].clone()
}

#[test]
fn nobody_can_write_or_delete_unless_it_is_asked_for() {
    let template = template::read("template.yaml");
    assert_eq!(parameter(&template, "Access"), "read-only");
    assert_eq!(parameter(&template, "DeleteEnabled"), "false");
    assert_eq!(
        template["Conditions"]["ReadOnly"],
        json!({"Fn::Equals": [{"Ref": "Access"}, "read-only"]})
    );
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(
        variables["REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED"],
        json!({"Fn::If": ["ReadOnly", "true", "false"]})
    );
}

#[test]
fn every_secret_is_generated_and_stays_in_secrets_manager() {
    let storage = template::read("infra/storage.yaml");
    for name in ["HttpSecret", "OriginSecret"] {
        let secret = &storage["Resources"][name];
        assert_eq!(secret["Type"], "AWS::SecretsManager::Secret");
        assert_eq!(secret["Properties"]["SecretString"], Value::Null);
        let length = &secret["Properties"]["GenerateSecretString"]["PasswordLength"];
        assert!(length.as_u64().unwrap() >= 32, "{name}");
    }
    let template = template::read("template.yaml");
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let variables = variables.as_object().unwrap();
    let secrets = variables.iter().filter(|(name, _)| {
        name.ends_with("SECRET") || name.ends_with("PRIVATEKEY") || name.ends_with("PASSWORD")
    });
    let secrets: Vec<_> = secrets.collect();
    assert_eq!(secrets.len(), 3, "{secrets:?}");
    for (name, value) in secrets {
        assert!(
            value.to_string().contains("{{resolve:secretsmanager:"),
            "{name}"
        );
    }
    let parameters = template["Parameters"].as_object().unwrap();
    for (name, parameter) in parameters {
        let default = parameter["Default"].as_str().unwrap_or_default();
        assert!(!name.contains("Key") || default.is_empty(), "{name}");
    }
}

/// The origins of the edge are given the secret that the functions compare; a function that
/// clients call themselves has none.
#[test]
fn only_the_edge_can_call_the_functions_behind_it() {
    let edge = template::read("infra/edge.yaml");
    let config = &edge["Resources"]["Distribution"]["Properties"]["DistributionConfig"];
    let origins = config["Origins"].as_array().unwrap();
    assert_eq!(origins.len(), 6);
    for origin in origins {
        let origin = match &origin["Fn::If"] {
            Value::Null => origin,
            choice => &choice[1],
        };
        let header = &origin["OriginCustomHeaders"][0];
        assert_eq!(header["HeaderName"], "X-Origin-Secret", "{origin}");
        assert_eq!(
            header["HeaderValue"]["Fn::Sub"],
            "{{resolve:secretsmanager:${OriginSecret}}}"
        );
        let custom = &origin["CustomOriginConfig"];
        assert!(custom.is_null() || custom["OriginProtocolPolicy"] == "https-only");
    }
    let template = template::read("template.yaml");
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    let secret = &variables["REGISTRY_HTTP_ORIGINSECRET"]["Fn::If"];
    assert_eq!(
        (&secret[0], &secret[2]),
        (&json!("Groups"), &json!({"Ref": "AWS::NoValue"}))
    );
}

/// A Function URL takes the challenge from answers, and gives nobody the chance to put it back.
#[test]
fn nobody_has_to_log_in_where_no_challenge_gets_through() {
    let template = template::read("template.yaml");
    let rule = &template["Rules"]["Logins"];
    let is = |access: &str| json!({"Fn::Equals": [{"Ref": "Access"}, access]});
    assert_eq!(
        rule["RuleCondition"]["Fn::Or"],
        json!([is("htpasswd"), is("token")])
    );
    let behind_the_edge = json!({"Fn::Equals": [{"Ref": "Functions"}, "groups"]});
    assert_eq!(rule["Assertions"][0]["Assert"], behind_the_edge);
}

#[test]
fn what_is_kept_is_private_encrypted_and_outlives_the_stack() {
    let storage = template::read("infra/storage.yaml");
    let bucket = &storage["Resources"]["Bucket"];
    let table = &storage["Resources"]["Table"];
    for resource in [bucket, table] {
        assert_eq!(resource["DeletionPolicy"], "Retain");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain");
    }
    let access = &bucket["Properties"]["PublicAccessBlockConfiguration"];
    for key in [
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    ] {
        assert_eq!(access[key], true, "{key}");
    }
    let encryption = &bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"];
    assert!(encryption[0]["ServerSideEncryptionByDefault"].is_object());
    let point_in_time = &table["Properties"]["PointInTimeRecoverySpecification"];
    assert_eq!(point_in_time["PointInTimeRecoveryEnabled"], true);
}

/// An upload can be gone on with for `uploadlifetime`: the bucket must not forget it before.
#[test]
fn abandoned_multiparts_go_and_those_under_way_do_not() {
    let storage = template::read("infra/storage.yaml");
    let rules = &storage["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"];
    let rules = rules.as_array().unwrap().iter();
    let days: Vec<u64> = rules
        .filter(|rule| rule["Status"] == "Enabled")
        .filter_map(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"].as_u64())
        .collect();
    let package = std::fs::read_to_string(root().join("infra/package/roadstead.yml")).unwrap();
    let lifetime = package
        .lines()
        .find_map(|line| line.trim().strip_prefix("uploadlifetime: "));
    let hours: u64 = lifetime
        .unwrap()
        .strip_suffix('h')
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        days.len() == 1 && days[0] * 24 > hours,
        "{days:?} days, {hours} hours"
    );
}

/// The names that `shared/metadata-dynamodb/src/keys.rs` reads and writes.
#[test]
fn the_table_is_the_one_that_the_code_describes() {
    let storage = template::read("infra/storage.yaml");
    let table = &storage["Resources"]["Table"]["Properties"];
    let keys = json!([
        { "AttributeName": "pk", "KeyType": "HASH" },
        { "AttributeName": "sk", "KeyType": "RANGE" },
    ]);
    assert_eq!(table["KeySchema"], keys);
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": "ttl", "Enabled": true })
    );
    assert_eq!(table["GlobalSecondaryIndexes"], Value::Null);
}

#[test]
fn every_log_is_kept_for_a_time_and_no_longer() {
    for path in ["infra/permissions.yaml", "infra/uploads.yaml"] {
        let template = template::read(path);
        let resources = template["Resources"].as_object().unwrap().values();
        let logs = resources.filter(|resource| resource["Type"] == "AWS::Logs::LogGroup");
        let logs: Vec<_> = logs.collect();
        assert!(!logs.is_empty(), "{path}");
        for log in logs {
            assert_eq!(
                log["Properties"]["RetentionInDays"]["Ref"],
                "LogRetentionDays"
            );
        }
    }
}

/// A crate for each function, a rule that builds it, a folder for each architecture, and alarms.
#[test]
fn every_function_can_be_built_for_every_architecture_and_is_watched() {
    let template = template::read("template.yaml");
    let makefile = std::fs::read_to_string(root().join("infra/package/Makefile")).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let functions = resources
        .iter()
        .filter(|(_, it)| it["Type"] == "AWS::Serverless::Function");
    let mut groups = BTreeSet::new();
    for (name, function) in functions {
        let group = name.strip_suffix("Function").unwrap().to_lowercase();
        let rule = format!("\nbuild-{name}: roadstead-{group}\n");
        assert!(makefile.contains(&rule), "{rule}");
        let folder = &function["Metadata"]["WorkingDirectory"]["Fn::Sub"];
        assert_eq!(folder, "infra/package/${Architecture}");
        let alarms = resources.values().filter(|it| {
            it["Type"] == "AWS::CloudFormation::Stack"
                && it["Properties"]["TemplateURL"] == "infra/alarms.yaml"
                && it["Properties"]["Parameters"]["FunctionName"]["Ref"] == name.as_str()
        });
        assert_eq!(alarms.count(), 1, "{name}");
        groups.insert(group);
    }
    let crates = std::fs::read_dir(root().join("functions")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(groups, crates.collect());
    let architectures = template["Parameters"]["Architecture"]["AllowedValues"]
        .as_array()
        .unwrap();
    for architecture in architectures {
        let file = format!(
            "infra/package/{}/architecture.mk",
            architecture.as_str().unwrap()
        );
        assert!(root().join(&file).is_file(), "{file}");
    }
}

/// With what the template lays over them.
#[test]
fn the_configurations_that_are_shipped_are_without_a_fault() {
    let variables = [
        ("REGISTRY_STORAGE_S3_BUCKET", "bucket"),
        ("REGISTRY_STORAGE_S3_REGION", "eu-central-1"),
        ("REGISTRY_METADATA_DYNAMODB_TABLE", "table"),
        ("REGISTRY_METADATA_DYNAMODB_REGION", "eu-central-1"),
        ("REGISTRY_HTTP_SECRET", "secret"),
    ];
    let of_functions =
        |path: &str| !path.ends_with("container.yml") && !path.ends_with("systemd.yml");
    for path in [
        "infra/package/roadstead.yml",
        "infra/examples/serverless.yml",
        "infra/examples/container.yml",
        "infra/examples/systemd.yml",
    ] {
        let mut check = std::process::Command::new(binary());
        check
            .args(["config", "check"])
            .arg(root().join(path))
            .envs(variables.into_iter().filter(|_| of_functions(path)));
        let said = tool::finish(check).success();
        assert!(said.contains("0 errors and 0 warnings"), "{path}: {said}");
    }
}

fn binary() -> PathBuf {
    Implementation::Roadstead.program().unwrap()
}
