//! The DSSE envelope: a payload, its type, and signatures over both (<https://github.com/secure-systems-lab/dsse>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

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

    /// Whether one of its signatures is by this key.
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
