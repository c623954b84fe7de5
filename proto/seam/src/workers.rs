//! Where blocking and heavy work runs: on threads, or in place (simulation, so that a seed repeats).
//! Must not do: queue without bound; callers await each job.

/// How jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Tokio's blocking threads.
    Threads,
    /// At once, in the caller's task.
    Inline,
}

impl Workers {
    /// Runs `job` and gives its result.
    ///
    /// # Panics
    /// When `job` panics: the panic goes on in the caller.
    #[expect(clippy::disallowed_methods, reason = "the one place that reaches for blocking threads")]
    pub async fn run<T: Send + 'static>(self, job: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Self::Inline => job(),
            Self::Threads => match tokio::task::spawn_blocking(job).await {
                Ok(value) => value,
                Err(failed) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is going down: this task will never be polled again either.
                    Err(_) => std::future::pending().await,
                },
            },
        }
    }
}
