//! A network between a client and the server: it counts calls, fails them and holds them up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not reach the server.
    LostRequest,
    /// It takes effect, but nobody learns of that.
    LostAnswer,
    /// There is too much to do.
    Throttled,
    /// Another transaction is in the way.
    Conflict,
    /// It waits until it is let through.
    Held,
}

/// A way to a server. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    calls: Mutex<Vec<String>>,
    plan: Mutex<Plan>,
    /// One permit when the call is held, and one to let it go on.
    arrived: Semaphore,
    released: Semaphore,
}

#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// Which call, counted from 1.
    at: usize,
    fault: Option<Fault>,
}

impl Proxy {
    pub(crate) async fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let state = Arc::new(State {
            calls: Mutex::default(),
            plan: Mutex::default(),
            arrived: Semaphore::new(0),
            released: Semaphore::new(0),
        });
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, state };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = serving.clone();
                tokio::spawn(async move { proxy.serve(client, server).await });
            }
        });
        proxy
    }

    /// From now on, does `fault` to the call number `at`, counted from 1.
    pub(crate) fn plan(&self, at: usize, fault: Fault) {
        self.state.calls.lock().unwrap().clear();
        let fault = Some(fault);
        *self.state.plan.lock().unwrap() = Plan { at, fault };
    }

    /// The calls since the last time, by their names; nothing more is done to any.
    pub(crate) fn calls(&self) -> Vec<String> {
        *self.state.plan.lock().unwrap() = Plan::default();
        std::mem::take(&mut *self.state.calls.lock().unwrap())
    }

    /// Waits until the call that is to be held has come.
    pub(crate) async fn arrival(&self) {
        self.state.arrived.acquire().await.unwrap().forget();
    }

    /// Lets the held call go on.
    pub(crate) fn release(&self) {
        self.state.released.add_permits(1);
    }

    async fn serve(&self, mut client: TcpStream, server: SocketAddr) {
        while let Some((head, body)) = read_request(&mut client).await {
            let operation = operation(&head);
            let fault = self.fault(&operation);
            let answer = match fault {
                Some(Fault::LostRequest) => return,
                Some(Fault::LostAnswer) => {
                    forward(server, &head, &body).await;
                    return;
                }
                Some(Fault::Throttled) => error(
                    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#,
                ),
                Some(Fault::Conflict) => conflict(&operation),
                Some(Fault::Held) => {
                    self.state.arrived.add_permits(1);
                    self.state.released.acquire().await.unwrap().forget();
                    forward(server, &head, &body).await
                }
                None => forward(server, &head, &body).await,
            };
            if client.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut calls = self.state.calls.lock().unwrap();
        calls.push(operation.to_owned());
        let plan = *self.state.plan.lock().unwrap();
        plan.fault.filter(|_| plan.at == calls.len())
    }
}

fn operation(head: &str) -> String {
    let target = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-amz-target").then_some(value)
    });
    let operation = target.and_then(|target| target.rsplit('.').next());
    operation.unwrap_or_default().trim().to_owned()
}

fn conflict(operation: &str) -> Vec<u8> {
    match operation {
        "TransactWriteItems" => error(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"cancelled","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict","Message":"busy"}]}"#,
        ),
        "PutItem" | "UpdateItem" | "DeleteItem" => error(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"busy"}"#,
        ),
        _ => error(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"reads meet no transaction"}"#,
        ),
    }
}

fn error(body: &str) -> Vec<u8> {
    let length = body.len();
    let status = match body.contains("InternalServerError") {
        true => "500 Internal Server Error",
        false => "400 Bad Request",
    };
    format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

async fn read_request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head_end);
    let head = String::from_utf8(bytes).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or_default() {
        if client.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// The whole answer of the server, which ends with the connection.
async fn forward(server: SocketAddr, head: &str, body: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(server).await.unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\nconnection: close\r\n{headers}");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    answer
}
