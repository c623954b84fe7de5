//! The jobs one by one (`jobs`), and all at once with a seed (`random`), on the store of `rig`.

mod jobs;
mod random;
