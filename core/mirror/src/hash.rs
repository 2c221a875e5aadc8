//! The key hash of the index: MurmurHash64A with seed 0, the 64-bit hash of the public-domain MurmurHash2 family.
//!
//! Chosen because it is short enough to write down in a format description, known in every language, handles eight bytes
//! per step, and spreads keys that differ in one digit. It does not resist chosen collisions: whoever may write keys may
//! make lookups slow, never wrong.

const M: u64 = 0xc6a4_a793_5bd1_e995;
const R: u32 = 47;

/// The 64-bit hash of `key`.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut h = (key.len() as u64).wrapping_mul(M);
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = (h ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        h = (h ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    h ^= h >> R;
    h = h.wrapping_mul(M);
    h ^ (h >> R)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published C code, transcribed byte by byte, as a second opinion on the word-wise one above.
    fn published(key: &[u8]) -> u64 {
        let mut h = (key.len() as u64).wrapping_mul(M);
        let full = key.len() / 8 * 8;
        for at in (0..full).step_by(8) {
            let mut k = 0u64;
            for (i, byte) in key[at..at + 8].iter().enumerate() {
                k |= u64::from(*byte) << (8 * i);
            }
            k = k.wrapping_mul(M);
            k ^= k >> R;
            k = k.wrapping_mul(M);
            h ^= k;
            h = h.wrapping_mul(M);
        }
        let rest = &key[full..];
        for i in (0..rest.len()).rev() {
            h ^= u64::from(rest[i]) << (8 * i);
            if i == 0 {
                h = h.wrapping_mul(M);
            }
        }
        h ^= h >> R;
        h = h.wrapping_mul(M);
        h ^= h >> R;
        h
    }

    #[test]
    fn equals_the_published_algorithm_at_every_tail_length() {
        let text: Vec<u8> = (0..=255).collect();
        for len in 0..text.len() {
            assert_eq!(hash(&text[..len]), published(&text[..len]), "length {len}");
        }
    }

    /// Values that the format document prints, so that a reader in another language can check itself.
    #[test]
    fn known_values() {
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"a"), 0x0717_17d2_d36b_6b11);
        assert_eq!(hash(b"12345678"), 0x758f_67d1_62b2_d202);
        assert_eq!(hash(b"database/host"), 0x525a_b439_2c24_0c28);
    }

    #[test]
    fn keys_that_differ_in_a_digit_spread_over_the_slots() {
        let slots = 1usize << 17;
        let mut used = vec![false; slots];
        let mut longest = 0;
        for i in 0..slots / 2 {
            let mut slot = hash(format!("/shop/prod/feature/{i}").as_bytes()) as usize & (slots - 1);
            let mut probes = 1;
            while used[slot] {
                slot = (slot + 1) & (slots - 1);
                probes += 1;
            }
            used[slot] = true;
            longest = longest.max(probes);
        }
        assert!(longest < 64, "a probe sequence of {longest} at load 0.5");
    }
}
