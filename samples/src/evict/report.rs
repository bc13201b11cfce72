//! What `evict` says at its end.

use anyhow::Result;

use super::Disturbances;
use crate::capture::Comparison;

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Report {
    /// The Vulkan device, opened twice: the buffers are the first one's, both use them.
    pub device: String,
    /// The card that showed.
    pub card: String,
    /// The connector.
    pub output: String,
    /// The buffers' pixel format.
    pub format: String,
    /// Pixels: width and height.
    pub extent: [u32; 2],
    /// How many buffers there were.
    pub buffers: u32,
    /// How many of them fit into the device's memory.
    pub budget: u32,
    /// Frames that were drawn and shown.
    pub frames: u32,
    /// Flip events that came back.
    pub flips: u64,
    /// By how many they differ; 0 after Ctrl-C.
    pub flip_errors: u64,
    /// Seconds from the first frame to the last flip.
    pub seconds: f64,
    /// Moves out of and into the device's memory, by the residency.
    pub moves: u64,
    /// Of these, moves out.
    pub evictions: u64,
    /// Of these, moves back when a buffer was used.
    pub restores: u64,
    /// Uses of a buffer where it was, because there was no room for it to come back.
    pub used_away: u64,
    /// Bytes of pixels that moves have copied.
    pub bytes_moved: u64,
    /// How often an importer was told that its mapping goes stale.
    pub told: u64,
    /// Moves of the buffer on screen, each refused with the output's name.
    pub refused: u64,
    /// Refusals that should have been and were not, or named another reason.
    pub pin_errors: u64,
    /// Uses that found their mapping stale and mapped again.
    pub stale: u64,
    /// Operations that failed for want of memory, or because a failure was asked for, and were tried
    /// again.
    pub tried_again: u64,
    /// Failures that were injected.
    pub faults: u64,
    /// Seconds that allocations waited for memory that was left and still in use.
    pub stalled_seconds: f64,
    /// Bytes in use in the device's memory at the end.
    pub used_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Whether more was in use.
    pub budget_errors: u64,
    /// Frames that were captured and compared.
    pub captured: u64,
    /// Frames that were to be captured.
    pub captures_expected: u64,
    /// Pixels that were compared with the picture.
    pub pixels_checked: u64,
    /// Pixels that differ.
    pub pixel_errors: u64,
    /// The first pixel that differs.
    pub first_pixel_error: Option<String>,
    /// Contents that were read back and compared by their hash.
    pub hashes_checked: u64,
    /// Contents that differ.
    pub hash_errors: u64,
    /// The first content that differs.
    pub first_hash_error: Option<String>,
    /// What the disturbing thread did.
    pub disturbances: Option<Disturbances>,
    /// Whether it was refused something for no good reason.
    pub disturb_errors: u64,
    /// Pins that were left when everyone had detached.
    pub pins_left: u64,
    /// Attachments that were left.
    pub attachments_left: u64,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// Descriptors that are open at the end and were not at the beginning.
    pub fds_leaked: u64,
    /// What they are open on.
    pub files_left: Vec<String>,
    /// dma-bufs of this run that are left over; `None` where the kernel's list can't be read. The
    /// JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmabufs_leaked: Option<u64>,
}

impl Report {
    pub(super) fn comparison(&mut self, comparison: &Comparison) {
        self.pixels_checked += comparison.pixels_checked;
        self.pixel_errors += comparison.pixel_errors;
        if let Some(error) = &comparison.first_error {
            self.first_pixel_error
                .get_or_insert_with(|| error.to_string());
        }
    }

    /// All that went wrong, in words.
    pub fn failures(&self) -> Vec<String> {
        let counts = [
            (self.flip_errors, "flips are missing"),
            (
                self.captures_expected.abs_diff(self.captured),
                "captures are missing",
            ),
            (self.pixel_errors, "pixels are not those of the picture"),
            (self.hash_errors, "contents are not what was drawn"),
            (
                self.pin_errors,
                "times the buffer on screen was not held as it must be",
            ),
            (
                self.budget_errors,
                "time more memory is used than there may be",
            ),
            (
                self.disturb_errors,
                "disturbance was refused for no good reason",
            ),
            (self.pins_left, "pins are left over"),
            (self.attachments_left, "attachments are left over"),
            (self.fds_leaked, "descriptors are left over"),
            (self.dmabufs_leaked.unwrap_or(0), "dma-bufs are left over"),
        ];
        let wrong = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut failures: Vec<String> = wrong
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let details = [&self.first_pixel_error, &self.first_hash_error];
        failures.extend(details.into_iter().flatten().cloned());
        let disturbed = self.disturbances.as_ref();
        failures.extend(disturbed.and_then(|disturbances| disturbances.error.clone()));
        failures
    }

    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.failures().is_empty()
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_json(&self) -> Result<String> {
        let mut value = serde_json::to_value(self)?;
        value["failures"] = self.failures().into();
        Ok(value.to_string())
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut text = format!(
            "{} buffers of {}x{} {} on {}, {} of which fit into its memory ({:.0} MiB)\n",
            self.buffers,
            self.extent[0],
            self.extent[1],
            self.format,
            self.device,
            self.budget,
            mebibytes(self.budget_bytes),
        );
        let mut line = |name: &str, value: String| {
            text.push_str(&format!("  {name:<15} {value}\n"));
        };
        line(
            "frames",
            format!(
                "{} in {:.1} s, {} flips on {}",
                self.frames, self.seconds, self.flips, self.output
            ),
        );
        line(
            "moves",
            format!(
                "{}: {} out, {} back, {:.0} MiB copied, {} importers told",
                self.moves,
                self.evictions,
                self.restores,
                mebibytes(self.bytes_moved),
                self.told
            ),
        );
        line(
            "refused",
            format!("{} (the buffer on screen does not move)", self.refused),
        );
        line(
            "used elsewhere",
            format!("{} times, for want of room", self.used_away),
        );
        line(
            "tried again",
            format!(
                "{} stale mappings, {} other failures ({} injected)",
                self.stale, self.tried_again, self.faults
            ),
        );
        line("stalled", format!("{:.3} s", self.stalled_seconds));
        if let Some(disturbances) = &self.disturbances {
            line(
                "disturbed",
                format!(
                    "{} times, refused {} times",
                    disturbances.done, disturbances.refused
                ),
            );
        }
        line(
            "captured",
            format!(
                "{} frames, {} pixels checked, wrong {}",
                self.captured, self.pixels_checked, self.pixel_errors
            ),
        );
        line(
            "contents",
            format!("{} hashes, wrong {}", self.hashes_checked, self.hash_errors),
        );
        let dmabufs = self
            .dmabufs_leaked
            .map_or("unknown".to_owned(), |count| count.to_string());
        line(
            "left over",
            format!(
                "{} pins, {} descriptors, {dmabufs} dma-bufs",
                self.pins_left, self.fds_leaked
            ),
        );
        match self.failures() {
            failures if failures.is_empty() => {
                text.push_str("Everything was where it should be, and nothing was lost.");
            }
            failures => {
                text.push_str("FAILED:");
                for failure in failures {
                    text.push_str(&format!("\n  {failure}"));
                }
            }
        }
        text
    }
}
