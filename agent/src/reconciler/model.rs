//! What is wanted of the switch: the state while it is still being told, then the compiler that follows its changes.
//!
//! Whatever costs as much as the state is large is done on a thread of its own, so that the agent goes on answering
//! meanwhile. Must not know the switch.

use sluice_flows::model::{Change, LocalNode, State};
use sluice_flows::{Compiler, Patch};
use tokio::task::spawn_blocking;

/// What is wanted.
#[derive(Debug)]
pub(super) enum Model {
    /// Not everything is known yet, the node itself maybe neither: nothing may be compiled.
    Gathering(Box<State>),
    /// All sources have been listed.
    Known(Box<Compiler>),
}

impl Default for Model {
    fn default() -> Self {
        Self::Gathering(Box::new(State::new(LocalNode::default())))
    }
}

impl Model {
    /// The compiler, for questions that are answered at once.
    pub(super) fn known(&self) -> Option<&Compiler> {
        match self {
            Self::Gathering(_) => None,
            Self::Known(compiler) => Some(compiler),
        }
    }

    /// Makes a change part of what is wanted; says what it means for the switch, once that is known.
    pub(super) fn apply(&mut self, change: Change) -> Option<Patch> {
        match self {
            Self::Gathering(state) => {
                state.apply(change);
                None
            }
            Self::Known(compiler) => Some(compiler.apply(change)),
        }
    }

    /// All sources have been listed.
    pub(super) async fn complete(&mut self) {
        *self = match std::mem::take(self) {
            Self::Gathering(state) => {
                Self::Known(aside(move || Box::new(Compiler::new(*state))).await)
            }
            known @ Self::Known(_) => known,
        };
    }

    /// Has the compiler do long work; `None` while there is none. Not to be dropped half-way: the compiler would be
    /// lost.
    pub(super) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Compiler) -> T + Send + 'static,
    ) -> Option<T> {
        match std::mem::take(self) {
            Self::Known(mut compiler) => {
                let (compiler, result) = aside(move || {
                    let result = work(&mut compiler);
                    (compiler, result)
                })
                .await;
                *self = Self::Known(compiler);
                Some(result)
            }
            gathering @ Self::Gathering(_) => {
                *self = gathering;
                None
            }
        }
    }
}

/// Does long work on another thread. Its panic is ours.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While the compiler works, the runtime's only thread does other things.
    #[tokio::test]
    async fn the_agent_goes_on_meanwhile() {
        let mut model = Model::default();
        assert_eq!(model.with(|_| ()).await, None, "nothing is known yet");
        model.complete().await;
        let (answer, question) = std::sync::mpsc::channel();
        let working = model.with(move |_| question.recv());
        let other = async { answer.send("done meanwhile") };
        let (heard, sent) = tokio::join!(working, other);
        assert_eq!(heard, Some(Ok("done meanwhile")));
        assert_eq!(sent, Ok(()));
        assert!(model.known().is_some());
    }

    /// What is told before everything is known is in force afterwards, and takes no more room than it is.
    #[tokio::test]
    async fn what_is_told_before_is_kept_once() {
        let mut model = Model::default();
        for _ in 0..3 {
            let change = Change::NamespaceGone("blue".into());
            assert!(model.apply(change).is_none());
            assert!(model.apply(Change::SampleDrops(true)).is_none());
        }
        model.complete().await;
        assert!(
            model
                .known()
                .is_some_and(|known| known.state().sample_drops)
        );
        assert!(model.apply(Change::SampleDrops(false)).is_some());
    }
}
