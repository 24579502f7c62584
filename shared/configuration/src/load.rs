use std::path::Path;
use std::sync::Arc;

use crate::effective::Effective;
use crate::yaml::{self, Document, Node, SyntaxError};
use crate::{
    Configuration, Origin, Problem, Problems, Severity, environment, renames, resolve, rules, show,
};

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

type Examined = (Option<(Configuration, Effective)>, Vec<Problem>);

fn examine(source: &Source, variables: impl IntoIterator<Item = (String, String)>) -> Examined {
    let mut problems = Vec::new();
    let mut root = match tree(source, &mut problems) {
        Ok(root) => root,
        Err(problem) => return (None, vec![problem]),
    };
    environment::apply(&mut root, variables, &mut problems);
    renames::apply(&mut root, &mut problems);
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

fn tree(source: &Source, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let (name, text) = source.parts();
    let at = move |line| Origin::File {
        name: Arc::clone(&name),
        line,
    };
    let Document { root, repeated } =
        yaml::parse(text, &at, &["storage", "auth"]).map_err(|error| syntax(&at, error))?;
    for key in repeated {
        let message = format!(
            "written twice, first at {}; of values that cannot be joined, the last counts",
            key.first
        );
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
