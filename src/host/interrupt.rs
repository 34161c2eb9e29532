//! Ctrl-C and its like: the first one cancels, the second one ends the process at once.
//!
//! SIGINT, SIGTERM and SIGHUP mean the same here. On the first, everything that was registered with
//! [`Interrupt::on_cancel`] is called, on a thread of its own, so that it may do what a signal handler may
//! not. On the second the process ends with exit code 130 and without another word: the kernel then
//! takes the worker down with it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Context, Error, Kind, Result};

/// What is done on the first signal.
pub type OnCancel = Box<dyn FnOnce() + Send>;

/// Whether the user wants to stop.
#[derive(Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    on_cancel: Vec<OnCancel>,
}

impl Interrupt {
    /// Takes over the signals, for the rest of the process. Called once, by the front.
    ///
    /// # Errors
    ///
    /// [`Kind::Host`] where the kernel does not let them be taken over, or no thread can be started.
    pub fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let listening = interrupt.clone();
        listen(move || match listening.cancel() {
            First::Yes => {}
            First::No => signal_hook::low_level::exit(i32::from(Kind::Interrupted.exit_code())),
        })
        .context(Kind::Host, || "taking over the signals of Ctrl-C and its like".into())?;
        Ok(interrupt)
    }

    /// Registers what is to be done when the user wants to stop; done at once where that was before.
    pub fn on_cancel(&self, action: OnCancel) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            drop(state);
            action();
        } else {
            state.on_cancel.push(action);
        }
    }

    /// A flag that is set when the user wants to stop, for loops that look at one.
    pub fn flag(&self) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        self.on_cancel(Box::new(move || set.store(true, Ordering::Relaxed)));
        flag
    }

    /// Whether the user wants to stop.
    pub fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// An error where the user wants to stop; to be asked between two steps.
    ///
    /// # Errors
    ///
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(Kind::Interrupted, "interrupted")) } else { Ok(()) }
    }

    /// Whatever failed after the user wanted to stop failed for that reason.
    pub fn told_apart(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Does what a signal does but for ending the process.
    fn cancel(&self) -> First {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut state.cancelled, true) {
            return First::No;
        }
        let actions = std::mem::take(&mut state.on_cancel);
        // The actions may ask and register, so they must find the lock open.
        drop(state);
        for action in actions {
            action();
        }
        First::Yes
    }
}

/// Whether a signal was the first one.
#[derive(Debug, PartialEq, Eq)]
enum First {
    Yes,
    No,
}

/// Calls `each` for every signal, from a thread of its own. The actions of the first signal run on a
/// further thread, so that the second one is heard while they last.
fn listen(each: impl Fn() + Clone + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _signal in signals.forever() {
            let each = each.clone();
            if std::thread::Builder::new().name("cancel".into()).spawn(each.clone()).is_err() {
                each();
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn actions_are_called_once_and_late_ones_at_once() {
        let (sender, calls) = mpsc::channel();
        let interrupt = Interrupt::default();
        let (early, late, inner) = (sender.clone(), sender, interrupt.clone());
        interrupt.on_cancel(Box::new(move || {
            assert!(inner.is_cancelled(), "actions may ask");
            early.send("early").unwrap();
        }));
        assert!(interrupt.check().is_ok());
        assert_eq!(interrupt.cancel(), First::Yes);
        assert_eq!(interrupt.cancel(), First::No);
        interrupt.on_cancel(Box::new(move || late.send("late").unwrap()));
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), ["early", "late"]);
        assert_eq!(interrupt.check().unwrap_err().kind(), Kind::Interrupted);
        assert_eq!(interrupt.told_apart(Error::build("x")).kind(), Kind::Interrupted);
    }

    #[test]
    fn a_signal_cancels() {
        let (sender, calls) = mpsc::channel();
        let interrupt = Interrupt::install().unwrap();
        interrupt.on_cancel(Box::new(move || sender.send(()).unwrap()));
        signal_hook::low_level::raise(SIGHUP).unwrap();
        calls.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(interrupt.is_cancelled());
    }
}
