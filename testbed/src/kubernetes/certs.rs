//! Who is who in the cluster: an authority of its own, a certificate for everybody who speaks, and the
//! kubeconfig files that name them.
//!
//! Users are certificates, so that nothing expires and no server hands anything out. Must not know who
//! runs where.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;

/// The authority's certificate, in the folder.
pub const CA: &str = "ca.crt";
/// The key that signs tokens of service accounts, and its public half.
pub const ACCOUNTS: [&str; 2] = ["accounts.key", "accounts.pub"];

/// The folder with keys and certificates, and the authority while it lasts.
pub struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority, whose key is kept nowhere but here, and the key for service accounts.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "sluice-testbed");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(dir.join(CA), issuer.pem())?;
        std::fs::write(dir.join("ca.key"), issuer.key().serialize_pem())?;
        let accounts = KeyPair::generate()?;
        std::fs::write(dir.join(ACCOUNTS[0]), accounts.serialize_pem())?;
        std::fs::write(dir.join(ACCOUNTS[1]), accounts.public_key_pem())?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer,
        })
    }

    /// The authority that an earlier [`Self::new`] left in the folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(dir: &Path) -> Result<Self> {
        let key = std::fs::read_to_string(dir.join("ca.key"))
            .with_context(|| format!("no authority in {}", dir.display()))?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "sluice-testbed");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::from_pem(&key)?)?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer,
        })
    }

    /// A certificate for a server, `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn server(&self, name: &str, names: &[&str], addresses: &[IpAddr]) -> Result<()> {
        let mut params = CertificateParams::new(
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )?;
        params
            .subject_alt_names
            .extend(addresses.iter().map(|&ip| SanType::IpAddress(ip)));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// A certificate for a user of some groups, `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn client(&self, name: &str, user: &str, group: Option<&str>) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    /// A user with a kubeconfig file, `NAME.conf`, for the API server at `server`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn user(&self, name: &str, user: &str, group: Option<&str>, server: &str) -> Result<()> {
        self.client(name, user, group)?;
        let path = |file: String| self.dir.join(file).display().to_string();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": {
                "server": server,
                "certificate-authority": path(CA.to_owned()),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate": path(format!("{name}.crt")),
                "client-key": path(format!("{name}.key")),
            }}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
            "current-context": "testbed",
        });
        std::fs::write(
            kubeconfig(&self.dir, name),
            serde_json::to_string_pretty(&config)?,
        )?;
        Ok(())
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<()> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.dir.join(format!("{name}.crt")), certificate.pem())?;
        std::fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem())?;
        Ok(())
    }
}

/// A user's kubeconfig file.
pub fn kubeconfig(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.conf"))
}
