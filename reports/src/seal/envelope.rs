//! The DSSE envelope: a payload, its type, and signatures over both (<https://github.com/secure-systems-lab/dsse>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use notation::visible;

use crate::sha256::is_hex;

use super::{PrivateKey, PublicKey, SealError};

/// What the payload is: an in-toto statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    /// In base64.
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    /// A hint which key it is of; not signed.
    #[serde(default)]
    keyid: String,
    /// In base64.
    sig: String,
}

impl Signature {
    /// How it differs from any that [`Envelope::around`] makes.
    fn fault(&self) -> Option<String> {
        if self.keyid.len() != 64 || !is_hex(&self.keyid) {
            return Some(format!(
                "the `keyid` of its signature is `{}`, and not the SHA-256 of a key",
                visible::line(&self.keyid)
            ));
        }
        let is_whole = STANDARD.decode(&self.sig).is_ok_and(|signature| signature.len() == 64);
        (!is_whole).then(|| "its signature is not 64 bytes in base64".to_owned())
    }
}

/// What is signed: the pre-authentication encoding of DSSE v1.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    pub(super) fn around(payload: &[u8], key: Option<&PrivateKey>) -> Self {
        let sign = |key: &PrivateKey| Signature {
            keyid: key.public().id(),
            sig: STANDARD.encode(key.sign(&pae(PAYLOAD_TYPE, payload))),
        };
        Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: key.map(sign).into_iter().collect(),
        }
    }

    /// Pretty, with a newline at the end.
    pub(super) fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("an envelope holds nothing but strings");
        text + "\n"
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, SealError> {
        let envelope: Self = serde_json::from_slice(text)
            .map_err(|error| SealError::NotABundle(format!("its seal is not a DSSE envelope ({error})")))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            let what = format!("its seal holds `{}`, and not an in-toto statement", envelope.payload_type);
            return Err(SealError::NotABundle(what));
        }
        if let [_, _, ..] = envelope.signatures[..] {
            let count = envelope.signatures.len();
            return Err(SealError::NotABundle(format!(
                "its seal has {count} signatures, and not at most one"
            )));
        }
        if let Some(what) = envelope.signatures.iter().find_map(Signature::fault) {
            return Err(SealError::NotABundle(what));
        }
        if envelope.text().as_bytes() != text {
            let what =
                "its seal has keys, or is written in a way, that `harness seal` does not write".to_owned();
            return Err(SealError::NotABundle(what));
        }
        Ok(envelope)
    }

    pub(super) fn payload(&self) -> Result<Vec<u8>, SealError> {
        let refuse =
            |error| SealError::NotABundle(format!("the payload of its seal is not base64 ({error})"));
        STANDARD.decode(&self.payload).map_err(refuse)
    }

    /// Keys that its signatures name, whether or not they are theirs.
    pub(super) fn named_keys(&self) -> Vec<String> {
        self.signatures.iter().map(|signature| signature.keyid.clone()).collect()
    }

    /// Whether its signature is by this key.
    pub(super) fn is_signed_by(&self, key: &PublicKey, payload: &[u8]) -> bool {
        let message = pae(&self.payload_type, payload);
        self.signatures.iter().any(|signature| key.has_signed_in_base64(&message, signature.sig.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the protocol's own description.
    #[test]
    fn what_is_signed_is_the_encoding_of_dsse() {
        let message = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
