//! An event bus of EventBridge, and what comes over it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::ministack::KEY;
use crate::{tool, wait};

const REGION: &str = "us-east-1";

fn unique() -> String {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    format!("test-{}-{}", std::process::id(), now.as_nanos())
}

/// A bus of MiniStack with a rule that sends everything to a queue of SQS.
pub struct EventBus {
    curl: PathBuf,
    url: String,
    /// Its name.
    pub name: String,
    queue: String,
}

impl EventBus {
    /// A new bus, with events of this `source` going to its queue. MiniStack is at `url`; what is
    /// sent to it is signed by `curl`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(curl: PathBuf, url: &str, source: &str) -> Self {
        let bus = Self::named(curl, url, unique());
        bus.call(
            "events",
            "AWSEvents.CreateEventBus",
            &json!({"Name": bus.name}),
        );
        bus.listening(source)
    }

    /// The bus that every account has.
    ///
    /// # Panics
    /// When nobody can listen to it.
    #[must_use]
    pub fn default(curl: PathBuf, url: &str, source: &str) -> Self {
        Self::named(curl, url, "default".to_owned()).listening(source)
    }

    fn named(curl: PathBuf, url: &str, name: String) -> Self {
        let (url, queue) = (url.to_owned(), String::new());
        Self {
            curl,
            url,
            name,
            queue,
        }
    }

    fn listening(self, source: &str) -> Self {
        let bus = self;
        let (name, queue) = (&bus.name, unique());
        let queue = bus.call("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": queue}));
        let queue = queue["QueueUrl"]
            .as_str()
            .expect("a queue has a URL")
            .to_owned();
        let wanted = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]});
        let attributes = bus.call("sqs", "AmazonSQS.GetQueueAttributes", &wanted);
        let arn = &attributes["Attributes"]["QueueArn"];
        let pattern = json!({"source": [source]}).to_string();
        let rule = json!({"Name": "all", "EventBusName": name, "EventPattern": pattern});
        bus.call("events", "AWSEvents.PutRule", &rule);
        let targets =
            json!({"Rule": "all", "EventBusName": name, "Targets": [{"Id": "queue", "Arn": arn}]});
        let done = bus.call("events", "AWSEvents.PutTargets", &targets);
        assert_eq!(done["FailedEntryCount"], 0, "{done}");
        Self { queue, ..bus }
    }

    /// The section `notifications.eventbridge` for it, over this endpoint.
    #[must_use]
    pub fn config(&self, endpoint: &str) -> Value {
        json!({
            "bus": self.name,
            "region": REGION,
            "endpoint": endpoint,
            "accesskey": KEY,
            "secretkey": KEY,
            "timeout": "20s",
        })
    }

    /// Waits for so many events, in the order of their ids.
    ///
    /// # Panics
    /// When they do not come.
    #[must_use]
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        wait::until(&format!("{count} events on the bus"), || {
            events.extend(self.receive());
            (events.len() >= count).then_some(())
        });
        events.sort_by_key(|event| event["detail"]["id"].to_string());
        events
    }

    /// What has come since the last time.
    ///
    /// # Panics
    /// When the queue does not answer.
    #[must_use]
    pub fn receive(&self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let call = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10});
            let answer = self.call("sqs", "AmazonSQS.ReceiveMessage", &call);
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return events;
            }
            for message in messages {
                let handle = &message["ReceiptHandle"];
                let done = json!({"QueueUrl": self.queue, "ReceiptHandle": handle});
                self.call("sqs", "AmazonSQS.DeleteMessage", &done);
                let body = message["Body"].as_str().expect("a message has a body");
                events.push(serde_json::from_str(body).expect("an event is JSON"));
            }
        }
    }

    fn call(&self, service: &str, operation: &str, body: &Value) -> Value {
        let signer = format!("aws:amz:{REGION}:{service}");
        let target = format!("X-Amz-Target: {operation}");
        let (user, body, url) = (
            format!("{KEY}:{KEY}"),
            body.to_string(),
            format!("{}/", self.url),
        );
        let done = tool::run(
            &self.curl,
            [
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--max-time",
                "60",
                "--aws-sigv4",
                &signer,
                "--user",
                &user,
                "--header",
                "Content-Type: application/x-amz-json-1.1",
                "--header",
                &target,
                "--data-binary",
                &body,
                &url,
            ],
        );
        let answer = done.success();
        match answer.trim() {
            "" => Value::Null,
            answer => {
                serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
            }
        }
    }
}
