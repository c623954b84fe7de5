//! How the API server is reached: inside the cluster, by a kubeconfig, or by what the settings say.
//!
//! Parts: [`Access`] (checked settings), [`connect`]. Promises: secrets are read from their files at each connect, never
//! shown. Must not do: retry.

use std::path::PathBuf;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use proto_seam::{Disk, World};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Largest kubeconfig, token, password or certificate file.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A secret, as text or in a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Secret {
    /// None.
    #[default]
    None,
    /// As written in the settings.
    Text(String),
    /// In this file.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Text(_) => "a text",
            Self::File(_) => "a file",
        })
    }
}

/// How a server that the settings name is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerAccess {
    /// Its address.
    pub url: String,
    /// User name of basic authentication.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// A bearer token.
    pub token: Secret,
    /// Who may vouch for the server: PEM text or file.
    pub ca: Secret,
    /// The client's certificate file.
    pub cert_file: Option<PathBuf>,
    /// Its key file.
    pub key_file: Option<PathBuf>,
    /// The name in the server's certificate, if not its host.
    pub server_name: String,
    /// Whether any certificate is taken.
    pub insecure: bool,
}

/// Which API server, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The cluster that the edge runs in, by its service account.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig(PathBuf),
    /// As the settings say.
    Server(Box<ServerAccess>),
}

/// A client, and the namespace that the edge runs in.
///
/// # Errors
/// A text saying what is missing or wrong, and what to do.
pub async fn connect(access: &Access, world: &World) -> Result<(Client, String), String> {
    let disk = std::sync::Arc::clone(&world.disk);
    let mut config = match access.clone() {
        Access::InCluster => Config::incluster().map_err(|fault| {
            format!(
                "{fault}: outside a cluster give kubernetes_sd_configs an api_server or a kubeconfig_file; inside one the pod needs its service account token"
            )
        })?,
        Access::Kubeconfig(path) => {
            let text = world.workers.run(move || text(disk.as_ref(), &path)).await?;
            let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|fault| format!("the kubeconfig is not understood: {fault}"))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|fault| format!("the kubeconfig: {fault}"))?
        }
        Access::Server(server) => world.workers.run(move || config(&server, disk.as_ref())).await?,
    };
    if let Some(path) = config.auth_info.token_file.clone().filter(|_| config.auth_info.token.is_none()) {
        let (disk, path) = (std::sync::Arc::clone(&world.disk), PathBuf::from(path));
        let token = world.workers.run(move || text(disk.as_ref(), &path)).await?;
        // A file with a line ending, as an editor writes it, would be no token; as a text it is taken anew with the next client.
        if token.trim() != token {
            (config.auth_info.token, config.auth_info.token_file) = (Some(token.trim().to_owned().into()), None);
        }
    }
    // A server that is away is found out within one round of the retries.
    config.connect_timeout = Some(std::time::Duration::from_secs(10));
    // Retries are the watches' own: within the client they would hide for minutes that nobody answers.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config).map_err(|fault| format!("no client can be made: {fault}"))?, namespace))
}

fn text(disk: &dyn Disk, path: &std::path::Path) -> Result<String, String> {
    let bytes = disk.read_all(path, FILE_BYTES_MAX).map_err(|fault| format!("{}: {fault}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{}: it is no text", path.display()))
}

fn config(server: &ServerAccess, disk: &dyn Disk) -> Result<Config, String> {
    let url = server.url.parse().map_err(|fault| format!("api_server {:?}: {fault}", server.url))?;
    let mut config = Config::new(url);
    let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut auth =
        AuthInfo { client_certificate: server.cert_file.as_ref().map(shown), client_key: server.key_file.as_ref().map(shown), ..AuthInfo::default() };
    if !server.user.is_empty() {
        auth.username = Some(server.user.clone());
        auth.password = match &server.password {
            Secret::None => Some(String::new().into()),
            Secret::Text(password) => Some(password.clone().into()),
            Secret::File(path) => Some(text(disk, path)?.trim_end().to_owned().into()),
        };
    }
    match &server.token {
        Secret::None => {}
        Secret::Text(token) => auth.token = Some(token.clone().into()),
        Secret::File(path) => auth.token_file = Some(shown(path)),
    }
    let pem = match &server.ca {
        Secret::None => None,
        Secret::Text(pem) => Some(pem.clone()),
        Secret::File(path) => Some(text(disk, path)?),
    };
    if let Some(pem) = pem {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
        config.root_cert = Some(certificates.map_err(|fault| format!("tls_config.ca_file holds no certificate: {fault}"))?);
    }
    config.auth_info = auth;
    config.accept_invalid_certs = server.insecure;
    config.tls_server_name = Some(server.server_name.clone()).filter(|name| !name.is_empty());
    Ok(config)
}
