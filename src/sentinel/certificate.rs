//! A certificate and its private key, and the JWT that the key signs as a proof.
//!
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>. The key stays in memory; neither it
//! nor an assertion is ever logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use uuid::Uuid;

/// How long an assertion holds: one exchange needs less.
const LIFETIME_SECONDS: i64 = 300;

/// A certificate that can sign.
pub struct Certificate {
    der: CertificateDer<'static>,
    key: RsaKeyPair,
}

impl Certificate {
    /// Reads the PEM of a certificate and its private key.
    ///
    /// # Errors
    /// With the reason in words if it won't do.
    pub fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "it holds no certificate (BEGIN CERTIFICATE)")?;
        let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            Ok(_) => return Err("its private key is no RSA key, and Entra takes no other"),
            Err(_) => return Err("it holds no private key (BEGIN PRIVATE KEY)"),
        };
        let key = key.map_err(|_| "its private key is no RSA key of 2048 to 4096 bits")?;
        // The certificate holds its public key in the very form in which ring gives it.
        let public = key.public().as_ref();
        if !der.windows(public.len()).any(|part| part == public) {
            return Err("its private key is not that of its certificate");
        }
        Ok(Self { der, key })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-1 by which Entra knows the certificate.
    #[must_use]
    pub fn thumbprint(&self) -> digest::Digest {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der)
    }

    /// Signs an assertion for a token endpoint; none if the key can't sign.
    pub(super) fn assertion(&self, client_id: &str, token_url: &str, now: Timestamp) -> Option<String> {
        let x5t = URL_SAFE_NO_PAD.encode(self.thumbprint());
        let header = json!({"alg": "RS256", "typ": "JWT", "x5t": x5t});
        let now = now.as_second();
        let claims = json!({
            "aud": token_url,
            "iss": client_id,
            "sub": client_id,
            "jti": Uuid::new_v4().to_string(),
            "nbf": now,
            "exp": now + LIFETIME_SECONDS,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut jwt = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), jwt.as_bytes(), &mut signature).ok()?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Some(jwt)
    }
}
