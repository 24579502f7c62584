//! A server of one file over TLS, with a certificate by an authority of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roadstead_tests::tool;
use tempfile::TempDir;

const SERVER: &str = r#"
import functools, http.server, ssl, sys, threading
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
"#;

/// Ends with its owner.
pub(crate) struct TlsServer {
    directory: TempDir,
    server: Child,
    port: String,
}

impl TlsServer {
    /// Serves `content` as `/ip-ranges.json`.
    pub(crate) fn start(content: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certify(directory.path());
        std::fs::write(directory.path().join("ip-ranges.json"), content).unwrap();
        let mut server = Command::new("python3")
            .args(["-c", SERVER])
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let output = server.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut port).unwrap();
        let port = port.trim().to_owned();
        Self {
            directory,
            server,
            port,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/ip-ranges.json", self.port)
    }

    /// The file of the authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn certify(directory: &Path) {
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for command in [
        format!("req -x509 {key} -keyout authority.key -out authority.pem -subj /CN=authority -addext keyUsage=critical,keyCertSign -days 2"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -extfile names -out server.pem -days 2".to_owned(),
    ] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(directory).args(command.split(' '));
        tool::finish(openssl).success();
    }
}
