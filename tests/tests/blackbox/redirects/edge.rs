//! A content delivery network: a server that looks at signatures the way CloudFront does, with
//! OpenSSL, and fetches from an origin what it lets through.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use roadstead_tests::ministack::KEY;
use roadstead_tests::{Address, tool};
use tempfile::TempDir;

/// Where the edge gets what it serves.
pub(crate) enum Origin {
    /// A bucket, as a URL without a slash at its end.
    Bucket(String),
    /// A directory.
    Directory(std::path::PathBuf),
}

/// What has been asked, and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) status: u16,
}

pub(crate) struct Edge {
    address: SocketAddr,
    parts: Arc<Parts>,
}

struct Parts {
    origin: Origin,
    /// Whose signatures count; `None` when nothing has to be signed.
    keys: Option<Keys>,
    seen: Mutex<Vec<Seen>>,
    /// What is served at `/ip-ranges.json`, to anyone.
    ranges: Mutex<String>,
}

impl Edge {
    /// Serves until the test ends.
    pub(crate) fn start(origin: Origin, keys: Option<Keys>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let parts = Arc::new(Parts {
            origin,
            keys,
            seen: Mutex::default(),
            ranges: Mutex::default(),
        });
        let shared = Arc::clone(&parts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let parts = Arc::clone(&shared);
                std::thread::spawn(move || parts.serve(stream, address));
            }
        });
        Self { address, parts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> Address {
        Address::Tcp(self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.parts.seen.lock().unwrap().clone()
    }

    pub(crate) fn publish(&self, ranges: &str) {
        *self.parts.ranges.lock().unwrap() = ranges.to_owned();
    }
}

impl Parts {
    fn serve(&self, mut stream: TcpStream, address: SocketAddr) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else {
            return;
        };
        let words: Vec<&str> = first.split(' ').collect();
        let headers = lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty());
        let headers: BTreeMap<String, String> = headers
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        let (path, query) = words[1].split_once('?').unwrap_or((words[1], ""));
        let (status, body) = match words[0] {
            "GET" if path == "/ip-ranges.json" => {
                (200, self.ranges.lock().unwrap().clone().into_bytes())
            }
            "GET" | "HEAD" if self.lets_through(&format!("http://{address}{path}"), query) => {
                self.fetch(path, headers.get("range"))
            }
            "GET" | "HEAD" => (403, b"the signature is not valid".to_vec()),
            _ => (405, Vec::new()),
        };
        let path = path.to_owned();
        self.seen.lock().unwrap().push(Seen { path, status });
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let body = if words[0] == "HEAD" { &[] } else { &body[..] };
        // The client may have gone.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
    }

    /// CloudFront Developer Guide, "How signed URLs work".
    fn lets_through(&self, url: &str, query: &str) -> bool {
        let Some(keys) = &self.keys else { return true };
        let query: BTreeMap<&str, &str> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let Some((policy, signature)) = policy(url, &query).zip(query.get("Signature")) else {
            return false;
        };
        let digest = match query.get("Hash-Algorithm") {
            None => "-sha1",
            Some(&"SHA256") => "-sha256",
            Some(_) => return false,
        };
        query.get("Key-Pair-Id") == Some(&Keys::ID)
            && holds(&policy, url)
            && keys.verify(digest, policy.as_bytes(), signature)
    }

    fn fetch(&self, path: &str, range: Option<&String>) -> (u16, Vec<u8>) {
        match &self.origin {
            Origin::Directory(root) => match std::fs::read(root.join(&path[1..])) {
                Ok(content) => (200, content),
                Err(_) => (404, Vec::new()),
            },
            Origin::Bucket(url) => fetch_signed(&format!("{url}{path}"), range),
        }
    }
}

/// Asks a bucket in the name of the distribution: CloudFront's origin access control.
fn fetch_signed(url: &str, range: Option<&String>) -> (u16, Vec<u8>) {
    let body = tempfile::NamedTempFile::new().unwrap();
    let user = format!("{KEY}:{KEY}");
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--write-out", "%{http_code}", "--output"])
        .arg(body.path())
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, url]);
    if let Some(range) = range {
        curl.args(["--range", range.trim_start_matches("bytes=")]);
    }
    let status = tool::finish(curl).success().parse().unwrap();
    (status, std::fs::read(body.path()).unwrap())
}

/// The policy that a URL carries, or the canned one that CloudFront puts together itself.
fn policy(url: &str, query: &BTreeMap<&str, &str>) -> Option<String> {
    match (query.get("Policy"), query.get("Expires")) {
        (Some(policy), None) => String::from_utf8(decoded(policy)).ok(),
        (None, Some(expires)) => Some(format!(
            r#"{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#
        )),
        _ => None,
    }
}

/// Whether the policy is for this URL, this client and this time.
fn holds(policy: &str, url: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<serde_json::Value>(policy) else {
        return false;
    };
    let statement = &policy["Statement"][0];
    let condition = &statement["Condition"];
    let expires = condition["DateLessThan"]["AWS:EpochTime"].as_u64();
    let address = &condition["IpAddress"]["AWS:SourceIp"];
    statement["Resource"] == url
        && expires.is_some_and(|expires| expires > UNIX_EPOCH.elapsed().unwrap().as_secs())
        && (address.is_null() || address == "127.0.0.1/32")
}

fn decoded(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'_') {
        let value = LETTERS.iter().position(|other| *other == letter).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

/// A pair of keys in files, made by OpenSSL.
pub(crate) struct Keys(TempDir);

impl Keys {
    pub(crate) const ID: &str = "K2JCJMDEHXQW5F";

    pub(crate) fn rsa() -> Self {
        Self::made(&["genrsa", "-traditional", "-out", "private.pem", "2048"])
    }

    pub(crate) fn p256() -> Self {
        Self::made(&[
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-out",
            "private.pem",
        ])
    }

    fn made(arguments: &[&str]) -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        keys.openssl(arguments).success();
        let public = [
            "pkey",
            "-in",
            "private.pem",
            "-pubout",
            "-out",
            "public.pem",
        ];
        keys.openssl(&public).success();
        keys
    }

    pub(crate) fn private(&self) -> std::path::PathBuf {
        self.0.path().join("private.pem")
    }

    fn verify(&self, digest: &str, message: &[u8], signature: &str) -> bool {
        let directory = tempfile::tempdir_in(self.0.path()).unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        let (signature, message) = (
            file("signature", &decoded(signature)),
            file("message", message),
        );
        let verify = [
            "dgst",
            digest,
            "-verify",
            "public.pem",
            "-signature",
            &signature,
            &message,
        ];
        self.openssl(&verify).status.success()
    }

    fn openssl(&self, arguments: &[&str]) -> tool::Outcome {
        let mut openssl = std::process::Command::new("openssl");
        openssl
            .current_dir(Path::new(self.0.path()))
            .args(arguments);
        tool::finish(openssl)
    }
}
