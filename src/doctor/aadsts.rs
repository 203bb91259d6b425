//! Entra's error codes for a token by client credentials, and what to do about each.
//!
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; those that begin with 70021 are told of by
//! Entra itself (`No matching federated identity record found for presented assertion issuer …`), 70025 likewise. Codes
//! may change at any time, so nothing but advice depends on them; <https://login.microsoftonline.com/error> explains all.

/// What a code means, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// What Entra finds wrong.
    pub(super) meaning: &'static str,
    /// What to do next.
    pub(super) next: &'static str,
}

/// Advice on a code, the number after `AADSTS`; none if it is not known here.
pub(super) const fn advice(code: u32) -> Option<Advice> {
    let (meaning, next) = match code {
        90002 | 900_023 | 90038 => (
            "this tenant does not exist in this cloud",
            "Compare AZURE_TENANT_ID with `az account show --query tenantId`, and AZURE_CLOUD with the cloud \
             that the tenant is in.",
        ),
        700_016 | 700_011 | 7_000_229 => (
            "this application or managed identity does not exist in the tenant",
            "Compare AZURE_CLIENT_ID with `clientId` of `az identity show` (or `appId` of `az ad app show`; \
             run `az ad sp create` if it has no service principal yet), and AZURE_TENANT_ID with the tenant \
             that it is in.",
        ),
        70001 | 7_000_112 => (
            "the application is disabled",
            "Enable its enterprise application in the Entra admin centre, or ask who disabled it.",
        ),
        70025 => (
            "the application has no federated credential at all",
            "Create one with exactly the issuer, subject and audience of the proof of identity (README, \
             Deploy, step 3). If you just did, wait some minutes.",
        ),
        70021 => (
            "no federated credential has this issuer, subject and audience",
            "Compare all three with the proof of identity, to the letter, upper and lower case. A credential \
             that was created just now takes some minutes to be in force.",
        ),
        700_211 => (
            "no federated credential has this issuer",
            "Set the issuer of the federated credential to that of the proof of identity, to the letter and \
             with no slash at its end. It is another one in each AWS account.",
        ),
        700_212 | 7_002_121 => (
            "no federated credential has this audience",
            "Set the audience of the federated credential to that of the proof of identity, and look whether \
             AZURE_CLOUD is right: each cloud has an audience of its own.",
        ),
        700_213 | 7_002_131 => (
            "no federated credential has this subject",
            "Set the subject of the federated credential to the ARN of the function's role (output RoleArn \
             of the stack), to the letter. The doctor proves your own identity: if that is not the \
             function's role, name the role with --role-arn.",
        ),
        50013 | 50027 | 5_002_730 => (
            "the assertion can't be read or its signature not be checked",
            "Look whether the issuer's keys can be had from the internet (issuer, \
             /.well-known/openid-configuration), and whether the token is signed with RS256.",
        ),
        700_024 => (
            "the assertion is not within the time in which it holds",
            "Look at the check of the clock: set this machine's clock (NTP).",
        ),
        700_021 | 700_023 => (
            "the certificate's assertion names another application or another token endpoint",
            "Compare AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_AUTHORITY_HOST with the application.",
        ),
        700_027 => (
            "the certificate is not registered with the application, or it has expired",
            "Upload the certificate with this thumbprint (`az ad app credential reset --append --cert`), or \
             put the one that is registered into the secret of AZURE_CLIENT_CERTIFICATE_ARN.",
        ),
        7_000_214 | 1_000_502 => (
            "the certificate was revoked or is not within the time in which it is valid",
            "Make a new certificate, upload it to the application, and put it into the secret of \
             AZURE_CLIENT_CERTIFICATE_ARN.",
        ),
        7_000_215 | 70002 => (
            "the client secret is wrong",
            "Put the secret's value, not its id, into the secret that AZURE_CLIENT_SECRET_ARN names. If the \
             value is lost, make a new one (`az ad app credential reset --append`).",
        ),
        7_000_222 => (
            "the client secret has expired",
            "Make a new one (`az ad app credential reset --append`) and put it into the secret that \
             AZURE_CLIENT_SECRET_ARN names. The credential `federated` has none that could expire.",
        ),
        700_025 | 7_000_216 | 7_000_218 => (
            "this kind of application takes no such credential",
            "Look whether AZURE_CREDENTIAL is what the application has, and that it is no public client.",
        ),
        500_011 | 70011 | 1_002_012 => (
            "the tenant does not know the service that the token is for",
            "Look whether AZURE_CLOUD is the cloud that the tenant is in: each has an address of Azure \
             Monitor of its own.",
        ),
        53003 => (
            "a policy of Conditional Access blocks the identity",
            "Ask the tenant's administrator to let this workload identity in from AWS's addresses.",
        ),
        90006 | 90012 | 90024 | 90033 | 90055 | 90090 => (
            "Entra is busy or not to be had for now",
            "Try again in some minutes; the function does so by itself.",
        ),
        _ => return None,
    };
    Some(Advice { meaning, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_trust_has_advice_of_its_own() {
        for (code, part) in [(700_211, "issuer"), (700_212, "audience"), (700_213, "subject")] {
            let advice = advice(code).unwrap();
            assert!(advice.meaning.contains(part) && advice.next.contains(part), "{code}: {advice:?}");
        }
    }

    #[test]
    fn advice_names_the_variable_to_mend() {
        for (code, variable) in [
            (90002, "AZURE_TENANT_ID"),
            (700_016, "AZURE_CLIENT_ID"),
            (500_011, "AZURE_CLOUD"),
            (7_000_215, "AZURE_CLIENT_SECRET_ARN"),
            (7_000_222, "AZURE_CLIENT_SECRET_ARN"),
            (700_027, "AZURE_CLIENT_CERTIFICATE_ARN"),
        ] {
            assert!(advice(code).unwrap().next.contains(variable), "{code}");
        }
    }

    #[test]
    fn advice_is_whole_sentences_without_a_gap() {
        for code in (50_000..100_000)
            .chain(500_000..1_003_000)
            .chain(5_000_000..5_010_000)
            .chain(7_000_000..7_010_000)
        {
            let Some(Advice { meaning, next }) = advice(code) else { continue };
            assert!(next.ends_with('.') && !next.contains("  ") && !meaning.contains("  "), "{code}");
        }
    }

    #[test]
    fn a_code_that_is_not_known_has_none() {
        assert_eq!(advice(1), None);
    }
}
