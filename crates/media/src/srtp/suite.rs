//! The two kinds of protection: AES in counter mode with HMAC-SHA1 (RFC 3711 §4), AES-GCM (RFC 7714).

use aes::Aes128;
use aes::cipher::{BlockEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::{CryptoKey, CryptoSuite, INDEX, Refused};

/// Labels of the key derivation (RFC 3711 §4.3): encryption, authentication, salt.
pub const RTP_LABELS: [u8; 3] = [0, 1, 2];
/// The same for SRTCP.
pub const RTCP_LABELS: [u8; 3] = [3, 4, 5];

const GCM_TAG: usize = 16;
/// SRTCP is always authenticated with 80 bits (RFC 4568 §6.2.2).
const RTCP_TAG: usize = 10;
/// The bit of the SRTCP index word that says the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Session keys of one direction, for RTP or for RTCP.
pub enum Cipher {
    /// Counter mode and HMAC.
    Counter {
        /// Expanded key.
        aes: Box<Aes128>,
        /// Session salt.
        salt: [u8; 14],
        /// Keyed and ready to be copied.
        mac: Box<Hmac<Sha1>>,
        /// Bytes of the RTP tag.
        tag: usize,
    },
    /// Galois counter mode.
    Gcm {
        /// Expanded key.
        aes: Box<Aes128Gcm>,
        /// Session salt.
        salt: [u8; 12],
    },
}

impl Cipher {
    /// Derives the session keys from a master key. Allocates.
    pub fn new(key: &CryptoKey, [encryption, authentication, salting]: [u8; 3]) -> Self {
        let master = Aes128::new(key.key().into());
        let derive = |label: u8, out: &mut [u8]| {
            let mut counter = [0; 16];
            counter[..key.salt().len()].copy_from_slice(key.salt());
            counter[7] ^= label;
            for (n, chunk) in out.chunks_mut(16).enumerate() {
                counter[15] = n as u8;
                let mut block = counter.into();
                master.encrypt_block(&mut block);
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        };
        let (mut session, mut authentication_key) = ([0; 16], [0; 20]);
        derive(encryption, &mut session);
        let tag = match key.suite() {
            CryptoSuite::AesCm128HmacSha1_80 => 10,
            CryptoSuite::AesCm128HmacSha1_32 => 4,
            CryptoSuite::AeadAes128Gcm => {
                let mut salt = [0; 12];
                derive(salting, &mut salt);
                return Self::Gcm { aes: Box::new(Aes128Gcm::new(&session.into())), salt };
            }
        };
        let mut salt = [0; 14];
        derive(salting, &mut salt);
        derive(authentication, &mut authentication_key);
        // A block of zeros after the key: HMAC pads short keys so itself (RFC 2104), and a whole block is of no wrong length.
        let mut block = [0; 64];
        block[..20].copy_from_slice(&authentication_key);
        let mac = <Hmac<Sha1> as KeyInit>::new(&block.into());
        Self::Counter { aes: Box::new(Aes128::new(&session.into())), salt, mac: Box::new(mac), tag }
    }

    /// Encrypts behind the header and appends the tag; the new length.
    pub fn seal_rtp(&self, packet: &mut [u8], header: usize, length: usize, ssrc: u32, index: u64) -> Option<usize> {
        match self {
            Self::Counter { aes, salt, mac, tag } => {
                packet.get(..length + tag)?;
                counter_mode(aes, counter_iv(salt, ssrc, index), packet.get_mut(header..length)?);
                let sum = authenticated(mac, packet.get(..length)?, (index >> 16) as u32);
                packet.get_mut(length..length + tag)?.copy_from_slice(&sum[..*tag]);
                Some(length + tag)
            }
            Self::Gcm { aes, salt } => {
                let (head, rest) = packet.get_mut(..length + GCM_TAG)?.split_at_mut(header);
                let (body, tag) = rest.split_at_mut(length - header);
                let iv = gcm_iv(salt, ssrc, index);
                let sum = aes.encrypt_in_place_detached(&Nonce::from(iv), head, body).ok()?;
                tag.copy_from_slice(&sum);
                Some(length + GCM_TAG)
            }
        }
    }

    /// Checks the tag, then decrypts; the length without the tag.
    pub fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Result<usize, Refused> {
        match self {
            Self::Counter { aes, salt, mac, tag } => {
                let length =
                    packet.len().checked_sub(*tag).filter(|length| *length >= header).ok_or(Refused::Malformed)?;
                let (body, sent) = packet.split_at_mut(length);
                let sum = authenticated(mac, body, (index >> 16) as u32);
                if !same(&sum[..*tag], sent) {
                    return Err(Refused::NotAuthentic);
                }
                counter_mode(aes, counter_iv(salt, ssrc, index), &mut body[header..]);
                Ok(length)
            }
            Self::Gcm { aes, salt } => {
                let length =
                    packet.len().checked_sub(GCM_TAG).filter(|length| *length >= header).ok_or(Refused::Malformed)?;
                let (head, rest) = packet.split_at_mut(header);
                let (body, tag) = rest.split_at_mut(length - header);
                let iv = gcm_iv(salt, ssrc, index);
                aes.decrypt_in_place_detached(&Nonce::from(iv), head, body, &tag_of(tag))
                    .map_err(|_| Refused::NotAuthentic)?;
                Ok(length)
            }
        }
    }

    /// Encrypts an RTCP packet behind its first eight bytes, appends index and tag; the new length.
    pub fn seal_rtcp(&self, packet: &mut [u8], length: usize, ssrc: u32, index: u32) -> Option<usize> {
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Counter { aes, salt, mac, .. } => {
                let end = length + INDEX + RTCP_TAG;
                packet.get(..end)?;
                counter_mode(aes, counter_iv(salt, ssrc, u64::from(index)), packet.get_mut(8..length)?);
                packet.get_mut(length..length + INDEX)?.copy_from_slice(&word);
                let sum = authenticated(mac, packet.get(..length)?, ENCRYPTED | index);
                packet.get_mut(length + INDEX..end)?.copy_from_slice(&sum[..RTCP_TAG]);
                Some(end)
            }
            Self::Gcm { aes, salt } => {
                let (head, rest) = packet.get_mut(..length + GCM_TAG + INDEX)?.split_at_mut(8);
                let (body, tail) = rest.split_at_mut(length.checked_sub(8)?);
                let iv = gcm_rtcp_iv(salt, ssrc, index);
                let sum = aes.encrypt_in_place_detached(&Nonce::from(iv), &associated(head, word), body).ok()?;
                tail[..GCM_TAG].copy_from_slice(&sum);
                tail[GCM_TAG..].copy_from_slice(&word);
                Some(length + GCM_TAG + INDEX)
            }
        }
    }

    /// The index word of a protected RTCP packet.
    pub fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Counter { .. } => INDEX + RTCP_TAG,
            Self::Gcm { .. } => INDEX,
        };
        super::word(packet, packet.len().checked_sub(behind)?)
    }

    /// Checks and decrypts an RTCP packet whose index word is `word`; the length without index and tag.
    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, Refused> {
        let index = word & !ENCRYPTED;
        match self {
            Self::Counter { aes, salt, mac, .. } => {
                let length =
                    packet.len().checked_sub(INDEX + RTCP_TAG).filter(|l| *l >= 8).ok_or(Refused::Malformed)?;
                let (body, tail) = packet.split_at_mut(length);
                let sum = authenticated(mac, body, word);
                if !same(&sum[..RTCP_TAG], &tail[INDEX..]) {
                    return Err(Refused::NotAuthentic);
                }
                if word & ENCRYPTED != 0 {
                    counter_mode(aes, counter_iv(salt, ssrc, u64::from(index)), &mut body[8..]);
                }
                Ok(length)
            }
            Self::Gcm { aes, salt } => {
                let length = packet.len().checked_sub(INDEX + GCM_TAG).filter(|l| *l >= 8).ok_or(Refused::Malformed)?;
                if word & ENCRYPTED == 0 {
                    return Err(Refused::NotAuthentic); // allowed by RFC 7714 §9.3, sent by nobody, and never agreed here
                }
                let (head, rest) = packet.split_at_mut(8);
                let (body, tail) = rest.split_at_mut(length - 8);
                let iv = gcm_rtcp_iv(salt, ssrc, index);
                let aad = associated(head, word.to_be_bytes());
                aes.decrypt_in_place_detached(&Nonce::from(iv), &aad, body, &tag_of(tail))
                    .map_err(|_| Refused::NotAuthentic)?;
                Ok(length)
            }
        }
    }
}

/// RFC 3711 §4.1.1: the salt, with the source over bytes 4-7 and the index over bytes 8-13.
fn counter_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[4..8].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(byte, with)| *byte ^= with);
    iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]).for_each(|(byte, with)| *byte ^= with);
    iv
}

/// RFC 7714 §8.1: two zeros, source, rollover counter, sequence number, over the salt.
fn gcm_iv(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut iv = *salt;
    iv[2..6].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(byte, with)| *byte ^= with);
    iv[6..12].iter_mut().zip(&index.to_be_bytes()[2..]).for_each(|(byte, with)| *byte ^= with);
    iv
}

/// RFC 7714 §9.1: two zeros, source, two zeros, index, over the salt.
fn gcm_rtcp_iv(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    gcm_iv(salt, ssrc, u64::from(index))
}

fn associated(head: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(&head[..8]);
    aad[8..].copy_from_slice(&word);
    aad
}

/// The tag at the beginning of `bytes`; one of zeros, which fits nothing, where they are too few.
fn tag_of(bytes: &[u8]) -> Tag {
    Tag::from(bytes.first_chunk::<GCM_TAG>().copied().unwrap_or_default())
}

fn counter_mode(aes: &Aes128, iv: [u8; 16], bytes: &mut [u8]) {
    let core = ctr::CtrCore::<_, ctr::flavors::Ctr128BE>::inner_iv_init(aes.clone(), &iv.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
}

fn authenticated(mac: &Hmac<Sha1>, packet: &[u8], word: u32) -> [u8; 20] {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(&word.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// Compares in a time that does not depend on where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
