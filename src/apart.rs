//! A future beside another one in the same task, polled only when it was woken itself.
//!
//! A task that races two futures polls both whenever it is woken. Where one of them is woken by
//! every token and the other hardly ever, the second one's poll is a good part of a token's
//! price; here it is one load instead.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// See the module.
pub(crate) struct Apart<'a, F> {
    future: Pin<&'a mut F>,
    gate: Arc<Gate>,
    /// The gate as a waker, which the future gets.
    waker: Waker,
    /// The task's waker as the gate has it.
    task: Option<Waker>,
}

struct Gate {
    is_woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<'a, F> Apart<'a, F> {
    pub fn new(future: Pin<&'a mut F>) -> Self {
        // The first poll is due without any waking.
        let gate = Arc::new(Gate { is_woken: AtomicBool::new(true), task: Mutex::new(None) });
        Self { future, waker: gate.clone().into(), gate, task: None }
    }
}

impl<F: Future> Future for Apart<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // Before looking at the gate: whoever opens it from now on wakes this task.
        if !this.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            this.task = Some(cx.waker().clone());
            *this.gate.task.lock().unwrap_or_else(PoisonError::into_inner) = this.task.clone();
        }
        if !this.gate.is_woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        this.gate.is_woken.store(false, Ordering::Release);
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::poll_fn,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::Apart;

    #[test]
    fn it_is_polled_at_first_and_then_only_when_woken() {
        let polls = Cell::new(0);
        let waker = Cell::new(None);
        let inner = pin!(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            waker.set(Some(cx.waker().clone()));
            if polls.get() == 2 { Poll::Ready(7) } else { Poll::Pending }
        }));
        let mut apart = pin!(Apart::new(inner));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(apart.as_mut().poll(&mut cx).is_pending());
            assert_eq!(polls.get(), 1);
        }
        waker.take().unwrap().wake();
        assert_eq!(apart.as_mut().poll(&mut cx), Poll::Ready(7));
    }
}
