//! The files of `deploy/compose` and the Dockerfile, and whether they fit.

use std::collections::{BTreeMap, BTreeSet};

use docker_compose_types::{
    Compose, Environment, Healthcheck, HealthcheckTest, Ports, Service, Volumes,
};

use crate::deploy_tools::{Deployed, documents, project, text};

const PUBLISHED: &str = "deploy/compose";
const SIDECAR: &str = "deploy/compose/sidecar";

/// One folder of compose files.
struct Folder {
    service: Service,
    configuration: Deployed,
}

/// Reads a folder whose file must have known keys only.
#[track_caller]
fn folder(path: &str) -> Folder {
    let [document] = &documents(&text(&format!("{path}/compose.yaml")))[..] else {
        panic!("{path}: not one document")
    };
    let compose: Compose =
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let service = compose.services.0["bearward"].clone().unwrap();
    let mut configuration = Deployed::new(&text(&format!("{path}/config/bearward.toml")));
    let Environment::KvPair(variables) = &service.environment else {
        panic!("{path}: {:?}", service.environment)
    };
    for name in variables.keys() {
        configuration = configuration.variable(name);
    }
    Folder {
        service,
        configuration,
    }
}

impl Folder {
    /// The addresses of its listeners.
    fn listeners(&self) -> BTreeSet<String> {
        let table = self.configuration.table();
        let routes = table["routes"].as_table().unwrap().values();
        routes
            .chain(table.get("admin"))
            .map(|listener| listener["listen"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Host folders and volumes by where they are mounted.
    fn mounts(&self) -> BTreeMap<String, String> {
        let mounts = self.service.volumes.iter().map(|volume| match volume {
            Volumes::Simple(text) => text.clone(),
            Volumes::Advanced(other) => panic!("{other:?}"),
        });
        mounts
            .map(|text| {
                let mut parts = text.split(':').map(str::to_owned);
                let source = parts.next().unwrap();
                (parts.next().unwrap(), source)
            })
            .collect()
    }
}

/// The arguments of an instruction of the Dockerfile, in its last stage.
#[track_caller]
fn instruction(name: &str) -> String {
    let dockerfile = text("Dockerfile");
    let stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    let lines = stage.lines().filter_map(|line| line.strip_prefix(name));
    let [arguments] = lines.collect::<Vec<_>>()[..] else {
        panic!("not one {name}")
    };
    arguments.trim().to_owned()
}

/// The ports that the image names.
fn exposed() -> BTreeSet<String> {
    instruction("EXPOSE")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_configuration_of_each_folder_passes_the_check_with_its_environment() {
    for path in [PUBLISHED, SIDECAR] {
        let folder = folder(path);
        folder.configuration.passes();
    }
}

#[test]
fn a_published_port_leads_to_a_listener_and_is_exposed_by_the_image() {
    let folder = folder(PUBLISHED);
    let Ports::Short(published) = &folder.service.ports else {
        panic!("{:?}", folder.service.ports)
    };
    let reached: BTreeSet<_> = published
        .iter()
        .map(|port| port.rsplit(':').next().unwrap().to_owned())
        .collect();
    // Loopback inside of the container would be reached by no published port.
    let listening: BTreeSet<_> = folder
        .listeners()
        .iter()
        .map(|listen| listen.strip_prefix("0.0.0.0:").unwrap().to_owned())
        .collect();
    assert_eq!(reached, listening);
    assert_eq!(reached, exposed());
}

#[test]
fn the_sidecar_shares_the_loopback_of_the_service_and_publishes_nothing() {
    let folder = folder(SIDECAR);
    assert_eq!(
        folder.service.network_mode.as_deref(),
        Some("service:legacy-service")
    );
    assert_eq!(folder.service.ports, Ports::Short(Vec::new()));
    for listen in folder.listeners() {
        assert!(listen.starts_with("127.0.0.1:"), "{listen}");
    }
}

#[test]
fn the_containers_find_the_configuration_and_keep_the_store() {
    let state = instruction("ENV STATE_DIRECTORY=");
    for path in [PUBLISHED, SIDECAR] {
        let folder = folder(path);
        let mounts = folder.mounts();
        assert_eq!(
            mounts.get("/etc/bearward").map(String::as_str),
            Some("./config"),
            "{path}"
        );
        assert!(mounts.contains_key(&state), "{path}");
        assert_eq!(
            folder.configuration.table()["store"]["path"].as_str(),
            Some(&*state),
            "{path}"
        );
        assert!(folder.service.read_only, "{path}");
    }
    assert_eq!(
        instruction("CMD"),
        r#"["run", "-c", "/etc/bearward/bearward.toml"]"#
    );
}

#[test]
fn the_image_has_the_program_that_the_health_check_runs() {
    assert_eq!(instruction("ENTRYPOINT"), r#"["/bearward"]"#);
    for path in [PUBLISHED, SIDECAR] {
        match folder(path).service.healthcheck {
            Some(Healthcheck {
                test: Some(HealthcheckTest::Multiple(words)),
                ..
            }) => {
                assert_eq!(words, ["CMD", "/bearward", "status"], "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn all_that_the_image_is_built_from_is_there() {
    let dockerfile = text("Dockerfile");
    let ignored = text(".dockerignore");
    let copied = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|arguments| !arguments.starts_with("--from"));
    for arguments in copied {
        let words: Vec<_> = arguments.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(project(source).exists(), "{source}");
            assert!(
                ignored
                    .lines()
                    .any(|line| line.strip_prefix('!') == Some(source)),
                ".dockerignore leaves {source} out"
            );
        }
    }
}
