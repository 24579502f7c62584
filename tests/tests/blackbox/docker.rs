//! Docker's own client and daemon.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roadstead_tests::users::{ANN, BOB, User};
use roadstead_tests::{Image, Registry, require, tool, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::clients::require_root;
use crate::login::doors;

/// A daemon of its own, which ends with the test, and its client.
struct Docker {
    daemon: Child,
    docker: PathBuf,
    folder: PathBuf,
}

/// It has to end the containerd that it has started.
impl Drop for Docker {
    fn drop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let deadline = Instant::now() + wait::PATIENCE;
        while matches!(self.daemon.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Docker {
    /// Starts one below `scratch`, without a network for containers; if it does not run here, says why.
    fn start(dockerd: &Path, docker: &Path, scratch: &Path) -> Result<Self, String> {
        let folder = scratch.join("docker");
        std::fs::create_dir(&folder).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(dockerd);
        for (flag, value) in [
            ("--data-root", "root"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(flag).arg(folder.join(value));
        }
        let host = format!("unix://{}/d.sock", folder.display());
        command.args(["--host", &host, "--storage-driver", "vfs"]);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        let daemon = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut docker = Self {
            daemon,
            docker: docker.to_owned(),
            folder,
        };
        let ready = wait::until("dockerd to answer", || {
            let ended = docker.daemon.try_wait().unwrap().is_some();
            let answers = !ended && docker.run(&["version"]).status.success();
            (ended || answers).then_some(answers)
        });
        if ready {
            return Ok(docker);
        }
        let said = std::fs::read_to_string(docker.folder.join("log")).unwrap_or_default();
        Err(said.lines().last().unwrap_or_default().to_owned())
    }

    fn run(&self, arguments: &[&str]) -> tool::Outcome {
        let mut command = Command::new(&self.docker);
        command.arg("--config").arg(self.folder.join("config"));
        let host = format!("unix://{}/d.sock", self.folder.display());
        command.args(["--host", &host]).args(arguments);
        tool::finish(command)
    }

    fn login(&self, registry: &Registry, user: User, password: &str) -> tool::Outcome {
        self.run(&["login", "-u", user.name, "-p", password, &registry.host()])
    }
}

/// A daemon, or a skip.
macro_rules! docker {
    ($registry:expr) => {{
        let (dockerd, docker) = (require!("dockerd"), require!("docker"));
        require_root!();
        match Docker::start(&dockerd, &docker, $registry.store().scratch()) {
            Ok(docker) => docker,
            Err(why) => roadstead_tests::skip!("dockerd does not run here: {why}"),
        }
    }};
}

#[test]
fn docker_pulls_and_pushes() {
    let registry = Registry::start();
    let docker = docker!(registry);
    for (tag, image) in [("oci", Image::seeded(730)), ("docker", Image::docker(731))] {
        registry.push_image("from", tag, &image);
        let [from, to] = ["from", "to"].map(|name| format!("{}/{name}:{tag}", registry.host()));
        let pulled = docker.run(&["pull", &from]).success();
        assert!(pulled.contains(&image.digest()), "{pulled}");
        let _ = docker.run(&["tag", &from, &to]).success();
        let pushed = docker.run(&["push", &to]).success();
        assert!(pushed.contains("Mounted from from"), "{pushed}");
        let config = |name: &str| {
            registry.get_manifest(name, tag).expect(200).json()["config"]["digest"].clone()
        };
        assert_eq!(config("to"), config("from"));
        let _ = docker.run(&["rmi", &from, &to]).success();
        let _ = docker.run(&["pull", &to]).success();
    }
}

#[test]
fn docker_logs_in_and_may_do_what_its_user_may() {
    for (registry, image) in doors() {
        let docker = docker!(registry);
        let name = |name: &str| format!("{}/{name}", registry.host());
        let (public, mine) = (name("public/app:v1"), name("team/app:v1"));
        let secret = name("team/secret:v1");
        let _ = docker.run(&["pull", &secret]).failure();
        let _ = docker.login(&registry, BOB, "wrong").failure();
        let _ = docker.login(&registry, BOB, BOB.password).success();
        let pulled = docker.run(&["pull", &public]).success();
        assert!(pulled.contains(&image.digest()), "{pulled}");
        let _ = docker.run(&["tag", &public, &mine]).success();
        let refused = docker.run(&["push", &mine]).failure();
        assert!(refused.contains("denied"), "{refused}");
        let _ = docker.run(&["pull", &secret]).failure();
        let _ = registry.get("/v2/team/app/tags/list").expect(401);

        let _ = docker.login(&registry, ANN, ANN.password).success();
        // Docker mounts only what the same account has pulled.
        let _ = docker.run(&["rmi", &public, &mine]).success();
        let _ = docker.run(&["pull", &public]).success();
        let _ = docker.run(&["tag", &public, &mine]).success();
        let pushed = docker.run(&["push", &mine]).success();
        assert!(pushed.contains("Mounted from public/app"), "{pushed}");
        let _ = docker.run(&["push", &public]).failure();
        let _ = docker.run(&["rmi", &public, &mine]).success();
        let _ = docker.run(&["pull", &mine]).success();
        let _ = docker.run(&["pull", &secret]).success();

        let _ = docker.run(&["logout", &registry.host()]).success();
        let _ = docker.run(&["push", &mine]).failure();
    }
}

/// Only tokens let Docker's client pull without an account and push with one.
#[test]
fn docker_pulls_without_an_account_what_everybody_may() {
    let [_, (registry, image)] = doors();
    let docker = docker!(registry);
    let pulled = docker.run(&["pull", &format!("{}/public/app:v1", registry.host())]);
    assert!(pulled.success().contains(&image.digest()));
    let secret = format!("{}/team/secret:v1", registry.host());
    let _ = docker.run(&["pull", &secret]).failure();
}
