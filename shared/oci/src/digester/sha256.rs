//! SHA-256 with a state that can be exported: AWS-LC's own functions, whose context is plain
//! data, behind a safe face.

use aws_lc_sys::{SHA256_CTX, SHA256_Final, SHA256_Init, SHA256_Update};

/// How many bytes an exported state has.
pub const SHA256_STATE_LENGTH: usize = 108;

/// Go's form of a SHA-256 state: the magic, eight chaining values (32-bit, big-endian), the
/// 64-byte block buffer with its unused rest zero, and the number of bytes so far (64-bit,
/// big-endian).
pub type Sha256State = [u8; SHA256_STATE_LENGTH];

const MAGIC: &[u8; 4] = b"sha\x03";
const BLOCK: usize = 64;

/// A text is no SHA-256 state in Go's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 state")]
pub struct InvalidState;

#[derive(Clone)]
pub(super) struct Sha256(SHA256_CTX);

impl Sha256 {
    pub(super) fn new() -> Self {
        let mut context = SHA256_CTX::default();
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this context")]
        // SAFETY: SHA256_Init writes a whole SHA256_CTX and cannot fail.
        unsafe {
            SHA256_Init(&mut context);
        }
        Self(context)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this context")]
        // SAFETY: the pointer and the length are those of one slice, which the call only reads.
        unsafe {
            SHA256_Update(&mut self.0, bytes.as_ptr().cast(), bytes.len());
        }
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        let mut digest = [0; 32];
        #[expect(unsafe_code, reason = "AWS-LC has no safe binding of this context")]
        // SAFETY: SHA256_Final writes 32 bytes, for a context that SHA256_Init set up.
        unsafe {
            SHA256_Final(digest.as_mut_ptr(), &mut self.0);
        }
        digest
    }

    pub(super) fn export(&self) -> Sha256State {
        let mut state = [0; SHA256_STATE_LENGTH];
        state[..4].copy_from_slice(MAGIC);
        for (place, value) in state[4..36].chunks_exact_mut(4).zip(self.0.h) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        let buffered = self.0.num as usize;
        state[36..36 + buffered].copy_from_slice(&self.0.data[..buffered]);
        let bits = (u64::from(self.0.Nh) << 32) | u64::from(self.0.Nl);
        state[100..].copy_from_slice(&(bits / 8).to_be_bytes());
        state
    }

    pub(super) fn import(state: &[u8]) -> Result<Self, InvalidState> {
        let state: &Sha256State = state.try_into().map_err(|_| InvalidState)?;
        if &state[..4] != MAGIC {
            return Err(InvalidState);
        }
        let mut hash = Self::new();
        for (value, bytes) in hash.0.h.iter_mut().zip(state[4..36].chunks_exact(4)) {
            *value = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let mut length = [0; 8];
        length.copy_from_slice(&state[100..]);
        let length = u64::from_be_bytes(length);
        let bits = length.checked_mul(8).ok_or(InvalidState)?;
        let buffered = (length % BLOCK as u64) as usize;
        hash.0.data[..buffered].copy_from_slice(&state[36..36 + buffered]);
        hash.0.num = u32::try_from(buffered).map_err(|_| InvalidState)?;
        hash.0.Nh = (bits >> 32) as u32;
        hash.0.Nl = (bits & u64::from(u32::MAX)) as u32;
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Algorithm, Digester};

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_state_taken_out_at_any_byte_goes_on_to_the_same_digest() {
        let bytes = bytes(300);
        let whole = Digester::digest(Algorithm::Sha256, &bytes);
        for split in 0..=bytes.len() {
            let mut first = Digester::new(Algorithm::Sha256);
            first.update(&bytes[..split]);
            let mut second = Digester::resume(&first.state().unwrap()).unwrap();
            second.update(&bytes[split..]);
            assert_eq!(second.finish(), whole, "split at {split}");
        }
    }

    #[test]
    fn the_state_is_gos_form_byte_for_byte() {
        // Go: h := sha256.New(); h.Write([]byte("abc")); h.MarshalBinary()
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(b"abc");
        let state = digester.state().unwrap();
        let mut expected = b"sha\x03".to_vec();
        for value in [
            0x6a09_e667_u32,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ] {
            expected.extend(value.to_be_bytes());
        }
        expected.extend(b"abc");
        expected.extend([0; 61]);
        expected.extend(3_u64.to_be_bytes());
        assert_eq!(state.to_vec(), expected);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let mut state = Digester::new(Algorithm::Sha256).state().unwrap();
        assert!(Digester::resume(&state[1..]).is_err());
        assert!(Digester::resume(&[]).is_err());
        state[100] = 0xff;
        assert!(
            Digester::resume(&state).is_err(),
            "a length beyond 2^61 bytes"
        );
        state[100] = 0;
        state[0] = b'S';
        assert!(Digester::resume(&state).is_err());
    }

    #[test]
    fn known_digests_of_each_algorithm() {
        for (algorithm, expected) in [
            (
                Algorithm::Sha256,
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha384,
                "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                Algorithm::Sha512,
                "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(Digester::digest(algorithm, b"abc").as_str(), expected);
        }
    }
}
