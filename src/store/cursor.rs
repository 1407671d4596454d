//! Cursors: where in a stream a reader stands, in a form that only we can make.
//!
//! 43 characters of base64url: the event's number, the database's epoch, and 16 bytes of an HMAC over both
//! and the stream. So a cursor of another account is as invalid as an invented one, and one from before a
//! restored backup is told apart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Store, failpoint};
use crate::error::{Code, Error};
use crate::keys::Keys;

const TAG: usize = 16;

impl Store {
    /// The cursor behind event `number` of `stream`.
    pub fn cursor(&self, stream: Uuid, number: i64) -> String {
        encode(&self.0.keys, self.0.epoch, stream, number)
    }

    /// Where `cursor` stands in `stream`, whose version is `version`.
    ///
    /// # Errors
    /// BAD_USER_INPUT if it was not made here for this stream; CURSOR_EXPIRED if it is of another epoch or
    /// ahead of the database.
    pub fn read_cursor(&self, stream: Uuid, version: i64, cursor: &str) -> Result<i64, Error> {
        let (number, epoch) = decode(&self.0.keys, stream, cursor).ok_or_else(|| {
            Error::client(
                Code::BadUserInput,
                "`after` is no cursor of this account: pass `Account.eventCursor` or the `cursor` of an event.",
            )
        })?;
        let is_ours = epoch == self.0.epoch || failpoint::is_off("plant::cursor-epoch");
        if !is_ours || number > version {
            return Err(expired());
        }
        Ok(number)
    }
}

/// Of a cursor behind which something may be missing.
pub(super) fn expired() -> Error {
    Error::client(
        Code::CursorExpired,
        "This cursor has expired: query again, and subscribe with the new `eventCursor`.",
    )
}

fn encode(keys: &Keys, epoch: u64, stream: Uuid, number: i64) -> String {
    let mut bytes = [0; 16 + TAG];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&epoch.to_be_bytes());
    let tag = tag(keys, stream, &bytes[..16]);
    bytes[16..].copy_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(keys: &Keys, stream: Uuid, cursor: &str) -> Option<(i64, u64)> {
    let mut bytes = [0; 16 + TAG];
    let length = URL_SAFE_NO_PAD.decode_slice(cursor, &mut bytes).ok()?;
    if length != bytes.len() || !bool::from(tag(keys, stream, &bytes[..16]).ct_eq(&bytes[16..])) {
        return None;
    }
    let number = i64::from_be_bytes(bytes[..8].try_into().ok()?);
    let epoch = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    Some((number, epoch))
}

fn tag(keys: &Keys, stream: Uuid, position: &[u8]) -> [u8; TAG] {
    let mut message = [0; 32];
    message[..16].copy_from_slice(stream.as_bytes());
    message[16..].copy_from_slice(position);
    let mut tag = [0; TAG];
    tag.copy_from_slice(&keys.cursor_tag(&message)[..TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_stream_and_cannot_be_made_up() {
        let keys = Keys::derive(&[1; 32], 0);
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let cursor = encode(&keys, 9, mine, 42);
        assert_eq!(decode(&keys, mine, &cursor), Some((42, 9)));
        assert_eq!(decode(&keys, other, &cursor), None);
        assert_eq!(decode(&Keys::derive(&[2; 32], 0), mine, &cursor), None);
        let mut forged = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        forged[7] += 1;
        assert_eq!(decode(&keys, mine, &URL_SAFE_NO_PAD.encode(forged)), None);
        for garbage in ["", "x", "ü", &"A".repeat(43), &"A".repeat(500)] {
            assert_eq!(decode(&keys, mine, garbage), None, "{garbage}");
        }
    }
}
