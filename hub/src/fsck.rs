//! `tributary-hub fsck`: what is damaged in the object store, told for people and programs.
//!
//! Parts: [`Asked`], [`examine`], [`give_up`]. Promises: without `--repair` or `--skip-object` nothing is written; damage that is
//! left is the command's failure. Must not do: decide what may be given up (`hub_store` does).

use std::sync::Arc;

use hub_store::{Damage, Examination, Examined, GiveUpFault, Keeper, Store, StoreFault};
use serde_json::{Value, json};

/// What is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Every block of every segment too.
    pub blocks: bool,
    /// Write anew what can be derived.
    pub repair: bool,
}

/// Looks at the store; each damage, then the summary, is given to `say`. Whether damage is left.
///
/// # Errors
/// The store's fault: then not all was looked at.
pub async fn examine(store: &Arc<Store>, asked: Asked, say: &mut (dyn FnMut(Value) + Send)) -> Result<bool, StoreFault> {
    let keeper = Keeper::new(Arc::clone(store));
    let how = Examination { blocks: asked.blocks, repair: asked.repair };
    let examined = keeper.examine(how, &mut |damage| say(shown(&damage))).await?;
    say(summary(&examined));
    Ok(examined.damaged > examined.mended)
}

/// Gives up a damaged lane object; what was done is given to `say`.
///
/// # Errors
/// [`GiveUpFault`].
pub async fn give_up(store: &Arc<Store>, key: &str, say: &mut (dyn FnMut(Value) + Send)) -> Result<(), GiveUpFault> {
    let tenants = Keeper::new(Arc::clone(store)).give_up(key).await?;
    say(json!({"kind": "skipped", "key": key, "losses": tenants}));
    Ok(())
}

fn shown(damage: &Damage) -> Value {
    json!({"kind": "damage", "key": damage.key, "damage": damage.reason, "fix": damage.fix, "mended": damage.mended})
}

fn summary(examined: &Examined) -> Value {
    json!({
        "kind": "summary", "lanes": examined.lanes, "objects": examined.objects, "snapshots": examined.snapshots, "tenants": examined.tenants,
        "segments": examined.segments, "blocks": examined.blocks, "damaged": examined.damaged, "mended": examined.mended,
    })
}
