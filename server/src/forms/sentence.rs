//! The exact sentence of a refusal, on its way through the address of the page that a form comes back to.
//!
//! An address can be made by anybody and sent to somebody: without the seal that only this process can make, a link
//! could have the page say whatever its maker likes.

use std::sync::LazyLock;

use app::boot::Door;
use hmac::{Hmac, Mac};
use protocol::Fault;
use sha2::Sha256;

/// Of this process: after a restart, the code's own sentence is shown.
static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the system gives random numbers");
    key
});

/// What vouches for the sentence of this refusal; `None` where the code says the same.
pub(super) fn seal(fault: &Fault) -> Option<String> {
    let is_exact = fault.reason != fault.error.reason();
    is_exact.then(|| hex(&sealing(fault.error.name(), &fault.reason).finalize().into_bytes()))
}

/// The door without a sentence that is not ours.
pub(crate) fn checked(mut door: Door, seal: &str) -> Door {
    let code = door.error.map_or("", |code| code.name());
    let is_ours = unhex(seal).is_some_and(|seal| sealing(code, &door.reason).verify_slice(&seal).is_ok());
    if !is_ours {
        door.reason.clear();
    }
    door
}

fn sealing(code: &str, reason: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(&*KEY).expect("a key of any length will do");
    mac.chain_update(code).chain_update([0]).chain_update(reason)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    is_hex.then(|| (0..64).step_by(2).map(byte).collect()).flatten()
}
