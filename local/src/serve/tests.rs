//! Whole connections over real sockets.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Router, routing::get};
use http::{HeaderMap, HeaderValue, Response, header};
use roadstead_api::body::{FileSender, file_body};
use roadstead_api::{Connection, Peer};
use roadstead_storage::FileRange;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// Not a multiple of a page, nor of a slice.
const LENGTH: usize = 9_000_001;

fn content() -> Vec<u8> {
    (0..LENGTH as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

struct Blob {
    file: Arc<File>,
    content: Vec<u8>,
}

fn blob() -> Arc<Blob> {
    let content = content();
    // Beside the target directory: a temporary directory may not tell what is cached.
    let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    file.write_all(&content).unwrap();
    let file = Arc::new(file);
    Arc::new(Blob { file, content })
}

/// Answers with the range `offset-length` that the header `part` names.
async fn pull(
    State(blob): State<Arc<Blob>>,
    sender: Option<Extension<FileSender>>,
    headers: HeaderMap,
) -> Response<Body> {
    let part = headers.get("part").map(HeaderValue::to_str);
    let (offset, length) = match part {
        Some(part) => part.unwrap().split_once('-').unwrap(),
        None => ("0", "9000001"),
    };
    let range = FileRange {
        file: blob.file.clone(),
        offset: offset.parse().unwrap(),
        length: length.parse().unwrap(),
    };
    let how = if sender.is_some() { "kernel" } else { "copy" };
    let body = match sender {
        Some(Extension(sender)) => sender.body(range),
        None => file_body(range),
    };
    Response::builder()
        .header("sent-by", how)
        .body(body)
        .unwrap()
}

async fn whoami(Extension(connection): Extension<Connection>) -> String {
    let kind = match connection.peer {
        Peer::Socket(address) if address.is_ipv4() => "IPv4",
        Peer::Socket(_) | Peer::Address(_) => "other",
        Peer::Local => "local",
    };
    format!("{kind}, secure: {}", connection.secure)
}

fn app(blob: &Arc<Blob>) -> Router {
    Router::new()
        .route("/blob", get(pull))
        .route("/whoami", get(whoami))
        .route(
            "/echo",
            axum::routing::post(|body: bytes::Bytes| async { body }),
        )
        .with_state(blob.clone())
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drained>,
}

impl Running {
    async fn start(app: Router, options: Options) -> Self {
        let listener = Listener::bind("tcp", "127.0.0.1:0").await.unwrap();
        let address = listener.to_string().parse().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, app, options, stopped));
        Self {
            address,
            stop,
            server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.server.await.unwrap()
    }
}

/// The head and the body of the next response; a body needs its length.
async fn response(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let head = head(stream).await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn request(method: &str, part: &str) -> String {
    format!("{method} /blob HTTP/1.1\r\nhost: x\r\npart: {part}\r\n\r\n")
}

#[tokio::test]
async fn every_range_arrives_over_one_pipelined_connection() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let ranges = [
        (0, LENGTH),
        (0, 1),
        (65_535, 65_536),
        (4_097, 4_194_304),
        (LENGTH - 70_000, 70_000),
        (0, 0),
        (1, LENGTH - 1),
    ];
    let mut stream = server.connect().await;
    let requests: String = ranges
        .iter()
        .map(|(offset, length)| request("GET", &format!("{offset}-{length}")))
        .collect();
    stream.write_all(requests.as_bytes()).await.unwrap();
    for (offset, length) in ranges {
        let (head, body) = response(&mut stream).await;
        assert!(head.contains("sent-by: kernel"), "{head}");
        assert!(
            body == blob.content[offset..offset + length],
            "{offset}-{length}"
        );
    }
}

#[tokio::test]
async fn a_head_request_has_the_length_and_no_body() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let mut stream = server.connect().await;
    let requests = request("HEAD", "0-9000001") + &request("GET", "5-2");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.contains("content-length: 9000001"), "{head}");
    let (_, body) = response(&mut stream).await;
    assert_eq!(body, blob.content[5..7]);
}

#[tokio::test]
async fn http_1_0_and_unix_sockets_get_files_too() {
    let blob = blob();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.sock");
    let listener = Listener::bind("unix", path.to_str().unwrap())
        .await
        .unwrap();
    let (_stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, app(&blob), Options::default(), stopped));

    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /blob HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let (_, body) = response(&mut stream).await;
    assert!(body == blob.content);

    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = b"GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let (_, body) = response(&mut stream).await;
    assert_eq!(body, b"local, secure: false");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_leave_nothing_behind() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let inode = format!(
        " {} ",
        std::os::unix::fs::MetadataExt::ino(&blob.file.metadata().unwrap())
    );

    let mut clients = tokio::task::JoinSet::new();
    for client in 0..60 {
        let mut stream = server.connect().await;
        let blob = blob.clone();
        clients.spawn(async move {
            let request = request("GET", "1-9000000");
            stream.write_all(request.as_bytes()).await.unwrap();
            if client % 5 == 0 {
                let (_, body) = response(&mut stream).await;
                assert!(body == blob.content[1..]);
            } else {
                let mut some = vec![0; 1000 * client];
                stream.read_exact(&mut some).await.unwrap();
            }
        });
    }
    clients.join_all().await;

    let address = server.address;
    server.stop().await;
    // Connections end, and with them their mappings, soon after they are cut.
    while Arc::strong_count(&blob.file) > 1 {
        tokio::task::yield_now().await;
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert_eq!(maps.lines().filter(|line| line.contains(&inode)).count(), 0);
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn a_file_that_becomes_shorter_cuts_the_connection() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let mut stream = server.connect().await;
    let request = request("GET", "0-9000001");
    stream.write_all(request.as_bytes()).await.unwrap();
    head(&mut stream).await;
    blob.file.set_len(1).unwrap();
    let mut rest = Vec::new();
    // An end of the stream or a reset: both tell that the body is incomplete.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < LENGTH);

    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 1000);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_and_an_idle_connection_is_not() {
    let blob = blob();
    let options = Options {
        header_read_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let server = Running::start(app(&blob), options).await;

    let mut idle = server.connect().await;
    idle.write_all(request("GET", "0-1").as_bytes())
        .await
        .unwrap();
    response(&mut idle).await;

    let mut silent = server.connect().await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET /blob HTTP/1.1\r\n").await.unwrap();
    // Both ends are seen long after the idle connection has been idle for longer than a head.
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(stalled.read(&mut [0; 1]).await.unwrap_or(0), 0);
    tokio::time::sleep(Duration::from_millis(150)).await;

    idle.write_all(request("GET", "0-1").as_bytes())
        .await
        .unwrap();
    response(&mut idle).await;
    // A second head that stalls is cut as the first one is.
    idle.write_all(b"GET /blob HTTP/1.1\r\n").await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let mut stream = server.connect().await;
    let value = "a".repeat(70_000);
    let request = format!("GET /blob HTTP/1.1\r\nhost: x\r\nx: {value}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
}

#[tokio::test]
async fn uploads_expect_100_continue() {
    let blob = blob();
    let server = Running::start(app(&blob), Options::default()).await;
    let mut stream = server.connect().await;
    let request =
        b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"abc").await.unwrap();
    assert_eq!(response(&mut stream).await.1, b"abc");
}

#[tokio::test]
async fn http2_is_spoken_only_where_it_is_asked_for() {
    let blob = blob();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    let options = Options {
        h2c: true,
        ..Options::default()
    };
    let server = Running::start(app(&blob), options).await;
    let mut stream = server.connect().await;
    stream.write_all(preface).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the first frame is SETTINGS");

    // HTTP/1.1 still works on the same port, however slowly its first bytes come.
    let mut stream = server.connect().await;
    for byte in b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nz" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(response(&mut stream).await.1, b"z");

    let server = Running::start(app(&blob), Options::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(preface).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(&frame[..4]));
}

/// An app whose only answer waits until it is told to go on.
fn slow(begun: &Arc<Notify>, go_on: &Arc<Notify>) -> Router {
    let (begun, go_on) = (begun.clone(), go_on.clone());
    Router::new().fallback(async move || {
        begun.notify_one();
        go_on.notified().await;
        ([(header::CONTENT_TYPE, "text/plain")], "done")
    })
}

#[tokio::test]
async fn draining_finishes_the_request_in_progress() {
    let (begun, go_on) = <(Arc<Notify>, Arc<Notify>)>::default();
    let options = Options {
        drain_timeout: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let server = Running::start(slow(&begun, &go_on), options).await;
    let address = server.address;
    let _idle = server.connect().await;
    let mut stream = server.connect().await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    begun.notified().await;

    server.stop.send(()).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    let (head, body) = response(&mut stream).await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(body, b"done");
    assert_eq!(server.server.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn draining_cuts_at_its_deadline_and_says_how_many() {
    for drain_timeout in [None, Some(Duration::ZERO), Some(Duration::from_millis(50))] {
        let (begun, go_on) = <(Arc<Notify>, Arc<Notify>)>::default();
        let options = Options {
            drain_timeout,
            ..Options::default()
        };
        let server = Running::start(slow(&begun, &go_on), options).await;
        let mut stream = server.connect().await;
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        begun.notified().await;
        assert_eq!(server.stop().await, Drained { cut: 1 });
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
