//! From when until when a certificate is valid: the one thing that is read of its DER.
//!
//! <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>: a sequence whose first member is a sequence of version, serial
//! number, algorithm, issuer and validity.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::finding::{Check, Finding};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// So long before its end a certificate should be replaced.
const RENEW_BEFORE_DAYS: i64 = 30;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// From this time on.
    pub(super) from: Timestamp,
    /// Up to this time.
    pub(super) until: Timestamp,
}

impl Validity {
    /// Reads it of a certificate in DER; none if this is no certificate.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(der, SEQUENCE)?;
        let (mut rest, _) = expect(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest)?.2;
        }
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (validity, _) = expect(rest, SEQUENCE)?;
        let (tag, from, rest) = element(validity)?;
        let (until_tag, until, _) = element(rest)?;
        Some(Self { from: time(tag, from)?, until: time(until_tag, until)? })
    }

    /// Judges it; `thumbprint` is how Azure's portal writes it.
    pub(super) fn judge(self, thumbprint: &str, now: Timestamp) -> Finding {
        const NEXT: &str = "Make a new certificate, upload it to the application, and put it with its \
                            private key into the secret of AZURE_CLIENT_CERTIFICATE_ARN.";
        let soon = now.checked_add((RENEW_BEFORE_DAYS * 24).hours()).unwrap_or(Timestamp::MAX);
        let finding = if now < self.from {
            Finding::failed(Check::Proof, "the certificate is not valid yet", NEXT)
        } else if now >= self.until {
            Finding::failed(Check::Proof, "the certificate has expired", NEXT)
        } else if soon >= self.until {
            Finding::warning(
                Check::Proof,
                format!("the certificate expires within {RENEW_BEFORE_DAYS} days"),
                NEXT,
            )
        } else {
            Finding::ok(Check::Proof, "the certificate and its private key belong together, and are valid")
        };
        finding.details([
            format!("thumbprint: {thumbprint}"),
            format!("valid from: {}", self.from),
            format!("valid until: {}", self.until),
        ])
    }
}

/// The first element: its tag, what it holds, what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits
            .iter()
            .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after that.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    TimeZone::UTC.to_timestamp(DateTime::strptime("%Y%m%d%H%M%S", text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::super::finding::Status;
    use super::*;

    /// A certificate of nobody: its key was thrown away.
    const PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBETCBt6ADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAg
Fw0yNTAxMDIwMzA0MDVaGA8yMDUxMDYwNzA4MDkxMFowETEPMA0GA1UEAwwGbm9i
b2R5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnYP+JlECLR9Ep0tIecl0agS8
QDI8Mi1iqKlRtj1lonznCD8QQ7hjTiPdI8JfSFeXqri1rpKRSi3xqOW7CJUD1DAK
BggqhkjOPQQDAgNJADBGAiEAj5aI5CxT2wEf9YR73wZNsDtfxwJkJPwQKCc80xn3
u8YCIQCoWEXw5elt2AEMVCQi6S2dKgaWyJHyRAkk/LE36Dxamw==
-----END CERTIFICATE-----";

    fn validity(from: &str, until: &str) -> Validity {
        Validity { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    #[test]
    fn both_forms_of_time_are_read_of_a_certificate() {
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        assert_eq!(Validity::read(&der), Some(validity("2025-01-02T03:04:05Z", "2051-06-07T08:09:10Z")));
    }

    #[test]
    fn what_is_cut_or_no_certificate_has_no_validity() {
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        for length in 0..der.len() {
            assert_eq!(Validity::read(&der[..length]), None, "{length}");
        }
        assert_eq!(Validity::read(b"-----BEGIN CERTIFICATE-----"), None);
        assert_eq!(Validity::read(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }

    #[test]
    fn a_certificate_is_judged_by_the_clock() {
        let valid = validity("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z");
        for (now, status) in [
            ("2025-12-31T23:59:59Z", Status::Failed),
            ("2026-01-01T00:00:00Z", Status::Ok),
            ("2026-11-30T23:59:59Z", Status::Ok),
            ("2026-12-01T00:00:00Z", Status::Warning),
            ("2026-12-30T23:59:59Z", Status::Warning),
            ("2026-12-31T00:00:00Z", Status::Failed),
        ] {
            assert_eq!(valid.judge("AB", now.parse().unwrap()).status, status, "{now}");
        }
    }
}
