//! Ed25519 keys, as `openssl` writes them: PEM around PKCS #8 or a subject's public key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;

use super::SealError;
use crate::sha256::hex;

/// What stands before the 32 bytes of a key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What signs. Never shown.
pub struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

impl PrivateKey {
    /// Of a file that `openssl genpkey -algorithm ed25519` has written.
    pub fn from_pem(text: &str) -> Result<Self, SealError> {
        SigningKey::from_pkcs8_pem(text)
            .map(Self)
            .map_err(|error| SealError::Key(format!("it is not an ed25519 private key in PEM ({error})")))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}

/// What a signature is checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Of a file that `openssl pkey -pubout` has written.
    pub fn from_pem(text: &str) -> Result<Self, SealError> {
        VerifyingKey::from_public_key_pem(text)
            .map(Self)
            .map_err(|error| SealError::Key(format!("it is not an ed25519 public key in PEM ({error})")))
    }

    /// The SHA-256 of the key as DER, in hex: what `openssl pkey -pubin -outform DER | sha256sum` prints.
    pub fn id(&self) -> String {
        let der = [&SPKI_HEAD[..], self.0.as_bytes()].concat();
        hex(&Sha256::digest(der))
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }

    /// Of a signature that is nothing but base64, without an end of line.
    pub(super) fn has_signed_in_base64(&self, message: &[u8], signature: &[u8]) -> bool {
        STANDARD.decode(signature).is_ok_and(|signature| self.has_signed(message, &signature))
    }
}

/// Whether a signature in a file of its own is that of `text` by this key: 64 bytes as
/// `openssl pkeyutl -sign -rawin -inkey key.pem -in FILE -out FILE.sig` writes them, or these in base64.
pub fn is_signed_beside(key: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    key.has_signed(text, signature) || key.has_signed_in_base64(text, signature.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_beside_a_text_is_of_that_text_and_that_key() {
        let [key, other] = [1, 2].map(|byte| PrivateKey(SigningKey::from_bytes(&[byte; 32])));
        let signature = key.sign(b"a text");
        let in_base64 = STANDARD.encode(&signature) + "\n";
        for signature in [&signature[..], in_base64.as_bytes()] {
            assert!(is_signed_beside(&key.public(), b"a text", signature));
            assert!(!is_signed_beside(&key.public(), b"a text.", signature), "another text");
            assert!(!is_signed_beside(&other.public(), b"a text", signature), "another key");
        }
        for damaged in [&b""[..], b"no signature", &signature[1..]] {
            assert!(!is_signed_beside(&key.public(), b"a text", damaged));
        }
    }
}
