//! What `evict` says at its end.

use crate::capture::Comparison;
use crate::evict::disturber::Disturbances;
use crate::report_text::Text;
use crate::run_report::RunReport;

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Report {
    /// The Vulkan device, opened twice: the buffers are the first one's, both use them.
    pub(super) device: String,
    /// The card that showed.
    pub(super) card: String,
    /// The connector.
    pub(super) output: String,
    /// The buffers' pixel format.
    pub(super) format: String,
    /// Pixels: width and height.
    pub(super) extent: [u32; 2],
    /// How many buffers there were.
    pub(super) buffers: u32,
    /// How many of them fit into the device's memory.
    pub(super) budget: u32,
    /// Frames that were drawn and shown.
    pub(super) frames: u32,
    /// Flip events that came back.
    pub(super) flips: u64,
    /// By how many they differ; 0 after Ctrl-C.
    pub(super) flip_errors: u64,
    /// Seconds from the first frame to the last flip.
    pub(super) seconds: f64,
    /// Moves out of and into the device's memory, by the residency.
    pub(super) moves: u64,
    /// Of these, moves out.
    pub(super) evictions: u64,
    /// Of these, moves back when a buffer was used.
    pub(super) restores: u64,
    /// Uses of a buffer in host memory, because there was no room for it to come back.
    pub(super) used_away: u64,
    /// Bytes of pixels that moves have copied.
    pub(super) bytes_moved: u64,
    /// How often an importer was told that its mapping goes stale.
    pub(super) told: u64,
    /// Moves of the buffer on screen, each refused with the output's name.
    pub(super) refused: u64,
    /// Moves of it that were not refused, or for another reason.
    pub(super) pin_errors: u64,
    /// Uses that found their mapping stale and mapped again.
    pub(super) stale: u64,
    /// Operations that failed for want of memory, or because a failure was asked for, and were tried
    /// again.
    pub(super) tried_again: u64,
    /// Failures that were injected.
    pub(super) faults: u64,
    /// Seconds that allocations waited for memory that was left and still in use.
    pub(super) stalled_seconds: f64,
    /// Bytes in use in the device's memory at the end.
    pub(super) used_bytes: u64,
    /// The budget.
    pub(super) budget_bytes: u64,
    /// Whether more was in use.
    pub(super) budget_errors: u64,
    /// Frames that were captured and compared.
    pub(super) captured: u64,
    /// Frames that were to be captured.
    pub(super) captures_expected: u64,
    /// The captures and the picture.
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// Contents that were read back and compared by their hash.
    pub(super) hashes_checked: u64,
    /// Contents that differ.
    pub(super) hash_errors: u64,
    /// The first content that differs.
    pub(super) first_hash_error: Option<String>,
    /// What the disturbing thread did.
    pub(super) disturbances: Option<Disturbances>,
    /// Whether it was refused something without a good reason.
    pub(super) disturb_errors: u64,
    /// Pins that were left when all had detached.
    pub(super) pins_left: u64,
    /// Attachments that were left.
    pub(super) attachments_left: u64,
    /// Whether Ctrl-C ended it.
    pub(super) interrupted: bool,
}

impl RunReport for Report {
    fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    fn errors(&self) -> Vec<(u64, String)> {
        let counts = [
            (self.flip_errors, "flips are missing"),
            (
                self.captures_expected.abs_diff(self.captured),
                "captures are missing",
            ),
            (
                self.comparison.pixel_errors,
                "pixels differ from the picture",
            ),
            (self.hash_errors, "contents are not what was drawn"),
            (
                self.pin_errors,
                "times the buffer on screen was not held as it must be",
            ),
            (self.budget_errors, "time the budget is exceeded"),
            (
                self.disturb_errors,
                "disturbance was refused without a good reason",
            ),
            (self.pins_left, "pins are left over"),
            (self.attachments_left, "attachments are left over"),
        ];
        let mut errors = counts
            .map(|(count, what)| (count, format!("{count} {what}")))
            .to_vec();
        let disturbed = self.disturbances.as_ref();
        let refused = disturbed.and_then(|disturbances| disturbances.error.as_ref());
        let firsts = [
            self.comparison.first_pixel_error.as_ref(),
            self.first_hash_error.as_ref(),
            refused,
        ];
        let firsts = firsts.into_iter().flatten();
        errors.extend(firsts.map(|first| (1, first.clone())));
        errors
    }

    fn write_text(&self, text: &mut Text) {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let [width, height] = self.extent;
        let (buffers, format, device) = (self.buffers, &self.format, &self.device);
        let (fit, budget) = (self.budget, mebibytes(self.budget_bytes));
        text.line(
            "buffers",
            format_args!(
                "{buffers} of {width}x{height} {format} on {device}, {fit} of which fit into its \
                 memory ({budget:.0} MiB)"
            ),
        );
        let (frames, seconds, flips) = (self.frames, self.seconds, self.flips);
        let frames = format!(
            "{frames} in {seconds:.1} s, {flips} flips on {}",
            self.output
        );
        text.line("frames", frames);
        let (moves, out, back) = (self.moves, self.evictions, self.restores);
        let (copied, told) = (mebibytes(self.bytes_moved), self.told);
        let moves = format!(
            "{moves}: {out} out, {back} back, {copied:.0} MiB copied, {told} importers told"
        );
        text.line("moves", moves);
        let refused = format!("{} (the buffer on screen does not move)", self.refused);
        text.line("refused", refused);
        let away = format!("{} times, for want of room", self.used_away);
        text.line("used elsewhere", away);
        let (stale, failed, injected) = (self.stale, self.tried_again, self.faults);
        let again =
            format!("{stale} stale mappings, {failed} other failures ({injected} injected)");
        text.line("tried again", again);
        text.line("stalled", format_args!("{:.3} s", self.stalled_seconds));
        if let Some(Disturbances { done, refused, .. }) = &self.disturbances {
            let disturbed = format!("{done} times, refused {refused} times");
            text.line("disturbed", disturbed);
        }
        let captured = format!("{} captures", self.captured);
        text.comparison(captured, &self.comparison);
        let (hashes, wrong) = (self.hashes_checked, self.hash_errors);
        text.line("contents", format_args!("{hashes} hashes, wrong {wrong}"));
        text.line("pins left", self.pins_left);
    }
}
