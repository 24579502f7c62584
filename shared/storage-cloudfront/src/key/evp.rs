//! AWS-LC's own signing, behind a safe face: its safe bindings sign nothing with SHA-1, which is
//! what CloudFront expects unless told otherwise.

use std::ptr::{NonNull, null_mut};

use aws_lc_sys::{
    EVP_DigestSign, EVP_DigestSignInit, EVP_MD_CTX, EVP_MD_CTX_free, EVP_MD_CTX_new, EVP_PKEY,
    EVP_PKEY_free, EVP_sha1, EVP_sha256, d2i_AutoPrivateKey,
};

use super::Hash;

pub(super) struct Key(NonNull<EVP_PKEY>);

#[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
// SAFETY: an EVP_PKEY that nobody changes may be used by any number of threads at once
// (`openssl/evp.h`, "Public/private key objects"); nothing here changes it.
unsafe impl Send for Key {}
#[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Key {
    /// The key in PKCS#1, PKCS#8 or SEC1 form.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let length = der.len().try_into().ok()?;
        let mut start = der.as_ptr();
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
        // SAFETY: the pointer and the length are those of one slice, which the call only reads;
        // a null `out` makes it return a key that is ours.
        let key = unsafe { d2i_AutoPrivateKey(null_mut(), &mut start, length) };
        NonNull::new(key).map(Self)
    }

    pub(super) fn sign(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        let context = Context::new()?;
        // As long as a signature by any key that CloudFront takes.
        let mut signature = vec![0; 256];
        let mut length = signature.len();
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
        // SAFETY: context and key are alive for the whole block; each pointer goes with the
        // length of its slice, and `length` says how much may be written.
        let is_signed = unsafe {
            let digest = match hash {
                Hash::Sha1 => EVP_sha1(),
                Hash::Sha256 => EVP_sha256(),
            };
            let (context, key) = (context.0.as_ptr(), self.0.as_ptr());
            let (start, bytes) = (message.as_ptr(), message.len());
            EVP_DigestSignInit(context, null_mut(), digest, null_mut(), key) == 1
                && EVP_DigestSign(context, signature.as_mut_ptr(), &mut length, start, bytes) == 1
        };
        signature.truncate(length);
        is_signed.then_some(signature)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
        // SAFETY: the key is ours and is not used afterwards.
        unsafe {
            EVP_PKEY_free(self.0.as_ptr());
        }
    }
}

struct Context(NonNull<EVP_MD_CTX>);

impl Context {
    fn new() -> Option<Self> {
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
        // SAFETY: takes nothing; null when there is no memory.
        let context = unsafe { EVP_MD_CTX_new() };
        NonNull::new(context).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this key")]
        // SAFETY: the context is ours and is not used afterwards.
        unsafe {
            EVP_MD_CTX_free(self.0.as_ptr());
        }
    }
}
