//! A certificate's proof: a JWT that its private key signs.
//!
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>. The key stays in memory; neither it
//! nor the assertion is ever logged.

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

/// Signs an assertion for a token endpoint; the reason in words if the PEM won't do.
pub(super) fn assertion(
    pem: &str,
    client_id: &str,
    token_url: &str,
    now: Timestamp,
) -> Result<String, &'static str> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "it holds no certificate (BEGIN CERTIFICATE)")?;
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(_) => return Err("its private key is no RSA key, and Entra takes no other"),
        Err(_) => return Err("it holds no private key (BEGIN PRIVATE KEY)"),
    };
    let key = key.map_err(|_| "its private key is no RSA key of 2048 to 4096 bits")?;
    let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
    let header = json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(thumbprint)});
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
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), jwt.as_bytes(), &mut signature)
        .map_err(|_| "its private key can't sign")?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(jwt)
}
