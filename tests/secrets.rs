//! Secrets show nowhere, and are overwritten when they are let go.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::ZeroizeOnDrop;
use sentinel_forwarder::aws::http_client;
use sentinel_forwarder::config::{Api, Config, Credential, Problems, Secret};
use sentinel_forwarder::credential::Proof;

const SECRET: &str = "c2VjcmV0LWtub3ctbm9ib2R5";

fn parse(changes: &[(&str, &str)]) -> Result<Config, Problems> {
    let fixed = [
        ("SENTINEL_ENDPOINT", "https://rule.westeurope-1.ingest.monitor.azure.com"),
        ("SENTINEL_DCR_ID", "dcr-0123456789abcdef0123456789abcdef"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
    ];
    let every = fixed.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(every.collect::<BTreeMap<_, _>>())
}

#[test]
fn settings_with_a_client_secret_do_not_show_it() {
    let config = parse(&[("AZURE_CREDENTIAL", "secret"), ("AZURE_CLIENT_SECRET", SECRET)]).unwrap();
    let Api::LogsIngestion(api) = &config.api else { panic!("not the default API") };
    assert!(matches!(api.credential, Credential::Secret(Secret::Given(_))));
    let shown = format!("{config:?} {config:#?}");
    assert!(shown.contains("tenant") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn settings_with_a_shared_key_do_not_show_it() {
    let legacy = [
        ("SENTINEL_API", "data-collector"),
        ("LOG_ANALYTICS_WORKSPACE_ID", "workspace"),
        ("LOG_ANALYTICS_SHARED_KEY", SECRET),
    ];
    let config = parse(&legacy).unwrap();
    assert!(matches!(&config.api, Api::DataCollector(api) if matches!(api.shared_key, Secret::Given(_))));
    let shown = format!("{config:?} {config:#?}");
    assert!(shown.contains("workspace") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn a_problem_with_settings_does_not_show_a_secret() {
    let wrong = [("AZURE_CREDENTIAL", "secret"), ("AZURE_CLIENT_SECRET", SECRET), ("AZURE_CLOUD", "moon")];
    let problems = parse(&wrong).unwrap_err();
    let shown = format!("{problems} {problems:?}");
    assert!(shown.contains("moon") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn proofs_do_not_show_what_they_carry() {
    for proof in [Proof::Secret, Proof::Assertion, Proof::Certificate] {
        let shown = format!("{:?}", proof(SecretString::from(SECRET)));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn what_holds_a_secret_overwrites_it_when_it_is_let_go() {
    const fn overwrites<T: ZeroizeOnDrop>() {}
    overwrites::<SecretString>();
}

#[tokio::test]
async fn a_redirect_does_not_take_a_secret_along() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("http://{}/", elsewhere.local_addr().unwrap());
    let entra = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tenant/oauth2/v2.0/token", entra.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let (mut stream, _) = entra.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(SECRET.as_bytes()) {
            let mut chunk = [0; 1024];
            let length = stream.read(&mut chunk).unwrap();
            assert_ne!(length, 0);
            request.extend_from_slice(&chunk[..length]);
        }
        let answer =
            format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let client = http_client().unwrap();
    let sent = client.send(|client| client.post(&url).timeout(Duration::from_secs(5)).body(SECRET));
    let response = sent.await.unwrap();
    assert_eq!(response.status(), 307);
    answering.join().unwrap();
    assert!(elsewhere.accept().is_err(), "somebody came");
}
