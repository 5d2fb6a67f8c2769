//! The cluster's certificates, and a kubeconfig for each who speaks to its API: made anew for every cluster, good for two days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::plan::{API_SERVER, NODES, SERVICE_OF_API};
use crate::shell;

/// The folder of keys, certificates and kubeconfigs.
pub(super) struct Pki {
    folder: PathBuf,
}

/// Who speaks to the API server, and the groups it is in, which give it its rights.
const CLIENTS: &[(&str, &str)] = &[
    ("admin", "/O=system:masters/CN=admin"),
    ("controller-manager", "/CN=system:kube-controller-manager"),
    ("scheduler", "/CN=system:kube-scheduler"),
    ("proxy", "/CN=system:kube-proxy"),
    ("kubelet-client", "/O=system:masters/CN=apiserver"),
];

// === impl Pki ===

impl Pki {
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Makes everything.
    pub(super) fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("create {}", self.folder.display()))?;
        self.certificate(&[
            "-subj",
            "/CN=finwatch-e2e",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ])?;
        let names = format!(
            "subjectAltName=IP:{API_SERVER},IP:{},IP:127.0.0.1,DNS:kubernetes.default.svc",
            SERVICE_OF_API
        );
        self.sign("apiserver", "/CN=kube-apiserver", &["-addext", &names])?;
        // Tokens of service accounts are signed with a key of its own.
        self.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out accounts.key")?;
        self.openssl("pkey -in accounts.key -pubout -out accounts.pub")?;
        for (name, subject) in CLIENTS {
            self.client(name, subject)?;
        }
        for node in NODES {
            let subject = format!("/O=system:nodes/CN=system:node:{}", node.name);
            self.client(node.name, &subject)?;
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn kubeconfig(&self, who: &str) -> PathBuf {
        self.file(&format!("{who}.kubeconfig"))
    }

    fn client(&self, name: &str, subject: &str) -> Result<()> {
        self.sign(name, subject, &[])?;
        let here = self.folder.display();
        let text = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: e2e, cluster: {{server: 'https://{API_SERVER}:6443', certificate-authority: '{here}/ca.crt'}}}}]\n\
             users: [{{name: {name}, user: {{client-certificate: '{here}/{name}.crt', client-key: '{here}/{name}.key'}}}}]\n\
             contexts: [{{name: e2e, context: {{cluster: e2e, user: {name}}}}}]\n\
             current-context: e2e\n"
        );
        let path = self.kubeconfig(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// A key and a certificate of the cluster's authority.
    fn sign(&self, name: &str, subject: &str, more: &[&str]) -> Result<()> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let mut words = vec!["-CA", "ca.crt", "-CAkey", "ca.key", "-subj", subject];
        words.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        words.extend(["-keyout", &key, "-out", &certificate]);
        words.extend(more);
        self.certificate(&words)
    }

    fn certificate(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("openssl");
        command
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(words)
            .current_dir(&self.folder);
        shell::read(&mut command).map(drop)
    }

    /// A command line without quoted words.
    fn openssl(&self, line: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(&self.folder);
        shell::read(&mut command).map(drop)
    }
}
