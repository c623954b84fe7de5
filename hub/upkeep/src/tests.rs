//! The jobs one by one (`jobs`), all at once with a seed (`random`), and for a month (`month`), on the store of `rig`.

mod jobs;
mod month;
mod random;
