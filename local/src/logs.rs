//! The log on standard error, in the forms that CNCF Distribution writes.
//!
//! One event is one line and one write. Fields of the spans around an event are merged into it,
//! the inner ones winning. What is not of this project speaks only when it warns.

mod caller;
mod fields;
mod json;
pub(crate) mod quote;
mod text;
mod timestamp;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::str::FromStr;

use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, SetGlobalDefaultError};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use fields::{Fields, Value};

/// The targets of this project begin so.
const OURS: &str = "roadstead";

/// What the log looks like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least important level that is written.
    pub level: Level,
    /// The form of a line.
    pub formatter: Formatter,
    /// Fields of every line, from the configuration.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Whether lines tell where in the code they come from.
    pub report_caller: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: Level::INFO,
            formatter: Formatter::Text,
            fields: BTreeMap::new(),
            report_caller: false,
        }
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Formatter {
    /// `key=value`, as logrus writes it.
    Text,
    /// One JSON object.
    Json,
    /// One JSON object with the names that logstash expects.
    Logstash,
}

/// A name that is none of a [`Formatter`].
#[derive(Debug, thiserror::Error)]
#[error("unsupported logging formatter: {0:?}")]
pub struct UnknownFormatter(String);

impl FromStr for Formatter {
    type Err = UnknownFormatter;

    fn from_str(name: &str) -> Result<Self, UnknownFormatter> {
        match name {
            "" | "text" => Ok(Formatter::Text),
            "json" => Ok(Formatter::Json),
            "logstash" => Ok(Formatter::Logstash),
            unknown => Err(UnknownFormatter(unknown.to_owned())),
        }
    }
}

/// Sends all events of this process to standard error from now on.
pub fn init(options: Options) -> Result<(), SetGlobalDefaultError> {
    let subscriber = tracing_subscriber::registry().with(layer(options));
    tracing::subscriber::set_global_default(subscriber)
}

/// What [`init`] installs, for a subscriber with further layers.
pub fn layer<S>(options: Options) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer_to(options, |line| {
        // There is no better place to tell that standard error cannot be written.
        let _ = std::io::stderr().lock().write_all(line);
    })
}

pub(crate) fn layer_to<S>(
    options: Options,
    write: impl Fn(&[u8]) + Send + Sync + 'static,
) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let level = Levels(LevelFilter::from_level(options.level));
    Log::new(options, write).with_filter(level)
}

/// Which events are written.
struct Levels(LevelFilter);

impl Levels {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        let limit = if metadata.target().starts_with(OURS) {
            self.0
        } else {
            self.0.min(LevelFilter::WARN)
        };
        *metadata.level() <= limit
    }
}

impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.allows(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.allows(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0)
    }
}

/// The layer itself.
struct Log<W> {
    formatter: Formatter,
    report_caller: bool,
    base: Fields,
    write: W,
}

impl<W: Fn(&[u8])> Log<W> {
    fn new(options: Options, write: W) -> Self {
        let mut base = Fields::default();
        base.set("instance.id", Value::Text(Uuid::new_v4().to_string()));
        base.set("version", Value::Text(env!("CARGO_PKG_VERSION").to_owned()));
        for (name, value) in options.fields {
            base.set(name, value.into());
        }
        Self {
            formatter: options.formatter,
            report_caller: options.report_caller,
            base,
            write,
        }
    }

    fn write(&self, line: &Line<'_>) {
        thread_local! {
            static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            match self.formatter {
                Formatter::Text => text::write(buffer, line),
                Formatter::Json => json::write(buffer, line),
                Formatter::Logstash => json::write_logstash(buffer, line),
            }
            buffer.push('\n');
            (self.write)(buffer.as_bytes());
        });
    }
}

impl<S, W> Layer<S> for Log<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let scopes: Vec<_> = context.event_scope(event).into_iter().flatten().collect();
        let extensions: Vec<_> = scopes.iter().rev().map(|span| span.extensions()).collect();
        let spans = extensions
            .iter()
            .filter_map(|extensions| extensions.get::<Fields>());
        let layers = std::iter::once(&self.base)
            .chain(spans)
            .chain(std::iter::once(&own));
        let metadata = event.metadata();
        self.write(&Line {
            time: OffsetDateTime::now_utc(),
            level: level_name(*metadata.level()),
            message: own.message(),
            caller: self.report_caller.then(|| caller::Caller::of(metadata)),
            fields: fields::merge(layers),
        });
    }
}

/// What every form of a line shows.
struct Line<'a> {
    time: OffsetDateTime,
    level: &'static str,
    message: &'a str,
    caller: Option<caller::Caller>,
    /// Sorted, each name once.
    fields: Vec<(&'a str, &'a Value)>,
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// Runs `events` with `layer` as the log. One at a time: what of the code is of interest to a
    /// log is remembered by `tracing` for the whole process, and two that come and go at the same
    /// time could take each other's answer.
    pub(crate) fn logged<L>(layer: L, events: impl FnOnce())
    where
        L: Layer<tracing_subscriber::Registry> + Send + Sync,
    {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::callsite::rebuild_interest_cache();
            events();
        });
    }

    /// The lines that `events` writes.
    fn lines(options: Options, events: impl FnOnce()) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = written.clone();
        let layer = layer_to(options, move |line| sink.lock().unwrap().extend(line));
        logged(layer, events);
        let written = written.lock().unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn with(formatter: Formatter) -> Options {
        Options {
            formatter,
            fields: BTreeMap::from([("service".to_owned(), "registry".into())]),
            ..Options::default()
        }
    }

    /// A line without what differs from run to run.
    fn stable(line: &str) -> String {
        let patterns = [
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ];
        let mut line = line.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        for (pattern, name) in patterns.iter().zip(["TIME", "ID"]) {
            line = regex::Regex::new(pattern)
                .unwrap()
                .replace_all(&line, name)
                .into_owned();
        }
        line
    }

    fn pull() {
        let span = tracing::error_span!(
            "request",
            http.request.method = "GET",
            http.request.uri = "/v2/a/blobs/sha256:00?x=1",
            auth.user.name = tracing::field::Empty,
        );
        let _entered = span.enter();
        span.record("auth.user.name", "alice");
        tracing::warn!(count = 3, ratio = 0.5, ok = true, "slow\r\nanswer");
    }

    #[test]
    fn text_lines_are_those_of_logrus() {
        let lines = lines(with(Formatter::Text), pull);
        assert_eq!(
            stable(&lines[0]),
            r#"time="TIME" level=warning msg="slow\r\nanswer" auth.user.name=alice count=3 http.request.method=GET http.request.uri="/v2/a/blobs/sha256:00?x=1" instance.id=ID ok=true ratio=0.5 service=registry version=VERSION"#
        );
    }

    #[test]
    fn json_lines_are_objects_with_sorted_names() {
        let lines = lines(with(Formatter::Json), pull);
        assert_eq!(
            stable(&lines[0]),
            r#"{"auth.user.name":"alice","count":3,"http.request.method":"GET","http.request.uri":"/v2/a/blobs/sha256:00?x=1","instance.id":"ID","level":"warning","msg":"slow\r\nanswer","ok":true,"ratio":0.5,"service":"registry","time":"TIME","version":"VERSION"}"#
        );
    }

    #[test]
    fn logstash_lines_have_their_own_names() {
        let lines = lines(with(Formatter::Logstash), || tracing::info!("hello"));
        assert_eq!(
            stable(&lines[0]),
            r#"{"@timestamp":"TIME","@version":"1","instance.id":"ID","level":"info","message":"hello","service":"registry","type":"log","version":"VERSION"}"#
        );
    }

    #[test]
    fn names_that_the_form_needs_itself_are_moved_aside() {
        let lines = lines(with(Formatter::Text), || {
            tracing::info!(level = "mine", "hello");
        });
        assert!(lines[0].contains(" level=info msg=hello "));
        assert!(lines[0].contains(" fields.level=mine "));
    }

    #[test]
    fn any_json_may_be_a_configured_field() {
        let fields = serde_json::json!({
            "environment": "test", "list": [1, "b"], "map": {"k": null}, "on": true
        });
        let options = |formatter| Options {
            formatter,
            fields: serde_json::from_value(fields.clone()).unwrap(),
            ..Options::default()
        };
        let text = &lines(options(Formatter::Text), || tracing::info!("x"))[0];
        assert!(text.contains(r#" environment=test "#), "{text}");
        assert!(text.contains(r#" list="[1 b]" map="map[k:<nil>]" on=true "#));

        let line = &lines(options(Formatter::Json), || tracing::info!("x"))[0];
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(parsed["map"], fields["map"]);
        assert_eq!(parsed["list"], fields["list"]);
    }

    #[test]
    fn only_warnings_of_others_are_written() {
        let options = Options {
            level: Level::DEBUG,
            ..Options::default()
        };
        let lines = lines(options, || {
            tracing::debug!("ours");
            tracing::trace!("too much");
            tracing::info!(target: "hyper::proto", "noise");
            tracing::warn!(target: "hyper::proto", "theirs");
        });
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("msg=ours"));
        assert!(lines[1].contains("msg=theirs"));
    }

    #[test]
    fn a_caller_is_a_file_and_a_line() {
        let options = Options {
            report_caller: true,
            ..Options::default()
        };
        let lines = lines(options, || tracing::info!("here"));
        assert!(lines[0].contains(r#"msg=here func="roadstead::logs::tests" file="#));
        assert!(lines[0].contains("src/logs.rs:"));
    }

    #[test]
    fn an_unknown_formatter_is_named() {
        let error = "xml".parse::<Formatter>().unwrap_err();
        assert_eq!(error.to_string(), r#"unsupported logging formatter: "xml""#);
    }
}
