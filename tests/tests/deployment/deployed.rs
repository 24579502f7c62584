//! What AWS's own tools make of the template on an emulated AWS: for the tests beside.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use roadstead_tests::registry::with_query;
use roadstead_tests::users::{ANN, User};
use roadstead_tests::{Address, Image, Implementation, Request, Response, path_of, sha256, tool};
use serde_json::Value;

const FUNCTIONS: [&str; 7] = [
    "base",
    "blobs",
    "uploads",
    "manifests",
    "discovery",
    "maintenance",
    "combined",
];

pub(crate) struct Deployment {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) address: Address,
    /// The URL of the emulated AWS.
    pub(crate) aws: String,
    pub(crate) functions: usize,
    /// Who asks.
    pub(crate) user: Option<User>,
    _bootstraps: tempfile::TempDir,
}

impl Deployment {
    /// `Err` is why it cannot be had.
    pub(crate) fn new(parameters: &[&str]) -> Result<Self, String> {
        let bootstraps = bootstraps()?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulators/deploy.py");
        let mut child = Command::new("python3")
            .arg(program)
            .arg(bootstraps.path())
            .arg(format!("Architecture={}", architecture()))
            .args(parameters)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("there is no python3: {error}"))?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let said = line(&mut output);
        if let Some(reason) = said["skip"].as_str() {
            child.wait().unwrap();
            return Err(reason.to_owned());
        }
        assert!(said["ready"].is_object(), "{said}");
        let ready = &said["ready"];
        let address = ready["address"].as_str().unwrap().parse().unwrap();
        Ok(Self {
            child,
            input,
            output,
            address: Address::Tcp(address),
            aws: ready["aws"].as_str().unwrap().to_owned(),
            functions: ready["functions"].as_array().unwrap().len(),
            user: None,
            _bootstraps: bootstraps,
        })
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        let request = Request::new(self.address.clone(), method, target);
        match &self.user {
            Some(user) => request.header("Authorization", user.basic()),
            None => request,
        }
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    pub(crate) fn tell(&mut self, command: &str) -> Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{command}").unwrap();
        line(&mut self.output)
    }

    pub(crate) fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let begun = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"));
        let location = begun.send().expect(202).location();
        let digest = sha256(content);
        let finish = with_query(path_of(&location), &format!("digest={digest}"));
        let finish = self.request("PUT", &finish).body(content);
        let pushed = finish.send().expect(201);
        assert_eq!(pushed.need("Docker-Content-Digest"), digest);
        digest
    }

    pub(crate) fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        image: &Image,
    ) -> Response {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let put = self.request("PUT", &target);
        let put = put.header("Content-Type", image.media_type());
        put.body(image.manifest()).send().expect(201)
    }

    /// The blob, wherever the registry sends for it.
    pub(crate) fn pull_blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        self.request_blob("GET", repository, digest)
            .expect(200)
            .body
    }

    /// What is answered where the registry sends this method for a blob.
    pub(crate) fn request_blob(&self, method: &str, repository: &str, digest: &str) -> Response {
        let sent = self.request(method, &format!("/v2/{repository}/blobs/{digest}"));
        let sent = sent.send().expect(307);
        let location = sent.need("Location");
        assert!(location.contains("X-Amz-Signature="), "{location}");
        let url = location.strip_prefix("http://").unwrap();
        let (host, _) = url.split_once('/').unwrap();
        let address = Address::Tcp(host.parse().unwrap());
        Request::new(address, method, path_of(location)).send()
    }

    /// A client that nobody adjusted pushes an image and pulls it again, as the user if there is one.
    pub(crate) fn push_and_pull(&self, skopeo: &Path, name: &str, image: &Image) {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("source"), folder.path().join("target"));
        image.write_layout(&source, "v1");
        let remote = format!("docker://{}/{name}:v1", self.address.host());
        let pushed = format!("oci:{}:v1", source.display());
        let pulled = format!("oci:{}:v1", target.display());
        let copy = |end: &str, from: &str, to: &str| {
            let mut arguments = vec!["copy".to_owned(), format!("--{end}-tls-verify=false")];
            if let Some(User { name, password, .. }) = self.user {
                arguments.push(format!("--{end}-creds={name}:{password}"));
            }
            arguments.extend([from, to].map(str::to_owned));
            tool::run(skopeo, arguments).success();
        };
        copy("dest", &pushed, &remote);
        copy("src", &remote, &pulled);
        let index = std::fs::read_to_string(target.join("index.json")).unwrap();
        assert!(index.contains(&image.digest()), "{index}");
        for blob in image.blobs() {
            let digest = sha256(blob);
            let file = target
                .join("blobs/sha256")
                .join(digest.trim_start_matches("sha256:"));
            assert!(std::fs::read(file).unwrap() == *blob, "{digest}");
        }
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // Ends the emulator as well.
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

fn line(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// The functions as `sam build` would have them: those in ROADSTEAD_BOOTSTRAPS, or those that
/// cargo has built beside the tests, without what is for debuggers.
fn bootstraps() -> Result<tempfile::TempDir, String> {
    let strip = tool::find("strip").ok_or("strip is not installed")?;
    let built = std::env::current_exe().unwrap();
    let built = built.ancestors().nth(2).unwrap();
    let given = std::env::var_os("ROADSTEAD_BOOTSTRAPS").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    // The upload server, which the image has.
    let server = Implementation::Roadstead
        .program()
        .ok_or("there is no registry")?;
    let arguments = [Path::new("-o"), &folder.path().join("roadstead"), &server];
    tool::run(&strip, arguments).success();
    for function in FUNCTIONS {
        let name = format!("roadstead-{function}");
        let program = match &given {
            Some(given) => given.join(&name).join("bootstrap"),
            None => built.join(&name),
        };
        if !program.is_file() {
            return Err(format!(
                "{} is missing: cargo build -p {name} --features lambda",
                program.display()
            ));
        }
        let bootstrap = folder.path().join(&name).join("bootstrap");
        std::fs::create_dir(bootstrap.parent().unwrap()).unwrap();
        let arguments = [Path::new("-o"), &bootstrap, &program];
        tool::run(&strip, arguments).success();
    }
    // For Access=htpasswd.
    std::fs::write(folder.path().join("htpasswd"), ANN.line()).unwrap();
    Ok(folder)
}

macro_rules! deployed {
    ($parameters:expr) => {
        match Deployment::new($parameters) {
            Ok(deployment) => deployment,
            Err(reason) => skip!("{reason}"),
        }
    };
}

pub(crate) use deployed;
