//! Proves at start that the store keeps create-if-absent; refuses to start on one that does not.
//!
//! Two creates of one random name: the first must stand, the second must be refused, and what stands
//! must be the first. Must not do: anything else; what the probe leaves when it fails is a small object
//! below `control/probe/`.

use bytes::Bytes;

use crate::fault::StoreFault;
use crate::keys::Key;
use crate::object::{Create, Objects, Size};

/// Tries of the whole proof: an answer may be lost on the way.
const ROUNDS: u32 = 3;

/// Proves it.
///
/// # Errors
/// [`StoreFault::NoConditionalCreate`] when the store does not keep it; the store's own fault when it
/// cannot be asked.
pub(crate) async fn prove(objects: &Objects) -> Result<(), StoreFault> {
    let mut left = ROUNDS;
    loop {
        left -= 1;
        match once(objects).await {
            Err(fault) if left > 0 && fault.is_transient() => {}
            proven => return proven,
        }
    }
}

async fn once(objects: &Objects) -> Result<(), StoreFault> {
    let key = Key::probe(objects.entropy().next_u128());
    let broken = |reason: &str| Err(StoreFault::NoConditionalCreate { reason: reason.to_owned() });
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    if objects.create(&key, vec![first.clone()]).await? == Create::Exists {
        return broken("it says that an object exists which was never written");
    }
    let again = objects.create(&key, vec![second]).await;
    let stands = objects.get(&key, None, Size::Small).await;
    objects.delete(&key).await?;
    match (again?, stands?) {
        (Create::Created, _) => broken("it created an object that existed"),
        (Create::Exists, None) => broken("it does not show what was just written"),
        (Create::Exists, Some(bytes)) if bytes != first => broken("it refused a second create and kept its content"),
        (Create::Exists, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
