//! The folders of `deploy/kubernetes`, as kustomize renders them.

use std::{collections::BTreeMap, process::Command};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container, PersistentVolumeClaim, PodSpec, Probe, Secret},
    networking::v1::NetworkPolicy,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::deploy_tools::{Deployed, documents, project};

const CLIENT_CREDENTIALS: &str = "deploy/kubernetes/overlays/client-credentials";
const LOGIN: &str = "deploy/kubernetes/overlays/login";
const OVERLAYS: [&str; 2] = [CLIENT_CREDENTIALS, LOGIN];

/// The objects of an overlay.
struct Rendered {
    deployment: Deployment,
    configuration: String,
    secrets: BTreeMap<String, Vec<u8>>,
    kinds: Vec<String>,
}

/// Renders a folder and reads every object, or says that kubectl is missing.
fn rendered(folder: &str) -> Option<Rendered> {
    let Ok(output) = Command::new("kubectl")
        .arg("kustomize")
        .arg(project(folder))
        .output()
    else {
        eprintln!("kubectl is not installed: {folder} is not rendered");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder}: {errors}");
    assert!(errors.is_empty(), "{folder}: {errors}");

    let (mut deployment, mut configuration, mut secrets) = (None, None, None);
    let mut kinds = Vec::new();
    for object in documents(&String::from_utf8(output.stdout).unwrap()) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "Deployment" => deployment = Some(exactly::<Deployment>(&object)),
            "ConfigMap" => configuration = exactly::<ConfigMap>(&object).data,
            "Secret" => secrets = exactly::<Secret>(&object).data,
            "NetworkPolicy" => drop(exactly::<NetworkPolicy>(&object)),
            "PersistentVolumeClaim" => drop(exactly::<PersistentVolumeClaim>(&object)),
            _ => panic!("the test knows no {kind}"),
        }
        kinds.push(kind);
    }
    Some(Rendered {
        deployment: deployment.unwrap(),
        configuration: configuration.unwrap().remove("bearward.toml").unwrap(),
        secrets: secrets
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect(),
        kinds,
    })
}

/// Reads an object as its type, which must know all that is in it.
#[track_caller]
fn exactly<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let typed: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    assert_eq!(
        &serde_json::to_value(&typed).unwrap(),
        object,
        "a field that the API does not have"
    );
    typed
}

impl Rendered {
    fn pod(&self) -> &PodSpec {
        self.deployment
            .spec
            .as_ref()
            .unwrap()
            .template
            .spec
            .as_ref()
            .unwrap()
    }

    fn sidecar(&self) -> &Container {
        match self.pod().init_containers.as_deref() {
            Some([sidecar]) => sidecar,
            other => panic!("not one sidecar: {other:?}"),
        }
    }

    /// Where the sidecar finds the volume that `is` describes.
    fn mounted(&self, is: impl Fn(&k8s_openapi::api::core::v1::Volume) -> bool) -> &str {
        let volume = self
            .pod()
            .volumes
            .iter()
            .flatten()
            .find(|volume| is(volume))
            .unwrap();
        let mounts = self.sidecar().volume_mounts.iter().flatten();
        &mounts
            .into_iter()
            .find(|mount| mount.name == volume.name)
            .unwrap()
            .mount_path
    }

    /// The configuration with the secrets mounted where the pod has them.
    fn deployed(&self) -> Deployed {
        let mounted = self.mounted(|volume| volume.secret.is_some());
        let files = self
            .secrets
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()));
        Deployed::new(&self.configuration).mount(mounted, files)
    }
}

#[test]
fn an_overlay_has_the_pod_its_network_policy_configuration_and_secrets() {
    for folder in OVERLAYS {
        let Some(rendered) = rendered(folder) else {
            return;
        };
        for kind in ["ConfigMap", "Deployment", "NetworkPolicy", "Secret"] {
            assert!(
                rendered.kinds.iter().any(|found| found == kind),
                "{folder} has no {kind}"
            );
        }
    }
}

#[test]
fn the_configuration_of_an_overlay_passes_the_check_with_its_secrets() {
    for folder in OVERLAYS {
        let Some(rendered) = rendered(folder) else {
            return;
        };
        rendered.deployed().passes();
        assert_eq!(
            rendered.mounted(|volume| volume.config_map.is_some()),
            "/etc/bearward"
        );
        assert_eq!(
            rendered.sidecar().args.as_deref().unwrap().join(" "),
            "run -c /etc/bearward/bearward.toml"
        );
    }
}

#[test]
fn the_pod_meets_the_standard_restricted() {
    for folder in OVERLAYS {
        let Some(rendered) = rendered(folder) else {
            return;
        };
        let pod = rendered.pod();
        let context = pod.security_context.as_ref().unwrap();
        assert_eq!(context.run_as_non_root, Some(true), "{folder}");
        assert_eq!(
            context.seccomp_profile.as_ref().unwrap().type_,
            "RuntimeDefault",
            "{folder}"
        );
        assert_eq!(pod.automount_service_account_token, Some(false), "{folder}");
        for container in pod
            .containers
            .iter()
            .chain(pod.init_containers.iter().flatten())
        {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(
                context.allow_privilege_escalation,
                Some(false),
                "{}",
                container.name
            );
            let dropped = context.capabilities.as_ref().unwrap().drop.as_deref();
            assert_eq!(dropped, Some(&["ALL".to_owned()][..]), "{}", container.name);
        }
        let context = rendered.sidecar().security_context.as_ref().unwrap();
        assert_eq!(context.read_only_root_filesystem, Some(true), "{folder}");
        assert_eq!(
            rendered.sidecar().restart_policy.as_deref(),
            Some("Always"),
            "{folder}"
        );
        assert!(
            rendered
                .sidecar()
                .resources
                .as_ref()
                .unwrap()
                .limits
                .is_some(),
            "{folder}"
        );
    }
}

#[test]
fn the_probes_ask_the_admin_listener() {
    for folder in OVERLAYS {
        let Some(rendered) = rendered(folder) else {
            return;
        };
        let sidecar = rendered.sidecar();
        let [admin] = sidecar.ports.as_deref().unwrap() else {
            panic!("{folder}: not one port")
        };
        let listen = rendered.deployed().table()["admin"]["listen"].to_string();
        assert_eq!(
            listen,
            format!("\"0.0.0.0:{}\"", admin.container_port),
            "{folder}"
        );

        let path = |probe: &Option<Probe>| {
            probe
                .as_ref()
                .unwrap()
                .http_get
                .clone()
                .unwrap()
                .path
                .unwrap()
        };
        assert_eq!(path(&sidecar.liveness_probe), "/livez", "{folder}");
        assert_eq!(path(&sidecar.readiness_probe), "/readyz", "{folder}");
        // A login comes after the start, so the start must not wait for it.
        let started = if folder == LOGIN { "/livez" } else { "/readyz" };
        assert_eq!(path(&sidecar.startup_probe), started, "{folder}");
    }
}

#[test]
fn a_login_is_kept_on_a_volume_that_one_pod_uses_at_a_time() {
    let Some(rendered) = rendered(LOGIN) else {
        return;
    };
    let table = rendered.deployed().table();
    let store = table["store"]["path"].as_str().unwrap();
    let volume = rendered.mounted(|volume| volume.persistent_volume_claim.is_some());
    // The volume's own folder is open to the pod's group.
    let below = store.strip_prefix(volume).unwrap();
    assert!(below.len() > 1 && below.starts_with('/'), "{store}");

    assert!(
        rendered
            .kinds
            .iter()
            .any(|kind| kind == "PersistentVolumeClaim")
    );
    let spec = rendered.deployment.spec.as_ref().unwrap();
    assert_eq!(spec.replicas, Some(1));
    assert_eq!(
        spec.strategy.as_ref().unwrap().type_.as_deref(),
        Some("Recreate")
    );
    let context = rendered.pod().security_context.as_ref().unwrap();
    assert_eq!(
        context.fs_group_change_policy.as_deref(),
        Some("OnRootMismatch")
    );
    // Without a key, a listener that other machines reach has no /login.
    assert!(table["admin"].get("key").is_some());
}

#[test]
fn the_folder_itself_is_the_overlay_for_client_credentials() {
    let (Some(whole), Some(overlay)) =
        (rendered("deploy/kubernetes"), rendered(CLIENT_CREDENTIALS))
    else {
        return;
    };
    assert_eq!(whole.configuration, overlay.configuration);
    assert_eq!(whole.deployment, overlay.deployment);
}
