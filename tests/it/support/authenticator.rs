//! An authenticator with its browser, in software: it holds passkeys, and signs what it is asked to, or what a test has it
//! say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::graphql::SUBMIT;
use super::{Answer, Client};

const START_REGISTRATION: &str = "mutation($input: StartPasskeyRegistrationInput!) {
    startPasskeyRegistration(input: $input) { registrationId creationOptions userErrors { code message path } } }";
const FINISH_REGISTRATION: &str = "mutation($input: FinishPasskeyRegistrationInput!) {
    finishPasskeyRegistration(input: $input) { passkey { id name createdAt lastUsedAt }
    account { id version security { passkeys { id } } } userErrors { code message path } } }";
const START_SIGN_IN: &str = "mutation($input: StartPasskeySignInInput!) { startPasskeySignIn(input: $input) {
    verification { id purpose method status platform { key } profile { id }
        challenge { ... on PasskeyChallenge { requestOptions } } }
    clientSecret userErrors { code message path } } }";
const START_STEP_UP: &str = "mutation($input: StartStepUpInput!) { startStepUp(input: $input) {
    verification { id purpose method status platform { key } profile { id }
        challenge { ... on PasskeyChallenge { requestOptions } } }
    userErrors { code message path } } }";
const DELETE: &str = "mutation($input: DeletePasskeyInput!) { deletePasskey(input: $input) {
    deletedPasskeyId account { version security { passkeys { id } } } userErrors { code message path } } }";

/// A device that holds passkeys, and a browser on a page of ours.
pub struct Authenticator {
    origin: String,
    seed: u8,
    pub held: Vec<Held>,
}

/// A passkey in it.
#[derive(Clone)]
pub struct Held {
    pub id: Vec<u8>,
    key: SigningKey,
    rp_id: String,
    user: Vec<u8>,
    /// How often it has signed.
    pub counter: u32,
}

/// What it is going to say; a test may have it lie.
pub struct Claims {
    pub kind: &'static str,
    pub challenge: String,
    pub origin: String,
    pub rp_id: String,
    pub user_present: bool,
    pub user_verified: bool,
    pub counter: u32,
    pub user: Option<Vec<u8>>,
    pub credential: Vec<u8>,
    /// Whether a byte of the signature is turned, at last.
    pub spoils_signature: bool,
}

impl Authenticator {
    /// On a page of the server at `url`. Those of one seed make the same credentials.
    pub fn new(url: &str, seed: u8) -> Self {
        Self { origin: url.replace("127.0.0.1", "localhost"), seed, held: Vec::new() }
    }

    /// RegistrationResponseJSON with a new passkey.
    pub fn create(&mut self, options: &str) -> String {
        self.create_with(options, |_| {})
    }

    /// The same after `lie` has changed what it says.
    pub fn create_with(&mut self, options: &str, lie: impl FnOnce(&mut Claims)) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let number = u8::try_from(self.held.len()).unwrap();
        let secret = Sha256::digest([self.seed, number]);
        let key = SigningKey::from_slice(&secret).unwrap();
        let rp_id = options["rp"]["id"].as_str().unwrap().to_owned();
        let mut claims = Claims {
            kind: "webauthn.create",
            challenge: options["challenge"].as_str().unwrap().to_owned(),
            origin: self.origin.clone(),
            rp_id: rp_id.clone(),
            user_present: true,
            user_verified: true,
            counter: 0,
            user: None,
            credential: Sha256::digest(secret).to_vec(),
            spoils_signature: false,
        };
        lie(&mut claims);
        let mut data = authenticator_data(&claims, 0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(claims.credential.len()).unwrap().to_be_bytes());
        data.extend(&claims.credential);
        data.extend(cose_key(&key));
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        attestation.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        attestation.extend(data);
        let user = decoded(options["user"]["id"].as_str().unwrap());
        self.held.push(Held { id: claims.credential.clone(), key, rp_id, user, counter: 0 });
        json!({
            "id": encoded(&claims.credential), "rawId": encoded(&claims.credential), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": { "credProps": { "rk": true } },
            "response": { "clientDataJSON": encoded(client_data(&claims).as_bytes()),
                "attestationObject": encoded(&attestation), "transports": ["internal", "smoke-signals"] },
        })
        .to_string()
    }

    /// AuthenticationResponseJSON of the passkey that is asked for, or of the newest.
    pub fn get(&mut self, options: &str) -> String {
        self.get_with(options, |_| {})
    }

    /// The same after `lie` has changed what it says.
    pub fn get_with(&mut self, options: &str, lie: impl FnOnce(&mut Claims)) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let allowed = options["allowCredentials"].as_array().unwrap();
        let is_allowed = |held: &&mut Held| {
            held.rp_id == options["rpId"].as_str().unwrap()
                && (allowed.is_empty()
                    || allowed.iter().any(|one| one["id"].as_str().unwrap() == encoded(&held.id)))
        };
        let held = self.held.iter_mut().rev().find(is_allowed).expect("it holds such a passkey");
        held.counter += 1;
        let mut claims = Claims {
            kind: "webauthn.get",
            challenge: options["challenge"].as_str().unwrap().to_owned(),
            origin: self.origin.clone(),
            rp_id: held.rp_id.clone(),
            user_present: true,
            user_verified: true,
            counter: held.counter,
            user: Some(held.user.clone()),
            credential: held.id.clone(),
            spoils_signature: false,
        };
        lie(&mut claims);
        let (data, client_data) = (authenticator_data(&claims, 0), client_data(&claims));
        let signed = [data.as_slice(), &Sha256::digest(client_data.as_bytes())].concat();
        let signature: Signature = held.key.sign(&signed);
        let mut signature = signature.to_der().as_bytes().to_vec();
        if claims.spoils_signature {
            *signature.last_mut().unwrap() ^= 1;
        }
        json!({
            "id": encoded(&claims.credential), "rawId": encoded(&claims.credential), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": { "clientDataJSON": encoded(client_data.as_bytes()),
                "authenticatorData": encoded(&data), "signature": encoded(&signature),
                "userHandle": claims.user.map(|user| encoded(&user)) },
        })
        .to_string()
    }
}

fn authenticator_data(claims: &Claims, flags: u8) -> Vec<u8> {
    let flags = flags | u8::from(claims.user_present) | (u8::from(claims.user_verified) << 2);
    let mut data = Sha256::digest(claims.rp_id.as_bytes()).to_vec();
    data.push(flags);
    data.extend(claims.counter.to_be_bytes());
    data
}

fn client_data(claims: &Claims) -> String {
    let Claims { kind, challenge, origin, .. } = claims;
    json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false }).to_string()
}

/// {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y} in CBOR (RFC 9053, section 7.1).
fn cose_key(key: &SigningKey) -> Vec<u8> {
    let point = key.verifying_key().to_encoded_point(false);
    let mut cose = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".to_vec();
    cose.extend(point.x().unwrap());
    cose.extend(b"\x22\x58\x20");
    cose.extend(point.y().unwrap());
    cose
}

pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// What the challenge of a started verification asks.
pub fn asked(started: &Answer) -> String {
    let challenge = &started.field()["verification"]["challenge"];
    challenge["requestOptions"].as_str().unwrap_or_else(|| panic!("{:#}", started.body)).to_owned()
}

impl Client {
    pub async fn start_passkey(&self, name: &str) -> Answer {
        self.mutate(START_REGISTRATION, json!({ "name": name })).await
    }

    pub async fn finish_passkey(&self, registration: &Value, attestation: &str) -> Answer {
        let input = json!({ "registrationId": registration, "attestation": attestation });
        self.mutate(FINISH_REGISTRATION, input).await
    }

    /// Registers a passkey. Gives its global id.
    pub async fn add_passkey(&self, device: &mut Authenticator, name: &str) -> String {
        let started = self.start_passkey(name).await;
        let made = device.create(started.field()["creationOptions"].as_str().unwrap());
        let done = self.finish_passkey(&started.field()["registrationId"], &made).await;
        done.field()["passkey"]["id"].as_str().unwrap_or_else(|| panic!("{:#}", done.body)).to_owned()
    }

    pub async fn start_passkey_sign_in(&self) -> Answer {
        self.mutate(START_SIGN_IN, json!({})).await
    }

    /// Starts to step up by a passkey.
    pub async fn start_passkey_step_up(&self, passkey: &str) -> Answer {
        self.mutate(START_STEP_UP, json!({ "methodId": passkey.replace("passkey_", "sign_in_method_") }))
            .await
    }

    /// Submits what a passkey has signed to what was started.
    pub async fn submit_assertion(&self, started: &Answer, assertion: &str) -> Answer {
        let started = started.field();
        let (id, secret) = (&started["verification"]["id"], &started["clientSecret"]);
        let proof = json!({ "passkeyAssertion": assertion });
        self.mutate(SUBMIT, json!({ "verificationId": id, "clientSecret": secret, "proof": proof })).await
    }

    /// Signs in by a passkey. Gives the answer to the proof.
    pub async fn passkey_sign_in(&self, device: &mut Authenticator) -> Answer {
        let started = self.start_passkey_sign_in().await;
        self.submit_assertion(&started, &device.get(&asked(&started))).await
    }

    pub async fn delete_passkey(&self, passkey: &str) -> Answer {
        self.mutate(DELETE, json!({ "passkeyId": passkey })).await
    }
}
