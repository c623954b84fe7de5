//! The jobs one by one (`jobs`), those of deletes (`deletes`), all at once with a seed (`random`), and for a month (`month`), on the store of `rig`.

mod deletes;
mod jobs;
mod month;
mod random;
