//! One output of a card: commits, and the events that answer them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dmashare::{Fence, FenceStatus, Mapping};
use dmashare_drm::{
    Card, Commit, CommitError, CommitId, Event, Mode, Output, OutputCommit, PlaneCommit,
};

use crate::interrupt::Interrupt;

/// A display that does not answer for so long has hung.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the interrupt flag is looked at while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// Shows one frame after the other on an output.
#[derive(Debug)]
pub(crate) struct Screen {
    card: Card,
    output: Output,
    mode: Mode,
    interrupt: Interrupt,
    /// The commit whose flip event has not come.
    flipping: Option<CommitId>,
    modeset_done: bool,
    last_sequence: Option<u32>,
    /// Captures that are over and were not yet asked for, and how they ended.
    written: Vec<(CommitId, FenceStatus)>,
    pub(crate) flips: u64,
    pub(crate) missed: u64,
    pub(crate) hotplugs: u64,
    /// When the last event came, or the last commit was made.
    last_sign: Instant,
}

impl Screen {
    pub(crate) fn new(card: Card, output: Output, mode: Mode, interrupt: Interrupt) -> Self {
        Self {
            card,
            output,
            mode,
            interrupt,
            flipping: None,
            modeset_done: false,
            last_sequence: None,
            written: Vec::new(),
            flips: 0,
            missed: 0,
            hotplugs: 0,
            last_sign: Instant::now(),
        }
    }

    /// Shows a framebuffer once its fence has signalled. Waits for the flip before, because a display
    /// takes one at a time. With `capture`, the display writes what it shows there.
    pub(crate) fn show(
        &mut self,
        framebuffer: &Mapping<Card>,
        fence: &Fence,
        capture: Option<&Mapping<Card>>,
    ) -> Result<CommitId> {
        if self.modeset_done && capture.is_none() {
            return self.commit_soon(|screen| {
                let (card, output) = (&screen.card, &screen.output);
                card.present(output, framebuffer, Some(fence))
            });
        }
        self.show_planes(&[PlaneCommit::primary(framebuffer).fence(fence)], capture)
    }

    /// The same with several planes in one commit; those that are not named are switched off.
    pub(crate) fn show_planes(
        &mut self,
        planes: &[PlaneCommit],
        capture: Option<&Mapping<Card>>,
    ) -> Result<CommitId> {
        self.commit_soon(|screen| {
            let mut output = OutputCommit::new(&screen.output).mode(screen.mode);
            for plane in planes {
                output = output.plane(plane.clone());
            }
            if let Some(target) = capture {
                output = output.writeback(target);
            }
            screen.card.commit(Commit::new().output(output))
        })
    }

    /// Commits once the flip before is done and the display is not busy.
    fn commit_soon(
        &mut self,
        commit: impl Fn(&Self) -> Result<CommitId, CommitError>,
    ) -> Result<CommitId> {
        self.wait_for_flip()?;
        let deadline = Instant::now() + SILENCE;
        let commit = loop {
            match commit(self) {
                // A flip of the display's last master, or a capture that is being written.
                Err(CommitError::Busy { .. }) if Instant::now() < deadline => {
                    self.dispatch(LOOK / 10)?;
                }
                other => break other.context("the frame cannot be shown")?,
            }
        };
        self.modeset_done = true;
        self.flipping = Some(commit);
        self.last_sign = Instant::now();
        Ok(commit)
    }

    /// Waits a moment for an event and handles it. Without one for too long, it fails with `silence` in
    /// the message ("no flip event").
    pub(crate) fn wait_for_event(&mut self, silence: &str) -> Result<()> {
        ensure!(
            self.dispatch(LOOK)? || self.last_sign.elapsed() < SILENCE,
            "{silence} of {} on {} for {} s: the display hangs, or its driver does",
            self.output.name(),
            self.card.name(),
            SILENCE.as_secs()
        );
        Ok(())
    }

    /// Waits up to `timeout` for an event, handles all that are there, and returns whether there was any.
    pub(crate) fn dispatch(&mut self, timeout: Duration) -> Result<bool> {
        let mut any = false;
        for event in self.card.wait_events(timeout)? {
            any = true;
            match event {
                Event::Flip {
                    output,
                    commit,
                    sequence,
                    ..
                } if output == self.output.id() => self.flipped(commit, sequence),
                Event::Written { commit, status, .. } => self.written.push((commit, status)),
                Event::Hotplug { .. } => self.hotplugs += 1,
                _ => {}
            }
        }
        if any {
            self.last_sign = Instant::now();
        }
        Ok(any)
    }

    fn flipped(&mut self, commit: CommitId, sequence: u32) {
        if self.flipping == Some(commit) {
            self.flipping = None;
        }
        self.flips += 1;
        if let Some(last) = self.last_sequence {
            // A flip in each vertical blank is one step; steps beyond were missed.
            let steps = sequence.wrapping_sub(last);
            self.missed += u64::from(steps.saturating_sub(1));
        }
        self.last_sequence = Some(sequence);
    }

    /// Waits until the flip that is under way is done.
    pub(crate) fn wait_for_flip(&mut self) -> Result<()> {
        while self.flipping.is_some() {
            self.wait_for_event("no flip event")?;
        }
        Ok(())
    }

    /// Waits until the capture of `commit` is complete.
    pub(crate) fn wait_for_capture(&mut self, commit: CommitId) -> Result<()> {
        loop {
            let written = self.written.iter().position(|(of, _)| *of == commit);
            if let Some(index) = written {
                let (_, status) = self.written.swap_remove(index);
                ensure!(
                    status == FenceStatus::Signalled,
                    "the display says {status:?}"
                );
                return Ok(());
            }
            self.wait_for_event("no capture")?;
        }
    }

    /// Whether the program was asked to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.is_asked()
    }
}
