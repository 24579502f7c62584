use std::path::Path;
use std::sync::Arc;

use crate::access::Access;
use crate::effective::Effective;
use crate::yaml::{self, Document, Node, SyntaxError};
use crate::{
    Configuration, Origin, Problem, Problems, Severity, environment, renames, resolve, rules, show,
};

/// The sections of which Distribution keeps only the last; others it joins.
const WHOLE: [&str; 3] = ["storage", "metadata", "auth"];
const JOINED: &str = "of values that cannot be joined, the last counts";

const DEFAULT: &str = include_str!("default.yml");

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A text, and the path that problems name it by.
    File {
        /// As the user gave it.
        path: String,
        /// The content.
        text: String,
    },
    /// What the registry runs on when nobody says anything: a local folder, this machine only, deletion enabled.
    EmbeddedDefault,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file's own. A file that is no UTF-8 is one too: a configuration is text.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        Ok(Self::File {
            path: path.display().to_string(),
            text,
        })
    }

    /// The text of the embedded default, for those who want to start from it.
    #[must_use]
    pub fn embedded_text() -> &'static str {
        DEFAULT
    }

    fn parts(&self) -> (Arc<str>, &str) {
        match self {
            Self::File { path, text } => (Arc::from(path.as_str()), text),
            Self::EmbeddedDefault => (Arc::from("built-in default"), DEFAULT),
        }
    }
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub configuration: Configuration,
    /// What the user should know: unknown keys, features that are not built, deprecated names.
    pub warnings: Vec<Problem>,
    effective: Effective,
    is_default: bool,
}

impl Loaded {
    /// The configuration as it takes effect, as YAML, with where each value is from and without secrets.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(&self.effective)
    }

    /// Where the value at a path like `http.addr` is from; nothing for sections and for what is unset.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.effective.find(path).map(|leaf| &leaf.origin)
    }

    /// The line that a start on the embedded default logs, so that nobody wonders where the data is.
    #[must_use]
    pub fn default_notice(&self) -> Option<String> {
        let configuration = &self.configuration;
        let place = match &configuration.storage.driver {
            crate::storage::Driver::Filesystem(filesystem) => {
                format!("storing in {}", filesystem.rootdirectory)
            }
            other => format!("storing with the {} driver", other.name()),
        };
        let deletion = if configuration.storage.delete.enabled {
            "enabled"
        } else {
            "disabled"
        };
        let addr = &configuration.http.addr;
        self.is_default
            .then(|| format!("no configuration given, using the built-in default: {place}, listening on {addr}, deletion {deletion}"))
    }
}

impl Configuration {
    /// Reads a configuration and applies the `REGISTRY_*` variables among `variables`; others are not looked at.
    ///
    /// # Errors
    ///
    /// Everything that stops a start, at once, with the warnings beside.
    pub fn load(
        source: &Source,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        let (loaded, problems) = examine(source, variables);
        let has_errors = problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        match loaded {
            Some((configuration, effective)) if !has_errors => {
                let is_default = *source == Source::EmbeddedDefault;
                Ok(Loaded {
                    configuration,
                    warnings: problems,
                    effective,
                    is_default,
                })
            }
            _ => Err(Problems(problems)),
        }
    }

    /// Everything that is to be said about a configuration, errors and warnings, in the order of the text. Empty: it is fine.
    pub fn check(
        source: &Source,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Problem> {
        examine(source, variables).1
    }
}

impl Access {
    /// Reads the text of a file of `access.path`: `groups` and `rules`, as strictly as within a configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let root = tree(source, &mut problems).map_err(|problem| Problems(vec![problem]))?;
        let of = |key| root.as_map().and_then(|map| map.get(key));
        if let Some(section) = of("access") {
            let message = "groups and rules stand here without a section around them";
            let problem = Problem::error("access", &section.origin, message);
            return Err(Problems(vec![problem]));
        }
        let effective = resolve::resolve_section(Self::KEYS, &root, &mut problems);
        if of("rules").is_none_or(Node::is_null) {
            problems.push(Problem::error("rules", &root.origin, "is missing"));
        }
        if let Some(path) = of("path") {
            problems.push(Problem::error(
                "path",
                &path.origin,
                "no file leads to another",
            ));
        }
        // What is said twice has not been said.
        for problem in &mut problems {
            problem.severity = Severity::Error;
        }
        match serde_json::from_value(effective.to_json()) {
            Ok(access) if problems.is_empty() => Ok(access),
            _ => Err(Problems(problems)),
        }
    }
}

type Examined = (Option<(Configuration, Effective)>, Vec<Problem>);

fn examine(source: &Source, variables: impl IntoIterator<Item = (String, String)>) -> Examined {
    let mut problems = Vec::new();
    let mut root = match tree(source, &mut problems) {
        Ok(root) => root,
        Err(problem) => return (None, vec![problem]),
    };
    environment::apply(&mut root, variables, &mut problems);
    renames::apply(&mut root, &mut problems);
    require_version(&root, &mut problems);
    let effective = resolve::resolve(&root, &mut problems);
    let configuration = typed(&effective, &mut problems);
    if let Some(configuration) = &configuration {
        rules::check(configuration, &effective, &mut problems);
    }
    problems.sort_by_key(|problem| {
        (
            problem.line().unwrap_or(usize::MAX),
            problem.origin.to_string(),
        )
    });
    (
        configuration.map(|configuration| (configuration, effective)),
        problems,
    )
}

fn require_version(root: &Node, problems: &mut Vec<Problem>) {
    let version = root.as_map().and_then(|map| map.get("version"));
    if version.is_none_or(Node::is_null) {
        let origin = &version.unwrap_or(root).origin;
        problems.push(
            Problem::error("version", origin, "unsupported version: \"\"")
                .suggest("write version: 0.1"),
        );
    }
}

fn tree(source: &Source, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let (name, text) = source.parts();
    let at = move |line| Origin::File {
        name: Arc::clone(&name),
        line,
    };
    let Document { root, repeated } =
        yaml::parse(text, &at, &WHOLE).map_err(|error| syntax(&at, error))?;
    for key in repeated {
        let rule = if WHOLE.contains(&key.path.as_str()) {
            "the last counts"
        } else {
            JOINED
        };
        let message = format!("written twice, first at {}; {rule}", key.first);
        problems.push(Problem::warning(&key.path, &key.again, message));
    }
    if root.as_map().is_none() && !root.is_null() {
        let message = format!(
            "expected a section with keys, found {}",
            root.describe(false)
        );
        return Err(Problem::error("", &root.origin, message));
    }
    Ok(root)
}

fn syntax(at: &impl Fn(usize) -> Origin, error: SyntaxError) -> Problem {
    Problem::error(
        "",
        &at(error.line),
        format!("not valid YAML: {}", error.message),
    )
}

/// The structs. Values that could not be typed are noted already, so a failure here says something new only if nothing else does.
fn typed(effective: &Effective, problems: &mut Vec<Problem>) -> Option<Configuration> {
    match serde_json::from_value(effective.to_json()) {
        Ok(configuration) => Some(configuration),
        Err(_)
            if problems
                .iter()
                .any(|problem| problem.severity == Severity::Error) =>
        {
            None
        }
        Err(error) => {
            problems.push(Problem::error("", &Origin::Default, error.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Provider;
    use crate::middleware::{RegistryOptions, StorageOptions};
    use crate::storage::Driver;

    /// The structs, whatever a start would say of features that are not built.
    fn structs(text: &str) -> Configuration {
        let source = Source::File {
            path: "config.yml".to_owned(),
            text: text.to_owned(),
        };
        let mut problems = Vec::new();
        let mut root = tree(&source, &mut problems).unwrap();
        renames::apply(&mut root, &mut problems);
        let effective = resolve::resolve(&root, &mut problems);
        serde_json::from_value(effective.to_json()).unwrap()
    }

    /// The example of Distribution 3 with only these driver and authentication type.
    fn example(driver: &str, auth: &str) -> Configuration {
        let text = include_str!("../tests/fixtures/distribution-3.yml");
        let drivers = ["filesystem", "azure", "gcs", "s3", "inmemory"];
        let others = drivers
            .into_iter()
            .chain(["silly", "token", "htpasswd"])
            .filter(|name| ![driver, auth].contains(name));
        let text = others.fold(text.to_owned(), |text, name| without(&text, name));
        let text = text
            .replace("<http.Header>", "{A: [b]}")
            .replace("[username]", "u")
            .replace("[password]", "p");
        structs(&text)
    }

    /// The text without a key of the second level and all below it.
    fn without(text: &str, key: &str) -> String {
        let start = format!("  {key}:");
        let mut inside = false;
        let kept = text.lines().filter(|line| {
            inside = line.starts_with(&start) || (inside && line.starts_with("   "));
            !inside
        });
        kept.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn every_driver_has_its_struct() {
        let Driver::S3(s3) = example("s3", "silly").storage.driver else {
            panic!("not s3")
        };
        assert_eq!(
            (s3.bucket.as_deref(), s3.chunksize, s3.forcepathstyle),
            (Some("bucketname"), 5_242_880, true)
        );
        assert_eq!(
            s3.secretkey.as_ref().map(|secret| secret.expose()),
            Some("awssecretkey")
        );
        let Driver::Gcs(gcs) = example("gcs", "silly").storage.driver else {
            panic!("not gcs")
        };
        assert_eq!(
            gcs.credentials.project_id.as_deref(),
            Some("project_id_string")
        );
        let Driver::Azure(azure) = example("azure", "silly").storage.driver else {
            panic!("not azure")
        };
        assert_eq!(
            (
                azure.credentials.kind.as_deref(),
                azure.copy_status_poll_max_retry
            ),
            (Some("client_secret"), 10)
        );
        assert_eq!(azure.copy_status_poll_delay.as_millis(), 100);
        assert_eq!(
            structs("version: 0.1\nstorage: s3aws\n")
                .storage
                .driver
                .name(),
            "s3"
        );
    }

    #[test]
    fn every_authentication_type_has_its_struct() {
        let Some(Provider::Token(token)) = example("inmemory", "token").auth.provider else {
            panic!("not token")
        };
        assert_eq!(
            (token.autoredirect, token.signingalgorithms),
            (true, vec!["EdDSA".to_owned(), "HS256".to_owned()])
        );
        let Some(Provider::Htpasswd(htpasswd)) = example("inmemory", "htpasswd").auth.provider
        else {
            panic!("not htpasswd")
        };
        assert_eq!(htpasswd.path.as_deref(), Some("/path/to/htpasswd"));
        let Some(Provider::Silly(silly)) = example("inmemory", "silly").auth.provider else {
            panic!("not silly")
        };
        assert_eq!(silly.realm.as_deref(), Some("silly-realm"));
    }

    #[test]
    fn every_section_of_the_example_has_its_struct() {
        let configuration = example("filesystem", "silly");
        assert_eq!(
            configuration.http.tls.letsencrypt.hosts,
            ["myregistryaddress.org"]
        );
        assert_eq!(
            configuration.log.hooks[0].options.smtp.addr.as_deref(),
            Some("mail.example.com:25")
        );
        assert!(
            matches!(&configuration.middleware.registry[0].options, RegistryOptions::Other(options) if options["foo"] == "bar")
        );
        assert_eq!(
            configuration.notifications.endpoints[0].ignore.actions,
            ["pull"]
        );
        assert_eq!(
            configuration.notifications.endpoints[0].headers["A"][0].expose(),
            "b"
        );
        assert_eq!(configuration.redis.addrs, ["localhost:6379"]);
        assert_eq!(
            configuration
                .redis
                .dialtimeout
                .map(|timeout| timeout.as_millis()),
            Some(10)
        );
        assert_eq!(configuration.health.http[0].statuscode, 200);
        assert_eq!(
            configuration.health.tcp[0].addr.as_deref(),
            Some("redis-server.domain.com:6379")
        );
        assert_eq!(configuration.proxy.username.as_deref(), Some("u"));
    }

    #[test]
    fn every_storage_middleware_has_its_struct() {
        let text = "version: 0.1
storage: inmemory
middleware:
  storage:
    - {name: cloudfront, options: {baseurl: 'https://c/', duration: 3000s, updatefrenquency: 1h, ipfilteredby: awsregion}}
    - {name: redirect, options: {baseurl: 'https://r/'}}
    - {name: rewrite, options: {host: h}}
    - {name: mine, options: {anything: [1]}}
    - {name: redirect}
";
        let entries = structs(text).middleware.storage;
        let StorageOptions::Cloudfront(cloudfront) = &entries[0].options else {
            panic!("{:?}", entries[0])
        };
        assert_eq!(
            (
                cloudfront.duration.as_secs(),
                cloudfront.updatefrequency.as_secs()
            ),
            (3000, 3600)
        );
        assert!(
            matches!(&entries[1].options, StorageOptions::Redirect(to) if to.baseurl.as_deref() == Some("https://r/"))
        );
        assert!(
            matches!(&entries[2].options, StorageOptions::Rewrite(to) if to.host.as_deref() == Some("h"))
        );
        assert!(
            matches!(&entries[3].options, StorageOptions::Other(options) if options["anything"][0] == 1)
        );
        assert!(
            matches!(&entries[4].options, StorageOptions::Redirect(to) if to.baseurl.is_none())
        );
    }
}
