//! The addresses of AWS, from a server that does as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_storage::{Recipient, UrlSigner};
use roadstead_storage_cloudfront::{AddressFilter, CloudFront, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::support::{BASE, Keys, STORE, config, from, over, sent};

const LIST: &str = r#"{"prefixes": [
    {"ip_prefix": "3.4.0.0/16", "region": "eu-west-1", "service": "EC2"},
    {"ip_prefix": "15.230.39.0/31", "region": "us-east-2", "service": "AMAZON"}
], "ipv6_prefixes": [{"ipv6_prefix": "2600:1f00::/24", "region": "eu-west-1", "service": "EC2"}]}"#;

#[derive(Clone)]
enum Answer {
    List(&'static str),
    Status(u16),
    Silence,
    Endless,
}

struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    /// How many answers were cut off by the other side.
    cut: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    task: AbortHandle,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ip-ranges.json", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let cut = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new(answer));
        let shared = (Arc::clone(&asked), Arc::clone(&cut), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (asked, cut, answer) = shared.clone();
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 4096]).await;
                    let answer = answer.lock().unwrap().clone();
                    let head = |length: usize| {
                        format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                        )
                    };
                    let text = match answer {
                        Answer::List(list) => head(list.len()) + list,
                        Answer::Status(status) => {
                            format!(
                                "HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                            )
                        }
                        Answer::Silence => String::new(),
                        Answer::Endless => head(usize::MAX),
                    };
                    let _ = socket.write_all(text.as_bytes()).await;
                    asked.fetch_add(1, Ordering::SeqCst);
                    match answer {
                        Answer::Endless => {
                            let spaces = vec![b' '; 1 << 20];
                            while socket.write_all(&spaces).await.is_ok() {}
                            cut.fetch_add(1, Ordering::SeqCst);
                        }
                        Answer::Silence => std::future::pending().await,
                        _ => {}
                    }
                });
            }
        });
        Self {
            url,
            asked,
            cut,
            answer,
            task: task.abort_handle(),
        }
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn filtered(keys: &Keys, server: &Server, regions: &[&str], seconds: u64) -> CloudFront {
    let filter = AddressFilter {
        regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        url: server.url.clone(),
        update_frequency: Duration::from_secs(seconds),
    };
    over(Config {
        filter: Some(filter),
        ..config(keys)
    })
}

async fn goes_to_store(signer: &dyn UrlSigner, recipient: &Recipient) -> bool {
    let url = sent(signer, recipient).await.unwrap();
    assert!(url == STORE || url.starts_with(BASE), "{url}");
    url == STORE
}

/// Asks until the answer is yes.
async fn until(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !probe().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn clients_of_aws_go_to_the_store() {
    let Some(keys) = Keys::p256() else { return };
    let server = Server::start(Answer::List(LIST)).await;
    let signer = filtered(&keys, &server, &[], 3600);
    until("the addresses", async || {
        goes_to_store(&signer, &from("3.4.5.6")).await
    })
    .await;
    for inside in ["15.230.39.1", "2600:1f00::7", "::ffff:3.4.5.6"] {
        assert!(goes_to_store(&signer, &from(inside)).await, "{inside}");
    }
    for outside in ["192.0.2.1", "2001:db8::1", "15.230.39.2"] {
        assert!(!goes_to_store(&signer, &from(outside)).await, "{outside}");
    }
    assert!(!goes_to_store(&signer, &Recipient::default()).await);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn only_clients_of_the_regions_go_to_the_store() {
    let Some(keys) = Keys::p256() else { return };
    let server = Server::start(Answer::List(LIST)).await;
    let signer = filtered(&keys, &server, &["eu-central-1", "US-EAST-2"], 3600);
    until("the addresses", async || {
        goes_to_store(&signer, &from("15.230.39.1")).await
    })
    .await;
    assert!(!goes_to_store(&signer, &from("3.4.5.6")).await);
}

#[tokio::test]
async fn nobody_waits_for_the_addresses() {
    let Some(keys) = Keys::p256() else { return };
    let server = Server::start(Answer::Silence).await;
    let signer = filtered(&keys, &server, &[], 3600);
    until("the request", async || server.asked() == 1).await;
    for _ in 0..3 {
        assert!(!goes_to_store(&signer, &from("3.4.5.6")).await);
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_failure_is_made_good_and_leaves_what_is_known() {
    let Some(keys) = Keys::p256() else { return };
    let server = Server::start(Answer::Status(500)).await;
    let signer = filtered(&keys, &server, &[], 1);
    let client = from("3.4.5.6");
    until("a second try", async || {
        assert!(!goes_to_store(&signer, &client).await);
        server.asked() >= 2
    })
    .await;
    server.answer(Answer::List(LIST));
    until("the addresses", async || {
        goes_to_store(&signer, &client).await
    })
    .await;
    for answer in [
        Answer::Status(404),
        Answer::List("<html>"),
        Answer::List("{}"),
    ] {
        server.answer(answer);
        // The one under way may have been answered otherwise, the one after it is not.
        let enough = server.asked() + 2;
        until("the next tries", async || {
            assert!(goes_to_store(&signer, &client).await);
            server.asked() >= enough
        })
        .await;
    }
    server.answer(Answer::List(
        r#"{"prefixes": [{"ip_prefix": "9.9.9.9/32", "region": "a"}]}"#,
    ));
    until("other addresses", async || {
        !goes_to_store(&signer, &client).await
    })
    .await;
}

#[tokio::test]
async fn a_list_without_an_end_is_cut_off() {
    let Some(keys) = Keys::p256() else { return };
    let server = Server::start(Answer::Endless).await;
    let signer = filtered(&keys, &server, &[], 3600);
    until("the cut", async || server.cut.load(Ordering::SeqCst) == 1).await;
    assert!(!goes_to_store(&signer, &from("3.4.5.6")).await);
}
